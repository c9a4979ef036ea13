//! What is written down of a request that writes, before it leaves: enough to look its records up later, and no value.

use super::operation::Operation;
use super::support::unique_key;
use super::{Change, Verb, WriteValue};
use crate::error::Error;
use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::ops::Range;

/// Keeps a record of what is sent, so that it outlives the process that sends. Called on the thread that sends, and
/// by the caller of the write when it gives up.
pub trait WriteLog: Send + Sync {
    /// A request is about to leave. It does not leave when this fails.
    ///
    /// # Errors
    /// Of kind [`crate::ErrorKind::NotLogged`]: the record is not safe on the disk.
    fn sending(&self, request: &LoggedRequest<'_>) -> Result<(), Error>;

    /// What became of functions, by control id, with a reason of a few words that holds no value.
    fn ended(&self, outcomes: &[(&str, WriteOutcome, &'static str)]);
}

/// What became of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteOutcome {
    /// Its records are written.
    #[serde(rename = "stored")]
    Stored,
    /// None of its records is written by it.
    #[serde(rename = "not stored")]
    NotStored,
    /// It may have been executed.
    #[serde(rename = "in doubt")]
    InDoubt,
}

impl WriteOutcome {
    /// As the log shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            WriteOutcome::Stored => "stored",
            WriteOutcome::NotStored => "not stored",
            WriteOutcome::InDoubt => "in doubt",
        }
    }
}

/// A request that is about to leave.
#[derive(Debug, Clone, Copy)]
pub struct LoggedRequest<'a> {
    /// Its functions.
    pub functions: &'a [LoggedFunction],
    /// They are executed all or none.
    pub transaction: bool,
    /// What the gateway's clock is ahead of this machine's, in milliseconds, where that is known.
    pub clock_offset: Option<i64>,
}

/// One function of a request that writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedFunction {
    /// The control id: the same in every try.
    #[serde(rename = "id")]
    pub control_id: String,
    /// Its name.
    #[serde(rename = "f")]
    pub function: String,
    /// The object.
    #[serde(rename = "o")]
    pub object: String,
    /// The transaction definition of documents.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub docparid: Option<String>,
    /// Records private to an entity are looked for as well.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub show_private: bool,
    /// What is done.
    #[serde(rename = "v")]
    pub verb: Option<Verb>,
    /// The field that names the records; none where they have no name yet.
    #[serde(rename = "kf", default, skip_serializing_if = "Option::is_none")]
    pub key_field: Option<String>,
    /// Intacct itself keeps the key unique.
    #[serde(rename = "u", default)]
    pub unique: bool,
    /// The names of the records, empty where one has none.
    #[serde(rename = "k")]
    pub keys: Vec<String>,
    /// The fields that are given values.
    #[serde(rename = "w", default)]
    pub fields: Vec<String>,
    /// For each record four characters a field, by which a value can be recognised but not found out: see
    /// `fingerprint`. Empty where a record gives values that are not compared.
    #[serde(rename = "m", default)]
    pub marks: Vec<String>,
    /// SHA-256 of the function's element.
    #[serde(rename = "h")]
    pub body_hash: String,
    /// The changes that it writes.
    #[serde(skip)]
    pub rows: Range<usize>,
}

/// The mark of a field that a record gives no value.
pub(super) const ABSENT: &str = "----";

