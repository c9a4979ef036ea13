//! Operations sent one after the other, and what became of each.

use super::address::{addresses, custom_fields};
use super::operation::{Operation, operations};
use super::readback::{fetch, is_empty};
use super::render::{Context, function_body};
use super::verdict::{Ended, Judge};
use super::{
    Change, Journal, OnDuplicate, RowWritten, Verb, WriteFailure, WriteOptions, WriteValue, Written,
};
use crate::client::Client;
use crate::config::DtdVersion;
use crate::error::{Error, ErrorKind};
use crate::requests::{Call, CallFunction, Writing};
use crate::xml::response::Answer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

/// Writes the changes in their order. Nothing is sent unless all of them can be rendered; an operation is executed
/// whole or not at all, and after one that fails no other is sent.
///
/// An operation is repeated freely only while the gateway provably executed nothing of it. After a lost answer its
/// records are looked for. All there as sent: the write went well. None there, and each one can be recognised: the
/// operation is sent once more under the same control ids, which the gateway executes at most once; a refusal then
/// counts as success only if the records are there. Anything else is a failure of kind [`ErrorKind::OutcomeUnknown`].
///
/// The future may be dropped at any time; [`Journal::failure`] tells what is known then. `journal` must be a new one.
pub async fn write(
    client: &Client,
    changes: &[Change],
    options: &WriteOptions,
    journal: &Journal,
) -> Result<Written, WriteFailure> {
    let refused = |(row, error): (usize, Error)| WriteFailure {
        first_failing: Some(row),
        ..journal.failure(place(client, changes.get(row), error))
    };
    let operations = operations(changes, options).map_err(refused)?;
    let context = Context {
        custom: custom_fields(client, changes)
            .await
            .map_err(|error| journal.failure(error))?,
    };
    let keys = addresses(client, changes, &operations).await.map_err(refused)?;
    let mut bodies = Vec::with_capacity(operations.len());
    for operation in &operations {
        let mut functions = Vec::with_capacity(operation.functions.len());
        for unit in &operation.functions {
            let rows = unit.rows.clone();
            let unit_keys = keys.get(rows.clone()).unwrap_or_default();
            let body = function_body(unit.name, &changes[rows.clone()], unit_keys, &context);
            functions.push(body.map_err(|(at, error)| refused((rows.start + at, error)))?);
        }
        bodies.push(functions);
    }
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
    };
    for (operation, bodies) in operations.iter().zip(&bodies) {
        run.operation(operation, bodies).await?;
    }
    Ok(Written {
        rows: run.rows,
        operations: operations.len() as u64,
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
}

impl Run<'_> {
    async fn operation(&mut self, operation: &Operation, bodies: &[String]) -> Result<(), WriteFailure> {
        let ids: Vec<String> = control_ids(operation);
        self.journal.begin(operation.rows.clone(), &ids);
        let ended = match self.send(operation, bodies, self.journal.uncertain()).await {
            Ok(answers) => self.judge(operation, answers),
            Err(error) if self.journal.is_uncertain() => Ended::Doubtful(error),
            // Nothing of it was executed.
            Err(error) => return Err(self.journal.failure(error)),
        };
        match ended {
            Ended::Stored(rows) => self.accept(operation, rows).await,
            Ended::Refused { error, row, stored } => Err(self.refuse(error, row, stored)),
            Ended::Disputed { error, row } => Err(self.settle_dispute(operation, error, row).await),
            Ended::Doubtful(error) if self.skips(operation) => {
                self.find_out_each(operation, bodies, error).await
            }
            Ended::Doubtful(error) => self.find_out(operation, bodies, error).await,
        }
    }

    /// Whether the functions of an operation are executed each for itself.
    fn skips(&self, operation: &Operation) -> bool {
        let creates = |row: usize| self.changes[row].verb == Verb::Create;
        self.options.on_duplicate == OnDuplicate::Skip && operation.rows.clone().all(creates)
    }

    pub(super) async fn send(
        &self,
        operation: &Operation,
        bodies: &[String],
        uncertain: &AtomicBool,
    ) -> Result<Vec<Answer>, Error> {
        let ids = control_ids(operation);
        let first = &operation.functions[0];
        let call = Call {
            function: first.name,
            object: Some(&self.changes[first.rows.start].target.object),
            dtd_version: DtdVersion::V3_0,
            functions: bodies
                .iter()
                .map(|body| CallFunction {
                    body: body.clone(),
                    columns: None,
                })
                .collect(),
        };
        let writing = Writing {
            transaction: !self.skips(operation),
            ids: &ids,
            uncertain,
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
        self.check_cleared(operation).await
    }

    pub(super) fn refuse(
        &mut self,
        error: Error,
        row: Option<usize>,
        stored: Vec<(usize, RowWritten)>,
    ) -> WriteFailure {
        let rows = stored.iter().filter(|(_, written)| written.stored);
        self.journal.stored(rows.map(|(row, _)| *row));
        WriteFailure {
            first_failing: row,
            ..self.journal.failure(error)
        }
    }

    /// Fields that were to be emptied are read: an empty element does not empty every field.
    async fn check_cleared(&self, operation: &Operation) -> Result<(), WriteFailure> {
        for unit in &operation.functions {
            let emptied = |change: &Change| -> Vec<String> {
                let empty = change
                    .cells
                    .iter()
                    .filter(|(_, value)| *value == WriteValue::Empty);
                empty.map(|(field, _)| field.clone()).collect()
            };
            let first = &self.changes[unit.rows.start];
            if first.verb != Verb::Update {
                continue;
            }
            let mut by_field: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
            for row in unit.rows.clone() {
                if let (Some((field, key)), false) =
                    (&self.changes[row].key, emptied(&self.changes[row]).is_empty())
                {
                    by_field.entry(field).or_default().push((row, key));
                }
            }
            for (key_field, rows) in by_field {
                let fields: BTreeSet<String> = rows
                    .iter()
                    .flat_map(|(row, _)| emptied(&self.changes[*row]))
                    .collect();
                let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
                let keys: Vec<&str> = rows.iter().map(|(_, key)| *key).collect();
                let found = fetch(self.client, &first.target, key_field, &keys, &fields, false)
                    .await
                    .map_err(|error| self.journal.failure(error))?;
                for (row, key) in rows {
                    for field in emptied(&self.changes[row]) {
                        let why = match found.value(key, &field) {
                            value if !is_empty(value) => "still has a value",
                            _ if !found.reads(&field) || !found.has(key) => "cannot be read back",
                            _ => continue,
                        };
                        let message = format!("{field} was set to NULL and {why}");
                        let error = self.judge.place(unit, Error::new(ErrorKind::NotCleared, message));
                        return Err(WriteFailure {
                            first_failing: Some(row),
                            ..self.journal.failure(error)
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

fn control_ids(operation: &Operation) -> Vec<String> {
    operation
        .functions
        .iter()
        .map(|unit| unit.control_id.clone())
        .collect()
}
