//! `column op value`, in either order of the operands, between a column's own type and its own operators.

use super::build::{condition, is_exact};
use super::operand::Operand;
use super::operator::{commute, compare_op, deterministic, family, negate};
use super::{RemoteCondition, Translator, boolean, datetime, integer, is_null, null, pattern};
use crate::catalog::{Column, ValueClass};
use crate::private::transform::ParamTransform;
use intacct::query::text;
use intacct::{CompareOp, Condition, Value};
use pgrx::{PgList, pg_sys};

/// `left op right`: a column, or something that stands for one, against a value.
///
/// # Safety
/// `expression` must be a valid OpExpr of the current planning.
pub unsafe fn translate(
    translator: &mut Translator,
    expression: *mut pg_sys::OpExpr,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: the caller checked the node's type; operands are its own.
    unsafe {
        let operands = PgList::<pg_sys::Node>::from_pg((*expression).args);
        if operands.len() != 2 {
            return None;
        }
        let (left, right) = (operands.get_ptr(0)?, operands.get_ptr(1)?);
        let (operator, collation) = ((*expression).opno, (*expression).inputcollid);
        if let Some(pushed) = pattern::operator(translator, operator, left, right, collation, negated) {
            return Some(pushed);
        }
        sides(translator, operator, left, right, collation, negated)
    }
}

/// A comparison whose column may be on either side.
///
/// # Safety
/// Valid expression nodes of the current planning.
pub unsafe fn sides(
    translator: &mut Translator,
    operator: pg_sys::Oid,
    left: *mut pg_sys::Node,
    right: *mut pg_sys::Node,
    collation: pg_sys::Oid,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function.
    unsafe {
        let commuted = pg_sys::get_commutator(operator);
        for (operator, subject, value) in [(operator, left, right), (commuted, right, left)] {
            if operator == pg_sys::InvalidOid {
                continue;
            }
            let kept = translator.params.mark();
            if let Some(pushed) = one_way(translator, operator, subject, value, collation, negated) {
                return Some(pushed);
            }
            translator.params.forget_after(kept);
        }
        None
    }
}

unsafe fn one_way(
    translator: &mut Translator,
    operator: pg_sys::Oid,
    subject: *mut pg_sys::Node,
    value: *mut pg_sys::Node,
    collation: pg_sys::Oid,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function.
    unsafe {
        if let Some((column, class)) = translator.column(subject)
            && let Some(op) = compare_op(operator, class)
        {
            let op = if negated { negate(op) } else { op };
            return with_column(translator, column, class, op, value, collation);
        }
        let seen = integer::compare(translator, operator, subject, value, negated)
            .or_else(|| datetime::compare(translator, operator, subject, value, negated));
        match seen {
            None if pg_sys::exprType(subject) == pg_sys::TEXTOID => {
                pattern::lower(translator, operator, subject, value, collation, negated)
                    .or_else(|| null::coalesce(translator, operator, subject, value, collation, negated))
            }
            None => null::coalesce(translator, operator, subject, value, collation, negated),
            seen => seen,
        }
    }
}

/// `column op value` where the operator belongs to the column's class.
///
/// # Safety
/// Valid expression nodes of the current planning.
pub unsafe fn with_column(
    translator: &mut Translator,
    column: &Column,
    class: ValueClass,
    op: CompareOp,
    value: *mut pg_sys::Node,
    collation: pg_sys::Oid,
) -> Option<RemoteCondition> {
    if class == ValueClass::Boolean {
        // SAFETY: same contract as this function.
        return unsafe { boolean::compare(translator, column, op, value) };
    }
    // SAFETY: same contract as this function.
    let value = match unsafe { translator.operand(value, family(class).1, ParamTransform::Plain) }? {
        Operand::Value(value) => value,
        // Never true: the planner has mostly folded it away, and the rest is rare enough to stay here.
        Operand::Null => return None,
    };
    if class == ValueClass::Text {
        let ordered = !matches!(op, CompareOp::Eq | CompareOp::Ne);
        // SAFETY: a catalog look-up by OID.
        if !unsafe { deterministic(collation) }
            || (ordered && !translator.table.orders_text(column, collation))
        {
            return None;
        }
    }
    if class == ValueClass::Text && matches!(op, CompareOp::Eq | CompareOp::Ne) {
        let test = text::compares(&column.field, op == CompareOp::Eq, &value, column.is_enum())?;
        return Some(RemoteCondition::of_text(test));
    }
    let exact = is_exact(translator, class, &value);
    condition(translator, &column.field, op, value, exact)
}

