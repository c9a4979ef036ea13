//! The text form, written.

use super::parse::needs_quotes;
use super::{Condition, Count, OrderKey, Query, SelectItem};
use std::fmt;

/// A name as written in the text form: between double quotes where it would be misread.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if needs_quotes(self.0) {
            write!(f, "\"{}\"", self.0.replace('"', "\"\""))
        } else {
            f.write_str(self.0)
        }
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    separator: &str,
    items: &[T],
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

impl fmt::Display for SelectItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelectItem::Field(field) => Name(field).fmt(f),
            SelectItem::Aggregate { function, field } => write!(f, "{}({})", function.name(), Name(field)),
        }
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            Name(&self.field),
            if self.descending { "desc" } else { "asc" }
        )
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Number(number) => write!(f, "{number}"),
            Count::Param(number) => write!(f, "${number}"),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("select ")?;
        if self.select.is_empty() {
            f.write_str("*")?;
        }
        separated(f, ", ", &self.select, |f, item| item.fmt(f))?;
        write!(f, " from {}", Name(&self.object))?;
        if let Some(docparid) = &self.docparid {
            write!(f, " docparid {}", super::Value::Text(docparid.clone()))?;
        }
        if let Some(filter) = &self.filter {
            write!(f, " where {filter}")?;
        }
        if !self.order_by.is_empty() {
            f.write_str(" order_by ")?;
            separated(f, ", ", &self.order_by, |f, key| key.fmt(f))?;
        }
        if let Some(limit) = self.limit {
            write!(f, " limit {limit}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " offset {offset}")?;
        }
        let options = [
            (self.case_insensitive, "case_insensitive"),
            (self.show_private, "show_private"),
            (self.missing_as_null, "missing_elements_null"),
        ];
        let options: Vec<&str> = options
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| *name)
            .collect();
        match options.is_empty() {
            true => Ok(()),
            false => write!(f, " options ({})", options.join(", ")),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nested = |f: &mut fmt::Formatter<'_>, part: &Condition| match part {
            Condition::And(_) | Condition::Or(_) => write!(f, "[{part}]"),
            single => single.fmt(f),
        };
        let not = |negated: bool| if negated { "not " } else { "" };
        match self {
            Condition::And(parts) => separated(f, " and ", parts, nested),
            Condition::Or(parts) => separated(f, " or ", parts, nested),
            Condition::Compare { field, op, value } => {
                write!(f, "{} {} {value}", Name(field), op.symbol())
            }
            Condition::CompareFields { left, op, right } => {
                write!(
                    f,
                    "{} {} \"{}\"",
                    Name(left),
                    op.symbol(),
                    right.replace('"', "\"\"")
                )
            }
            Condition::Between { field, low, high } => {
                write!(f, "{} between {low} and {high}", Name(field))
            }
            Condition::In {
                field,
                values,
                negated,
            } => {
                write!(f, "{} {}in (", Name(field), not(*negated))?;
                separated(f, ", ", values, |f, value| value.fmt(f))?;
                f.write_str(")")
            }
            Condition::Like {
                field,
                pattern,
                negated,
            } => {
                write!(f, "{} {}like {pattern}", Name(field), not(*negated))
            }
            Condition::IsNull { field, negated } => write!(f, "{} is {}null", Name(field), not(*negated)),
        }
    }
}
