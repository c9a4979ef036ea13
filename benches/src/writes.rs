//! COPY into a foreign table beside the round trips that it takes.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

const ROWS: usize = 10_000;
const LATENCY: Duration = Duration::from_millis(200);
/// How much longer than its round trips a COPY may take: the operations of one statement come one after the other.
const BOUND: f64 = 1.3;

/// Measures COPY of 10,000 customers.
pub fn run(report: &mut Report) {
    let gateway = Gateway::start(&[]);
    let mut client = company::connect();
    company::import(&mut client, &gateway, "", "customer");
    client
        .simple_query("SELECT creditlimit, whenmodified FROM acme.customer LIMIT 1")
        .expect("a session");
    let mut rows = String::new();
    for number in 0..ROWS {
        let _ = writeln!(rows, "BENCH-{number}\tCustomer {number}");
    }
    gateway.set("latency_ms", &LATENCY.as_millis().to_string());
    gateway.forget();
    let began = Instant::now();
    let mut copy = client
        .copy_in("COPY acme.customer (customerid, name) FROM STDIN")
        .expect("COPY begins");
    copy.write_all(rows.as_bytes()).expect("rows are taken");
    assert_eq!(copy.finish().expect("rows are stored"), ROWS as u64);
    let time = began.elapsed();
    let requests = gateway.requests();
    report.goal(
        "COPY of 10,000 customers, latency 200 ms",
        time,
        &format!("{requests} operations"),
        LATENCY * requests as u32,
        BOUND,
    );
    let functions = gateway.log().matches("\"function\":\"create\"").count() as u64;
    report.bounded_count("… its functions", functions, 100);
    assert!(functions > 0, "the log names functions");
}
