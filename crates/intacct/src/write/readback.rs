//! Duplicate decision: whether a change whose answer was lost is stored already, found out by reading.
//!
//! A created record is looked for by its natural key, an updated or deleted one by the key that addressed it. A record
//! that is found is ours only if it equals what was sent, lines included, and was created after it was sent, by the
//! gateway's own stamp and clock: a record of another writer under the same key, or one that was there before, is not
//! taken for ours.

use super::fetch::{Found, fetch, fetch_folded};
use super::readlines::{LinesSeen, look_at_lines};
use super::verdict::folded;
use super::{Change, Verb, WriteTarget, WriteValue};
use crate::client::Client;
use crate::error::Error;
use crate::formatting::{CellReader, is_same};
use std::collections::HashMap;
use std::ops::Range;
use tokio::time::Instant;

/// When a record was created, in the order of trust.
const STAMPS: [&str; 2] = ["AUWHENCREATED", "WHENCREATED"];

/// By how much the clocks of the machines of a gateway may differ, in microseconds.
const SKEW: i64 = 2_000_000;

/// When a record that was found was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// Before the change was sent.
    Before,
    /// After it was sent.
    After,
    /// The stamp does not say, or there is none.
    Unknown,
}

/// What reading shows of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// The record is as the change leaves it, and by its own doing; these are its keys.
    Done(Vec<(String, String)>),
    /// The record is as before: not there, not changed, or not gone.
    Untouched,
    /// To be created: a record with the key and all that was sent is there, and may have been before.
    Same(Age, Vec<(String, String)>),
    /// To be created: a record with the key is there, with other values.
    Other(Age),
    /// Nothing is certain.
    Unclear,
}

/// Changes that are looked for by one question.
struct Question<'a> {
    target: &'a WriteTarget,
    verb: Verb,
    key_field: &'a str,
    /// Positions of the changes and their keys.
    rows: Vec<(usize, &'a str)>,
}

/// Looks for changes that were sent at a moment; one answer for each of `rows`.
pub(super) async fn look(
    client: &Client,
    changes: &[Change],
    rows: Range<usize>,
    sent: Instant,
) -> Result<Vec<Seen>, Error> {
    let start = rows.start;
    let mut seen = vec![Seen::Unclear; rows.len()];
    for question in questions(changes, rows) {
        let fields = fields(changes, &question);
        let keys: Vec<&str> = question.rows.iter().map(|(_, key)| *key).collect();
        let compares = question.verb != Verb::Delete;
        let (target, key_field) = (question.target, question.key_field);
        let found = fetch(client, target, key_field, &keys, &fields, compares).await?;
        let missing: Vec<&str> = keys.iter().copied().filter(|key| found.is_missing(key)).collect();
        let other = match question.verb {
            Verb::Create if !missing.is_empty() => {
                Some(fetch_folded(client, target, key_field, &missing, &fields).await?)
            }
            _ => None,
        };
        let reader = client
            .known_formatting()
            .map(|formatting| CellReader::new(&formatting, client.config().time_zone.as_ref()));
        let clock = client
            .requester()
            .session
            .live()
            .and_then(|session| session.clock());
        for (row, key) in &question.rows {
            let look = Look {
                change: &changes[*row],
                reader: reader.as_ref(),
                window: clock.map(|clock| (clock.at(sent), clock.at(Instant::now()))),
            };
            seen[row - start] = match &other {
                Some(other) if found.is_missing(key) => look.judge_folded(key, other),
                _ => look.judge(key, &found),
            };
        }
        for (row, _) in question.rows {
            let judged = std::mem::replace(&mut seen[row - start], Seen::Unclear);
            seen[row - start] = confirm_lines(client, &changes[row], judged, reader.clone()).await?;
        }
    }
    Ok(seen)
}

