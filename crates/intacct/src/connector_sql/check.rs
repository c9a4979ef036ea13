//! Local evaluation of conditions, with the meaning that SQL gives to NULL.

use super::like::Pattern;
use super::names::Names;
use crate::formatting::{CellError, CellReader};
use crate::query::{CompareOp, Condition, SelectItem, Value, compare_numbers};
use crate::schema::Class;
use crate::xml::page::Page;
use std::cmp::Ordering;

/// A condition with the columns of a page in place of fields, and constants that can be compared.
pub(super) struct Check {
    test: Test,
    /// Text is compared without regard to case.
    fold: bool,
}

enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Compare(Column, CompareOp, Constant),
    Columns(Column, CompareOp, Column),
    OneOf {
        column: Column,
        constants: Vec<Constant>,
        negated: bool,
    },
    Like {
        column: Column,
        pattern: Pattern,
        negated: bool,
    },
    HasValue {
        column: Column,
        negated: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Column {
    index: usize,
    class: Class,
}

/// A value of a class.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Text(String),
    /// In canonical spelling.
    Number(String),
    Boolean(bool),
    Date(jiff::civil::Date),
    /// Microseconds since 1970.
    Moment(i64),
}

/// A cell that cannot be compared: its column and what is wrong.
pub(super) type BadCell = (usize, CellError);

impl Check {
    /// `select` names the columns of the pages to come; every field of the condition is among them.
    pub(super) fn new(
        condition: &Condition,
        select: &[SelectItem],
        names: &Names,
        fold: bool,
        reader: &CellReader,
    ) -> Check {
        let builder = Builder {
            select,
            names,
            fold,
            reader,
        };
        Check {
            test: builder.test(condition),
            fold,
        }
    }

    /// Whether the condition is true of a row.
    pub(super) fn keeps(&self, page: &Page, row: usize, reader: &CellReader) -> Result<bool, BadCell> {
        let row = Row {
            page,
            row,
            reader,
            fold: self.fold,
        };
        Ok(row.truth(&self.test)? == Some(true))
    }
}

struct Builder<'a> {
    select: &'a [SelectItem],
    names: &'a Names,
    fold: bool,
    reader: &'a CellReader,
}

impl Builder<'_> {
    fn test(&self, condition: &Condition) -> Test {
        match condition {
            Condition::And(parts) => Test::All(parts.iter().map(|part| self.test(part)).collect()),
            Condition::Or(parts) => Test::Any(parts.iter().map(|part| self.test(part)).collect()),
            Condition::Compare { field, op, value } => {
                Test::Compare(self.column(field), *op, self.constant(value))
            }
            Condition::CompareFields { left, op, right } => {
                Test::Columns(self.column(left), *op, self.column(right))
            }
            Condition::Between { field, low, high } => {
                let column = self.column(field);
                Test::All(vec![
                    Test::Compare(column, CompareOp::Ge, self.constant(low)),
                    Test::Compare(column, CompareOp::Le, self.constant(high)),
                ])
            }
            Condition::In {
                field,
                values,
                negated,
            } => Test::OneOf {
                column: self.column(field),
                constants: values.iter().map(|value| self.constant(value)).collect(),
                negated: *negated,
            },
            Condition::Like {
                field,
                pattern,
                negated,
            } => {
                let text = match pattern {
                    Value::Text(text) if self.fold => text.to_lowercase(),
                    Value::Text(text) => text.clone(),
                    other => other.to_string(),
                };
                Test::Like {
                    column: self.column(field),
                    pattern: Pattern::new(&text),
                    negated: *negated,
                }
            }
            Condition::IsNull { field, negated } => Test::HasValue {
                column: self.column(field),
                negated: !negated,
            },
        }
    }

    fn column(&self, field: &str) -> Column {
        let is_field = |item: &SelectItem| matches!(item, SelectItem::Field(name) if name == field);
        Column {
            // Beyond the last column when it is missing: such a cell is NULL.
            index: self.select.iter().position(is_field).unwrap_or(usize::MAX),
            class: Class::of(&self.names.type_of(field)),
        }
    }

    fn constant(&self, value: &Value) -> Constant {
        match value {
            Value::Text(text) if self.fold => Constant::Text(text.to_lowercase()),
            Value::Text(text) => Constant::Text(text.clone()),
            Value::Number(digits) => Constant::Number(digits.clone()),
            Value::Boolean(value) => Constant::Boolean(*value),
            Value::Date(date) => Constant::Date(*date),
            Value::Instant(instant) => Constant::Moment(instant.as_microsecond()),
            Value::DateTime(moment) => {
                let written = moment.strftime("%Y-%m-%dT%H:%M:%S%.f").to_string();
                match self.reader.timestamp(written.as_bytes()) {
                    Ok(micros) => Constant::Moment(micros),
                    Err(_) => Constant::Text(written),
                }
            }
            Value::Param(number) => Constant::Text(format!("${number}")),
        }
    }
}

