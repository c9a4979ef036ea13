//! A backend that may open no more files says so, at whatever step it needs one, and goes on when it may.

use std::collections::BTreeSet;
use std::fs;

use postgres::error::DbError;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::process::let_open;

const ROWS: usize = 5;

/// Descriptors that a backend needs for its first request, at most.
const MOST: u64 = 40;

/// It is about descriptors, with a hint; but PostgreSQL opens files of its own now and then, and gives none.
fn says_what_to_do(error: &DbError) {
    assert_eq!(error.code().code(), "53000", "{error:?}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("Raise"))
            || error.file().is_some_and(|file| file.ends_with(".c")),
        "{error:?}"
    );
}

#[test]
fn a_backend_without_descriptors_reports_it() {
    let company = Company::start_with("descriptors", small().rows("CUSTOMER", ROWS as u64));
    company.import("customer");
    let statement = "SELECT recordno FROM customer";
    let mut other = company.connect();
    let mut messages = BTreeSet::new();
    let needed = (0..MOST).find(|spare| {
        let mut client = company.connect();
        let pid = cluster::backend(&mut client);
        // What planning reads is in memory then.
        client
            .simple_query(&format!("EXPLAIN {statement}"))
            .expect("a plan");
        let_open(&mut other, pid, Some(*spare));
        let refused = client.query(statement, &[]).err();
        if let Some(error) = &refused {
            let error = error
                .as_db_error()
                .unwrap_or_else(|| panic!("{spare}: the connection ended: {error}"));
            says_what_to_do(error);
            messages.insert(error.message().split(": ").next().unwrap_or_default().to_owned());
        }
        let_open(&mut other, pid, None);
        let rows = client
            .query(statement, &[])
            .unwrap_or_else(|error| panic!("{spare}: afterwards: {error:?}"));
        assert_eq!(rows.len(), ROWS, "{spare}");
        refused.is_none()
    });
    assert!(needed.is_some_and(|needed| needed > 2), "{needed:?} are needed");
    let messages = Vec::from_iter(messages).join("\n");
    for what in ["to wait for Sage Intacct", "for a connection to the gateway"] {
        assert!(messages.contains(what), "nothing about {what}:\n{messages}");
    }
}

/// In the middle of a statement: the first request of a second company, and the one of a scan that goes on.
#[test]
fn a_statement_that_runs_out_of_descriptors_ends_with_an_error() {
    let company = Company::start_with("descriptors_later", small().rows("CUSTOMER", ROWS as u64));
    company.import("customer");
    let (mut client, mut other) = (company.connect(), company.connect());
    client
        .batch_execute(&format!(
            "{}
             CREATE SCHEMA other;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER other INTO other",
            Company::another_server(&company.gateway, "other", "apiuser", ", max_concurrency '1'")
        ))
        .expect("another server");
    let pid = cluster::backend(&mut client);
    let statement =
        "SELECT c.recordno FROM customer c JOIN other.customer o ON o.recordno + 0 = c.recordno + 0";
    client
        .simple_query(&format!("EXPLAIN {statement}"))
        .expect("a plan");
    let held = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("descriptors")
        .count();
    for _ in 0..3 {
        let_open(&mut other, pid, Some(0));
        // What connections were kept may be enough.
        if let Err(error) = client.query(statement, &[]) {
            let error = error.as_db_error().expect("the connection goes on");
            says_what_to_do(error);
        }
        let_open(&mut other, pid, None);
        let rows = client.query(statement, &[]).expect("descriptors");
        assert_eq!(rows.len(), ROWS);
    }
    let holds = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("descriptors")
        .count();
    assert!(holds <= held + 4, "{held} descriptors before, {holds} after");
}
