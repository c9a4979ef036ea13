//! `query`: statements of the connector's own syntax.

use super::access::{callers_client, foreign_data_allowed, usable_server};
use crate::convert::json::Jsonb;
use crate::error::{Report, notice, raise};
use crate::{io, options};
use intacct::connector_sql::{self, QueryType, Sent, Settings};
use pgrx::iter::SetOfIterator;
use pgrx::prelude::*;

/// Batches of rows that may wait for the backend.
const QUEUED: usize = 1;

/// Runs a statement of the connector's SELECT syntax and returns its rows as JSON objects.
///
/// `query_type` is `list` for any number of records, or `single` for one record with the lines that it owns.
#[pg_extern]
fn query(
    server: &str,
    statement: &str,
    query_type: default!(&str, "'list'"),
) -> SetOfIterator<'static, Jsonb> {
    let query_type = match query_type {
        "list" => QueryType::List,
        "single" => QueryType::Single,
        other => raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("invalid query type \"{other}\""),
            )
            .hint(
                "The query type must be list (any number of records) or single (one record with its lines).",
            ),
        ),
    };
    foreign_data_allowed();
    let options = options::server(usable_server(server)).unwrap_or_else(|error| raise(error));
    let settings = Settings {
        query_type,
        page_size: options.page_size,
        show_private: options.show_private,
    };
    let client = callers_client(server);
    let text = statement.to_owned();
    let stream = io::stream(QUEUED, move |emitter| async move {
        connector_sql::run(&client, &text, &settings, async |sent| emitter.send(sent).await).await
    });
    SetOfIterator::new(Rows {
        stream: stream.unwrap_or_else(|error| raise(error)),
        batch: Vec::new().into_iter(),
    })
}

/// The rows as they come.
struct Rows {
    stream: io::Stream<Sent>,
    batch: std::vec::IntoIter<String>,
}

impl Iterator for Rows {
    type Item = Jsonb;

    fn next(&mut self) -> Option<Jsonb> {
        loop {
            if let Some(row) = self.batch.next() {
                return Some(Jsonb(row));
            }
            match self.stream.next() {
                Ok(Some(Sent::Rows(rows))) => self.batch = rows.into_iter(),
                Ok(Some(Sent::Notice(message, names))) => notice(message, names.join(", "), ""),
                Ok(None) => return None,
                Err(error) => raise(error),
            }
        }
    }
}
