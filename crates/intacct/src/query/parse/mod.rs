//! The text form, read.

mod cursor;
mod syntax_error;

pub(crate) use cursor::needs_quotes;
pub use syntax_error::SyntaxError;

use super::{AggregateFunction, CompareOp, Condition, Count, OrderKey, Query, SelectItem, Value};
use cursor::Cursor;
use std::str::FromStr;

/// Brackets inside each other, at most: bounds the stack.
const MAX_DEPTH: usize = 50;

impl FromStr for Query {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        Query::parse_with(text, &|_| false)
    }
}

impl FromStr for Condition {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        Condition::parse_watched(text, &|| {})
    }
}

impl Condition {
    /// Reads the text form; `watch` is called for each condition and each value, so that a caller can unwind out of a long
    /// text.
    ///
    /// # Errors
    /// The place in the text, and what was expected there.
    pub fn parse_watched(text: &str, watch: &dyn Fn()) -> Result<Condition, SyntaxError> {
        let mut parser = Parser {
            cursor: Cursor::new(text),
            is_field: &|_| false,
            watch,
        };
        let condition = parser.any_of(0)?;
        parser.end("\"and\", \"or\" or the end")?;
        Ok(condition)
    }
}

impl Query {
    /// Reads the text form. A bare word on the right of a comparison is a field where `is_field` says so, else text;
    /// between double quotes it is always a field.
    ///
    /// # Errors
    /// The place in the text, and what was expected there.
    pub fn parse_with(text: &str, is_field: &dyn Fn(&str) -> bool) -> Result<Query, SyntaxError> {
        Parser {
            cursor: Cursor::new(text),
            is_field,
            watch: &|| {},
        }
        .query()
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    is_field: &'a dyn Fn(&str) -> bool,
    watch: &'a dyn Fn(),
}

impl Parser<'_> {
    fn query(mut self) -> Result<Query, SyntaxError> {
        if !self.cursor.take_word("select") {
            return Err(self.cursor.expected("\"select\""));
        }
        let select = if self.cursor.take("*") {
            Vec::new()
        } else {
            self.select_list()?
        };
        if !self.cursor.take_word("from") {
            return Err(self.cursor.expected("\",\" or \"from\""));
        }
        let mut query = Query::new(self.cursor.name("an object")?);
        query.select = select;
        if self.cursor.take_word("docparid") {
            if self.cursor.peek() != Some('\'') {
                return Err(self.cursor.expected("a quoted transaction definition"));
            }
            query.docparid = Some(self.cursor.quoted_text()?);
        }
        let mut expected = "\"where\", \"order_by\", \"limit\", \"offset\", \"options\" or the end";
        if self.cursor.take_word("where") {
            query.filter = Some(self.any_of(0)?);
            expected = "\"and\", \"or\", \"order_by\", \"limit\", \"offset\", \"options\" or the end";
        }
        if self.cursor.take_order_by() {
            query.order_by = self.order_keys()?;
            expected = "\",\", \"limit\", \"offset\", \"options\" or the end";
        }
        loop {
            if query.limit.is_none() && self.cursor.take_word("limit") {
                query.limit = Some(self.count()?);
            } else if query.offset.is_none() && self.cursor.take_word("offset") {
                query.offset = Some(self.count()?);
            } else {
                break;
            }
            expected = "\"limit\", \"offset\", \"options\" or the end";
        }
        if self.cursor.take_word("options") {
            self.options(&mut query)?;
            expected = "the end";
        }
        self.end(expected)?;
        Ok(query)
    }

    fn end(&mut self, expected: &str) -> Result<(), SyntaxError> {
        self.cursor.take(";");
        match self.cursor.peek() {
            None => Ok(()),
            Some(_) => Err(self.cursor.expected(expected)),
        }
    }

    fn select_list(&mut self) -> Result<Vec<SelectItem>, SyntaxError> {
        let mut items = Vec::new();
        loop {
            items.push(self.select_item()?);
            if !self.cursor.take(",") {
                return Ok(items);
            }
        }
    }

    fn select_item(&mut self) -> Result<SelectItem, SyntaxError> {
        let quoted = self.cursor.peek() == Some('"');
        let name = self.cursor.name("a field, an aggregate or \"*\"")?;
        let function = AggregateFunction::ALL
            .into_iter()
            .find(|f| f.name().eq_ignore_ascii_case(&name));
        match function {
            Some(function) if !quoted && self.cursor.take("(") => {
                let field = self.cursor.name("a field")?;
                self.cursor.require(")")?;
                Ok(SelectItem::Aggregate { function, field })
            }
            _ => Ok(SelectItem::Field(name)),
        }
    }

    fn order_keys(&mut self) -> Result<Vec<OrderKey>, SyntaxError> {
        let mut keys = Vec::new();
        loop {
            let field = self.cursor.name("a field")?;
            let descending = !self.cursor.take_word("asc") && self.cursor.take_word("desc");
            keys.push(OrderKey { field, descending });
            if !self.cursor.take(",") {
                return Ok(keys);
            }
        }
    }

    fn count(&mut self) -> Result<Count, SyntaxError> {
        match self.cursor.count()? {
            (false, number) => Ok(Count::Number(number)),
            (true, number) => Ok(Count::Param(u32::try_from(number).unwrap_or(u32::MAX))),
        }
    }

