//! NULL tests, and COALESCE, which is one in disguise.

use super::operator::negate;
use super::{RemoteCondition, Translator, boolean, compare, datetime, integer, is_null, not_null, operator};
use crate::catalog::{Column, ValueClass};
use intacct::CompareOp;
use pgrx::{PgList, is_a, pg_sys};

/// `column IS [NOT] NULL`, also of a function of the column that is null just when the column is.
///
/// # Safety
/// `expression` must be a valid NullTest of the current planning.
pub unsafe fn translate(
    translator: &Translator,
    expression: *mut pg_sys::NullTest,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: the caller checked the node's type.
    unsafe {
        if (*expression).argisrow {
            return None;
        }
        let (column, class) = column_within(translator, (*expression).arg.cast())?;
        let wants_null = ((*expression).nulltesttype == pg_sys::NullTestType::IS_NULL) != negated;
        test(column, class, wants_null)
    }
}

/// The rows where a column has no value, or has one.
pub fn test(column: &Column, class: ValueClass, wants_null: bool) -> Option<RemoteCondition> {
    match (class, wants_null) {
        (ValueClass::Boolean, true) => RemoteCondition::superset(is_null(&column.field)),
        // An unset boolean may read as false, and `isnotnull` would lose it.
        (ValueClass::Boolean, false) => None,
        (_, true) => RemoteCondition::exact(is_null(&column.field)),
        (_, false) => RemoteCondition::exact(not_null(&column.field)),
    }
}

/// The column in an expression that is null just when the column is.
unsafe fn column_within<'a>(
    translator: &Translator<'a>,
    expression: *mut pg_sys::Node,
) -> Option<(&'a Column, ValueClass)> {
    // SAFETY: same contract as this function.
    unsafe {
        translator
            .column(expression)
            .or_else(|| integer::column(translator, expression).map(|column| (column, ValueClass::Integer)))
            .or_else(|| datetime::column(translator, expression))
    }
}

/// The two arguments of a COALESCE.
unsafe fn arguments(expression: *mut pg_sys::Node) -> Option<(*mut pg_sys::Node, *mut pg_sys::Node)> {
    // SAFETY: the node's type is checked before the cast.
    unsafe {
        if expression.is_null() || !is_a(expression, pg_sys::NodeTag::T_CoalesceExpr) {
            return None;
        }
        let arguments = PgList::<pg_sys::Node>::from_pg((*expression.cast::<pg_sys::CoalesceExpr>()).args);
        match arguments.len() {
            2 => Some((arguments.get_ptr(0)?, arguments.get_ptr(1)?)),
            _ => None,
        }
    }
}

/// `COALESCE(column, default) op value`: the column decides where it has a value, the default where it has none.
///
/// # Safety
/// Valid expression nodes of the current planning.
pub unsafe fn coalesce(
    translator: &mut Translator,
    operator: pg_sys::Oid,
    subject: *mut pg_sys::Node,
    value: *mut pg_sys::Node,
    collation: pg_sys::Oid,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function; what is made lives in the planner's memory.
    unsafe {
        let (inner, default) = arguments(subject)?;
        let (column, class) = column_within(translator, inner)?;
        let of_default = pg_sys::make_opclause(
            operator,
            pg_sys::BOOLOID,
            false,
            default.cast(),
            value.cast(),
            pg_sys::InvalidOid,
            collation,
        );
        let of_default = pg_sys::eval_const_expressions(translator.root, of_default.cast());
        // Not known before execution: the rows without a value may be wanted.
        let known = constant_truth(of_default);
        let wanted = known.is_none_or(|truth| truth.is_some_and(|truth| truth != negated));
        if class == ValueClass::Text && is_empty_text(value) {
            // No cell is ever the empty text: it reads as NULL. Other texts may equal it under some collations.
            if !operator::deterministic(collation) {
                return None;
            }
            let op = operator::compare_op(operator, class)?;
            return match (if negated { negate(op) } else { op }, wanted) {
                (CompareOp::Eq, true) => RemoteCondition::exact(is_null(&column.field)),
                (CompareOp::Ne, false) => RemoteCondition::exact(not_null(&column.field)),
                _ => None,
            };
        }
        let of_column = compare::sides(translator, operator, inner, value, collation, negated)?;
        if !wanted {
            return Some(of_column);
        }
        let without = RemoteCondition::exact(is_null(&column.field))?;
        let whole = RemoteCondition::or(of_column, without);
        Some(if known.is_none() || class == ValueClass::Boolean {
            whole.inexact()
        } else {
            whole
        })
    }
}

/// `COALESCE(b, constant)` as a condition.
///
/// # Safety
/// `expression` must be a valid CoalesceExpr of the current planning.
pub unsafe fn coalesced_boolean(
    translator: &mut Translator,
    expression: *mut pg_sys::Node,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function.
    unsafe {
        let (inner, default) = arguments(expression)?;
        let default = constant_truth(default)?;
        let (column, class) = translator.column(inner)?;
        if class != ValueClass::Boolean {
            return None;
        }
        match (negated, default) {
            (false, Some(true)) => boolean::is_not_false(&column.field),
            (false, _) => boolean::equals(&column.field, true),
            // The unset rows are among these anyway.
            (true, _) => boolean::equals(&column.field, false),
        }
    }
}

/// A boolean constant: true, false, or null; `None` when the expression is none.
unsafe fn constant_truth(expression: *mut pg_sys::Node) -> Option<Option<bool>> {
    // SAFETY: the node's type is checked before the cast.
    unsafe {
        if expression.is_null() || !is_a(expression, pg_sys::NodeTag::T_Const) {
            return None;
        }
        let constant = expression.cast::<pg_sys::Const>();
        ((*constant).consttype == pg_sys::BOOLOID)
            .then(|| (!(*constant).constisnull).then_some((*constant).constvalue.value() as u8 != 0))
    }
}

unsafe fn is_empty_text(expression: *mut pg_sys::Node) -> bool {
    // SAFETY: same contract as this function.
    unsafe { super::operand::constant_text(expression) }.is_some_and(|text| text.is_empty())
}
