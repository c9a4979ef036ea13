//! Lines that records own: read record by record, for each page of a scan that shows them.

use super::job;
use super::stats::ScanStats;
use crate::error::{Report, raise};
use crate::io;
use crate::private::ScanPrivate;
use intacct::{Client, DialectKind, FieldValue, KeyKind, Page, Record};
use pgrx::PgSqlErrorCode;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The lines of the rows of a page, as JSON.
#[derive(Default)]
pub struct Lines {
    /// For each row of the page, a cell for each column of lines.
    rows: Vec<Vec<Option<String>>>,
}

impl Lines {
    /// Reads the lines of a page's rows; sends no request when the scan shows none. Raises what goes wrong.
    pub fn of(plan: &ScanPrivate, client: Option<&Client>, page: &Page, received: &mut ScanStats) -> Lines {
        let (false, Some(client), Some(key)) = (plan.lines.is_empty(), client, plan.row_key) else {
            return Lines::default();
        };
        let reading = Reading {
            plan,
            company: &client.config().company_id,
            field: job::selected(&plan.query, key),
        };
        let keys: Vec<String> = (0..page.rows())
            .map(|row| match page.cell(row, key.into()) {
                Some(cell) => String::from_utf8_lossy(cell).into_owned(),
                None => reading.without_key(),
            })
            .collect();
        let mut asked = keys.clone();
        asked.sort_unstable();
        asked.dedup();
        let (client, kind) = (client.clone(), reading.key_kind());
        let (object, docparid) = (plan.query.object.clone(), plan.query.docparid.clone());
        let meter = received.meter.clone();
        let read = move || async move {
            // Only the whole record shows its lines.
            let records = client.records(&object, kind, &asked, &[], docparid.as_deref());
            meter.run(records).await
        };
        let records = received
            .wait(|| io::run(read))
            .unwrap_or_else(|error| raise(error));
        let mut found: HashMap<&str, &Record> = HashMap::with_capacity(records.len());
        for record in &records {
            if let Some(key) = text(record, reading.field)
                && found.insert(key, record).is_some()
            {
                reading.not_one(key, "several records");
            }
        }
        let cells = |key: &String| {
            let Some(record) = found.get(key.as_str()) else {
                reading.not_one(key, "no record");
            };
            let paths = plan.lines.iter();
            paths.map(|(_, path)| reading.lines(record, key, path)).collect()
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

/// Whose lines are read, and by which field.
struct Reading<'a> {
    plan: &'a ScanPrivate,
    company: &'a str,
    /// The row key.
    field: &'a str,
}

impl Reading<'_> {
    /// How records are addressed by the row key: `read` takes record numbers only.
    fn key_kind(&self) -> KeyKind {
        let is_number = ["RECORDNO", "id"]
            .iter()
            .any(|number| self.field.eq_ignore_ascii_case(number));
        if is_number {
            KeyKind::RecordNo
        } else {
            KeyKind::Name
        }
    }

    /// The lines under a path such as `APBILLITEMS.APBILLITEM`.
    fn lines(&self, record: &Record, key: &str, path: &str) -> Option<String> {
        let (collection, line) = path.rsplit_once('.')?;
        let lines = match record.field(collection) {
            Some(FieldValue::Lines(lines)) => lines,
            Some(FieldValue::Text(_)) => return None,
            // 2.1 shows what there is.
            None if self.plan.dialect == DialectKind::GetList || self.plan.query.missing_as_null => {
                return None;
            }
            None => raise(
                self.report(
                    PgSqlErrorCode::ERRCODE_FDW_ERROR,
                    format!(
                        "lines {collection} of {} are missing in the gateway's response",
                        self.plan.query.object
                    ),
                    Some(key),
                )
                .hint(
                    "Where this company's gateway leaves out the elements of empty fields, set the table option \
                     missing_elements to 'null'; lines are only shown of records that are read by their number.",
                ),
            ),
        };
        Some(array(lines, line))
    }

    fn without_key(&self) -> ! {
        raise(
            self.report(
                PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
                format!(
                    "null value in row key {} of {}: cannot read its lines",
                    self.field, self.plan.query.object
                ),
                None,
            )
            .hint("Set the table's row_key to a field that every row has, or leave out the column of lines."),
        )
    }

    /// Between a page and its lines records may have been deleted; what is there is not taken for another's.
    fn not_one(&self, key: &str, how_many: &str) -> ! {
        raise(
            self.report(
                PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
                format!(
                    "{how_many} of {} with {} {key} when lines were read",
                    self.plan.query.object, self.field
                ),
                Some(key),
            )
            .hint(
                "The record may have been deleted meanwhile: run the statement again. If it goes on, set the table's \
                 row_key to a field that is unique.",
            ),
        )
    }

    fn report(&self, code: PgSqlErrorCode, message: String, key: Option<&str>) -> Report {
        let row = key.map_or_else(String::new, |key| format!(", {} {key}", self.field));
        Report::new(code, message).detail(format!(
            "Company \"{}\", object \"{}\"{row}.",
            self.company, self.plan.query.object
        ))
    }
}

fn text<'a>(record: &'a Record, field: &str) -> Option<&'a str> {
    match record.field(field)? {
        FieldValue::Text(text) => text.as_deref(),
        FieldValue::Lines(_) => None,
    }
}

/// The lines of one object, as a JSON array.
fn array(lines: &[Record], object_name: &str) -> String {
    let lines = lines
        .iter()
        .filter(|record| record.object.eq_ignore_ascii_case(object_name));
    lines
        .map(|record| Value::Object(object(record)))
        .collect::<Value>()
        .to_string()
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
        let line = |object: &str, number: &str| Record {
            object: object.into(),
            fields: vec![
                ("LINE_NO".into(), text(number)),
                ("MEMO".into(), FieldValue::Text(None)),
            ],
        };
        let lines = [
            line("apbillitem", "1"),
            line("taxentry", "2"),
            line("APBILLITEM", "3"),
        ];
        assert_eq!(
            array(&lines, "APBILLITEM"),
            r#"[{"LINE_NO":"1","MEMO":null},{"LINE_NO":"3","MEMO":null}]"#
        );
        assert_eq!(array(&lines, "OTHER"), "[]");
    }
}
