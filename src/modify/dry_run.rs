//! `sage_intacct.dry_run`: what would be sent is shown.

use super::outcome;
use super::row::WriteRow;
use super::send::zone;
use crate::error::{Report, raise};
use crate::io;
use intacct::write::{Change, WriteFailure, WriteOptions, WriteProgress, preview};
use intacct::{Client, Error};
use pgrx::{PgLogLevel, PgSqlErrorCode};
use std::sync::Arc;

/// Shows each function element in a WARNING. Raises what would have kept it from being sent.
pub fn show(client: &Client, rows: &Arc<Vec<WriteRow>>, options: WriteOptions) {
    let (client, inside) = (client.clone(), rows.clone());
    let rendered = io::run(move || async move {
        let zone = zone(&client, &inside).await?;
        let changes: Vec<Change> = inside.iter().map(|row| row.change(&zone)).collect();
        Ok::<_, Error>(preview(&client, &changes, &options).await)
    });
    let functions = match rendered {
        Ok(Ok(functions)) => functions,
        Ok(Err((row, error))) => {
            let failure = WriteFailure {
                first_failing: row,
                ..WriteProgress::new().failure(error)
            };
            raise(outcome::report(&failure, rows, 0, &[]))
        }
        Err(error) => raise(error),
    };
    for (object, element) in functions {
        Report::new(
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("dry run: a function for {object} is not sent"),
        )
        .detail(element)
        .emit(PgLogLevel::WARNING);
    }
}
