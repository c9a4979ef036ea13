//! A copy of a cluster or of a database does not write until it is adopted.

use std::time::Duration;

use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::sql::within;
use sage_intacct_fdw_tests::standby::Standby;
use sage_intacct_fdw_tests::tap::Answer;

use super::common::{company, lines, refused, stored};

const WRITES: [&str; 5] = [
    "INSERT INTO customer (customerid, name) VALUES ('H9', 'x')",
    "UPDATE customer SET name = 'y' WHERE customerid = 'H1'",
    "DELETE FROM customer WHERE customerid = 'H1'",
    "INSERT INTO customer (customerid, name) VALUES ('H9', 'x') ON CONFLICT DO NOTHING",
    "SELECT * FROM sage_intacct.upsert('customer', '[{\"customerid\": \"H9\", \"name\": \"x\"}]')",
];

/// Nothing is written by a copy, in either mode; after its adoption it is.
fn refuses_until_adopted(client: &mut Client, difference: &str) {
    for mode in ["immediate", "on_commit"] {
        client
            .batch_execute(&format!(
                "ALTER SERVER acme OPTIONS ({} write_mode '{mode}')",
                if mode == "immediate" { "ADD" } else { "SET" }
            ))
            .expect("a mode");
        for sql in WRITES
            .iter()
            .filter(|sql| mode == "immediate" || !sql.contains("CONFLICT"))
        {
            let error = refused(client, sql);
            assert_eq!(error.code().code(), "55000", "{sql}: {error:?}");
            assert!(
                error.detail().is_some_and(|detail| detail.contains(difference)),
                "{error:?}"
            );
            assert!(
                error
                    .hint()
                    .is_some_and(|hint| hint.contains("sage_intacct.adopt_server('acme')")),
                "{error:?}"
            );
        }
    }
    let read = client.query_one("SELECT count(*) FROM customer WHERE customerid = 'H1'", &[]);
    assert_eq!(read.expect("reads go on").get::<_, i64>(0), 1);
    assert_eq!(
        lines(client, "SELECT sage_intacct.adopt_server('acme')::text"),
        ["true"]
    );
    client
        .batch_execute("ALTER SERVER acme OPTIONS (DROP write_mode); INSERT INTO customer (customerid, name) VALUES ('H8', 'x')")
        .expect("it writes");
    assert_eq!(
        lines(client, "SELECT sage_intacct.adopt_server('acme')::text"),
        ["false"]
    );
}

#[test]
fn a_database_made_from_another_as_template_is_a_copy() {
    let (company, mut client) = company("home_template");
    client
        .batch_execute("INSERT INTO customer (customerid, name) VALUES ('H1', 'x')")
        .expect("the first write");
    drop(client);
    let name = format!("{}_copy", company.database.name());
    let mut admin = cluster::connect("postgres", "postgres");
    for attempt in 1.. {
        match admin.batch_execute(&format!(
            "CREATE DATABASE {name} TEMPLATE {}",
            company.database.name()
        )) {
            Ok(()) => break,
            // The last session may still be closing.
            Err(error) if attempt < 50 => {
                assert_eq!(error.code().map(postgres::error::SqlState::code), Some("55006"));
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    let mut copy = cluster::connect(&name, "postgres");
    refuses_until_adopted(&mut copy, "It was written through the database with OID");
    drop(copy);
    admin
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .expect("dropped");
    // The original goes on.
    let mut client = company.connect();
    client
        .batch_execute("INSERT INTO customer (customerid, name) VALUES ('H2', 'x')")
        .expect("it writes");
    assert_eq!(stored(&company, "H"), ["H1", "H8", "H2"]);
}

#[test]
fn another_system_timeline_or_directory_is_a_copy() {
    for (name, change, difference) in [
        (
            "home_system",
            "system_identifier = '4711'",
            "system identifier 4711, this is",
        ),
        (
            "home_timeline",
            "timeline = timeline + 1",
            "timeline 2, this is 1.",
        ),
        (
            "home_directory",
            "data_directory = '/srv/production'",
            "data directory \"/srv/production\", this is",
        ),
    ] {
        let (company, mut client) = company(name);
        client
            .batch_execute("INSERT INTO customer (customerid, name) VALUES ('H1', 'x')")
            .expect("the first write");
        client
            .batch_execute(&format!("UPDATE sage_intacct.server_home SET {change}"))
            .expect("as if it were a copy");
        // A session that has written is not asked again: it did not move.
        let mut client = company.connect();
        refuses_until_adopted(&mut client, difference);
        assert_eq!(stored(&company, "H"), ["H1", "H8"]);
    }
}

#[test]
fn a_first_write_that_fails_makes_no_home() {
    let (company, mut client) = company("home_failed");
    company.gateway.tap.rule(|xml| match xml.contains("<create>") {
        true => Answer::Raw(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n".to_vec()),
        false => Answer::Pass,
    });
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD max_retries '0')")
        .expect("an option");
    refused(
        &mut client,
        "INSERT INTO customer (customerid, name) VALUES ('H1', 'x')",
    );
    let homes = "SELECT count(*)::text FROM sage_intacct.server_home";
    assert_eq!(lines(&mut client, homes), ["0"]);
    company.gateway.tap.pass();
    client
        .batch_execute("INSERT INTO customer (customerid, name) VALUES ('H1', 'x')")
        .expect("a write");
    assert_eq!(lines(&mut client, homes), ["1"]);
}

#[test]
fn a_promoted_base_backup_shows_what_it_brought_and_writes_nothing() {
    let (company, mut client) = company("home_backup");
    client
        .batch_execute("INSERT INTO customer (customerid, name) VALUES ('H1', 'x')")
        .expect("the first write");
    // One in doubt, which the copy must not settle.
    company.gateway.tap.rule(|xml| match xml.contains("<create>") {
        true => Answer::Swallow,
        false => Answer::Pass,
    });
    let insert = "INSERT INTO customer (customerid, name) VALUES ('H2', 'x')";
    assert_eq!(
        refused(&mut client, &within("300ms", insert)).code().code(),
        "08007"
    );
    company.gateway.tap.pass();
    let copy = Standby::start("write_copy");
    let mut promoted = copy.connect(company.database.name());
    assert_eq!(refused(&mut promoted, WRITES[0]).code().code(), "25006");
    promoted.batch_execute("SELECT pg_promote()").expect("promoted");
    let log =
        "SELECT array_to_string(keys, ','), outcome, (cluster LIKE 'another: system identifier %')::text
                 FROM sage_intacct.write_log()";
    assert_eq!(lines(&mut promoted, log), ["H1|stored|true", "H2|in doubt|true"]);
    let resolve =
        "SELECT array_to_string(keys, ','), outcome, reason FROM sage_intacct.resolve_writes('acme')";
    let copied = "H2|in doubt|written by another cluster, of which this is a copy: it is settled there";
    assert_eq!(lines(&mut promoted, resolve), [copied]);
    refuses_until_adopted(&mut promoted, "It was written through timeline 1, this is 2.");
    // Its own writes are its own affair.
    assert_eq!(lines(&mut promoted, resolve), [copied]);
    assert_eq!(lines(&mut client, resolve)[0].split('|').nth(1), Some("stored"));
}
