//! What a server or a session may be restricted to: rows of a statement, and nothing at all.

use std::io::Write;

use super::common::{company, lines, refused, stored, watched};

fn insert(prefix: &str, rows: usize) -> String {
    format!(
        "INSERT INTO customer (customerid, name) SELECT '{prefix}' || lpad(i::text, 4, '0'), 'x' FROM generate_series(1, {rows}) i"
    )
}

#[test]
fn a_statement_writes_no_more_rows_than_it_may() {
    let (company, mut client) = company("max_rows");
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD max_rows_per_statement '150');
             CREATE TABLE parts (id text, name text) PARTITION BY LIST (name);
             CREATE FOREIGN TABLE part_a (id text OPTIONS (field 'CUSTOMERID'), name text) SERVER acme
               OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE part_b (id text OPTIONS (field 'CUSTOMERID'), name text) SERVER acme
               OPTIONS (object 'CUSTOMER');
             ALTER TABLE parts ATTACH PARTITION part_a FOR VALUES IN ('a');
             ALTER TABLE parts ATTACH PARTITION part_b FOR VALUES IN ('b')",
        )
        .expect("a bound");
    client
        .batch_execute(&insert("XA", 150))
        .expect("as many as it may");
    assert_eq!(stored(&company, "XA").len(), 150);
    company.gateway.tap.forget();
    let one_too_many = [
        insert("XB", 151),
        "UPDATE customer SET name = 'y' WHERE customerid NOT LIKE 'no%'".to_owned(),
        "DELETE FROM customer WHERE customerid NOT LIKE 'no%'".to_owned(),
        "INSERT INTO parts SELECT 'XC' || i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 160) i".to_owned(),
        format!("WITH w AS ({} RETURNING 1) {}", "UPDATE customer SET name = 'z' WHERE customerid LIKE 'XA%'", insert("XD", 1)),
    ];
    for sql in &one_too_many {
        let error = refused(&mut client, sql);
        assert_eq!(error.code().code(), "54000", "{sql}: {error:?}");
    }
    let mut copy = client
        .copy_in("COPY customer (customerid, name) FROM STDIN")
        .expect("COPY begins");
    for row in 0..151 {
        writeln!(copy, "XE{row}\tx").expect("a row is sent");
    }
    let error = copy.finish().expect_err("one too many");
    assert_eq!(error.code().map(postgres::error::SqlState::code), Some("54000"));
    // Row by row it could not be known beforehand.
    for sql in [
        "INSERT INTO customer (customerid, name) VALUES ('XF', 'x') RETURNING recordno, name",
        "INSERT INTO customer (customerid, name) VALUES ('XF', 'x') ON CONFLICT DO NOTHING",
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code().code(), "0A000", "{sql}: {error:?}");
    }
    let sent = company.gateway.tap.requests();
    assert!(
        !sent.iter().any(|xml| xml.contains("<uniqueid>true</uniqueid>")),
        "something was sent"
    );
    // A statement before does not count, whether it failed or not; a setting narrows and never widens.
    client.batch_execute(&insert("XG", 100)).expect("few");
    client
        .batch_execute("SET sage_intacct.max_rows_per_statement = 10")
        .expect("a setting");
    assert_eq!(refused(&mut client, &insert("XH", 11)).code().code(), "54000");
    client.batch_execute(&insert("XI", 10)).expect("few");
    client
        .batch_execute("SET sage_intacct.max_rows_per_statement = 100000")
        .expect("a setting");
    assert_eq!(refused(&mut client, &insert("XJ", 151)).code().code(), "54000");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit')")
        .expect("a mode");
    assert_eq!(refused(&mut client, &insert("XK", 151)).code().code(), "54000");
    client.batch_execute(&insert("XL", 150)).expect("few");
    assert_eq!(stored(&company, "XL").len(), 150);
    client
        .batch_execute("ALTER SERVER acme OPTIONS (SET write_mode 'immediate', SET max_rows_per_statement '0'); RESET ALL")
        .expect("no bound");
    client
        .batch_execute("INSERT INTO customer (customerid, name) VALUES ('XM', 'x') RETURNING recordno, name")
        .expect("row by row");
}

