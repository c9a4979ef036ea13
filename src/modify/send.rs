//! Rows go out: a job on the I/O thread, and the wait for it.

use super::row::Row;
use super::watch;
use crate::io;
use intacct::write::{Change, Journal, WriteFailure, WriteOptions, Written, write};
use intacct::{Client, Error, ErrorKind, GatewayZone};
use pgrx::PgTryBuilder;
use pgrx::pg_sys::panic::CaughtError;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Sends rows in their order and waits for what becomes of them.
///
/// A cancel, a `statement_timeout` or a terminate ends the wait at once. When nothing was sent yet, and no row of this
/// call is stored, it unwinds as everywhere; else it is a failure that tells which rows are stored and which may be.
///
/// # Errors
/// What the gateway refused, or what is not known.
pub fn send(
    client: &Client,
    rows: &Arc<Vec<Row>>,
    options: WriteOptions,
) -> Result<Written, Box<WriteFailure>> {
    let journal = Journal::new();
    let (client, rows, inside) = (client.clone(), rows.clone(), journal.clone());
    let job = move || async move {
        let zone = match zone(&client, &rows).await {
            Ok(zone) => zone,
            Err(error) => return Ok(Err(inside.failure(error))),
        };
        let changes: Vec<Change> = rows.iter().map(|row| row.change(&zone)).collect();
        Ok(write(&client, &changes, &options, &inside).await)
    };
    let _watch = watch::over(&journal);
    let ended = PgTryBuilder::new(AssertUnwindSafe(move || io::run(job)))
        .catch_others(|cause| interrupted(&journal, cause))
        .execute();
    match ended {
        Ok(outcome) => outcome.map_err(Box::new),
        Err(error) => Err(Box::new(journal.failure(error))),
    }
}

/// What is known after an interrupt; unwinds as it came when there is nothing to tell.
fn interrupted(journal: &Journal, cause: CaughtError) -> Result<Result<Written, WriteFailure>, Error> {
    let text = match &cause {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report.message().to_owned(),
        CaughtError::RustPanic { .. } => cause.rethrow(),
    };
    let failure = journal.failure(Error::new(ErrorKind::Internal, text));
    if failure.certain.is_empty() && failure.possible.is_empty() {
        cause.rethrow()
    }
    Ok(Err(failure))
}

/// The gateway's zone; asked for only when a row needs it. Days and times are sent in a form that the user's preferences
/// must agree with: where they are not ones that can be read, nothing is sent.
async fn zone(client: &Client, rows: &[Row]) -> Result<GatewayZone, Error> {
    let option = client.config().time_zone.clone();
    let formatting = match rows.iter().any(Row::has_date) {
        true => Some(client.formatting().await?),
        false => None,
    };
    if let Some(formatting) = &formatting {
        formatting.check()?;
    }
    Ok(GatewayZone::new(option.as_ref(), formatting.as_ref()))
}
