//! Writes as a client sees them: how many requests they cost, and what is told when they are cut short.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postgres::Client;
use postgres::error::DbError;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

use super::budget::requests;

/// A statement that ends within this time did not wait for a gateway that is silent.
const LIMIT: Duration = Duration::from_secs(10);

const TABLES: &str = "
    CREATE FOREIGN TABLE customer (
      recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT'),
      creditlimit numeric OPTIONS (type 'CURRENCY')) SERVER acme;";

/// A company with a table of customers, and a session that is signed in.
fn company(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    let mut client = company.connect();
    client.batch_execute(TABLES).expect("tables");
    client
        .query("SELECT creditlimit FROM customer LIMIT 1", &[])
        .expect("a working gateway");
    company.gateway.tap.forget();
    (company, client)
}

/// Customers that Intacct has under a prefix, in the order of their record numbers.
fn stored(company: &Company, prefix: &str) -> Vec<String> {
    let sql =
        format!("SELECT CUSTOMERID AS id FROM CUSTOMER WHERE CUSTOMERID LIKE '{prefix}%' ORDER BY RECORDNO");
    let rows = company.gateway.truth(&sql);
    rows.iter()
        .map(|row| row["id"].as_str().expect("a text").to_owned())
        .collect()
}

/// What happens with the requests that hold a text: the nth of them, counted from 1, gets this answer, the others pass.
fn nth(company: &Company, text: &'static str, n: usize, answer: fn() -> Answer) {
    let seen = AtomicUsize::new(0);
    company.gateway.tap.rule(move |xml| {
        if xml.contains(text) && seen.fetch_add(1, Ordering::SeqCst) + 1 == n {
            answer()
        } else {
            Answer::Pass
        }
    });
}

/// Runs a statement in another thread; its error comes through the channel.
fn spawn(mut client: Client, sql: String) -> mpsc::Receiver<(Client, Option<DbError>)> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let error = client
            .batch_execute(&sql)
            .err()
            .and_then(|error| error.as_db_error().cloned());
        // The test may have given up.
        let _ = sender.send((client, error));
    });
    receiver
}

/// Cancels a statement when the gateway is silent, and gives its error.
#[track_caller]
fn cancelled(company: &Company, mut client: Client, sql: &str) -> (Client, DbError) {
    let pid = cluster::backend(&mut client);
    let result = spawn(client, sql.to_owned());
    company.gateway.tap.wait_for_stalled(1);
    company.cancel(pid);
    let (client, error) = result.recv_timeout(LIMIT).expect("the statement ends");
    company.gateway.tap.pass();
    (client, error.expect("an error"))
}

fn insert(prefix: &str, rows: usize) -> String {
    format!(
        "INSERT INTO customer (customerid, name) SELECT '{prefix}' || lpad(i::text, 5, '0'), 'x' FROM generate_series(1, {rows}) i"
    )
}

#[test]
fn a_copy_of_ten_thousand_rows_is_a_hundred_functions_in_order() {
    let (company, mut client) = company("writes_copy");
    let mut sink = client
        .copy_in("COPY customer (customerid, name, creditlimit) FROM STDIN")
        .expect("COPY begins");
    for row in 1..=10_000 {
        writeln!(sink, "B{row:05}\tNumber {row}\t{row}.25").expect("a row is sent");
    }
    assert_eq!(sink.finish().expect("COPY ends"), 10_000);
    assert_eq!(requests(&company), vec!["create"; 100]);
    let expected: Vec<String> = (1..=10_000).map(|row| format!("B{row:05}")).collect();
    assert_eq!(stored(&company, "B"), expected);
}

