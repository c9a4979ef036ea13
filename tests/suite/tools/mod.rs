//! What tools see: views for those that list no foreign tables, and labels.

mod costs;
mod determined;
mod first_sync;
mod grouping_sets;
mod labels;
mod views;

use postgres::Client;
use sage_intacct_fdw_tests::sql::{run_each as run, texts};

/// The rows of a statement, columns separated by a bar.
#[track_caller]
fn lines(client: &mut Client, sql: &str) -> Vec<String> {
    texts(client, sql, "|", "-")
}

/// SQLSTATE, message and hint that a statement ends with.
#[track_caller]
fn refused(client: &mut Client, sql: &str) -> (String, String) {
    let error = client.simple_query(sql).map(drop).expect_err(sql);
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    let said = format!("{} {}", error.message(), error.hint().unwrap_or_default());
    (error.code().code().to_owned(), said)
}

/// Compares the rows of a statement over the table that stands in the place of `{}` with those over its local copy `here`; says how
/// PostgreSQL runs it over the table.
#[track_caller]
fn same_as_here(client: &mut Client, statement: &str, table: &str) -> String {
    let there = statement.replace("{}", table);
    let sorted = |statement: &str| format!("SELECT t::text FROM ({statement}) t ORDER BY 1");
    assert_eq!(
        lines(client, &sorted(&there)),
        lines(client, &sorted(&statement.replace("{}", "here"))),
        "{statement}"
    );
    lines(client, &format!("EXPLAIN {there}")).join("\n")
}
