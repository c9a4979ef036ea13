//! Whole tables: bound by the gateway's latency, bound by the processor, beside other ways to the same rows.

use crate::company;
use crate::floor;
use crate::gateway::Gateway;
use crate::process;
use crate::report::Report;
use postgres::Client;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const PAGE: u64 = 2000;
const LATENCY: Duration = Duration::from_millis(200);
const FIELDS: [&str; 15] = [
    "RECORDNO",
    "RECORDID",
    "CUSTOMERID",
    "CUSTOMERNAME",
    "STATE",
    "DOCNUMBER",
    "DESCRIPTION",
    "WHENCREATED",
    "WHENDUE",
    "TOTALENTERED",
    "TOTALPAID",
    "TOTALDUE",
    "CURRENCY",
    "WHENMODIFIED",
    "TERMNAME",
];

/// Rows of the table: 100,000, or fewer to see whether the measurements work (`SAGE_BENCH_ROWS`).
fn table_rows() -> u64 {
    let given = std::env::var("SAGE_BENCH_ROWS").ok();
    given.map_or(100_000, |rows| rows.parse().expect("a number of rows"))
}

/// Reads all columns of all rows, and gives nothing to the client.
fn statement(table: &str) -> String {
    let columns = FIELDS.map(str::to_lowercase).join(", ");
    format!("EXPLAIN (ANALYZE, TIMING off) SELECT {columns} FROM {table}")
}

/// Runs all measurements; a million rows are read only when `large`.
pub fn run(report: &mut Report, large: bool) {
    let rows = table_rows();
    let arguments = format!("acme.arinvoice={rows}");
    let gateway = Gateway::start(&["--rows", &arguments, "--rows", "globex.arinvoice=1"]);
    let client = company::connect();
    let mut bench = Bench {
        gateway,
        client,
        rows,
    };
    bench.latency_bound(report, 4);
    bench.latency_bound(report, 8);
    bench.first_row(report);
    let scan = bench.processor_bound(report);
    bench.alternatives(report, scan);
    drop(bench);
    growth(
        report,
        if large {
            &[10_000, 100_000, 1_000_000]
        } else {
            &[10_000, 100_000]
        },
    );
}

struct Bench {
    gateway: Gateway,
    client: Client,
    rows: u64,
}

impl Bench {
    /// A fresh backend, its session with the gateway open.
    fn warm(&mut self, concurrency: u32) -> i32 {
        warm(&self.gateway, &mut self.client, concurrency)
    }

    /// The shortest of several runs: other work on the machine only makes it longer.
    fn shortest(&mut self, statement: &str, times: usize) -> Duration {
        (0..times)
            .map(|_| time(&mut self.client, statement))
            .min()
            .expect("at least one run")
    }

    fn latency_bound(&mut self, report: &mut Report, concurrency: u32) {
        self.warm(concurrency);
        self.gateway.set("latency_ms", &LATENCY.as_millis().to_string());
        let time = self.shortest(&statement("acme.arinvoice"), 3);
        self.gateway.set("latency_ms", "0");
        let pages = self.rows.div_ceil(PAGE) as u32;
        let (rounds, bound) = match concurrency {
            4 => (f64::from(pages) / 4.0, 1.25),
            _ => (1.0 + f64::from((pages - 1).div_ceil(concurrency)), 1.15),
        };
        let what = format!(
            "{} rows, latency {} ms, {concurrency} at once",
            self.rows,
            LATENCY.as_millis()
        );
        let floor = LATENCY.mul_f64(rounds);
        report.goal(&what, time, &format!("{rounds} round trips"), floor, bound);
    }

    fn first_row(&mut self, report: &mut Report) {
        self.warm(4);
        self.gateway.set("latency_ms", &LATENCY.as_millis().to_string());
        let bound = LATENCY + Duration::from_millis(10);
        let mut times = |what: &str, before: &str, statement: &str, after: &str| {
            let times = (0..5)
                .map(|_| {
                    self.client.batch_execute(before).expect("before");
                    let time = time(&mut self.client, statement);
                    self.client.batch_execute(after).expect("after");
                    time
                })
                .collect();
            report.median_bounded(what, times, bound);
        };
        let columns = FIELDS.map(str::to_lowercase).join(", ");
        times(
            "first row of a warm session",
            &format!("BEGIN; DECLARE c CURSOR FOR SELECT {columns} FROM acme.arinvoice"),
            "FETCH 1 FROM c",
            "ROLLBACK",
        );
        times(
            "LIMIT 1",
            "",
            &format!("SELECT {columns} FROM acme.arinvoice LIMIT 1"),
            "",
        );
        self.gateway.set("latency_ms", "0");
    }

