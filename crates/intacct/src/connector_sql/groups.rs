//! Groups, from rows that are grouped here or from groups that the gateway made.

use super::check::{BadCell, Constant, compare, read};
use super::decimal::Decimal;
use crate::error::{Error, ErrorKind};
use crate::formatting::{CellError, CellReader};
use crate::json;
use crate::query::{AggregateFunction, SelectItem, Value};
use crate::schema::Class;
use crate::schema::DataType;
use crate::xml::page::Page;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Groups held at most.
pub(super) const MOST_GROUPS: usize = 200_000;

/// What a row of the answer holds.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// The item of the statement.
    pub item: SelectItem,
    /// Type of its field.
    pub data_type: DataType,
    /// Column of the page.
    pub column: usize,
}

/// Whether pages hold rows, or groups with aggregates in the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Rows,
    Groups,
}

/// The groups so far, in the order in which they appeared.
pub(super) struct Groups {
    outputs: Vec<Output>,
    source: Source,
    index: HashMap<Vec<Option<String>>, usize>,
    groups: Vec<Vec<State>>,
}

/// A failure of grouping.
pub(super) enum Failure {
    Cell(BadCell),
    Other(Error),
}

/// One item of one group.
#[derive(Debug, Clone)]
enum State {
    /// A group's key, as JSON.
    Key(String),
    Count(u64),
    Sum(Option<Decimal>),
    Average(Option<Decimal>, u64),
    /// Smallest or largest so far, with its cell.
    Extreme(Option<(Constant, Vec<u8>)>),
}

impl Groups {
    pub(super) fn new(outputs: Vec<Output>, source: Source) -> Groups {
        Groups {
            outputs,
            source,
            index: HashMap::new(),
            groups: Vec::new(),
        }
    }

    /// Adds a row of a page.
    pub(super) fn add(&mut self, page: &Page, row: usize, reader: &CellReader) -> Result<(), Failure> {
        let group = self.group(page, row, reader)?;
        for (output, state) in self.outputs.iter().zip(&mut self.groups[group]) {
            let SelectItem::Aggregate { function, field } = &output.item else {
                continue;
            };
            let Some(cell) = page.cell(row, output.column) else {
                continue;
            };
            state
                .add(*function, cell, &output.data_type, self.source, reader)
                .map_err(|error| match error {
                    Adding::Cell(error) => Failure::Cell((output.column, error)),
                    Adding::TooLong => Failure::Other(Error::new(
                        ErrorKind::TooLarge,
                        format!(
                            "{}({field}) has more digits than can be added up here",
                            function.name()
                        ),
                    )),
                })?;
        }
        Ok(())
    }

