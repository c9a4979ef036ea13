//! The `readByQuery` function: a condition in a query string of its own, no order, no aggregates, no joins.
//!
//! Facts: the vendor's page on queries and its SDKs. Text stands in single quotes with `\'` for a quote; no other
//! escape is documented, so a backslash cannot be represented. Booleans are `'T'` and `'F'`. Enumerations are compared by
//! their codes, not by the labels that rows show: a caller must keep conditions on them to itself.

use super::capabilities::{Capabilities, Dialect, Operators, PageRequest, RenderContext};
use super::query::whole_seconds;
use crate::error::{Error, ErrorKind};
use crate::query::{CompareOp, Condition, Query, SelectItem, Value, write_us_date};
use crate::xml::escape::{IllegalCharacter, push_element};

pub(super) struct ReadByQueryDialect;

static CAPABILITIES: Capabilities = Capabilities {
    operators: Operators {
        compare: &[
            CompareOp::Eq,
            CompareOp::Lt,
            CompareOp::Le,
            CompareOp::Gt,
            CompareOp::Ge,
        ],
        in_list: true,
        not_in_list: true,
        like: true,
        not_like: true,
        between: true,
        is_null: true,
        is_not_null: true,
    },
    order: false,
    aggregates: false,
    dotted: false,
    case_insensitive_option: false,
    show_private: false,
    offset: false,
    max_page: 1000,
    max_in: 1000,
    total_count: true,
    enums: false,
    booleans: true,
    backslash: false,
};

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

impl Dialect for ReadByQueryDialect {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn function(&self, query: &Query, page: &PageRequest, context: &RenderContext) -> Result<String, Error> {
        let cannot = [
            (!query.order_by.is_empty(), "sort"),
            (query.case_insensitive, "compare without regard to case"),
            (query.show_private, "ask for rows private to an entity"),
            (page.offset > 0, "skip rows"),
            (query.select.is_empty(), "be read without naming the fields"),
        ];
        if let Some((_, what)) = cannot.iter().find(|(asked, _)| *asked) {
            return Err(unsupported(format!("readByQuery cannot {what}")));
        }
        let fields = query.select.iter().map(|item| match item {
            SelectItem::Field(field) => name(field),
            SelectItem::Aggregate { .. } => Err(unsupported("readByQuery cannot aggregate")),
        });
        let fields = fields.collect::<Result<Vec<_>, _>>()?.join(",");
        let mut condition = String::new();
        if let Some(filter) = &query.filter {
            Writer {
                out: &mut condition,
                context,
            }
            .condition(filter, false)?;
        }
        let mut out = String::from("<readByQuery>");
        let mut element = |name: &str, text: &str| {
            push_element(&mut out, name, text).map_err(|IllegalCharacter(c)| {
                unsupported(format!(
                    "the character U+{:04X} cannot be sent to the gateway",
                    u32::from(c)
                ))
            })
        };
        element("object", &query.object)?;
        element("fields", &fields)?;
        element("query", &condition)?;
        element("pagesize", &page.size.clamp(1, CAPABILITIES.max_page).to_string())?;
        if let Some(docparid) = &query.docparid {
            element("docparid", docparid)?;
        }
        out.push_str("</readByQuery>");
        Ok(out)
    }
}

/// A field name stands bare in the query string: nothing else may get in with it.
fn name(field: &str) -> Result<&str, Error> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '#');
    match !field.is_empty() && field.chars().all(is_part) {
        true => Ok(field),
        false => Err(unsupported(format!(
            "readByQuery cannot name the field \"{field}\""
        ))),
    }
}

struct Writer<'a> {
    out: &'a mut String,
    context: &'a RenderContext,
}

