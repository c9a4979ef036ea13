//! Cells as JSON.

use crate::formatting::{CellError, CellReader};
use crate::query::Value;
use crate::schema::{Class, DataType};
use jiff::Timestamp;
use std::fmt::Write;

/// Appends a cell as its type says: numbers and booleans as such, dates `2024-01-31`, timestamps
/// `2024-01-31T08:00:00+00:00`, text quoted, nothing as null.
pub(crate) fn push_cell(
    out: &mut String,
    data_type: &DataType,
    cell: Option<&[u8]>,
    reader: &CellReader,
) -> Result<(), CellError> {
    let Some(cell) = cell else {
        out.push_str("null");
        return Ok(());
    };
    // Writing to a String cannot fail.
    let _ = match Class::of(data_type) {
        Class::Boolean => write!(out, "{}", reader.boolean(cell)?),
        Class::Date => write!(out, "\"{}\"", reader.date(cell)?),
        Class::Moment => {
            push_moment(out, reader.timestamp(cell)?);
            Ok(())
        }
        Class::Number if data_type.is_integer() => write!(out, "{}", reader.integer(cell)?),
        Class::Number => {
            out.push_str(&number(cell)?);
            Ok(())
        }
        Class::Text => {
            push_text(out, &String::from_utf8_lossy(cell));
            Ok(())
        }
    };
    Ok(())
}

/// Appends text between quotes.
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() && u32::from(control) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Microseconds since 1970 as a quoted ISO timestamp at Greenwich, with a fraction only where there is one.
fn push_moment(out: &mut String, micros: i64) {
    match Timestamp::from_microsecond(micros) {
        Ok(instant) => {
            let text = instant.to_string();
            let _ = write!(out, "\"{}+00:00\"", text.strip_suffix('Z').unwrap_or(&text));
        }
        Err(_) => out.push_str("null"),
    }
}

/// A decimal as JSON spells numbers: the gateway's own digits where they are such a number.
pub(crate) fn number(cell: &[u8]) -> Result<String, CellError> {
    let text = String::from_utf8_lossy(cell);
    if is_json_number(&text) {
        return Ok(text.into_owned());
    }
    match Value::number(&text) {
        Some(Value::Number(digits)) => Ok(digits),
        _ => Err(CellError {
            expected: "a decimal number",
            found: text.chars().take(80).collect(),
        }),
    }
}

fn is_json_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formatting::UserFormatting;

    fn json(data_type: DataType, cell: &str) -> Result<String, CellError> {
        let formatting = UserFormatting {
            locale: "en_US.UTF-8".into(),
            date_format: "/mdY".into(),
            gmt_offset_seconds: -3600,
            clock: 24,
        };
        let mut out = String::new();
        let cell = (!cell.is_empty()).then_some(cell.as_bytes());
        push_cell(&mut out, &data_type, cell, &CellReader::new(&formatting, None)).map(|()| out)
    }

    #[test]
    fn cells_have_the_type_of_their_field() {
        for (data_type, cell, expected) in [
            (DataType::Text, "a \"b\"\\\n\u{1}é", r#""a \"b\"\\\n\u0001é""#),
            (DataType::Enum, "Partially Paid", r#""Partially Paid""#),
            (DataType::Integer, "12.0", "12"),
            (DataType::Currency, "1679615.93", "1679615.93"),
            (DataType::Decimal, "3.50", "3.50"),
            (DataType::Decimal, ".5", "0.5"),
            (DataType::Percent, "007", "7"),
            (DataType::Decimal, "-1e2", "-100"),
            (DataType::Boolean, "T", "true"),
            (DataType::Date, "01/31/2024", r#""2024-01-31""#),
            (
                DataType::Timestamp,
                "01/31/2024 23:30:00",
                r#""2024-02-01T00:30:00+00:00""#,
            ),
            (
                DataType::Timestamp,
                "2024-01-31T08:00:00.5Z",
                r#""2024-01-31T08:00:00.5+00:00""#,
            ),
            (DataType::Other("RECORDNO".into()), "7", "7"),
            (DataType::Other("BLOB".into()), "7", "\"7\""),
            (DataType::Date, "", "null"),
        ] {
            assert_eq!(json(data_type, cell).as_deref(), Ok(expected), "{cell}");
        }
        for (data_type, cell) in [
            (DataType::Integer, "x"),
            (DataType::Decimal, "1,000"),
            (DataType::Boolean, "maybe"),
            (DataType::Date, "31/12/2024"),
        ] {
            assert!(json(data_type, cell).is_err(), "{cell}");
        }
    }

    #[test]
    fn what_is_written_is_json() {
        let text: String = (0..0x250).filter_map(char::from_u32).collect();
        let mut out = String::new();
        push_text(&mut out, &text);
        assert_eq!(serde_json::from_str::<String>(&out).expect("JSON"), text);
    }
}
