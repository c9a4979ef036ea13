//! Cancels and timeouts at chosen moments: what is stored is named, what is in doubt says so, and a loop ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use postgres::Client;
use postgres::error::DbError;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

use super::common::{Notices, company, lines, refused, stored, watched};

const LIMIT: Duration = Duration::from_secs(20);

/// Runs a statement in another thread; its error comes through the channel.
fn spawn(mut client: Client, sql: &str) -> mpsc::Receiver<(Client, Option<DbError>)> {
    let (sender, receiver) = mpsc::channel();
    let sql = sql.to_owned();
    std::thread::spawn(move || {
        let error = client
            .batch_execute(&sql)
            .err()
            .and_then(|error| error.as_db_error().cloned());
        // The test may have given up.
        let _ = sender.send((client, error));
    });
    receiver
}

/// A company whose tables are there, and a session whose warnings are kept.
fn world(name: &str) -> (Company, Client, Notices) {
    let (company, _) = company(name);
    let (mut client, notices) = watched(&company).expect("a session");
    client
        .query("SELECT creditlimit FROM customer LIMIT 1", &[])
        .expect("a session that is signed in");
    company.gateway.tap.forget();
    (company, client, notices)
}

/// Cancels a statement when the gateway is silent, and gives its error.
fn cancelled(company: &Company, mut client: Client, sql: &str) -> (Client, DbError) {
    let pid = cluster::backend(&mut client);
    let result = spawn(client, sql);
    company.gateway.tap.wait_for_stalled(1);
    company.cancel(pid);
    let (client, error) = result.recv_timeout(LIMIT).expect("the statement ends");
    company.gateway.tap.pass();
    (client, error.expect("an error"))
}

#[test]
fn an_exception_block_does_not_swallow_a_cancel() {
    for (name, executed) in [("swallow_stall", false), ("swallow_done", true)] {
        let (company, client, notices) = world(name);
        company
            .gateway
            .tap
            .rule(move |xml| match (xml.contains("<create>"), executed) {
                (true, true) => Answer::Swallow,
                (true, false) => Answer::Stall,
                (false, _) => Answer::Pass,
            });
        let (mut client, error) = cancelled(
            &company,
            client,
            "DO $$ BEGIN
               FOR i IN 1 .. 1000 LOOP
                 BEGIN
                   INSERT INTO customer (customerid, name) VALUES ('E' || i, 'x');
                 EXCEPTION WHEN OTHERS THEN
                   RAISE NOTICE 'caught %', SQLSTATE;
                 END;
               END LOOP;
             END $$",
        );
        assert_eq!(error.code().code(), "57014", "{error:?}");
        let said = notices.take();
        assert!(
            said.contains("it is not known whether Sage Intacct has stored rows"),
            "{said}"
        );
        assert!(
            said.contains("In doubt: 1 row created in CUSTOMER (CUSTOMERID E1)."),
            "{said}"
        );
        assert!(!said.contains("caught 57014"), "{said}");
        client.batch_execute("SELECT 1").expect("the backend works on");
        assert!(stored(&company, "E").len() <= 1);
    }
}

#[test]
fn rows_of_a_caught_error_are_named_by_its_rollback() {
    let (company, mut client, notices) = world("caught_rows");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD batch_size '2')")
        .expect("an option");
    company.gateway.tap.forget();
    client
        .batch_execute(
            "DO $$ BEGIN
               INSERT INTO customer (customerid, name) VALUES ('G1', 'x'), ('G2', 'x'), ('G1', 'x');
             EXCEPTION WHEN unique_violation THEN
               NULL;
             END $$",
        )
        .expect("the error is caught");
    assert_eq!(stored(&company, "G"), ["G1", "G2"]);
    let said = notices.take();
    assert!(
        said.contains("Still there: 2 rows created in CUSTOMER (CUSTOMERID G1, CUSTOMERID G2)."),
        "{said}"
    );
}

#[test]
fn a_cancel_between_batches_names_what_is_stored() {
    let (company, client, notices) = world("between");
    // The second batch is turned away, and waits for another try, when it is cancelled.
    let writes = AtomicUsize::new(0);
    company.gateway.tap.rule(move |xml| {
        match xml.contains("<create>") && writes.fetch_add(1, Ordering::SeqCst) == 1 {
            true => Answer::Raw(
                b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n".to_vec(),
            ),
            false => Answer::Pass,
        }
    });
    let mut client = client;
    let pid = cluster::backend(&mut client);
    let result = spawn(
        client,
        "INSERT INTO customer (customerid, name) SELECT 'M' || lpad(i::text, 3, '0'), 'x' FROM generate_series(1, 150) i",
    );
    company.gateway.tap.wait_for_requests(2);
    // It may be on its way to the gateway still, which says of itself that it did not execute it.
    std::thread::sleep(Duration::from_millis(300));
    company.cancel(pid);
    let (_, error) = result.recv_timeout(LIMIT).expect("the statement ends");
    assert_eq!(error.expect("an error").code().code(), "57014");
    let said = notices.take();
    assert!(
        said.contains("Still there: 100 rows created in CUSTOMER (CUSTOMERID M001,"),
        "{said}"
    );
    assert_eq!(stored(&company, "M").len(), 100);
}

