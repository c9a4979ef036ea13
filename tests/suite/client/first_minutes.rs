//! What `check()` says beyond right or wrong: how fast, how many at once, and what to type next.

use std::collections::HashMap;

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;

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

/// The statement imports what the user may read, also where the server's name needs quotes, and none of it is refused.
#[test]
fn the_last_row_is_a_statement_that_runs() {
    let company = Company::start("first_next");
    let mut client = company.connect();
    let server = |name: &str, user: &str| {
        format!(
            "CREATE SERVER {name} FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', url '{}');
             CREATE USER MAPPING FOR CURRENT_USER SERVER {name}
               OPTIONS (user_id '{user}', password 'secret', sender_id 'sender1', sender_password 'senderpw')",
            company.gateway.url()
        )
    };
    client
        .batch_execute(&server("\"Of the limited user\"", "limited"))
        .expect("a server");
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
        client
            .batch_execute(&statement)
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        let tables = foreign_tables(&mut client, name);
        assert_eq!(tables.len(), 16 - may_not.len(), "{tables:?}");
        for table in tables {
            client
                .query(&format!("SELECT * FROM \"{name}\".\"{table}\" LIMIT 1"), &[])
                .unwrap_or_else(|error| panic!("{name}.{table}: {error:?}"));
        }
    }
}

/// Where the gateway refuses requests for their number, fewer are proposed, and the statement fits the server.
#[test]
fn refused_requests_ask_for_a_smaller_number() {
    let company = Company::start("first_refused");
    let mut client = company.connect();
    company.gateway.set("latency_ms", "300");
    company.gateway.set("concurrency", "1");
    company.gateway.set("queue_ms", "0");
    let (ok, detail, hint) = steps(&mut client, "acme").remove("concurrency").expect("a step");
    assert_eq!(
        (ok, detail.as_str()),
        (Some(true), "the gateway refused some of 2 requests at once")
    );
    let statement = hint.split_once(" asks for").expect("a statement").0;
    client
        .batch_execute(statement)
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    let (_, detail, hint) = steps(&mut client, "acme").remove("concurrency").expect("a step");
    assert_eq!(detail, "max_concurrency allows one request at a time");
    assert!(hint.contains("(SET max_concurrency '2')"), "{hint}");
}

/// Never more at once than the option allows: it may stand for a contract.
#[test]
fn the_trial_stays_within_max_concurrency() {
    let company = Company::start("first_within");
    let mut client = company.connect();
    company.gateway.set("concurrency", "3");
    company.gateway.set("queue_ms", "0");
    company.gateway.set("latency_ms", "100");
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
    let page = format!("{} rows of CUSTOMER in 10 columns", company.rows("CUSTOMER"));
    assert_eq!(
        found,
        [
            (
                "round trip".to_owned(),
                "a request for one row of CUSTOMER".to_owned(),
                true
            ),
            ("page".to_owned(), page, true),
        ]
    );
}
