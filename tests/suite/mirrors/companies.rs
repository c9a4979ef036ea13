//! Mirrors of several companies in one table: each reads and writes its own rows.

use super::company::{company, lines, run};
use super::distributed::citus;
use postgres::{Client, NoTls};
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::{Company, Gateway, small};
use serde_json::json;
use std::thread;

/// The companies: schema, server and constant have one name.
const NAMES: [&str; 2] = ["acme", "globex"];

/// A second company, whose keys are those of the first one, and a column with the company's name in both.
fn second_company(client: &mut Client) -> Gateway {
    let other = Gateway::start_with(small().rows("CUSTOMER", 70));
    let server = Company::server_statements(&other, "").replace("SERVER acme", "SERVER globex");
    run(client, &server);
    run(
        client,
        "CREATE SCHEMA globex;
         IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER globex INTO globex;
         ALTER FOREIGN TABLE acme.customer ADD COLUMN company text OPTIONS (constant 'acme') NOT NULL;
         ALTER FOREIGN TABLE globex.customer ADD COLUMN company text OPTIONS (constant 'globex') NOT NULL",
    );
    other
}

fn create(name: &str, options: &str) -> String {
    format!("CALL sage_intacct.create_mirror('{name}.customer', 'finance.customer', '{options}')")
}

fn refresh(name: &str, full: bool) -> String {
    format!("CALL sage_intacct.refresh_mirror('finance.customer', full => {full}, company => '{name}')")
}

#[track_caller]
fn assert_equal(client: &mut Client, name: &str) {
    let differences = lines(
        client,
        &format!(
            "WITH there AS MATERIALIZED (SELECT * FROM {name}.customer),
                  here AS MATERIALIZED (SELECT * FROM finance.customer WHERE company = '{name}')
             (SELECT 'missing', t::text FROM (SELECT * FROM there EXCEPT ALL SELECT * FROM here) t LIMIT 3)
             UNION ALL
             (SELECT 'surplus', t::text FROM (SELECT * FROM here EXCEPT ALL SELECT * FROM there) t LIMIT 3)"
        ),
    );
    assert!(differences.is_empty(), "{name}:\n{differences}");
}

#[track_caller]
fn refused(client: &mut Client, sql: &str) -> (String, String) {
    let error = client.batch_execute(sql).expect_err(sql);
    let error = error.as_db_error().expect("an error of the server");
    (error.code().code().to_owned(), error.message().to_owned())
}

