//! What is read back of rows that the gateway has accepted: a replica may lag behind, or break. The rows are stored, so
//! nothing of it is an error.

use std::sync::atomic::{AtomicUsize, Ordering};

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

use super::common::{Notices, company, lines, stored, watched};

/// Statements that show what Intacct holds of a row, and what they return; `%` is a prefix of the customers.
const SHOWS: [(&str, &str); 4] = [
    (
        "INSERT INTO customer (customerid, name) VALUES ('%1', 'one') RETURNING customerid, name",
        "%1|one",
    ),
    (
        "INSERT INTO customer (customerid, name, creditlimit) VALUES ('%2', 'two', 7.5) RETURNING creditlimit::text",
        "7.5",
    ),
    (
        "UPDATE customer SET name = 'uno' WHERE customerid = '%0' RETURNING customerid, name",
        "%0|uno",
    ),
    (
        "UPDATE customer SET creditlimit = 12.50 WHERE customerid = '%0' RETURNING creditlimit::text, name",
        "12.5|uno",
    ),
];

fn world(name: &str) -> (Company, Client, Notices) {
    let (company, mut setup) = company(name);
    setup
        .batch_execute("INSERT INTO customer (customerid, name, creditlimit) VALUES ('R0', 'zero', 1), ('S0', 'zero', 1), ('T0', 'zero', 1)")
        .expect("rows to work on");
    let (client, notices) = watched(&company).expect("a session");
    (company, client, notices)
}

/// Read-backs are answered as before the write so many times; those that look a row up for an UPDATE are not.
fn lag(company: &Company, times: usize) {
    let (written, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    company.gateway.tap.rule(move |xml| {
        if xml.contains("<create>") || xml.contains("<update>") {
            written.store(1, Ordering::SeqCst);
            return Answer::Pass;
        }
        let is_read_back = xml.contains("<query>") && written.load(Ordering::SeqCst) == 1;
        if !is_read_back || answered.fetch_add(1, Ordering::SeqCst) >= times {
            return Answer::Pass;
        }
        // The record as it was: of an update the old values, of a new one nothing.
        Answer::Edit(Box::new(|body| {
            match body.contains("<NAME>uno") || body.contains("12.5") {
                true => body.replace("<NAME>uno<", "<NAME>zero<").replace(">12.5<", ">1<"),
                false => {
                    let (head, rest) = body.split_once("<data ").expect("data");
                    let (data, tail) = rest.split_once("</data>").expect("its end");
                    let attributes = data.split_once('>').expect("attributes").0;
                    let none = attributes
                        .replace("count=\"1\"", "count=\"0\"")
                        .replace("totalcount=\"1\"", "totalcount=\"0\"");
                    format!("{head}<data {none}></data>{tail}")
                }
            }
        }))
    });
}

#[test]
fn a_replica_that_lags_for_a_moment_is_waited_for() {
    let (company, mut client, notices) = world("readback_moment");
    for (sql, expected) in SHOWS {
        lag(&company, 2);
        let shown = lines(&mut client, &sql.replace('%', "R"));
        assert_eq!(shown, [expected.replace('%', "R")], "{sql}");
    }
    assert_eq!(notices.take(), "");
    company.gateway.tap.pass();
}

#[test]
fn what_a_replica_does_not_show_is_null_with_a_warning() {
    let (company, mut client, notices) = world("readback_never");
    // The bound of a read bounds the wait.
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD request_timeout '1'); SELECT creditlimit FROM customer LIMIT 1",
        )
        .expect("a session");
    for (sql, expected) in SHOWS {
        lag(&company, usize::MAX);
        let shown = lines(&mut client, &sql.replace('%', "S"));
        // Of a new row the answer tells the key; of a row as it was before nothing is believed.
        let unknown = match expected.split_once('|') {
            Some(_) if sql.starts_with("INSERT") => "S1|-",
            Some(_) => "-|-",
            None => "-",
        };
        assert_eq!(shown, [unknown], "{sql}");
        let warned = notices.take();
        assert!(
            warned.contains("is written, but cannot be read back") && warned.contains("shown as NULL"),
            "{sql}: {warned}"
        );
    }
    // Triggers see NULL as well, and do not fail.
    client
        .batch_execute(
            "CREATE TABLE seen (id text, name text);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN INSERT INTO seen VALUES (coalesce(NEW.customerid, 'none'), NEW.name); RETURN NULL; END $$;
             CREATE TRIGGER note AFTER INSERT OR UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .expect("a trigger");
    lag(&company, usize::MAX);
    client
        .batch_execute("INSERT INTO customer (customerid, name) VALUES ('S3', 'three')")
        .expect("it is stored");
    assert!(notices.take().contains("cannot be read back"));
    lag(&company, 1);
    client
        .batch_execute("INSERT INTO customer (customerid, name) VALUES ('S4', 'four')")
        .expect("it is stored");
    company.gateway.tap.pass();
    assert_eq!(
        lines(&mut client, "SELECT name FROM seen ORDER BY name NULLS FIRST"),
        ["-", "four"]
    );
    assert_eq!(stored(&company, "S"), ["S0", "S1", "S2", "S3", "S4"]);
    let now = company
        .gateway
        .truth("SELECT NAME AS name, CREDITLIMIT AS lim FROM CUSTOMER WHERE CUSTOMERID = 'S0'");
    assert_eq!(now[0]["name"].as_str(), Some("uno"), "{now:?}");
}

