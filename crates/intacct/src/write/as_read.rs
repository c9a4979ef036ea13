//! Lines as they were read, made ready to be written: a line that carries its RECORDNO came from the gateway, with fields
//! that it makes itself. A field of any other line comes from the statement, and is never left out without an error.

use super::legacy::{self, Function};
use super::lines::Cell;
use super::{Change, WriteValue};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The field that numbers a line.
const RECORD: &str = "RECORDNO";

/// The changes without what the gateway makes of their lines; none where no line was read. Fails with the position of
/// a change.
pub(super) async fn without_made(
    client: &Client,
    changes: &[Change],
) -> Result<Option<Vec<Change>>, (usize, Error)> {
    let mut out: Option<Vec<Change>> = None;
    for (at, change) in changes.iter().enumerate() {
        for (place, (path, value)) in change.cells.iter().enumerate() {
            let WriteValue::Lines(value) = value else { continue };
            if !holds_read(value) {
                continue;
            }
            let made = made(client, change, path, value)
                .await
                .map_err(|error| (at, error))?;
            let changes = out.get_or_insert_with(|| changes.to_vec());
            changes[at].cells[place].1 = WriteValue::Lines(stripped(value, &made));
        }
    }
    Ok(out)
}

/// The fields of read lines that are not written, in upper case.
async fn made(
    client: &Client,
    change: &Change,
    path: &str,
    value: &Value,
) -> Result<BTreeSet<String>, Error> {
    let line = path.rsplit('.').next().unwrap_or(path);
    let known = match client.definition(line, change.target.docparid.as_deref()).await {
        Ok(known) => known,
        Err(error) if *error.kind() == ErrorKind::UnknownObject => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let named = |fields: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
        let fields = known.fields.iter().filter(|field| fields(&field.id));
        fields.map(|field| field.id.to_uppercase()).collect()
    };
    let read_only: BTreeSet<&str> = known
        .fields
        .iter()
        .filter(|field| field.read_only)
        .map(|field| field.id.as_str())
        .collect();
    let mut made = named(&|id| read_only.contains(id));
    let function = super::function(&change.target.object, change.verb)?;
    if let Some(legacy) = legacy::find(function) {
        let custom: BTreeSet<&str> = known
            .fields
            .iter()
            .filter(|field| field.custom)
            .map(|field| field.id.as_str())
            .collect();
        let left = leftovers(legacy, path, &stripped(value, &made))?;
        made.extend(named(&|id| {
            left.contains(&id.to_uppercase()) && !custom.contains(id)
        }));
    }
    Ok(made)
}

/// The fields of lines that a legacy function has no element for.
fn leftovers(legacy: &Function, path: &str, value: &Value) -> Result<BTreeSet<String>, Error> {
    let cells: [Cell; 1] = [(path.to_owned(), WriteValue::Lines(value.clone()))];
    let left = legacy.leftovers(&cells)?.into_iter();
    Ok(left
        .filter(|(_, field)| !field.eq_ignore_ascii_case(path))
        .map(|(_, field)| field.to_uppercase())
        .collect())
}

/// Whether a line of them was read.
fn holds_read(value: &Value) -> bool {
    match value {
        Value::Array(lines) => lines.iter().any(|line| line.as_object().is_some_and(is_read)),
        Value::Object(line) => is_read(line),
        _ => false,
    }
}

fn is_read(line: &Map<String, Value>) -> bool {
    line.iter()
        .any(|(name, value)| name.eq_ignore_ascii_case(RECORD) && !value.is_null())
}

/// Lines without those fields, and without their numbers, where they were read.
fn stripped(value: &Value, made: &BTreeSet<String>) -> Value {
    match value {
        Value::Array(lines) => lines.iter().map(|line| stripped(line, made)).collect(),
        Value::Object(line) => {
            let read = is_read(line);
            let kept = line.iter().filter(|(name, _)| {
                let name = name.to_uppercase();
                !read || (name != RECORD && !made.contains(&name))
            });
            let kept = kept.map(|(name, value)| {
                let inner = match value {
                    Value::Array(_) => stripped(value, made),
                    other => other.clone(),
                };
                (name.clone(), inner)
            });
            Value::Object(kept.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_lines_that_were_read_lose_fields() {
        let made = BTreeSet::from(["ACCOUNTTITLE".to_owned()]);
        let line = json!({"AMOUNT": "1.50", "ACCOUNTTITLE": "Cash"});
        let read = json!({"RECORDNO": "7", "AMOUNT": "1.50", "accounttitle": "Cash",
            "TAXENTRIES": [{"RECORDNO": "8", "DETAILID": "A"}]});
        assert!(!holds_read(&line) && !holds_read(&json!([line])) && holds_read(&json!([line, read])));
        assert_eq!(
            stripped(&json!([line, read]), &made),
            json!([line, {"AMOUNT": "1.50", "TAXENTRIES": [{"DETAILID": "A"}]}])
        );
    }
}
