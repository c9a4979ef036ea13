//! What a mirror costs beside the plain scan that it is made of.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use std::time::{Duration, Instant};

/// Rows of the first load: enough for 25 slices.
const ROWS: &str = "acme.arinvoice=1000000";

/// A first load takes no more than this many times the plain scan into a table.
const BOUND: f64 = 1.2;

/// Measures the first load of a mirror, and refreshes of it.
pub fn run(report: &mut Report) {
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
