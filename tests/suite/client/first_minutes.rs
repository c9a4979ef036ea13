//! What `check()` says beyond right or wrong: how fast, how many at once, and what to type next.

use std::collections::HashMap;

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::sql::run;

/// Detail and hint of each step.
fn steps(client: &mut Client, server: &str) -> HashMap<String, (Option<bool>, String, String)> {
    let sql = "SELECT step, ok, coalesce(detail, ''), coalesce(hint, '') FROM sage_intacct.check($1)";
    let rows = client.query(sql, &[&server]).expect("steps");
    rows.iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3))))
        .collect()
}

fn foreign_tables(client: &mut Client, schema: &str) -> Vec<String> {
    let sql = "SELECT foreign_table_name::text FROM information_schema.foreign_tables
                WHERE foreign_table_schema = $1 ORDER BY 1";
    let rows = client.query(sql, &[&schema]).expect("tables");
    rows.iter().map(|row| row.get(0)).collect()
}

/// A server of this name, quoted, for a user of the company.
fn server(company: &Company, name: &str, user: &str) -> String {
    Company::another_server(&company.gateway, name, user, "")
}

/// A gateway that takes some time for each request, and so many at once; it refuses others without delay.
fn allow_at_once(company: &Company, requests: &str, latency_ms: &str) {
    company.gateway.set("latency_ms", latency_ms);
    company.gateway.set("concurrency", requests);
    company.gateway.set("queue_ms", "0");
}

/// What the step `concurrency` found, and the statement that it proposes.
fn smaller_number(client: &mut Client) -> (String, String) {
    let (ok, detail, hint) = steps(client, "acme").remove("concurrency").expect("a step");
    assert_eq!(ok, Some(true), "{detail}");
    let statement = hint.split_once(" asks for").expect("a statement").0.to_owned();
    (detail, statement)
}

/// The statement imports what the user may read, also where the server's name needs quotes, and none of it is refused.
#[test]
fn the_last_row_is_a_statement_that_runs() {
    let company = Company::start("first_next");
    let mut client = company.connect();
    run(
        &mut client,
        &server(&company, "\"Of the limited user\"", "limited"),
    );
    for (name, may_not) in [
        ("acme", vec![]),
        (
            "Of the limited user",
            vec!["vendor", "apbill", "apbillitem", "appymt", "glbatch", "glentry"],
        ),
    ] {
        let (ok, detail, statement) = steps(&mut client, name).remove("next").expect("a last step");
        assert_eq!(ok, Some(true), "{name}: {detail}");
        for object in &may_not {
            assert!(!statement.contains(&format!("{object},")), "{statement}");
        }
        assert_eq!(
            detail.contains("may not read VENDOR, APBILL"),
            !may_not.is_empty(),
            "{detail}"
        );
        let rows = company.rows("CUSTOMER");
        assert!(detail.contains(&format!("CUSTOMER ({rows} rows)")), "{detail}");
        run(&mut client, &statement);
        let tables = foreign_tables(&mut client, name);
        // Sixteen that finance teams ask for first, and two of the company's own.
        assert_eq!(tables.len(), 18 - may_not.len(), "{tables:?}");
        assert!(tables.contains(&"mca_attendee".to_owned()), "{tables:?}");
        for table in tables {
            client
                .query(&format!("SELECT * FROM \"{name}\".\"{table}\" LIMIT 1"), &[])
                .unwrap_or_else(|error| panic!("{name}.{table}: {error:?}"));
        }
    }
}

/// Users that may read little: what they may is found, whatever it is, and timed.
#[test]
fn a_user_of_few_objects_gets_those() {
    let company = Company::start("first_few");
    let mut client = company.connect();
    for (user, may) in [
        ("timekeeper", vec!["contact", "task", "timesheet"]),
        ("builder", vec!["mca_attendee"]),
    ] {
        run(&mut client, &server(&company, user, user));
        let mut steps = steps(&mut client, user);
        for step in ["permission", "round trip", "page", "concurrency"] {
            assert_eq!(steps[step].0, Some(true), "{user}: {step}: {steps:?}");
        }
        let (ok, detail, statement) = steps.remove("next").expect("a last step");
        assert_eq!(ok, Some(true), "{user}: {detail}");
        run(&mut client, &statement);
        assert_eq!(foreign_tables(&mut client, user), may, "{user}: {statement}");
    }
}

