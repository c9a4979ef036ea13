//! The write log: what it holds, who sees it, and what is made of it after a crash.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use postgres::Client;
use serde_json::json;

use super::common::{company, lines, refused, stored};

/// The log, shortly.
const LOG: &str = "SELECT object, function, rows::text, key_field, array_to_string(keys, ','), outcome
                     FROM sage_intacct.write_log()";

/// What is looked up of the writes in doubt.
const RESOLVE: &str =
    "SELECT array_to_string(keys, ','), outcome, reason FROM sage_intacct.resolve_writes('acme') ORDER BY 1";

/// The same when the gateway executes nothing of it any more.
const RESOLVE_LATE: &str = "SELECT array_to_string(keys, ','), outcome, reason FROM sage_intacct.resolve_writes('acme', 0) ORDER BY 1";

/// The log's file of the test's database; there must be one.
fn file(client: &mut Client) -> PathBuf {
    let row = client
        .query_one(
            "SELECT current_setting('data_directory'), (SELECT oid FROM pg_database WHERE datname = current_database())::text",
            &[],
        )
        .expect("the data directory");
    let directory = PathBuf::from(row.get::<_, String>(0)).join("sage_intacct");
    let mode = |path: &PathBuf| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let prefix = format!("{}-", row.get::<_, String>(1));
    let found = std::fs::read_dir(&directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
                // Where backends share memory, the calls of the day have files there too.
                && path.extension().is_some_and(|extension| extension == "log")
        });
    let file = found.expect("a log");
    assert_eq!(mode(&file), 0o600);
    file
}

#[test]
fn each_function_is_an_entry_with_its_outcome_and_no_value() {
    let (company, mut client) = company("log_entries");
    client
        .batch_execute(
            "INSERT INTO customer (customerid, name, creditlimit) VALUES ('L1', 'Confidential', 777.25), ('L2', 'Other', NULL);
             INSERT INTO vendor (vendorid, name) VALUES ('LV', 'Vendor Confidential');
             UPDATE customer SET name = 'Renamed Confidential' WHERE customerid = 'L1';
             DELETE FROM customer WHERE customerid = 'L2'",
        )
        .expect("writes");
    refused(
        &mut client,
        "INSERT INTO customer (customerid, name) VALUES ('L1', 'Again')",
    );
    let record = |id: &str| {
        let sql = format!("SELECT RECORDNO AS n FROM CUSTOMER WHERE CUSTOMERID = '{id}'");
        company.gateway.truth(&sql)[0]["n"].to_string()
    };
    let shown = lines(&mut client, LOG);
    assert_eq!(shown.len(), 5, "{shown:?}");
    assert_eq!(shown[0], "CUSTOMER|create|2|CUSTOMERID|L1,L2|stored");
    assert_eq!(shown[1], "VENDOR|create|1|VENDORID|LV|stored");
    assert_eq!(
        shown[2],
        format!(
            "CUSTOMER|update|1|RECORDNO|{}|stored",
            record("L1").trim_matches('"')
        )
    );
    assert!(
        shown[3].starts_with("CUSTOMER|delete|1|RECORDNO|") && shown[3].ends_with("|stored"),
        "{shown:?}"
    );
    assert_eq!(shown[4], "CUSTOMER|create|1|CUSTOMERID|L1|not stored");
    let complete = "SELECT (role = current_user AND server = 'acme' AND company = 'acme' AND length(body_hash) = 64
                            AND length(control_id) = 36 AND sent <= outcome_at AND cluster = 'this cluster')::text
                      FROM sage_intacct.write_log()";
    assert_eq!(lines(&mut client, complete), ["true"; 5]);
    let bytes = std::fs::read(file(&mut client)).expect("readable");
    let text = String::from_utf8_lossy(&bytes);
    for value in ["Confidential", "777.25", "Renamed", "senderpw", "secret"] {
        assert!(!text.contains(value), "{value} is in {text}");
    }
}

