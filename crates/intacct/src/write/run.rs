//! Operations sent one after the other, and what became of each.

use super::address;
use super::as_read::without_made;
use super::fetch::fetch;
use super::logged;
use super::operation::{Operation, Unit};
use super::preview::prepare;
use super::readback::is_empty;
use super::recover::Doubt;
use super::verdict::{Ended, Judge};
use super::{
    Change, Journal, OnDuplicate, RowWritten, Verb, WriteFailure, WriteOptions, WriteValue, Written,
};
use crate::calls::exempt;
use crate::client::Client;
use crate::config::DtdVersion;
use crate::error::{Error, ErrorKind, GatewayError};
use crate::requests::{Call, CallFunction, Writing};
use crate::xml::response::{Answer, Extent};
use std::collections::{BTreeMap, BTreeSet};
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
/// What is wrong after the gateway has accepted a write is no failure: [`Written::warnings`] tells.
///
/// The future may be dropped at any time; [`Journal::failure`] tells what is known then. `journal` must be a new one.
pub async fn write(
    client: &Client,
    changes: &[Change],
    options: &WriteOptions,
    journal: &Journal,
) -> Result<Written, WriteFailure> {
    let made_ready = without_made(client, changes)
        .await
        .map_err(|(row, error)| WriteFailure {
            first_failing: Some(row),
            ..journal.failure(place(client, changes.get(row), error))
        })?;
    let changes = made_ready.as_deref().unwrap_or(changes);
    let prepared = prepare(client, changes, options)
        .await
        .map_err(|(row, error)| WriteFailure {
            first_failing: row,
            ..journal.failure(match row {
                Some(row) => place(client, changes.get(row), error),
                None => error,
            })
        })?;
    let mut run = Run {
        client,
        changes,
        options,
        journal,
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

pub(super) struct Run<'a> {
    pub(super) client: &'a Client,
    pub(super) changes: &'a [Change],
    pub(super) options: &'a WriteOptions,
    pub(super) journal: &'a Journal,
    pub(super) judge: Judge<'a>,
    pub(super) rows: Vec<RowWritten>,
    warnings: Vec<(usize, Error)>,
}

/// An operation that was sent.
pub(super) struct Attempt<'a> {
    pub(super) operation: &'a Operation,
    pub(super) bodies: &'a [String],
    /// When its first try began.
    pub(super) sent: Instant,
}

