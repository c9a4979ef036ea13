//! What became of changes whose answer was lost, found out by reading.
//!
//! A created record is looked for by its unique natural key, an updated or deleted one by the key that addressed it.
//! What is found is compared with what was sent, so that a record of somebody else under the same key, or one that was
//! there before, is not taken for ours.

use super::{Change, Verb, WriteTarget, WriteValue};
use crate::client::Client;
use crate::dialect::{DialectKind, PageRequest};
use crate::error::{Error, ErrorKind};
use crate::formatting::CellReader;
use crate::query::{Condition, Query, SelectItem, Value};
use std::collections::HashMap;
use std::ops::Range;

/// Keys of one question. The gateway takes up to 1000.
const MAX_KEYS: usize = 500;

/// Rows of one answer: more than keys asked for means that the key is not unique.
const PAGE: PageRequest = PageRequest {
    size: 2000,
    offset: 0,
};

/// What reading tells of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// The record is as the change leaves it; these are its keys.
    Done(Vec<(String, String)>),
    /// The record is as before: not there, not changed, or not gone.
    Untouched,
    /// A record with the key is there, with other values.
    Other,
    /// Nothing can be said.
    Unclear,
}

/// Records found, by key.
pub(super) struct Found {
    fields: Vec<String>,
    records: HashMap<String, Vec<Vec<Option<String>>>>,
}

impl Found {
    /// The records under a key; cells in the order of the fields.
    fn under(&self, key: &str) -> &[Vec<Option<String>>] {
        self.records.get(key.trim()).map_or(&[], Vec::as_slice)
    }

    fn position(&self, field: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|name| name.eq_ignore_ascii_case(field))
    }

    /// The value of a field of the only record under a key.
    pub(super) fn value(&self, key: &str, field: &str) -> Option<&str> {
        let [record] = self.under(key) else { return None };
        record[self.position(field)?].as_deref()
    }

    /// Whether exactly one record is under the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.under(key).len() == 1
    }

    /// Whether the field could be read at all.
    pub(super) fn reads(&self, field: &str) -> bool {
        self.position(field).is_some()
    }
}

/// Reads fields of records by a key field. Fields that cannot be queried are left out of what is found.
pub(super) async fn fetch(
    client: &Client,
    target: &WriteTarget,
    key_field: &str,
    keys: &[&str],
    fields: &[&str],
    need_formatting: bool,
) -> Result<Found, Error> {
    let mut names: Vec<String> = vec![key_field.to_owned()];
    for field in fields {
        if !names.iter().any(|name| name.eq_ignore_ascii_case(field)) {
            names.push((*field).to_owned());
        }
    }
    let mut records: HashMap<String, Vec<Vec<Option<String>>>> = HashMap::new();
    for keys in keys.chunks(MAX_KEYS) {
        let page = loop {
            let query = question(target, key_field, keys, &names);
            match client
                .page(&query, DialectKind::Query, &PAGE, need_formatting)
                .await
            {
                Ok(page) => break page,
                Err(error) => names = without_unreadable(error, &names)?,
            }
        };
        if page.remaining.is_some_and(|remaining| remaining > 0) {
            let message = format!("{key_field} is not unique in {}", target.object);
            return Err(Error::new(ErrorKind::Refused, message).of_object(&target.object));
        }
        for row in 0..page.rows() {
            let cell = |column| {
                page.cell(row, column)
                    .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            };
            let record: Vec<Option<String>> = (0..names.len()).map(cell).collect();
            let key = record[0].clone().unwrap_or_default();
            records.entry(key.trim().to_owned()).or_default().push(record);
        }
    }
    Ok(Found {
        fields: names,
        records,
    })
}

fn question(target: &WriteTarget, key_field: &str, keys: &[&str], names: &[String]) -> Query {
    Query {
        docparid: target.docparid.clone(),
        select: names.iter().cloned().map(SelectItem::Field).collect(),
        filter: Some(Condition::In {
            field: key_field.to_owned(),
            values: keys.iter().map(|key| Value::Text((*key).to_owned())).collect(),
            negated: false,
        }),
        show_private: target.show_private,
        ..Query::new(&target.object)
    }
}

