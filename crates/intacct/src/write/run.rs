//! Operations sent one after the other, and what became of each.

use super::address;
use super::as_read::without_made;
use super::attempt::{Attempt, Run};
use super::fetch::fetch;
use super::logged;
use super::operation::Operation;
use super::preview::prepare;
use super::recover::Doubt;
use super::verdict::{Ended, Judge};
use super::{Change, RowWritten, Verb, WriteFailure, WriteOptions, WriteProgress, Written};
use crate::calls::exempt;
use crate::client::Client;
use crate::error::{Error, ErrorKind, GatewayError};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Writes the changes in their order. Nothing is sent unless all of them can be rendered; an operation is executed
/// whole or not at all, and after one that fails no other is sent.
///
/// An operation is repeated freely only while the gateway provably executed nothing of it. After a lost answer its
/// records are looked for. All there as sent, and created since: the write went well. Else, if each has a key that
/// Intacct itself keeps unique, the operation is sent once more under the same control ids, which the gateway executes
/// at most once; a refusal counts as success only if the records are there. Anything else is a failure of kind
/// [`ErrorKind::OutcomeUnknown`].
///
/// What is wrong after the gateway has accepted a write is no failure: see [`Written::warnings`].
///
/// The future may be dropped at any time; [`WriteProgress::failure`] returns what is known then. `progress` must be a new one.
///
/// # Errors
/// A [`WriteFailure`] says which of the changes are stored, which are not, and of which that is not known.
pub async fn write(
    client: &Client,
    changes: &[Change],
    options: &WriteOptions,
    progress: &WriteProgress,
) -> Result<Written, WriteFailure> {
    let made_ready = without_made(client, changes)
        .await
        .map_err(|(row, error)| WriteFailure {
            first_failing: Some(row),
            ..progress.failure(place(client, changes.get(row), error))
        })?;
    let changes = made_ready.as_deref().unwrap_or(changes);
    let prepared = prepare(client, changes, options)
        .await
        .map_err(|(row, error)| WriteFailure {
            first_failing: row,
            ..progress.failure(match row {
                Some(row) => place(client, changes.get(row), error),
                None => error,
            })
        })?;
    let mut run = Run {
        client,
        changes,
        options,
        progress,
        judge: Judge {
            config: client.config(),
            changes,
        },
        rows: vec![RowWritten::default(); changes.len()],
        warnings: Vec::new(),
    };
    for (operation, bodies) in &prepared {
        run.operation(operation, bodies).await?;
    }
    Ok(Written {
        rows: run.rows,
        warnings: run.warnings,
        operations: prepared.len() as u64,
    })
}

/// Where a failure of a change belongs.
fn place(client: &Client, change: Option<&Change>, error: Error) -> Error {
    let Some(change) = change else { return error };
    let function = super::function(&change.target.object, change.verb).unwrap_or(change.verb.generic());
    error.at(
        &client.config().company_id,
        Some(&change.target.object),
        function,
        "",
    )
}

