//! Outcome of logged requests whose answer was not seen, found out by reading.
//!
//! A record is found by its key. Presence proves a create only where Intacct itself keeps the key unique, the record
//! was created after the request left and it holds what was sent; absence proves something only when the gateway
//! cannot execute the request any more. What proves nothing stays in doubt, with the reason.

use super::fetch::{Found, fetch};
use super::logged::{ABSENT, LoggedFunction, WriteOutcome, canonical, fingerprint, salt};
use super::{Verb, WriteTarget};
use crate::calls::exempt;
use crate::client::Client;
use crate::error::Error;
use crate::formatting::CellReader;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

/// A request whose outcome is looked up.
#[derive(Debug, Clone)]
pub struct DoubtfulRequest {
    /// Its functions.
    pub functions: Vec<LoggedFunction>,
    /// They were executed all or none.
    pub transaction: bool,
    /// When it left, on this machine's clock.
    pub sent: jiff::Timestamp,
    /// When it was last sent again, on the same clock.
    pub last_sent: jiff::Timestamp,
    /// What the gateway's clock was ahead of that, in milliseconds, where it was known.
    pub clock_offset: Option<i64>,
    /// The client reads as the user who wrote, so that a record that is not found is not there.
    pub sees_all: bool,
    /// Records that other requests are known to have created earlier: object and key.
    pub created_before: HashSet<(String, String)>,
}

/// What became of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// What became of it; in doubt where it is not known.
    pub outcome: WriteOutcome,
    /// Why, in a few words.
    pub reason: String,
}

