//! Text from a client as a stored value, by the field's type.

use rusqlite::types::Value;
use serde_json::Value as Json;

use crate::catalog::{DataType, Field};
use crate::format::{Formatter, read_number};

/// Reads what a client writes: `MM/DD/YYYY`, `true`, plain decimals, labels of enums. Empty text is NULL.
///
/// # Errors
/// What does not fit the field's type.
pub fn written(field: &Field, text: &str, format: &Formatter) -> Result<Value, String> {
    let wrong = || {
        format!(
            "The value '{text}' of the field {} has an illegal format",
            field.name
        )
    };
    if text.is_empty() {
        return Ok(Value::Null);
    }
    match field.data_type {
        t if t.is_number() => match read_number(text.trim(), field.scale) {
            Some((number, false)) => Ok(Value::Integer(number)),
            // More digits than the field keeps are rounded to the nearest, as money is.
            Some((number, true)) => Ok(Value::Integer(
                number + i64::from(rounds_up(text.trim(), field.scale)),
            )),
            None => Err(wrong()),
        },
        DataType::Boolean => match text.trim() {
            "true" | "T" => Ok(Value::Integer(1)),
            "false" | "F" => Ok(Value::Integer(0)),
            _ => Err(wrong()),
        },
        DataType::Date => format.read_date(text.trim()).map(Value::Text).ok_or_else(wrong),
        DataType::Timestamp => format
            .read_instant(text.trim())
            .map(Value::Text)
            .ok_or_else(wrong),
        _ if !field.values.is_empty() && !field.values.iter().any(|(label, _)| label == text) => {
            let labels: Vec<&str> = field.values.iter().map(|(l, _)| l.as_str()).collect();
            Err(format!(
                "The value '{text}' of the field {} is none of {}",
                field.name,
                labels.join(", ")
            ))
        }
        _ => Ok(Value::Text(text.into())),
    }
}

fn rounds_up(text: &str, scale: u8) -> bool {
    // `read_number` rounds down, so the first digit cut off decides; for negative numbers the other way round.
    let digit = text
        .split_once('.')
        .and_then(|(_, f)| f.as_bytes().get(usize::from(scale)))
        .map_or(0, |d| d - b'0');
    if text.starts_with('-') {
        digit < 5
    } else {
        digit >= 5
    }
}

/// Reads what `/_sim/rows` shows: decimals as text or numbers, dates ISO, instants UTC, booleans, or 0 and 1.
///
/// # Errors
/// What does not fit the field's type.
pub fn shown(field: &Field, json: &Json) -> Result<Value, String> {
    let wrong = || format!("{}: {json} does not fit {}", field.name, field.data_type.name());
    let text = match json {
        Json::Null => return Ok(Value::Null),
        Json::Bool(b) if field.data_type == DataType::Boolean => return Ok(Value::Integer((*b).into())),
        Json::String(s) if s.is_empty() => return Ok(Value::Null),
        Json::String(s) => s.clone(),
        Json::Number(n) => n.to_string(),
        _ => return Err(wrong()),
    };
    match field.data_type {
        t if t.is_number() => match read_number(&text, field.scale) {
            Some((number, false)) => Ok(Value::Integer(number)),
            _ => Err(wrong()),
        },
        DataType::Boolean => match text.as_str() {
            "1" | "true" => Ok(Value::Integer(1)),
            "0" | "false" => Ok(Value::Integer(0)),
            _ => Err(wrong()),
        },
        DataType::Date => text
            .parse::<jiff::civil::Date>()
            .map(|d| Value::Text(d.strftime("%Y-%m-%d").to_string()))
            .map_err(|_| wrong()),
        DataType::Timestamp => text
            .parse::<jiff::civil::DateTime>()
            .map(|d| Value::Text(d.strftime("%Y-%m-%d %H:%M:%S").to_string()))
            .map_err(|_| wrong()),
        _ => Ok(Value::Text(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::format::Preferences;
    use crate::settings::Readings;

    #[test]
    fn written_values_fit_their_fields() {
        let customer = Catalog::builtin().object("CUSTOMER").unwrap();
        let format = Formatter::new(&Preferences::default(), &Readings::default(), "");
        let read = |field: &str, text: &str| written(customer.field(field).unwrap(), text, &format);
        assert_eq!(read("CREDITLIMIT", "10.005"), Ok(Value::Integer(1001)));
        assert_eq!(read("CREDITLIMIT", "-10.005"), Ok(Value::Integer(-1001)));
        assert_eq!(read("CREDITLIMIT", "-10.004"), Ok(Value::Integer(-1000)));
        assert_eq!(read("ONHOLD", "true"), Ok(Value::Integer(1)));
        assert_eq!(
            read("Signed_On", "02/29/2024"),
            Ok(Value::Text("2024-02-29".into()))
        );
        assert_eq!(read("NAME", ""), Ok(Value::Null));
        for (field, text) in [
            ("CREDITLIMIT", "1,5"),
            ("ONHOLD", "yes"),
            ("Signed_On", "2024-02-29"),
            ("STATUS", "T"),
        ] {
            assert!(read(field, text).is_err(), "{field} {text}");
        }
    }
}
