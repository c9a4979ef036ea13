//! Row values, converted for the gateway.

use super::target::TargetTable;
use crate::catalog::Column;
use crate::convert::outward;
use crate::error::{Report, raise};
use intacct::GatewayZone;
use intacct::dialect::is_storable;
use intacct::write::{Change, Verb, WriteTarget, WriteValue};
use jiff::civil;
use pgrx::{PgSqlErrorCode, pg_sys};
use std::ffi::CStr;
use std::sync::Arc;

/// A value that can be expressed, up to the gateway's zone, which may still have to be asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// As it travels.
    Text(String),
    /// A day, in the user's format.
    Day(civil::Date),
    /// A time on the gateway's wall clock, in the user's format.
    WallClock(civil::DateTime),
    /// A point in time.
    Instant(jiff::Timestamp),
    /// No value.
    Null,
    /// Owned lines.
    Lines(serde_json::Value),
}

/// One row to create, update or delete.
#[derive(Debug, Clone)]
pub struct WriteRow {
    /// The object and how its rows are found.
    pub target: Arc<WriteTarget>,
    /// What is done.
    pub verb: Verb,
    /// Field and value that name the row; none for a new one.
    pub key: Option<(String, String)>,
    /// Fields and their values.
    pub cells: Vec<(String, Outgoing)>,
    /// When the record was last modified as it was read, in microseconds since 1970, if it must not be modified since.
    pub unmodified: Option<i64>,
}

impl WriteRow {
    /// Whether the row holds a day or a time: they are written in the user's format.
    pub fn has_date(&self) -> bool {
        self.cells.iter().any(|(_, value)| match value {
            Outgoing::Day(_) | Outgoing::WallClock(_) | Outgoing::Instant(_) => true,
            Outgoing::Lines(lines) => intacct::write::holds_dates(lines),
            Outgoing::Text(_) | Outgoing::Null => false,
        })
    }

    /// A point in time that would be read back as another one: the clock shows its reading twice.
    pub fn ambiguous(&self, zone: &GatewayZone) -> Option<(&str, jiff::Timestamp)> {
        self.cells.iter().find_map(|(field, value)| match value {
            Outgoing::Instant(instant) if zone.instant(zone.render(*instant)) != Some(*instant) => {
                Some((field.as_str(), *instant))
            }
            _ => None,
        })
    }

    /// The row as the library takes it.
    pub fn change(&self, zone: &GatewayZone) -> Change {
        let cells = self.cells.iter().map(|(field, value)| {
            let value = match value {
                Outgoing::Text(text) => WriteValue::Text(text.clone()),
                Outgoing::Day(date) => WriteValue::Text(day(*date)),
                Outgoing::WallClock(at) => WriteValue::Text(moment(*at)),
                Outgoing::Instant(instant) => WriteValue::Text(moment(zone.render(*instant))),
                Outgoing::Null => WriteValue::Empty,
                Outgoing::Lines(lines) => WriteValue::Lines(lines.clone()),
            };
            (field.clone(), value)
        });
        Change {
            target: self.target.clone(),
            verb: self.verb,
            key: self.key.clone(),
            cells: cells.collect(),
        }
    }

    /// What people call the row: its key, or the natural key that it is given.
    pub fn name(&self) -> Option<String> {
        if let Some((field, value)) = &self.key {
            return Some(format!("{field} {value}"));
        }
        let natural = self.target.natural_key.as_deref()?;
        self.cells.iter().find_map(|(field, value)| match value {
            Outgoing::Text(text) if field.eq_ignore_ascii_case(natural) => Some(format!("{field} {text}")),
            _ => None,
        })
    }
}

/// One column, and how its values are rendered.
pub struct Outbound {
    /// Its number in the table.
    pub attnum: i16,
    /// Its path in Intacct.
    pub field: String,
    name: String,
    how: How,
}

enum How {
    Text { padded: bool },
    Number,
    Single,
    Double,
    Money,
    Boolean,
    Date,
    WallClock,
    Instant,
    Lines,
    Other,
}