impl Writer<'_> {
    fn condition(&mut self, condition: &Condition, nested: bool) -> Result<(), Error> {
        match condition {
            Condition::And(parts) => self.group(" AND ", parts, nested),
            Condition::Or(parts) => self.group(" OR ", parts, nested),
            Condition::Compare {
                op: CompareOp::Ne,
                field,
                ..
            } => Err(unsupported(format!("readByQuery has no \"<>\" (field {field})"))),
            Condition::Compare { field, op, value } => self.compare(field, op.symbol(), value),
            Condition::CompareFields { left, right, .. } => Err(unsupported(format!(
                "the gateway cannot compare field {left} with field {right}"
            ))),
            Condition::Between { field, low, high } => self.bracket(nested, |this| {
                this.compare(field, ">=", low)?;
                this.out.push_str(" AND ");
                this.compare(field, "<=", high)
            }),
            Condition::In {
                field,
                values,
                negated,
            } => self.list(field, values, *negated, nested),
            Condition::Like {
                field,
                pattern,
                negated,
            } => self.compare(field, if *negated { "not like" } else { "like" }, pattern),
            Condition::IsNull { field, negated } => {
                self.field(field)?;
                self.out
                    .push_str(if *negated { " IS NOT NULL" } else { " IS NULL" });
                Ok(())
            }
        }
    }

    fn group(&mut self, join: &str, parts: &[Condition], nested: bool) -> Result<(), Error> {
        match parts {
            [] => Err(Error::new(
                ErrorKind::Internal,
                "a group of conditions without parts",
            )),
            [single] => self.condition(single, nested),
            parts => self.bracket(nested, |this| {
                for (i, part) in parts.iter().enumerate() {
                    if i > 0 {
                        this.out.push_str(join);
                    }
                    this.condition(part, true)?;
                }
                Ok(())
            }),
        }
    }

    fn list(&mut self, field: &str, values: &[Value], negated: bool, nested: bool) -> Result<(), Error> {
        let (operator, join) = if negated {
            (" not in (", " AND ")
        } else {
            (" in (", " OR ")
        };
        if values.is_empty() {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("a list without values on field {field}"),
            ));
        }
        self.bracket(nested && values.len() > CAPABILITIES.max_in, |this| {
            for (i, chunk) in values.chunks(CAPABILITIES.max_in).enumerate() {
                if i > 0 {
                    this.out.push_str(join);
                }
                this.field(field)?;
                this.out.push_str(operator);
                for (i, value) in chunk.iter().enumerate() {
                    if i > 0 {
                        this.out.push_str(", ");
                    }
                    this.value(field, value)?;
                }
                this.out.push(')');
            }
            Ok(())
        })
    }

    fn bracket(
        &mut self,
        wanted: bool,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if wanted {
            self.out.push('(');
        }
        write(self)?;
        if wanted {
            self.out.push(')');
        }
        Ok(())
    }

    fn compare(&mut self, field: &str, operator: &str, value: &Value) -> Result<(), Error> {
        self.field(field)?;
        self.out.push(' ');
        self.out.push_str(operator);
        self.out.push(' ');
        self.value(field, value)
    }

    fn field(&mut self, field: &str) -> Result<(), Error> {
        if field.contains('.') {
            return Err(unsupported(format!(
                "readByQuery takes no condition on a related field ({field})"
            )));
        }
        self.out.push_str(name(field)?);
        Ok(())
    }

    fn value(&mut self, field: &str, value: &Value) -> Result<(), Error> {
        let quoted = match value {
            Value::Number(digits) => {
                self.out.push_str(digits);
                return Ok(());
            }
            Value::Param(number) => {
                self.out.push_str(&format!("${number}"));
                return Ok(());
            }
            Value::Text(text) if text.is_empty() => {
                return Err(unsupported(format!(
                    "field {field} cannot be compared with empty text"
                )));
            }
            Value::Text(text) if text.contains('\\') => {
                return Err(unsupported(format!(
                    "readByQuery cannot represent a backslash (field {field})"
                )));
            }
            Value::Text(text) => text.replace('\'', "\\'"),
            Value::Boolean(value) => if *value { "T" } else { "F" }.to_owned(),
            Value::Date(date) => {
                let mut text = String::new();
                let _ = write_us_date(&mut text, *date);
                text
            }
            Value::DateTime(moment) => whole_seconds(field, *moment)?,
            Value::Instant(instant) => whole_seconds(field, self.context.zone.render(*instant))?,
        };
        self.out.push('\'');
        self.out.push_str(&quoted);
        self.out.push('\'');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formatting::GatewayZone;

    fn render(query: &str) -> Result<String, String> {
        let query: Query = query.parse().expect("a query");
        let context = RenderContext {
            zone: GatewayZone::new(None, None),
        };
        let page = PageRequest {
            size: 5000,
            offset: 0,
        };
        ReadByQueryDialect
            .function(&query, &page, &context)
            .map_err(|error| error.to_string())
    }

    fn condition(text: &str) -> String {
        let document =
            render(&format!("select A from B where {text}")).unwrap_or_else(|error| panic!("{error}"));
        let start = document.find("<query>").expect("a condition") + "<query>".len();
        document[start..document.find("</query>").expect("a condition")].to_owned()
    }

    #[test]
    fn the_function_names_fields_and_page() {
        assert_eq!(
            render("select RECORDNO, NAME from SODOCUMENT docparid 'Sales Order'").as_deref(),
            Ok(
                "<readByQuery><object>SODOCUMENT</object><fields>RECORDNO,NAME</fields><query/>\
                <pagesize>1000</pagesize><docparid>Sales Order</docparid></readByQuery>"
            )
        );
    }

    #[test]
    fn conditions_are_quoted_and_bracketed() {
        for (text, said) in [
            ("NAME = 'Erin''s' and N > 5", "NAME = 'Erin\\'s' AND N &gt; 5"),
            ("A = 1 and [B = 2 or C = 3]", "A = 1 AND (B = 2 OR C = 3)"),
            ("A = 1 or B between 2 and 3", "A = 1 OR (B &gt;= 2 AND B &lt;= 3)"),
            (
                "A in ('x', 'y') and B not in (1)",
                "A in ('x', 'y') AND B not in (1)",
            ),
            ("A like 'x%' and B not like 'y'", "A like 'x%' AND B not like 'y'"),
            ("A is null or B is not null", "A IS NULL OR B IS NOT NULL"),
            ("A = true and D >= 01/31/2024", "A = 'T' AND D &gt;= '01/31/2024'"),
            (
                "W < 2024-01-31T08:00:00Z and P = $1",
                "W &lt; '01/31/2024 08:00:00' AND P = $1",
            ),
        ] {
            assert_eq!(condition(text), said, "{text}");
        }
    }

    #[test]
    fn long_lists_are_split() {
        let values: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
        let said = condition(&format!("A = 1 and B in ({})", values.join(", ")));
        assert!(
            said.starts_with("A = 1 AND (B in (0, 1") && said.ends_with("999) OR B in (1000))"),
            "{said}"
        );
    }

    #[test]
    fn what_cannot_be_expressed_is_refused() {
        for query in [
            "select A from B order_by A",
            "select count(A) from B",
            "select * from B",
            "select A from B options (show_private)",
            "select A from B options (case_insensitive)",
            "select A from B where A <> 1",
            "select A from B where A = \"C\"",
            "select A from B where A.C = 1",
            "select A from B where A = 'back\\\\slash'",
            "select A from B where A = ''",
            "select \"A) OR (1\" from B",
            "select A from B where \"1 = 1 OR A\" = 1",
        ] {
            assert!(render(query).is_err(), "{query}");
        }
    }
}