#[test]
fn a_dry_run_shows_the_functions_and_sends_none() {
    let (company, _) = company("dry_run");
    let (mut client, notices) = watched(&company).expect("a session");
    client.batch_execute(&insert("D", 3)).expect("rows");
    company.gateway.tap.forget();
    for mode in ["immediate", "on_commit"] {
        client
            .batch_execute(&format!(
                "SET sage_intacct.dry_run = off; ALTER SERVER acme OPTIONS ({} write_mode '{mode}'); SET sage_intacct.dry_run = on",
                if mode == "immediate" { "ADD" } else { "SET" }
            ))
            .expect("a mode");
        notices.take();
        let mut runs = |sql: &str, elements: &[&str]| {
            let rows = client
                .execute(sql, &[])
                .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            assert_eq!(rows, 0, "{sql}");
            let said = notices.take();
            assert_eq!(said.matches("is not sent").count(), elements.len(), "{said}");
            for element in elements {
                assert!(said.contains(element), "{element} is not in {said}");
            }
        };
        runs(
            "INSERT INTO customer (customerid, name) VALUES ('D9', 'a & b'), ('D8', 'c')",
            &["<create><CUSTOMER><CUSTOMERID>D9</CUSTOMERID><NAME>a &amp; b</NAME></CUSTOMER><CUSTOMER>"],
        );
        runs(
            &insert("DX", 150),
            &[
                "<CUSTOMERID>DX0001</CUSTOMERID>",
                "<CUSTOMERID>DX0150</CUSTOMERID>",
            ],
        );
        runs(
            "UPDATE customer SET name = 'y' WHERE customerid = 'D0001'",
            &["<update><CUSTOMER><RECORDNO>"],
        );
        runs(
            "DELETE FROM customer WHERE customerid = 'D0002'",
            &["<delete><object>CUSTOMER</object>"],
        );
    }
    let sent = company.gateway.tap.requests();
    assert!(
        !sent.iter().any(|xml| xml.contains("<uniqueid>true</uniqueid>")),
        "something was sent"
    );
    assert_eq!(
        lines(&mut client, "SELECT count(*)::text FROM sage_intacct.write_log()"),
        ["1"]
    );
    assert_eq!(stored(&company, "D"), ["D0001", "D0002", "D0003"]);
}

#[test]
fn what_was_modified_since_it_was_read_is_not_written() {
    let (company, mut client) = company("match_unmodified");
    client.batch_execute(&insert("U", 3)).expect("rows");
    client
        .batch_execute(
            "CREATE FOREIGN TABLE stamped (
               recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT'),
               whenmodified timestamptz OPTIONS (type 'TIMESTAMP')) SERVER acme OPTIONS (object 'CUSTOMER');
             ALTER SERVER acme OPTIONS (ADD match_unmodified 'on', ADD write_mode 'on_commit')",
        )
        .expect("a table");
    let error = refused(
        &mut client,
        "UPDATE customer SET name = 'y' WHERE customerid = 'U0001'",
    );
    assert_eq!(error.code().code(), "0A000", "{error:?}");
    // A row without the time cannot be matched.
    let never = lines(
        &mut client,
        "SELECT customerid FROM stamped WHERE whenmodified IS NULL AND customerid LIKE 'U%' LIMIT 1",
    );
    if let [id] = never.as_slice() {
        let error = refused(
            &mut client,
            &format!("DELETE FROM stamped WHERE customerid = '{id}'"),
        );
        assert_eq!(error.code().code(), "22004", "{error:?}");
    }
    // Each is a transaction of its own: an altered server sends nothing of what waits.
    for sql in [
        "ALTER SERVER acme OPTIONS (SET match_unmodified 'off')",
        "UPDATE stamped SET name = 'known' WHERE customerid LIKE 'U%'",
        "ALTER SERVER acme OPTIONS (SET match_unmodified 'on')",
    ] {
        client.batch_execute(sql).expect("all have been modified once");
    }
    for (write, id) in [
        (
            "UPDATE stamped SET name = 'mine' WHERE customerid IN ('U0001', 'U0002')",
            "U0002",
        ),
        (
            "DELETE FROM stamped WHERE customerid IN ('U0002', 'U0003')",
            "U0003",
        ),
    ] {
        client
            .batch_execute(&format!("BEGIN; {write}"))
            .expect("rows wait");
        // Somebody else is faster.
        company.gateway.set("clock_skew", "100");
        company.gateway.change(serde_json::json!([
            { "update": { "object": "CUSTOMER", "where": format!("CUSTOMERID = '{id}'"), "values": { "NAME": "theirs" } } }
        ]));
        company.gateway.set("clock_skew", "0");
        let error = refused(&mut client, "COMMIT");
        assert_eq!(error.code().code(), "40001", "{error:?}");
        assert!(
            error.message().contains("was modified since it was read"),
            "{error:?}"
        );
    }
    let names = "SELECT DISTINCT name FROM stamped WHERE customerid LIKE 'U%' ORDER BY 1";
    assert_eq!(lines(&mut client, names), ["known", "theirs"]);
    assert_eq!(stored(&company, "U").len(), 3);
    client
        .batch_execute("ALTER SERVER acme OPTIONS (SET write_mode 'immediate')")
        .expect("a mode");
    company.gateway.tap.forget();
    client
        .batch_execute("UPDATE stamped SET name = 'mine' WHERE customerid LIKE 'U%'")
        .expect("nobody is faster");
    // The rows are read, looked at once more, and written.
    assert_eq!(
        crate::client::budget::requests(&company),
        ["query CUSTOMER 2000", "query CUSTOMER 2000", "update"]
    );
    client
        .batch_execute("DELETE FROM stamped WHERE customerid LIKE 'U%'")
        .expect("nobody is faster");
    assert_eq!(stored(&company, "U"), [""; 0]);
}
