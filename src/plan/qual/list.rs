//! Lists: `x IN (…)`, `= ANY (array)`, `<> ALL (array)`, `LIKE ANY (array)`.

use super::build::is_exact;
use super::operator::{compare_op, deterministic, family};
use super::{RemoteCondition, Translator, compare, integer, not_null, pattern};
use crate::catalog::{Column, ValueClass};
use crate::convert::outward;
use crate::private::transform::ParamTransform;
use intacct::query::{MOST_LISTED, ends, text};
use intacct::{CompareOp, Condition, Value};
use pgrx::{PgList, is_a, pg_sys};

/// `value op ANY (array)` and `value op ALL (array)`.
///
/// # Safety
/// `expression` must be a valid ScalarArrayOpExpr of the current planning.
pub unsafe fn translate(
    translator: &mut Translator,
    expression: *mut pg_sys::ScalarArrayOpExpr,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: the caller checked the node's type; operands are its own.
    unsafe {
        let operands = PgList::<pg_sys::Node>::from_pg((*expression).args);
        let (subject, array) = (operands.get_ptr(0)?, operands.get_ptr(1)?);
        if let Some(pushed) = integer::member(translator, expression, subject, array, negated) {
            return Some(pushed);
        }
        let Some((column, class)) = translator.column(subject) else {
            return each(translator, expression, subject, array, negated);
        };
        let Some(op) = compare_op((*expression).opno, class) else {
            return each(translator, expression, subject, array, negated);
        };
        // NOT (x = ANY a) is x <> ALL a; the other combinations are not lists.
        let wants_member = match (op, (*expression).useOr, negated) {
            (CompareOp::Eq, true, false) | (CompareOp::Ne, false, true) => true,
            (CompareOp::Ne, false, false) | (CompareOp::Eq, true, true) => false,
            _ => return each(translator, expression, subject, array, negated),
        };
        let operators = translator.table.dialect().capabilities().operators;
        if class == ValueClass::Boolean
            || (class == ValueClass::Text && !deterministic((*expression).inputcollid))
            || !(if wants_member {
                operators.in_list
            } else {
                operators.not_in_list
            })
        {
            return None;
        }
        let element = pg_sys::get_element_type(pg_sys::exprType(array));
        if !family(class).1.contains(&element) {
            return None;
        }
        let values = listed(translator, array, ParamTransform::Plain, wants_member)?;
        if values.is_empty() {
            return None;
        }
        if !wants_member && values.len() > MOST_LISTED {
            return RemoteCondition::superset(not_null(&column.field));
        }
        if class == ValueClass::Text && !wants_member {
            let test = text::lists(&column.field, false, &values, column.is_enum())?;
            return Some(RemoteCondition::of_text(test));
        }
        let exact = values.iter().all(|value| is_exact(translator, class, value));
        if wants_member {
            return among(column, values, exact);
        }
        let condition = Condition::In {
            field: column.field.clone(),
            values,
            negated: true,
        };
        let condition = Condition::and(Some(condition), not_null(&column.field));
        Some(RemoteCondition::new(condition, exact))
    }
}

/// The elements of a constant array, or the parameter that the array is until execution; `None`: they cannot be expressed, or
/// what they mean for NULL is not known yet.
///
/// # Safety
/// `array` must be a valid expression of an array type.
pub unsafe fn listed(
    translator: &mut Translator,
    array: *mut pg_sys::Node,
    shape: ParamTransform,
    wants_member: bool,
) -> Option<Vec<Value>> {
    // SAFETY: the node's type is checked before the cast.
    unsafe {
        if !is_a(array, pg_sys::NodeTag::T_Const) {
            // The negative of an empty array would be true even of null, which is known only at execution.
            return (wants_member && translator.is_parameter(array))
                .then(|| vec![Value::Param(translator.params.number(array.cast(), shape))]);
        }
        let constant = array.cast::<pg_sys::Const>();
        if (*constant).constisnull {
            return None;
        }
        let element = pg_sys::get_element_type((*constant).consttype);
        let elements = outward::array((*constant).constvalue, element)?.into_iter();
        match wants_member {
            // A null element matches nothing, and makes a negative never true.
            true => Some(elements.flatten().collect()),
            false => elements.collect(),
        }
    }
}

/// A column that has one of some values; of too many for a list, one between their ends.
pub fn among(column: &Column, values: Vec<Value>, exact: bool) -> Option<RemoteCondition> {
    let field = column.field.clone();
    if values.is_empty() {
        // Never true: rare enough to stay here.
        return None;
    }
    if values.len() <= MOST_LISTED {
        let negated = false;
        let condition = Condition::In {
            field,
            values,
            negated,
        };
        return Some(RemoteCondition::new(condition, exact));
    }
    match ends(&values) {
        Some((low, high)) => RemoteCondition::superset(Condition::Between { field, low, high }),
        None => RemoteCondition::superset(not_null(&field)),
    }
}

/// Elements of a constant array that are worth a condition each.
const FEW: usize = 100;

/// Any other operator with a constant array: one condition for each element, joined by OR or AND.
unsafe fn each(
    translator: &mut Translator,
    expression: *mut pg_sys::ScalarArrayOpExpr,
    subject: *mut pg_sys::Node,
    array: *mut pg_sys::Node,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: the caller checked the node's type; operands are its own.
    unsafe {
        if !is_a(array, pg_sys::NodeTag::T_Const) {
            return None;
        }
        let elements = outward::elements(array.cast())?;
        if elements.is_empty() || elements.len() > FEW {
            return None;
        }
        let (operator, collation) = ((*expression).opno, (*expression).inputcollid);
        let any = (*expression).useOr != negated;
        let mut whole: Option<RemoteCondition> = None;
        let mut complete = true;
        for element in elements {
            if (*element).constisnull {
                match any {
                    // Never true of a null element.
                    true => continue,
                    false => return None,
                }
            }
            let next = pattern::operator(translator, operator, subject, element.cast(), collation, negated)
                .or_else(|| {
                    compare::sides(translator, operator, subject, element.cast(), collation, negated)
                });
            whole = match (whole, next, any) {
                (_, None, true) => return None,
                (whole, None, false) => {
                    complete = false;
                    whole
                }
                (None, next, _) => next,
                (Some(whole), Some(next), true) => Some(RemoteCondition::or(whole, next)),
                (Some(whole), Some(next), false) => Some(RemoteCondition::and(whole, next)),
            };
        }
        match complete {
            true => whole,
            false => whole.map(RemoteCondition::inexact),
        }
    }
}
