//! What the planner passes to the executor of a pushed aggregate.

use super::transform::ParamTransform;
use crate::catalog::ValueClass;
use intacct::{DialectKind, Doubts, GroupKeyKind, Query};
use serde::{Deserialize, Serialize};

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
    /// As [`ScanPrivate::doubts`](super::ScanPrivate::doubts).
    pub doubts: Doubts,
    /// As [`ScanPrivate::transforms`](super::ScanPrivate::transforms).
    pub transforms: Vec<ParamTransform>,
    /// The questions. The first also counts the rows of each group, right behind the keys.
    pub queries: Vec<Query>,
    /// Questions whose number of rows is that of the rows in which a field has a value; without group keys only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Query>,
    /// How many of the queries, the last ones, count the rows of each group in which a field has a value: with group keys.
    #[serde(default, skip_serializing_if = "is_none")]
    pub valued: u16,
    /// A least or greatest value that the verification may show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_row: Option<FirstRow>,
    /// How they are rendered for the gateway.
    pub dialect: DialectKind,
    /// What the group keys are, in their order.
    pub keys: Vec<ValueClass>,
    /// The same, as far as the gateway may take values of theirs for one.
    pub key_kinds: Vec<GroupKeyKind>,
    /// What the columns of the scan are, in their order.
    pub outputs: Vec<AggregateOutput>,
    /// What the group keys are that are the same in every row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constants: Vec<String>,
    /// There is no group where there is no row.
    pub grouped: bool,
    /// The only thing wanted is the number of rows, which comes with a page of one row.
    pub only_count: bool,
    /// The groups' rows must add up to the number of rows without groups.
    pub verify: bool,
    /// Fields of text that the conditions compare: the verification settles that none of them has a blank at an edge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// Groups are asked in the order of all their keys, so that they may come in several pages.
    pub pages: bool,
    /// As [`ScanPrivate::need_formatting`](super::ScanPrivate::need_formatting).
    pub need_formatting: bool,
}

fn is_none(number: &u16) -> bool {
    *number == 0
}

impl AggregatePrivate {
    /// Whether a query counts values: it shows no group that has none.
    pub fn counts_values(&self, query: usize) -> bool {
        query >= self.queries.len() - usize::from(self.valued)
    }
}

/// Where a column of an aggregate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AggregateOutput {
    /// The group key of this number.
    Key(u16),
    /// The value of this number in [`AggregatePrivate::constants`].
    Constant(u16),
    /// The number of rows.
    Rows,
    /// The number that the query of this number in [`AggregatePrivate::counts`] returns, or for a group that among the last
    /// [`AggregatePrivate::valued`].
    Values(u16),
    /// An aggregate.
    Value(QueryItem, Merge),
    /// This sum by the number of rows, or by that of [`AggregateOutput::Values`].
    Average(QueryItem, Option<u16>),
}

/// The row that shows how many rows there are is the first one in an order, so it shows the least or greatest value as well:
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
pub struct QueryItem {
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