    /// Gives the time of a scan.
    fn processor_bound(&mut self, report: &mut Report) -> Duration {
        let pid = self.warm(4);
        let url = self.gateway.url().to_owned();
        let (mut floors, mut bare, mut cpus, mut times) = (Vec::new(), Duration::MAX, Vec::new(), Vec::new());
        let mut bytes = 0;
        for _ in 0..5 {
            let floor = floor::read(&url, "ARINVOICE", &FIELDS, PAGE);
            assert_eq!(floor.rows, self.rows);
            bytes = floor.bytes;
            floors.push(floor.cpu);
            bare = bare.min(floor.time);
            let before = process::cpu(pid);
            times.push(time(&mut self.client, &statement("acme.arinvoice")));
            cpus.push(process::cpu(pid) - before);
        }
        let least = |of: &[Duration]| *of.iter().min().expect("several runs");
        report.goal(
            &format!("{} rows, latency 0: processor time", self.rows),
            least(&cpus),
            "bare download, gunzip and tokenising",
            least(&floors),
            2.0,
        );
        let scan = least(&times);
        let per_second = |amount: u64| (amount as f64 / scan.as_secs_f64()) as u64;
        report.count(
            "rows a second (machine shared with the simulator)",
            per_second(self.rows),
        );
        report.ratio("… its time", scan, "the bare loop, one page at a time", bare);
        report.count("KB of XML a second", per_second(bytes / 1000));
        scan
    }

    fn alternatives(&mut self, report: &mut Report, scan: Duration) {
        let port = std::env::var("PGPORT").expect("PGPORT is set by `make bench`");
        let host = std::env::var("PGHOST").expect("PGHOST is set by `make bench`");
        let columns = FIELDS.map(str::to_lowercase).join(", ");
        // On its own: the other connection must see it.
        self.client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS copy; CREATE TABLE copy AS SELECT {columns} FROM acme.arinvoice"
            ))
            .expect("the same rows here");
        self.client
            .batch_execute(&format!(
                "ANALYZE copy;
                 CREATE EXTENSION IF NOT EXISTS postgres_fdw;
                 DROP SERVER IF EXISTS loopback CASCADE;
                 CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw
                     OPTIONS (host '{host}', port '{port}', dbname 'postgres', fetch_size '2000');
                 CREATE USER MAPPING FOR CURRENT_USER SERVER loopback OPTIONS (user 'postgres');
                 DROP SCHEMA IF EXISTS loopback CASCADE; CREATE SCHEMA loopback;
                 IMPORT FOREIGN SCHEMA public LIMIT TO (copy) FROM SERVER loopback INTO loopback;
                 SELECT 1 FROM loopback.copy LIMIT 1"
            ))
            .expect("the same rows behind postgres_fdw");
        let neighbour = self.shortest(&statement("loopback.copy"), 5);
        report.goal(
            "the same against postgres_fdw",
            scan,
            "postgres_fdw, fetch_size 2000",
            neighbour,
            1.0 / 0.7,
        );

        self.client
            .batch_execute(
                "CREATE TEMP TABLE loaded (LIKE copy); COPY copy TO '/tmp/sage-bench.csv' (FORMAT csv)",
            )
            .expect("a CSV file");
        let csv = (0..3)
            .map(|_| {
                self.client.batch_execute("TRUNCATE loaded").expect("emptied");
                time(
                    &mut self.client,
                    "COPY loaded FROM '/tmp/sage-bench.csv' (FORMAT csv)",
                )
            })
            .min()
            .expect("several runs");
        let insert = (0..3)
            .map(|_| {
                self.client.batch_execute("TRUNCATE loaded").expect("emptied");
                let insert = format!("INSERT INTO loaded SELECT {columns} FROM acme.arinvoice");
                time(&mut self.client, &insert)
            })
            .min()
            .expect("several runs");
        let _ = std::fs::remove_file("/tmp/sage-bench.csv");
        report.ratio("INSERT … SELECT of the same rows", insert, "COPY from CSV", csv);

        for latency in ["0", "200"] {
            self.gateway.set("latency_ms", latency);
            let python = python(self.gateway.url(), self.rows);
            let scan = match latency {
                "0" => scan,
                _ => self.shortest(&statement("acme.arinvoice"), 1),
            };
            let what = format!("{} rows, latency {latency} ms, 4 at once", self.rows);
            report.ratio(&what, scan, "Python, requests and ElementTree", python);
        }
        self.gateway.set("latency_ms", "0");
    }
}