#[test]
fn what_cannot_be_logged_is_not_sent() {
    for (name, breaks, code) in [
        ("log_unwritable", false, "58030"),
        ("log_disk_full", true, "53100"),
    ] {
        let (company, mut client) = company(name);
        client
            .batch_execute("INSERT INTO customer (customerid, name) VALUES ('W0', 'x')")
            .expect("a write");
        let file = file(&mut client);
        std::fs::remove_file(&file).expect("removed");
        match breaks {
            false => std::fs::create_dir(&file).expect("a directory in its place"),
            true => std::os::unix::fs::symlink("/dev/full", &file).expect("a full disk in its place"),
        }
        company.gateway.tap.forget();
        for sql in [
            "INSERT INTO customer (customerid, name) VALUES ('W1', 'x')",
            "INSERT INTO customer (customerid, name) SELECT 'W' || i, 'x' FROM generate_series(2, 300) i",
            "DELETE FROM customer WHERE customerid = 'W0'",
        ] {
            let error = refused(&mut client, sql);
            assert_eq!(error.code().code(), code, "{error:?}");
            assert!(
                error
                    .hint()
                    .is_some_and(|hint| hint.starts_with("Nothing was sent.")),
                "{error:?}"
            );
        }
        assert_eq!(stored(&company, "W"), ["W0"]);
        let sent = company.gateway.tap.requests();
        assert!(!sent.iter().any(|xml| xml.contains("<uniqueid>true</uniqueid>")));
        match breaks {
            false => std::fs::remove_dir(&file).expect("removed"),
            true => std::fs::remove_file(&file).expect("removed"),
        }
        client
            .batch_execute("INSERT INTO customer (customerid, name) VALUES ('W1', 'x')")
            .expect("a write");
    }
}

#[test]
fn a_torn_tail_costs_nothing_else() {
    let (company, mut client) = company("log_torn");
    let insert = |client: &mut Client, id: &str| {
        let sql = format!("INSERT INTO customer (customerid, name) VALUES ('{id}', 'x')");
        client.batch_execute(&sql).expect("a write");
    };
    insert(&mut client, "T1");
    let file = file(&mut client);
    let whole = std::fs::read(&file).expect("readable");
    // Torn in the middle of what would be the next record, which the next append then follows.
    for torn in [
        b"\n0123".to_vec(),
        whole[..whole.len() - 7].to_vec(),
        vec![0; 100],
        vec![0xff; 9],
    ] {
        let mut bytes = std::fs::read(&file).expect("readable");
        bytes.extend(torn);
        std::fs::write(&file, bytes).expect("written");
        let before = lines(&mut client, LOG).len();
        insert(&mut client, &format!("T{}", before + 1));
        assert_eq!(lines(&mut client, LOG).len(), before + 1);
    }
    assert_eq!(stored(&company, "T").len(), 5);
}