struct Row<'a> {
    page: &'a Page,
    row: usize,
    reader: &'a CellReader,
    fold: bool,
}

impl Row<'_> {
    /// `None` is unknown.
    fn truth(&self, test: &Test) -> Result<Option<bool>, BadCell> {
        match test {
            Test::All(parts) => self.all(parts, true),
            Test::Any(parts) => self.all(parts, false),
            Test::Compare(column, op, constant) => Ok(self
                .cell(*column)?
                .and_then(|cell| compare(&cell, constant))
                .map(|order| holds(*op, order))),
            Test::Columns(left, op, right) => {
                let (Some(left), Some(right)) = (self.cell(*left)?, self.cell(*right)?) else {
                    return Ok(None);
                };
                Ok(compare(&left, &right).map(|order| holds(*op, order)))
            }
            Test::OneOf {
                column,
                constants,
                negated,
            } => {
                if constants.is_empty() {
                    return Ok(Some(*negated));
                }
                Ok(self.cell(*column)?.map(|cell| {
                    let is_one = constants
                        .iter()
                        .any(|constant| compare(&cell, constant) == Some(Ordering::Equal));
                    is_one != *negated
                }))
            }
            Test::Like {
                column,
                pattern,
                negated,
            } => Ok(match self.cell(*column)? {
                Some(Constant::Text(text)) => Some(pattern.matches(&text) != *negated),
                _ => None,
            }),
            Test::HasValue { column, negated } => {
                Ok(Some(self.page.cell(self.row, column.index).is_some() != *negated))
            }
        }
    }

    /// `and` where `unit` is true, else `or`.
    fn all(&self, parts: &[Test], unit: bool) -> Result<Option<bool>, BadCell> {
        let mut whole = Some(unit);
        for part in parts {
            match self.truth(part)? {
                Some(truth) if truth != unit => return Ok(Some(!unit)),
                Some(_) => {}
                None => whole = None,
            }
        }
        Ok(whole)
    }

    fn cell(&self, column: Column) -> Result<Option<Constant>, BadCell> {
        let Some(cell) = self.page.cell(self.row, column.index) else {
            return Ok(None);
        };
        let value = read(cell, column.class, self.reader).map_err(|error| (column.index, error))?;
        Ok(Some(match value {
            Constant::Text(text) if self.fold => Constant::Text(text.to_lowercase()),
            value => value,
        }))
    }
}

/// A cell as a value of a class.
pub(super) fn read(cell: &[u8], class: Class, reader: &CellReader) -> Result<Constant, CellError> {
    Ok(match class {
        Class::Text => Constant::Text(String::from_utf8_lossy(cell).into_owned()),
        Class::Number => match Value::number(&String::from_utf8_lossy(cell)) {
            Some(Value::Number(digits)) => Constant::Number(digits),
            _ => {
                return Err(CellError {
                    expected: "a decimal number",
                    found: String::from_utf8_lossy(cell).chars().take(80).collect(),
                });
            }
        },
        Class::Boolean => Constant::Boolean(reader.boolean(cell)?),
        Class::Date => Constant::Date(reader.date(cell)?),
        Class::Moment => Constant::Moment(reader.timestamp(cell)?),
    })
}

/// Order of two values of one class; text by its characters' numbers.
pub(super) fn compare(a: &Constant, b: &Constant) -> Option<Ordering> {
    match (a, b) {
        (Constant::Text(a), Constant::Text(b)) => Some(a.cmp(b)),
        (Constant::Number(a), Constant::Number(b)) => Some(compare_numbers(a, b)),
        (Constant::Boolean(a), Constant::Boolean(b)) => Some(a.cmp(b)),
        (Constant::Date(a), Constant::Date(b)) => Some(a.cmp(b)),
        (Constant::Moment(a), Constant::Moment(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn holds(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    }
}