/// What happens to two companies that share a table.
fn share(name: &str, options: &str) {
    let (company, mut client) = company(name, "customer");
    let other = second_company(&mut client);
    if options.contains("distribute_by") {
        citus(&mut client);
    }
    for name in NAMES {
        run(&mut client, &create(name, options));
    }
    assert_eq!(
        lines(
            &mut client,
            "SELECT company, rows, complete FROM sage_intacct.mirrors ORDER BY company"
        ),
        format!(
            "acme {} t\nglobex {} t",
            company.rows("CUSTOMER"),
            sage_intacct_fdw_tests::company::rows(&other, "CUSTOMER")
        )
    );
    assert_eq!(
        lines(
            &mut client,
            "SELECT labels ->> 'foreign_server', labels ->> 'company' FROM sage_intacct.metrics WHERE name = 'sage_intacct_mirror_rows' ORDER BY 1"
        ),
        "acme acme\nglobex globex"
    );
    // Each has rows with the keys of the other.
    assert_ne!(
        lines(
            &mut client,
            "SELECT count(*) - count(DISTINCT recordno) FROM finance.customer"
        ),
        "0"
    );
    for name in NAMES {
        assert_equal(&mut client, name);
    }

    // What somebody did to the rows of one company is not seen by the refresh of another, whatever it compares.
    run(
        &mut client,
        "UPDATE finance.customer SET name = 'mine' WHERE company = 'globex' AND recordno IN (SELECT min(recordno) FROM globex.customer);
         DELETE FROM finance.customer WHERE company = 'globex' AND recordno IN (SELECT max(recordno) FROM globex.customer)",
    );
    let others = "SELECT md5(string_agg(t::text, ',' ORDER BY recordno)) FROM finance.customer t WHERE company = 'globex'";
    let before = lines(&mut client, others);
    let keys = super::company::keys(&company, "CUSTOMER", 6);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": keys[..2], "values": { "NAME": "changed" } } },
        { "delete": { "object": "CUSTOMER", "keys": keys[2..5] } },
        { "insert": { "object": "CUSTOMER", "values": { "NAME": "one", "CUSTOMERID": "N-1" } } },
    ]));
    run(&mut client, &refresh("acme", false));
    assert_eq!(
        lines(
            &mut client,
            "SELECT last_outcome, inserted, updated, deleted FROM sage_intacct.mirrors WHERE company = 'acme'"
        ),
        "done 1 2 3"
    );
    run(&mut client, &refresh("acme", true));
    assert_equal(&mut client, "acme");
    assert_eq!(lines(&mut client, others), before);
    run(&mut client, &refresh("globex", true));
    assert_equal(&mut client, "globex");

    // Side by side.
    let gateways = [&company.gateway, &other];
    for round in 0..6 {
        for gateway in gateways {
            gateway.change(json!([
                { "update": { "object": "CUSTOMER", "where": format!("RECORDNO % 5 = {}", round % 5), "values": { "NAME": format!("r{round}") } } },
                { "delete": { "object": "CUSTOMER", "where": format!("RECORDNO = {}", 20 + round), "silent": round % 2 == 0 } },
                { "insert": { "object": "CUSTOMER", "values": { "NAME": "new", "CUSTOMERID": format!("S-{round}") } } },
            ]));
        }
        let sessions = NAMES.map(|name| {
            let mut session = company.connect();
            thread::spawn(move || {
                session
                    .batch_execute(&refresh(name, round == 3))
                    .unwrap_or_else(|error| panic!("{name}: {error:?}"));
            })
        });
        for session in sessions {
            session.join().expect("it was refreshed");
        }
        for name in NAMES {
            assert_equal(&mut client, name);
        }
    }

    // Which one, has to be said.
    let (code, message) = refused(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer')",
    );
    assert_eq!(code, "42P08");
    assert_eq!(message, "finance.customer is a mirror of several companies");
    run(&mut client, "CALL sage_intacct.refresh_mirrors('finance')");
    let (code, _) = refused(&mut client, &create("acme", r#"{"company": "name"}"#));
    assert_eq!(code, "HV024");
    // Another constant is another company.
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.customer ALTER COLUMN company OPTIONS (SET constant 'globex')",
    );
    let (code, message) = refused(&mut client, &refresh("acme", true));
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("55000", "the source of mirror finance.customer has changed")
    );
    assert_equal(&mut client, "globex");
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.customer ALTER COLUMN company OPTIONS (SET constant 'acme')",
    );
    run(&mut client, &refresh("acme", false));
    assert_equal(&mut client, "acme");

    run(
        &mut client,
        "CALL sage_intacct.drop_mirror('finance.customer', company => 'acme')",
    );
    assert_eq!(
        lines(&mut client, "SELECT DISTINCT company FROM finance.customer"),
        "globex"
    );
    assert_equal(&mut client, "globex");
    run(&mut client, "CALL sage_intacct.drop_mirror('finance.customer')");
    assert_eq!(lines(&mut client, "SELECT to_regclass('finance.customer')"), "-");
}

