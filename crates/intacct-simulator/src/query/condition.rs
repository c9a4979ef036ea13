//! Conditions as SQL with parameters. SQLite evaluates them; here only the spelling is decided.

use rusqlite::types::Value;

use super::Scope;
use super::request::{Condition, Operator};
use super::resolve::{Column, Resolver};
use crate::catalog::DataType;
use crate::error::Fault;
use crate::format::read_number;
use crate::settings::{Negatives, TextOrder, TrailingBlanks};
use crate::store::functions::{fold, linguistic};

/// SQL text and its parameters, in order.
#[derive(Debug, Default, Clone)]
pub struct Sql {
    /// Text with `?` marks.
    pub text: String,
    /// Parameters.
    pub values: Vec<Value>,
}

/// Renders conditions for one request.
#[derive(Debug)]
pub struct Renderer<'a> {
    /// Settings and value formats.
    pub scope: &'a Scope<'a>,
    /// Text compares without case.
    pub case_insensitive: bool,
}

/// Conditions that are written one behind the other.
const CHAIN: usize = 64;

impl Renderer<'_> {
    /// Appends a condition.
    ///
    /// # Errors
    /// A value that does not fit its field's type.
    pub fn condition(&self, c: &Condition, resolver: &mut Resolver<'_>, sql: &mut Sql) -> Result<(), Fault> {
        let (parts, word) = match c {
            Condition::And(parts) => (parts, " AND "),
            Condition::Or(parts) => (parts, " OR "),
            Condition::Not(inner) => {
                sql.text.push_str("NOT (");
                self.condition(inner, resolver, sql)?;
                sql.text.push(')');
                return Ok(());
            }
            Condition::Compare {
                operator,
                path,
                values,
            } => {
                // A refused path is reported with all others at the end.
                if let Some(column) = resolver.column(path) {
                    self.compare(*operator, &column, values, sql)?;
                } else {
                    sql.text.push('0');
                }
                return Ok(());
            }
        };
        if parts.is_empty() {
            // The readers of query strings use these for "always" and "never".
            sql.text
                .push(if matches!(c, Condition::And(_)) { '1' } else { '0' });
            return Ok(());
        }
        self.parts(parts, word, resolver, sql)
    }

    /// Appends conditions in parentheses. SQLite bounds the depth of expressions, and a chain is as deep as it is long: long
    /// ones are halved.
    fn parts(
        &self,
        parts: &[Condition],
        word: &str,
        resolver: &mut Resolver<'_>,
        sql: &mut Sql,
    ) -> Result<(), Fault> {
        sql.text.push('(');
        if parts.len() > CHAIN {
            let (first, second) = parts.split_at(parts.len() / 2);
            self.parts(first, word, resolver, sql)?;
            sql.text.push_str(word);
            self.parts(second, word, resolver, sql)?;
        } else {
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    sql.text.push_str(word);
                }
                self.condition(part, resolver, sql)?;
            }
        }
        sql.text.push(')');
        Ok(())
    }

    fn compare(
        &self,
        operator: Operator,
        column: &Column,
        values: &[String],
        sql: &mut Sql,
    ) -> Result<(), Fault> {
        use Operator as O;
        let name = &column.sql;
        match operator {
            O::IsNull => sql.text.push_str(&format!("{name} IS NULL")),
            O::IsNotNull => sql.text.push_str(&format!("{name} IS NOT NULL")),
            O::NotEqualTo | O::NotIn | O::NotLike => {
                let with_nulls = self.scope.readings.negatives == Negatives::WithNulls;
                sql.text.push('(');
                match operator {
                    O::NotLike => self.like(column, &values[0], "NOT LIKE", sql)?,
                    _ => {
                        sql.text.push_str("NOT ");
                        self.members(column, values, sql)?;
                    }
                }
                if with_nulls {
                    sql.text.push_str(&format!(" OR {name} IS NULL"));
                }
                sql.text.push(')');
            }
            O::EqualTo | O::In => self.members(column, values, sql)?,
            O::Like => self.like(column, &values[0], "LIKE", sql)?,
            O::LessThan => self.range(column, "<", &values[0], sql)?,
            O::LessThanOrEqualTo => self.range(column, "<=", &values[0], sql)?,
            O::GreaterThan => self.range(column, ">", &values[0], sql)?,
            O::GreaterThanOrEqualTo => self.range(column, ">=", &values[0], sql)?,
            O::Between => {
                self.check_between(column, values)?;
                sql.text.push('(');
                self.range(column, ">=", &values[0], sql)?;
                sql.text.push_str(" AND ");
                self.range(column, "<=", &values[1], sql)?;
                sql.text.push(')');
            }
        }
        Ok(())
    }

    /// `column` equals one of the values; NULL when the column is NULL.
    fn members(&self, column: &Column, values: &[String], sql: &mut Sql) -> Result<(), Fault> {
        let name = &column.sql;
        let mut marks = Vec::new();
        let data_type = column.data_type();
        let mut params = Vec::new();
        for value in values {
            let param = match data_type {
                t if t.is_text() => Some(Value::Text(self.text(value))),
                t if t.is_number() => match self.number(column, value)? {
                    (_, true) => None,
                    (n, false) => Some(Value::Integer(n)),
                },
                DataType::Boolean => Some(Value::Integer(self.boolean(value)?)),
                _ => Some(Value::Text(self.moment(column, value)?)),
            };
            // The empty string is NULL to an Oracle-like backend: it equals nothing.
            match param {
                Some(Value::Text(t)) if t.is_empty() => marks.push("NULL"),
                Some(p) => {
                    marks.push("?");
                    params.push(p);
                }
                // A number with more digits than the field keeps equals nothing either.
                None => marks.push("-9223372036854775808"),
            }
        }
        let left = if data_type.is_text() {
            self.text_column(name)
        } else {
            self.comparable(column)
        };
        match marks.as_slice() {
            [one] => sql.text.push_str(&format!("({left} = {one})")),
            list => sql.text.push_str(&format!("({left} IN ({}))", list.join(", "))),
        }
        sql.values.extend(params);
        Ok(())
    }

    fn range(&self, column: &Column, operator: &str, value: &str, sql: &mut Sql) -> Result<(), Fault> {
        let name = &column.sql;
        match column.data_type() {
            t if t.is_text() => {
                let (left, right) = if self.case_insensitive {
                    (format!("fold({name})"), fold(value))
                } else {
                    (name.clone(), value.to_string())
                };
                let collate = self.collate();
                sql.text.push_str(&format!("({left} {operator} ?{collate})"));
                sql.values.push(if right.is_empty() {
                    Value::Null
                } else {
                    Value::Text(right)
                });
            }
            t if t.is_number() => {
                let (number, cut) = self.number(column, value)?;
                // Rounded down: x < 1.005 is x <= 1.00, x > 1.005 is x > 1.00.
                let operator = match (operator, cut) {
                    ("<" | "<=", true) => "<=",
                    (">" | ">=", true) => ">",
                    (other, _) => other,
                };
                sql.text.push_str(&format!("({name} {operator} ?)"));
                sql.values.push(Value::Integer(number));
            }
            DataType::Boolean => return Err(Fault::database()),
            _ => {
                sql.text
                    .push_str(&format!("({} {operator} ?)", self.comparable(column)));
                sql.values.push(Value::Text(self.moment(column, value)?));
            }
        }
        Ok(())
    }

    fn like(&self, column: &Column, pattern: &str, operator: &str, sql: &mut Sql) -> Result<(), Fault> {
        if !column.data_type().is_text() {
            return Err(Fault::database());
        }
        let (left, right) = (self.text_column(&column.sql), self.text(pattern));
        sql.text.push_str(&format!("({left} {operator} ?)"));
        sql.values.push(Value::Text(right));
        Ok(())
    }

    fn check_between(&self, column: &Column, values: &[String]) -> Result<(), Fault> {
        let ordered = match column.data_type() {
            t if t.is_text() && self.scope.readings.text_order == TextOrder::Linguistic => {
                linguistic(&values[0], &values[1]).is_le()
            }
            t if t.is_text() => values[0] <= values[1],
            t if t.is_number() => self.number(column, &values[0])?.0 <= self.number(column, &values[1])?.0,
            DataType::Boolean => false,
            _ => self.moment(column, &values[0])? <= self.moment(column, &values[1])?,
        };
        if ordered {
            return Ok(());
        }
        Err(Fault::new(
            "Query Failed",
            format!("The first value of between on {} must be the smaller", column.tag),
        ))
    }

    /// COLLATE clause of text comparisons and sorting.
    pub fn collate(&self) -> &'static str {
        match self.scope.readings.text_order {
            TextOrder::Linguistic => " COLLATE LINGUISTIC",
            _ => "",
        }
    }

    fn blanks_ignored(&self) -> bool {
        self.scope.readings.trailing_blanks == TrailingBlanks::Ignored
    }

    fn text_column(&self, name: &str) -> String {
        let folded = if self.case_insensitive {
            format!("fold({name})")
        } else {
            name.to_string()
        };
        if self.blanks_ignored() {
            format!("rtrim({folded}, ' ')")
        } else {
            folded
        }
    }

    fn text(&self, value: &str) -> String {
        let folded = if self.case_insensitive {
            fold(value)
        } else {
            value.to_string()
        };
        if self.blanks_ignored() {
            folded.trim_end_matches(' ').into()
        } else {
            folded
        }
    }

    fn number(&self, column: &Column, value: &str) -> Result<(i64, bool), Fault> {
        read_number(value.trim(), column.field.scale).ok_or_else(Fault::database)
    }

    fn boolean(&self, value: &str) -> Result<i64, Fault> {
        match value.trim() {
            "true" => Ok(1),
            "false" => Ok(0),
            _ => Err(Fault::database()),
        }
    }

    fn moment(&self, column: &Column, value: &str) -> Result<String, Fault> {
        let format = self.scope.format;
        let read = match column.data_type() {
            DataType::Date => format.read_date(value.trim()),
            _ => format.read_comparable(value.trim()),
        };
        read.ok_or_else(Fault::database)
    }

    /// The SQL by which the values of a column are compared and sorted.
    pub fn comparable(&self, column: &Column) -> String {
        match column.data_type() {
            DataType::Timestamp => self.scope.format.comparable(&column.sql),
            _ => column.sql.clone(),
        }
    }
}
