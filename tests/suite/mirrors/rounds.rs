//! Random rounds of change and misfortune: after each refresh the mirrors are what the gateway shows, or it stopped with an error
//! that says why; a mirror that calls itself complete is.
//!
//! `make fuzz-mirrors N=…` runs more of them, `SEED=…` replays.

use super::company::{company, differences, lines, mirror, run};
use fastrand::Rng;
use postgres::{Client, NoTls};
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::environment::number;
use sage_intacct_fdw_tests::tap::Answer;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

/// Mirrors, in the order in which they are refreshed: lines behind their headers.
const TABLES: [(&str, &str); 6] = [
    ("apbill", r#"{"page_rows": 7}"#),
    ("apbillitem", r#"{"page_rows": 9}"#),
    ("arinvoice", r#"{"page_rows": 40}"#),
    ("arinvoiceitem", "{}"),
    ("customer", r#"{"page_rows": 30}"#),
    ("mca_attendee", "{}"),
];

/// Seconds that one overlap covers, with a margin for the round's own time.
const OVERLAP: i64 = 500;

struct World {
    company: Company,
    client: Client,
    random: Rng,
    /// The gateway's clock minus this machine's, seconds.
    skew: i64,
    /// Largest skew so far: the watermark may be there.
    ahead: i64,
    /// Whether the server declares a zone, which is not the gateway's.
    has_zone: bool,
    /// Skew when the oldest change was made that is not visible yet.
    held: Option<i64>,
    /// What goes wrong in the next refresh, as the simulator is told.
    fault: Option<String>,
    /// What happened, for whom a difference puzzles.
    story: Vec<String>,
}

/// Lines of the story that a failure shows.
const SHOWN: usize = 40;

impl World {
    fn start(seed: u64) -> Self {
        let objects: Vec<_> = TABLES.iter().map(|(table, _)| *table).collect();
        let (company, mut client) = company("mirror_rounds", &objects.join(", "));
        for (table, options) in TABLES {
            mirror(&mut client, table, options);
        }
        Self {
            company,
            client,
            random: Rng::with_seed(seed),
            skew: 0,
            ahead: 0,
            has_zone: false,
            held: None,
            fault: None,
            story: Vec::new(),
        }
    }

    /// The gateway's clock moves; when it moves by hours, so much time has passed here too.
    fn move_clock(&mut self, seconds: i64) {
        self.skew = (self.skew + seconds).max(self.ahead - OVERLAP);
        self.ahead = self.ahead.max(self.skew);
        self.story.push(format!("clock {seconds}, now {}", self.skew));
        self.company.gateway.set("clock_skew", &self.skew.to_string());
        if seconds > 3600 {
            run(
                &mut self.client,
                &format!("UPDATE sage_intacct.mirror SET late_at = late_at - interval '{seconds} seconds'"),
            );
        }
    }

    /// Keys of random rows that the top level shows.
    fn keys(&mut self, object: &str, count: usize) -> Vec<i64> {
        let key = if object == "MCA_attendee" {
            "id"
        } else {
            "RECORDNO"
        };
        let owned = matches!(object, "APBILL" | "ARINVOICE" | "CUSTOMER");
        let filter = if owned { "WHERE MEGAENTITYKEY IS NULL" } else { "" };
        let rows = self
            .company
            .gateway
            .truth(&format!("SELECT {key} AS k FROM {object} {filter} ORDER BY k"));
        let first = self.random.usize(..rows.len().max(1));
        rows.iter()
            .skip(first)
            .take(count)
            .map(|row| row["k"].as_i64().expect("a key"))
            .collect()
    }

    /// One change, or one with what belongs to it.
    fn operations(&mut self) -> Vec<Value> {
        let word = format!("w{}", self.random.u32(..1000));
        let (object, field) = *self
            .random
            .choice(&[
                ("APBILL", "DESCRIPTION"),
                ("ARINVOICE", "DESCRIPTION"),
                ("CUSTOMER", "NAME"),
                ("MCA_attendee", "name"),
            ])
            .expect("a choice");
        match self.random.u32(..10) {
            0..4 => {
                let count = self.random.usize(1..30);
                vec![
                    json!({ "update": { "object": object, "keys": self.keys(object, count), "values": { (field): word } } }),
                ]
            }
            4 => {
                let count = self.random.usize(1..3);
                vec![
                    json!({ "delete": { "object": object, "keys": self.keys(object, count), "silent": self.random.bool() } }),
                ]
            }
            5..7 => {
                // A name that was there before, perhaps; a row that is never changed, perhaps.
                let mut values = json!({ (field): word });
                if object == "CUSTOMER" {
                    values["CUSTOMERID"] = json!(format!("C-{:05}", self.random.u32(..20)));
                }
                if self.random.u32(..3) == 0 && object != "MCA_attendee" {
                    values["WHENMODIFIED"] = Value::Null;
                }
                vec![json!({ "insert": { "object": object, "values": values } })]
            }
            kind => {
                let (header, line) = *self
                    .random
                    .choice(&[("APBILL", "APBILLITEM"), ("ARINVOICE", "ARINVOICEITEM")])
                    .expect("a choice");
                // Lines of a header that is not shown change unseen.
                let Some(&key) = self.keys(header, 1).first() else {
                    return Vec::new();
                };
                let touch = json!({ "update": { "object": header, "keys": [key], "values": {} } });
                let change = if kind == 7 {
                    json!({ "insert": { "object": line, "values": { "RECORDKEY": key, "ACCOUNTTITLE": word } } })
                } else if kind == 8 {
                    json!({ "delete": { "object": line, "where": format!("RECORDKEY = {key} AND RECORDNO % 2 = 0") } })
                } else {
                    json!({ "update": { "object": line, "where": format!("RECORDKEY = {key}"), "values": { "ACCOUNTTITLE": word },
                                        "silent": true } })
                };
                vec![change, touch]
            }
        }
    }

    fn change(&mut self) {
        for _ in 0..self.random.usize(..5) {
            let operations = Value::Array(self.operations());
            // What waits must fit when it comes: later changes do not take its rows away.
            let updates = operations
                .as_array()
                .is_some_and(|all| all.iter().all(|one| one.get("update").is_some()));
            let late = updates && self.random.u32(..4) == 0;
            self.story
                .push(format!("{}{operations}", if late { "late " } else { "" }));
            if late {
                self.company.gateway.change_late(operations);
                self.held.get_or_insert(self.skew);
            } else {
                self.company.gateway.change(operations);
            }
        }
        match self.random.u32(..8) {
            0 => self.move_clock(-300),
            1 => self.move_clock(400),
            2 => self.move_clock(7000),
            _ => {}
        }
    }

    /// Makes late changes visible. What is older than the overlap is only found by the second pass: its time comes.
    fn release(&mut self) {
        let Some(since) = self.held.take() else { return };
        self.company.gateway.release();
        self.story.push("release".to_owned());
        if self.ahead - since > OVERLAP {
            let age = self.ahead - since;
            assert!(age <= 7200, "held for {age} seconds");
            self.move_clock(7300);
        }
    }

    /// Something goes wrong, or nothing.
    fn misfortune(&mut self) -> &'static str {
        let nth = self.random.u32(1..9);
        let fault = |action: &str| {
            format!(r#"{{"match": {{"function": "query", "nth": {nth}}}, "times": 1, "action": {action}}}"#)
        };
        let workers = cluster::citus_workers().len();
        // On Citus, one in five.
        if workers > 0 && self.random.u32(..5) == 0 {
            return if self.random.bool() {
                "worker lost"
            } else {
                "worker killed"
            };
        }
        match self.random.u32(..18) {
            12..15 => {
                let (nth, times) = (self.random.u32(1..40), self.random.u32(1..5));
                self.fault = Some(format!(
                    r#"{{"match": {{"function": "query", "nth": {nth}}}, "times": {times}, "action": "lagging"}}"#
                ));
                self.story
                    .push(format!("{times} empty answers from the {nth}th on"));
                "lag"
            }
            15 => "zone",
            16 => "company",
            17 => "column",
            0 => {
                self.fault = Some(fault("\"expire_session\""));
                "session"
            }
            1 => {
                self.fault = Some(fault("\"reset\""));
                "reset"
            }
            2 => {
                self.fault = Some(fault(r#"{"truncate": {"bytes": 900}}"#));
                "truncate"
            }
            3 => {
                self.fault = Some(fault(
                    r#"{"function_error": {"errorno": "BL01001973", "description2": "a bad day"}}"#,
                ));
                "refused"
            }
            4 => "cancel",
            5 => "terminate",
            6 if kills() => "kill",
            _ => "nothing",
        }
    }

    /// Refreshes everything in a session that is lost, or cancelled, while it waits for its n-th answer.
    fn broken_refresh(&mut self, how: &str) {
        let nth = self.random.usize(1..12);
        let seen = AtomicUsize::new(0);
        self.company.gateway.tap.rule(move |xml| {
            let rows = xml.contains("<query>");
            if rows && seen.fetch_add(1, Ordering::Relaxed) + 1 == nth {
                Answer::Stall
            } else {
                Answer::Pass
            }
        });
        let mut client = self.company.connect();
        let pid = cluster::backend(&mut client);
        let token = client.cancel_token();
        let refresh = thread::spawn(move || client.batch_execute(REFRESH).is_ok());
        while self.company.gateway.tap.stalled() == 0 && !refresh.is_finished() {
            thread::yield_now();
        }
        if !refresh.is_finished() {
            match how {
                "cancel" => token
                    .cancel_query(NoTls)
                    .expect("the cancel request is delivered"),
                "kill" => {
                    cluster::kill(pid);
                    // The server ends every session when it notices: a new one must not come too early.
                    while self.client.simple_query("SELECT 1").is_ok() {
                        thread::yield_now();
                    }
                }
                _ => {
                    self.client
                        .execute("SELECT pg_terminate_backend($1::integer, 5000)", &[&pid])
                        .expect("terminated");
                }
            }
        }
        // It may have come to its end before.
        let _ = refresh.join().expect("the thread ends");
        self.company.gateway.tap.pass();
        if how == "kill" {
            self.client = reconnect(&self.company);
        }
    }

    /// Another zone is declared, or none any more.
    fn switch_zone(&mut self) -> String {
        self.has_zone = !self.has_zone;
        let zone = *self
            .random
            .choice(&["Asia/Tokyo", "America/New_York", "-08:00"])
            .expect("a choice");
        match self.has_zone {
            true => format!("ALTER SERVER acme OPTIONS (ADD time_zone '{zone}')"),
            false => "ALTER SERVER acme OPTIONS (DROP time_zone)".to_owned(),
        }
    }

    /// Refreshes everything, and does something while it waits for its n-th answer, or behind it if it sends fewer requests.
    /// What it comes to is seen by what the mirrors say of themselves.
    fn refresh_while(&mut self, nth: usize, act: impl FnOnce() + Send + 'static) {
        let (sender, receiver) = channel();
        let (sender, seen) = (Mutex::new(sender), AtomicUsize::new(0));
        self.company.gateway.tap.rule(move |xml| {
            if xml.contains("<query>") && seen.fetch_add(1, Ordering::Relaxed) + 1 == nth {
                let (ready, wait) = channel::<()>();
                // Until that is done.
                if sender.lock().expect("one at a time").send(ready).is_ok() {
                    let _ = wait.recv();
                }
            }
            Answer::Pass
        });
        let acting = thread::spawn(move || {
            let ready = receiver.recv();
            act();
            drop(ready);
        });
        let _ = self.client.batch_execute(REFRESH);
        self.company.gateway.tap.pass();
        acting.join().expect("it is done");
    }

    /// A worker of Citus takes no connections any more while a refresh runs, or restarts because a backend of it was killed. It
    /// is there again before the next refresh.
    fn refresh_without_worker(&mut self, how: &str) {
        let workers = cluster::citus_workers();
        let worker = *self.random.choice(&workers).expect("a worker");
        let nth = self.random.usize(1..20);
        self.story.push(format!("{how}: {worker} at request {nth}"));
        let database = self.company.database.name().to_owned();
        let kills = how == "worker killed";
        self.refresh_while(nth, move || match kills {
            true => cluster::kill_worker(&database, worker),
            false => cluster::lose_worker(&database, worker, true),
        });
        if !kills {
            self.company.database.lose_worker(worker, false);
        }
    }

    /// The options of the server change before a refresh, or while it waits for an answer.
    fn switched_refresh(&mut self, how: &str) {
        let (change, back) = match how {
            "zone" => (self.switch_zone(), ""),
            _ => (OTHER_COMPANY.to_owned(), THIS_COMPANY),
        };
        let nth = self.random.usize(..20);
        self.story.push(format!("{change} at request {nth}"));
        if nth == 0 {
            run(&mut self.client, &change);
            let outcome = self.client.batch_execute(REFRESH);
            assert_eq!(outcome.is_err(), how == "company", "{outcome:?}");
        } else {
            let mut other = self.company.connect();
            self.refresh_while(nth, move || run(&mut other, &change));
        }
        if !back.is_empty() {
            run(&mut self.client, back);
        }
    }

    /// A column of a mirror has another name: the refresh of that mirror stops, and goes on when the name is back, or when
    /// the foreign table follows.
    fn renamed_refresh(&mut self) {
        let (table, column) = *self
            .random
            .choice(&[
                ("apbill", "description"),
                ("arinvoice", "whenmodified"),
                ("customer", "name"),
                ("arinvoiceitem", "recordkey"),
                ("customer", "recordno"),
            ])
            .expect("a choice");
        let follows = self.random.bool();
        self.story.push(format!("{table}.{column} renamed, {follows}"));
        let rename =
            |kind: &str, from: &str, to: &str| format!("ALTER {kind}.{table} RENAME COLUMN {from} TO {to}");
        run(&mut self.client, &rename("TABLE finance", column, "another"));
        let error = self
            .client
            .batch_execute(REFRESH)
            .expect_err("a column is renamed");
        let detail = error
            .as_db_error()
            .and_then(|error| error.detail())
            .unwrap_or_default();
        assert!(
            detail.contains(&format!(
                "column \"{column}\" of mirror finance.{table} is called \"another\" now"
            )),
            "{error:?}"
        );
        if follows {
            run(&mut self.client, &rename("FOREIGN TABLE acme", column, "another"));
            run(&mut self.client, REFRESH);
            run(&mut self.client, &rename("FOREIGN TABLE acme", "another", column));
        }
        run(&mut self.client, &rename("TABLE finance", "another", column));
    }

    /// Refreshes until it succeeds. Whatever a refresh comes to, what calls itself complete is so.
    fn refresh(&mut self, seed: u64, round: u64, since: &str) {
        self.assert_complete(seed, round, since);
        for attempt in 0.. {
            if let Some(fault) = self.fault.take() {
                self.company.gateway.faults(&fault);
            }
            let outcome = self.client.batch_execute(REFRESH);
            // A fault is for a refresh, not for what is compared here.
            self.company.gateway.clear_faults();
            self.assert_complete(seed, round, since);
            match outcome {
                Ok(()) => break,
                Err(error) => {
                    let says = error
                        .as_db_error()
                        .is_some_and(|error| !error.message().is_empty());
                    assert!(
                        says && attempt < 4,
                        "seed {seed}, round {round}: {error:?}\n{}",
                        self.told()
                    );
                }
            }
        }
    }

    /// Mirrors that were refreshed since a point in time, and say that nothing is missing, are equal to their foreign tables.
    fn assert_complete(&mut self, seed: u64, round: u64, since: &str) {
        let complete = lines(
            &mut self.client,
            &format!(
                "SELECT c.relname FROM sage_intacct.mirrors m JOIN pg_class c ON c.oid = m.target
                  WHERE m.complete AND m.last_outcome = 'done' AND m.last_run >= '{since}'"
            ),
        );
        for table in complete.lines() {
            let differences = differences(&mut self.client, table);
            assert!(
                differences.is_empty(),
                "seed {seed}, round {round}, {table} is not complete:\n{differences}\n{}",
                self.told()
            );
        }
    }

    /// The end of the story.
    fn told(&self) -> String {
        self.story[self.story.len().saturating_sub(SHOWN)..].join("\n")
    }
}

const REFRESH: &str = "CALL sage_intacct.refresh_mirrors('finance')";
const OTHER_COMPANY: &str = "ALTER SERVER acme OPTIONS (SET company_id 'globex');
     ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'secret2')";
const THIS_COMPANY: &str = "ALTER SERVER acme OPTIONS (SET company_id 'acme');
     ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'secret')";

/// Whether backends may be killed: the server then restarts, and every other session on it is lost.
fn kills() -> bool {
    std::env::var_os("SAGE_ALONE").is_some()
}

/// A new session, once the server is there again.
fn reconnect(company: &Company) -> Client {
    for _ in 0..600 {
        if let Ok(client) = cluster::try_connect(company.database.name(), "postgres") {
            return client;
        }
        thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the server does not come back");
}

#[test]
fn mirrors_are_true_after_every_refresh() {
    let rounds = number("SAGE_MIRROR_ROUNDS").unwrap_or(6);
    let seed = number("SAGE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}, {rounds} rounds");
    let mut world = World::start(seed);
    for round in 0..rounds {
        if round % 100 == 99 {
            println!("{} rounds", round + 1);
        }
        world.company.gateway.forget_requests();
        world.change();
        // In the first round at least.
        let misfortune = match round {
            0 if kills() => "kill",
            _ => world.misfortune(),
        };
        world.story.push(format!("round {round}: {misfortune}"));
        let mut since = lines(&mut world.client, "SELECT clock_timestamp()");
        match misfortune {
            "cancel" | "terminate" | "kill" => world.broken_refresh(misfortune),
            "zone" | "company" => {
                world.switched_refresh(misfortune);
                // What was complete under the zone before is not what the foreign tables show now.
                since = lines(&mut world.client, "SELECT clock_timestamp()");
            }
            "column" => world.renamed_refresh(),
            "worker lost" | "worker killed" => world.refresh_without_worker(misfortune),
            _ => {}
        }
        if world.random.bool() || world.held.is_some_and(|since| world.ahead - since > 200) {
            world.release();
            since = lines(&mut world.client, "SELECT clock_timestamp()");
        }
        world.refresh(seed, round, &since);
        for (table, _) in TABLES {
            let differences = differences(&mut world.client, table);
            assert!(
                differences.is_empty(),
                "seed {seed}, round {round}, {misfortune}, {table}:\n{differences}\n{}",
                world.told()
            );
        }
    }
    let log = cluster::server_log();
    let crash = log
        .lines()
        .find(|line| line.contains("terminated by signal") && !line.contains("signal 9"));
    assert_eq!(crash, None, "seed {seed}");
}
