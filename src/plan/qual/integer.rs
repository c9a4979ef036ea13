//! `bigint_column op numeric`: PostgreSQL casts the column; the gateway gets a whole number instead of the numeric.

use super::build::condition;
use super::operand::Operand;
use super::operator::{NUMERIC_OPS, meaning, negate};
use super::{RemoteCondition, Translator, list, not_null};
use crate::catalog::{Column, ValueClass};
use crate::convert::transform;
use crate::private::transform::{ParamTransform, Rounding};
use intacct::{CompareOp, Value};
use pgrx::{PgList, is_a, pg_sys};

/// The bigint column under a cast to numeric.
///
/// # Safety
/// `expression` must be a valid expression node.
pub unsafe fn column<'a>(translator: &Translator<'a>, expression: *mut pg_sys::Node) -> Option<&'a Column> {
    // SAFETY: node types are checked before each cast.
    unsafe {
        if !is_a(expression, pg_sys::NodeTag::T_FuncExpr) {
            return None;
        }
        let call = expression.cast::<pg_sys::FuncExpr>();
        if u32::from((*call).funcid) != pg_sys::F_NUMERIC_INT8 {
            return None;
        }
        let arguments = PgList::<pg_sys::Node>::from_pg((*call).args);
        match translator.column(arguments.get_ptr(0)?)? {
            (column, ValueClass::Integer) => Some(column),
            _ => None,
        }
    }
}

/// `bigint_column IN (1, 2.5)`: the column among numerics, of which those with a fraction are no whole number's equal.
///
/// # Safety
/// Valid expression nodes of the current planning.
pub unsafe fn member(
    translator: &mut Translator,
    expression: *mut pg_sys::ScalarArrayOpExpr,
    subject: *mut pg_sys::Node,
    array: *mut pg_sys::Node,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function; the array's type is checked before it is read.
    unsafe {
        let column = column(translator, subject)?;
        let (op, ..) = meaning((*expression).opno, NUMERIC_OPS)?;
        let operators = translator.table.dialect().capabilities().operators;
        if op != CompareOp::Eq || !(*expression).useOr || negated || !operators.in_list {
            return None;
        }
        if pg_sys::exprType(array) != pg_sys::NUMERICARRAYOID {
            return None;
        }
        let values = list::listed(translator, array, ParamTransform::Integer(Rounding::Exact), true)?;
        let whole = values.into_iter().filter_map(|value| match value {
            Value::Param(_) => Some(value),
            number => transform::whole_number(&number),
        });
        list::among(column, whole.collect(), true)
    }
}

/// Its comparison with a numeric.
///
/// # Safety
/// Valid expression nodes of the current planning.
pub unsafe fn compare(
    translator: &mut Translator,
    operator: pg_sys::Oid,
    subject: *mut pg_sys::Node,
    value: *mut pg_sys::Node,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function.
    unsafe {
        let column = column(translator, subject)?;
        let (op, ..) = meaning(operator, NUMERIC_OPS)?;
        let op = if negated { negate(op) } else { op };
        // n < 2.5 is n < 3, n <= 2.5 is n <= 2, and so on.
        let rounding = match op {
            CompareOp::Lt | CompareOp::Ge => Rounding::Ceiling,
            CompareOp::Le | CompareOp::Gt => Rounding::Floor,
            CompareOp::Eq | CompareOp::Ne => Rounding::Exact,
        };
        match translator.operand(value, &[pg_sys::NUMERICOID], ParamTransform::Integer(rounding))? {
            Operand::Value(Value::Param(_)) if op == CompareOp::Ne => {
                // Whether it is whole, and so can be expressed, shows only at execution.
                RemoteCondition::superset(not_null(&column.field))
            }
            Operand::Value(value) => condition(translator, &column.field, op, value, true),
            Operand::Null => None,
        }
    }
}
