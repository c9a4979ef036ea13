//! Sending of a batch: a job on the I/O thread, and the wait for it.

use super::interrupt::{self, Cancelled};
use super::row::WriteRow;
use super::watch;
use crate::io;
use crate::write_log::Writer;
use intacct::write::{
    Change, RowWritten, Verb, WriteFailure, WriteOptions, WriteProgress, Written, check_unmodified, write,
};
use intacct::{Client, Error, ErrorKind, GatewayZone};
use pgrx::pg_sys;
use std::sync::Arc;

/// How rows that were passed on ended, unless they are written.
#[derive(Debug)]
pub enum Unsent {
    /// What the gateway refused, or what is not known.
    Failed(WriteFailure),
    /// A cancel or a timeout, which is still pending, ended the wait. Rows of the failure may be stored.
    Cancelled(WriteFailure),
}

/// Sends rows in their order and waits for what becomes of them.
///
/// A cancel or a `statement_timeout` ends the wait at once and stays pending. When everything is stored by then, it is
/// for the caller's next look at interrupts. A terminate ends the backend.
///
/// # Errors
/// What is not written, or not known to be.
pub fn send(
    client: &Client,
    server: pg_sys::Oid,
    rows: &Arc<Vec<WriteRow>>,
    options: WriteOptions,
) -> Result<Written, Box<Unsent>> {
    // A cancel that has arrived already is an ordinary one.
    pgrx::check_for_interrupts!();
    let progress = WriteProgress::with_log(Arc::new(Writer::new(server, client.config())));
    let (client, inside) = (client.clone(), progress.clone());
    let sent = rows.clone();
    let job = move || async move {
        let zone = match zone(&client, &sent).await {
            Ok(zone) => zone,
            Err(error) => return Ok(Err(inside.failure(error))),
        };
        let changes: Vec<Change> = sent.iter().map(|row| row.change(&zone)).collect();
        let read: Vec<Option<i64>> = sent.iter().map(|row| row.unmodified).collect();
        if let Err((row, error)) = check_unmodified(&client, &changes, &read).await {
            return Ok(Err(WriteFailure {
                first_failing: row,
                ..inside.failure(error)
            }));
        }
        Ok(write(&client, &changes, &options, &inside).await)
    };
    let _watch = watch::over(&progress);
    let failure = match io::run_or(job, || interrupt::look(&progress, rows.len())) {
        Ok(Ok(Ok(written))) => return Ok(written),
        Ok(Ok(Err(failure))) => return Err(Box::new(Unsent::Failed(failure))),
        Ok(Err(Cancelled)) => {
            progress.close();
            progress.failure(Error::new(ErrorKind::Interrupted, interrupt::reason()))
        }
        Err(error) => {
            progress.close();
            return Err(Box::new(Unsent::Failed(progress.failure(error))));
        }
    };
    match failure.possible.is_empty() && failure.certain.len() == rows.len() {
        // Only its last words are missing.
        true => Ok(Written {
            rows: rows.iter().map(stored).collect(),
            operations: 1,
            warnings: Vec::new(),
        }),
        false => Err(Box::new(Unsent::Cancelled(failure))),
    }
}

/// A row that is stored, as far as it is known without the gateway's answer.
fn stored(row: &WriteRow) -> RowWritten {
    RowWritten {
        stored: true,
        keys: row
            .key
            .iter()
            .filter(|_| row.verb != Verb::Create)
            .cloned()
            .collect(),
    }
}

/// The gateway's clock; asked for only when a row needs it. Days and times are sent in a form that the user's preferences
/// must agree with: where they are not ones that can be read, nothing is sent.
pub async fn zone(client: &Client, rows: &[WriteRow]) -> Result<GatewayZone, Error> {
    if rows.iter().any(WriteRow::has_date) {
        client.formatting().await?.check()?;
    }
    let zone = client.zone();
    match rows.iter().find_map(|row| row.ambiguous(&zone)) {
        None => Ok(zone),
        Some((field, instant)) => {
            let shown = zone.render(instant);
            let message = format!(
                "{instant} cannot be stored in field {field}: the gateway's clock shows {shown} twice, and takes it \
                 for the first time"
            );
            Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("Store a time outside the hour in which the clock is set back."))
        }
    }
}
