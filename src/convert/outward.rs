//! PostgreSQL values as connector values. What the gateway cannot express exactly has no value.

use intacct::query::text::is_sendable;
use intacct::{Binding, Value};
use pgrx::pg_sys;
use std::ffi::CStr;

/// Days from the Unix epoch to PostgreSQL's (2000-01-01).
pub(super) const EPOCH_DAYS: i64 = 10_957;
/// The same in microseconds.
pub(super) const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;

/// The value of a datum that is not null. `None`: it cannot be expressed (infinities, NaN, empty or blank-edged text, text
/// with control characters, years beyond four digits, other types).
///
/// # Safety
/// `datum` must be a valid, non-null datum of type `type_oid`.
pub unsafe fn value(datum: pg_sys::Datum, type_oid: pg_sys::Oid) -> Option<Value> {
    // SAFETY: the caller guarantees datum's type.
    unsafe {
        match type_oid {
            pg_sys::TEXTOID | pg_sys::VARCHAROID => {
                text(datum).filter(|text| is_sendable(text)).map(Value::Text)
            }
            pg_sys::INT8OID => Value::number(&(datum.value() as i64).to_string()),
            pg_sys::INT4OID => Value::number(&(datum.value() as i32).to_string()),
            pg_sys::INT2OID => Value::number(&(datum.value() as i16).to_string()),
            pg_sys::NUMERICOID => {
                let digits = pg_sys::OidOutputFunctionCall(pg_sys::Oid::from(pg_sys::F_NUMERIC_OUT), datum);
                let number = Value::number(CStr::from_ptr(digits).to_str().ok()?);
                pg_sys::pfree(digits.cast());
                number
            }
            pg_sys::BOOLOID => Some(Value::Boolean(datum.value() as u8 != 0)),
            pg_sys::DATEOID => date(datum.value() as i32).map(Value::Date),
            pg_sys::TIMESTAMPTZOID => instant(datum.value() as i64).map(Value::Instant),
            _ => None,
        }
    }
}

/// The elements of an array; `None` when one of them cannot be expressed.
///
/// # Safety
/// `datum` must be a valid, non-null array of `element`s.
pub unsafe fn array(datum: pg_sys::Datum, element: pg_sys::Oid) -> Option<Vec<Option<Value>>> {
    // SAFETY: the caller guarantees a valid array; deconstruct_array allocates in the current memory context.
    unsafe {
        let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        let (mut length, mut by_value, mut align) = (0i16, false, 0 as std::ffi::c_char);
        pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align);
        let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0i32);
        pg_sys::deconstruct_array(
            array,
            element,
            length.into(),
            by_value,
            align,
            &mut values,
            &mut nulls,
            &mut count,
        );
        (0..count as usize)
            .map(|index| {
                // An array may have any number of elements.
                pgrx::check_for_interrupts!();
                match *nulls.add(index) {
                    true => Some(None),
                    false => value(*values.add(index), element).map(Some),
                }
            })
            .collect()
    }
}

/// The elements of a constant array, as constants; `None` when the array is NULL.
///
/// # Safety
/// `array` must be a valid constant of an array type.
pub unsafe fn elements(array: *mut pg_sys::Const) -> Option<Vec<*mut pg_sys::Const>> {
    // SAFETY: the caller guarantees a valid constant; everything is allocated in the current memory context.
    unsafe {
        let element = pg_sys::get_element_type((*array).consttype);
        if (*array).constisnull || element == pg_sys::InvalidOid {
            return None;
        }
        let (mut length, mut by_value, mut align) = (0i16, false, 0 as std::ffi::c_char);
        pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align);
        let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0i32);
        pg_sys::deconstruct_array(
            pg_sys::pg_detoast_datum((*array).constvalue.cast_mut_ptr()).cast(),
            element,
            length.into(),
            by_value,
            align,
            &mut values,
            &mut nulls,
            &mut count,
        );
        let constants = (0..count as usize).map(|index| {
            pg_sys::makeConst(
                element,
                -1,
                (*array).constcollid,
                length.into(),
                *values.add(index),
                *nulls.add(index),
                by_value,
            )
        });
        Some(constants.collect())
    }
}

/// What a parameter is bound to.
///
/// # Safety
/// `datum` must be valid and of type `type_oid`, unless `null`.
pub unsafe fn binding(datum: pg_sys::Datum, null: bool, type_oid: pg_sys::Oid) -> Binding {
    if null {
        return Binding::Null;
    }
    // SAFETY: the caller guarantees datum's type.
    unsafe {
        let element = pg_sys::get_element_type(type_oid);
        if element == pg_sys::InvalidOid {
            value(datum, type_oid).map_or(Binding::NotRepresentable, Binding::Value)
        } else {
            array(datum, element).map_or(Binding::NotRepresentable, Binding::List)
        }
    }
}

/// A text as UTF-8; `None` when the database's encoding is not what it declares.
///
/// # Safety
/// `datum` must be a valid, non-null text.
pub unsafe fn text(datum: pg_sys::Datum) -> Option<String> {
    // SAFETY: the caller guarantees that the datum is a text; the C string is copied and freed.
    unsafe {
        let characters = pg_sys::text_to_cstring(datum.cast_mut_ptr());
        let length = CStr::from_ptr(characters).count_bytes();
        let converted = pg_sys::pg_server_to_any(characters, length as i32, pg_sys::pg_enc::PG_UTF8 as i32);
        let text = CStr::from_ptr(converted).to_str().ok().map(str::to_owned);
        if converted != characters {
            pg_sys::pfree(converted.cast());
        }
        pg_sys::pfree(characters.cast());
        text
    }
}

fn date(days: i32) -> Option<jiff::civil::Date> {
    if days == i32::MIN || days == i32::MAX {
        return None;
    }
    let seconds = (i64::from(days) + EPOCH_DAYS) * 86_400;
    let date = jiff::tz::Offset::UTC
        .to_datetime(jiff::Timestamp::from_second(seconds).ok()?)
        .date();
    (1..=9999).contains(&date.year()).then_some(date)
}

/// The point in time of PostgreSQL's microseconds; none for infinities and beyond years of four digits.
pub fn instant(micros: i64) -> Option<jiff::Timestamp> {
    if micros == i64::MIN || micros == i64::MAX {
        return None;
    }
    let instant = jiff::Timestamp::from_microsecond(micros.checked_add(EPOCH_MICROS)?).ok()?;
    // A day's distance to the ends of the calendar, so that no zone moves it out of four digits.
    let year = jiff::tz::Offset::UTC.to_datetime(instant).year();
    (2..=9998).contains(&year).then_some(instant)
}
