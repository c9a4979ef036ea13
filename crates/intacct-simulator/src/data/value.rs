//! Generated values, and how they are stored.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};

/// One generated cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Empty.
    Null,
    /// Whole number, boolean (0/1) or decimal scaled by its field's power of ten.
    Int(i64),
    /// Text.
    Text(Cow<'static, str>),
    /// Date, as days since 1970-01-01.
    Date(i64),
    /// Instant, as seconds since 1970-01-01 UTC.
    Time(i64),
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
            Self::Int(i) => ToSqlOutput::Owned(SqlValue::Integer(*i)),
            Self::Text(t) => ToSqlOutput::Borrowed(ValueRef::Text(t.as_bytes())),
            Self::Date(days) => ToSqlOutput::Owned(SqlValue::Text(iso_date(*days))),
            Self::Time(seconds) => ToSqlOutput::Owned(SqlValue::Text(iso_time(*seconds))),
        })
    }
}

/// Days since 1970-01-01 of a calendar date.
pub fn days(year: i16, month: i8, day: i8) -> i64 {
    Date::constant(year, month, day)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_or(0, |z| z.timestamp().as_second())
        / 86_400
}

/// Stored form of a date: `YYYY-MM-DD`.
pub fn iso_date(days: i64) -> String {
    let mut text = String::with_capacity(10);
    push_date(&mut text, days);
    text
}

/// Stored form of an instant: `YYYY-MM-DD HH:MM:SS`, UTC.
pub fn iso_time(seconds: i64) -> String {
    let mut text = String::with_capacity(19);
    push_date(&mut text, seconds.div_euclid(86_400));
    let rest = seconds.rem_euclid(86_400);
    for (separator, part) in [(' ', rest / 3600), (':', rest / 60 % 60), (':', rest % 60)] {
        text.push(separator);
        push_digits(&mut text, part, 2);
    }
    text
}

fn push_date(out: &mut String, days: i64) {
    let at = Timestamp::from_second(days * 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
    let date = jiff::tz::Offset::UTC.to_datetime(at).date();
    push_digits(out, date.year().into(), 4);
    out.push('-');
    push_digits(out, date.month().into(), 2);
    out.push('-');
    push_digits(out, date.day().into(), 2);
}

/// Appends a number with leading zeros; a million rows have ten million of these.
fn push_digits(out: &mut String, number: i64, width: u32) {
    for place in (0..width).rev() {
        out.push(char::from(b'0' + (number / 10i64.pow(place) % 10) as u8));
    }
}
