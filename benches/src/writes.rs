//! COPY into a foreign table beside the round trips that it takes, and what the write log costs beside the disk.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use postgres::Client;
use std::fmt::Write as _;
use std::fs::{self, File};
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

/// Rounds, in each of which the log is once on the disk and once in memory: whatever else the machine does meets both.
const ROUNDS: usize = 15;
/// Single writes of a round.
const SINGLE: usize = 20;
/// Rounds of COPY.
const COPIES: usize = 3;

/// What the log costs: with its directory on the disk of the data directory, and in memory.
fn write_log(report: &mut Report, client: &mut Client, rows: &str, gateway: &Gateway) {
    let data: String = client
        .query_one("SHOW data_directory", &[])
        .expect("a setting")
        .get(0);
    let place = Place::new(PathBuf::from(data).join("sage_intacct"));
    // Whatever is read and cached at first is not what is compared.
    single(client, "WARM-", || {});
    copy(client, &rows.replace("BENCH-", "WARM-"));
    let (mut syncs, mut on_disk, mut in_memory) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        on_disk.extend(single(client, &format!("DISK-{round}-"), || {}));
        let mut probe = Probe::new(&place.kept);
        place.in_memory(|| {
            in_memory.extend(single(client, &format!("MEMORY-{round}-"), || {
                syncs.push(probe.sync())
            }));
        });
    }
    report.goal(
        "single INSERT: what the log on the disk adds",
        median(on_disk).saturating_sub(median(in_memory)),
        "an fdatasync of the disk",
        median(syncs),
        2.0,
    );
    gateway.set("latency_ms", "100");
    let (mut on_disk, mut in_memory) = (Vec::new(), Vec::new());
    for round in 0..COPIES {
        on_disk.push(copy(client, &rows.replace("BENCH-", &format!("DISK-{round}-"))));
        place
            .in_memory(|| in_memory.push(copy(client, &rows.replace("BENCH-", &format!("MEMORY-{round}-")))));
    }
    gateway.set("latency_ms", "0");
    report.goal(
        "COPY of 10,000 customers, latency 100 ms, log on the disk",
        median(on_disk),
        "with the log in memory",
        median(in_memory),
        1.02,
    );
}

/// Where the log is, and a directory in memory that takes its place.
struct Place {
    directory: PathBuf,
    kept: PathBuf,
    memory: PathBuf,
}

impl Place {
    fn new(directory: PathBuf) -> Place {
        let memory = PathBuf::from(format!("/dev/shm/sage-write-log-{}", std::process::id()));
        let owner = fs::metadata(&directory).expect("the log's directory");
        fs::create_dir(&memory).expect("a directory in memory");
        chown(&memory, Some(owner.uid()), Some(owner.gid())).expect("it is the server's");
        Place {
            kept: directory.with_extension("kept"),
            directory,
            memory,
        }
    }

    /// Does something while the log is in memory.
    fn in_memory(&self, work: impl FnOnce()) {
        fs::rename(&self.directory, &self.kept).expect("moved");
        symlink(&self.memory, &self.directory).expect("a link");
        work();
        fs::remove_file(&self.directory).expect("removed");
        fs::rename(&self.kept, &self.directory).expect("moved back");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.memory);
    }
}

/// A file beside the log, which is synchronized as often as the log: between two statements and not in a loop, where disk and
/// processor never rest and a synchronization takes half the time.
struct Probe {
    path: PathBuf,
    file: File,
}

impl Probe {
    /// `kept`: the directory of the log while the log is in memory.
    fn new(kept: &Path) -> Probe {
        let path = kept.with_file_name("sage_intacct_bench");
        let file = File::create(&path).expect("a file beside the log");
        Probe { path, file }
    }

    /// The time of an append of a record's size and its fdatasync.
    fn sync(&mut self) -> Duration {
        let began = Instant::now();
        self.file.write_all(&[b'x'; 900]).expect("written");
        self.file.sync_data().expect("synchronized");
        began.elapsed()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The times of INSERTs of one row. `after` is called after each and is not counted.
fn single(client: &mut Client, prefix: &str, mut after: impl FnMut()) -> Vec<Duration> {
    let statement = client
        .prepare("INSERT INTO acme.customer (customerid, name) VALUES ($1, 'x')")
        .expect("a statement");
    let times = (0..SINGLE).map(|number| {
        let began = Instant::now();
        client
            .execute(&statement, &[&format!("{prefix}single-{number}")])
            .expect("a row is stored");
        let time = began.elapsed();
        after();
        time
    });
    times.collect()
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