#[test]
fn companies_share_a_table() {
    share("mirror_companies", r#"{"company": "company"}"#);
}

#[test]
fn companies_share_a_table_that_is_distributed_by_company() {
    share(
        "mirror_companies_apart",
        r#"{"company": "company", "distribute_by": "company"}"#,
    );
}

#[test]
fn companies_share_a_table_that_is_distributed_by_key() {
    share(
        "mirror_companies_mixed",
        r#"{"company": "company", "distribute_by": "recordno"}"#,
    );
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let (_company, mut client) = company("mirror_unshared", "customer, gldetail");
    let _other = second_company(&mut client);
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.gldetail ADD COLUMN company text OPTIONS (constant 'acme') NOT NULL",
    );
    for (sql, code, message) in [
        (
            "CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{\"company\": \"nonsense\"}')",
            "HV024",
            "option \"company\" names the column \"nonsense\", which no constant fills",
        ),
        (
            "CALL sage_intacct.create_mirror('acme.gldetail', 'finance.gldetail', '{\"company\": \"company\"}')",
            "0A000",
            "option \"company\" needs rows with an identifier",
        ),
    ] {
        let (found, text) = refused(&mut client, sql);
        assert_eq!((found.as_str(), text.as_str()), (code, message));
    }
    // A mirror that is alone stays so, and a table whose key is the row key alone takes one company.
    run(&mut client, &create("acme", "{}"));
    let (code, message) = refused(&mut client, &create("globex", r#"{"company": "company"}"#));
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("42710", "finance.customer is already a mirror")
    );
    run(
        &mut client,
        "CALL sage_intacct.drop_mirror('finance.customer', keep => true)",
    );
    let (code, message) = refused(&mut client, &create("globex", r#"{"company": "company"}"#));
    assert_eq!(code, "55000");
    assert!(message.contains("no unique index"), "{message}");
}

/// The mirrors of a schema, company after company, into the same tables.
#[test]
fn a_schema_of_each_company_goes_into_one() {
    let (_company, mut client) = company("mirror_company_schemas", "customer");
    let _other = second_company(&mut client);
    for name in NAMES {
        let sql =
            format!(r#"CALL sage_intacct.create_mirrors('{name}', 'finance', '{{"company": "company"}}')"#);
        run(&mut client, &sql);
        assert_equal(&mut client, name);
        // Nothing is left to do.
        run(&mut client, &sql);
    }
    assert_eq!(
        lines(
            &mut client,
            "SELECT company, complete FROM sage_intacct.mirrors ORDER BY 1"
        ),
        "acme t\nglobex t"
    );
}

/// A session that is lost in the midst of one company's refresh costs the others nothing.
#[test]
fn a_lost_session_of_one_company_keeps_no_other_back() {
    let (company, mut client) = company("mirror_company_lost", "customer");
    let other = second_company(&mut client);
    for name in NAMES {
        run(
            &mut client,
            &create(name, r#"{"company": "company", "page_rows": 10}"#),
        );
    }
    for gateway in [&company.gateway, &other] {
        gateway.change(
            json!([{ "update": { "object": "CUSTOMER", "where": "true", "values": { "NAME": "all" } } }]),
        );
    }
    let mut lost = company.connect();
    let pid = cluster::backend(&mut lost);
    let token = lost.cancel_token();
    company.gateway.tap.rule(|xml| match xml.contains("<query>") {
        true => sage_intacct_fdw_tests::tap::Answer::Stall,
        false => sage_intacct_fdw_tests::tap::Answer::Pass,
    });
    let refreshing = thread::spawn(move || lost.batch_execute(&refresh("acme", false)).is_ok());
    while company.gateway.tap.stalled() == 0 && !refreshing.is_finished() {
        thread::yield_now();
    }
    run(&mut client, &refresh("globex", false));
    assert_equal(&mut client, "globex");
    client
        .execute("SELECT pg_terminate_backend($1::integer, 5000)", &[&pid])
        .expect("terminated");
    let _ = token.cancel_query(NoTls);
    assert!(!refreshing.join().expect("the thread ends"), "it was lost");
    company.gateway.tap.pass();
    run(&mut client, &refresh("acme", false));
    for name in NAMES {
        assert_equal(&mut client, name);
    }
}
