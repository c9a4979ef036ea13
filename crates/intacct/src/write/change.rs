//! What is written, and what a write comes to.

use super::support;
use super::verb::Verb;
use crate::error::Error;
use std::sync::Arc;

/// A value on its way to the gateway.
#[derive(Debug, Clone, PartialEq)]
pub enum WriteValue {
    /// As the gateway reads it: `MM/DD/YYYY`, `MM/DD/YYYY HH:MM:SS` in its zone, `true` and `false`, plain decimals,
    /// text as it is.
    Text(String),
    /// NULL. A create leaves the field out; an update sends the empty element and reads the field back, since the
    /// gateway's documentation does not promise that it is emptied: see [`Written::warnings`].
    Empty,
    /// Owned lines: an array of objects with the fields of the lines. The field of the cell names the collection and
    /// the line, like `APBILLITEMS.APBILLITEM`. An empty array sends no line: a create leaves it out, an update sends
    /// the empty collection. Lines may be as they were read: what the gateway makes of a line that carries its
    /// RECORDNO is left out.
    Lines(serde_json::Value),
}

/// An object that is written to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WriteTarget {
    /// Integration name, as Intacct spells it.
    pub object: String,
    /// Transaction definition of documents, the `transactiontype` of their legacy functions.
    pub docparid: Option<String>,
    /// The field that numbers the records: RECORDNO, or `id` of custom objects.
    pub id_field: String,
    /// A field by which a created record is looked for when the answer was lost; where there is none, a lost answer to
    /// a create is an error. Unless it is the [`unique_key`](Self::unique_key), nothing is sent again for it.
    pub natural_key: Option<String>,
    /// Look for records private to an entity as well.
    pub show_private: bool,
    /// As [`Query::missing_as_null`](crate::Query::missing_as_null), where records are looked for.
    pub missing_as_null: bool,
}

impl WriteTarget {
    /// The object by its usual keys.
    pub fn new(object: impl Into<String>) -> Self {
        let object = object.into();
        WriteTarget {
            docparid: None,
            id_field: "RECORDNO".into(),
            natural_key: support::unique_key(&object).map(str::to_owned),
            show_private: false,
            missing_as_null: false,
            object,
        }
    }

    /// The field that Intacct itself keeps unique, whichever key the caller has named. Only by it may a record be sent
    /// again after a lost answer.
    pub fn unique_key(&self) -> Option<&'static str> {
        support::unique_key(&self.object)
    }
}

/// One record to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where to.
    pub target: Arc<WriteTarget>,
    /// What is done.
    pub verb: Verb,
    /// Which record is updated or deleted: the id field or the natural key, and its value.
    pub key: Option<(String, String)>,
    /// Fields by their paths in Intacct (`DISPLAYCONTACT.EMAIL1`), without the key of an update; none for a delete.
    pub cells: Vec<(String, WriteValue)>,
}

impl Change {
    /// The text that is written to a field.
    pub(crate) fn text_of(&self, field: &str) -> Option<&str> {
        self.cells.iter().find_map(|(name, value)| match value {
            WriteValue::Text(text) if name.eq_ignore_ascii_case(field) && !text.is_empty() => {
                Some(text.as_str())
            }
            _ => None,
        })
    }
}

/// What happens to a record to be created that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDuplicate {
    /// The write fails.
    #[default]
    Fail,
    /// It is left out. Each record is then a function of its own, and an operation is not all or nothing.
    Skip,
}

/// How a write is cut into operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Records of one operation, which is executed whole or not at all.
    pub batch_size: usize,
    /// What happens to duplicates.
    pub on_duplicate: OnDuplicate,
}

impl Default for WriteOptions {
    /// The vendor recommends to write at most about 100 records a request.
    fn default() -> Self {
        WriteOptions {
            batch_size: support::MAX_OBJECTS,
            on_duplicate: OnDuplicate::Fail,
        }
    }
}

/// A write that was done.
#[derive(Debug, Clone)]
pub struct Written {
    /// One for each change, in order.
    pub rows: Vec<RowWritten>,
    /// Operations sent, repetitions not counted.
    pub operations: u64,
    /// What is not as it should be though the gateway has accepted the write: rows and what is wrong.
    pub warnings: Vec<(usize, Error)>,
}

/// What became of one change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowWritten {
    /// False when it was left out as a duplicate.
    pub stored: bool,
    /// Key fields that the gateway returned, names in upper case except those of custom objects.
    pub keys: Vec<(String, String)>,
}

/// A write that was not done, or not in whole. Rows are indices of the changes.
///
/// What the gateway holds is at least `certain` and at most `certain` and `possible` together.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct WriteFailure {
    /// Why.
    pub error: Error,
    /// Rows that are stored: of operations before the one that failed.
    pub certain: Vec<usize>,
    /// Rows that may be stored.
    pub possible: Vec<usize>,
    /// The row that the gateway refused, where it reports it.
    pub first_failing: Option<usize>,
    /// Control ids of the functions in doubt, for the vendor's support.
    pub control_ids: Vec<String>,
}
