//! What a mirror costs beside the plain scan that it is made of.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use std::time::{Duration, Instant};

/// Rows of the first load: enough for 25 slices.
const ROWS: &str = "acme.arinvoice=1000000";

/// A first load takes no more than this many times the plain scan into a table.
const BOUND: f64 = 1.2;

/// Rows of the ledger, about ten to a batch.
const LEDGER: &[&str] = &["--rows", "acme.gldetail=1000000", "--rows", "acme.glbatch=100000"];

/// A refresh of the ledger after ten changed batches sends no more requests.
const LEDGER_REQUESTS: u64 = 6;

/// Measures the first load of a mirror, and refreshes of it.
pub fn run(report: &mut Report) {
    documents(report);
    ledger(report);
}

/// GLDETAIL: nothing tells its rows apart, its pages are counted, its periods replaced.
fn ledger(report: &mut Report) {
    let gateway = Gateway::start(LEDGER);
    let mut client = company::connect();
    company::import(&mut client, &gateway, "", "gldetail");
    let mut time = |statement: &str| {
        let began = Instant::now();
        client
            .simple_query(statement)
            .unwrap_or_else(|error| panic!("{error:?}\n{statement}"));
        began.elapsed()
    };
    time("DROP SCHEMA IF EXISTS finance CASCADE; CREATE SCHEMA finance");
    // The simulator's own caches are filled by the first of them, and both tables have the same indexes.
    time("SELECT count(recordno) FROM acme.gldetail");
    time(
        "CREATE TABLE finance.plain (LIKE acme.gldetail); CREATE INDEX ON finance.plain (entry_date); CREATE INDEX ON finance.plain (batchkey)",
    );
    let plain = time("INSERT INTO finance.plain SELECT * FROM acme.gldetail");
    let load = time("CALL sage_intacct.create_mirror('acme.gldetail', 'finance.gldetail')");
    report.goal(
        "first load of a mirror of GLDETAIL, 1,000,000 rows",
        load,
        "INSERT … SELECT",
        plain,
        BOUND,
    );
    for round in 1..=3 {
        gateway.control(
            "POST",
            "change",
            &format!(
                r#"{{"company": "acme", "ops": [
                    {{"update": {{"object": "GLDETAIL", "silent": true, "values": {{"DESCRIPTION": "round {round}"}},
                                  "where": "BATCHKEY IN (SELECT RECORDNO FROM t_GLBATCH ORDER BY RECORDNO LIMIT 10 OFFSET {round}000)"}}}},
                    {{"update": {{"object": "GLBATCH", "values": {{"BATCH_TITLE": "round {round}"}},
                                  "where": "RECORDNO IN (SELECT RECORDNO FROM t_GLBATCH ORDER BY RECORDNO LIMIT 10 OFFSET {round}000)"}}}}]}}"#
            ),
        );
        gateway.forget();
        let refresh = time("CALL sage_intacct.refresh_mirror('finance.gldetail')");
        report.ratio("refresh after ten changed batches", refresh, "first load", load);
        let requests = gateway.requests();
        report.count("refresh after ten changed batches: requests", requests);
        assert!(requests <= LEDGER_REQUESTS, "{requests} requests");
    }
}

/// ARINVOICE: a number tells its rows apart.
fn documents(report: &mut Report) {
    let gateway = Gateway::start(&["--rows", ROWS]);
    let mut client = company::connect();
    company::import(&mut client, &gateway, "", "arinvoice");
    let mut time = |statement: &str| {
        let began = Instant::now();
        client
            .simple_query(statement)
            .unwrap_or_else(|error| panic!("{error:?}\n{statement}"));
        began.elapsed()
    };
    time("DROP SCHEMA IF EXISTS finance CASCADE; CREATE SCHEMA finance");
    // The simulator's own caches are filled by the first of them, and both tables have a key.
    time("SELECT count(recordid) FROM acme.arinvoice");
    time("CREATE TABLE finance.plain (LIKE acme.arinvoice, PRIMARY KEY (recordno))");
    let plain = time("INSERT INTO finance.plain SELECT * FROM acme.arinvoice");
    let load = time("CALL sage_intacct.create_mirror('acme.arinvoice', 'finance.arinvoice')");
    report.goal(
        "first load of a mirror, 1,000,000 rows",
        load,
        "INSERT … SELECT",
        plain,
        BOUND,
    );
    gateway.control(
        "POST",
        "change",
        r#"{"company": "acme", "ops": [{"update": {"object": "ARINVOICE", "where": "RECORDNO < 20", "values": {"DESCRIPTION": "x"}}}]}"#,
    );
    gateway.forget();
    let refresh = time("CALL sage_intacct.refresh_mirror('finance.arinvoice')");
    report.ratio("refresh after some changes", refresh, "first load", load);
    report.count("refresh after some changes: requests", gateway.requests());
    let idle: Vec<Duration> = (0..3)
        .map(|_| time("CALL sage_intacct.refresh_mirror('finance.arinvoice')"))
        .collect();
    report.ratio("refresh without changes", idle[1], "first load", load);
}
