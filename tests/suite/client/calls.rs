//! `max_calls_per_day`: what contracts count is bounded for all backends together, over crashes and restarts, and what
//! was sent is looked up all the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::tap::Answer;
use sage_intacct_fdw_tests::wait::until;

use super::preloaded::Shared;
use crate::writes::common::{TABLES, company, refused, stored};

const READ: &str = "SELECT name FROM customer WHERE recordno = 1";

/// Calls that the gateway was sent, as a contract counts them: functions that read, and records that are written.
fn sent(shared: &Shared) -> usize {
    let requests = shared.gateway.tap.requests();
    let calls = requests.iter().map(|xml| {
        let records = xml.matches("<CUSTOMERID>").count();
        match xml.contains("<create>") {
            true => records,
            false => xml.matches("<function controlid").count(),
        }
    });
    calls.sum()
}

fn shown(client: &mut Client) -> (i64, Option<i64>) {
    let row = client
        .query_one(
            "SELECT calls_today, max_calls_per_day FROM sage_intacct.request_stats() WHERE scope = 'all backends'",
            &[],
        )
        .expect("counters");
    (row.get(0), row.get(1))
}

/// Reads until nothing is left, and checks how that is said.
fn read_all(client: &mut Client, limit: usize) -> usize {
    let mut reads = 0;
    loop {
        match client.query(READ, &[]) {
            Ok(_) => reads += 1,
            Err(error) => {
                let error = error.as_db_error().expect("the server's word");
                assert_eq!(error.code().code(), "53400", "{error:?}");
                let (message, hint) = (error.message(), error.hint().unwrap_or_default());
                assert!(message.contains(&format!("{limit} of {limit}")), "{message}");
                assert!(
                    hint.contains("00:00 UTC") && hint.contains("max_calls_per_day"),
                    "{hint}"
                );
                return reads;
            }
        }
        assert!(reads <= limit, "no end");
    }
}

#[test]
fn backends_together_keep_to_the_calls_of_a_day() {
    let shared = Shared::start("calls_all", ", max_calls_per_day '250'");
    shared.gateway.tap.forget();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut client = shared.connect();
            thread::spawn(move || read_all(&mut client, 250))
        })
        .collect();
    let reads: usize = readers
        .into_iter()
        .map(|reader| reader.join().expect("it ends"))
        .sum();
    assert_eq!(sent(&shared), 250);
    // Each has signed in.
    assert!((240..=246).contains(&reads), "{reads}");
    let mut client = shared.connect();
    assert_eq!(shown(&mut client), (250, Some(250)));
    // Whoever raises the option goes on.
    client
        .batch_execute("ALTER SERVER acme OPTIONS (SET max_calls_per_day '260')")
        .expect("an option");
    read_all(&mut client, 260);
    assert_eq!(sent(&shared), 260);
    assert_eq!(shown(&mut client), (260, Some(260)));
}

#[test]
fn the_setting_narrows_and_does_not_widen() {
    let shared = Shared::start("calls_setting", ", max_calls_per_day '9'");
    shared.gateway.tap.forget();
    let mut client = shared.connect();
    client
        .batch_execute("SET sage_intacct.max_calls_per_day = 4")
        .expect("a setting");
    read_all(&mut client, 4);
    assert_eq!((sent(&shared), shown(&mut client)), (4, (4, Some(4))));
    client
        .batch_execute("SET sage_intacct.max_calls_per_day = 1000")
        .expect("a setting");
    read_all(&mut client, 9);
    assert_eq!((sent(&shared), shown(&mut client)), (9, (9, Some(9))));
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (DROP max_calls_per_day); SET sage_intacct.max_calls_per_day = 11",
        )
        .expect("no option");
    read_all(&mut client, 11);
    assert_eq!(sent(&shared), 11);
    client.batch_execute("RESET ALL").expect("no setting");
    client.query(READ, &[]).expect("no bound");
    let check = "SELECT count(*) FROM sage_intacct.check('acme') WHERE ok IS FALSE";
    let failed: i64 = client.query_one(check, &[]).expect("a check").get(0);
    let (count, limit) = shown(&mut client);
    assert_eq!(
        (failed, count, limit),
        (0, sent(&shared) as i64, None),
        "check() counts, too"
    );
}

#[test]
fn records_count_and_what_is_refused_is_not_sent() {
    let shared = Shared::start("calls_records", ", max_calls_per_day '130'");
    let mut client = shared.connect();
    client
        .batch_execute(&format!("DROP FOREIGN TABLE customer; {TABLES}"))
        .expect("tables");
    let insert = |from: usize, to: usize| {
        format!(
            "INSERT INTO customer (customerid, name) SELECT 'N' || i, 'x' FROM generate_series({from}, {to}) i"
        )
    };
    client.batch_execute(&insert(1, 100)).expect("within");
    let (used, _) = shown(&mut client);
    assert!((101..110).contains(&used), "{used}");
    let error = refused(&mut client, &insert(101, 140));
    assert_eq!(error.code().code(), "53400");
    assert_eq!(shown(&mut client).0, used);
    let there = shared
        .gateway
        .truth("SELECT CUSTOMERID AS id FROM CUSTOMER WHERE NAME = 'x'");
    assert_eq!(there.len(), 100);
    let log: Vec<String> = client
        .query("SELECT DISTINCT outcome FROM sage_intacct.write_log()", &[])
        .expect("the log")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(log, ["stored"]);
    // Ten batches, of which those that fit are sent.
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD batch_size '10')")
        .expect("an option");
    let error = refused(&mut client, &insert(201, 300));
    let detail = error.detail().unwrap_or_default();
    assert!(
        error.code().code() == "53400" && detail.contains("Certainly stored: rows 1 to "),
        "{error:?}"
    );
    let (used, _) = shown(&mut client);
    assert!((121..=130).contains(&used), "{used}");
}

