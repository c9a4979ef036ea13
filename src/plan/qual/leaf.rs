//! Conditions without AND, OR, NOT: which family of constructs each belongs to.

use super::{Pushed, Translator, boolean, compare, list, null, pattern};
use crate::catalog::ValueClass;
use pgrx::pg_sys;

/// The rows for which a condition without AND, OR, NOT is true (or false, when negated).
///
/// # Safety
/// `expression` must be a valid expression node of the current planning.
pub unsafe fn translate(
    translator: &mut Translator,
    expression: *mut pg_sys::Node,
    negated: bool,
) -> Option<Pushed> {
    use pg_sys::NodeTag;
    // SAFETY: the node's type is checked before each cast.
    unsafe {
        match (*expression).type_ {
            NodeTag::T_OpExpr => compare::translate(translator, expression.cast(), negated),
            NodeTag::T_DistinctExpr => compare::distinct(translator, expression.cast(), negated),
            NodeTag::T_RowCompareExpr => compare::rows(translator, expression.cast(), negated),
            NodeTag::T_ScalarArrayOpExpr => list::translate(translator, expression.cast(), negated),
            NodeTag::T_NullTest => null::translate(translator, expression.cast(), negated),
            NodeTag::T_BooleanTest => boolean::test(translator, expression.cast(), negated),
            NodeTag::T_CoalesceExpr => null::coalesced_boolean(translator, expression, negated),
            NodeTag::T_FuncExpr => pattern::starts_with(translator, expression.cast(), negated),
            NodeTag::T_Var => {
                let (column, class) = translator.column(expression)?;
                (class == ValueClass::Boolean).then(|| boolean::equals(&column.field, !negated))?
            }
            _ => None,
        }
    }
}