impl Run<'_> {
    async fn operation(&mut self, operation: &Operation, bodies: &[String]) -> Result<(), WriteFailure> {
        let functions = logged::functions(operation, bodies, self.changes);
        self.progress
            .begin(operation.rows.clone(), !self.skips(operation), functions);
        let attempt = Attempt {
            operation,
            bodies,
            sent: Instant::now(),
        };
        let ended = match self.send(operation, bodies).await {
            Ok(answers) => self.judge(operation, answers),
            Err(error) if self.progress.is_uncertain() => Ended::Doubtful(error),
            // Nothing of it was executed.
            Err(error) => return Err(self.progress.failure(error)),
        };
        match ended {
            Ended::Stored(rows) => self.accept(operation, rows).await,
            Ended::Refused { error, row } => {
                let (error, row) = self.explain(operation, error, row).await;
                Err(self.refuse(error, row))
            }
            // What was sent is looked up, however many calls are left of the day.
            Ended::Each(judged) => exempt(self.settle_each(&attempt, judged)).await,
            Ended::Disputed { error, row } => {
                exempt(self.find_out(&attempt, Doubt::Disputed(error, row))).await
            }
            Ended::Executed(error) => exempt(self.find_out(&attempt, Doubt::Executed(error))).await,
            Ended::Doubtful(error) if self.skips(operation) => {
                exempt(self.find_out_each(&attempt, error)).await
            }
            Ended::Doubtful(error) => exempt(self.find_out(&attempt, Doubt::Lost(error))).await,
        }
    }

    /// A record that was to be changed and is gone is no fault of the statement: it can be repeated.
    async fn explain(
        &self,
        operation: &Operation,
        error: Error,
        row: Option<usize>,
    ) -> (Error, Option<usize>) {
        let may_be = *error.kind() == ErrorKind::Refused
            || (*error.kind() == ErrorKind::BadReference && is_not_found(&error));
        if !may_be {
            return (error, row);
        }
        match self.row_gone(operation, &error).await {
            Some((gone, field, key)) => {
                let object = &self.changes[gone].target.object;
                let message = format!("the {object} whose {field} is \"{key}\" does not exist any more");
                (address::gone(error, message), Some(gone))
            }
            None => (error, row),
        }
    }

    /// The first row of an operation that changes a record which is not there.
    async fn row_gone(&self, operation: &Operation, error: &Error) -> Option<Keyed<'_>> {
        let rows: Vec<Keyed<'_>> = operation
            .rows
            .clone()
            .filter_map(|row| {
                let change = &self.changes[row];
                let (field, key) = change.key.as_ref()?;
                (change.verb != Verb::Create).then_some((row, field.as_str(), key.as_str()))
            })
            .collect();
        let mut by_field: BTreeMap<(&str, &str), Vec<Keyed<'_>>> = BTreeMap::new();
        for (row, field, key) in rows {
            let object = self.changes[row].target.object.as_str();
            by_field
                .entry((object, field))
                .or_default()
                .push((row, field, key));
        }
        let mut gone: Vec<Keyed<'_>> = Vec::new();
        for ((_, field), rows) in by_field {
            let keys: Vec<&str> = rows.iter().map(|(.., key)| *key).collect();
            let target = &self.changes[rows[0].0].target;
            // What cannot be read leaves the gateway's own words.
            let Ok(found) = fetch(self.client, target, field, &keys, &[], false).await else {
                continue;
            };
            gone.extend(rows.iter().filter(|(.., key)| found.is_missing(key)));
            // A replica may show a record for a while after it is gone: then the text decides, which names its key.
            let named = |(row, _, key): &&Keyed<'_>| {
                let change = &self.changes[*row];
                let elsewhere = || {
                    change
                        .cells
                        .iter()
                        .any(|(name, _)| change.text_of(name) == Some(*key))
                };
                let names_it = |error: &GatewayError| {
                    let text = error.text();
                    text.contains(&format!("'{key}'")) || text.contains(&format!("\"{key}\""))
                };
                *error.kind() == ErrorKind::BadReference
                    && error.gateway_errors().iter().any(names_it)
                    && !elsewhere()
            };
            gone.extend(rows.iter().filter(named));
        }
        gone.into_iter().min()
    }
}

/// A row, and field and value of the key of its record.
type Keyed<'a> = (usize, &'a str, &'a str);

/// Whether a refusal is for something that does not exist, not for something in use.
fn is_not_found(error: &Error) -> bool {
    let starts = [
        "cannot find",
        "can't find",
        "could not find",
        "unable to find",
        "there is no",
    ];
    let ends = ["does not exist", "not found", "no longer exists"];
    error.gateway_errors().iter().any(|error| {
        let text = error.text().trim_end_matches('.').to_lowercase();
        starts.iter().any(|start| text.starts_with(start)) || ends.iter().any(|end| text.ends_with(end))
    })
}
