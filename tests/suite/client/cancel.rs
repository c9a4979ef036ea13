//! A statement that waits for the gateway ends when it is told to.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postgres::NoTls;
use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::process::{Resources, resources};
use sage_intacct_fdw_tests::tap::Answer;

/// The gateway would not answer for minutes: a statement that ends within this time did not wait for it.
const LIMIT: Duration = Duration::from_secs(5);

/// A company whose gateway stalls every request for rows.
fn stalling(name: &str, answer: fn() -> Answer) -> Company {
    let company = Company::start(name);
    company.import("customer");
    // The session is there already; only rows are waited for.
    let mut client = company.connect();
    client
        .query("SELECT recordno FROM customer LIMIT 1", &[])
        .expect("a working gateway");
    company.gateway.tap.rule(move |xml| {
        if xml.contains("<query>") {
            answer()
        } else {
            Answer::Pass
        }
    });
    company
}

/// Runs a query in another thread; the answer comes through the channel.
fn spawn_query(
    mut client: postgres::Client,
    sql: &'static str,
) -> mpsc::Receiver<(postgres::Client, Option<SqlState>)> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let code = client
            .simple_query(sql)
            .err()
            .map(|error| error.code().cloned().unwrap_or(SqlState::CONNECTION_FAILURE));
        // The test may have given up.
        let _ = sender.send((client, code));
    });
    receiver
}

fn cancelled_by_request(company: &Company, sql: &'static str) {
    let mut client = company.connect();
    let pid = cluster::backend(&mut client);
    let result = spawn_query(client, sql);
    company.gateway.tap.wait_for_stalled(1);
    company.cancel(pid);
    let (mut client, code) = result.recv_timeout(LIMIT).expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
    company.gateway.tap.wait_for_stalled(0);
    company.gateway.tap.pass();
    let row = client
        .query_one("SELECT count(*) FROM customer", &[])
        .expect("the backend works on");
    assert_eq!(row.get::<_, i64>(0), company.rows("CUSTOMER"));
}

#[test]
fn cancel_ends_a_wait_for_an_answer() {
    cancelled_by_request(
        &stalling("cancel", || Answer::Stall),
        "SELECT count(*) FROM customer",
    );
}

#[test]
fn cancel_ends_a_wait_of_a_function() {
    cancelled_by_request(
        &stalling("cancel_function", || Answer::Stall),
        "SELECT * FROM sage_intacct.query('acme', 'select NAME from CUSTOMER')",
    );
}

#[test]
fn cancel_ends_a_wait_in_the_middle_of_a_body() {
    cancelled_by_request(
        &stalling("cancel_body", || Answer::StallInBody),
        "SELECT count(*) FROM customer",
    );
}

#[test]
fn cancel_ends_an_import() {
    let company = Company::start("cancel_import");
    company.gateway.tap.rule(|xml| {
        if xml.contains("<lookup>") {
            Answer::Stall
        } else {
            Answer::Pass
        }
    });
    let client = company.connect();
    let token = client.cancel_token();
    let result = spawn_query(
        client,
        "IMPORT FOREIGN SCHEMA intacct LIMIT TO (vendor) FROM SERVER acme INTO public",
    );
    company.gateway.tap.wait_for_stalled(1);
    token
        .cancel_query(NoTls)
        .expect("the cancel request is delivered");
    let (_, code) = result.recv_timeout(LIMIT).expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
}

#[test]
fn cancel_ends_a_sign_in() {
    let company = Company::start("cancel_sign_in");
    company.import("customer");
    company.gateway.tap.rule(|_| Answer::Stall);
    let client = company.connect();
    let token = client.cancel_token();
    let result = spawn_query(client, "SELECT count(*) FROM customer");
    company.gateway.tap.wait_for_stalled(1);
    token
        .cancel_query(NoTls)
        .expect("the cancel request is delivered");
    let (_, code) = result.recv_timeout(LIMIT).expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
}

#[test]
fn cancel_ends_the_connection_test() {
    let company = Company::start("cancel_check");
    company.gateway.tap.rule(|_| Answer::Stall);
    let client = company.connect();
    let token = client.cancel_token();
    let result = spawn_query(client, "SELECT * FROM sage_intacct.check('acme')");
    company.gateway.tap.wait_for_stalled(1);
    token
        .cancel_query(NoTls)
        .expect("the cancel request is delivered");
    let (_, code) = result.recv_timeout(LIMIT).expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
}

#[test]
fn cancel_ends_the_pause_before_a_retry() {
    let company = Company::start("cancel_pause");
    company.import("customer");
    company.gateway.tap.rule(|_| {
        Answer::Raw(
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n".to_vec(),
        )
    });
    let client = company.connect();
    let token = client.cancel_token();
    company.gateway.tap.forget();
    let result = spawn_query(client, "SELECT count(*) FROM customer");
    company.gateway.tap.wait_for_requests(1);
    // The statement is inside of the gateway call already, or in the pause that follows it: it ends from either.
    token
        .cancel_query(NoTls)
        .expect("the cancel request is delivered");
    let (_, code) = result.recv_timeout(LIMIT).expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
}

#[test]
fn statement_timeout_ends_a_wait() {
    let company = stalling("timeout", || Answer::Stall);
    let client = company.connect();
    let result = spawn_query(
        client,
        "SET LOCAL statement_timeout = '200ms'; SELECT count(*) FROM customer",
    );
    let (mut client, code) = result.recv_timeout(LIMIT).expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
    company.gateway.tap.pass();
    client
        .query("SELECT count(*) FROM customer", &[])
        .expect("the backend works on");
}

