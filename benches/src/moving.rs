//! A whole table while rows at its start are deleted, so that no page that was counted ahead joins the one before.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ROWS: &str = "acme.arinvoice=100000";

/// How often a row is deleted: several times in a round trip.
const EVERY: Duration = Duration::from_millis(40);

/// Measures a scan of a table that keeps still, of one that does not, and of that in the order of its keys.
pub fn run(report: &mut Report) {
    let gateway = Gateway::start(&["--rows", ROWS]);
    let mut client = company::connect();
    company::import(&mut client, &gateway, ", max_concurrency '4'", "arinvoice");
    client = company::connect();
    let mut scan = |order: &str| {
        let statement = format!("EXPLAIN (ANALYZE, TIMING off) SELECT * FROM acme.arinvoice {order}");
        gateway.forget();
        let began = Instant::now();
        client.simple_query(&statement).expect("a scan");
        (began.elapsed(), gateway.requests())
    };
    scan("");
    gateway.set("latency_ms", "200");
    let (still, requests) = scan("");
    report.count("100,000 rows, 200 ms, 4 at once: requests", requests);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| delete_until(&gateway, &done));
        let _stop = Stop(&done);
        for (what, order) in [
            ("rows deleted meanwhile: the range of keys is split", ""),
            ("the same in the order of keys", "ORDER BY recordno"),
        ] {
            let (time, requests) = scan(order);
            report.ratio(what, time, "nothing deleted", still);
            report.count("… requests", requests);
        }
    });
}

/// Ends the deleting however the measurement ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn delete_until(gateway: &Gateway, done: &AtomicBool) {
    for key in 1.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let change = format!(
            r#"{{"company": "acme", "ops": [{{"delete": {{"object": "ARINVOICE", "where": "RECORDNO < {}"}}}}]}}"#,
            key * 2
        );
        gateway.control("POST", "change", &change);
        thread::sleep(EVERY);
    }
}