/// A record of which the fields are as sent: its lines must be as well.
async fn confirm_lines(
    client: &Client,
    change: &Change,
    seen: Seen,
    reader: Option<CellReader>,
) -> Result<Seen, Error> {
    let (age, keys) = match (&seen, change.verb) {
        (Seen::Done(keys), Verb::Create) => (Age::After, keys),
        (Seen::Same(age, keys), Verb::Create) => (*age, keys),
        _ => return Ok(seen),
    };
    Ok(match look_at_lines(client, change, keys, reader).await? {
        LinesSeen::None | LinesSeen::Same => seen,
        LinesSeen::Different => Seen::Other(age),
        LinesSeen::Unclear => Seen::Unclear,
    })
}

/// The changes that can be looked for. Two under one key cannot be distinguished.
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
        let mut times: HashMap<String, u32> = HashMap::new();
        for (_, key) in &question.rows {
            *times.entry(folded(key)).or_default() += 1;
        }
        question.rows.retain(|(_, key)| times[&folded(key)] == 1);
    }
    questions.retain(|question| !question.rows.is_empty());
    questions
}

/// The field and value by which the record of a change is found, if it can be.
pub(super) fn looked_for(change: &Change) -> Option<(&str, &str)> {
    let has_lines = || {
        change
            .cells
            .iter()
            .any(|(_, value)| matches!(value, WriteValue::Lines(_)))
    };
    match change.verb {
        Verb::Create => {
            let keys = [change.target.unique_key(), change.target.natural_key.as_deref()];
            keys.into_iter()
                .flatten()
                .find_map(|key| Some((key, change.text_of(key)?)))
        }
        // Lines are not compared, and some functions add them to those that are there.
        Verb::Update if has_lines() || change.cells.is_empty() => None,
        Verb::Update | Verb::Delete => change
            .key
            .as_ref()
            .map(|(field, key)| (field.as_str(), key.as_str())),
    }
}

/// Whether a change may be sent again under its control id when it is not known whether it was executed: for a new record
/// only if it has a key that Intacct itself keeps unique.
pub(super) fn may_be_repeated(change: &Change) -> bool {
    match change.verb {
        Verb::Create => change
            .target
            .unique_key()
            .is_some_and(|key| change.text_of(key).is_some()),
        Verb::Update | Verb::Delete => looked_for(change).is_some(),
    }
}

/// What is read: the keys, what was sent, and for a new record when it was created.
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
    if question.verb == Verb::Create {
        for stamp in STAMPS {
            if !fields.iter().any(|name| name.eq_ignore_ascii_case(stamp)) {
                fields.push(stamp);
            }
        }
    }
    fields
}

/// What a change is compared with.
struct Look<'a> {
    change: &'a Change,
    reader: Option<&'a CellReader>,
    /// The gateway's clock when the change was sent, and now: each between an earliest and a latest time.
    window: Option<((i64, i64), (i64, i64))>,
}

