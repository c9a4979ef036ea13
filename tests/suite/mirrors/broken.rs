//! Refreshes that do not come to their end: the next one goes on at the last page that was committed.

use super::company::{assert_equal, company, last_run, lines, mirror, refresh, run};
use postgres::NoTls;
use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A mirror of invoices that will be loaded in slices of 40 rows.
fn unloaded(name: &str) -> (Company, postgres::Client) {
    let (company, mut client) = company(name, "arinvoice");
    mirror(
        &mut client,
        "arinvoice",
        r#"{"load": "off", "slice_rows": 40, "page_rows": 40, "drift_interval": "1 year"}"#,
    );
    (company, client)
}

/// Lets `count` requests for rows pass and stalls the next.
fn stall_after(company: &Company, count: usize) {
    let seen = AtomicUsize::new(0);
    company.gateway.tap.rule(move |xml| {
        if xml.contains("<query>") && seen.fetch_add(1, Ordering::Relaxed) >= count {
            Answer::Stall
        } else {
            Answer::Pass
        }
    });
}

const REFRESH: &str = "CALL sage_intacct.refresh_mirror('finance.arinvoice')";

/// What is committed while a load hangs: some rows, and a task that knows them.
fn assert_half_loaded(client: &mut postgres::Client) -> String {
    let half = lines(
        client,
        "SELECT todo #>> '{0,do}', (todo #>> '{0,after}')::bigint >= (SELECT max(recordno) FROM finance.arinvoice)
           FROM sage_intacct.mirror",
    );
    assert_eq!(half, "load t");
    let rows = lines(client, "SELECT count(*) FROM finance.arinvoice");
    assert_ne!(rows, "0");
    rows
}

