//! SQL functions that make SQLite count money exactly and fold text as the gateway does.

use std::cmp::Ordering;

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};
use unicode_normalization::UnicodeNormalization;

/// Registers the functions and the collation on a connection.
///
/// # Errors
/// What SQLite refuses.
pub fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("dec", 2, flags, |c| {
        let scale = c.get::<i64>(1)?.clamp(0, 18) as u8;
        Ok(match c.get_raw(0) {
            ValueRef::Integer(i) => Value::Text(decimal_text(i.into(), scale, false)),
            _ => Value::Null,
        })
    })?;
    connection.create_scalar_function("fold", 1, flags, |c| {
        Ok(match c.get_raw(0) {
            ValueRef::Text(t) => Value::Text(fold(&String::from_utf8_lossy(t))),
            other => other.into(),
        })
    })?;
    connection.create_scalar_function("wall_clock", 2, flags, |c| {
        Ok(match (c.get_raw(0), c.get_raw(1)) {
            (ValueRef::Text(stored), ValueRef::Text(zone)) => {
                let (stored, zone) = (String::from_utf8_lossy(stored), String::from_utf8_lossy(zone));
                crate::format::wall_clock(&stored, &zone).map_or(Value::Null, Value::Text)
            }
            _ => Value::Null,
        })
    })?;
    connection.create_scalar_function("scramble", -1, flags, |c| {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for i in 0..c.len() {
            let mut eat = |bytes: &[u8]| {
                for b in bytes {
                    hash = (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
                }
            };
            match c.get_raw(i) {
                ValueRef::Integer(v) => eat(&v.to_le_bytes()),
                ValueRef::Text(t) => eat(t),
                _ => eat(&[0xff]),
            }
        }
        // The low bits of FNV are the better ones.
        Ok((hash.rotate_left(32) >> 1) as i64)
    })?;
    connection.create_aggregate_function("exact_sum", 1, flags, Sum)?;
    connection.create_aggregate_function("exact_avg", 2, flags, Average)?;
    connection.create_collation("LINGUISTIC", linguistic)
}

/// Lower case of every script, as a case-insensitive comparison folds.
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// Dictionary order: letters first without accents and case, then by accents, then lower before upper case.
pub fn linguistic(a: &str, b: &str) -> Ordering {
    let base = |s: &str| -> String {
        s.nfd()
            .filter(|c| !unicode_normalization::char::is_combining_mark(*c))
            .flat_map(char::to_lowercase)
            .collect()
    };
    base(a)
        .cmp(&base(b))
        .then_with(|| fold(a).cmp(&fold(b)))
        .then_with(|| b.cmp(a))
}

/// Text of a scaled integer; `padded` keeps trailing zeros.
pub fn decimal_text(scaled: i128, scale: u8, padded: bool) -> String {
    let mut text = String::with_capacity(24);
    push_decimal(&mut text, scaled, scale, padded);
    text
}

/// Appends the text of a scaled integer.
pub fn push_decimal(out: &mut String, scaled: i128, scale: u8, padded: bool) {
    use std::fmt::Write;
    if scaled < 0 {
        out.push('-');
    }
    // Division of 128-bit numbers is slow, and hardly any amount needs it.
    let unit = 10u128.pow(u32::from(scale));
    let size = scaled.unsigned_abs();
    let (whole, mut rest) = match (u64::try_from(size), u64::try_from(unit)) {
        (Ok(size), Ok(unit)) => (u128::from(size / unit), size % unit),
        _ => (size / unit, u64::try_from(size % unit).unwrap_or(u64::MAX)),
    };
    match u64::try_from(whole) {
        Ok(whole) => _ = write!(out, "{whole}"),
        Err(_) => _ = write!(out, "{whole}"),
    }
    let mut digits = usize::from(scale);
    if !padded {
        while digits > 0 && rest % 10 == 0 {
            rest /= 10;
            digits -= 1;
        }
    }
    if digits > 0 {
        let _ = write!(out, ".{rest:0digits$}");
    }
}

struct Sum;

impl Aggregate<Option<i128>, Option<String>> for Sum {
    fn init(&self, _: &mut Context<'_>) -> Result<Option<i128>> {
        Ok(None)
    }
    fn step(&self, context: &mut Context<'_>, total: &mut Option<i128>) -> Result<()> {
        if let ValueRef::Integer(i) = context.get_raw(0) {
            let sum = total.unwrap_or(0).checked_add(i.into());
            *total = Some(sum.ok_or_else(|| Error::UserFunctionError("sum overflows".into()))?);
        }
        Ok(())
    }
    fn finalize(&self, _: &mut Context<'_>, total: Option<Option<i128>>) -> Result<Option<String>> {
        Ok(total.flatten().map(|t| t.to_string()))
    }
}

/// Digits after the point that an average shows beyond those of its values.
pub const AVERAGE_DIGITS: u8 = 8;

struct Average;

impl Aggregate<(i128, i128), Option<String>> for Average {
    fn init(&self, _: &mut Context<'_>) -> Result<(i128, i128)> {
        Ok((0, 0))
    }
    fn step(&self, context: &mut Context<'_>, state: &mut (i128, i128)) -> Result<()> {
        if let ValueRef::Integer(i) = context.get_raw(0) {
            *state = (state.0 + i128::from(i), state.1 + 1);
        }
        Ok(())
    }
    fn finalize(&self, _: &mut Context<'_>, state: Option<(i128, i128)>) -> Result<Option<String>> {
        Ok(state.filter(|s| s.1 > 0).map(|(sum, count)| {
            let scaled = sum * 10i128.pow(u32::from(AVERAGE_DIGITS));
            let half = if scaled < 0 { -count / 2 } else { count / 2 };
            ((scaled + half) / count).to_string()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_print_exactly() {
        assert_eq!(
            decimal_text(-9_999_999_999_999_999, 2, false),
            "-99999999999999.99"
        );
        assert_eq!(decimal_text(379_700, 2, false), "3797");
        assert_eq!(decimal_text(379_700, 2, true), "3797.00");
        assert_eq!(decimal_text(-5, 4, false), "-0.0005");
        assert_eq!(decimal_text(0, 0, true), "0");
    }

    #[test]
    fn sums_are_exact_beyond_64_bits_and_null_without_values() {
        let c = Connection::open_in_memory().unwrap();
        register(&c).unwrap();
        let sum: Option<String> = c
            .query_row("SELECT exact_sum(v) FROM (SELECT 9223372036854775807 AS v UNION ALL SELECT 1 UNION ALL SELECT NULL)", [], |r| r.get(0))
            .unwrap();
        assert_eq!(sum.as_deref(), Some("9223372036854775808"));
        let none: Option<String> = c.query_row("SELECT exact_sum(NULL)", [], |r| r.get(0)).unwrap();
        assert_eq!(none, None);
        let avg: String = c
            .query_row(
                "SELECT exact_avg(v, 0) FROM (SELECT 1 AS v UNION ALL SELECT 2 UNION ALL SELECT 2)",
                [],
                |r| r.get(0),
            )
            .unwrap();
        assert_eq!(avg, "166666667");
    }

    #[test]
    fn linguistic_order_differs_from_binary() {
        let mut words = ["b", "A", "á", "a", "Z", "Ä"];
        words.sort_by(|a, b| linguistic(a, b));
        assert_eq!(words, ["a", "A", "á", "Ä", "b", "Z"]);
    }
}