/// What a record shows of its function.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Evidence {
    /// It was executed.
    Stored(&'static str),
    /// The record is as if it was executed, which others may have done as well.
    AsStored(&'static str),
    /// It was not executed, and will not be.
    NotStored(&'static str),
    /// Nothing.
    None(&'static str),
}

/// Fields that show when a record was created, the better one first.
const CREATED: [&str; 2] = ["AUWHENCREATED", "WHENCREATED"];
/// The field that shows when it was last modified.
const MODIFIED: &str = "WHENMODIFIED";

/// How far two clocks may differ that were never compared.
const CLOCKS_APART: Duration = Duration::from_secs(300);
/// Times of the gateway are whole seconds.
const SECOND: i64 = 1_000_000;

/// Looks for the records of requests; for each of them one resolution for each function. `patience` is the time after
/// which the gateway executes a request no more.
///
/// # Errors
/// What a look-up failed with.
pub async fn resolve(
    client: &Client,
    requests: &[DoubtfulRequest],
    patience: Duration,
) -> Result<Vec<Vec<Resolution>>, Error> {
    let mut lookups: BTreeMap<Lookup, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for function in requests.iter().flat_map(|request| &request.functions) {
        if let Some(lookup) = Lookup::of(function) {
            let (keys, fields) = lookups.entry(lookup).or_default();
            keys.extend(function.keys.iter().map(String::as_str));
            if function.verb != Some(Verb::Delete) {
                fields.extend(function.fields.iter().map(String::as_str));
            }
        }
    }
    let mut found = BTreeMap::new();
    for (lookup, (keys, fields)) in lookups {
        let keys: Vec<&str> = keys.into_iter().collect();
        let mut fields: Vec<&str> = fields.into_iter().collect();
        fields.extend(CREATED);
        fields.push(MODIFIED);
        let target = lookup.target();
        let look = fetch(client, &target, &lookup.key_field, &keys, &fields, true);
        let records = exempt(look).await;
        found.insert(lookup, records);
    }
    let reader = client
        .known_formatting()
        .map(|formatting| CellReader::new(&formatting, client.config().time_zone.as_ref()));
    let mut resolutions = Vec::with_capacity(requests.len());
    for request in requests {
        let times = Times::of(request, patience);
        let mut evidence = Vec::with_capacity(request.functions.len());
        for function in &request.functions {
            evidence.push(match Lookup::of(function).and_then(|lookup| found.get(&lookup)) {
                Some(Ok(records)) => Look {
                    request,
                    function,
                    records,
                    times,
                    reader: reader.as_ref(),
                }
                .evidence(),
                Some(Err(error)) => Err(format!("the look-up failed: {error}")),
                None => Err(why_not_looked_up(function)),
            });
        }
        resolutions.push(conclude(request.transaction, evidence));
    }
    Ok(resolutions)
}

/// Records that are looked for together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Lookup {
    object: String,
    docparid: Option<String>,
    show_private: bool,
    key_field: String,
}

impl Lookup {
    fn of(function: &LoggedFunction) -> Option<Lookup> {
        let named = !function.keys.is_empty() && function.keys.iter().all(|key| !key.is_empty());
        Some(Lookup {
            object: function.object.clone(),
            docparid: function.docparid.clone(),
            show_private: function.show_private,
            key_field: function.key_field.clone().filter(|_| named && function.unique)?,
        })
    }

    fn target(&self) -> WriteTarget {
        WriteTarget {
            docparid: self.docparid.clone(),
            show_private: self.show_private,
            ..WriteTarget::new(&self.object)
        }
    }
}

fn why_not_looked_up(function: &LoggedFunction) -> String {
    match (function.verb, &function.key_field) {
        (Some(Verb::Create), None) => format!(
            "{} has no key by which the record could be found",
            function.object
        ),
        (_, Some(field)) if !function.unique => {
            format!(
                "Intacct is not known to keep {field} of {} unique",
                function.object
            )
        }
        _ => format!("a record of {} was sent without its key", function.object),
    }
}

/// Points in time of a request, in microseconds of the gateway's clock.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// It did not leave before.
    earliest: i64,
    /// It left before, where clocks were compared.
    latest: i64,
    /// The gateway executes it no more.
    is_over: bool,
}

impl Times {
    fn of(request: &DoubtfulRequest, patience: Duration) -> Times {
        let apart = i64::try_from(CLOCKS_APART.as_micros()).unwrap_or(i64::MAX);
        let sent = request.sent.as_microsecond();
        let (earliest, latest) = match request.clock_offset {
            Some(offset) => (sent + offset * 1000 - SECOND, sent + offset * 1000 + 2 * SECOND),
            None => (sent - apart, sent + apart),
        };
        let age = jiff::Timestamp::now() - request.last_sent;
        Times {
            earliest,
            latest,
            is_over: Duration::try_from(age).is_ok_and(|age| age >= patience),
        }
    }
}

/// One function and the records that were found for it.
struct Look<'a> {
    request: &'a DoubtfulRequest,
    function: &'a LoggedFunction,
    records: &'a Found,
    times: Times,
    reader: Option<&'a CellReader>,
}