    fn options(&mut self, query: &mut Query) -> Result<(), SyntaxError> {
        self.cursor.require("(")?;
        loop {
            if self.cursor.take_word("case_insensitive") {
                query.case_insensitive = true;
            } else if self.cursor.take_word("show_private") {
                query.show_private = true;
            } else if self.cursor.take_word("missing_elements_null") {
                query.missing_as_null = true;
            } else {
                return Err(self
                    .cursor
                    .expected("\"case_insensitive\", \"show_private\" or \"missing_elements_null\""));
            }
            if !self.cursor.take(",") {
                return self.cursor.require(")");
            }
        }
    }

    fn any_of(&mut self, depth: usize) -> Result<Condition, SyntaxError> {
        let mut parts = vec![self.all_of(depth)?];
        while self.cursor.take_word("or") {
            parts.push(self.all_of(depth)?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Condition::Or(parts)
        })
    }

    fn all_of(&mut self, depth: usize) -> Result<Condition, SyntaxError> {
        let mut parts = vec![self.part(depth)?];
        while self.cursor.take_word("and") {
            parts.push(self.part(depth)?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Condition::And(parts)
        })
    }

    fn part(&mut self, depth: usize) -> Result<Condition, SyntaxError> {
        (self.watch)();
        for (open, close) in [("[", "]"), ("(", ")")] {
            if depth >= MAX_DEPTH && self.cursor.peek().is_some_and(|c| open.starts_with(c)) {
                return Err(self.cursor.expected("fewer brackets"));
            }
            if self.cursor.take(open) {
                let inner = self.any_of(depth + 1)?;
                return match self.cursor.take(close) {
                    true => Ok(inner),
                    false => Err(self.cursor.expected(&format!("\"and\", \"or\" or \"{close}\""))),
                };
            }
        }
        let field = self.cursor.name("a field or a bracket")?;
        self.test(field)
    }

    fn test(&mut self, field: String) -> Result<Condition, SyntaxError> {
        if self.cursor.take_word("is") {
            let negated = self.cursor.take_word("not");
            return match self.cursor.take_word("null") {
                true => Ok(Condition::IsNull { field, negated }),
                false => Err(self.cursor.expected("\"null\"")),
            };
        }
        if self.cursor.take_word("between") {
            let low = self.cursor.literal()?;
            if !self.cursor.take_word("and") {
                return Err(self.cursor.expected("\"and\""));
            }
            return Ok(Condition::Between {
                field,
                low,
                high: self.cursor.literal()?,
            });
        }
        let negated = self.cursor.take_word("not");
        if self.cursor.take_word("in") {
            return Ok(Condition::In {
                field,
                values: self.list()?,
                negated,
            });
        }
        if self.cursor.take_word("like") {
            return Ok(Condition::Like {
                field,
                pattern: self.cursor.literal()?,
                negated,
            });
        }
        if negated {
            return Err(self.cursor.expected("\"in\" or \"like\""));
        }
        let op = self.operator()?;
        self.comparison(field, op)
    }

    fn operator(&mut self) -> Result<CompareOp, SyntaxError> {
        let symbols = [
            ("<=", CompareOp::Le),
            (">=", CompareOp::Ge),
            ("<>", CompareOp::Ne),
            ("!=", CompareOp::Ne),
            ("=", CompareOp::Eq),
            ("<", CompareOp::Lt),
            (">", CompareOp::Gt),
        ];
        for (symbol, op) in symbols {
            if self.cursor.take(symbol) {
                return Ok(op);
            }
        }
        Err(self
            .cursor
            .expected("a comparison (=, <>, <, <=, >, >=, in, not in, like, not like, between, is)"))
    }

    fn comparison(&mut self, field: String, op: CompareOp) -> Result<Condition, SyntaxError> {
        match self.cursor.peek() {
            Some('"') => Ok(Condition::CompareFields {
                left: field,
                op,
                right: self.cursor.quoted_name()?,
            }),
            Some('\'') => Ok(Condition::Compare {
                field,
                op,
                value: self.cursor.literal()?,
            }),
            _ => {
                let bare = self.cursor.bare()?;
                if (self.is_field)(bare) {
                    return Ok(Condition::CompareFields {
                        left: field,
                        op,
                        right: bare.to_owned(),
                    });
                }
                Ok(Condition::Compare {
                    field,
                    op,
                    value: Value::from_bare(bare),
                })
            }
        }
    }

    fn list(&mut self) -> Result<Vec<Value>, SyntaxError> {
        let close = match (self.cursor.take("("), self.cursor.take("[")) {
            (true, false) => ")",
            (false, true) => "]",
            _ => return Err(self.cursor.expected("\"(\"")),
        };
        let mut values = Vec::new();
        if self.cursor.take(close) {
            return Ok(values);
        }
        loop {
            (self.watch)();
            values.push(self.cursor.literal()?);
            if !self.cursor.take(",") {
                return match self.cursor.take(close) {
                    true => Ok(values),
                    false => Err(self.cursor.expected(&format!("\",\" or \"{close}\""))),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests;
