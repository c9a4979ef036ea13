//! Owned lines as JSON, flattened to fields.

use super::WriteValue;
use crate::error::{Error, ErrorKind};
use crate::query::Value as Constant;
use serde_json::{Map, Value};

/// A field path and what is written there.
pub(super) type Cell = (String, WriteValue);

/// The lines that a value holds: an array of objects, or one object.
pub(super) fn lines<'a>(field: &str, value: &'a Value) -> Result<Vec<&'a Map<String, Value>>, Error> {
    let refuse = || {
        let message = format!("the lines in {field} are not a JSON array of objects");
        Error::new(ErrorKind::Unsupported, message)
            .with_hint("Write lines like '[{\"ACCOUNTNO\": \"4000\", \"AMOUNT\": 100.00}]'.")
    };
    match value {
        Value::Object(line) => Ok(vec![line]),
        Value::Array(all) => all
            .iter()
            .map(|line| line.as_object().ok_or_else(refuse))
            .collect(),
        _ => Err(refuse()),
    }
}

/// The fields of a line by their paths. Lists inside become lines again; NULL is left out, since a line is written new.
pub(super) fn cells(line: &Map<String, Value>) -> Result<Vec<Cell>, Error> {
    let mut out = Vec::new();
    flatten(line, "", &mut out)?;
    Ok(out)
}

/// Fails where a line holds no value.
pub(super) fn check(path: &str, value: &Value) -> Result<(), Error> {
    for (number, line) in (1..).zip(lines(path, value)?) {
        if cells(line)?.is_empty() {
            let message = format!("line {number} in {path} holds no value");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("Leave the line out, or give its fields values."));
        }
    }
    Ok(())
}

fn flatten(object: &Map<String, Value>, prefix: &str, out: &mut Vec<Cell>) -> Result<(), Error> {
    for (name, value) in object {
        let path = format!("{prefix}{name}");
        let text = match value {
            Value::Null => continue,
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => match Constant::number(&number.to_string()) {
                Some(Constant::Number(digits)) => digits,
                _ => {
                    let message = format!("the number {number} in {path} cannot be written as a decimal");
                    return Err(Error::new(ErrorKind::Unsupported, message));
                }
            },
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => date(&path, text).unwrap_or_else(|| text.clone()),
            Value::Object(inner) => {
                flatten(inner, &format!("{path}."), out)?;
                continue;
            }
            Value::Array(_) => {
                out.push((path, WriteValue::Lines(value.clone())));
                continue;
            }
        };
        out.push((path, WriteValue::Text(text)));
    }
    Ok(())
}

/// A date in ISO form under a name of a date, as the gateway reads it. JSON has no dates, and the types of lines are
/// not at hand: the name decides, so that a text that looks like a date is left alone.
fn date(path: &str, text: &str) -> Option<String> {
    is_date_name(path.rsplit('.').next()?)
        .then(|| us_date(text))
        .flatten()
}

fn is_date_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.ends_with("DATE") || name.starts_with("WHEN")
}

/// Whether lines hold a day that is written in the user's date format.
pub fn holds_dates(lines: &Value) -> bool {
    let named = |name: &str, text: &str| {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        date(name, text).is_some() || (is_date_name(name) && digits >= 4)
    };
    match lines {
        Value::Array(all) => all.iter().any(holds_dates),
        Value::Object(line) => line.iter().any(|(name, value)| match value {
            Value::String(text) => named(name, text),
            other => holds_dates(other),
        }),
        _ => false,
    }
}

/// `YYYY-MM-DD` as `MM/DD/YYYY`.
pub(super) fn us_date(text: &str) -> Option<String> {
    let date: jiff::civil::Date = text.parse().ok()?;
    if date.to_string() != text {
        return None;
    }
    Some(Constant::Date(date).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_become_fields() {
        let value = json!([{"ACCOUNTNO": "4000", "AMOUNT": 100.50, "BILLABLE": true, "MEMO": null, "NOTE": "",
            "ENTRY_DATE": "2024-02-29", "ENTRYDESCRIPTION": "2024-02-29", "BIG": 1e3,
            "SHIPTO": {"CONTACTNAME": "x"}, "TAXENTRIES": {"TAXENTRY": [{"DETAILID": "A"}]}}]);
        let lines = lines("L", &value).expect("lines");
        let cells = cells(lines[0]).expect("cells");
        let text = |name: &str| match cells.iter().find(|(path, _)| path == name) {
            Some((_, WriteValue::Text(text))) => Some(text.as_str()),
            _ => None,
        };
        assert_eq!(text("AMOUNT"), Some("100.5"));
        assert_eq!(text("BILLABLE"), Some("true"));
        assert_eq!(text("ENTRY_DATE"), Some("02/29/2024"));
        assert_eq!(text("ENTRYDESCRIPTION"), Some("2024-02-29"));
        assert_eq!(text("BIG"), Some("1000"));
        assert_eq!(text("SHIPTO.CONTACTNAME"), Some("x"));
        assert_eq!((text("MEMO"), text("NOTE")), (None, None));
        let nested = cells.iter().find(|(path, _)| path == "TAXENTRIES.TAXENTRY");
        assert!(matches!(nested, Some((_, WriteValue::Lines(_)))), "{cells:?}");
    }

    #[test]
    fn numbers_keep_all_their_digits() {
        for (json, expected) in [
            ("999999999999999.99", "999999999999999.99"),
            (
                "-12345678901234567890.123456789",
                "-12345678901234567890.123456789",
            ),
            (
                "0.1000000000000000055511151231257827",
                "0.1000000000000000055511151231257827",
            ),
            ("1.10", "1.1"),
            ("9007199254740993", "9007199254740993"),
        ] {
            let value: Value = serde_json::from_str(&format!(r#"[{{"AMOUNT": {json}}}]"#)).expect("JSON");
            let cells = cells(lines("L", &value).expect("lines")[0]).expect("cells");
            assert_eq!(
                cells,
                [("AMOUNT".to_owned(), WriteValue::Text(expected.to_owned()))]
            );
        }
    }

    #[test]
    fn dates_are_found_by_their_names() {
        for (value, expected) in [
            (json!([{"ENTRY_DATE": "2024-02-29"}]), true),
            (json!([{"ENTRY_DATE": "02/29/2024"}]), true),
            (json!({"TAXENTRIES": [{"WHENDUE": "2024-02-29"}]}), true),
            (json!([{"MEMO": "2024-02-29", "ENTRY_DATE": null}]), false),
        ] {
            assert_eq!(holds_dates(&value), expected, "{value}");
        }
    }

    #[test]
    fn other_json_is_refused() {
        for value in [json!("x"), json!([1]), json!(null)] {
            let error = lines("ENTRIES.GLENTRY", &value).expect_err("not lines");
            assert_eq!(
                error.to_string(),
                "the lines in ENTRIES.GLENTRY are not a JSON array of objects"
            );
        }
    }

    #[test]
    fn a_line_without_a_value_is_refused() {
        for value in [json!({}), json!([{"AMOUNT": 1}, {"AMOUNT": null, "MEMO": ""}])] {
            assert!(check("ENTRIES.GLENTRY", &value).is_err(), "{value}");
        }
        check("ENTRIES.GLENTRY", &json!([])).expect("no lines are no empty ones");
    }
}
