//! Lines that records own: read record by record, for each page of a scan that shows them.

use super::job;
use super::state::Received;
use crate::error::raise;
use crate::io;
use crate::plan::private::ScanPrivate;
use intacct::{Client, FieldValue, KeyKind, Page, Record};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The lines of the rows of a page, as JSON.
#[derive(Default)]
pub struct Lines {
    /// A cell for each row and each column of lines.
    rows: Vec<Vec<Option<String>>>,
}

impl Lines {
    /// Reads the lines of a page's rows; asks nobody when the scan shows none. Raises what goes wrong.
    pub fn of(plan: &ScanPrivate, client: Option<&Client>, page: &Page, received: &mut Received) -> Lines {
        let (false, Some(client), Some(key)) = (plan.lines.is_empty(), client, plan.row_key) else {
            return Lines::default();
        };
        let keys: Vec<String> = (0..page.rows())
            .filter_map(|row| page.cell(row, key.into()))
            .map(|cell| String::from_utf8_lossy(cell).into_owned())
            .collect();
        let (client, asked) = (client.clone(), keys.clone());
        let (object, docparid) = (plan.query.object.clone(), plan.query.docparid.clone());
        let meter = received.meter.clone();
        let read = move || async move {
            // Only the whole record shows its lines.
            let records = client.records(&object, KeyKind::RecordNo, &asked, &[], docparid.as_deref());
            meter.run(records).await
        };
        let records = received
            .wait(|| io::run(read))
            .unwrap_or_else(|error| raise(error));
        let field = job::selected(&plan.query, key);
        let found: HashMap<&str, &Record> = records
            .iter()
            .filter_map(|record| Some((text(record, field)?, record)))
            .collect();
        let cells = |key: &String| {
            let record = found.get(key.as_str());
            plan.lines
                .iter()
                .map(|(_, path)| record.and_then(|record| lines(record, path)))
                .collect()
        };
        Lines {
            rows: keys.iter().map(cells).collect(),
        }
    }

    /// The lines of a row, as JSON; none when it has none.
    pub fn cell(&self, row: usize, column: usize) -> Option<&[u8]> {
        self.rows.get(row)?.get(column)?.as_deref().map(str::as_bytes)
    }
}

fn text<'a>(record: &'a Record, field: &str) -> Option<&'a str> {
    match record.field(field)? {
        FieldValue::Text(text) => text.as_deref(),
        FieldValue::Lines(_) => None,
    }
}

/// The lines under a path such as `APBILLITEMS.APBILLITEM`.
fn lines(record: &Record, path: &str) -> Option<String> {
    let (collection, line) = path.rsplit_once('.')?;
    let Some(FieldValue::Lines(lines)) = record.field(collection) else {
        return None;
    };
    let lines: Vec<Value> = lines
        .iter()
        .filter(|record| record.object.eq_ignore_ascii_case(line))
        .map(|record| Value::Object(object(record)))
        .collect();
    Some(Value::Array(lines).to_string())
}

/// A line with its fields as the gateway writes them: text, whatever they mean.
fn object(record: &Record) -> Map<String, Value> {
    let value = |value: &FieldValue| match value {
        FieldValue::Text(None) => Value::Null,
        FieldValue::Text(Some(text)) => Value::String(text.clone()),
        FieldValue::Lines(lines) => lines.iter().map(|line| Value::Object(object(line))).collect(),
    };
    record
        .fields
        .iter()
        .map(|(name, field)| (name.clone(), value(field)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_an_array_of_objects() {
        let text = |text: &str| FieldValue::Text(Some(text.to_owned()));
        let line = Record {
            object: "apbillitem".into(),
            fields: vec![
                ("LINE_NO".into(), text("1")),
                ("MEMO".into(), FieldValue::Text(None)),
            ],
        };
        let bill = Record {
            object: "apbill".into(),
            fields: vec![
                ("RECORDNO".into(), text("7")),
                ("APBILLITEMS".into(), FieldValue::Lines(vec![line])),
            ],
        };
        assert_eq!(
            lines(&bill, "APBILLITEMS.APBILLITEM").as_deref(),
            Some(r#"[{"LINE_NO":"1","MEMO":null}]"#)
        );
        assert_eq!(lines(&bill, "OTHERS.OTHER"), None);
    }
}
