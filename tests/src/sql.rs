//! Statements over a client, and their rows as text.

use postgres::{Client, SimpleQueryMessage};

/// Runs statements.
#[track_caller]
pub fn run(client: &mut Client, sql: &str) {
    client
        .batch_execute(sql)
        .unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
}

/// Runs statements one by one, each a line or more: a procedure that commits stands alone.
#[track_caller]
pub fn run_each(client: &mut Client, sql: &str) {
    for statement in sql.split(";\n") {
        run(client, statement);
    }
}

/// Statements under a `statement_timeout` of their own: sent as one message, they are one transaction, and the setting
/// ends with it. A `SET` before them would also hold for what a test does next, which a busy machine may not finish in
/// the time.
pub fn within(timeout: &str, sql: &str) -> String {
    format!("SET LOCAL statement_timeout = '{timeout}'; {sql}")
}

/// The rows of a statement, each as its columns between `separator`, with `null` in the place of NULL.
#[track_caller]
pub fn texts(client: &mut Client, sql: &str, separator: &str, null: &str) -> Vec<String> {
    try_texts(client, sql, separator, null).unwrap_or_else(|error| panic!("{error:?}\n{sql}"))
}

/// As [`texts`], of a statement that may fail.
///
/// # Errors
/// The statement's.
pub fn try_texts(
    client: &mut Client,
    sql: &str,
    separator: &str,
    null: &str,
) -> Result<Vec<String>, postgres::Error> {
    let answer = client.simple_query(sql)?;
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|column| row.get(column).unwrap_or(null))
                .collect::<Vec<_>>()
                .join(separator),
        ),
        _ => None,
    });
    Ok(rows.collect())
}

/// The rows of a query as text, in the order of their bytes.
#[track_caller]
pub fn sorted(client: &mut Client, sql: &str) -> Vec<String> {
    let sql = format!("SELECT s::text COLLATE \"C\" FROM ({sql}) s ORDER BY 1");
    let rows = client
        .query(&sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}
