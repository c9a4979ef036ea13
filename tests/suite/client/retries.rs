//! Failures that pass: the statement succeeds all the same.

use std::sync::atomic::{AtomicUsize, Ordering};

use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

/// Counts the rows while the first requests for rows fail in one way.
fn survives(name: &str, failures: usize, answer: fn() -> Answer) {
    let company = Company::start(name);
    company.import("customer");
    let mut client = company.connect();
    client
        .query("SELECT recordno FROM customer LIMIT 1", &[])
        .expect("signed in");
    let seen = AtomicUsize::new(0);
    company.gateway.tap.rule(move |xml| {
        let fails = xml.contains("<query>") && seen.fetch_add(1, Ordering::SeqCst) < failures;
        if fails { answer() } else { Answer::Pass }
    });
    let row = client
        .query_one("SELECT count(*), count(DISTINCT recordno) FROM customer", &[])
        .expect("in the end");
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, i64>(1)),
        (company.rows("CUSTOMER"), company.rows("CUSTOMER"))
    );
}

#[test]
fn a_rate_limit() {
    survives("retry_429", 1, || {
        Answer::Raw(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
}

#[test]
fn a_server_error() {
    survives("retry_500", 2, || {
        Answer::Raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
}

#[test]
fn a_lost_connection() {
    survives("retry_close", 1, || Answer::Close);
}

#[test]
fn a_body_that_breaks_off() {
    survives("retry_cut", 1, || Answer::Cut(900));
}

#[test]
fn an_empty_body() {
    survives("retry_empty", 1, || Answer::Body(Vec::new()));
}

#[test]
fn an_expired_session_is_renewed_in_the_middle_of_a_scan() {
    let company = Company::start("retry_session");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '10')")
        .expect("an option");
    client
        .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT recordno FROM customer; FETCH 3 FROM c")
        .expect("the first page");
    company.gateway.expire_sessions();
    company.gateway.tap.forget();
    let rows = client.simple_query("FETCH ALL FROM c").expect("the rest");
    let rows = rows
        .iter()
        .filter(|message| matches!(message, postgres::SimpleQueryMessage::Row(_)))
        .count();
    assert_eq!(
        i64::try_from(rows).expect("few rows") + 3,
        company.rows("CUSTOMER")
    );
    let sign_ins = company
        .gateway
        .tap
        .requests()
        .iter()
        .filter(|xml| xml.contains("getAPISession"))
        .count();
    assert_eq!(sign_ins, 1, "one new session is enough");
}

#[test]
fn a_permanent_failure_is_not_repeated() {
    let company = Company::start("retry_permanent");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE t (recordno bigint, surname text) SERVER acme OPTIONS (object 'CUSTOMER')",
        )
        .expect("a table");
    client
        .simple_query("SELECT recordno FROM t LIMIT 1")
        .expect("signed in");
    company.gateway.tap.forget();
    client
        .simple_query("SELECT surname FROM t")
        .expect_err("no such field");
    assert_eq!(company.gateway.tap.requests().len(), 1);
}
