//! What backends share when the library is preloaded: the budget of requests, counters, and progress.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use sage_intacct_fdw_tests::cluster::{self, preloaded};
use sage_intacct_fdw_tests::company::{self, Company, Gateway};
use sage_intacct_fdw_tests::tap::Answer;
use sage_intacct_fdw_tests::wait::until;

const COUNT: &str = "SELECT count(*) FROM customer";

/// A company in a database of the cluster with the library preloaded.
pub struct Shared {
    /// The gateway.
    pub gateway: Gateway,
    /// The database's name.
    pub database: String,
    /// One test at a time: one of them makes the whole cluster start anew.
    _turn: MutexGuard<'static, ()>,
}

impl Shared {
    /// Makes the database, a server with these options and a table of customers.
    pub fn start(name: &str, options: &str) -> Shared {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let gateway = Gateway::start();
        let database = format!("t_{name}");
        preloaded()
            .connect("postgres")
            .batch_execute(&format!("CREATE DATABASE {database}"))
            .expect("a database");
        let shared = Shared {
            gateway,
            database,
            _turn: turn,
        };
        shared
            .connect()
            .batch_execute(&format!(
                "CREATE EXTENSION sage_intacct_fdw;
                 {}
                 CREATE FOREIGN TABLE customer (recordno bigint, name text) SERVER acme OPTIONS (object 'CUSTOMER')",
                Company::server_statements(&shared.gateway, options)
            ))
            .expect("a server");
        shared
    }

    /// A connection as the superuser.
    pub fn connect(&self) -> Client {
        let mut client = preloaded().connect(&self.database);
        client
            .batch_execute("SET statement_timeout = '120s'; SET sage_intacct.push_aggregates = off")
            .expect("settings");
        client
    }

    /// How many customers there are.
    pub fn customers(&self) -> i64 {
        company::rows(&self.gateway, "CUSTOMER")
    }
}

