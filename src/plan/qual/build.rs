//! Conditions of one comparison, as every family of constructs builds them.

use super::{RemoteCondition, Translator, not_null};
use crate::catalog::ValueClass;
use intacct::{CompareOp, Condition, Value};

/// The condition, if the dialect can express it.
pub fn condition(
    translator: &Translator,
    field: &str,
    op: CompareOp,
    value: Value,
    exact: bool,
) -> Option<RemoteCondition> {
    if !translator
        .table
        .dialect()
        .capabilities()
        .operators
        .compare
        .contains(&op)
    {
        return None;
    }
    let condition = Condition::Compare {
        field: field.to_owned(),
        op,
        value,
    };
    let condition = if op == CompareOp::Ne {
        // What the gateway does with null under a negative is not documented: with an explicit test, it does not matter.
        Condition::and(Some(condition), not_null(field))
    } else {
        condition
    };
    Some(RemoteCondition::new(condition, exact))
}

/// Whether a comparison with this value keeps exactly SQL's rows. The gateway's clock has whole seconds; whether it is
/// ambiguous there, and what a parameter holds, only execution shows (`ForeignTable::expresses_exactly_at_execution`).
pub fn is_exact(translator: &Translator, class: ValueClass, value: &Value) -> bool {
    match (class, value) {
        (ValueClass::Timestamp, value) => translator.table.may_express_exactly(value),
        _ => true,
    }
}