impl Outbound {
    /// How the values of a column are rendered.
    pub fn new(column: &Column) -> Outbound {
        // SAFETY: main thread inside a transaction; a catalog look-up.
        let base = unsafe { pg_sys::getBaseType(column.type_oid) };
        let how = match base {
            pg_sys::TEXTOID | pg_sys::VARCHAROID => How::Text { padded: false },
            pg_sys::BPCHAROID => How::Text { padded: true },
            pg_sys::INT8OID | pg_sys::INT4OID | pg_sys::INT2OID | pg_sys::NUMERICOID => How::Number,
            pg_sys::FLOAT4OID => How::Single,
            pg_sys::FLOAT8OID => How::Double,
            pg_sys::MONEYOID => How::Money,
            pg_sys::BOOLOID => How::Boolean,
            pg_sys::DATEOID => How::Date,
            pg_sys::TIMESTAMPOID => How::WallClock,
            pg_sys::TIMESTAMPTZOID => How::Instant,
            // Anything else that is JSON here is text there.
            _ if column.is_lines() => How::Lines,
            _ => How::Other,
        };
        Outbound {
            attnum: column.attnum,
            field: column.field.clone(),
            name: column.name.clone(),
            how,
        }
    }

    /// Its name in the table.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it holds owned lines.
    pub fn is_lines(&self) -> bool {
        matches!(self.how, How::Lines)
    }

    /// The value as it is rendered. Raises for one that the gateway cannot express.
    ///
    /// # Safety
    /// `datum` must be a valid value of the column, unless `null`; memory is taken from the current context.
    pub unsafe fn value(&self, datum: pg_sys::Datum, null: bool, type_oid: pg_sys::Oid) -> Outgoing {
        if null {
            return Outgoing::Null;
        }
        // SAFETY: the caller guarantees datum's type.
        unsafe {
            match self.how {
                How::Text { padded } => {
                    let text = outward::text(datum).unwrap_or_else(|| self.refuse("is not valid UTF-8"));
                    let text = if padded {
                        text.trim_end_matches(' ').to_owned()
                    } else {
                        text
                    };
                    self.text(text)
                }
                How::Boolean => Outgoing::Text((datum.value() as u8 != 0).to_string()),
                How::Number => {
                    let digits = output(datum, type_oid);
                    if !digits
                        .bytes()
                        .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.'))
                    {
                        self.refuse("is not a finite number");
                    }
                    Outgoing::Text(digits)
                }
                // From the bits, and without an exponent, which the gateway does not read.
                How::Single => match f32::from_bits(datum.value() as u32) {
                    number if number.is_finite() => Outgoing::Text(number.to_string()),
                    _ => self.refuse("is not a finite number"),
                },
                How::Double => match f64::from_bits(datum.value() as u64) {
                    number if number.is_finite() => Outgoing::Text(number.to_string()),
                    _ => self.refuse("is not a finite number"),
                },
                How::Money => {
                    // How many decimals it has is a setting: those of the C locale.
                    let digits = settled(|| {
                        let cash = pg_sys::Oid::from(pg_sys::F_NUMERIC_MONEY);
                        let number = pg_sys::OidFunctionCall1Coll(cash, pg_sys::InvalidOid, datum);
                        output(number, pg_sys::NUMERICOID)
                    });
                    Outgoing::Text(digits)
                }
                How::Date => match outward::value(datum, pg_sys::DATEOID) {
                    Some(intacct::Value::Date(date)) if is_storable(date) => Outgoing::Day(date),
                    _ => self.refuse("is not a day between the years 1000 and 9999"),
                },
                How::Instant => match outward::value(datum, pg_sys::TIMESTAMPTZOID) {
                    Some(intacct::Value::Instant(instant)) if is_storable(calendar_day(instant)) => {
                        self.whole_seconds(instant.subsec_nanosecond());
                        Outgoing::Instant(instant)
                    }
                    _ => self.refuse("is not a time between the years 1000 and 9998"),
                },
                How::WallClock => match outward::instant(datum.value() as i64) {
                    Some(instant) if is_storable(calendar_day(instant)) => {
                        self.whole_seconds(instant.subsec_nanosecond());
                        Outgoing::WallClock(jiff::tz::Offset::UTC.to_datetime(instant))
                    }
                    _ => self.refuse("is not a time between the years 1000 and 9998"),
                },
                How::Lines => match serde_json::from_str(&output(datum, type_oid)) {
                    Ok(serde_json::Value::Null) => Outgoing::Null,
                    Ok(lines) => Outgoing::Lines(lines),
                    Err(_) => self.refuse("cannot be read as JSON"),
                },
                How::Other => self.text(settled(|| output(datum, type_oid))),
            }
        }
    }