/// What is written down of an operation.
pub(super) fn functions(operation: &Operation, bodies: &[String], changes: &[Change]) -> Vec<LoggedFunction> {
    let units = operation.functions.iter().zip(bodies);
    units
        .map(|(unit, body)| {
            let changes = &changes[unit.rows.clone()];
            let first = &changes[0];
            let target = &first.target;
            let (key_field, unique) = key_of(first);
            let keys = changes.iter().map(|change| key_in(change, key_field.as_deref()));
            let mut fields: Vec<String> = Vec::new();
            for (field, _) in changes.iter().flat_map(|change| &change.cells) {
                if !fields.contains(field) {
                    fields.push(field.clone());
                }
            }
            LoggedFunction {
                keys: keys.collect(),
                marks: changes
                    .iter()
                    .enumerate()
                    .map(|(at, change)| marks(change, &fields, &salt(&unit.control_id, at)))
                    .collect(),
                control_id: unit.control_id.clone(),
                function: unit.name.to_owned(),
                object: target.object.clone(),
                docparid: target.docparid.clone(),
                show_private: target.show_private,
                verb: Some(first.verb),
                key_field,
                unique,
                fields,
                body_hash: hex(digest(&SHA256, body.as_bytes()).as_ref()),
                rows: unit.rows.clone(),
            }
        })
        .collect()
}

/// The field that names the records of a function, and whether Intacct keeps it unique.
fn key_of(change: &Change) -> (Option<String>, bool) {
    let known = unique_key(&change.target.object);
    let is_known = |field: &str| known.is_some_and(|known| known.eq_ignore_ascii_case(field));
    match (&change.key, change.verb) {
        (Some((field, _)), _) => {
            let record = field.eq_ignore_ascii_case(&change.target.id_field);
            (Some(field.clone()), record || is_known(field))
        }
        (None, Verb::Create) => {
            let given = |field: &str| {
                let mut cells = change.cells.iter();
                cells.any(|(name, _)| name.eq_ignore_ascii_case(field))
            };
            match known.filter(|field| given(field)) {
                Some(field) => (Some(field.to_owned()), true),
                None => (change.target.natural_key.clone(), false),
            }
        }
        (None, _) => (None, false),
    }
}

fn key_in(change: &Change, field: Option<&str>) -> String {
    if let Some((_, key)) = &change.key {
        return key.clone();
    }
    let named =
        |(name, _): &&(String, WriteValue)| field.is_some_and(|field| name.eq_ignore_ascii_case(field));
    match change.cells.iter().find(named) {
        Some((_, WriteValue::Text(key))) => key.clone(),
        _ => String::new(),
    }
}

fn marks(change: &Change, fields: &[String], salt: &str) -> String {
    let mut marks = String::with_capacity(4 * fields.len());
    for field in fields {
        match change.cells.iter().find(|(name, _)| name == field) {
            None => marks.push_str(ABSENT),
            Some((_, WriteValue::Text(text))) => marks.push_str(&fingerprint(salt, field, &canonical(text))),
            Some((_, WriteValue::Empty)) => marks.push_str(&fingerprint(salt, field, "")),
            // Lines are not compared.
            Some((_, WriteValue::Lines(_))) => return String::new(),
        }
    }
    marks
}

/// What makes the marks of a record its own: equal values of two records have other marks.
pub(super) fn salt(control_id: &str, at: usize) -> String {
    format!("{control_id}/{at}")
}

/// 24 bits of a hash of a value: enough to recognise it, too few to find it out.
pub(super) fn fingerprint(salt: &str, field: &str, value: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut context = Context::new(&SHA256);
    for part in [salt, &field.to_ascii_uppercase(), value] {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    let hash = context.finish();
    let bits = hash.as_ref()[..3]
        .iter()
        .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
    (0..4)
        .map(|at| char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]))
        .collect()
}