impl Look<'_> {
    /// What all records of the function show together.
    fn evidence(&self) -> Result<Evidence, String> {
        let each: Vec<Evidence> = (0..self.function.keys.len())
            .map(|at| self.of_record(at))
            .collect();
        together(&each).map_err(str::to_owned)
    }

    fn of_record(&self, at: usize) -> Evidence {
        let key = self.function.keys[at].as_str();
        match (self.function.verb, self.records.count(key)) {
            (_, 2..) => Evidence::None("several records have the key"),
            (Some(Verb::Create), 0) => self.absent("no record has the key"),
            (Some(Verb::Create), 1) => self.created(at, key),
            (Some(Verb::Update), 0) => Evidence::None("the record is not there any more"),
            (Some(Verb::Update), 1) => self.updated(at, key),
            (Some(Verb::Delete), 0) if self.request.sees_all => Evidence::AsStored("the record is gone"),
            (Some(Verb::Delete), 0) => Evidence::None("the record is not seen with these credentials"),
            (Some(Verb::Delete), 1) if self.times.is_over => Evidence::NotStored("the record is still there"),
            (Some(Verb::Delete), 1) => Evidence::None("the gateway may still execute it"),
            (None, _) => Evidence::None("the entry is not of this version"),
        }
    }

    fn absent(&self, why: &'static str) -> Evidence {
        match (self.request.sees_all, self.times.is_over) {
            (false, _) => Evidence::None("no record is seen with these credentials"),
            (true, false) => Evidence::None("the gateway may still execute it"),
            (true, true) => Evidence::NotStored(why),
        }
    }

    fn created(&self, at: usize, key: &str) -> Evidence {
        let stamp = CREATED.iter().find_map(|field| self.instant(key, field));
        let Some(stamp) = stamp else {
            return Evidence::None("the record does not show when it was created");
        };
        let before = self
            .request
            .created_before
            .contains(&(self.function.object.clone(), key.to_owned()));
        // A create under a key that is taken is refused, then and later.
        if stamp + SECOND <= self.times.earliest || (before && stamp < self.times.latest) {
            return Evidence::NotStored("the record was there before");
        }
        if self.request.clock_offset.is_none() && stamp < self.times.latest {
            return Evidence::None("the gateway's clock is not known well enough");
        }
        match self.holds_what_was_sent(at, key) {
            Some(true) => Evidence::Stored("the record was created after the request left, as it was sent"),
            Some(false) => Evidence::None("a record with the key was created since, with other values"),
            None => Evidence::None("the record's values cannot be compared"),
        }
    }

    fn updated(&self, at: usize, key: &str) -> Evidence {
        match self.holds_what_was_sent(at, key) {
            Some(true) => Evidence::AsStored("the record holds what was sent"),
            Some(false) if !self.times.is_over => Evidence::None("the gateway may still execute it"),
            Some(false) => match self.instant(key, MODIFIED) {
                Some(stamp) if stamp + SECOND <= self.times.earliest => {
                    Evidence::NotStored("the record was not modified since")
                }
                _ => Evidence::None("the record holds other values and was modified since"),
            },
            None => Evidence::None("the record's values cannot be compared"),
        }
    }

    /// Whether the fields that can be read are as sent; none where no field can be compared.
    fn holds_what_was_sent(&self, at: usize, key: &str) -> Option<bool> {
        let function = self.function;
        let marks = function.marks.get(at).filter(|marks| !marks.is_empty())?;
        let salt = salt(&function.control_id, at);
        let mut compared = None;
        for (number, field) in function.fields.iter().enumerate() {
            let mark = marks.get(4 * number..4 * number + 4)?;
            if mark == ABSENT || !self.records.reads(field) {
                continue;
            }
            let got = self.records.value(key, field);
            let same = self
                .readings(got)
                .iter()
                .any(|got| fingerprint(&salt, field, got) == mark);
            if !same {
                return Some(false);
            }
            // The key itself was what the record was found by.
            if function
                .key_field
                .as_deref()
                .is_none_or(|key| !key.eq_ignore_ascii_case(field))
                || function.fields.len() == 1
            {
                compared = Some(true);
            }
        }
        compared
    }

    /// What a cell may have been sent as, in the spelling of marks.
    fn readings(&self, got: Option<&str>) -> Vec<String> {
        let text = got.unwrap_or_default().trim();
        let mut readings = vec![canonical(text)];
        if text.is_empty() {
            // An unset boolean is shown as nothing.
            readings.push("false".to_owned());
        }
        if readings[0] == "false" {
            readings.push(String::new());
        }
        if let Some(date) = self.reader.and_then(|reader| reader.date(text.as_bytes()).ok()) {
            readings.push(date.to_string());
        }
        readings
    }

    /// A time of a record; none where the field holds a day only, which is no time.
    fn instant(&self, key: &str, field: &str) -> Option<i64> {
        let text = self.records.value(key, field)?;
        text.contains(':').then_some(())?;
        self.reader?.timestamp(text.trim().as_bytes()).ok()
    }
}

/// What records of a function, or functions of a transaction, show together: they share one fate.
fn together(each: &[Evidence]) -> Result<Evidence, &'static str> {
    let strong = |wanted: fn(&Evidence) -> bool| each.iter().find(|evidence| wanted(evidence));
    let stored = strong(|evidence| matches!(evidence, Evidence::Stored(_)));
    let not = strong(|evidence| matches!(evidence, Evidence::NotStored(_)));
    match (stored, not) {
        (Some(_), Some(_)) => Err("some records are there and others are not"),
        (Some(one), None) | (None, Some(one)) => Ok(one.clone()),
        (None, None) => {
            let unclear = strong(|evidence| matches!(evidence, Evidence::None(_)));
            match (unclear, each.first()) {
                (Some(Evidence::None(why)), _) => Err(why),
                (_, Some(first)) => Ok(first.clone()),
                (_, None) => Err("nothing is known of its records"),
            }
        }
    }
}

