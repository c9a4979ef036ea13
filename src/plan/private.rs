//! What the planner hands to the executor: one serde value in one String node, so that it survives copies, the plan
//! cache and EXPLAIN. It holds no pointer, no secret, and no OID of a server object.

use crate::catalog::ValueClass;
use crate::plan::qual::shape::Shape;
use intacct::{AssumedKey, Count, DialectKind, Doubts, GroupKeyKind, Query};
use pgrx::{PgList, pg_sys};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};

/// Everything that a scan needs to know beside the catalogs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanPrivate {
    /// The question, as EXPLAIN shows it: parameters are the scan's `fdw_exprs`, by number from 1.
    pub query: Query,
    /// What is made of the value of each parameter.
    pub shapes: Vec<Shape>,
    /// How it is said to the gateway.
    pub dialect: DialectKind,
    /// The query is asked once for each part, in this order.
    pub parts: Vec<Part>,
    /// Columns to fill: attribute number and index in `query.select`.
    pub columns: Vec<(i16, u16)>,
    /// Columns of owned lines to fill: attribute number and path. They are read by record, page for page.
    pub lines: Vec<(i16, String)>,
    /// Generated columns to compute, by attribute number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generated: Vec<i16>,
    /// Index of the row key in `query.select`.
    pub row_key: Option<u16>,
    /// Pages follow each other by the order's keys, which are unique and never null in a part; else by offset.
    pub keyset: bool,
    /// Nothing above the scan relies on the order of its rows.
    pub any_order: bool,
    /// The keys of an order that rests on the option `ordering`: rows are checked for it.
    pub assumed: Vec<AssumedKey>,
    /// Rows that will be wanted, when something says so; sizes the first page and is never trusted.
    pub wanted: Option<Wanted>,
    /// The scan itself skips and limits: nothing above it does.
    pub finish: Option<Finish>,
    /// Values depend on the user's formatting, so it must be known before the first row is read.
    pub need_formatting: bool,
    /// Rows of several tables: which of the scan's relations is the one that is asked, counted from the lowest; columns
    /// are then numbered as the scan's own.
    pub joined: Option<u16>,
    /// What must be proven beside the query before its rows are shown.
    pub doubts: Doubts,
}

/// A slice of the rows by whether the first sort key is null: its place in the order is the gateway's own affair, so
/// the planner says what it wants first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// All rows.
    Whole,
    /// Those where the field has no value.
    Null(String),
    /// Those where it has one.
    NotNull(String),
}

/// LIMIT and OFFSET that a scan carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// `LIMIT`
    pub limit: Option<Count>,
    /// `OFFSET`
    pub offset: Count,
}

/// LIMIT and OFFSET of the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// `LIMIT`
    pub limit: Count,
    /// `OFFSET`
    pub offset: Option<Count>,
}

impl Wanted {
    /// Rows read until the statement has enough, as far as the plan knows: the skipped ones are read too.
    pub fn rows(&self) -> Count {
        match (self.limit, self.offset) {
            (Count::Number(limit), Some(Count::Number(offset))) => {
                Count::Number(limit.saturating_add(offset))
            }
            (limit, _) => limit,
        }
    }
}

/// Everything that an aggregate which the gateway computes needs to know beside the catalogs.
///
/// Every query selects the same group keys first, then its aggregates; no two of its aggregates read one field, since
/// the gateway may name an aggregate by its field alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AggregatePrivate {
    /// Which of the scan's relations holds the object that is asked, counted from the lowest.
    pub relation: u16,
    /// The gateway joins.
    pub joined: bool,
    /// As [`ScanPrivate::doubts`].
    pub doubts: Doubts,
    /// As [`ScanPrivate::shapes`].
    pub shapes: Vec<Shape>,
    /// The questions. The first also counts the rows of each group, right behind the keys.
    pub queries: Vec<Query>,
    /// Questions whose number of rows is that of the rows in which a field has a value; without group keys only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Query>,
    /// A least or greatest value that the verification may show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_row: Option<FirstRow>,
    /// How they are said to the gateway.
    pub dialect: DialectKind,
    /// What the group keys are, in their order.
    pub keys: Vec<ValueClass>,
    /// The same, as far as the gateway may take values of theirs for one.
    pub key_kinds: Vec<GroupKeyKind>,
    /// What the columns of the scan are, in their order.
    pub outputs: Vec<AggregateOutput>,
    /// The only thing wanted is the number of rows, which comes with a page of one row.
    pub only_count: bool,
    /// The groups' rows must add up to the number of rows without groups.
    pub verify: bool,
    /// Fields of text that the conditions compare: the verification settles that none of them has a blank at an edge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// Groups are asked in the order of all their keys, so that they may come in several pages.
    pub pages: bool,
    /// As [`ScanPrivate::need_formatting`].
    pub need_formatting: bool,
}