/// The names without those that the gateway does not let be queried: some fields are only for writing.
fn without_unreadable(error: Error, names: &[String]) -> Result<Vec<String>, Error> {
    let ErrorKind::UnknownFields(unknown) = error.kind() else {
        return Err(error);
    };
    let refused = |name: &String| unknown.iter().any(|field| field.eq_ignore_ascii_case(name));
    if names.first().is_none_or(refused) || !names.iter().any(refused) {
        return Err(error);
    }
    Ok(names.iter().filter(|name| !refused(name)).cloned().collect())
}

/// Changes that are looked for by one question.
struct Question<'a> {
    target: &'a WriteTarget,
    verb: Verb,
    key_field: &'a str,
    /// Positions of the changes and their keys.
    rows: Vec<(usize, &'a str)>,
}

/// Looks for changes; one answer for each of `rows`.
pub(super) async fn look(
    client: &Client,
    changes: &[Change],
    rows: Range<usize>,
) -> Result<Vec<Seen>, Error> {
    let start = rows.start;
    let mut seen = vec![Seen::Unclear; rows.len()];
    for question in questions(changes, rows) {
        let fields = fields(changes, &question);
        let keys: Vec<&str> = question.rows.iter().map(|(_, key)| *key).collect();
        let compares = question.verb != Verb::Delete;
        let found = fetch(
            client,
            question.target,
            question.key_field,
            &keys,
            &fields,
            compares,
        )
        .await?;
        let reader = client
            .known_formatting()
            .map(|formatting| CellReader::new(&formatting, client.config().time_zone.as_ref()));
        for (row, key) in question.rows {
            seen[row - start] = judge(&changes[row], key, &found, reader.as_ref());
        }
    }
    Ok(seen)
}

/// The changes that can be looked for. Two under one key cannot be told apart.
fn questions(changes: &[Change], rows: Range<usize>) -> Vec<Question<'_>> {
    let mut questions: Vec<Question<'_>> = Vec::new();
    for row in rows {
        let change = &changes[row];
        let Some((field, key)) = looked_for(change) else {
            continue;
        };
        let same = questions.iter_mut().find(|question| {
            question.verb == change.verb
                && question.key_field.eq_ignore_ascii_case(field)
                && *question.target == *change.target
        });
        match same {
            Some(question) => question.rows.push((row, key)),
            None => questions.push(Question {
                target: &change.target,
                verb: change.verb,
                key_field: field,
                rows: vec![(row, key)],
            }),
        }
    }
    for question in &mut questions {
        let mut times: HashMap<&str, u32> = HashMap::new();
        for (_, key) in &question.rows {
            *times.entry(key).or_default() += 1;
        }
        question.rows.retain(|(_, key)| times[key] == 1);
    }
    questions.retain(|question| !question.rows.is_empty());
    questions
}

/// The field and value by which the record of a change is found, if it can be.
fn looked_for(change: &Change) -> Option<(&str, &str)> {
    let has_lines = || {
        change
            .cells
            .iter()
            .any(|(_, value)| matches!(value, WriteValue::Lines(_)))
    };
    match change.verb {
        Verb::Create => {
            let natural = change.target.natural_key.as_deref()?;
            let (_, value) = change
                .cells
                .iter()
                .find(|(field, _)| field.eq_ignore_ascii_case(natural))?;
            match value {
                WriteValue::Text(text) if !text.is_empty() => Some((natural, text)),
                _ => None,
            }
        }
        // Lines are not compared, and some functions add them to those that are there.
        Verb::Update if has_lines() || change.cells.is_empty() => None,
        Verb::Update | Verb::Delete => change
            .key
            .as_ref()
            .map(|(field, key)| (field.as_str(), key.as_str())),
    }
}

/// What is read: the keys, and what was sent.
fn fields<'a>(changes: &'a [Change], question: &Question<'a>) -> Vec<&'a str> {
    let mut fields: Vec<&str> = vec![&question.target.id_field];
    fields.extend(question.target.natural_key.as_deref());
    if question.verb == Verb::Delete {
        return fields;
    }
    for (row, _) in &question.rows {
        for (field, value) in &changes[*row].cells {
            let known = fields.iter().any(|name| name.eq_ignore_ascii_case(field));
            if !known && !matches!(value, WriteValue::Lines(_)) {
                fields.push(field);
            }
        }
    }
    fields
}