fn conclude(transaction: bool, evidence: Vec<Result<Evidence, String>>) -> Vec<Resolution> {
    let doubt = |reason: String| Resolution {
        outcome: WriteOutcome::InDoubt,
        reason,
    };
    let decided = |evidence: &Evidence| match evidence {
        Evidence::Stored(why) | Evidence::AsStored(why) => Resolution {
            outcome: WriteOutcome::Stored,
            reason: (*why).to_owned(),
        },
        Evidence::NotStored(why) => Resolution {
            outcome: WriteOutcome::NotStored,
            reason: (*why).to_owned(),
        },
        Evidence::None(why) => doubt((*why).to_owned()),
    };
    let each = || {
        let single = |evidence: &Result<Evidence, String>| match evidence {
            Ok(evidence) => decided(evidence),
            Err(reason) => doubt(reason.clone()),
        };
        evidence.iter().map(single).collect()
    };
    if !transaction {
        return each();
    }
    // One fate: what one function proves holds for all of them.
    let known: Vec<Evidence> = evidence
        .iter()
        .filter_map(|one| one.as_ref().ok())
        .cloned()
        .collect();
    let weak = !known
        .iter()
        .any(|one| matches!(one, Evidence::Stored(_) | Evidence::NotStored(_)));
    if known.is_empty() || (weak && known.len() < evidence.len()) {
        return each()
            .into_iter()
            .map(|one: Resolution| match one.outcome {
                WriteOutcome::InDoubt => one,
                _ => doubt("another function of the same transaction is in doubt".to_owned()),
            })
            .collect();
    }
    match together(&known) {
        Ok(fate) => vec![decided(&fate); evidence.len()],
        Err(why) => vec![doubt(why.to_owned()); evidence.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(transaction: bool, evidence: Vec<Result<Evidence, String>>) -> Vec<&'static str> {
        let concluded = conclude(transaction, evidence);
        concluded.iter().map(|one| one.outcome.as_str()).collect()
    }

    #[test]
    fn functions_of_a_transaction_share_their_fate() {
        let stored = || Ok(Evidence::Stored("s"));
        let weak = || Ok(Evidence::AsStored("w"));
        let not = || Ok(Evidence::NotStored("n"));
        let none = || Err("?".to_owned());
        assert_eq!(outcomes(true, vec![stored(), none()]), ["stored", "stored"]);
        assert_eq!(outcomes(true, vec![none(), not()]), ["not stored", "not stored"]);
        assert_eq!(outcomes(true, vec![stored(), not()]), ["in doubt", "in doubt"]);
        assert_eq!(outcomes(true, vec![weak(), not()]), ["not stored", "not stored"]);
        assert_eq!(outcomes(true, vec![weak(), none()]), ["in doubt", "in doubt"]);
        assert_eq!(outcomes(true, vec![weak(), weak()]), ["stored", "stored"]);
        assert_eq!(outcomes(true, vec![none()]), ["in doubt"]);
        assert_eq!(
            outcomes(false, vec![stored(), not(), none()]),
            ["stored", "not stored", "in doubt"]
        );
    }

    #[test]
    fn records_of_a_function_share_its_fate() {
        use Evidence::{AsStored, None, NotStored, Stored};
        assert_eq!(together(&[Stored("s"), None("?")]), Ok(Stored("s")));
        assert_eq!(together(&[AsStored("w"), NotStored("n")]), Ok(NotStored("n")));
        assert_eq!(together(&[AsStored("w"), None("?")]), Err("?"));
        assert!(together(&[Stored("s"), NotStored("n")]).is_err());
        assert!(together(&[]).is_err());
    }
}