#[test]
fn request_timeout_ends_a_wait_with_its_own_error() {
    let company = stalling("request_timeout", || Answer::Stall);
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD request_timeout '1', ADD max_retries '0')")
        .expect("options");
    let result = spawn_query(client, "SELECT count(*) FROM customer");
    let (mut client, code) = result.recv_timeout(LIMIT).expect("the statement ends");
    assert_eq!(code.as_ref().map(SqlState::code), Some("08006"));
    company.gateway.tap.pass();
    client
        .query("SELECT count(*) FROM customer", &[])
        .expect("the backend works on");
}

#[test]
fn terminate_ends_the_backend() {
    let company = stalling("terminate", || Answer::Stall);
    let mut client = company.connect();
    let pid = cluster::backend(&mut client);
    let result = spawn_query(client, "SELECT count(*) FROM customer");
    company.gateway.tap.wait_for_stalled(1);
    let mut admin = company.connect();
    admin
        .execute("SELECT pg_terminate_backend($1::integer)", &[&pid])
        .expect("terminated");
    let (_, code) = result.recv_timeout(LIMIT).expect("the connection ends");
    // A client that is slow meets the message and the end of its connection at once, and this library then tells of the
    // end alone. The server's log has what was said.
    if code != Some(SqlState::ADMIN_SHUTDOWN) {
        assert_eq!(code, Some(SqlState::CONNECTION_FAILURE));
        let said = format!("[{pid}] FATAL:  terminating connection due to administrator command");
        assert!(
            cluster::server_log().contains(&said),
            "backend {pid} did not say why it ended"
        );
    }
    // The process is gone too, its thread with it.
    company.gateway.tap.wait_for_stalled(0);
    let gone: bool = (0..500).any(|_| {
        thread::sleep(Duration::from_millis(10));
        admin
            .query_one(
                "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)",
                &[&pid],
            )
            .expect("the server lives")
            .get::<_, bool>(0)
    });
    assert!(gone, "backend {pid} is still there");
}

#[test]
fn an_idle_backend_with_a_session_ends_at_once() {
    let company = Company::start("terminate_idle");
    company.import("customer");
    let mut client = company.connect();
    client
        .query("SELECT recordno FROM customer LIMIT 1", &[])
        .expect("rows");
    let pid = cluster::backend(&mut client);
    let mut admin = company.connect();
    let ended: bool = admin
        .query_one("SELECT pg_terminate_backend($1::integer, 5000)", &[&pid])
        .expect("terminated")
        .get(0);
    assert!(ended, "backend {pid} did not end within five seconds");
}

/// Waits until the process holds no more descriptors and threads than `before`: connections of cancelled requests
/// are closed by the I/O thread, a moment after the statement has ended. Gives what it holds then.
fn settled(pid: i32, before: Resources) -> Resources {
    for _ in 0..500 {
        let now = resources(pid);
        if now.descriptors <= before.descriptors && now.threads <= before.threads {
            return now;
        }
        thread::sleep(Duration::from_millis(10));
    }
    resources(pid)
}

/// Fails if the second look shows more than the first: of a hundred rounds each would have left something.
#[track_caller]
fn assert_no_leak(before: Resources, after: Resources) {
    assert!(
        after.descriptors <= before.descriptors + 4,
        "{before:?} {after:?}"
    );
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(
        after.memory_kib <= before.memory_kib + 2048,
        "{before:?} {after:?}"
    );
}

/// Starts a statement, cancels it while it waits for the gateway, and gives the connection back.
fn cancelled_round(company: &Company, pid: i32, client: postgres::Client) -> postgres::Client {
    let result = spawn_query(client, "SELECT count(*) FROM customer");
    company.gateway.tap.wait_for_stalled(1);
    company.cancel(pid);
    let (returned, code) = result.recv_timeout(LIMIT).expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
    returned
}

#[test]
fn a_hundred_cancels_leak_nothing() {
    let company = stalling("cancel_hundred", || Answer::Stall);
    let mut client = company.connect();
    let pid = cluster::backend(&mut client);
    let mut before = None;
    for round in 0..110 {
        client = cancelled_round(&company, pid, client);
        company.gateway.tap.wait_for_stalled(0);
        if round == 9 {
            before = Some(resources(pid));
        }
    }
    let before = before.expect("ten rounds have passed");
    assert_no_leak(before, settled(pid, before));
    company.gateway.tap.pass();
    let row = client
        .query_one("SELECT count(*) FROM customer", &[])
        .expect("the backend works on");
    assert_eq!(row.get::<_, i64>(0), company.rows("CUSTOMER"));
}

#[test]
fn a_cursor_that_is_left_leaves_nothing() {
    let company = Company::start("left_cursor");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '5')")
        .expect("an option");
    let pid = cluster::backend(&mut client);
    let mut before = None;
    for round in 0..110 {
        client
            .batch_execute(
                "BEGIN; DECLARE c CURSOR FOR SELECT * FROM customer; FETCH 7 FROM c;
                 SAVEPOINT s; DECLARE d CURSOR FOR SELECT name FROM customer; FETCH 3 FROM d; ROLLBACK TO s; ROLLBACK",
            )
            .expect("cursors");
        if round == 9 {
            before = Some(resources(pid));
        }
    }
    let before = before.expect("ten rounds have passed");
    assert_no_leak(before, settled(pid, before));
}
