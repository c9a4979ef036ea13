//! Constants as typed become constants of their field's type.

use super::names::Names;
use crate::error::{Error, ErrorKind};
use crate::formatting::GatewayZone;
use crate::query::{Condition, Value};
use crate::schema::Class;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

/// Gives each constant the type of the field that it is compared with.
///
/// Fails with [`ErrorKind::Cell`] for a constant that is not of the type, and with [`ErrorKind::Unsupported`] for
/// a comparison that makes no sense.
pub(super) fn coerce(condition: &mut Condition, names: &Names) -> Result<(), Error> {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => {
            for part in parts {
                coerce(part, names)?;
            }
            Ok(())
        }
        Condition::IsNull { .. } => Ok(()),
        Condition::CompareFields { left, right, .. } => {
            let (left_type, right_type) = (names.type_of(left), names.type_of(right));
            if Class::of(&left_type) == Class::of(&right_type) {
                return Ok(());
            }
            Err(unsupported(format!(
                "field {left} ({}) cannot be compared with field {right} ({})",
                left_type.name(),
                right_type.name()
            )))
        }
        Condition::Compare { field, value, .. } => coerce_value(field, value, names),
        Condition::Between { field, low, high } => {
            coerce_value(field, low, names)?;
            coerce_value(field, high, names)
        }
        Condition::In { field, values, .. } => {
            for value in values {
                coerce_value(field, value, names)?;
            }
            Ok(())
        }
        Condition::Like { field, pattern, .. } => {
            let data_type = names.type_of(field);
            if Class::of(&data_type) != Class::Text {
                return Err(unsupported(format!(
                    "field {field} is {}, and \"like\" is for text",
                    data_type.name()
                )));
            }
            *pattern = Value::Text(plain(pattern));
            Ok(())
        }
    }
}

/// Whether the condition compares with readings of the gateway's clock.
pub(super) fn has_readings(condition: &Condition) -> bool {
    let values = condition.values();
    values.iter().any(|value| matches!(value, Value::DateTime(_)))
}

/// Makes points in time of readings of the gateway's clock, as the reader of cells does.
pub(super) fn place(condition: &mut Condition, zone: &GatewayZone) {
    let placed = |value: &mut Value| {
        if let Value::DateTime(reading) = value
            && let Some(instant) = zone.instant(*reading)
        {
            *value = Value::Instant(instant);
        }
    };
    match condition {
        Condition::And(parts) | Condition::Or(parts) => {
            for part in parts {
                place(part, zone);
            }
        }
        Condition::Compare { value, .. } => placed(value),
        Condition::Between { low, high, .. } => {
            placed(low);
            placed(high);
        }
        Condition::In { values, .. } => values.iter_mut().for_each(placed),
        Condition::CompareFields { .. } | Condition::Like { .. } | Condition::IsNull { .. } => {}
    }
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

/// The text of a constant, without the quotes that its printed form may have.
fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

fn coerce_value(field: &str, value: &mut Value, names: &Names) -> Result<(), Error> {
    if let Value::Param(number) = value {
        return Err(
            Error::new(ErrorKind::Syntax, format!("parameter ${number} has no value"))
                .with_hint("Write the value into the statement, text between quotes."),
        );
    }
    let data_type = names.type_of(field);
    let typed: &Value = value;
    let wrong = |expected: &str| {
        let message = format!(
            "field {field} is {}, and {typed} is not {expected}",
            data_type.name()
        );
        let hint = "Write 24 or -3.50 for numbers, true or false for booleans, 10/22/2010 or 2010-10-22 for dates, \
                    and 10/22/2010 08:30:00 or 2010-10-22T08:30:00Z for timestamps.";
        Err(Error::new(ErrorKind::Cell, message).with_hint(hint))
    };
    let coerced = match Class::of(&data_type) {
        Class::Text => Some(Value::Text(plain(typed))),
        Class::Number => match typed {
            Value::Number(_) => Some(typed.clone()),
            Value::Text(text) => Value::number(text.trim()),
            _ => return wrong("a number"),
        },
        Class::Boolean => match typed {
            Value::Boolean(_) => Some(typed.clone()),
            Value::Text(text) => truth(text.trim()).map(Value::Boolean),
            _ => return wrong("a boolean"),
        },
        Class::Date => match typed {
            Value::Date(_) => Some(typed.clone()),
            Value::DateTime(moment) if moment.time() == jiff::civil::Time::midnight() => {
                Some(Value::Date(moment.date()))
            }
            Value::Text(text) => date(text.trim()).map(Value::Date),
            _ => return wrong("a date"),
        },
        Class::Moment => match typed {
            Value::DateTime(_) | Value::Instant(_) => Some(typed.clone()),
            Value::Date(date) => Some(Value::DateTime(date.at(0, 0, 0, 0))),
            Value::Text(text) => moment(text.trim()),
            _ => return wrong("a timestamp"),
        },
    };
    match coerced {
        Some(coerced) => {
            *value = coerced;
            Ok(())
        }
        None => wrong(match Class::of(&data_type) {
            Class::Number => "a number",
            Class::Boolean => "a boolean",
            Class::Date => "a date",
            _ => "a timestamp",
        }),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" => Some(true),
        "false" | "f" => Some(false),
        _ => None,
    }
}

/// `2010-10-22`, `10/22/2010` or `1/2/2010`.
fn date(text: &str) -> Option<Date> {
    if let Some((month, rest)) = text.split_once('/') {
        let (day, year) = rest.split_once('/')?;
        let four_digits = year.len() == 4;
        return four_digits
            .then(|| Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok())?;
    }
    let is_iso = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    is_iso.then(|| text.parse().ok())?
}

/// A date and perhaps a time: on the gateway's clock, or in time where an offset stands behind it.
fn moment(text: &str) -> Option<Value> {
    if let Some(date) = date(text) {
        return Some(Value::DateTime(date.at(0, 0, 0, 0)));
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(Value::Instant(instant));
    }
    let (day, time) = text.split_once([' ', 'T'])?;
    let time = time.parse::<jiff::civil::Time>().ok()?;
    Some(Value::DateTime(DateTime::from_parts(date(day)?, time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil;

    #[test]
    fn dates_and_times_are_read_in_both_spellings() {
        let day = civil::date(2010, 1, 2);
        for text in ["2010-01-02", "01/02/2010", "1/2/2010"] {
            assert_eq!(date(text), Some(day), "{text}");
        }
        for text in [
            "1/2/10",
            "2010-1-2",
            "2010-02-30",
            "x/y/2010",
            "",
            "2010-01-02 00:00",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
        for text in ["2010-01-02 08:30:00", "1/2/2010 08:30", "2010-01-02T08:30:00"] {
            assert_eq!(moment(text), Some(Value::DateTime(day.at(8, 30, 0, 0))), "{text}");
        }
        let instant = "2010-01-02T07:30:00Z".parse().expect("an instant");
        assert_eq!(moment("2010-01-02T08:30:00+01:00"), Some(Value::Instant(instant)));
        assert_eq!(moment("soon"), None);
    }
}