#[test]
fn a_crash_and_a_restart_forget_no_call() {
    let shared = Shared::start("calls_crash", ", max_calls_per_day '30'");
    shared.gateway.tap.forget();
    for end in ["kill", "restart", "kill"] {
        let (mut client, mut other) = (shared.connect(), shared.connect());
        for _ in 0..4 {
            client.query(READ, &[]).expect("calls are left");
        }
        client.batch_execute("CHECKPOINT").expect("everything is on disk");
        if end == "kill" {
            cluster::kill(cluster::backend(&mut client));
        } else {
            let directory: String = client
                .query_one("SHOW data_directory", &[])
                .expect("a setting")
                .get(0);
            let output = cluster::server_program("pg_ctl")
                .args(["restart", "-w", "-m", "fast", "-D", &directory, "-l"])
                .arg(format!("{directory}/../server.log"))
                .output()
                .expect("pg_ctl can be run");
            assert!(output.status.success(), "{output:?}");
        }
        until(|| other.simple_query("SELECT").is_err());
    }
    let mut client = shared.connect();
    read_all(&mut client, 30);
    assert_eq!(sent(&shared), 30);
    assert_eq!(shown(&mut client), (30, Some(30)));
}

#[test]
fn what_was_sent_is_looked_up_although_no_call_is_left() {
    let shared = Shared::start("calls_exempt", ", max_calls_per_day '200', max_retries '0'");
    let mut client = shared.connect();
    client
        .batch_execute(&format!("DROP FOREIGN TABLE customer; {TABLES}"))
        .expect("tables");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD request_timeout '1', ADD write_timeout '1')")
        .expect("options");
    client.query(READ, &[]).expect("signed in");
    let leave = |client: &mut Client, calls: i64| {
        let limit = shown(client).0 + calls;
        client
            .batch_execute(&format!(
                "ALTER SERVER acme OPTIONS (SET max_calls_per_day '{limit}')"
            ))
            .expect("an option");
    };
    let insert = |id: &str| format!("INSERT INTO customer (customerid, name) VALUES ('{id}', 'x')");

    // The answer to the last call is lost, and the record is found; where its time does not tell whose it is, the same
    // request goes out once more.
    leave(&mut client, 1);
    let creates = AtomicUsize::new(0);
    shared.gateway.tap.rule(move |xml| {
        let first = xml.contains("<create>") && creates.fetch_add(1, Ordering::SeqCst) == 0;
        if first { Answer::Swallow } else { Answer::Pass }
    });
    client.batch_execute(&insert("E1")).expect("it is looked up");
    let error = refused(&mut client, &insert("E2"));
    assert_eq!(error.code().code(), "53400");

    // Nor can it be looked up: that is for later, and needs no call that is left.
    leave(&mut client, 1);
    shared.gateway.tap.rule(|xml| match xml.contains("<create>") {
        true => Answer::Swallow,
        false => Answer::Stall,
    });
    let error = refused(&mut client, &insert("E3"));
    assert_eq!(error.code().code(), "08007", "{error:?}");
    shared.gateway.tap.pass();
    let error = refused(&mut client, READ);
    assert_eq!(error.code().code(), "53400");
    let resolved: Vec<String> = client
        .query(
            "SELECT keys[1] || ' ' || outcome FROM sage_intacct.resolve_writes('acme', 0)",
            &[],
        )
        .expect("look-ups are exempt")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(resolved, ["E3 stored"]);
}

#[test]
fn a_bound_that_would_not_hold_is_refused() {
    let (company, mut client) = company("calls_unshared");
    // From 17 on backends always share memory.
    if cluster::major_version() >= 17 {
        return;
    }
    company.gateway.tap.forget();
    for (set, reset) in [
        (
            "ALTER SERVER acme OPTIONS (ADD max_calls_per_day '100')",
            "ALTER SERVER acme OPTIONS (SET max_calls_per_day '0')",
        ),
        (
            "SET sage_intacct.max_calls_per_day = 100",
            "RESET sage_intacct.max_calls_per_day",
        ),
    ] {
        client.batch_execute(set).expect(set);
        for sql in [
            "SELECT creditlimit FROM customer",
            "INSERT INTO customer (customerid) VALUES ('U1')",
            "SELECT sage_intacct.resolve_writes('acme')",
        ] {
            let error = refused(&mut client, sql);
            assert_eq!(error.code().code(), "55000", "{sql}: {error:?}");
            let hint = error.hint().unwrap_or_default();
            assert!(hint.contains("shared_preload_libraries"), "{hint}");
        }
        let check = "SELECT hint FROM sage_intacct.check('acme') WHERE ok IS FALSE";
        let hint: String = client.query_one(check, &[]).expect("a step that fails").get(0);
        assert!(hint.contains("shared_preload_libraries"), "{hint}");
        client.batch_execute(reset).expect(reset);
    }
    assert_eq!(company.gateway.tap.requests(), [""; 0]);
    assert_eq!(stored(&company, "U"), [""; 0]);
    client
        .query("SELECT creditlimit FROM customer", &[])
        .expect("no bound");
}
