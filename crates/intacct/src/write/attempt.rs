//! A write under way: how an operation is sent, and how it is recorded as stored or refused.

use super::fetch::fetch;
use super::operation::{Operation, Unit};
use super::readback::is_empty;
use super::verdict::{Ended, Judge};
use super::{Change, OnDuplicate, RowWritten, Verb, WriteFailure, WriteOptions, WriteProgress, WriteValue};
use crate::client::Client;
use crate::config::DtdVersion;
use crate::error::{Error, ErrorKind};
use crate::requests::{Call, CallFunction, Writing};
use crate::response::{Answer, Extent};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// A write of changes, one operation after the other.
pub(super) struct Run<'a> {
    pub(super) client: &'a Client,
    pub(super) changes: &'a [Change],
    pub(super) options: &'a WriteOptions,
    pub(super) progress: &'a WriteProgress,
    pub(super) judge: Judge<'a>,
    pub(super) rows: Vec<RowWritten>,
    pub(super) warnings: Vec<(usize, Error)>,
}

/// An operation that was sent.
pub(super) struct Attempt<'a> {
    pub(super) operation: &'a Operation,
    pub(super) bodies: &'a [String],
    /// When its first try began.
    pub(super) sent: Instant,
}

impl Run<'_> {
    /// Whether the functions of an operation are executed each for itself.
    pub(super) fn skips(&self, operation: &Operation) -> bool {
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
            guard: self.progress,
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
        self.progress.stored(stored.map(|(row, _)| row));
        for (at, row) in operation.rows.clone().zip(rows) {
            self.rows[at] = row;
        }
        self.check_cleared(operation).await;
        Ok(())
    }

    pub(super) fn refuse(&mut self, error: Error, row: Option<usize>) -> WriteFailure {
        self.progress.stored([]);
        WriteFailure {
            first_failing: row,
            ..self.progress.failure(error)
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

/// A field that was to be emptied, and why it is not known to be.
struct Emptied {
    row: usize,
    field: String,
    why: String,
}

fn control_ids(operation: &Operation) -> Vec<String> {
    operation
        .functions
        .iter()
        .map(|unit| unit.control_id.clone())
        .collect()
}
