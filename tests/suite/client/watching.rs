//! What can be seen of requests: counters, running scans, wait events, the log.

use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use regex::Regex;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

fn company(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    company.import("customer");
    let client = company.connect();
    company.gateway.tap.forget();
    (company, client)
}

fn number(client: &mut Client, sql: &str) -> i64 {
    client
        .query_one(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .get(0)
}

#[test]
fn counters_tell_what_was_asked_and_what_failed() {
    let (company, mut client) = company("watching_counters");
    let stats = |client: &mut Client, column: &str| {
        number(
            client,
            &format!(
                "SELECT {column} FROM sage_intacct.request_stats() WHERE scope = 'backend' AND server = 'acme'"
            ),
        )
    };
    client.query("SELECT recordno FROM customer", &[]).expect("rows");
    assert_eq!(stats(&mut client, "requests"), 2);
    // A page; signing in is none.
    assert_eq!(stats(&mut client, "calls"), 1);
    assert_eq!(stats(&mut client, "sign_ins"), 1);
    assert_eq!(stats(&mut client, "rows"), company.rows("CUSTOMER"));
    assert!(
        stats(&mut client, "decoded_bytes - wire_bytes") > 0,
        "it was compressed"
    );
    assert!(stats(&mut client, "(gateway_ms > 0)::int::bigint") == 1);
    assert_eq!(stats(&mut client, "retries + failures + abandoned"), 0);

    let refused = std::sync::atomic::AtomicBool::new(false);
    company.gateway.tap.rule(move |_| {
        if refused.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return Answer::Pass;
        }
        Answer::Raw(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
    client
        .query("SELECT recordno FROM customer", &[])
        .expect("rows in the end");
    assert_eq!(stats(&mut client, "requests"), 4);
    assert_eq!(stats(&mut client, "retries"), 1);
    assert_eq!(stats(&mut client, "failures"), 0);

    client
        .batch_execute("ALTER FOREIGN TABLE customer ALTER COLUMN name OPTIONS (SET field 'NO_SUCH_FIELD')")
        .expect("an option");
    client
        .query("SELECT name FROM customer", &[])
        .expect_err("no such field");
    assert_eq!(stats(&mut client, "failures"), 1);
    let errors: String = client
        .query_one(
            "SELECT errors::text FROM sage_intacct.request_stats() WHERE scope = 'backend'",
            &[],
        )
        .expect("errors")
        .get(0);
    assert_eq!(errors, r#"{"42703": 1, "53400": 1}"#);

    // They outlive the session.
    client
        .batch_execute("SELECT sage_intacct.disconnect('acme')")
        .expect("disconnected");
    assert_eq!(stats(&mut client, "requests"), 5);
    client
        .batch_execute("CREATE ROLE watching_stranger; SET ROLE watching_stranger")
        .expect("a role without rights on the server");
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM sage_intacct.request_stats()"),
        0
    );
    client
        .batch_execute("RESET ROLE; DROP ROLE watching_stranger")
        .expect("dropped");
}

#[test]
fn a_cursor_shows_how_far_it_has_come() {
    let (company, mut client) = company("watching_progress");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '20')")
        .expect("an option");
    let shown = |client: &mut Client| {
        client
            .query(
                "SELECT server, object, relation::text, rows_total, rows_done
                   FROM sage_intacct.progress WHERE pid = pg_backend_pid()",
                &[],
            )
            .expect("progress")
            .iter()
            .map(|row| {
                let texts: Vec<String> = (0..3).map(|column| row.get(column)).collect();
                (
                    texts.join(" "),
                    row.get::<_, Option<i64>>(3),
                    row.get::<_, i64>(4),
                )
            })
            .collect::<Vec<_>>()
    };
    assert!(shown(&mut client).is_empty());
    client
        .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT * FROM customer; FETCH 3 FROM c")
        .expect("a cursor");
    let rows = company.rows("CUSTOMER");
    let name = "acme CUSTOMER customer".to_owned();
    assert_eq!(shown(&mut client), [(name.clone(), Some(rows), 20)]);
    client.batch_execute("FETCH 60 FROM c").expect("more pages");
    let later = shown(&mut client);
    assert_eq!((&later[0].0, later[0].1), (&name, Some(rows)));
    assert!((63..rows).contains(&later[0].2), "{later:?}");
    client
        .batch_execute(
            "SAVEPOINT s; DECLARE d CURSOR FOR SELECT * FROM customer; FETCH 1 FROM d; ROLLBACK TO s",
        )
        .expect("another");
    assert_eq!(shown(&mut client).len(), 1);
    client.batch_execute("COMMIT").expect("a commit");
    assert!(shown(&mut client).is_empty());
}

#[test]
fn each_request_has_a_line_in_the_log() {
    let (company, mut client) = company("watching_log");
    client
        .batch_execute("ALTER SERVER acme RENAME TO logged; SET log_min_messages = 'debug1'")
        .expect("a setting");
    client.query("SELECT recordno FROM customer", &[]).expect("rows");
    let log = cluster::server_log();
    let line = Regex::new(
        r"DEBUG:  sage_intacct_fdw: logged: (\w+)( \w+)?: ok, (\d+) rows, \d+ bytes, [\d.]+ ms after [\d.]+ ms in the queue, attempt 1, controlid ([0-9a-f-]{36})",
    )
    .expect("a pattern");
    let lines: Vec<_> = line.captures_iter(&log).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert_eq!(&lines[0][1], "getAPISession");
    assert_eq!((&lines[1][1], &lines[1][2]), ("query", " CUSTOMER"));
    assert_eq!(lines[1][3].parse(), Ok(company.rows("CUSTOMER")));
    let sent = company.gateway.tap.requests();
    assert!(sent[1].contains(&format!("<controlid>{}</controlid>", &lines[1][4])));
}

#[test]
fn a_wait_for_the_gateway_has_a_name() {
    let (company, mut client) = company("watching_waits");
    client
        .query("SELECT recordno FROM customer", &[])
        .expect("signed in");
    let pid = cluster::backend(&mut client);
    company.gateway.tap.rule(|_| Answer::Stall);
    let token = client.cancel_token();
    let running = thread::spawn(move || client.simple_query("SELECT recordno FROM customer").is_err());
    company.gateway.tap.wait_for_stalled(1);
    let expected = if cluster::major_version() >= 17 {
        "SageIntacctResponse"
    } else {
        "Extension"
    };
    let mut watcher = company.connect();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let row = watcher
            .query_one(
                "SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = $1",
                &[&pid],
            )
            .expect("the backend is there");
        let event: (Option<String>, Option<String>) = (row.get(0), row.get(1));
        if event == (Some("Extension".to_owned()), Some(expected.to_owned())) {
            break;
        }
        assert!(Instant::now() < deadline, "{event:?}");
        thread::sleep(Duration::from_millis(5));
    }
    token.cancel_query(postgres::NoTls).expect("cancelled");
    assert!(running.join().expect("it ends"));
}
