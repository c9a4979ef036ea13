//! Text patterns: LIKE, ILIKE, `^@`, `starts_with`, and comparisons of `lower(column)`.

use super::operand::{Operand, constant_text};
use super::operator::{compare_op, deterministic, negate};
use super::{RemoteCondition, Translator};
use crate::catalog::{Column, ValueClass};
use crate::private::transform::{Letters, ParamTransform};
use intacct::query::text;
use intacct::{CompareOp, Condition, Value};
use pgrx::{PgList, is_a, pg_sys};

// pg_operator.dat
const TEXT_LIKE: u32 = 1209;
const TEXT_NOT_LIKE: u32 = 1210;
const TEXT_ILIKE: u32 = 1627;
const TEXT_NOT_ILIKE: u32 = 1628;
const TEXT_STARTS_WITH: u32 = 3877;
// pg_collation.dat
const C_COLLATION: u32 = 950;
const POSIX_COLLATION: u32 = 951;

/// `column LIKE pattern` and its relatives.
///
/// # Safety
/// Valid expression nodes of the current planning.
pub unsafe fn operator(
    translator: &mut Translator,
    operator: pg_sys::Oid,
    subject: *mut pg_sys::Node,
    pattern: *mut pg_sys::Node,
    collation: pg_sys::Oid,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function.
    unsafe {
        let (folds, like) = match u32::from(operator) {
            TEXT_LIKE => (false, !negated),
            TEXT_NOT_LIKE => (false, negated),
            TEXT_ILIKE => (true, !negated),
            TEXT_NOT_ILIKE => (true, negated),
            TEXT_STARTS_WITH => {
                let column = text_column(translator, subject, collation)?;
                return prefix(translator, column, pattern, !negated);
            }
            _ => return None,
        };
        if let Some((column, lowering)) = lowered(translator, subject) {
            // Each may fold letters that the other distinguishes.
            let letters = match letters(lowering) {
                Letters::FoldedAscii if folds => letters(collation),
                letters => letters,
            };
            return match like {
                true => keeps(translator, column, pattern, ParamTransform::Pattern(letters)),
                false => None,
            };
        }
        let column = text_column(translator, subject, collation)?;
        match (like, folds) {
            (true, false) => keeps(
                translator,
                column,
                pattern,
                ParamTransform::Pattern(Letters::Distinct),
            ),
            (true, true) => keeps(
                translator,
                column,
                pattern,
                ParamTransform::Pattern(letters(collation)),
            ),
            (false, _) => {
                let letters = if folds {
                    letters(collation)
                } else {
                    Letters::Distinct
                };
                let pattern = constant_text(pattern)?;
                let test = text::matches(&column.field, false, &pattern, letters, column.is_enum())?;
                representable(translator, column, test)
            }
        }
    }
}

/// A negative; where the gateway cannot express it, the rows that have a value.
fn representable(translator: &Translator, column: &Column, test: text::TextTest) -> Option<RemoteCondition> {
    match translator.table.dialect().can_express(&test.sent) {
        true => Some(RemoteCondition::of_text(test)),
        false => RemoteCondition::superset(super::not_null(&column.field)),
    }
}

/// `starts_with(column, prefix)`.
///
/// # Safety
/// `call` must be a valid FuncExpr of the current planning.
pub unsafe fn starts_with(
    translator: &mut Translator,
    call: *mut pg_sys::FuncExpr,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: the caller checked the node's type; arguments are its own.
    unsafe {
        if u32::from((*call).funcid) != pg_sys::F_STARTS_WITH {
            return None;
        }
        let arguments = PgList::<pg_sys::Node>::from_pg((*call).args);
        let column = text_column(translator, arguments.get_ptr(0)?, (*call).inputcollid)?;
        prefix(translator, column, arguments.get_ptr(1)?, !negated)
    }
}

/// `lower(column) = value`.
///
/// # Safety
/// Valid expression nodes of the current planning.
pub unsafe fn lower(
    translator: &mut Translator,
    operator: pg_sys::Oid,
    subject: *mut pg_sys::Node,
    value: *mut pg_sys::Node,
    collation: pg_sys::Oid,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function.
    unsafe {
        let (column, case) = lowered(translator, subject)?;
        let op = compare_op(operator, ValueClass::Text)?;
        let op = if negated { negate(op) } else { op };
        if op != CompareOp::Eq || !deterministic(collation) {
            return None;
        }
        keeps(translator, column, value, ParamTransform::Whole(letters(case)))
    }
}