impl Look<'_> {
    fn judge(&self, key: &str, found: &Found) -> Seen {
        let record = match (found.under(key), self.change.verb) {
            ([], Verb::Create) => return Seen::Untouched,
            ([], Verb::Delete) => return Seen::Done(Vec::new()),
            ([record], Verb::Create | Verb::Update) => record,
            ([_], Verb::Delete) => return Seen::Untouched,
            ([], Verb::Update) | ([..], _) => return Seen::Unclear,
        };
        let Some(same) = self.is_as_sent(found, record) else {
            return Seen::Unclear;
        };
        if self.change.verb == Verb::Update {
            return match same {
                true => Seen::Done(self.keys(found, record)),
                false => Seen::Untouched,
            };
        }
        match (same, self.age(found, record)) {
            (true, Age::After) => Seen::Done(self.keys(found, record)),
            (true, age) => Seen::Same(age, self.keys(found, record)),
            (false, age) => Seen::Other(age),
        }
    }

    /// The same under keys that the gateway may have trimmed, folded or cut.
    fn judge_folded(&self, key: &str, found: &Found) -> Seen {
        let sent = folded(key);
        let of = |same: &dyn Fn(&str) -> bool| -> Vec<&[Option<String>]> {
            found
                .all()
                .filter(|record| record[0].as_deref().is_some_and(|stored| same(&folded(stored))))
                .collect()
        };
        match of(&|stored| stored == sent).as_slice() {
            [] => {}
            [record] => {
                return match (self.is_as_sent(found, record), self.age(found, record)) {
                    (None, _) => Seen::Unclear,
                    (Some(true), Age::After) => Seen::Done(self.keys(found, record)),
                    (Some(true), age) => Seen::Same(age, self.keys(found, record)),
                    (Some(false), age) => Seen::Other(age),
                };
            }
            _ => return Seen::Unclear,
        }
        // What begins as the key does is most often another record: only one that is surely new counts.
        let cut = of(&|stored| !stored.is_empty() && stored.len() < sent.len() && sent.starts_with(stored));
        let ours: Vec<_> = cut
            .into_iter()
            .filter(|record| {
                self.is_as_sent(found, record) == Some(true) && self.age(found, record) != Age::Before
            })
            .collect();
        match ours.as_slice() {
            [] => Seen::Untouched,
            [record] => match self.age(found, record) {
                Age::After => Seen::Done(self.keys(found, record)),
                age => Seen::Same(age, self.keys(found, record)),
            },
            _ => Seen::Unclear,
        }
    }

    /// Whether a record holds what was sent; none when nothing can be compared.
    fn is_as_sent(&self, found: &Found, record: &[Option<String>]) -> Option<bool> {
        let change = self.change;
        let key = looked_for(change).map(|(field, _)| field);
        let mut compared = 0;
        for (field, value) in &change.cells {
            let Some(position) = found.position(field) else {
                continue;
            };
            let got = record[position].as_deref();
            let is_key =
                change.verb == Verb::Create && key.is_some_and(|key| key.eq_ignore_ascii_case(field));
            let same = match value {
                // The record was found by it.
                WriteValue::Text(_) if is_key => true,
                WriteValue::Text(sent) => is_same(sent, got, self.reader),
                WriteValue::Empty => change.verb == Verb::Create || is_empty(got),
                WriteValue::Lines(_) => continue,
            };
            compared += 1;
            if !same {
                return Some(false);
            }
        }
        (compared > 0).then_some(true)
    }

    /// When the record was created. A stamp that is sent is the date of a document, and so is one without a time.
    fn age(&self, found: &Found, record: &[Option<String>]) -> Age {
        let (Some(reader), Some((sent, now))) = (self.reader, self.window) else {
            return Age::Unknown;
        };
        let is_sent = |stamp: &str| {
            let mut cells = self.change.cells.iter();
            cells.any(|(field, _)| field.eq_ignore_ascii_case(stamp))
        };
        let stamps = STAMPS.iter().filter(|stamp| !is_sent(stamp));
        let texts = stamps.filter_map(|stamp| record[found.position(stamp)?].as_deref());
        let Some(text) = texts.into_iter().find(|text| text.contains(':')) else {
            return Age::Unknown;
        };
        let Ok(created) = reader.timestamp(text.as_bytes()) else {
            return Age::Unknown;
        };
        let near = jiff::Timestamp::from_microsecond(created).unwrap_or_default();
        let blur = i64::try_from(reader.zone().blur(near).as_micros()).unwrap_or(i64::MAX);
        let doubt = SKEW.saturating_add(blur);
        if created >= sent.1.saturating_add(doubt) && created <= now.1.saturating_add(doubt) {
            Age::After
        } else if created.saturating_add(1_000_000) <= sent.0.saturating_sub(doubt) {
            Age::Before
        } else {
            Age::Unknown
        }
    }

    fn keys(&self, found: &Found, record: &[Option<String>]) -> Vec<(String, String)> {
        let target = &self.change.target;
        let names = [Some(target.id_field.as_str()), target.natural_key.as_deref()];
        let keys = names.into_iter().flatten().filter_map(|name| {
            let value = record[found.position(name)?].clone()?;
            Some((name.to_owned(), value))
        });
        keys.collect()
    }
}

