//! What the answers to an operation say: pure, answers in, verdict out.

use super::legacy;
use super::operation::{Operation, Unit};
use super::{Change, RowWritten, Verb, WriteValue};
use crate::config::Config;
use crate::error::classify::refusal;
use crate::error::{Error, ErrorKind, GatewayError};
use crate::xml::response::{Answer, Level};
use crate::xml::tree::Element;
use std::collections::BTreeSet;

/// What every sibling of a failure in a transaction says.
const ROLLED_BACK: &str = "XL03000009";

/// How an operation ended, as far as its answers tell.
pub(super) enum Ended {
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

/// Judges the answers to operations of these changes.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub config: &'a Config,
    pub changes: &'a [Change],
}

impl Judge<'_> {
    /// The verdict on an operation. `skips`: its functions are executed each for itself, and duplicates left out.
    pub(super) fn judge(&self, operation: &Operation, answers: Vec<Answer>, skips: bool) -> Ended {
        let units = operation.functions.iter();
        if skips {
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
        let secrets = [
            self.config.password.expose(),
            self.config.sender_password.expose(),
        ];
        self.place(unit, error.without(&secrets))
    }

    pub(super) fn place(&self, unit: &Unit, error: Error) -> Error {
        let object = &self.changes[unit.rows.start].target.object;
        error.at(&self.config.company_id, Some(object), unit.name, &unit.control_id)
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