/// The column under `lower`, and the collation by which it is lowered.
unsafe fn lowered<'a>(
    translator: &Translator<'a>,
    expression: *mut pg_sys::Node,
) -> Option<(&'a Column, pg_sys::Oid)> {
    // SAFETY: node types are checked before each cast.
    unsafe {
        if !is_a(expression, pg_sys::NodeTag::T_FuncExpr) {
            return None;
        }
        let call = expression.cast::<pg_sys::FuncExpr>();
        if u32::from((*call).funcid) != pg_sys::F_LOWER_TEXT {
            return None;
        }
        let arguments = PgList::<pg_sys::Node>::from_pg((*call).args);
        let column = text_column(translator, arguments.get_ptr(0)?, (*call).inputcollid)?;
        Some((column, (*call).inputcollid))
    }
}

unsafe fn text_column<'a>(
    translator: &Translator<'a>,
    expression: *mut pg_sys::Node,
    collation: pg_sys::Oid,
) -> Option<&'a Column> {
    // SAFETY: same contract as this function.
    unsafe {
        match translator.column(expression)? {
            (column, ValueClass::Text) if deterministic(collation) => Some(column),
            _ => None,
        }
    }
}

/// Which letters are equal when case is disregarded under this collation.
fn letters(collation: pg_sys::Oid) -> Letters {
    match u32::from(collation) {
        C_COLLATION | POSIX_COLLATION => Letters::FoldedAscii,
        _ => Letters::Folded,
    }
}

/// A pattern that keeps at least the rows wanted.
unsafe fn keeps(
    translator: &mut Translator,
    column: &Column,
    pattern: *mut pg_sys::Node,
    shape: ParamTransform,
) -> Option<RemoteCondition> {
    let capabilities = translator.table.dialect().capabilities();
    let letters = match shape {
        ParamTransform::Pattern(letters) | ParamTransform::Whole(letters) => letters,
        _ => Letters::Distinct,
    };
    // SAFETY: same contract as this function.
    let (value, exact, cased) = unsafe {
        match constant_text(pattern) {
            Some(text) => {
                let coarse = match shape {
                    ParamTransform::Whole(letters) => text::literal(&text, letters)?,
                    _ => text::coarse(&text, letters)?,
                };
                (Value::Text(coarse.text), coarse.exact, coarse.cased)
            }
            None => match translator.operand(pattern, &[pg_sys::TEXTOID], shape)? {
                Operand::Value(value) => (value, false, true),
                Operand::Null => return None,
            },
        }
    };
    let folds = letters != Letters::Distinct && cased;
    if !capabilities.operators.like || (folds && !capabilities.case_insensitive_option) {
        return None;
    }
    let condition = Condition::Like {
        field: column.field.clone(),
        pattern: value,
        negated: false,
    };
    // Of `lower(x)` even a pattern without letters is only taken for a superset.
    let pushed = RemoteCondition::new(
        condition,
        exact && matches!(shape, ParamTransform::Pattern(_)) && !folds,
    );
    Some(if folds { pushed.disregarding_case() } else { pushed })
}

/// Text that starts, or does not start, with a value.
unsafe fn prefix(
    translator: &mut Translator,
    column: &Column,
    value: *mut pg_sys::Node,
    like: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function.
    let constant = unsafe { constant_text(value) };
    if let Some(text) = constant {
        let test = text::starts(&column.field, like, &text, column.is_enum())?;
        return match like {
            true => Some(RemoteCondition::of_text(test)),
            false => representable(translator, column, test),
        };
    }
    if !like {
        return None;
    }
    // SAFETY: same contract as this function.
    match unsafe { translator.operand(value, &[pg_sys::TEXTOID], ParamTransform::Prefix) }? {
        Operand::Value(pattern) => Some(RemoteCondition::new(
            Condition::Like {
                field: column.field.clone(),
                pattern,
                negated: false,
            },
            false,
        )),
        Operand::Null => None,
    }
}