impl Run<'_> {
    async fn operation(&mut self, operation: &Operation, bodies: &[String]) -> Result<(), WriteFailure> {
        let functions = logged::functions(operation, bodies, self.changes);
        self.journal
            .begin(operation.rows.clone(), !self.skips(operation), functions);
        let attempt = Attempt {
            operation,
            bodies,
            sent: Instant::now(),
        };
        let ended = match self.send(operation, bodies).await {
            Ok(answers) => self.judge(operation, answers),
            Err(error) if self.journal.is_uncertain() => Ended::Doubtful(error),
            // Nothing of it was executed.
            Err(error) => return Err(self.journal.failure(error)),
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

    /// Whether the functions of an operation are executed each for itself.
    fn skips(&self, operation: &Operation) -> bool {
        let creates = |row: usize| self.changes[row].verb == Verb::Create;
        self.options.on_duplicate == OnDuplicate::Skip && operation.rows.clone().all(creates)
    }

    pub(super) async fn send(&self, operation: &Operation, bodies: &[String]) -> Result<Vec<Answer>, Error> {
        let ids = control_ids(operation);
        let first = &operation.functions[0];
        let call = Call {
            function: first.name,
            object: Some(&self.changes[first.rows.start].target.object),
            dtd_version: DtdVersion::V3_0,
            functions: bodies
                .iter()
                .zip(&operation.functions)
                .map(|(body, unit)| CallFunction {
                    body: body.clone(),
                    columns: None,
                    page: None,
                    extent: Extent::Small,
                    calls: unit.rows.len() as u64,
                })
                .collect(),
        };
        let writing = Writing {
            transaction: !self.skips(operation),
            records: operation.functions.iter().map(|unit| unit.rows.len()).sum(),
            ids: &ids,
            journal: self.journal,
        };
        self.client.requester().write(&call, &writing).await
    }

    pub(super) fn judge(&self, operation: &Operation, answers: Vec<Answer>) -> Ended {
        self.judge.judge(operation, answers, self.skips(operation))
    }

    /// The operation is stored.
    pub(super) async fn accept(
        &mut self,
        operation: &Operation,
        rows: Vec<RowWritten>,
    ) -> Result<(), WriteFailure> {
        let stored = operation.rows.clone().zip(&rows).filter(|(_, row)| row.stored);
        self.journal.stored(stored.map(|(row, _)| row));
        for (at, row) in operation.rows.clone().zip(rows) {
            self.rows[at] = row;
        }
        self.check_cleared(operation).await;
        Ok(())
    }

    pub(super) fn refuse(&mut self, error: Error, row: Option<usize>) -> WriteFailure {
        self.journal.stored([]);
        WriteFailure {
            first_failing: row,
            ..self.journal.failure(error)
        }
    }

    /// Fields that were to be emptied are read: an empty element does not empty every field. The gateway has accepted
    /// the write, and a replica may lag behind: what is not empty after a while is a warning.
    async fn check_cleared(&mut self, operation: &Operation) {
        let deadline = Instant::now() + self.client.config().request_timeout;
        for unit in &operation.functions {
            let mut left = self.emptied(unit);
            let mut waits = self.client.requester().waits_of_read_back();
            while !left.is_empty() {
                left = self.still_there(unit, left).await;
                match waits.next() {
                    Some(wait) if !left.is_empty() && Instant::now() < deadline => {
                        tokio::time::sleep(wait).await;
                    }
                    _ => break,
                }
            }
            for Emptied { row, field, why } in left {
                let message = format!("{field} was set to NULL and {why}");
                let error = self.judge.place(unit, Error::new(ErrorKind::NotCleared, message));
                self.warnings.push((row, error));
            }
        }
    }

    /// The fields that a function was to empty.
    fn emptied(&self, unit: &Unit) -> Vec<Emptied> {
        let updates = unit
            .rows
            .clone()
            .filter(|row| self.changes[*row].verb == Verb::Update);
        updates
            .flat_map(|row| {
                let cells = self.changes[row].cells.iter();
                let empty = cells.filter(|(_, value)| *value == WriteValue::Empty);
                empty.map(move |(field, _)| Emptied {
                    row,
                    field: field.clone(),
                    why: String::new(),
                })
            })
            .collect()
    }

    /// Those of the fields that cannot be seen to be empty.
    async fn still_there(&self, unit: &Unit, emptied: Vec<Emptied>) -> Vec<Emptied> {
        let mut by_key: BTreeMap<&str, Vec<Emptied>> = BTreeMap::new();
        for one in emptied {
            if let Some((field, _)) = &self.changes[one.row].key {
                by_key.entry(field).or_default().push(one);
            }
        }
        let target = &self.changes[unit.rows.start].target;
        let mut left = Vec::new();
        for (key_field, rows) in by_key {
            let key_of = |row: usize| self.changes[row].key.as_ref().map_or("", |(_, key)| key.as_str());
            let fields: BTreeSet<&str> = rows.iter().map(|one| one.field.as_str()).collect();
            let fields: Vec<&str> = fields.into_iter().collect();
            let keys: BTreeSet<&str> = rows.iter().map(|one| key_of(one.row)).collect();
            let keys: Vec<&str> = keys.into_iter().collect();
            let found = fetch(self.client, target, key_field, &keys, &fields, false).await;
            for mut one in rows {
                let key = key_of(one.row);
                one.why = match &found {
                    Ok(found) if !is_empty(found.value(key, &one.field)) => "still has a value".into(),
                    Ok(found) if !found.reads(&one.field) || !found.has(key) => "cannot be read back".into(),
                    Ok(_) => continue,
                    Err(error) => format!("cannot be read back: {error}"),
                };
                left.push(one);
            }
        }
        left
    }
}

/// A row, and field and value of the key of its record.
type Keyed<'a> = (usize, &'a str, &'a str);

/// A field that was to be emptied, and why it is not known to be.
struct Emptied {
    row: usize,
    field: String,
    why: String,
}

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

fn control_ids(operation: &Operation) -> Vec<String> {
    operation
        .functions
        .iter()
        .map(|unit| unit.control_id.clone())
        .collect()
}
