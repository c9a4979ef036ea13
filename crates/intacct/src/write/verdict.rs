//! What the answers to an operation say: pure, answers in, verdict out.

use super::legacy;
use super::operation::{Operation, Unit};
use super::{Change, RowWritten, Verb, WriteValue};
use crate::config::Config;
use crate::error::classify::{ROLLED_BACK, proves_failure, refusal_of, reports_executed};
use crate::error::{Error, ErrorKind, GatewayError, Level};
use crate::response::Answer;
use crate::xml::tree::Element;
use std::collections::BTreeSet;

/// How an operation ended, as far as its answers show.
#[derive(Debug)]
pub(super) enum Ended {
    /// As asked; one for each row.
    Stored(Vec<RowWritten>),
    /// Refused, with the row at fault where it is known. Nothing of it is stored.
    Refused { error: Error, row: Option<usize> },
    /// Refused, and yet something seems to be stored, or the refusal does not say that nothing was executed.
    Disputed { error: Error, row: Option<usize> },
    /// The gateway says that functions with these control ids were executed before.
    Executed(Error),
    /// Functions executed each for itself, in the order of the rows.
    Each(Vec<Judged>),
    /// Not known.
    Doubtful(Error),
}

/// How a function of one record ended.
#[derive(Debug)]
pub(super) enum Judged {
    Stored(RowWritten),
    /// Not stored, by the word of the gateway.
    Refused(Error),
    /// Failed, and it is not said that nothing was executed.
    Disputed(Error),
    /// The gateway says that a function with this control id was executed before.
    Executed(Error),
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
            let executed = units
                .clone()
                .zip(&answers)
                .any(|(unit, answer)| self.executed(unit, answer));
            let (error, row) = self.refusal(operation, answers);
            if executed {
                return Ended::Executed(error);
            }
            // One failed and another did not, or objects are named as stored: was it rolled back?
            return match succeeded > 0 || kept || !proves_failure(&error) {
                true => Ended::Disputed { error, row },
                false => Ended::Refused { error, row },
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

    /// Functions of one record each, executed each for itself.
    fn judge_each(&self, operation: &Operation, answers: Vec<Answer>) -> Ended {
        let mut rows = Vec::with_capacity(answers.len());
        for (unit, answer) in operation.functions.iter().zip(answers) {
            let executed = self.executed(unit, &answer);
            match answer {
                Answer::Failure(errors) | Answer::Partial(errors) if executed => {
                    rows.push(Judged::Executed(self.error_of(unit, errors)));
                }
                // An object is named as stored, and it is the only one of its function.
                Answer::Partial(errors) => rows.push(Judged::Disputed(self.error_of(unit, errors))),
                Answer::Failure(errors) => {
                    let error = self.error_of(unit, errors);
                    rows.push(match proves_failure(&error) {
                        true => Judged::Refused(error),
                        false => Judged::Disputed(error),
                    });
                }
                answer => match self.stored_rows(unit, answer) {
                    Ok(stored) => rows.extend(stored.into_iter().map(Judged::Stored)),
                    Err(error) => return Ended::Doubtful(error),
                },
            }
        }
        Ended::Each(rows)
    }

    /// Whether a failure says that the function was executed before.
    fn executed(&self, unit: &Unit, answer: &Answer) -> bool {
        match answer {
            Answer::Failure(errors) | Answer::Partial(errors) => {
                reports_executed(errors, std::slice::from_ref(&unit.control_id), &self.sent(unit))
            }
            _ => false,
        }
    }

    /// The values that a function sends: its refusal may repeat them.
    fn sent(&self, unit: &Unit) -> Vec<&str> {
        let mut sent = Vec::new();
        for change in &self.changes[unit.rows.clone()] {
            sent.extend(change.key.as_ref().map(|(_, key)| key.as_str()));
            for (_, value) in &change.cells {
                match value {
                    WriteValue::Text(text) => sent.push(text.as_str()),
                    WriteValue::Lines(lines) => texts_in(lines, &mut sent),
                    WriteValue::Empty => {}
                }
            }
        }
        sent
    }

    /// The rows of a function that succeeded, with their keys.
    fn stored_rows(&self, unit: &Unit, answer: Answer) -> Result<Vec<RowWritten>, Error> {
        let count = unit.rows.len();
        let stored = |keys| RowWritten { stored: true, keys };
        let returned: Vec<Vec<(String, String)>> = match answer {
            Answer::Key(key) if count == 1 => {
                let field = legacy::find(unit.name).map_or("RECORDNO", |legacy| legacy.key);
                vec![vec![(field.to_owned(), key)]]
            }
            Answer::Tree(Some(data)) => data.children.iter().map(keys_of).collect(),
            _ => Vec::new(),
        };
        let verb = self.changes[unit.rows.start].verb;
        if verb == Verb::Create && !returned.is_empty() && returned.len() != count {
            let message = format!(
                "the gateway answers {} objects to {count} that were sent",
                returned.len()
            );
            return Err(self.place(unit, Error::new(ErrorKind::Malformed, message)));
        }
        if returned.len() != count {
            return Ok(vec![stored(Vec::new()); count]);
        }
        Ok(self.in_order(unit, returned).into_iter().map(stored).collect())
    }

    /// Keys in the order of the rows: the gateway is not documented to keep it. The gateway may trim keys, fold their
    /// case or cut them.
    fn in_order(&self, unit: &Unit, returned: Vec<Vec<(String, String)>>) -> Vec<Vec<(String, String)>> {
        let natural = |row: usize| {
            let change = &self.changes[row];
            let keys = [change.target.unique_key(), change.target.natural_key.as_deref()];
            keys.into_iter()
                .flatten()
                .find_map(|key| Some((key, change.text_of(key)?)))
        };
        let place = |same: fn(&str, &str) -> bool| {
            let place = |row: usize| {
                let (field, value) = natural(row)?;
                let holds = |keys: &Vec<(String, String)>| {
                    keys.iter()
                        .any(|(name, returned)| name.eq_ignore_ascii_case(field) && same(value, returned))
                };
                let mut found = returned.iter().enumerate().filter(|(_, keys)| holds(keys));
                match (found.next(), found.next()) {
                    (Some((place, _)), None) => Some(place),
                    _ => None,
                }
            };
            let places: Option<Vec<usize>> = unit.rows.clone().map(place).collect();
            places.filter(|places| places.iter().collect::<BTreeSet<_>>().len() == returned.len())
        };
        let cut =
            |sent: &str, returned: &str| !returned.is_empty() && folded(sent).starts_with(&folded(returned));
        let places = place(|sent, returned| sent == returned)
            .or_else(|| place(|sent, returned| folded(sent) == folded(returned)))
            .or_else(|| place(cut));
        match places {
            Some(places) => places.into_iter().map(|place| returned[place].clone()).collect(),
            None => returned,
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
        let (error, _) = refusal_of(Level::Function, unit.name, errors, &self.sent(unit));
        self.place(unit, error)
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
        let words = words(text);
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

/// The words of a text, without the marks around them.
pub(super) fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ',' | ';' | '(' | ')'))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty())
        .collect()
}

/// A key as a gateway that folds and trims compares it.
pub(super) fn folded(key: &str) -> String {
    key.trim().to_lowercase()
}

fn texts_in<'a>(value: &'a serde_json::Value, out: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::String(text) => out.push(text),
        serde_json::Value::Array(all) => all.iter().for_each(|value| texts_in(value, out)),
        serde_json::Value::Object(all) => all.values().for_each(|value| texts_in(value, out)),
        _ => {}
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
