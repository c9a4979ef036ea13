//! Operations sent one after the other, and what became of each.

use super::legacy::{self, Leftover};
use super::operation::{Operation, Unit, operations};
use super::readback::{Seen, fetch, is_empty, look};
use super::render::{Context, addressed_by, function_body, key_in};
use super::{
    Change, Journal, OnDuplicate, RowWritten, Verb, WriteFailure, WriteOptions, WriteTarget, WriteValue,
    Written,
};
use crate::client::Client;
use crate::config::DtdVersion;
use crate::error::classify::refusal;
use crate::error::{Error, ErrorKind, GatewayError};
use crate::requests::{Call, CallFunction, Writing};
use crate::xml::response::{Answer, Level};
use crate::xml::tree::Element;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What every sibling of a failure in a transaction says.
const ROLLED_BACK: &str = "XL03000009";

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

/// Which of the fields that legacy functions have no element for are custom ones: they are sent in a list of their own.
async fn custom_fields(client: &Client, changes: &[Change]) -> Result<BTreeSet<Leftover>, Error> {
    let mut wanted: BTreeMap<(String, Option<String>), BTreeSet<String>> = BTreeMap::new();
    for change in changes {
        let target = &change.target;
        let function = super::function(&target.object, change.verb)?;
        let Some(legacy) = legacy::find(function) else {
            continue;
        };
        for (object, field) in legacy.leftovers(&change.cells)? {
            let definition = target.docparid.clone();
            wanted.entry((object, definition)).or_default().insert(field);
        }
    }
    let mut custom = BTreeSet::new();
    for ((object, definition), fields) in wanted {
        let known = client.lookup(&object, definition.as_deref()).await?;
        let is_custom = |field: &String| {
            let mut of_object = known.fields.iter();
            of_object.any(|known| known.custom && known.id.eq_ignore_ascii_case(field))
        };
        custom.extend(
            fields
                .into_iter()
                .filter(is_custom)
                .map(|field| (object.clone(), field)),
        );
    }
    Ok(custom)
}

/// The value by which the function of each change addresses its record; empty for creates. Read where a change
/// names its record by another field.
async fn addresses(
    client: &Client,
    changes: &[Change],
    operations: &[Operation],
) -> Result<Vec<String>, (usize, Error)> {
    let mut keys = vec![String::new(); changes.len()];
    let mut unknown: BTreeMap<(String, String), (Arc<WriteTarget>, Vec<usize>)> = BTreeMap::new();
    for unit in operations.iter().flat_map(|operation| &operation.functions) {
        for row in unit.rows.clone() {
            let change = &changes[row];
            let Some(field) = addressed_by(change, unit.name) else {
                continue;
            };
            let Some((named, _)) = &change.key else {
                let error = Error::new(ErrorKind::Internal, "a change of a record without its key");
                return Err((row, error));
            };
            match key_in(change, field) {
                Some(key) => keys[row] = key.to_owned(),
                None => unknown
                    .entry((named.clone(), field.to_owned()))
                    .or_insert_with(|| (Arc::clone(&change.target), Vec::new()))
                    .1
                    .push(row),
            }
        }
    }
    for ((named, field), (target, rows)) in unknown {
        let names: Vec<&str> = rows
            .iter()
            .filter_map(|row| key_in(&changes[*row], &named))
            .collect();
        let found = fetch(client, &target, &named, &names, &[&field], false)
            .await
            .map_err(|error| (rows[0], error))?;
        for (row, name) in rows.iter().zip(names) {
            let Some(key) = found.value(name, &field) else {
                let message = format!("there is no {} whose {named} is \"{name}\"", target.object);
                return Err((*row, Error::new(ErrorKind::Refused, message)));
            };
            keys[*row] = key.to_owned();
        }
    }
    Ok(keys)
}

/// How an operation ended, as far as its answers tell.
enum Ended {
    /// As asked; one for each row.
    Stored(Vec<RowWritten>),
    /// Refused, with the row at fault where it can be told. Those in `stored` are stored all the same, which happens
    /// only outside of transactions.
    Refused {
        error: Error,
        row: Option<usize>,
        stored: Vec<(usize, RowWritten)>,
    },
    /// Refused, and yet something seems to be stored.
    Disputed { error: Error, row: Option<usize> },
    /// Not known.
    Doubtful(Error),
}

