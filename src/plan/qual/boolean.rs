//! Boolean columns. An unset boolean may read as false, so whatever keeps false takes the unset rows along.

use super::operand::Operand;
use super::{RemoteCondition, Translator, is_null};
use crate::catalog::Column;
use crate::private::transform::ParamTransform;
use intacct::{CompareOp, Condition, Value};
use pgrx::pg_sys;

fn is(field: &str, value: Value) -> Condition {
    Condition::Compare {
        field: field.to_owned(),
        op: CompareOp::Eq,
        value,
    }
}

/// `b` and `NOT b`.
pub fn equals(field: &str, truth: bool) -> Option<RemoteCondition> {
    if truth {
        RemoteCondition::exact(is(field, Value::Boolean(true)))
    } else {
        RemoteCondition::superset(Condition::Or(vec![
            is(field, Value::Boolean(false)),
            is_null(field),
        ]))
    }
}

/// `b IS NOT FALSE`.
pub fn is_not_false(field: &str) -> Option<RemoteCondition> {
    RemoteCondition::superset(Condition::Or(vec![
        is(field, Value::Boolean(true)),
        is_null(field),
    ]))
}

/// `b = value` and `b <> value`, where the planner has not made `b` or `NOT b` of it.
///
/// # Safety
/// Valid expression nodes of the current planning.
pub unsafe fn compare(
    translator: &mut Translator,
    column: &Column,
    op: CompareOp,
    value: *mut pg_sys::Node,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function; makeBoolExpr allocates in the planner's memory.
    unsafe {
        let value = match op {
            CompareOp::Eq => value,
            CompareOp::Ne => {
                let mut arguments = pgrx::PgList::<pg_sys::Node>::new();
                arguments.push(value);
                let opposite = pg_sys::makeBoolExpr(pg_sys::BoolExprType::NOT_EXPR, arguments.into_pg(), -1);
                pg_sys::eval_const_expressions(translator.root, opposite.cast())
            }
            _ => return None,
        };
        match translator.operand(value, &[pg_sys::BOOLOID], ParamTransform::Plain)? {
            Operand::Value(Value::Boolean(truth)) => equals(&column.field, truth),
            // It may turn out to be false.
            Operand::Value(parameter) => RemoteCondition::superset(Condition::Or(vec![
                is(&column.field, parameter),
                is_null(&column.field),
            ])),
            Operand::Null => None,
        }
    }
}

/// `b IS [NOT] TRUE | FALSE | UNKNOWN`; over any other condition, `IS TRUE` and `IS FALSE` are its two truth sets.
///
/// # Safety
/// `expression` must be a valid BooleanTest of the current planning.
pub unsafe fn test(
    translator: &mut Translator,
    expression: *mut pg_sys::BooleanTest,
    negated: bool,
) -> Option<RemoteCondition> {
    use crate::catalog::ValueClass;
    use pg_sys::BoolTestType as Test;
    // SAFETY: the caller checked the node's type.
    unsafe {
        let argument: *mut pg_sys::Node = (*expression).arg.cast();
        // The test is never null, so its negation is the opposite test.
        let test = match ((*expression).booltesttype, negated) {
            (test, false) => test,
            (Test::IS_TRUE, true) => Test::IS_NOT_TRUE,
            (Test::IS_NOT_TRUE, true) => Test::IS_TRUE,
            (Test::IS_FALSE, true) => Test::IS_NOT_FALSE,
            (Test::IS_NOT_FALSE, true) => Test::IS_FALSE,
            (Test::IS_UNKNOWN, true) => Test::IS_NOT_UNKNOWN,
            _ => Test::IS_UNKNOWN,
        };
        match test {
            Test::IS_TRUE => return translator.truth(argument, false),
            Test::IS_FALSE => return translator.truth(argument, true),
            _ => {}
        }
        let (column, class) = translator.column(argument)?;
        if class != ValueClass::Boolean {
            return None;
        }
        match test {
            Test::IS_NOT_TRUE => equals(&column.field, false),
            Test::IS_NOT_FALSE => is_not_false(&column.field),
            // An unset boolean that reads as false is not unknown here: the rows are a superset.
            Test::IS_UNKNOWN => RemoteCondition::superset(is_null(&column.field)),
            // … and for the same reason `isnotnull` would lose it.
            _ => None,
        }
    }
}