/// Whether a field reads as empty; an unset boolean may read false.
pub(super) fn is_empty(got: Option<&str>) -> bool {
    got.is_none_or(|text| text.trim().is_empty() || text.eq_ignore_ascii_case("false") || text == "F")
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
            fields: ["CUSTOMERID", "RECORDNO", "NAME", "WHENCREATED"]
                .map(str::to_owned)
                .to_vec(),
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
        // The gateway's clock showed noon when the change was sent, and a minute past when it was looked for.
        let reader = reader();
        let noon = reader.timestamp(b"02/29/2024 12:00:00").expect("a time");
        let at = |seconds: i64| (noon + seconds * 1_000_000, noon + (seconds + 1) * 1_000_000);
        let judge_it = |change: &Change, key: &str, found: &Found| {
            let look = Look {
                change,
                reader: Some(&reader),
                window: Some((at(0), at(60))),
            };
            look.judge(key, found)
        };
        let keys = vec![("RECORDNO".into(), "7".into()), ("CUSTOMERID".into(), "C".into())];
        let (new, old) = ("02/29/2024 12:00:30", "02/29/2024 11:59:00");
        for (name, created, expected) in [
            ("n", new, Seen::Done(keys.clone())),
            ("n", old, Seen::Same(Age::Before, keys.clone())),
            ("m", new, Seen::Other(Age::After)),
            ("m", old, Seen::Other(Age::Before)),
            // In the second of the sending, in the future, and the date of a document: no evidence.
            ("n", "02/29/2024 12:00:00", Seen::Same(Age::Unknown, keys.clone())),
            ("n", "02/29/2024 13:00:30", Seen::Same(Age::Unknown, keys.clone())),
            ("n", "02/29/2024", Seen::Same(Age::Unknown, keys.clone())),
            ("n", "", Seen::Same(Age::Unknown, keys.clone())),
        ] {
            let record = found("C", &[&["C", "7", name, created]]);
            assert_eq!(judge_it(&create, "C", &record), expected, "{name} {created}");
        }
        assert_eq!(judge_it(&create, "D", &found("C", &[])), Seen::Untouched);
        let twice: &[&[&str]] = &[&["C", "7", "n", new], &["C", "8", "n", new]];
        assert_eq!(judge_it(&create, "C", &found("C", twice)), Seen::Unclear);
        let update = change(Verb::Update, Some("7"), &[("NAME", "n")]);
        assert_eq!(
            judge_it(&update, "7", &found("7", &[&["C", "7", "m", old]])),
            Seen::Untouched
        );
        assert_eq!(judge_it(&update, "7", &found("7", &[])), Seen::Unclear);
        let delete = change(Verb::Delete, Some("7"), &[]);
        assert_eq!(judge_it(&delete, "7", &found("7", &[])), Seen::Done(Vec::new()));
        assert_eq!(
            judge_it(&delete, "7", &found("7", &[&["C", "7", "m", old]])),
            Seen::Untouched
        );
    }

    #[test]
    fn keys_that_the_gateway_made_its_own_are_recognised() {
        let reader = reader();
        let noon = reader.timestamp(b"02/29/2024 12:00:00").expect("a time");
        let (new, old) = ("02/29/2024 12:00:30", "02/29/2024 11:00:00");
        let sent = change(Verb::Create, None, &[("CUSTOMERID", " c-10"), ("NAME", "n")]);
        let look = Look {
            change: &sent,
            reader: Some(&reader),
            window: Some(((noon, noon), (noon + 60_000_000, noon + 60_000_000))),
        };
        for (id, name, created, done) in [
            ("C-10", "n", new, true),
            ("C-1", "n", new, true),
            ("C-10", "n", old, false),
            ("C-1", "n", old, false),
            ("C-1", "m", new, false),
            ("C-2", "n", new, false),
        ] {
            let record = found(id, &[&[id, "7", name, created]]);
            let seen = look.judge_folded(" c-10", &record);
            assert_eq!(
                matches!(seen, Seen::Done(_)),
                done,
                "{id} {name} {created}: {seen:?}"
            );
        }
        let other = found("C-1", &[&["C-1", "7", "n", old]]);
        assert_eq!(look.judge_folded(" c-10", &other), Seen::Untouched);
    }

    #[test]
    fn changes_that_cannot_be_distinguished_are_not_asked_for() {
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