fn judge(change: &Change, key: &str, found: &Found, reader: Option<&CellReader>) -> Seen {
    let record = match (found.under(key), change.verb) {
        ([], Verb::Create) => return Seen::Untouched,
        ([], Verb::Delete) => return Seen::Done(Vec::new()),
        ([record], Verb::Create | Verb::Update) => record,
        ([_], Verb::Delete) => return Seen::Untouched,
        ([], Verb::Update) | ([..], _) => return Seen::Unclear,
    };
    let mut compared = 0;
    for (field, value) in &change.cells {
        let Some(position) = found.position(field) else {
            continue;
        };
        let got = record[position].as_deref();
        let same = match value {
            WriteValue::Text(sent) => is_same(sent, got, reader),
            WriteValue::Empty => change.verb == Verb::Create || is_empty(got),
            WriteValue::Lines(_) => continue,
        };
        compared += 1;
        if !same {
            return match change.verb {
                Verb::Update => Seen::Untouched,
                _ => Seen::Other,
            };
        }
    }
    if compared == 0 {
        return Seen::Unclear;
    }
    let target = &change.target;
    let names = [Some(target.id_field.as_str()), target.natural_key.as_deref()];
    let keys = names.into_iter().flatten().filter_map(|name| {
        let value = record[found.position(name)?].clone()?;
        Some((name.to_owned(), value))
    });
    Seen::Done(keys.collect())
}

/// Whether a field reads as empty; an unset boolean may read false.
pub(super) fn is_empty(got: Option<&str>) -> bool {
    got.is_none_or(|text| text.trim().is_empty() || text.eq_ignore_ascii_case("false") || text == "F")
}

/// Whether what is read is what was sent, as far as the gateway writes it in another form.
fn is_same(sent: &str, got: Option<&str>, reader: Option<&CellReader>) -> bool {
    let sent = sent.trim();
    let Some(got) = got.map(str::trim) else {
        return sent.is_empty() || sent == "false";
    };
    if sent == got || is_same_number(sent, got) {
        return true;
    }
    let Some(reader) = reader else { return false };
    let truth = |text: &str| reader.boolean(text.as_bytes()).ok();
    let date = |text: &str| reader.date(text.as_bytes()).ok();
    let instant = |text: &str| reader.timestamp(text.as_bytes()).ok();
    let equal = |a: Option<i64>, b: Option<i64>| a.is_some() && a == b;
    (matches!(sent, "true" | "false") && truth(sent) == truth(got))
        || (date(sent).is_some() && date(sent) == date(got))
        || equal(instant(sent), instant(got))
}

/// Whether the numbers are equal once the one sent is rounded to the digits of the other, two at least: the gateway
/// keeps cents, and leaves out zeros at the end.
fn is_same_number(sent: &str, got: &str) -> bool {
    let (Some(Value::Number(sent)), Some(Value::Number(got))) = (Value::number(sent), Value::number(got))
    else {
        return false;
    };
    if sent == got {
        return true;
    }
    let digits = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let kept = digits(&got).max(2);
    digits(&sent) > kept && rounded(&sent, kept) == scaled(&got, kept)
}

/// The number without its point, at so many digits behind it.
fn scaled(number: &str, digits: usize) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    format!("{whole}{fraction:0<digits$}").parse().ok()
}