#[test]
fn statements_send_no_more_than_they_must() {
    let (company, mut client) = company("writes_budget");
    let mut costs = |sql: &str, expected: &[&str]| {
        requests(&company);
        client
            .simple_query(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(requests(&company), expected, "{sql}");
    };
    costs(&insert("S", 250), &["create", "create", "create"]);
    costs(
        "INSERT INTO customer (customerid, name) VALUES ('R1', 'x') RETURNING recordno",
        &["create"],
    );
    costs(
        "INSERT INTO customer (customerid, name) VALUES ('R2', 'x') RETURNING customerid, name",
        &["create", "query CUSTOMER 2"],
    );
    costs(
        "INSERT INTO customer (customerid, name) VALUES ('R2', 'x'), ('R3', 'x'), ('R1', 'x') ON CONFLICT DO NOTHING",
        // A row is left out once its key was found.
        &["create + create + create", "query CUSTOMER 2000"],
    );
    costs(
        "UPDATE customer SET name = 'y' WHERE customerid LIKE 'S%'",
        &["query CUSTOMER 2000", "update", "update", "update"],
    );
    costs(
        "UPDATE customer SET name = 'z' WHERE customerid = 'R1' RETURNING recordno",
        &["query CUSTOMER 2000", "update"],
    );
    costs(
        "DELETE FROM customer WHERE customerid LIKE 'S%' RETURNING customerid",
        &[
            "query CUSTOMER 2000",
            "delete CUSTOMER",
            "delete CUSTOMER",
            "delete CUSTOMER",
        ],
    );
    costs(
        "UPDATE customer SET name = 'y' WHERE customerid = 'nobody'",
        &["query CUSTOMER 2000"],
    );
    costs("INSERT INTO customer (customerid) SELECT 'none' WHERE false", &[]);
}

#[test]
fn an_update_sends_what_is_assigned_and_nothing_else() {
    let (company, mut client) = company("writes_assigned");
    client.batch_execute(&insert("A", 1)).expect("a row");
    company.gateway.tap.forget();
    client
        .batch_execute("UPDATE customer SET creditlimit = 7.5 WHERE customerid = 'A00001'")
        .expect("an update");
    let sent = company.gateway.tap.requests().pop().expect("a request");
    let update = &sent[sent.find("<update>").expect("an update")..sent.find("</update>").expect("its end")];
    let fields: Vec<&str> = update
        .split('<')
        .filter_map(|part| part.split('>').next())
        .collect();
    assert_eq!(
        fields,
        [
            "",
            "update",
            "CUSTOMER",
            "RECORDNO",
            "/RECORDNO",
            "CREDITLIMIT",
            "/CREDITLIMIT",
            "/CUSTOMER"
        ]
    );
}

#[test]
fn a_cancel_in_flight_tells_what_is_stored_and_what_may_be() {
    let (company, client) = company("writes_cancel");
    nth(&company, "<create>", 2, || Answer::Swallow);
    let (mut client, error) = cancelled(&company, client, &insert("K", 250));
    assert_eq!(error.code().code(), "08007", "{error:?}");
    let detail = error.detail().expect("a detail");
    assert!(detail.contains("Certainly stored: rows 1 to 100."), "{detail}");
    assert!(
        detail.contains("Possibly stored: rows 101 to 200 (CUSTOMERID K00101,"),
        "{detail}"
    );
    assert!(detail.contains("Control IDs: "), "{detail}");
    assert_eq!(stored(&company, "K").len(), 200);
    client
        .batch_execute("UPDATE customer SET name = 'y' WHERE customerid = 'K00001'")
        .expect("the backend works on");
}

#[test]
fn a_statement_timeout_in_flight_does_as_well() {
    let (company, mut client) = company("writes_timeout");
    nth(&company, "<delete>", 1, || Answer::Stall);
    client
        .batch_execute(&format!("{}; SET statement_timeout = '500ms'", insert("T", 3)))
        .expect("rows");
    let error = client
        .batch_execute("DELETE FROM customer WHERE customerid LIKE 'T%'")
        .expect_err("a timeout");
    let error = error.as_db_error().expect("an error of the server");
    assert_eq!(error.code().code(), "08007", "{error:?}");
    let detail = error.detail().expect("a detail");
    assert!(
        detail.contains("Certainly deleted: no row.\nPossibly deleted: rows 1 to 3 (RECORDNO "),
        "{detail}"
    );
    company.gateway.tap.pass();
    assert_eq!(stored(&company, "T").len(), 3);
}

#[test]
fn a_cancel_before_anything_is_sent_is_an_ordinary_one() {
    let (company, mut client) = company("writes_cancel_early");
    client
        .batch_execute("SELECT sage_intacct.disconnect('acme')")
        .expect("the session is forgotten");
    company.gateway.tap.rule(|_| Answer::Stall);
    let (_, error) = cancelled(&company, client, &insert("N", 3));
    assert_eq!(error.code().code(), "57014", "{error:?}");
    assert_eq!(error.detail(), None);
    assert_eq!(stored(&company, "N"), [""; 0]);
}

#[test]
fn a_terminated_backend_leaves_a_line_in_the_log() {
    let (company, mut client) = company("writes_terminate");
    let pid = cluster::backend(&mut client);
    nth(&company, "<create>", 1, || Answer::Swallow);
    let result = spawn(client, insert("Q", 5));
    company.gateway.tap.wait_for_stalled(1);
    let ended: bool = company
        .connect()
        .query_one("SELECT pg_terminate_backend($1::integer, 10000)", &[&pid])
        .expect("terminated")
        .get(0);
    assert!(ended, "backend {pid} did not end");
    let (_, error) = result.recv_timeout(LIMIT).expect("the connection ends");
    // A client that sees the end of the connection at once with the error tells of the end alone.
    if let Some(error) = error {
        assert_eq!(error.code().code(), "57P01");
    }
    let log = cluster::server_log();
    assert!(
        log.contains("a backend was terminated while Sage Intacct was writing")
            && log.contains("Rows in doubt: 5."),
        "{log}"
    );
}

#[test]
fn a_lost_answer_is_looked_up_and_the_statement_goes_on() {
    let (company, mut client) = company("writes_lost");
    nth(&company, "<create>", 2, || Answer::Cut(0));
    client
        .batch_execute(&insert("L", 250))
        .expect("all rows are stored");
    assert_eq!(stored(&company, "L").len(), 250);
    nth(&company, "<create>", 1, || Answer::Close);
    client
        .batch_execute(&insert("M", 50))
        .expect("all rows are stored");
    assert_eq!(stored(&company, "M").len(), 50);
}

#[test]
fn a_gateway_that_dies_is_an_error_with_its_rows() {
    let (company, mut client) = company("writes_dies");
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD max_retries '0'); SELECT creditlimit FROM customer LIMIT 1",
        )
        .expect("a session under the new option");
    let seen = AtomicUsize::new(0);
    company.gateway.tap.rule(move |xml| {
        match xml.contains("<create>") && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            true => Answer::Pass,
            false => Answer::Close,
        }
    });
    let error = client.batch_execute(&insert("D", 150)).expect_err("an error");
    let error = error.as_db_error().expect("an error of the server");
    assert_eq!(error.code().code(), "08007", "{error:?}");
    let detail = error.detail().expect("a detail");
    assert!(
        detail.contains("Certainly stored: rows 1 to 100.\nPossibly stored: rows 101 to 150 "),
        "{detail}"
    );
    assert_eq!(stored(&company, "D").len(), 100);
}

#[test]
fn a_cancel_at_the_commit_aborts_it() {
    let (company, mut client) = company("writes_commit");
    client
        .batch_execute("CREATE TABLE here (i int); ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit')")
        .expect("a mode");
    let mut client = {
        client
            .batch_execute(&format!("BEGIN; INSERT INTO here VALUES (1); {}", insert("C", 3)))
            .expect("rows wait");
        assert_eq!(requests(&company), [""; 0]);
        nth(&company, "<create>", 1, || Answer::Swallow);
        let (client, error) = cancelled(&company, client, "COMMIT");
        assert_eq!(error.code().code(), "08007", "{error:?}");
        let detail = error.detail().expect("a detail");
        assert!(
            detail.contains("Certainly stored: no row.\nPossibly stored: rows 1 to 3 "),
            "{detail}"
        );
        client
    };
    let rows: i64 = client
        .query_one("SELECT count(*) FROM here", &[])
        .expect("the backend works on")
        .get(0);
    assert_eq!(rows, 0);
    client
        .batch_execute("BEGIN; INSERT INTO customer (customerid, name) VALUES ('C9', 'x'); COMMIT")
        .expect("the next transaction is its own");
    assert!(stored(&company, "C").contains(&"C9".to_owned()));
}
