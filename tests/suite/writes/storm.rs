//! Storms of cancels, timeouts, terminates and kills over single writes. Whatever hits a write, and whenever: what is
//! stored is named or acknowledged, what is in doubt is in the log, and the log is settled rightly afterwards.
//!
//! `SAGE_STORM_WRITES` sets the number of writes of each storm, `SAGE_FUZZ_SEED` replays the choice of moments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::environment::number;
use sage_intacct_fdw_tests::sql::within;

use super::common::{Notices, company, lines, watched};

/// Writes of an ordinary test run.
const FEW: usize = 120;

/// Longest time between the start of a write and the blow, in microseconds.
const WITHIN: u64 = 5000;

/// How one write ended for its client.
#[derive(Debug)]
struct Ended {
    /// SQLSTATE; none when it went well, `gone` when the connection broke.
    code: Option<String>,
    /// Everything that was said.
    said: String,
}

struct Storm {
    company: Company,
    rng: Rng,
    seed: u64,
    prefix: &'static str,
    ended: BTreeMap<String, Ended>,
}

impl Storm {
    fn new(name: &str, prefix: &'static str) -> Storm {
        let seed = number("SAGE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
        println!("{name}: SAGE_FUZZ_SEED={seed}");
        let (company, _) = company(name);
        Storm {
            company,
            rng: Rng::with_seed(seed),
            seed,
            prefix,
            ended: BTreeMap::new(),
        }
    }

    fn writes() -> usize {
        number("SAGE_STORM_WRITES").map_or(FEW, |writes| writes as usize)
    }

    /// A signed-in session; waits until the server is there.
    fn session(&self) -> (Client, Notices) {
        for _ in 0..600 {
            if let Some((mut client, notices)) = watched(&self.company)
                && client
                    .query("SELECT creditlimit FROM customer LIMIT 1", &[])
                    .is_ok()
            {
                notices.take();
                return (client, notices);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no session; seed {}", self.seed)
    }

    fn note(
        &mut self,
        client: &mut Client,
        id: String,
        result: Result<(), postgres::Error>,
        notices: &Notices,
    ) {
        // A warning of the rollback comes behind the error, and is read with the next statement; a cancel that comes
        // late hits that.
        let _ = client.batch_execute("SELECT pg_sleep(0.001)");
        let mut said = notices.take();
        let code = result.err().map(|error| match error.as_db_error() {
            Some(error) => {
                said.push_str(error.detail().unwrap_or_default());
                error.code().code().to_owned()
            }
            None => "gone".to_owned(),
        });
        self.ended.insert(id, Ended { code, said });
    }

    /// Compares what clients were told, what the log says and what Intacct has; settles the log, and compares again.
    fn reckon(self) {
        let (mut client, _) = self.session();
        let (seed, prefix) = (self.seed, self.prefix);
        let there: BTreeSet<String> = super::common::stored(&self.company, prefix).into_iter().collect();
        let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
        for (id, ended) in &self.ended {
            let code = ended.code.as_deref();
            *codes.entry(code.unwrap_or("ok")).or_default() += 1;
            let stored = there.contains(id);
            let named = ended.said.contains(&format!("CUSTOMERID {id}"));
            match code {
                None => assert!(stored, "{id} was acknowledged and is not stored; seed {seed}"),
                Some("57014") => assert!(
                    !stored || named,
                    "{id} is stored, and 57014 does not say so; seed {seed}; {ended:?}"
                ),
                Some("08007") => assert!(named, "{id} is not named; seed {seed}; {ended:?}"),
                Some("57P01" | "57P02" | "57P03" | "gone") => {}
                Some(other) => panic!("{id} ended with {other}; seed {seed}; {ended:?}"),
            }
        }
        println!("{prefix}: {codes:?}, {} stored; seed {seed}", there.len());
        let outcomes = |client: &mut Client| -> BTreeMap<String, String> {
            let sql = "SELECT keys[1], outcome FROM sage_intacct.write_log()";
            let pairs = lines(client, sql).into_iter().filter_map(|line| {
                let (key, outcome) = line.split_once('|')?;
                Some((key.to_owned(), outcome.to_owned()))
            });
            pairs.filter(|(key, _)| key.starts_with(prefix)).collect()
        };
        let log = outcomes(&mut client);
        for id in &there {
            let outcome = log.get(id).map(String::as_str);
            assert!(
                matches!(outcome, Some("stored" | "in doubt")),
                "{id} is stored, the log says {outcome:?}; seed {seed}"
            );
        }
        for (id, outcome) in &log {
            assert!(
                outcome != "stored" || there.contains(id),
                "{id} is not stored, the log says so; seed {seed}"
            );
        }
        for (id, _) in self
            .ended
            .iter()
            .filter(|(_, ended)| ended.code.as_deref() == Some("08007"))
        {
            assert!(
                log.contains_key(id),
                "{id} is in doubt and not in the log; seed {seed}"
            );
        }
        let doubtful = log.values().filter(|outcome| *outcome == "in doubt").count();
        // All that was sent has been executed by now, or never will be.
        let left = lines(
            &mut client,
            "SELECT keys[1], reason FROM sage_intacct.resolve_writes('acme', 0) WHERE outcome = 'in doubt'",
        );
        assert!(left.is_empty(), "{left:?}; seed {seed}");
        for (id, outcome) in outcomes(&mut client) {
            let right = if there.contains(&id) {
                "stored"
            } else {
                "not stored"
            };
            assert_eq!(outcome, right, "{id}; seed {seed}");
        }
        println!("{prefix}: {doubtful} were in doubt, all are settled");
    }
}

struct Striker {
    sender: mpsc::Sender<(i32, u64)>,
    blows: mpsc::Receiver<()>,
}

impl Striker {
    /// Asks for a blow.
    fn at(&self, pid: i32, wait: u64) {
        self.sender.send((pid, wait)).expect("a striker");
    }

    /// Waits until it has fallen.
    fn wait(&self) {
        self.blows.recv().expect("a striker");
    }
}

/// Where the blows come from: each falls so many microseconds after it was asked for.
fn striker(company: &Company, sql: &'static str) -> Striker {
    let (sender, receiver) = mpsc::channel::<(i32, u64)>();
    let (fallen, blows) = mpsc::channel();
    let mut client = company.connect();
    let statement = client.prepare(sql).expect("a statement");
    std::thread::spawn(move || {
        while let Ok((pid, wait)) = receiver.recv() {
            let end = Instant::now() + Duration::from_micros(wait);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
            let _ = client.execute(&statement, &[&pid]);
            if fallen.send(()).is_err() {
                break;
            }
        }
    });
    Striker { sender, blows }
}

#[test]
fn a_storm_of_cancels() {
    let mut storm = Storm::new("storm_cancel", "SC");
    let strikes = striker(&storm.company, "SELECT pg_cancel_backend($1::integer)");
    let (mut client, notices) = storm.session();
    let pid = cluster::backend(&mut client);
    for write in 0..Storm::writes() {
        let id = format!("SC{write:06}");
        strikes.at(pid, storm.rng.u64(0..WITHIN));
        let result = client.batch_execute(&format!(
            "INSERT INTO customer (customerid, name) VALUES ('{id}', 'x')"
        ));
        strikes.wait();
        storm.note(&mut client, id, result, &notices);
        storm.company.gateway.forget_requests();
    }
    drop(strikes);
    storm.reckon();
}

#[test]
fn a_storm_of_timeouts() {
    let mut storm = Storm::new("storm_timeout", "ST");
    let (mut client, notices) = storm.session();
    for write in 0..Storm::writes() {
        let id = format!("ST{write:06}");
        let limit = storm.rng.u64(1..=WITHIN / 1000 + 1);
        let insert = format!("INSERT INTO customer (customerid, name) VALUES ('{id}', 'x')");
        let result = client.batch_execute(&within(&format!("{limit}ms"), &insert));
        storm.note(&mut client, id, result, &notices);
        storm.company.gateway.forget_requests();
    }
    storm.reckon();
}

#[test]
fn a_storm_of_terminates() {
    let mut storm = Storm::new("storm_terminate", "SX");
    let strikes = striker(&storm.company, "SELECT pg_terminate_backend($1::integer)");
    // Each needs a session of its own.
    for write in 0..Storm::writes().div_ceil(3) {
        let (mut client, notices) = storm.session();
        let pid = cluster::backend(&mut client);
        let id = format!("SX{write:06}");
        strikes.at(pid, storm.rng.u64(0..WITHIN));
        let result = client.batch_execute(&format!(
            "INSERT INTO customer (customerid, name) VALUES ('{id}', 'x')"
        ));
        strikes.wait();
        storm.note(&mut client, id, result, &notices);
        storm.company.gateway.forget_requests();
    }
    drop(strikes);
    storm.reckon();
}

#[test]
fn a_storm_of_cancels_over_commits() {
    let mut storm = Storm::new("storm_commit", "SO");
    let strikes = striker(&storm.company, "SELECT pg_cancel_backend($1::integer)");
    let (mut client, notices) = storm.session();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit'); CREATE TABLE here (id text)")
        .expect("a mode");
    let pid = cluster::backend(&mut client);
    for write in 0..Storm::writes() {
        let id = format!("SO{write:06}");
        client
            .batch_execute(&format!(
                "BEGIN; INSERT INTO here VALUES ('{id}'); INSERT INTO customer (customerid, name) VALUES ('{id}', 'x')"
            ))
            .expect("rows wait");
        strikes.at(pid, storm.rng.u64(0..WITHIN));
        let result = client.batch_execute("COMMIT");
        let committed = result.is_ok();
        strikes.wait();
        // A cancel that comes before COMMIT itself leaves the transaction open.
        while !committed && client.batch_execute("ROLLBACK").is_err() {}
        storm.note(&mut client, id.clone(), result, &notices);
        let here = lines(
            &mut client,
            &format!("SELECT count(*)::text FROM here WHERE id = '{id}'"),
        );
        assert_eq!(
            here,
            [if committed { "1" } else { "0" }],
            "{id}; seed {}",
            storm.seed
        );
        storm.company.gateway.forget_requests();
    }
    drop(strikes);
    storm.reckon();
}

#[test]
fn a_storm_of_kills() {
    // The server restarts after each, and every other session on it is lost.
    if std::env::var_os("SAGE_ALONE").is_none() {
        return;
    }
    let mut storm = Storm::new("storm_kill", "SK");
    // The cluster of the tests does not wait for its commits to be on the disk: the tables must survive the first kill.
    let (mut client, _) = storm.session();
    client.batch_execute("CHECKPOINT").expect("a checkpoint");
    drop(client);
    let (mut writes, mut kills) = (0, 0);
    while writes < Storm::writes() {
        let (mut client, notices) = storm.session();
        let pid = cluster::backend(&mut client);
        let wait = storm.rng.u64(0..40 * WITHIN);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(wait));
            cluster::kill(pid);
        });
        while !client.is_closed() {
            let id = format!("SK{writes:06}");
            let result = client.batch_execute(&format!(
                "INSERT INTO customer (customerid, name) VALUES ('{id}', 'x')"
            ));
            storm.note(&mut client, id, result, &notices);
            writes += 1;
        }
        kills += 1;
        killer.join().expect("it is killed");
        storm.company.gateway.forget_requests();
    }
    println!("{writes} writes, {kills} kills");
    storm.reckon();
}
