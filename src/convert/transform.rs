//! Parameter values, transformed as the planner chose.

use super::{calendar, outward};
use crate::private::transform::{ParamTransform, Rounding};
use intacct::query::text as pattern;
use intacct::{Binding, Value};
use pgrx::pg_sys;
use std::ffi::CStr;

/// What a parameter is bound to.
///
/// # Safety
/// Main thread; `datum` must be valid and of type `type_oid`, unless `null`.
pub unsafe fn bind(
    datum: pg_sys::Datum,
    null: bool,
    type_oid: pg_sys::Oid,
    shape: ParamTransform,
) -> Binding {
    if null {
        // A comparison with NULL is never true, unless the condition was made for NULL.
        return match shape {
            ParamTransform::Nullable => Binding::NotRepresentable,
            _ => Binding::Null,
        };
    }
    // SAFETY: the caller guarantees datum's type; transforms of text and numbers are only given to such.
    unsafe {
        let made = match shape {
            ParamTransform::Plain | ParamTransform::Nullable => {
                return outward::binding(datum, false, type_oid);
            }
            ParamTransform::CalendarBound(moment) => return calendar::bound(datum, type_oid, moment),
            ParamTransform::Integer(_) if type_oid == pg_sys::NUMERICARRAYOID => {
                let Some(elements) = outward::array(datum, pg_sys::NUMERICOID) else {
                    return Binding::NotRepresentable;
                };
                let element = |element: Option<Value>| element.and_then(|number| whole_number(&number));
                return Binding::List(elements.into_iter().map(element).collect());
            }
            ParamTransform::Integer(rounding) => {
                let digits = pg_sys::OidOutputFunctionCall(pg_sys::Oid::from(pg_sys::F_NUMERIC_OUT), datum);
                let number = CStr::from_ptr(digits).to_str().ok().and_then(Value::number);
                pg_sys::pfree(digits.cast());
                return number.map_or(Binding::NotRepresentable, |number| whole(&number, rounding));
            }
            ParamTransform::Pattern(letters) => {
                outward::text(datum).and_then(|text| pattern::coarse(&text, letters))
            }
            ParamTransform::Whole(letters) => {
                outward::text(datum).and_then(|text| pattern::literal(&text, letters))
            }
            ParamTransform::Prefix => outward::text(datum).and_then(|text| pattern::starting_with(&text)),
        };
        made.map_or(Binding::NotRepresentable, |pattern| {
            Binding::Value(Value::Text(pattern.text))
        })
    }
}

/// A canonical decimal as the bigint that equals it, if one does.
pub fn whole_number(number: &Value) -> Option<Value> {
    match whole(number, Rounding::Exact) {
        Binding::Value(value) => Some(value),
        _ => None,
    }
}

/// A canonical decimal as a whole number within bigint. NULL, which equals nothing, stands for a fraction that no
/// whole number equals.
fn whole(number: &Value, rounding: Rounding) -> Binding {
    let Value::Number(digits) = number else {
        return Binding::NotRepresentable;
    };
    let (integral, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let Ok(integral) = integral.parse::<i64>() else {
        return Binding::NotRepresentable;
    };
    let negative = digits.starts_with('-');
    let rounded = match rounding {
        _ if fraction.is_empty() => Some(integral),
        Rounding::Exact => return Binding::Null,
        Rounding::Floor if negative => integral.checked_sub(1),
        Rounding::Ceiling if !negative => integral.checked_add(1),
        Rounding::Floor | Rounding::Ceiling => Some(integral),
    };
    rounded
        .and_then(|rounded| Value::number(&rounded.to_string()))
        .map_or(Binding::NotRepresentable, Binding::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_rounded_toward_the_rows_that_are_wanted() {
        let whole = |text: &str, rounding| match whole(&Value::number(text).expect("a number"), rounding) {
            Binding::Value(Value::Number(digits)) => digits,
            other => format!("{other:?}"),
        };
        assert_eq!(whole("2.5", Rounding::Floor), "2");
        assert_eq!(whole("2.5", Rounding::Ceiling), "3");
        assert_eq!(whole("-2.5", Rounding::Floor), "-3");
        assert_eq!(whole("-2.5", Rounding::Ceiling), "-2");
        assert_eq!(whole("-0.5", Rounding::Floor), "-1");
        assert_eq!(whole("-0.5", Rounding::Ceiling), "0");
        assert_eq!(whole("7", Rounding::Exact), "7");
        assert_eq!(whole("7.5", Rounding::Exact), "Null");
        assert_eq!(
            whole("9223372036854775807.5", Rounding::Ceiling),
            "NotRepresentable"
        );
        assert_eq!(whole("1e30", Rounding::Floor), "NotRepresentable");
    }
}
