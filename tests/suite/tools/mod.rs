//! What tools see: views for those that list no foreign tables, and labels.

mod costs;
mod labels;
mod views;

use postgres::{Client, SimpleQueryMessage};

/// Runs statements one by one, each a line or more.
#[track_caller]
fn run(client: &mut Client, sql: &str) {
    for statement in sql.split(";\n") {
        client
            .batch_execute(statement)
            .unwrap_or_else(|error| panic!("{error:?}\n{statement}"));
    }
}

/// The rows of a statement, columns separated by a bar.
#[track_caller]
fn lines(client: &mut Client, sql: &str) -> Vec<String> {
    let answer = client
        .simple_query(sql)
        .unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|column| row.get(column).unwrap_or("-"))
                .collect::<Vec<_>>()
                .join("|"),
        ),
        _ => None,
    });
    rows.collect()
}

/// SQLSTATE, message and hint that a statement ends with.
#[track_caller]
fn refused(client: &mut Client, sql: &str) -> (String, String) {
    let error = client.simple_query(sql).map(drop).expect_err(sql);
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    let said = format!("{} {}", error.message(), error.hint().unwrap_or_default());
    (error.code().code().to_owned(), said)
}