#[test]
fn a_cancelled_load_goes_on() {
    let (company, mut client) = unloaded("mirror_cancel");
    let pid = cluster::backend(&mut client);
    stall_after(&company, 8);
    let load = thread::spawn(move || {
        let mut client = client;
        let code = client
            .batch_execute(REFRESH)
            .err()
            .and_then(|error| error.code().cloned());
        (client, code)
    });
    company.gateway.tap.wait_for_stalled(1);
    let mut watcher = company.connect();
    assert_eq!(
        lines(
            &mut watcher,
            "SELECT last_outcome, inserted > 0 FROM sage_intacct.mirrors"
        ),
        "running t"
    );
    assert_eq!(
        lines(
            &mut watcher,
            "SELECT object, relation, rows_done > 0, rows_total, eta > started
               FROM sage_intacct.progress WHERE kind = 'refresh'"
        ),
        format!("ARINVOICE finance.arinvoice t {} t", company.rows("ARINVOICE"))
    );
    // A second signal while the first is recorded would make the run a lost one.
    company.cancel(pid);
    let (mut client, code) = load.join().expect("the thread ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
    company.gateway.tap.pass();
    let rows = assert_half_loaded(&mut watcher);
    assert_eq!(
        lines(
            &mut watcher,
            "SELECT last_outcome, inserted, last_error FROM sage_intacct.mirrors"
        ),
        format!("failed {rows} canceling statement due to user request")
    );
    // Another session goes on, although this one is still there.
    refresh(&mut watcher, "arinvoice");
    assert_equal(&mut watcher, "arinvoice");
    let all: i64 = lines(&mut client, "SELECT count(*) FROM finance.arinvoice")
        .parse()
        .expect("a number");
    let first: i64 = rows.parse().expect("a number");
    assert_eq!(
        last_run(&mut client, "arinvoice"),
        format!("done {} 0 0", all - first)
    );
}

#[test]
fn a_lost_session_is_noticed() {
    let (company, mut client) = unloaded("mirror_lost");
    let pid = cluster::backend(&mut client);
    stall_after(&company, 8);
    let load = thread::spawn(move || client.batch_execute(REFRESH).is_err());
    company.gateway.tap.wait_for_stalled(1);
    let mut watcher = company.connect();
    watcher
        .execute("SELECT pg_terminate_backend($1::integer, 5000)", &[&pid])
        .expect("terminated");
    assert!(load.join().expect("the thread ends"));
    company.gateway.tap.pass();
    assert_half_loaded(&mut watcher);
    assert_eq!(
        lines(&mut watcher, "SELECT last_outcome FROM sage_intacct.mirrors"),
        "lost"
    );
    refresh(&mut watcher, "arinvoice");
    assert_equal(&mut watcher, "arinvoice");
    assert_eq!(
        lines(
            &mut watcher,
            "SELECT outcome FROM sage_intacct.mirror_runs ORDER BY started"
        ),
        "lost\ndone"
    );
}

#[test]
fn an_error_is_recorded_and_leaves_no_lock() {
    let (company, mut client) = unloaded("mirror_error");
    run(&mut client, "ALTER SERVER acme OPTIONS (ADD max_retries '0')");
    let seen = AtomicUsize::new(0);
    company.gateway.tap.rule(move |xml| {
        if xml.contains("<query>") && seen.fetch_add(1, Ordering::Relaxed) >= 8 {
            Answer::Close
        } else {
            Answer::Pass
        }
    });
    let error = client.batch_execute(REFRESH).expect_err("the gateway hangs up");
    assert_eq!(error.code().map(SqlState::code), Some("08006"));
    assert_half_loaded(&mut client);
    assert_eq!(
        lines(
            &mut client,
            "SELECT last_outcome, last_error ~ 'acme' FROM sage_intacct.mirrors"
        ),
        "failed t"
    );
    company.gateway.tap.pass();
    let mut other = company.connect();
    refresh(&mut other, "arinvoice");
    assert_equal(&mut other, "arinvoice");
    assert_eq!(
        lines(
            &mut other,
            "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
              WHERE locktype = 'advisory' AND datname = current_database()"
        ),
        "0"
    );
}

#[test]
fn a_second_refresh_waits_or_skips() {
    let (company, mut client) = unloaded("mirror_two");
    refresh(&mut client, "arinvoice");
    for (concurrent, runs) in [("skip", "2"), ("wait", "4")] {
        run(
            &mut client,
            &format!(
                "CALL sage_intacct.alter_mirror('finance.arinvoice', '{{\"concurrent\": \"{concurrent}\"}}')"
            ),
        );
        company.gateway.tap.rule(|xml| {
            if xml.contains("<query>") {
                Answer::Stall
            } else {
                Answer::Pass
            }
        });
        let mut first = company.connect();
        run(&mut first, "SELECT 1");
        let token = first.cancel_token();
        let stalled = thread::spawn(move || first.batch_execute(REFRESH).is_err());
        company.gateway.tap.wait_for_stalled(1);
        let mut second = company.connect();
        if concurrent == "skip" {
            run(&mut second, REFRESH);
        } else {
            let waiting = thread::spawn(move || second.batch_execute(REFRESH));
            let seen = "SELECT count(*) FROM pg_stat_activity
                         WHERE pid <> pg_backend_pid() AND datname = current_database() AND query LIKE 'CALL%' AND state = 'active'";
            while lines(&mut client, seen) != "2" {
                thread::yield_now();
            }
            company.gateway.tap.pass();
            token
                .cancel_query(NoTls)
                .expect("the cancel request is delivered");
            waiting
                .join()
                .expect("the thread ends")
                .expect("it comes to its turn");
            assert!(stalled.join().expect("the thread ends"));
            assert_eq!(
                lines(&mut client, "SELECT count(*) FROM sage_intacct.mirror_runs"),
                runs
            );
            break;
        }
        company.gateway.tap.pass();
        token
            .cancel_query(NoTls)
            .expect("the cancel request is delivered");
        assert!(stalled.join().expect("the thread ends"));
        assert_eq!(
            lines(&mut client, "SELECT count(*) FROM sage_intacct.mirror_runs"),
            runs
        );
    }
    assert_equal(&mut client, "arinvoice");
}

#[test]
fn a_budget_ends_a_run_and_not_the_mirror() {
    let (company, mut client) = unloaded("mirror_budget");
    run(
        &mut client,
        "CALL sage_intacct.alter_mirror('finance.arinvoice', '{\"max_requests_per_run\": \"9\"}')",
    );
    for round in 1.. {
        company.gateway.tap.forget();
        refresh(&mut client, "arinvoice");
        // A step that has begun is finished, and the session signs in.
        assert!(company.gateway.tap.requests().len() <= 14, "{round}");
        if last_run(&mut client, "arinvoice").starts_with("done") {
            assert!(round > 1, "the budget was never met");
            break;
        }
        assert!(last_run(&mut client, "arinvoice").starts_with("budget"));
        assert!(round < 10, "it comes to no end");
    }
    assert_equal(&mut client, "arinvoice");
}

/// A deferred constraint of the target raises at the COMMIT of a page: that is the end of the refresh, not of the procedure.
#[test]
fn what_fails_at_the_commit_is_recorded_and_keeps_no_other_mirror_back() {
    let (company, mut client) = company("mirror_deferred", "customer, vendor");
    run(
        &mut client,
        "CREATE TABLE finance.name (name text PRIMARY KEY);
         CREATE TABLE finance.customer (LIKE acme.customer, PRIMARY KEY (recordno),
                                        FOREIGN KEY (name) REFERENCES finance.name DEFERRABLE INITIALLY DEFERRED)",
    );
    let states = |client: &mut postgres::Client| {
        lines(
            client,
            "SELECT target, last_outcome, last_error LIKE '%violates foreign key constraint%' || E'\\n' || 'Key (name)=%'
               FROM sage_intacct.mirrors ORDER BY target::text",
        )
    };
    let error = client
        .batch_execute("CALL sage_intacct.create_mirrors('acme', 'finance')")
        .expect_err("no name is known");
    let error = error.as_db_error().expect("an error of the server");
    assert_eq!(error.message(), "1 of the mirrors could not be created or loaded");
    assert_eq!(
        states(&mut client),
        "finance.customer failed t\nfinance.vendor done -"
    );
    assert_eq!(lines(&mut client, "SELECT count(*) FROM finance.customer"), "0");

    run(
        &mut client,
        "INSERT INTO finance.name SELECT DISTINCT name FROM acme.customer WHERE name IS NOT NULL",
    );
    refresh(&mut client, "customer");
    assert_equal(&mut client, "customer");
    for object in ["CUSTOMER", "VENDOR"] {
        company.gateway.change(serde_json::json!([
            { "update": { "object": object, "where": "RECORDNO < 20", "values": { "NAME": "unheard of" } } }
        ]));
    }
    client
        .batch_execute("CALL sage_intacct.refresh_mirrors('finance')")
        .expect_err("one of them fails");
    assert_eq!(
        states(&mut client),
        "finance.customer failed t\nfinance.vendor done -"
    );
    assert_equal(&mut client, "vendor");
    let error = client
        .batch_execute("CALL sage_intacct.refresh_mirror('finance.customer')")
        .expect_err("it fails again");
    assert_eq!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION));
    // Nobody's lock is left.
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        ),
        "0"
    );
    run(&mut client, "INSERT INTO finance.name VALUES ('unheard of')");
    refresh(&mut client, "customer");
    assert_equal(&mut client, "customer");
}

#[test]
fn a_commit_inside_a_transaction_block_is_refused() {
    let (_company, mut client) = company("mirror_commit", "customer");
    let error = client
        .batch_execute("BEGIN; CALL sage_intacct.mirror_commit(NULL, NULL, NULL, NULL, NULL)")
        .expect_err("it cannot commit");
    assert_eq!(error.code(), Some(&SqlState::INVALID_TRANSACTION_TERMINATION));
    run(&mut client, "ROLLBACK");
    assert_eq!(
        lines(
            &mut client,
            "CALL sage_intacct.mirror_commit(NULL, NULL, NULL, NULL, NULL)"
        ),
        "f - - - -"
    );
}