fn number(client: &mut Client, sql: &str) -> i64 {
    client
        .query_one(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .get(0)
}

#[test]
fn all_backends_together_keep_to_max_concurrency() {
    let shared = Shared::start("budget", ", max_concurrency '2', page_size '10'");
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = most.clone();
    shared.gateway.tap.rule(move |_| {
        highest.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Inside until the answer goes out.
        let leaving = inside.clone();
        Answer::Edit(Box::new(move |body| {
            leaving.fetch_sub(1, Ordering::SeqCst);
            body
        }))
    });
    let expected = shared.customers();
    let running: Vec<_> = (0..4)
        .map(|_| {
            let mut client = shared.connect();
            thread::spawn(move || number(&mut client, COUNT))
        })
        .collect();
    for scan in running {
        assert_eq!(scan.join().expect("rows"), expected);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[test]
fn a_refusal_for_haste_holds_every_backend_back() {
    let shared = Shared::start("hold", ", max_concurrency '4'");
    let mut clients = [shared.connect(), shared.connect()];
    for client in &mut clients {
        number(client, COUNT);
    }
    let refused: Arc<Mutex<Option<Instant>>> = Arc::default();
    let early = Arc::new(AtomicUsize::new(0));
    let (first, too_early) = (refused.clone(), early.clone());
    shared.gateway.tap.rule(move |_| {
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = *first else {
            *first = Some(Instant::now());
            return Answer::Raw(
                b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec(),
            );
        };
        if at.elapsed() < Duration::from_secs(1) {
            too_early.fetch_add(1, Ordering::SeqCst);
        }
        Answer::Pass
    });
    let [mut a, mut b] = clients;
    let first = thread::spawn(move || number(&mut a, COUNT));
    // The pause is on the books when the counters show it.
    let mut watcher = shared.connect();
    let paused =
        "SELECT count(*) FROM sage_intacct.request_stats() WHERE scope = 'all backends' AND paused_ms > 0";
    until(|| number(&mut watcher, paused) > 0);
    assert_eq!(number(&mut b, COUNT), shared.customers());
    assert_eq!(first.join().expect("rows"), shared.customers());
    assert_eq!(early.load(Ordering::SeqCst), 0);
}

#[test]
fn backends_that_end_leave_no_place_taken() {
    let shared = Shared::start("places", ", max_concurrency '1'");
    let mut watcher = shared.connect();
    number(&mut watcher, COUNT);
    // By cancel, by terminate, and by the operating system, which makes PostgreSQL start anew.
    for end in ["cancel", "terminate", "kill"] {
        let mut victim = shared.connect();
        number(&mut victim, COUNT);
        let pid = cluster::backend(&mut victim);
        shared.gateway.tap.rule(|_| Answer::Stall);
        let running = thread::spawn(move || victim.simple_query(COUNT).is_err());
        shared.gateway.tap.wait_for_stalled(1);
        match end {
            "cancel" => {
                watcher
                    .execute("SELECT pg_cancel_backend($1::integer)", &[&pid])
                    .expect("cancelled");
            }
            "terminate" => {
                watcher
                    .execute("SELECT pg_terminate_backend($1::integer)", &[&pid])
                    .expect("terminated");
            }
            _ => {
                // The cluster does not flush its log at commit.
                watcher
                    .batch_execute("CHECKPOINT")
                    .expect("everything is on disk");
                cluster::kill(pid);
            }
        }
        assert!(running.join().expect("it ends"), "{end}");
        shared.gateway.tap.wait_for_stalled(0);
        shared.gateway.tap.pass();
        if end == "kill" {
            until(|| watcher.simple_query("SELECT").is_err());
            watcher = shared.connect();
        }
        assert_eq!(number(&mut watcher, COUNT), shared.customers(), "{end}");
        until(|| number(&mut watcher, "SELECT count(*) FROM sage_intacct.progress") == 0);
    }
}

#[test]
fn others_see_counters_and_progress() {
    let shared = Shared::start("seen", ", page_size '50', max_concurrency '1'");
    let mut scanner = shared.connect();
    let scanner_pid = cluster::backend(&mut scanner);
    let mut watcher = shared.connect();
    let queries = AtomicUsize::new(0);
    shared.gateway.tap.rule(move |xml| {
        let second = xml.contains("<query>") && queries.fetch_add(1, Ordering::SeqCst) > 0;
        if second { Answer::Stall } else { Answer::Pass }
    });
    let running = thread::spawn(move || {
        let failed = scanner.simple_query("SELECT * FROM customer").is_err();
        (scanner, failed)
    });
    shared.gateway.tap.wait_for_stalled(1);
    let progress = "SELECT kind, server, object, relation::text, rows_done, rows_total, pages, eta > started
                      FROM sage_intacct.progress WHERE pid = $1";
    until(|| {
        let rows = watcher.query(progress, &[&scanner_pid]).expect("progress");
        rows.first().is_some_and(|row| row.get::<_, i64>(6) == 1)
    });
    let row = watcher.query_one(progress, &[&scanner_pid]).expect("progress");
    let texts = [0, 1, 2, 3].map(|column| row.get::<_, String>(column));
    assert_eq!(texts, ["scan", "acme", "CUSTOMER", "customer"]);
    assert_eq!(row.get::<_, i64>(4), 50);
    assert_eq!(row.get::<_, i64>(5), shared.customers());
    assert!(row.get::<_, bool>(7));

    // One signal: the scanner goes on.
    watcher
        .execute("SELECT pg_cancel_backend($1::integer)", &[&scanner_pid])
        .expect("signalled");
    let (mut scanner, failed) = running.join().expect("it ends");
    assert!(failed);
    shared.gateway.tap.pass();
    // The client is told of the error a moment before the scan is cleared away.
    until(|| {
        watcher
            .query(progress, &[&scanner_pid])
            .expect("progress")
            .is_empty()
    });

    number(&mut scanner, COUNT);
    let stats =
        "SELECT requests, rows, sign_ins, abandoned FROM sage_intacct.request_stats() WHERE scope = $1";
    let own = scanner.query_one(stats, &[&"backend"]).expect("its own counters");
    let all = watcher.query_one(stats, &[&"all backends"]).expect("everybody's");
    for column in 0..4 {
        assert_eq!(own.get::<_, i64>(column), all.get::<_, i64>(column), "{column}");
    }
    assert_eq!(own.get::<_, i64>(2), 1);
    assert!(own.get::<_, i64>(3) > 0, "requests were cancelled");
    assert!(own.get::<_, i64>(1) >= 50 + shared.customers());
    assert!(
        watcher
            .query(stats, &[&"backend"])
            .expect("its own counters")
            .is_empty(),
        "the watcher has asked nothing"
    );
}