    /// Text; the empty one is no value to the gateway.
    fn text(&self, text: String) -> Outgoing {
        let unrepresentable = |c: char| {
            (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{7f}'..='\u{9f}'))
                || matches!(c, '\u{fffe}' | '\u{ffff}')
        };
        if text.chars().any(unrepresentable) {
            self.refuse("contains a control character, which XML 1.0 cannot represent");
        }
        if text.is_empty() {
            return Outgoing::Null;
        }
        Outgoing::Text(text)
    }

    fn whole_seconds(&self, nanoseconds: i32) {
        if nanoseconds != 0 {
            raise(
                self.report(
                    PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
                    "has a fraction of a second",
                )
                .detail("Sage Intacct keeps whole seconds.")
                .hint("Use date_trunc('second', ...)."),
            );
        }
    }

    fn refuse(&self, why: &str) -> ! {
        raise(self.report(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, why))
    }

    fn report(&self, code: PgSqlErrorCode, why: &str) -> Report {
        Report::new(
            code,
            format!(
                "the value for column \"{}\" cannot be sent to Sage Intacct: it {why}",
                self.name
            ),
        )
    }
}

/// Cells of one row, each field once: two columns may stand for one field, and not give it two values.
pub fn merged(target: &TargetTable, cells: Vec<(&Outbound, Outgoing)>) -> Vec<(String, Outgoing)> {
    let mut merged: Vec<(&Outbound, Outgoing)> = Vec::with_capacity(cells.len());
    for (column, value) in cells {
        let same = merged
            .iter()
            .find(|(known, _)| known.field.eq_ignore_ascii_case(&column.field));
        match same {
            Some((_, known)) if *known == value => {}
            Some((known, _)) => raise(
                Report::new(
                    PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                    format!(
                        "columns \"{}\" and \"{}\" of foreign table \"{}\" set one field to two values",
                        known.name(),
                        column.name(),
                        target.name
                    ),
                )
                .detail(format!(
                    "Both stand for field {} of {}.",
                    column.field, target.table.options.object
                ))
                .hint("Leave one of the columns out."),
            ),
            None => merged.push((column, value)),
        }
    }
    merged
        .into_iter()
        .map(|(column, value)| (column.field.clone(), value))
        .collect()
}

/// The columns of a table that can be given values.
pub fn writable(target: &TargetTable) -> Vec<Outbound> {
    target
        .table
        .columns
        .iter()
        .filter(|column| column.is_remote() && !column.read_only && !target.table.is_row_key(&column.field))
        .map(Outbound::new)
        .collect()
}

/// Runs `work` under settings that are always the same: those of the session do not change what is sent.
///
/// # Safety
/// Main thread inside a transaction.
unsafe fn settled<T>(work: impl FnOnce() -> T) -> T {
    const SETTINGS: [(&CStr, &CStr); 8] = [
        (c"datestyle", c"ISO, MDY"),
        (c"intervalstyle", c"postgres"),
        (c"extra_float_digits", c"1"),
        (c"lc_monetary", c"C"),
        (c"timezone", c"UTC"),
        (c"bytea_output", c"hex"),
        (c"xmloption", c"content"),
        (c"search_path", c"pg_catalog"),
    ];
    // SAFETY: the settings are a nested level, which an error takes back as well.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        for (name, value) in SETTINGS {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        let done = work();
        pg_sys::AtEOXact_GUC(true, level);
        done
    }
}

/// The value that names a row, as conditions of the gateway take it.
///
/// # Safety
/// `datum` must be a valid, non-null value of the type, which is the column's.
pub unsafe fn key_text(column: &Column, datum: pg_sys::Datum, type_oid: pg_sys::Oid) -> String {
    // SAFETY: the caller guarantees a valid datum.
    unsafe {
        let how = Outbound::new(column);
        match how.value(datum, false, type_oid) {
            Outgoing::Text(text) => text,
            Outgoing::Day(date) => day(date),
            Outgoing::WallClock(at) => moment(at),
            Outgoing::Instant(_) => raise(
                how.report(
                    PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                    "identifies the row, and is a point in time",
                )
                .hint("Add a column for RECORDNO."),
            ),
            Outgoing::Null | Outgoing::Lines(_) => output(datum, type_oid),
        }
    }
}