/// One spelling of the values that the gateway spells in several ways: numbers without needless zeros, dates of a
/// request (MM/DD/YYYY) as ISO 8601, truth as `true` and `false`.
pub(super) fn canonical(text: &str) -> String {
    let text = text.trim();
    match text {
        "T" | "True" | "TRUE" => return "true".to_owned(),
        "F" | "False" | "FALSE" => return "false".to_owned(),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits.is_empty() && digits != "." && numeric(whole) && numeric(fraction) {
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let sign = if text.starts_with('-') && !(whole.is_empty() && fraction.is_empty()) {
            "-"
        } else {
            ""
        };
        let whole = if whole.is_empty() { "0" } else { whole };
        return match fraction {
            "" => format!("{sign}{whole}"),
            fraction => format!("{sign}{whole}.{fraction}"),
        };
    }
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let day = match day.split('/').collect::<Vec<_>>()[..] {
        [month, date, year]
            if month.len() == 2
                && date.len() == 2
                && year.len() == 4
                && [month, date, year].into_iter().all(numeric) =>
        {
            format!("{year}-{month}-{date}")
        }
        _ if is_iso_day(day) => day.to_owned(),
        _ => return text.to_owned(),
    };
    match time.trim_end_matches('Z') {
        "" | "00:00:00" => day,
        time => format!("{day} {time}"),
    }
}

fn is_iso_day(day: &str) -> bool {
    let bytes = day.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

#[cfg(test)]
mod tests {
    use super::super::{WriteOptions, WriteTarget, operation::operations};
    use super::*;
    use std::sync::Arc;

    #[test]
    fn spellings_of_a_value_are_one() {
        for (a, b) in [
            ("12.50", "12.5"),
            ("007", "7"),
            ("-0.0", "0"),
            ("T", "true"),
            ("02/29/2024", "2024-02-29"),
            ("02/29/2024 10:00:00", "2024-02-29T10:00:00Z"),
            ("02/29/2024 00:00:00", "2024-02-29"),
            (" x ", "x"),
        ] {
            assert_eq!(canonical(a), canonical(b), "{a} {b}");
        }
        for (a, b) in [
            ("12.5", "12.51"),
            ("-1", "1"),
            ("x", "X"),
            ("1.2.3", "1.2.30"),
            ("", "0"),
            (".", "0"),
        ] {
            assert_ne!(canonical(a), canonical(b), "{a} {b}");
        }
    }

    #[test]
    fn a_record_is_named_and_marked_and_its_values_are_not_there() {
        let target = Arc::new(WriteTarget::new("CUSTOMER"));
        let text = |text: &str| WriteValue::Text(text.into());
        let change = |id: &str, cells: &[(&str, WriteValue)]| Change {
            target: Arc::clone(&target),
            verb: Verb::Create,
            key: None,
            cells: [("CUSTOMERID".to_owned(), text(id))]
                .into_iter()
                .chain(
                    cells
                        .iter()
                        .map(|(field, value)| ((*field).to_owned(), value.clone())),
                )
                .collect(),
        };
        let changes = [
            change("A", &[("NAME", text("Confidential Ltd"))]),
            change("B", &[("CREDITLIMIT", text("1.50"))]),
        ];
        let operations = operations(&changes, &WriteOptions::default()).expect("writable");
        let logged = functions(&operations[0], &["<create/>".to_owned()], &changes);
        let [logged] = logged.as_slice() else {
            panic!("{logged:?}")
        };
        assert_eq!(
            (logged.key_field.as_deref(), logged.unique),
            (Some("CUSTOMERID"), true)
        );
        assert_eq!(logged.keys, ["A", "B"]);
        assert_eq!(logged.fields, ["CUSTOMERID", "NAME", "CREDITLIMIT"]);
        assert_eq!(logged.marks[0].len(), 12);
        assert!(logged.marks[0].ends_with(ABSENT) && &logged.marks[1][4..8] == ABSENT);
        let mark = fingerprint(&salt(&logged.control_id, 1), "creditlimit", &canonical("1.5"));
        assert_eq!(&logged.marks[1][8..], mark);
        assert_eq!(logged.body_hash.len(), 64);
        let written = serde_json::to_string(logged).expect("serializable");
        assert!(!written.contains("Confidential"), "{written}");
        let read: LoggedFunction = serde_json::from_str(&written).expect("readable");
        assert_eq!(
            read,
            LoggedFunction {
                rows: 0..0,
                ..logged.clone()
            }
        );
    }
}