#[test]
fn a_commit_is_not_interrupted_once_the_rows_are_accepted() {
    let (company, mut client, _) = world("commit_accepted");
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit');
             CREATE TABLE here (i int)",
        )
        .expect("a mode");
    // Cancels arrive before, while the rows are under way, and after they were accepted.
    for round in 0..40 {
        let pid = cluster::backend(&mut client);
        client
            .batch_execute(&format!(
                "BEGIN; INSERT INTO here VALUES ({round}); INSERT INTO customer (customerid, name) VALUES ('O{round}', 'x')"
            ))
            .expect("rows wait");
        let result = spawn(client, "COMMIT");
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..6000)));
        company.cancel(pid);
        let (returned, error) = result.recv_timeout(LIMIT).expect("the commit ends");
        client = returned;
        // A cancel that comes before COMMIT itself leaves the transaction open.
        while error.is_some() && client.batch_execute("ROLLBACK").is_err() {}
        let here = |client: &mut Client| {
            lines(
                client,
                &format!("SELECT count(*)::text FROM here WHERE i = {round}"),
            )[0] == "1"
        };
        let (here, there) = (
            here(&mut client),
            !stored(&company, &format!("O{round}")).is_empty(),
        );
        match error.as_ref().map(|error| error.code().code()) {
            None => assert!(here && there, "round {round}: here {here}, there {there}"),
            Some("57014") => assert!(!here && !there, "round {round}: here {here}, there {there}"),
            Some("08007") => assert!(!here, "round {round}"),
            Some(other) => panic!("{other}: {error:?}"),
        }
    }
}

#[test]
fn a_terminate_after_the_acceptance_does_not_take_the_commit_back() {
    let (company, mut client, _) = world("commit_terminated");
    client
        .batch_execute(
            "INSERT INTO customer (customerid, name, creditlimit) VALUES ('A-1', 'x', 5);
             ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit'); CREATE TABLE here (i int)",
        )
        .expect("a mode");
    client
        .batch_execute(
            "BEGIN; INSERT INTO here VALUES (1); UPDATE customer SET creditlimit = NULL WHERE customerid = 'A-1'",
        )
        .expect("rows wait");
    // What was emptied is read back, and the gateway is silent then.
    company.gateway.tap.rule(|xml| match xml.contains("<query>") {
        true => Answer::Swallow,
        false => Answer::Pass,
    });
    let pid = cluster::backend(&mut client);
    let result = spawn(client, "COMMIT");
    company.gateway.tap.wait_for_stalled(1);
    let mut other = company.connect();
    let ended: bool = other
        .query_one("SELECT pg_terminate_backend($1::integer, 10000)", &[&pid])
        .expect("terminated")
        .get(0);
    assert!(ended, "backend {pid} did not end");
    result.recv_timeout(LIMIT).expect("the connection ends");
    company.gateway.tap.pass();
    assert_eq!(lines(&mut other, "SELECT i::text FROM here"), ["1"]);
    let left = company
        .gateway
        .truth("SELECT CREDITLIMIT AS x FROM CUSTOMER WHERE CUSTOMERID = 'A-1'");
    assert!(left[0]["x"].is_null(), "{left:?}");
}

#[test]
fn serializable_transactions_do_not_wait_for_the_commit() {
    let (company, mut client, _) = world("serializable");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit')")
        .expect("a mode");
    for verb in [
        "INSERT INTO customer (customerid, name) VALUES ('Z1', 'x')",
        "UPDATE customer SET name = 'x' WHERE recordno = 1",
        "DELETE FROM customer WHERE recordno = 1",
    ] {
        client
            .batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            .expect("a transaction");
        let error = refused(&mut client, verb);
        assert_eq!(error.code().code(), "0A000", "{error:?}");
        client.batch_execute("ROLLBACK").expect("it is over");
    }
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO customer (customerid, name) VALUES ('Z2', 'x'); COMMIT")
        .expect("others may");
    assert_eq!(stored(&company, "Z"), ["Z2"]);
}

#[test]
fn write_timeout_bounds_writes_and_request_timeout_does_not() {
    let (company, mut client, _) = world("write_timeout");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD request_timeout '0.2', ADD max_retries '0')")
        .expect("an option");
    client
        .query("SELECT creditlimit FROM customer LIMIT 1", &[])
        .expect("a session under the new options");
    // Slower than a read may be.
    company
        .gateway
        .faults(r#"{"match": {"function": "create"}, "times": 1, "action": {"delay": {"ms": 600}}}"#);
    client
        .batch_execute("INSERT INTO customer (customerid, name) VALUES ('Y1', 'x')")
        .expect("a slow write");
    company.gateway.clear_faults();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD write_timeout '0.2', SET request_timeout '30')")
        .expect("an option");
    client
        .query("SELECT creditlimit FROM customer LIMIT 1", &[])
        .expect("a session under the new options");
    company.gateway.tap.rule(|xml| match xml.contains("<create>") {
        true => Answer::Stall,
        false => Answer::Pass,
    });
    let error = refused(
        &mut client,
        "INSERT INTO customer (customerid, name) VALUES ('Y2', 'x')",
    );
    assert_eq!(error.code().code(), "08007", "{error:?}");
}