/// A value as its type prints it.
///
/// # Safety
/// `datum` must be a valid, non-null value of the type.
pub unsafe fn output(datum: pg_sys::Datum, type_oid: pg_sys::Oid) -> String {
    // SAFETY: the caller guarantees a valid datum; conversion copies when the database is not UTF-8.
    unsafe {
        let (mut function, mut varlena) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut varlena);
        let printed = pg_sys::OidOutputFunctionCall(function, datum);
        let length = CStr::from_ptr(printed).count_bytes();
        let utf8 = pg_sys::pg_server_to_any(printed, length as i32, pg_sys::pg_enc::PG_UTF8 as i32);
        CStr::from_ptr(utf8).to_string_lossy().into_owned()
    }
}

fn calendar_day(instant: jiff::Timestamp) -> civil::Date {
    jiff::tz::Offset::UTC.to_datetime(instant).date()
}

/// A day as the gateway reads it.
fn day(date: civil::Date) -> String {
    format!("{:02}/{:02}/{:04}", date.month(), date.day(), date.year())
}

/// A time on the gateway's wall clock as it reads it.
fn moment(at: civil::DateTime) -> String {
    format!(
        "{} {:02}:{:02}:{:02}",
        day(at.date()),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_written_as_the_gateway_reads_them() {
        assert_eq!(day(civil::date(2024, 6, 3)), "06/03/2024");
        assert_eq!(day(civil::date(987, 12, 31)), "12/31/0987");
        assert_eq!(
            moment(civil::date(2024, 6, 3).at(7, 8, 9, 0)),
            "06/03/2024 07:08:09"
        );
    }

    #[test]
    fn a_time_that_the_clock_shows_twice_is_no_value() {
        let row = |text: &str| WriteRow {
            target: Arc::new(WriteTarget::new("CUSTOMER")),
            verb: Verb::Create,
            key: None,
            cells: vec![("SINCE".into(), Outgoing::Instant(text.parse().expect("a time")))],
            unmodified: None,
        };
        let zone = |name: &str| jiff::tz::TimeZone::get(name).expect("a zone of the test");
        let berlin = GatewayZone::new(Some(&zone("Europe/Berlin")), None);
        assert!(row("2024-10-27T01:30:00Z").ambiguous(&berlin).is_some());
        assert!(row("2024-10-27T00:30:00Z").ambiguous(&berlin).is_none());
        assert!(row("2024-03-31T01:00:00Z").ambiguous(&berlin).is_none());
        let utc = GatewayZone::new(Some(&zone("UTC")), None);
        assert!(row("2024-10-27T01:30:00Z").ambiguous(&utc).is_none());
    }

    #[test]
    fn a_row_is_said_in_the_gateways_zone_and_named_by_its_key() {
        let target = Arc::new(WriteTarget::new("CUSTOMER"));
        let instant: jiff::Timestamp = "2024-06-03T23:30:00Z".parse().expect("a time");
        let row = WriteRow {
            target,
            verb: Verb::Create,
            key: None,
            cells: vec![
                ("CUSTOMERID".into(), Outgoing::Text("C-1".into())),
                ("SINCE".into(), Outgoing::Instant(instant)),
            ],
            unmodified: None,
        };
        assert!(row.has_date());
        assert_eq!(row.name().as_deref(), Some("CUSTOMERID C-1"));
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        let change = row.change(&GatewayZone::new(Some(&zone), None));
        let said = change.cells.into_iter().map(|(_, value)| match value {
            WriteValue::Text(text) => text,
            _ => String::new(),
        });
        assert_eq!(said.collect::<Vec<_>>(), ["C-1", "06/04/2024 01:30:00"]);
        let row = WriteRow {
            key: Some(("RECORDNO".into(), "12".into())),
            ..row
        };
        assert_eq!(row.name().as_deref(), Some("RECORDNO 12"));
    }
}