#[test]
fn doubt_is_looked_up_and_settled() {
    let (company, mut client) = company("log_resolve");
    client
        .batch_execute(
            "INSERT INTO customer (customerid, name, creditlimit) VALUES ('R1', 'old', 1), ('R2', 'old', 2), ('R3', 'old', 3)",
        )
        .expect("rows");
    let mut client = company.in_doubt(
        client,
        "INSERT INTO customer (customerid, name, creditlimit) VALUES ('R4', 'x', 12.50)",
        true,
    );
    client = company.in_doubt(
        client,
        "INSERT INTO customer (customerid, name) VALUES ('R5', 'x'), ('R6', 'y')",
        false,
    );
    client = company.in_doubt(
        client,
        "UPDATE customer SET name = 'new', creditlimit = NULL WHERE customerid = 'R1'",
        true,
    );
    client = company.in_doubt(
        client,
        "UPDATE customer SET name = 'new' WHERE customerid = 'R2'",
        false,
    );
    client = company.in_doubt(client, "DELETE FROM customer WHERE customerid = 'R3'", true);
    client = company.in_doubt(client, "DELETE FROM customer WHERE customerid = 'R2'", false);
    let doubt = "SELECT count(*)::text FROM sage_intacct.write_log() WHERE outcome = 'in doubt'";
    assert_eq!(lines(&mut client, doubt), ["6"]);
    // What is there is there; what is not there may still come.
    let outcomes =
        "SELECT outcome, count(*)::text FROM sage_intacct.resolve_writes('acme') GROUP BY 1 ORDER BY 1";
    assert_eq!(lines(&mut client, outcomes), ["in doubt|3", "stored|3"]);
    assert_eq!(lines(&mut client, doubt), ["3"]);
    let waits = lines(&mut client, RESOLVE);
    assert!(
        waits
            .iter()
            .all(|line| line.ends_with("|in doubt|the gateway may still execute it")),
        "{waits:?}"
    );
    // That this server would not wait for an answer any more does not keep the gateway from executing.
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD write_timeout '0.001'); SELECT pg_sleep(0.01)")
        .expect("an option");
    assert_eq!(lines(&mut client, RESOLVE), waits);
    assert_eq!(
        refused(&mut client, "SELECT FROM sage_intacct.resolve_writes('acme', -1)")
            .code()
            .code(),
        "22023"
    );
    // Once its own limit has passed, it executes nothing any more.
    let settled = lines(&mut client, RESOLVE_LATE);
    let missing: Vec<&String> = settled.iter().filter(|line| line.starts_with("R5,R6|")).collect();
    assert_eq!(missing, ["R5,R6|not stored|no record has the key"]);
    assert!(
        settled
            .iter()
            .any(|line| line.ends_with("|not stored|the record is still there")),
        "{settled:?}"
    );
    assert_eq!(stored(&company, "R"), ["R1", "R2", "R4"]);
    let log = lines(&mut client, LOG);
    let of = |start: &str| {
        log.iter()
            .filter(|line| line.starts_with(start))
            .map(String::as_str)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of("CUSTOMER|create|1|CUSTOMERID|R4"),
        ["CUSTOMER|create|1|CUSTOMERID|R4|stored"]
    );
    assert_eq!(
        of("CUSTOMER|create|2|CUSTOMERID|R5"),
        ["CUSTOMER|create|2|CUSTOMERID|R5,R6|not stored"]
    );
    assert_eq!(log.len(), 7, "{log:?}");
}

#[test]
fn what_was_there_before_is_not_taken_for_ours() {
    let (company, client) = company("log_before");
    // The same customer, made by somebody else an hour ago.
    company.gateway.set("clock_skew", "-3600");
    company.gateway.change(json!([
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "B1", "NAME": "same" } } }
    ]));
    company.gateway.set("clock_skew", "0");
    let client = company.in_doubt(
        client,
        "INSERT INTO customer (customerid, name) VALUES ('B1', 'same')",
        true,
    );
    // And one that is made by somebody else after ours was lost.
    let mut client = company.in_doubt(
        client,
        "INSERT INTO customer (customerid, name) VALUES ('B2', 'ours')",
        false,
    );
    company.gateway.change(json!([
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "B2", "NAME": "theirs" } } }
    ]));
    assert_eq!(
        lines(&mut client, RESOLVE),
        [
            "B1|not stored|the record was there before",
            "B2|in doubt|a record with the key was created since, with other values"
        ]
    );
}

#[test]
fn objects_without_a_unique_key_stay_in_doubt() {
    let (company, mut client) = company("log_no_key");
    client
        .batch_execute(
            "CREATE FOREIGN TABLE glbatch (recordno bigint OPTIONS (type 'INTEGER'), journal text OPTIONS (type 'TEXT'),
               batch_title text OPTIONS (type 'TEXT', key 'on'), batch_date date OPTIONS (type 'DATE')) SERVER acme",
        )
        .expect("a table");
    let mut client = company.in_doubt(
        client,
        "INSERT INTO glbatch (journal, batch_title, batch_date) VALUES ('GJ', 'T-1', '2024-01-31')",
        false,
    );
    assert_eq!(
        lines(&mut client, RESOLVE_LATE),
        ["T-1|in doubt|Intacct is not known to keep BATCH_TITLE of GLBATCH unique"]
    );
}

