//! What a cell looks like, where its type is not known.

use super::cells::moment;
use crate::query::Value;
use jiff::SignedDuration;
use jiff::civil::DateTime;

/// The reading of a clock, if the cell looks like a date or a timestamp without an offset.
pub(crate) fn wall_clock(cell: &[u8]) -> Option<DateTime> {
    let moment = moment(cell)?;
    if moment.offset.is_some() {
        return None;
    }
    let time = SignedDuration::from_secs(moment.time_of_day) + SignedDuration::from_micros(moment.micros);
    moment.date.at(0, 0, 0, 0).checked_add(time).ok()
}

/// A cell as a value to compare with: as it came, except that ISO dates and timestamps take the form that conditions
/// ask for.
pub(crate) fn value_to_send(cell: &[u8]) -> Value {
    let text = String::from_utf8_lossy(cell);
    if let Some(number @ Value::Number(_)) = Value::number(&text)
        && number.to_string() == text
    {
        return number;
    }
    let is_iso = cell.get(4) == Some(&b'-');
    match wall_clock(cell) {
        Some(moment) if is_iso && cell.len() == 10 => Value::Date(moment.date()),
        Some(moment) if is_iso && moment.subsec_nanosecond() == 0 => Value::DateTime(moment),
        _ => match text.parse() {
            Ok(instant) if is_iso => Value::Instant(instant),
            _ => Value::Text(text.into_owned()),
        },
    }
}