/// `a IS [NOT] DISTINCT FROM b`: never null, and NULL equals NULL.
///
/// # Safety
/// `expression` must be a valid DistinctExpr of the current planning.
pub unsafe fn distinct(
    translator: &mut Translator,
    expression: *mut pg_sys::OpExpr,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: the caller checked the node's type; operands are its own.
    unsafe {
        let operands = PgList::<pg_sys::Node>::from_pg((*expression).args);
        let (left, right) = (operands.get_ptr(0)?, operands.get_ptr(1)?);
        let operator = (*expression).opno;
        let (subject, value) = if translator.column(left).is_some() {
            (left, right)
        } else {
            (right, left)
        };
        let (column, class) = translator.column(subject)?;
        if compare_op(operator, class) != Some(CompareOp::Eq)
            || (class == ValueClass::Text && !deterministic((*expression).inputcollid))
        {
            return None;
        }
        let field = column.field.as_str();
        let value = match translator.operand(value, family(class).1, ParamTransform::Nullable)? {
            Operand::Value(value) => value,
            Operand::Null => return null::test(column, class, negated),
        };
        if class == ValueClass::Boolean {
            return match value {
                // … IS DISTINCT FROM true is IS NOT TRUE, and so on.
                Value::Boolean(truth) if negated => boolean::equals(field, truth),
                Value::Boolean(true) => boolean::equals(field, false),
                Value::Boolean(false) => boolean::is_not_false(field),
                _ => None,
            };
        }
        let exact = is_exact(translator, class, &value);
        if negated {
            return condition(translator, field, CompareOp::Eq, value, exact);
        }
        if class == ValueClass::Text {
            // As `<>`, and even the rows without a value are wanted.
            return None;
        }
        if !translator
            .table
            .dialect()
            .capabilities()
            .operators
            .compare
            .contains(&CompareOp::Ne)
        {
            return None;
        }
        let differs = Condition::Compare {
            field: field.to_owned(),
            op: CompareOp::Ne,
            value,
        };
        Some(RemoteCondition::new(
            Condition::Or(vec![differs, is_null(field)]),
            exact,
        ))
    }
}

/// Columns of a row comparison that the gateway is asked to compare: each nests the condition deeper.
const MOST_COMPARED: usize = 16;

/// `(a, b) < (1, 2)`: the first difference decides. A part that cannot be expressed loosens the rest.
///
/// # Safety
/// `expression` must be a valid RowCompareExpr of the current planning.
pub unsafe fn rows(
    translator: &mut Translator,
    expression: *mut pg_sys::RowCompareExpr,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: the caller checked the node's type; the lists are of one length.
    unsafe {
        let left = PgList::<pg_sys::Node>::from_pg((*expression).largs);
        let right = PgList::<pg_sys::Node>::from_pg((*expression).rargs);
        let operators = PgList::<pg_sys::Oid>::from_pg((*expression).opnos);
        let collations = PgList::<pg_sys::Oid>::from_pg((*expression).inputcollids);
        let mut rest: Option<RemoteCondition> = None;
        // What is left of a longer row loosens the rest, as a part that cannot be expressed does.
        for index in (0..left.len().min(MOST_COMPARED)).rev() {
            let last = index + 1 == left.len();
            let operator = operators.get_oid(index)?;
            let collation = collations.get_oid(index)?;
            let (left, right) = (left.get_ptr(index)?, right.get_ptr(index)?);
            let (column, class, op, value) = match (translator.column(left), translator.column(right)) {
                (Some((column, class)), None) => (column, class, compare_op(operator, class)?, right),
                (None, Some((column, class))) => (column, class, commute(compare_op(operator, class)?), left),
                _ => {
                    rest = None;
                    continue;
                }
            };
            let op = if negated { negate(op) } else { op };
            let (strict, loose) = match op {
                CompareOp::Lt | CompareOp::Le => (CompareOp::Lt, CompareOp::Le),
                CompareOp::Gt | CompareOp::Ge => (CompareOp::Gt, CompareOp::Ge),
                _ => return None,
            };
            if class == ValueClass::Boolean {
                return None;
            }
            let mut compare = |op| with_column(translator, column, class, op, value, collation);
            rest = match (last, rest) {
                (true, _) => compare(op),
                (false, None) => compare(loose).map(RemoteCondition::inexact),
                (false, Some(rest)) => match (compare(strict), compare(CompareOp::Eq)) {
                    (Some(strict), Some(equal)) => {
                        Some(RemoteCondition::or(strict, RemoteCondition::and(equal, rest)))
                    }
                    _ => None,
                },
            };
        }
        rest
    }
}
