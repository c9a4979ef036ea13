//! An object that the user may read, in words, and the smallest question about it.

use intacct::{DialectKind, Query, SelectItem};
use std::fmt;

/// An object that the user may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableObject {
    /// As Intacct spells it.
    pub object: String,
    /// The company made it: its rows have an `id` in the place of a record number.
    pub own: bool,
    /// Its rows, where the gateway counts them.
    pub rows: Option<u64>,
}

impl ReadableObject {
    /// One that is not counted yet.
    pub fn new(object: &str, own: bool) -> ReadableObject {
        ReadableObject {
            object: object.to_owned(),
            own,
            rows: None,
        }
    }

    /// A query for the row key alone.
    pub fn key_query(&self, kind: DialectKind) -> Query {
        let usual = if self.own { "id" } else { "RECORDNO" };
        let mut query = Query::new(&self.object);
        query.select = vec![SelectItem::Field(
            kind.settled_key(&self.object).unwrap_or(usual).to_owned(),
        )];
        query
    }
}

/// Its name, with its rows where the gateway counts them.
impl fmt::Display for ReadableObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.object)?;
        match self.rows {
            Some(rows) => write!(f, " ({})", counted(rows, "row")),
            None => Ok(()),
        }
    }
}

/// A number of things, one or more.
pub fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