#[test]
fn entries_are_for_the_writer_and_the_owner() {
    let (company, mut client) = company("log_roles");
    client
        .batch_execute(
            "CREATE ROLE log_writer LOGIN; CREATE ROLE log_owner LOGIN; CREATE ROLE log_other LOGIN;
             CREATE ROLE log_stats LOGIN; GRANT pg_read_all_stats TO log_stats;
             ALTER SERVER acme OWNER TO log_owner; GRANT USAGE ON FOREIGN SERVER acme TO log_writer, log_other;
             GRANT SELECT, INSERT ON customer TO log_writer, log_other;
             CREATE USER MAPPING FOR PUBLIC SERVER acme
               OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
             INSERT INTO customer (customerid, name) VALUES ('P1', 'x')",
        )
        .expect("roles");
    let mut writer = company.database.connect_as("log_writer");
    writer
        .batch_execute("INSERT INTO customer (customerid, name) VALUES ('P2', 'x')")
        .expect("a write");
    let seen = |role: &str| {
        let mut client = company.database.connect_as(role);
        let keys = lines(
            &mut client,
            "SELECT array_to_string(keys, ',') FROM sage_intacct.write_log()",
        );
        let counts = lines(
            &mut client,
            "SELECT server || ' ' || outcome || ' ' || functions || ' ' || rows FROM sage_intacct.write_counts()",
        );
        (keys.join(" "), counts.join(" "))
    };
    let expect = |keys: &str, counts: &str| (keys.to_owned(), counts.to_owned());
    for moved in [false, true] {
        assert_eq!(
            seen("log_writer"),
            expect("P2", "acme stored 1 1"),
            "moved {moved}"
        );
        assert_eq!(
            seen("log_owner"),
            expect("P1 P2", "acme stored 2 2"),
            "moved {moved}"
        );
        assert_eq!(seen("log_other"), expect("", ""), "moved {moved}");
        assert_eq!(seen("log_stats"), expect("", "acme stored 2 2"), "moved {moved}");
        assert_eq!(
            seen("postgres"),
            expect("P1 P2", "acme stored 2 2"),
            "moved {moved}"
        );
        client
            .batch_execute("SELECT * FROM sage_intacct.resolve_writes('acme')")
            .expect("what is settled moves");
    }
    let mut other = company.database.connect_as("log_other");
    for sql in [
        "SELECT * FROM sage_intacct.settled_write",
        "UPDATE sage_intacct.write_log_retention SET keep = '1 day'",
        "SELECT * FROM sage_intacct.server_home",
        "SELECT sage_intacct.adopt_server('acme')",
    ] {
        assert_eq!(refused(&mut other, sql).code().code(), "42501", "{sql}");
    }
    client
        .batch_execute(
            "DROP OWNED BY log_owner, log_writer, log_other, log_stats CASCADE;
             DROP ROLE log_owner, log_writer, log_other, log_stats",
        )
        .expect("the roles go");
}

#[test]
fn what_is_settled_moves_to_a_table_and_is_kept_so_long() {
    let (company, mut client) = company("log_archive");
    let insert = |n: usize| {
        format!(
            "INSERT INTO customer (customerid, name) SELECT 'A' || i, 'x' FROM generate_series({n}, {n} + 9) i"
        )
    };
    client.batch_execute(&insert(10)).expect("rows");
    let mut client = company.in_doubt(client, &insert(20), false);
    let file = file(&mut client);
    let before = std::fs::metadata(&file).expect("there").len();
    // A transaction that aborts moves nothing.
    client
        .batch_execute("BEGIN; SELECT * FROM sage_intacct.resolve_writes('acme'); ROLLBACK")
        .expect("an abort");
    assert_eq!(std::fs::metadata(&file).expect("there").len(), before);
    client
        .batch_execute("SELECT * FROM sage_intacct.resolve_writes('acme')")
        .expect("a move");
    assert!(std::fs::metadata(&file).expect("there").len() < before);
    let table = "SELECT array_to_string(keys, ',') FROM sage_intacct.settled_write";
    assert_eq!(
        lines(&mut client, table),
        ["A10,A11,A12,A13,A14,A15,A16,A17,A18,A19"]
    );
    assert_eq!(lines(&mut client, LOG).len(), 2);
    // What is settled is forgotten after its time, what is not never.
    client
        .batch_execute(
            "UPDATE sage_intacct.write_log_retention SET keep = '0 s';
             INSERT INTO customer (customerid, name) VALUES ('A9', 'x');
             SELECT * FROM sage_intacct.resolve_writes('acme')",
        )
        .expect("a move");
    let log = lines(&mut client, LOG);
    assert!(
        log.iter()
            .any(|line| line.contains("A20,A21") && line.ends_with("in doubt")),
        "{log:?}"
    );
    assert!(!log.iter().any(|line| line.contains("A10,A11")), "{log:?}");
}
