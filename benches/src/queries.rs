//! What a first and a second query cost, beside the round trip that the gateway imposes.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use std::time::{Duration, Instant};

const LATENCY: Duration = Duration::from_millis(100);

/// Measures the first and later queries of a backend against a gateway with a latency.
pub fn run(report: &mut Report) {
    let gateway = Gateway::start(&["--latency-ms", "100"]);
    let mut client = company::connect();
    company::import(&mut client, &gateway, "", "customer");

    let mut client = company::connect();
    let mut measure = |what: &str, statement: &str| {
        gateway.forget();
        let began = Instant::now();
        client.simple_query(statement).expect("the query");
        let time = began.elapsed();
        report.ratio(what, time, "one round trip", LATENCY);
        report.count(&format!("{what}: requests"), gateway.requests());
    };
    let statement = "SELECT * FROM acme.customer LIMIT 100";
    measure("first query of a backend", statement);
    measure("second query of a backend", statement);
    measure("LIMIT 1 in a warm session", "SELECT * FROM acme.customer LIMIT 1");
}