/// The same of a number with more digits, rounded half away from zero.
fn rounded(number: &str, digits: usize) -> Option<i128> {
    let (whole, fraction) = number.split_once('.')?;
    let cut = format!("{whole}{}", fraction.get(..digits)?);
    let value: i128 = cut.parse().ok()?;
    let up = fraction
        .as_bytes()
        .get(digits)
        .is_some_and(|digit| *digit >= b'5');
    let step = if number.starts_with('-') { -1 } else { 1 };
    Some(if up { value + step } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formatting::UserFormatting;
    use std::sync::Arc;

    fn reader() -> CellReader {
        let formatting = UserFormatting {
            locale: "en_US".into(),
            date_format: "/mdY".into(),
            gmt_offset_seconds: 0,
            clock: 24,
        };
        CellReader::new(&formatting, None)
    }

    #[test]
    fn the_gateways_form_of_a_value_is_recognised() {
        let reader = reader();
        for (sent, got) in [
            ("ACME", Some("ACME")),
            (" x ", Some("x")),
            ("12.50", Some("12.5")),
            ("12.345", Some("12.35")),
            ("-12.345", Some("-12.35")),
            ("0.001", Some("0")),
            ("true", Some("T")),
            ("false", None),
            ("02/29/2024", Some("2024-02-29")),
            ("02/29/2024 10:00:00", Some("2024-02-29T10:00:00")),
        ] {
            assert!(is_same(sent, got, Some(&reader)), "{sent} {got:?}");
        }
        for (sent, got) in [
            ("ACME", Some("acme")),
            ("12.5", Some("12.51")),
            ("12.345", Some("12.34")),
            ("true", None),
            ("true", Some("false")),
            ("x", None),
            ("02/29/2024", Some("2024-03-01")),
        ] {
            assert!(!is_same(sent, got, Some(&reader)), "{sent} {got:?}");
        }
    }

    fn change(verb: Verb, key: Option<&str>, cells: &[(&str, &str)]) -> Change {
        Change {
            target: Arc::new(WriteTarget::new("CUSTOMER")),
            verb,
            key: key.map(|key| ("RECORDNO".into(), key.into())),
            cells: cells
                .iter()
                .map(|(field, value)| ((*field).into(), WriteValue::Text((*value).into())))
                .collect(),
        }
    }

    fn found(key: &str, records: &[&[&str]]) -> Found {
        let records = records
            .iter()
            .map(|record| record.iter().map(|cell| Some((*cell).to_owned())).collect())
            .collect();
        Found {
            fields: ["CUSTOMERID", "RECORDNO", "NAME"].map(str::to_owned).to_vec(),
            records: HashMap::from([(key.to_owned(), records)]),
        }
    }

    #[test]
    fn records_are_judged_by_what_was_sent() {
        let create = change(
            Verb::Create,
            None,
            &[("CUSTOMERID", "C"), ("NAME", "n"), ("ACTION", "Submit")],
        );
        let judge_it = |change: &Change, key: &str, found: &Found| judge(change, key, found, None);
        let keys = vec![("RECORDNO".into(), "7".into()), ("CUSTOMERID".into(), "C".into())];
        assert_eq!(
            judge_it(&create, "C", &found("C", &[&["C", "7", "n"]])),
            Seen::Done(keys)
        );
        assert_eq!(
            judge_it(&create, "C", &found("C", &[&["C", "7", "m"]])),
            Seen::Other
        );
        assert_eq!(judge_it(&create, "D", &found("C", &[])), Seen::Untouched);
        let twice: &[&[&str]] = &[&["C", "7", "n"], &["C", "8", "n"]];
        assert_eq!(judge_it(&create, "C", &found("C", twice)), Seen::Unclear);
        let update = change(Verb::Update, Some("7"), &[("NAME", "n")]);
        assert_eq!(
            judge_it(&update, "7", &found("7", &[&["C", "7", "m"]])),
            Seen::Untouched
        );
        assert_eq!(judge_it(&update, "7", &found("7", &[])), Seen::Unclear);
        let delete = change(Verb::Delete, Some("7"), &[]);
        assert_eq!(judge_it(&delete, "7", &found("7", &[])), Seen::Done(Vec::new()));
        assert_eq!(
            judge_it(&delete, "7", &found("7", &[&["C", "7", "m"]])),
            Seen::Untouched
        );
    }

    #[test]
    fn changes_that_cannot_be_told_apart_are_not_asked_for() {
        let row = |id: &str| change(Verb::Create, None, &[("CUSTOMERID", id)]);
        let changes = [
            row("A"),
            row("B"),
            row("A"),
            change(Verb::Create, None, &[("NAME", "x")]),
        ];
        let questions = questions(&changes, 0..4);
        assert_eq!(questions.len(), 1);
        assert_eq!(questions[0].rows, [(1, "B")]);
    }
}