/// Makes `client` a fresh backend with an open session at the gateway; gives its process.
fn warm(gateway: &Gateway, client: &mut Client, concurrency: u32) -> i32 {
    *client = company::connect();
    company::import(
        client,
        gateway,
        &format!(", max_concurrency '{concurrency}'"),
        "arinvoice",
    );
    *client = company::connect();
    // Twice: the gateway prepares an answer when it is asked for the first time.
    for _ in 0..2 {
        client
            .simple_query("SELECT whenmodified, totaldue FROM acme.arinvoice LIMIT 1")
            .expect("a session");
        client
            .simple_query(&statement("acme.arinvoice"))
            .expect("a first reading");
    }
    client
        .query_one("SELECT pg_backend_pid()", &[])
        .expect("a pid")
        .get(0)
}

fn time(client: &mut Client, statement: &str) -> Duration {
    let began = Instant::now();
    client.simple_query(statement).expect("the statement");
    began.elapsed()
}

fn python(url: &str, rows: u64) -> Duration {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/serial.py");
    let output = Command::new("python3")
        .args([script, url, &rows.to_string()])
        .args(FIELDS)
        .output()
        .expect("python3 runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Duration::from_secs_f64(text.trim().parse().expect("seconds"))
}

/// Time a row, and memory, as tables grow.
fn growth(report: &mut Report, sizes: &[u64]) {
    let mut per_row: Option<(u64, Duration)> = None;
    for rows in sizes {
        let arguments = format!("acme.arinvoice={rows}");
        let gateway = Gateway::start(&["--rows", &arguments, "--rows", "globex.arinvoice=1"]);
        let mut client = company::connect();
        let idle = {
            let mut fresh = company::connect();
            let pid: i32 = fresh
                .query_one("SELECT pg_backend_pid()", &[])
                .expect("a pid")
                .get(0);
            process::memory(pid).0
        };
        let pid = warm(&gateway, &mut client, 4);
        process::forget_peak(pid);
        let before = process::cpu(pid);
        let runs = (1_000_000 / rows).clamp(1, 10) as u32;
        let mut wall = Duration::ZERO;
        for _ in 0..runs {
            wall += time(&mut client, &statement("acme.arinvoice"));
        }
        let cpu = (process::cpu(pid) - before) / runs;
        let peak = process::memory(pid).1;
        let scaled = cpu.mul_f64(1000.0 / *rows as f64);
        let (base_rows, base) = *per_row.get_or_insert((*rows, scaled));
        report.goal(
            &format!("{rows} rows: processor time a thousand rows"),
            scaled,
            &format!("that of {base_rows} rows"),
            base,
            1.15,
        );
        report.count(&format!("{rows} rows: ms"), (wall / runs).as_millis() as u64);
        report.bounded_count(
            &format!("{rows} rows: KiB above an idle backend"),
            peak.saturating_sub(idle),
            64 << 10,
        );
        if *rows >= 1_000_000 {
            gateway.set("latency_ms", "200");
            let times = (0..3)
                .map(|_| time(&mut client, "SELECT * FROM acme.arinvoice LIMIT 1"))
                .collect();
            report.median_bounded(
                "LIMIT 1 on a million rows",
                times,
                LATENCY + Duration::from_millis(10),
            );
        }
        drop(client);
        thread::yield_now();
    }
}