/// Where a column of an aggregate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AggregateOutput {
    /// The group key of this number.
    Key(u16),
    /// The number of rows.
    Rows,
    /// The number that the question of this number in [`AggregatePrivate::counts`] tells.
    Values(u16),
    /// An aggregate.
    Value(Place, Merge),
    /// This sum by the number of rows, or by that of [`AggregateOutput::Values`].
    Average(Place, Option<u16>),
}

/// The row that tells how many rows there are is the first one in an order, so it shows the least or greatest value as well:
/// without a value there, the order may begin with the rows that have none, and only then the query is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstRow {
    /// Number of the query that may be spared. It asks for this value alone, and the number of rows.
    pub query: u16,
    /// The field.
    pub field: String,
    /// The greatest value is wanted.
    pub descending: bool,
}

/// An item of one of the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Number of the query, from 0.
    pub query: u16,
    /// Number in its select list, from 0.
    pub item: u16,
}

/// What the aggregate of two groups together is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Merge {
    /// Their sum.
    Add,
    /// The lesser one.
    Least,
    /// The greater one.
    Greatest,
}

/// What a plan of ours holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Private {
    /// Rows.
    Scan(Box<ScanPrivate>),
    /// Groups.
    Aggregate(Box<AggregatePrivate>),
}

impl Private {
    /// The value as a list of one String node.
    ///
    /// # Errors
    /// Only if serde refuses, which it does for no value of this type.
    pub fn to_list(&self) -> Result<*mut pg_sys::List, String> {
        to_list(self)
    }

    /// Reads the value back from a plan.
    ///
    /// # Safety
    /// As [`from_list`].
    ///
    /// # Errors
    /// A plan of another version of the extension.
    pub unsafe fn from_list(list: *mut pg_sys::List) -> Result<Private, String> {
        // SAFETY: passed through.
        unsafe { from_list(list) }
    }
}

/// A value as a list of one String node.
///
/// # Errors
/// Only if serde refuses.
pub fn to_list(value: &impl Serialize) -> Result<*mut pg_sys::List, String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    let text = CString::new(text).map_err(|error| error.to_string())?;
    let mut list = PgList::<pg_sys::Node>::new();
    // SAFETY: main thread; both calls allocate in the current memory context.
    list.push(unsafe { pg_sys::makeString(pg_sys::pstrdup(text.as_ptr())).cast() });
    Ok(list.into_pg())
}

/// Reads a value back from a plan.
///
/// # Safety
/// `list` must be what [`to_list`] made, or a copy of it.
///
/// # Errors
/// A plan of another version of the extension.
pub unsafe fn from_list<T: DeserializeOwned>(list: *mut pg_sys::List) -> Result<T, String> {
    // SAFETY: the caller vouches for the list.
    let text = unsafe {
        let nodes = PgList::<pg_sys::String>::from_pg(list);
        let node = nodes.get_ptr(0).ok_or("the plan holds nothing of ours")?;
        CStr::from_ptr((*node).sval)
    };
    let text = text.to_str().map_err(|error| error.to_string())?;
    // What may be nested is bounded where it is made: conditions by the translator, the table's own by the parser. A bound of
    // the reader would only refuse a plan that was made.
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    T::deserialize(&mut reader).map_err(|error| error.to_string())
}
