//! COPY into a foreign table beside the round trips that it takes, and what the write log costs beside the disk.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use postgres::Client;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
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
    gateway.set("latency_ms", "0");
    write_log(report, &mut client, rows.as_str(), &gateway);
}

/// Single writes of each measurement.
const SINGLE: usize = 300;

/// What the log costs: with its directory on the disk of the data directory, and in memory.
fn write_log(report: &mut Report, client: &mut Client, rows: &str, gateway: &Gateway) {
    let data: String = client
        .query_one("SHOW data_directory", &[])
        .expect("a setting")
        .get(0);
    let directory = PathBuf::from(data).join("sage_intacct");
    let sync = fdatasync(&directory);
    let mut measure = |prefix: &str| {
        let single = single(client, prefix);
        gateway.set("latency_ms", "100");
        let copy = copy(client, &rows.replace("BENCH-", prefix));
        gateway.set("latency_ms", "0");
        (single, copy)
    };
    // Whatever is read and cached at first is not what is compared.
    measure("WARM-");
    let on_disk = measure("DISK-");
    let kept = directory.with_extension("kept");
    let memory = PathBuf::from(format!("/dev/shm/sage-write-log-{}", std::process::id()));
    let owner = fs::metadata(&directory).expect("the log's directory");
    fs::create_dir(&memory).expect("a directory in memory");
    chown(&memory, Some(owner.uid()), Some(owner.gid())).expect("it is the server's");
    fs::rename(&directory, &kept).expect("moved");
    symlink(&memory, &directory).expect("a link");
    let in_memory = measure("MEMORY-");
    fs::remove_file(&directory).expect("removed");
    fs::rename(&kept, &directory).expect("moved back");
    let _ = fs::remove_dir_all(&memory);
    report.goal(
        "single INSERT: what the log on the disk adds",
        on_disk.0.saturating_sub(in_memory.0),
        "an fdatasync of the disk",
        sync,
        2.0,
    );
    report.goal(
        "COPY of 10,000 customers, latency 100 ms, log on the disk",
        on_disk.1,
        "with the log in memory",
        in_memory.1,
        1.02,
    );
}

/// The median time of an append of a record's size and its fdatasync.
fn fdatasync(directory: &Path) -> Duration {
    let path = directory.join("bench");
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .expect("a file beside the log");
    let times = (0..SINGLE).map(|_| {
        let began = Instant::now();
        file.write_all(&[b'x'; 900]).expect("written");
        file.sync_data().expect("synchronized");
        began.elapsed()
    });
    let median = median(times.collect());
    let _ = fs::remove_file(&path);
    median
}

/// The median time of an INSERT of one row.
fn single(client: &mut Client, prefix: &str) -> Duration {
    let statement = client
        .prepare("INSERT INTO acme.customer (customerid, name) VALUES ($1, 'x')")
        .expect("a statement");
    let times = (0..SINGLE).map(|number| {
        let began = Instant::now();
        client
            .execute(&statement, &[&format!("{prefix}single-{number}")])
            .expect("a row is stored");
        began.elapsed()
    });
    median(times.collect())
}

fn copy(client: &mut Client, rows: &str) -> Duration {
    let began = Instant::now();
    let mut copy = client
        .copy_in("COPY acme.customer (customerid, name) FROM STDIN")
        .expect("COPY begins");
    copy.write_all(rows.as_bytes()).expect("rows are taken");
    assert_eq!(copy.finish().expect("rows are stored"), ROWS as u64);
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