    /// The groups as JSON objects. Without keys there is one, also over nothing.
    pub(super) fn rows(mut self, names: &[String], reader: &CellReader) -> Result<Vec<String>, Failure> {
        let has_keys = self
            .outputs
            .iter()
            .any(|output| matches!(output.item, SelectItem::Field(_)));
        if !has_keys && self.groups.is_empty() {
            self.groups.push(self.fresh(Vec::new()));
        }
        let mut rows = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let mut out = String::from("{");
            for ((state, output), name) in group.iter().zip(&self.outputs).zip(names) {
                out.push_str(name);
                state
                    .print(&mut out, &output.data_type, reader)
                    .map_err(|error| Failure::Cell((output.column, error)))?;
                out.push_str(", ");
            }
            out.truncate(out.len() - 2);
            out.push('}');
            rows.push(out);
        }
        Ok(rows)
    }

    fn group(&mut self, page: &Page, row: usize, reader: &CellReader) -> Result<usize, Failure> {
        let mut identity = Vec::new();
        let mut keys = Vec::new();
        for output in &self.outputs {
            if !matches!(output.item, SelectItem::Field(_)) {
                continue;
            }
            let cell = page.cell(row, output.column);
            let mut key = String::new();
            json::push_cell(&mut key, &output.data_type, cell, reader)
                .map_err(|error| Failure::Cell((output.column, error)))?;
            identity.push(cell.map(|_| identity_of(&key, &output.data_type)));
            keys.push(key);
        }
        if let Some(group) = self.index.get(&identity) {
            return Ok(*group);
        }
        if self.groups.len() == MOST_GROUPS {
            return Err(Failure::Other(
                Error::new(ErrorKind::TooLarge, format!("more than {MOST_GROUPS} groups"))
                    .with_hint("Narrow the condition, or group by fewer fields."),
            ));
        }
        let fresh = self.fresh(keys);
        self.groups.push(fresh);
        self.index.insert(identity, self.groups.len() - 1);
        Ok(self.groups.len() - 1)
    }

    fn fresh(&self, keys: Vec<String>) -> Vec<State> {
        let mut keys = keys.into_iter();
        let state = |output: &Output| match &output.item {
            SelectItem::Field(_) => State::Key(keys.next().unwrap_or_default()),
            SelectItem::Aggregate { function, .. } => match function {
                AggregateFunction::Count => State::Count(0),
                AggregateFunction::Sum => State::Sum(None),
                AggregateFunction::Avg => State::Average(None, 0),
                AggregateFunction::Min | AggregateFunction::Max => State::Extreme(None),
            },
        };
        self.outputs.iter().map(state).collect()
    }
}

/// Numbers are the same group when they are equal, whatever their zeros.
fn identity_of(json: &str, data_type: &DataType) -> String {
    match (Class::of(data_type), Value::number(json)) {
        (Class::Number, Some(Value::Number(digits))) => digits,
        _ => json.to_owned(),
    }
}

enum Adding {
    Cell(CellError),
    TooLong,
}

impl State {
    fn add(
        &mut self,
        function: AggregateFunction,
        cell: &[u8],
        data_type: &DataType,
        source: Source,
        reader: &CellReader,
    ) -> Result<(), Adding> {
        match self {
            State::Key(_) => {}
            State::Count(count) => {
                *count += match source {
                    Source::Rows => 1,
                    Source::Groups => u64::try_from(reader.integer(cell).map_err(Adding::Cell)?).unwrap_or(0),
                }
            }
            State::Sum(sum) => *sum = Some(plus(*sum, cell)?),
            State::Average(sum, count) => {
                *sum = Some(plus(*sum, cell)?);
                *count += 1;
            }
            State::Extreme(extreme) => {
                let value = read(cell, Class::of(data_type), reader).map_err(Adding::Cell)?;
                let wanted = match function {
                    AggregateFunction::Min => Ordering::Less,
                    _ => Ordering::Greater,
                };
                let is_better = extreme
                    .as_ref()
                    .is_none_or(|(known, _)| compare(&value, known) == Some(wanted));
                if is_better {
                    *extreme = Some((value, cell.to_vec()));
                }
            }
        }
        Ok(())
    }

    fn print(&self, out: &mut String, data_type: &DataType, reader: &CellReader) -> Result<(), CellError> {
        match self {
            State::Key(json) => out.push_str(json),
            State::Count(count) => out.push_str(&count.to_string()),
            State::Sum(Some(sum)) => out.push_str(&sum.to_string()),
            State::Average(Some(sum), count) => out.push_str(&sum.divided_by(*count)),
            State::Extreme(Some((_, cell))) => json::push_cell(out, data_type, Some(cell), reader)?,
            State::Sum(None) | State::Average(None, _) | State::Extreme(None) => out.push_str("null"),
        }
        Ok(())
    }
}

fn plus(sum: Option<Decimal>, cell: &[u8]) -> Result<Decimal, Adding> {
    let digits = json::number(cell).map_err(Adding::Cell)?;
    let number = Decimal::read(&digits).ok_or(Adding::TooLong)?;
    match sum {
        None => Ok(number),
        Some(sum) => sum.add(number).ok_or(Adding::TooLong),
    }
}