struct Run<'a> {
    client: &'a Client,
    changes: &'a [Change],
    options: &'a WriteOptions,
    journal: &'a Journal,
    rows: Vec<RowWritten>,
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

    async fn send(
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

    fn judge(&self, operation: &Operation, answers: Vec<Answer>) -> Ended {
        let units = operation.functions.iter();
        if self.skips(operation) {
            return self.judge_each(operation, answers);
        }
        let succeeded = answers.iter().filter(|answer| !failed(answer)).count();
        if succeeded < answers.len() {
            let kept = answers.iter().any(|answer| matches!(answer, Answer::Partial(_)));
            let (error, row) = self.refusal(operation, answers);
            // One failed and another did not, or objects are named as stored: was it rolled back?
            return match succeeded > 0 || kept {
                true => Ended::Disputed { error, row },
                false => Ended::Refused {
                    error,
                    row,
                    stored: Vec::new(),
                },
            };
        }
        let mut rows = Vec::with_capacity(operation.rows.len());
        for (unit, answer) in units.zip(answers) {
            match self.stored_rows(unit, answer) {
                Ok(stored) => rows.extend(stored),
                Err(error) => return Ended::Doubtful(error),
            }
        }
        Ended::Stored(rows)
    }

    /// Functions of one record each, executed each for itself; duplicates are left out.
    fn judge_each(&self, operation: &Operation, answers: Vec<Answer>) -> Ended {
        let mut rows = Vec::new();
        let mut refused = None;
        for (unit, answer) in operation.functions.iter().zip(answers) {
            let row = unit.rows.start;
            match answer {
                Answer::Failure(errors) | Answer::Partial(errors) => {
                    let error = self.error_of(unit, errors);
                    if *error.kind() == ErrorKind::Duplicate {
                        rows.push((row, RowWritten::default()));
                    } else if refused.is_none() {
                        refused = Some((error, row));
                    }
                }
                answer => match self.stored_rows(unit, answer) {
                    Ok(stored) => rows.extend(stored.into_iter().map(|written| (row, written))),
                    Err(error) => return Ended::Doubtful(error),
                },
            }
        }
        match refused {
            None => Ended::Stored(rows.into_iter().map(|(_, written)| written).collect()),
            Some((error, row)) => Ended::Refused {
                error,
                row: Some(row),
                stored: rows,
            },
        }
    }

    /// The rows of a function that succeeded, with their keys.
    fn stored_rows(&self, unit: &Unit, answer: Answer) -> Result<Vec<RowWritten>, Error> {
        let count = unit.rows.len();
        let stored = |keys| RowWritten { stored: true, keys };
        let told: Vec<Vec<(String, String)>> = match answer {
            Answer::Key(key) if count == 1 => {
                let field = legacy::find(unit.name).map_or("RECORDNO", |legacy| legacy.key);
                vec![vec![(field.to_owned(), key)]]
            }
            Answer::Tree(Some(data)) => data.children.iter().map(keys_of).collect(),
            _ => Vec::new(),
        };
        let verb = self.changes[unit.rows.start].verb;
        if verb == Verb::Create && !told.is_empty() && told.len() != count {
            let message = format!(
                "the gateway answers {} objects to {count} that were sent",
                told.len()
            );
            return Err(self.place(unit, Error::new(ErrorKind::Malformed, message)));
        }
        if told.len() != count {
            return Ok(vec![stored(Vec::new()); count]);
        }
        Ok(self.in_order(unit, told).into_iter().map(stored).collect())
    }

    /// Keys in the order of the rows: nobody promises that the gateway keeps it.
    fn in_order(&self, unit: &Unit, told: Vec<Vec<(String, String)>>) -> Vec<Vec<(String, String)>> {
        let natural = |row: usize| {
            let change = &self.changes[row];
            let key = change.target.natural_key.as_deref()?;
            change.cells.iter().find_map(|(field, value)| match value {
                WriteValue::Text(text) if field.eq_ignore_ascii_case(key) => Some((key, text.as_str())),
                _ => None,
            })
        };
        let place = |row: usize| {
            let (field, value) = natural(row)?;
            told.iter().position(|keys| {
                keys.iter()
                    .any(|(name, told)| name.eq_ignore_ascii_case(field) && told == value)
            })
        };
        let places: Option<Vec<usize>> = unit.rows.clone().map(place).collect();
        match places {
            Some(places) if places.iter().collect::<BTreeSet<_>>().len() == told.len() => {
                places.into_iter().map(|place| told[place].clone()).collect()
            }
            _ => told,
        }
    }

    /// The error of an operation in which functions failed: that of the one at fault, not of its siblings.
    fn refusal(&self, operation: &Operation, answers: Vec<Answer>) -> (Error, Option<usize>) {
        let failures: Vec<(&Unit, Vec<GatewayError>)> = operation
            .functions
            .iter()
            .zip(answers)
            .filter_map(|(unit, answer)| match answer {
                Answer::Failure(errors) | Answer::Partial(errors) => Some((unit, errors)),
                _ => None,
            })
            .collect();
        let at_fault = failures.iter().position(|(_, errors)| {
            let consequence = |error: &GatewayError| error.errorno.trim() == ROLLED_BACK;
            !errors.iter().all(consequence)
        });
        let mut failures = failures;
        let (unit, errors) = failures.swap_remove(at_fault.unwrap_or(0));
        let error = self.error_of(unit, errors);
        let row = self.row_at_fault(unit, &error);
        (error, row)
    }

    fn error_of(&self, unit: &Unit, errors: Vec<GatewayError>) -> Error {
        let (error, _) = refusal(Level::Function, unit.name, errors);
        let config = self.client.config();
        let secrets = [config.password.expose(), config.sender_password.expose()];
        self.place(unit, error.without(&secrets))
    }

    fn place(&self, unit: &Unit, error: Error) -> Error {
        let object = &self.changes[unit.rows.start].target.object;
        error.at(
            &self.client.config().company_id,
            Some(object),
            unit.name,
            &unit.control_id,
        )
    }

    /// The row that a refusal is about: the only one of its function, or the first whose values its text repeats.
    fn row_at_fault(&self, unit: &Unit, error: &Error) -> Option<usize> {
        if unit.rows.len() == 1 {
            return Some(unit.rows.start);
        }
        let text = error.gateway_errors().first()?.text();
        let words: BTreeSet<&str> = text
            .split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ',' | ';' | '(' | ')'))
            .map(|word| word.trim_end_matches('.'))
            .filter(|word| !word.is_empty())
            .collect();
        let quoted = |value: &str| {
            !value.is_empty()
                && (words.contains(value)
                    || text.contains(&format!("'{value}'"))
                    || text.contains(&format!("\"{value}\"")))
        };
        let names = |row: &usize| {
            let change = &self.changes[*row];
            let by_key = change.key.as_ref().is_some_and(|(_, key)| quoted(key));
            let by_value = change.cells.iter().any(|(field, value)| match value {
                WriteValue::Text(value) => quoted(value),
                WriteValue::Empty => {
                    *error.kind() == ErrorKind::MissingRequired && words.contains(field.as_str())
                }
                WriteValue::Lines(_) => false,
            });
            by_key || by_value
        };
        unit.rows.clone().find(names)
    }

    /// The operation is stored.
    async fn accept(&mut self, operation: &Operation, rows: Vec<RowWritten>) -> Result<(), WriteFailure> {
        let stored = operation.rows.clone().zip(&rows).filter(|(_, row)| row.stored);
        self.journal.stored(stored.map(|(row, _)| row));
        for (at, row) in operation.rows.clone().zip(rows) {
            self.rows[at] = row;
        }
        self.check_cleared(operation).await
    }

    fn refuse(&mut self, error: Error, row: Option<usize>, stored: Vec<(usize, RowWritten)>) -> WriteFailure {
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
                        let error = self.place(unit, Error::new(ErrorKind::NotCleared, message));
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

    /// A refusal beside which something is said to be stored: was all of it rolled back?
    async fn settle_dispute(
        &mut self,
        operation: &Operation,
        error: Error,
        row: Option<usize>,
    ) -> WriteFailure {
        match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen) if seen.iter().all(|seen| *seen == Seen::Untouched) => {
                self.refuse(error, row, Vec::new())
            }
            _ => self.unknown(error, "though the gateway names records as stored"),
        }
    }

    /// An operation whose answer was lost, executed whole or not at all.
    async fn find_out(
        &mut self,
        operation: &Operation,
        bodies: &[String],
        lost: Error,
    ) -> Result<(), WriteFailure> {
        let seen = match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen) => seen,
            Err(unread) => return Err(self.unknown(lost, &format!("and reading it back failed: {unread}"))),
        };
        if let Some(rows) = all_done(&seen) {
            return self.accept(operation, rows).await;
        }
        if !self.is_untouched(operation, &seen) {
            return Err(self.unknown(lost, "and what is stored does not tell"));
        }
        // The control ids of the first try: should it have come through after all, this one is refused.
        let uncertain = AtomicBool::new(false);
        let ended = match self.send(operation, bodies, &uncertain).await {
            Ok(answers) => self.judge(operation, answers),
            Err(error) => Ended::Doubtful(error),
        };
        let (error, refused_row) = match ended {
            Ended::Stored(rows) => return self.accept(operation, rows).await,
            Ended::Refused { error, row, .. } => (error, Some(row)),
            Ended::Disputed { error, .. } | Ended::Doubtful(error) => (error, None),
        };
        let seen = match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen) => seen,
            Err(unread) => {
                let also = format!("the second try failed ({error}), and reading it back too: {unread}");
                return Err(self.unknown(lost, &also));
            }
        };
        if let Some(rows) = all_done(&seen) {
            return self.accept(operation, rows).await;
        }
        // A refusal for what the records hold would have met the first try as well.
        let of_content = matches!(
            error.kind(),
            ErrorKind::MissingRequired
                | ErrorKind::BadReference
                | ErrorKind::Permission
                | ErrorKind::UnknownObject
        );
        match refused_row {
            Some(row) if of_content && self.is_untouched(operation, &seen) => {
                Err(self.refuse(error, row, Vec::new()))
            }
            _ => Err(self.unknown(lost, &format!("and the second try failed: {error}"))),
        }
    }

    /// Whether everything is as if the operation had never been executed, so that it may be sent again. Updates may be
    /// there already: they set the same values again.
    fn is_untouched(&self, operation: &Operation, seen: &[Seen]) -> bool {
        operation.rows.clone().zip(seen).all(|(row, seen)| match seen {
            Seen::Untouched => true,
            Seen::Done(_) => self.changes[row].verb == Verb::Update,
            Seen::Other | Seen::Unclear => false,
        })
    }

    /// Functions executed each for itself whose answer was lost.
    async fn find_out_each(
        &mut self,
        operation: &Operation,
        bodies: &[String],
        lost: Error,
    ) -> Result<(), WriteFailure> {
        let seen = match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen) => seen,
            Err(unread) => return Err(self.unknown(lost, &format!("and reading it back failed: {unread}"))),
        };
        if seen.contains(&Seen::Unclear) {
            return Err(self.unknown(lost, "and what is stored does not tell"));
        }
        let mut rows: Vec<RowWritten> = seen.iter().map(row_seen).collect();
        let missing: Vec<usize> = (0..seen.len())
            .filter(|at| seen[*at] == Seen::Untouched)
            .collect();
        if missing.is_empty() {
            return self.accept(operation, rows).await;
        }
        let again = Operation {
            rows: operation.rows.clone(),
            functions: missing
                .iter()
                .map(|at| operation.functions[*at].clone())
                .collect(),
        };
        let bodies: Vec<String> = missing.iter().map(|at| bodies[*at].clone()).collect();
        let uncertain = AtomicBool::new(false);
        let ended = match self.send(&again, &bodies, &uncertain).await {
            Ok(answers) => self.judge_each(&again, answers),
            Err(error) => Ended::Doubtful(error),
        };
        let error = match ended {
            Ended::Stored(stored) => {
                let all = stored.iter().all(|row| row.stored);
                for (at, row) in missing.into_iter().zip(stored) {
                    rows[at] = row;
                }
                if all {
                    return self.accept(operation, rows).await;
                }
                None
            }
            Ended::Refused { error, .. } | Ended::Disputed { error, .. } | Ended::Doubtful(error) => {
                Some(error)
            }
        };
        // A duplicate may be the record of the first try, which came through after all.
        match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen)
                if !seen
                    .iter()
                    .any(|seen| matches!(seen, Seen::Untouched | Seen::Unclear)) =>
            {
                self.accept(operation, seen.iter().map(row_seen).collect()).await
            }
            Ok(_) => {
                let why = error.map_or_else(String::new, |error| format!(": {error}"));
                Err(self.unknown(lost, &format!("and the second try does not tell{why}")))
            }
            Err(unread) => Err(self.unknown(lost, &format!("and reading it back failed: {unread}"))),
        }
    }

    /// Nobody knows what is stored of the current operation.
    fn unknown(&self, lost: Error, also: &str) -> WriteFailure {
        let message = format!("the outcome of the write is not known: {lost}, {also}");
        let error = lost.with_kind(ErrorKind::OutcomeUnknown).with_message(message);
        self.journal.failure(error)
    }
}

fn control_ids(operation: &Operation) -> Vec<String> {
    operation
        .functions
        .iter()
        .map(|unit| unit.control_id.clone())
        .collect()
}

fn failed(answer: &Answer) -> bool {
    matches!(answer, Answer::Failure(_) | Answer::Partial(_))
}

/// The key fields of an object in an answer.
fn keys_of(object: &Element) -> Vec<(String, String)> {
    let leaves = object.children.iter().filter(|field| field.children.is_empty());
    leaves
        .filter(|field| !field.text.trim().is_empty())
        .map(|field| (field.name.clone(), field.text.trim().to_owned()))
        .collect()
}

fn row_seen(seen: &Seen) -> RowWritten {
    match seen {
        Seen::Done(keys) => RowWritten {
            stored: true,
            keys: keys.clone(),
        },
        _ => RowWritten::default(),
    }
}

fn all_done(seen: &[Seen]) -> Option<Vec<RowWritten>> {
    let done = seen.iter().all(|seen| matches!(seen, Seen::Done(_)));
    done.then(|| seen.iter().map(row_seen).collect())
}
