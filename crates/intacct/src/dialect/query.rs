//! The `query` function of dtd version 3.0.
//!
//! Grammar: the vendor's page on queries and `api.xsd` (element `query`). It has no NOT, takes `and` and `or` of two
//! parts or more, and at most 1000 values in an `in`.

use super::capabilities::{Capabilities, Dialect, Operators, PageRequest, RenderContext};
use crate::error::{Error, ErrorKind};
use crate::query::{CompareOp, Condition, Query, SelectItem, Value, write_us_date, write_us_datetime};
use crate::xml::escape::{IllegalCharacter, push_element};
use jiff::civil::DateTime;

pub(super) struct QueryDialect;

static CAPABILITIES: Capabilities = Capabilities {
    operators: Operators {
        compare: &CompareOp::ALL,
        in_list: true,
        not_in_list: true,
        like: true,
        not_like: true,
        between: true,
        is_null: true,
        is_not_null: true,
    },
    order: true,
    aggregates: true,
    dotted: true,
    case_insensitive_option: true,
    show_private: true,
    offset: true,
    max_page: 2000,
    max_in: 1000,
    total_count: true,
    enums: true,
    booleans: true,
    backslash: true,
};

impl Dialect for QueryDialect {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn function(&self, query: &Query, page: &PageRequest, context: &RenderContext) -> Result<String, Error> {
        let mut writer = Writer {
            out: String::with_capacity(512),
            context,
        };
        writer.query(query, page)?;
        Ok(writer.out)
    }
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

struct Writer<'a> {
    out: String,
    context: &'a RenderContext,
}

impl Writer<'_> {
    fn query(&mut self, query: &Query, page: &PageRequest) -> Result<(), Error> {
        if query.select.is_empty() {
            return Err(unsupported(
                "the query function has no \"*\": every field must be named",
            ));
        }
        self.open("query");
        self.element("object", &query.object)?;
        if let Some(docparid) = &query.docparid {
            self.element("docparid", docparid)?;
        }
        self.open("select");
        for item in &query.select {
            match item {
                SelectItem::Field(field) => self.element("field", field)?,
                SelectItem::Aggregate { function, field } => self.element(function.name(), field)?,
            }
        }
        self.close("select");
        if let Some(filter) = &query.filter {
            self.open("filter");
            self.condition(filter)?;
            self.close("filter");
        }
        if !query.order_by.is_empty() {
            self.open("orderby");
            for key in &query.order_by {
                self.open("order");
                self.element("field", &key.field)?;
                self.out.push_str(if key.descending {
                    "<descending/>"
                } else {
                    "<ascending/>"
                });
                self.close("order");
            }
            self.close("orderby");
        }
        if query.case_insensitive || query.show_private {
            self.open("options");
            if query.case_insensitive {
                self.element("caseinsensitive", "true")?;
            }
            if query.show_private {
                self.element("showprivate", "true")?;
            }
            self.close("options");
        }
        self.element("pagesize", &page.size.clamp(1, CAPABILITIES.max_page).to_string())?;
        if page.offset > 0 {
            self.element("offset", &page.offset.to_string())?;
        }
        self.close("query");
        Ok(())
    }

    fn condition(&mut self, condition: &Condition) -> Result<(), Error> {
        match condition {
            Condition::And(parts) => self.group("and", parts),
            Condition::Or(parts) => self.group("or", parts),
            Condition::Compare { field, op, value } => {
                let operator = match op {
                    CompareOp::Eq => "equalto",
                    CompareOp::Ne => "notequalto",
                    CompareOp::Lt => "lessthan",
                    CompareOp::Le => "lessthanorequalto",
                    CompareOp::Gt => "greaterthan",
                    CompareOp::Ge => "greaterthanorequalto",
                };
                self.operator(operator, field, [value])
            }
            Condition::CompareFields { left, right, .. } => Err(unsupported(format!(
                "the gateway cannot compare field {left} with field {right}"
            ))),
            Condition::Between { field, low, high } => self.operator("between", field, [low, high]),
            Condition::In {
                field,
                values,
                negated,
            } => self.list(field, values, *negated),
            Condition::Like {
                field,
                pattern,
                negated,
            } => self.operator(if *negated { "notlike" } else { "like" }, field, [pattern]),
            Condition::IsNull { field, negated } => {
                self.operator(if *negated { "isnotnull" } else { "isnull" }, field, [])
            }
        }
    }

    fn group(&mut self, name: &str, parts: &[Condition]) -> Result<(), Error> {
        match parts {
            [] => Err(Error::new(
                ErrorKind::Internal,
                format!("an {name} without parts"),
            )),
            [single] => self.condition(single),
            parts => {
                self.open(name);
                for part in parts {
                    self.condition(part)?;
                }
                self.close(name);
                Ok(())
            }
        }
    }

    fn list(&mut self, field: &str, values: &[Value], negated: bool) -> Result<(), Error> {
        let (operator, join) = if negated { ("notin", "and") } else { ("in", "or") };
        if values.is_empty() {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("{operator} without values on field {field}"),
            ));
        }
        let split = values.len() > CAPABILITIES.max_in;
        if split {
            self.open(join);
        }
        for chunk in values.chunks(CAPABILITIES.max_in) {
            self.operator(operator, field, chunk)?;
        }
        if split {
            self.close(join);
        }
        Ok(())
    }

    fn operator<'v>(
        &mut self,
        operator: &str,
        field: &str,
        values: impl IntoIterator<Item = &'v Value>,
    ) -> Result<(), Error> {
        self.open(operator);
        self.element("field", field)?;
        for value in values {
            let text = self.value(field, value)?;
            self.element("value", &text)?;
        }
        self.close(operator);
        Ok(())
    }

    fn value(&self, field: &str, value: &Value) -> Result<String, Error> {
        let mut text = String::new();
        match value {
            // What the gateway makes of an empty value is not known (fact 26).
            Value::Text(value) if value.is_empty() => {
                return Err(unsupported(format!(
                    "field {field} cannot be compared with empty text"
                )));
            }
            Value::Text(value) | Value::Number(value) => text.push_str(value),
            Value::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
            Value::Date(date) => {
                let _ = write_us_date(&mut text, *date);
            }
            Value::DateTime(moment) => text = whole_seconds(field, *moment)?,
            Value::Instant(instant) => text = whole_seconds(field, self.context.zone.render(*instant))?,
            Value::Param(number) => text = format!("${number}"),
        }
        Ok(text)
    }

    fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn element(&mut self, name: &str, text: &str) -> Result<(), Error> {
        push_element(&mut self.out, name, text).map_err(|IllegalCharacter(c)| {
            unsupported(format!(
                "the character U+{:04X} cannot be sent to the gateway",
                u32::from(c)
            ))
        })
    }
}

/// The gateway's clock has whole seconds: a fraction is for the caller to round to the safe side.
pub(super) fn whole_seconds(field: &str, moment: DateTime) -> Result<String, Error> {
    if moment.subsec_nanosecond() != 0 {
        return Err(unsupported(format!(
            "field {field} cannot be compared with a fraction of a second"
        )));
    }
    let mut text = String::new();
    let _ = write_us_datetime(&mut text, moment);
    Ok(text)
}