/// A user that may read nothing is told where to look.
#[test]
fn a_user_of_no_object_gets_the_list_of_all() {
    let company = Company::start("first_none");
    let mut client = company.connect();
    run(&mut client, &server(&company, "\"Nobody's\"", "onlooker"));
    let mut steps = steps(&mut client, "Nobody's");
    let (ok, detail, _) = &steps["permission"];
    assert_eq!(*ok, Some(false));
    assert!(
        detail.starts_with("42501: ") && detail.contains("CUSTOMER"),
        "{detail}"
    );
    let (ok, _, statement) = steps.remove("next").expect("a last step");
    assert_eq!(ok, None);
    assert!(client.query(&statement, &[]).expect(&statement).is_empty());
}

/// A gateway that fails says nothing of what the user may read.
#[test]
fn a_failure_is_not_taken_for_a_lack_of_rights() {
    let company = Company::start("first_failing");
    let mut client = company.connect();
    company
        .gateway
        .faults(r#"[{"match": {"function": "query"}, "times": 0, "action": {"status": {"code": 503}}}]"#);
    let steps = steps(&mut client, "acme");
    assert_eq!(steps["permission"].0, Some(false), "{steps:?}");
    assert!(steps["permission"].1.starts_with("08006"), "{steps:?}");
    assert_eq!(steps["next"], (None, "skipped".to_owned(), String::new()));
}

/// With the older version of the gateway's requests, too: it shows contacts, and neither tasks nor timesheets.
#[test]
fn a_user_of_one_object_gets_it_by_the_older_version() {
    let company = Company::start("first_older");
    let mut client = company.connect();
    run(&mut client, &server(&company, "older", "timekeeper"));
    run(&mut client, "ALTER SERVER older OPTIONS (ADD dtd_version '2.1')");
    let (ok, detail, statement) = steps(&mut client, "older").remove("next").expect("a last step");
    assert_eq!(ok, Some(true), "{detail}");
    run(&mut client, &statement);
    assert_eq!(foreign_tables(&mut client, "older"), ["contact"], "{statement}");
}

/// What is there already is left out of the statement; where all of it is there, the next statement reads.
#[test]
fn the_statement_goes_on_from_what_is_there() {
    let company = Company::start("first_again");
    let mut client = company.connect();
    run(&mut client, "CREATE SCHEMA acme");
    let next = |client: &mut Client, server: &str| steps(client, server).remove("next").expect("a step").2;
    let statement = next(&mut client, "acme");
    assert!(statement.starts_with("IMPORT FOREIGN SCHEMA"), "{statement}");
    run(&mut client, &statement);
    let all = foreign_tables(&mut client, "acme");
    run(
        &mut client,
        "DROP FOREIGN TABLE acme.vendor; DROP FOREIGN TABLE acme.item",
    );
    let statement = next(&mut client, "acme");
    assert!(statement.contains("LIMIT TO (vendor, item)"), "{statement}");
    run(&mut client, &statement);
    assert_eq!(foreign_tables(&mut client, "acme"), all);
    let statement = next(&mut client, "acme");
    assert_eq!(client.query(&statement, &[]).expect(&statement).len(), 10);
    // PostgreSQL keeps some names of schemas for itself.
    run(&mut client, &server(&company, "pg_acme", "timekeeper"));
    let statement = next(&mut client, "pg_acme");
    run(&mut client, &statement);
    assert_eq!(
        foreign_tables(&mut client, "intacct_pg_acme"),
        ["contact", "task", "timesheet"]
    );
}

/// The calls are those of pages as large as the server's.
#[test]
fn calls_are_counted_in_the_servers_pages() {
    let company = Company::start("first_calls");
    let mut client = company.connect();
    run(&mut client, &server(&company, "builder", "builder"));
    run(&mut client, "ALTER SERVER builder OPTIONS (ADD page_size '50')");
    let rows = company.rows("MCA_attendee");
    let (_, detail, statement) = steps(&mut client, "builder").remove("next").expect("a last step");
    let calls = (rows + 49) / 50;
    assert!(calls > 1);
    assert!(
        detail.starts_with(&format!(
            "MCA_attendee ({rows} rows); to read all of it: about {calls} calls; to import it: about 4"
        )),
        "{detail}"
    );
    run(&mut client, &statement);
    let (_, read) = company
        .gateway
        .cost(&mut client, "SELECT name FROM builder.mca_attendee");
    assert!((calls as usize..=calls as usize + 1).contains(&read), "{read}");
}

/// What the documents say of its cost, and of that of the import.
#[test]
fn a_check_and_an_import_cost_what_is_said() {
    let company = Company::start("first_cost");
    let mut client = company.connect();
    for (deep, trips, calls) in [("", 19, 37), (", deep => true", 77, 95)] {
        let check = format!("SELECT count(*) FROM sage_intacct.check('acme'{deep})");
        assert_eq!(
            company.gateway.cost(&mut client, &check),
            (trips, calls),
            "{check}"
        );
    }
    let (_, detail, statement) = steps(&mut client, "acme").remove("next").expect("a last step");
    let (_, said) = detail.split_once("to import it: about ").expect("a number");
    let said: usize = said.parse().expect("a number");
    let (_, import) = company.gateway.cost(&mut client, &statement);
    assert!(
        import <= said && import * 10 >= said * 8,
        "{import}, {said} were said"
    );
}

/// Where the gateway refuses requests for their number, fewer are proposed, and the statement fits the server.
#[test]
fn refused_requests_ask_for_a_smaller_number() {
    let company = Company::start("first_refused");
    let mut client = company.connect();
    allow_at_once(&company, "1", "300");
    let (detail, statement) = smaller_number(&mut client);
    assert_eq!(detail, "the gateway refused some of 2 requests at once");
    run(&mut client, &statement);
    let (_, detail, hint) = steps(&mut client, "acme").remove("concurrency").expect("a step");
    assert_eq!(detail, "max_concurrency allows one request at a time");
    assert!(hint.contains("(SET max_concurrency '2')"), "{hint}");
}

/// A gateway that refuses again what is repeated: still a number, not an error.
#[test]
fn a_number_far_too_large_is_halved_until_it_fits() {
    let company = Company::start("first_far");
    let mut client = company.connect();
    allow_at_once(&company, "1", "200");
    run(&mut client, "ALTER SERVER acme OPTIONS (ADD max_concurrency '8')");
    for fewer in [4, 2, 1] {
        let (_, statement) = smaller_number(&mut client);
        assert!(
            statement.ends_with(&format!("max_concurrency '{fewer}')")),
            "{statement}"
        );
        run(&mut client, &statement);
    }
}

/// Never more at once than the option allows: it may stand for a contract.
#[test]
fn the_trial_stays_within_max_concurrency() {
    let company = Company::start("first_within");
    let mut client = company.connect();
    allow_at_once(&company, "3", "100");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD max_concurrency '3')")
        .expect("an option");
    let (ok, detail, _) = steps(&mut client, "acme").remove("concurrency").expect("a step");
    assert_eq!(ok, Some(true));
    assert!(detail.starts_with("3 requests at once brought "), "{detail}");
}

/// What is measured says of what; the time is in its column.
#[test]
fn round_trip_and_page_are_timed() {
    let company = Company::start("first_timed");
    let mut client = company.connect();
    let sql = "SELECT step, detail, milliseconds > 0 FROM sage_intacct.check('acme') WHERE step IN ('round trip', 'page')";
    let rows = client.query(sql, &[]).expect("steps");
    let found: Vec<(String, String, bool)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    // No object fills a page: the largest one.
    let page = format!("{} rows of ARINVOICE in 10 columns", company.rows("ARINVOICE"));
    assert_eq!(
        found,
        [
            (
                "round trip".to_owned(),
                "a request for one row of ARINVOICE".to_owned(),
                true
            ),
            ("page".to_owned(), page, true),
        ]
    );
}
