//! `docs/managed.md` on two clusters: a small one with the extension, and one that never has it.

use std::path::Path;

use postgres::{Client, SimpleQueryMessage};
use sage_intacct_fdw_tests::cluster::{self, Database};
use sage_intacct_fdw_tests::company::{Company, Gateway};
use sage_intacct_fdw_tests::examples::examples;
use sage_intacct_fdw_tests::second::Second;
use sage_intacct_fdw_tests::wait::until;

/// Rows of the statement that comes last, as text.
fn rows(client: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client
        .simple_query(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|column| row.get(column).unwrap_or("NULL").to_owned())
                .collect(),
        ),
        _ => None,
    });
    rows.collect()
}

/// A statement that must run outside of a transaction block cannot stand beside others in one message.
fn run(client: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let mut last = Vec::new();
    let text: String = sql
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect::<Vec<_>>()
        .join("\n");
    for statement in text.split(";\n") {
        last = rows(client, statement);
    }
    last
}

/// Every statement of the document, in its order, on the server that its first line names.
#[test]
fn the_document_runs_on_two_clusters() {
    let gateway = Gateway::start();
    let small = Second::start(
        "small",
        &[("wal_level", "logical"), ("max_worker_processes", "16")],
    );
    small
        .connect("postgres")
        .batch_execute("CREATE DATABASE intacct")
        .expect("a database");
    let mut on_small = small.connect("intacct");
    on_small
        .batch_execute("CREATE EXTENSION sage_intacct_fdw; CREATE SCHEMA acme")
        .expect("the extension");
    on_small
        .batch_execute(&format!(
            "{}; IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme INTO acme",
            Company::server_statements(&gateway, "")
        ))
        .expect("a server");
    let database = Database::create_empty("managed");
    let mut on_managed = database.connect();

    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/managed.md"))
        .expect("a text");
    let here = cluster::server_directory().display().to_string();
    let mut ran = 0;
    for example in examples(&text) {
        // The names of machines are placeholders; both servers have a socket in one directory.
        let sql = example
            .sql
            .replace("small.internal", &here)
            .replace("'5432'", &format!("'{}'", small.port()))
            .replace("port=5432", &format!("port={}", small.port()));
        match example.sql.lines().next() {
            Some("-- on the small server") => drop(run(&mut on_small, &sql)),
            Some("-- on the managed server") => {
                gateway.tap.forget();
                let answer = run(&mut on_managed, &sql);
                if sql.contains("SELECT recordid") {
                    // The condition, the order and the limit go all the way.
                    let asked = gateway.tap.requests();
                    let asked = asked
                        .iter()
                        .rfind(|body| body.contains("<object>ARINVOICE</object>"));
                    let asked = asked.expect("a request");
                    for part in [
                        "<field>TOTALDUE</field><value>5000</value>",
                        "<pagesize>3</pagesize>",
                        "<orderby>",
                    ] {
                        assert!(asked.contains(part), "{part} is not in {asked}");
                    }
                    let typed_there = "SELECT recordid, totaldue FROM acme.arinvoice WHERE totaldue > 5000
                                          AND whendue >= '2024-01-01' ORDER BY whendue, recordno LIMIT 3";
                    assert_eq!(answer, rows(&mut on_small, typed_there));
                    assert_eq!(answer.len(), 3);
                }
            }
            other => panic!("line {}: an example for no server: {other:?}", example.line),
        }
        ran += 1;
    }
    assert_eq!(ran, 5, "examples");

    // The copy arrives, and so does what a refresh brings.
    let count = "SELECT count(*), coalesce(sum(recordno), 0), count(*) FILTER (WHERE name = 'Renamed Ltd') FROM finance.customer";
    let there = rows(&mut on_small, count);
    until(|| rows(&mut on_managed, count) == there);
    let key = &rows(
        &mut on_small,
        "SELECT max(recordno), min(recordno) FROM finance.customer",
    )[0]
    .clone();
    let (renamed, deleted): (i64, i64) = (key[0].parse().expect("a key"), key[1].parse().expect("a key"));
    gateway.change(serde_json::json!([
        { "update": { "object": "CUSTOMER", "keys": [renamed], "values": { "NAME": "Renamed Ltd" } } },
        { "delete": { "object": "CUSTOMER", "keys": [deleted] } },
    ]));
    run(
        &mut on_small,
        "CALL sage_intacct.refresh_mirror('finance.customer')",
    );
    let there = rows(&mut on_small, count);
    assert_eq!(there[0][2], "1");
    until(|| rows(&mut on_managed, count) == there);

    // The slot keeps its database: the subscription goes before either server does.
    run(&mut on_managed, "DROP SUBSCRIPTION finance");
}
