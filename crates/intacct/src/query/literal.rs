//! Constants: canonical spelling and recognition.
//!
//! A bare literal is given a type only when it is spelt exactly as that type is printed; everything else stays text.
//! So `007`, `1.50` and `1/2/2024` keep their digits and nothing is lost by reading.

use super::Value;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use std::fmt;

/// Exponents beyond this are refused rather than written out.
const MAX_EXPONENT: i32 = 1000;

impl Value {
    /// A number in canonical spelling: no sign `+`, no leading zeros, no trailing zeros after the point, no exponent.
    /// `None` when `text` is not a decimal number.
    pub fn number(text: &str) -> Option<Value> {
        canonical_number(text).map(Value::Number)
    }

    /// Gives a type to a literal written without quotes.
    pub(super) fn from_bare(text: &str) -> Value {
        if let Some(digits) = text.strip_prefix('$')
            && digits.bytes().all(|b| b.is_ascii_digit())
            && let Ok(number) = digits.parse()
        {
            return Value::Param(number);
        }
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            return Value::Boolean(text.eq_ignore_ascii_case("true"));
        }
        if canonical_number(text).as_deref() == Some(text) {
            return Value::Number(text.to_owned());
        }
        let typed = [
            us_date(text).map(Value::Date),
            us_datetime(text).map(Value::DateTime),
            text.parse::<Timestamp>().ok().map(Value::Instant),
        ];
        typed
            .into_iter()
            .flatten()
            .find(|value| value.to_string() == text)
            .unwrap_or_else(|| Value::Text(text.to_owned()))
    }
}

impl fmt::Display for Value {
    /// As in the text form: text always quoted, everything else bare.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => quote(f, text),
            Value::Number(digits) => f.write_str(digits),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Date(date) => write_us_date(f, *date),
            Value::DateTime(moment) => write_us_datetime(f, *moment),
            Value::Instant(instant) => write!(f, "{instant}"),
            Value::Param(number) => write!(f, "${number}"),
        }
    }
}

/// Writes text between quotes; a quote is doubled and a backslash too.
fn quote(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('\'')?;
    for c in text.chars() {
        match c {
            '\'' => f.write_str("''")?,
            '\\' => f.write_str("\\\\")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('\'')
}

/// `MM/DD/YYYY`: the gateway's form in conditions (parameter formats of the vendor's documentation).
pub(crate) fn write_us_date(f: &mut impl fmt::Write, date: Date) -> fmt::Result {
    write!(f, "{:02}/{:02}/{:04}", date.month(), date.day(), date.year())
}

/// `MM/DD/YYYY HH:MM:SS`, 24 hours; a fraction follows only when there is one.
pub(crate) fn write_us_datetime(f: &mut impl fmt::Write, moment: DateTime) -> fmt::Result {
    write_us_date(f, moment.date())?;
    write!(
        f,
        " {:02}:{:02}:{:02}",
        moment.hour(),
        moment.minute(),
        moment.second()
    )?;
    match moment.subsec_nanosecond() {
        0 => Ok(()),
        nanos => write!(f, ".{nanos:09}"),
    }
}

fn us_date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '/');
    let month = parts.next()?.parse().ok()?;
    let day = parts.next()?.parse().ok()?;
    let year = parts.next()?.parse().ok()?;
    Date::new(year, month, day).ok()
}

fn us_datetime(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once(' ')?;
    let (time, nanos) = match time.split_once('.') {
        Some((time, fraction)) if fraction.len() == 9 => (time, fraction.parse().ok()?),
        Some(_) => return None,
        None => (time, 0),
    };
    let mut parts = time.splitn(3, ':').map(str::parse);
    let mut next = || parts.next()?.ok();
    let time = Time::new(next()?, next()?, next()?, nanos).ok()?;
    Some(us_date(date)?.to_datetime(time))
}

fn canonical_number(text: &str) -> Option<String> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0
        || !is_digits(whole)
        || !is_digits(fraction)
        || exponent.abs() > MAX_EXPONENT
    {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => (format!("{digits:0<point$}"), String::new()),
        Ok(point) => (digits[..point].to_owned(), digits[point..].to_owned()),
        Err(_) => (
            String::new(),
            format!("{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
        ),
    };
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    let fraction = fraction.trim_end_matches('0');
    let sign = if negative && (whole != "0" || !fraction.is_empty()) {
        "-"
    } else {
        ""
    };
    Some(if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn numbers_have_one_spelling() {
        for (text, canonical) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("+7", "7"),
            ("007", "7"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("12.5e-3", "0.0125"),
            ("-1.25E1", "-12.5"),
            ("100", "100"),
        ] {
            assert_eq!(canonical_number(text).as_deref(), Some(canonical), "{text}");
        }
        for text in ["", "-", ".", "1e", "e5", "1e99999", "0x10", "1_000", "NaN", "１"] {
            assert_eq!(canonical_number(text), None, "{text}");
        }
    }

    #[test]
    fn bare_literals_are_typed_only_in_their_own_spelling() {
        assert_eq!(Value::from_bare("24"), Value::Number("24".into()));
        assert_eq!(Value::from_bare("007"), Value::Text("007".into()));
        assert_eq!(Value::from_bare("1.50"), Value::Text("1.50".into()));
        assert_eq!(Value::from_bare("10/22/2010"), Value::Date(date(2010, 10, 22)));
        assert_eq!(Value::from_bare("1/2/2010"), Value::Text("1/2/2010".into()));
        assert_eq!(Value::from_bare("02/30/2010"), Value::Text("02/30/2010".into()));
        assert_eq!(
            Value::from_bare("10/22/2010 00:00:00"),
            Value::DateTime(date(2010, 10, 22).at(0, 0, 0, 0))
        );
        assert_eq!(
            Value::from_bare("2024-01-31T08:00:00Z").to_string(),
            "2024-01-31T08:00:00Z"
        );
        assert!(matches!(
            Value::from_bare("2024-01-31T08:00:00Z"),
            Value::Instant(_)
        ));
        assert_eq!(Value::from_bare("True"), Value::Boolean(true));
        assert_eq!(Value::from_bare("$12"), Value::Param(12));
        assert_eq!(Value::from_bare("$1a"), Value::Text("$1a".into()));
        assert_eq!(Value::from_bare("ZAB001"), Value::Text("ZAB001".into()));
    }
}
