//! What the planner passes to the executor of a scan.

use super::transform::ParamTransform;
use crate::catalog::ValueClass;
use intacct::{AssumedKey, Condition, Count, DialectKind, Doubts, Query};
use serde::{Deserialize, Serialize};

/// Everything that a scan needs to know beside the catalogs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanPrivate {
    /// The question, as EXPLAIN shows it: parameters are the scan's `fdw_exprs`, by number from 1.
    pub query: Query,
    /// What is made of the value of each parameter.
    pub transforms: Vec<ParamTransform>,
    /// How it is rendered for the gateway.
    pub dialect: DialectKind,
    /// The query is asked once for each part, in this order.
    pub parts: Vec<ScanPart>,
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
    /// Rows that will be wanted, where known; sizes the first page and is never trusted.
    pub wanted: Option<WantedRows>,
    /// The scan itself skips and limits: nothing above it does.
    pub finish: Option<Finish>,
    /// Values depend on the user's formatting, so it must be known before the first row is read.
    pub need_formatting: bool,
    /// Rows of several tables: which of the scan's relations is the one that is asked, counted from the lowest; columns
    /// are then numbered as the scan's own.
    pub joined: Option<u16>,
    /// What must be proven beside the query before its rows are shown.
    pub doubts: Doubts,
    /// Of rows of several tables, what finds those of a parameter among those of all: the fields that conditions compare with
    /// values of the executor. None where other conditions depend on such values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookup_keys: Vec<LookupKey>,
    /// Of a join, columns that are the same in every row: number and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constants: Vec<(i16, String)>,
}

/// A field that must equal a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupKey {
    /// Its name in the query.
    pub field: String,
    /// Its index in the query's `select`.
    pub cell: u16,
    /// How its values compare.
    pub class: ValueClass,
}

/// The parts of a condition that must all hold.
pub fn conjuncts(filter: Option<&Condition>) -> &[Condition] {
    match filter {
        Some(Condition::And(parts)) => parts,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
}

/// A slice of the rows by whether the first sort key is null: its place in the order is the gateway's own affair, so
/// the planner requests the slices in the wanted order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanPart {
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
pub struct WantedRows {
    /// `LIMIT`
    pub limit: Count,
    /// `OFFSET`
    pub offset: Option<Count>,
}

impl WantedRows {
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