#[test]
fn a_commit_whose_read_back_fails_is_a_commit() {
    let (company, mut client, notices) = world("readback_commit");
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit', ADD request_timeout '0.5', ADD max_retries '0');
             CREATE TABLE here (how text); SELECT creditlimit FROM customer LIMIT 1",
        )
        .expect("a mode");
    for how in ["refused", "closed", "silent", "a web page", "lagging"] {
        client
            .batch_execute(&format!(
                "BEGIN; INSERT INTO here VALUES ('{how}');
                 INSERT INTO customer (customerid, name) VALUES ('T-{how}', 'x');
                 UPDATE customer SET name = '{how}', creditlimit = NULL WHERE customerid = 'T0'"
            ))
            .expect("rows wait");
        company.gateway.tap.rule(move |xml| match xml.contains("<query>") {
            false => Answer::Pass,
            true => match how {
                "refused" => Answer::Edit(Box::new(|body| {
                    body.replace("<status>success</status><function>query", "<status>failure</status><function>query")
                })),
                "closed" => Answer::Close,
                "silent" => Answer::Swallow,
                "a web page" => Answer::Raw(
                    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 17\r\n\r\n<html>no</html>\r\n".to_vec(),
                ),
                _ => Answer::Edit(Box::new(|body| body.replace("<CREDITLIMIT></CREDITLIMIT>", "<CREDITLIMIT>9</CREDITLIMIT>"))),
            },
        });
        client
            .batch_execute("COMMIT")
            .unwrap_or_else(|error| panic!("{how}: {error:?}"));
        company.gateway.tap.pass();
        let warned = notices.take();
        assert!(warned.contains("CREDITLIMIT was set to NULL"), "{how}: {warned}");
        let here = lines(
            &mut client,
            &format!("SELECT count(*)::text FROM here WHERE how = '{how}'"),
        );
        assert_eq!(here, ["1"], "{how}");
        assert_eq!(stored(&company, &format!("T-{how}")).len(), 1, "{how}");
        let there = company
            .gateway
            .truth("SELECT NAME AS name FROM CUSTOMER WHERE CUSTOMERID = 'T0'");
        assert_eq!(there[0]["name"].as_str(), Some(how));
    }
    let doubtful = "SELECT count(*)::text FROM sage_intacct.write_log() WHERE outcome <> 'stored'";
    assert_eq!(lines(&mut client, doubtful), ["0"]);
}
