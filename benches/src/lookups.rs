//! Keys of a local table looked up in a large object: what a lookup join takes beside its round trips, and beside reading all.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use postgres::{Client, SimpleQueryMessage};
use std::time::{Duration, Instant};

const LATENCY: Duration = Duration::from_millis(200);
const KEYS: u64 = 10_000;
/// Requests that the server takes at once.
const AT_ONCE: u64 = 4;
/// How many times as long as its round trips, made four at once, a join may take.
const BOUND: f64 = 1.3;

/// Rows of the object: a million, or fewer to see whether the measurements work (`SAGE_BENCH_ROWS`).
fn rows() -> u64 {
    let given = std::env::var("SAGE_BENCH_ROWS").ok();
    given.map_or(1_000_000, |rows| rows.parse().expect("a number of rows"))
}

/// Runs all measurements.
pub fn run(report: &mut Report) {
    let arguments = format!("acme.arinvoice={}", rows());
    let gateway = Gateway::start(&["--rows", &arguments, "--rows", "globex.arinvoice=1"]);
    let mut client = company::connect();
    company::import(&mut client, &gateway, ", max_concurrency '4'", "arinvoice");
    // Some keys are those of rows, as many as the table has gaps for.
    client
        .batch_execute(&format!(
            "DROP TABLE IF EXISTS keys;
             CREATE TABLE keys AS SELECT i, recordno, recordid FROM
               (SELECT row_number() OVER (ORDER BY recordno) AS i, recordno, recordid FROM acme.arinvoice) r
               WHERE i % greatest({}, 1) = 0 LIMIT {KEYS};
             ANALYZE keys; ANALYZE acme.arinvoice; SET jit = off",
            rows() / KEYS
        ))
        .expect("a table of keys");
    gateway.set("latency_ms", &LATENCY.as_millis().to_string());
    for (what, statement) in [
        (
            "row keys",
            "SELECT k.i, a.totaldue FROM keys k JOIN acme.arinvoice a ON a.recordno = k.recordno",
        ),
        (
            "natural keys",
            "SELECT k.i, a.totaldue FROM keys k JOIN acme.arinvoice a ON a.recordid = k.recordid",
        ),
        (
            "row keys, LEFT JOIN",
            "SELECT k.i, a.totaldue FROM keys k LEFT JOIN acme.arinvoice a ON a.recordno = k.recordno",
        ),
    ] {
        let (time, round_trips) = shortest(&mut client, statement, 3);
        let floor = LATENCY.mul_f64(round_trips.div_ceil(AT_ONCE) as f64);
        let what = format!("{KEYS} keys into {} rows, {what}", rows());
        let against = format!("{round_trips} round trips, {AT_ONCE} at once");
        report.goal(&what, time, &against, floor, BOUND);
        client
            .batch_execute("SET sage_intacct.push_lookups = off")
            .expect("a setting");
        let (whole, _) = shortest(&mut client, statement, 1);
        client
            .batch_execute("SET sage_intacct.push_lookups = on")
            .expect("a setting");
        report.ratio(
            &format!("{what}: all rows read instead"),
            whole,
            "the lookup join",
            time,
        );
    }
}

/// The shortest of several runs, and the round trips of one.
fn shortest(client: &mut Client, statement: &str, times: usize) -> (Duration, u64) {
    let mut round_trips = 0;
    let time = (0..times)
        .map(|_| {
            let began = Instant::now();
            let plan = client
                .simple_query(&format!("EXPLAIN (ANALYZE, TIMING off) {statement}"))
                .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
            let time = began.elapsed();
            round_trips = plan.iter().filter_map(shown).max().unwrap_or(0);
            time
        })
        .min();
    (time.expect("at least one run"), round_trips)
}

/// The number in a line of EXPLAIN that shows round trips.
fn shown(line: &SimpleQueryMessage) -> Option<u64> {
    match line {
        SimpleQueryMessage::Row(row) => row
            .get(0)?
            .trim()
            .strip_prefix("Intacct Round Trips: ")?
            .parse()
            .ok(),
        _ => None,
    }
}
