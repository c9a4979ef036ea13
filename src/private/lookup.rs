//! What the planner passes to the executor of a lookup join, beside its expressions.

use super::scan::WantedRows;
use super::transform::ParamTransform;
use intacct::{Condition, DialectKind};
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};

/// The name of the node, as EXPLAIN shows it; its methods are registered under it.
pub const LOOKUP_NAME: &std::ffi::CStr = c"Intacct Lookup Join";

/// The name of the node above groups of several tables, as above.
pub const COMBINED_NAME: &std::ffi::CStr = c"Intacct Combined Groups";

/// What becomes of an outer row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Join {
    /// A row for each match.
    Inner,
    /// The same, and one without a match if there is none.
    Left,
    /// One row if there is a match.
    Semi,
    /// One row if there is none.
    Anti,
}

impl Join {
    /// The join that the planner asks for, and whether its outer side is to be made unique first.
    pub fn of(kind: pg_sys::JoinType::Type) -> Option<(Join, bool)> {
        Some(match kind {
            pg_sys::JoinType::JOIN_INNER => (Join::Inner, false),
            pg_sys::JoinType::JOIN_LEFT => (Join::Left, false),
            pg_sys::JoinType::JOIN_SEMI => (Join::Semi, false),
            pg_sys::JoinType::JOIN_ANTI => (Join::Anti, false),
            pg_sys::JoinType::JOIN_UNIQUE_OUTER => (Join::Inner, true),
            _ => return None,
        })
    }

    /// A word for EXPLAIN.
    pub fn name(self) -> &'static str {
        match self {
            Join::Inner => "Inner",
            Join::Left => "Left",
            Join::Semi => "Semi",
            Join::Anti => "Anti",
        }
    }
}

/// The node's expressions come in one list: join conditions, key clauses with the outer side on the left, the values of the
/// template's parameters, those of LIMIT and OFFSET.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupPrivate {
    /// What becomes of an outer row.
    pub join: Join,
    /// How many join conditions there are.
    pub conditions: u16,
    /// How many key clauses.
    pub keys: u16,
    /// What is made of the value of each parameter of the template.
    pub transforms: Vec<ParamTransform>,
    /// The condition on the rows that may match one outer row.
    pub template: Condition,
    /// A looser one for texts that cannot be expressed exactly.
    pub coarse: Option<Condition>,
    /// How it is rendered for the gateway.
    pub dialect: DialectKind,
    /// Rows that will be wanted of the join, where known.
    pub wanted: Option<WantedRows>,
    /// What is made of the parameters of `wanted`.
    pub wanted_transforms: Vec<ParamTransform>,
}
