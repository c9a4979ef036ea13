//! Keys of groups that the gateway made: whether their rows have those very keys.
//!
//! Whether texts that differ by case or by blanks at an edge make one group is not known (fact 31), and the numbers of such groups
//! add up all the same. So rows are counted under the keys that were received: text is compared with regard to case, and
//! rows that went into the group of another text are missing from the number. Comparisons may disregard blanks themselves, so
//! that no text with one at an edge may be there at all.
//!
//! Texts that are expected beforehand ([`ExpectedKeys`]) need no second request: the groups are made of the rows that have them,
//! and these must be all rows.

use crate::client::Client;
use crate::dialect::{DialectKind, PageRequest};
use crate::error::Error;
use crate::formatting::{CellError, CellReader};
use crate::query::{CompareOp, Condition, Count, Query, Value};
use futures_util::future::try_join_all;
use std::collections::HashSet;
use std::sync::Arc;

/// Keys of one request: as many values as a list of a condition has at most.
const MOST_VALUES: usize = crate::query::MOST_LISTED;
/// Keys of one request where a group has several: each then takes a comparison for every field.
const MOST_COMPARISONS: usize = 3000;
/// Texts of one key that are expected beforehand, at most: they make the request longer.
const MOST_EXPECTED: usize = 1000;
/// Requests at most. Where it takes more, reading the rows is no dearer.
const MOST_REQUESTS: usize = 10;

/// What a group key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum GroupKeyKind {
    /// Text.
    Text,
    /// One of the texts that the company lists: no two of them differ by blanks.
    Listed,
    /// A number.
    Number,
    /// A truth value.
    Boolean,
    /// A day.
    Date,
    /// A point in time.
    Moment,
}

impl GroupKeyKind {
    /// Whether texts of this kind may be taken for one another.
    pub fn is_text(self) -> bool {
        matches!(self, GroupKeyKind::Text | GroupKeyKind::Listed)
    }
}

/// The keys of the groups that were received.
#[derive(Debug)]
pub struct ReceivedKeys {
    keys: Vec<(String, GroupKeyKind)>,
    groups: HashSet<Vec<Option<Value>>>,
    /// Some key has no representation in a query.
    not_representable: bool,
}

/// How many rows have the keys that were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// No key is text, so that nothing can be taken for something else.
    Unneeded,
    /// So many.
    Rows(u64),
    /// The keys cannot be expressed.
    Impossible,
}

impl ReceivedKeys {
    /// Groups by these fields.
    pub fn new(keys: Vec<(String, GroupKeyKind)>) -> ReceivedKeys {
        ReceivedKeys {
            keys,
            groups: HashSet::new(),
            not_representable: false,
        }
    }

    /// Adds a group with these cells in its keys.
    ///
    /// # Errors
    /// A cell that does not parse.
    pub fn add<'c>(
        &mut self,
        cells: impl Iterator<Item = Option<&'c [u8]>>,
        reader: &CellReader,
    ) -> Result<(), CellError> {
        let mut group = Vec::with_capacity(self.keys.len());
        for ((_, kind), cell) in self.keys.iter().zip(cells) {
            let Some(cell) = cell else {
                group.push(None);
                continue;
            };
            let text = || String::from_utf8_lossy(cell).into_owned();
            let value = match kind {
                GroupKeyKind::Text | GroupKeyKind::Listed => Some(Value::Text(text())).filter(is_plain),
                GroupKeyKind::Number => Value::number(&text()),
                GroupKeyKind::Boolean => Some(Value::Boolean(reader.boolean(cell)?)),
                GroupKeyKind::Date => Some(Value::Date(reader.date(cell)?)),
                GroupKeyKind::Moment => {
                    let micros = reader.timestamp(cell)?;
                    let instant = jiff::Timestamp::from_microsecond(micros).ok();
                    instant
                        .filter(|instant| instant.subsec_nanosecond() == 0)
                        .map(Value::Instant)
                }
            };
            self.not_representable |= value.is_none();
            group.push(value);
        }
        self.groups.insert(group);
        Ok(())
    }

    /// Counts the rows of `rows`, the query without groups, that have the keys received. If they are `expected`, no key that
    /// could have one has a blank at an edge either.
    ///
    /// # Errors
    /// What a request failed with.
    pub async fn count(
        &self,
        client: &Client,
        rows: &Query,
        kind: DialectKind,
        expected: u64,
    ) -> Result<Confirmation, Error> {
        if self.groups.is_empty() || !self.keys.iter().any(|(_, kind)| kind.is_text()) {
            return Ok(Confirmation::Unneeded);
        }
        let conditions = match self.not_representable || rows.case_insensitive {
            true => return Ok(Confirmation::Impossible),
            false => self.conditions(),
        };
        if conditions.len() > MOST_REQUESTS {
            return Ok(Confirmation::Impossible);
        }
        let query = |condition| {
            let mut query = rows.clone();
            query.filter = Some(Condition::and(query.filter, condition));
            query.order_by = Vec::new();
            query.limit = Some(Count::Number(1));
            query
        };
        let request = PageRequest { size: 1, offset: 0 };
        let without_blanks = without_blanks(&self.keys);
        let counts = conditions.into_iter().map(|condition| {
            let condition = match &without_blanks {
                Some(without) => Condition::and(Some(condition), without.clone()),
                None => condition,
            };
            let query = query(condition);
            let request = &request;
            async move { client.page(&query, kind, request, false).await }
        });
        let mut all = 0;
        for page in try_join_all(counts).await? {
            match page.total_count {
                Some(rows) => all += rows,
                None => return Ok(Confirmation::Impossible),
            }
        }
        // Texts with blanks at an edge are no sign that groups are wrong: nothing distinguishes such keys.
        if all != expected
            && let Some(blanks) = self.blanks()
            && client
                .page(&query(blanks), kind, &request, false)
                .await?
                .total_count
                != Some(0)
        {
            return Ok(Confirmation::Impossible);
        }
        Ok(Confirmation::Rows(all))
    }

    /// Keeps the texts for [`ExpectedKeys::of`]: the rows of `rows` have them and no others.
    pub fn remember(&self, client: &Client, rows: &Query) {
        for (index, (field, kind)) in self.keys.iter().enumerate() {
            if !kind.is_text() || self.not_representable {
                continue;
            }
            let texts = self.texts(index);
            if texts.len() <= MOST_EXPECTED && are_unmistakable(texts.iter().copied()) {
                let texts = texts.into_iter().map(str::to_owned).collect();
                client.known_texts().note(rows, field, texts);
            }
        }
    }

    /// The texts of a key, each once.
    fn texts(&self, index: usize) -> Vec<&str> {
        let texts = self.groups.iter().filter_map(|group| match &group[index] {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        });
        let texts: HashSet<&str> = texts.collect();
        let mut texts: Vec<&str> = texts.into_iter().collect();
        texts.sort_unstable();
        texts
    }

    /// A condition for each key of several that is text; `None`: texts of one key might be taken for one another, so that
    /// only all keys of a group together show whether its rows are its own, or it gets too long.
    fn by_key(&self) -> Option<Condition> {
        let mut whole = None;
        let mut listed = 0;
        for (index, (field, _)) in self
            .keys
            .iter()
            .enumerate()
            .filter(|(_, (_, kind))| kind.is_text())
        {
            let texts = self.texts(index);
            listed += texts.len();
            if listed > MOST_VALUES || !are_unmistakable(texts.iter().copied()) {
                return None;
            }
            let has_null = self.groups.iter().any(|group| group[index].is_none());
            whole = Some(Condition::and(whole, among(field, &texts, has_null)?));
        }
        whole
    }

    /// Conditions for the rows of all groups, no row in two of them.
    fn conditions(&self) -> Vec<Condition> {
        if let [(field, _)] = self.keys.as_slice() {
            let mut values: Vec<Value> = self.groups.iter().filter_map(|group| group[0].clone()).collect();
            values.sort_by_cached_key(ToString::to_string);
            let mut conditions: Vec<Condition> = values
                .chunks(MOST_VALUES)
                .map(|values| Condition::In {
                    field: field.clone(),
                    values: values.to_vec(),
                    negated: false,
                })
                .collect();
            if self.groups.contains(&[None][..]) {
                let none = is_null(field);
                match conditions.pop() {
                    Some(last) => conditions.push(Condition::Or(vec![last, none])),
                    None => conditions.push(none),
                }
            }
            return conditions;
        }
        if let Some(condition) = self.by_key() {
            return vec![condition];
        }
        let mut groups: Vec<&Vec<Option<Value>>> = self.groups.iter().collect();
        groups.sort_by_cached_key(|group| format!("{group:?}"));
        groups
            .chunks((MOST_COMPARISONS / self.keys.len().max(1)).max(1))
            .map(|groups| {
                let mut parts: Vec<Condition> = groups.iter().map(|group| self.condition(group)).collect();
                match parts.len() {
                    1 => parts.remove(0),
                    _ => Condition::Or(parts),
                }
            })
            .collect()
    }

    /// The condition for the rows of one group.
    fn condition(&self, group: &[Option<Value>]) -> Condition {
        let parts = self.keys.iter().enumerate().zip(group);
        Condition::And(
            parts
                .map(|((index, (field, _)), value)| {
                    let Some(value) = value else { return is_null(field) };
                    let equal = Condition::Compare {
                        field: field.clone(),
                        op: CompareOp::Eq,
                        value: value.clone(),
                    };
                    // Where no group is without a value, unset ones may read as false.
                    let unset_is_false = *value == Value::Boolean(false)
                        && !self.groups.iter().any(|group| group[index].is_none());
                    match unset_is_false {
                        true => Condition::Or(vec![equal, is_null(field)]),
                        false => equal,
                    }
                })
                .collect(),
        )
    }

    /// The condition for rows with a blank at an edge of a key; none where no key could have one.
    fn blanks(&self) -> Option<Condition> {
        let texts = self.keys.iter().filter(|(_, kind)| *kind == GroupKeyKind::Text);
        crate::query::text::with_blank_edges(texts.map(|(field, _)| field.as_str()))
    }
}

/// Texts that the keys of groups had before, or are said to have. That they are all is proven each time: the gateway groups just
/// the rows that have one of them, or none, and surely no blank at an edge; if these are as many as there are rows, no row has
/// another text. No two of the texts can be taken for one, so that no group holds two of them.
#[derive(Debug)]
pub struct ExpectedKeys {
    /// For each key its texts; none of a key that is no text.
    texts: Vec<Option<Arc<Vec<String>>>>,
    /// The rows that have them.
    among: Condition,
}

impl ExpectedKeys {
    /// Makes known which texts a key may have in all rows of an object, where no groups have shown it; asked once for each.
    pub fn suggest(client: &Client, rows: &Query, field: &str, texts: impl FnOnce() -> Option<Vec<String>>) {
        client.known_texts().suggest(rows, field, || {
            let texts = texts()?;
            let plain = texts.iter().all(|text| is_plain(&Value::Text(text.clone())));
            let few = texts.len() <= MOST_EXPECTED && plain;
            (few && are_unmistakable(texts.iter().map(String::as_str))).then_some(texts)
        });
    }

    /// They are not, or no longer, all.
    pub fn forget(client: &Client, keys: &[(String, GroupKeyKind)], rows: &Query) {
        for (field, _) in keys {
            client.known_texts().forget_of(rows, field);
        }
    }

    /// Texts that are known for groups of `rows`, the query without groups; `None`: of some key there are none, or no key is
    /// text. Nor may a field that the conditions compare (`texts_compared`) have a blank at an edge.
    pub fn of(
        client: &Client,
        keys: &[(String, GroupKeyKind)],
        rows: &Query,
        texts_compared: &[String],
    ) -> Option<ExpectedKeys> {
        if rows.case_insensitive {
            return None;
        }
        let mut condition = None;
        let mut texts = Vec::with_capacity(keys.len());
        for (field, kind) in keys {
            if !kind.is_text() {
                texts.push(None);
                continue;
            }
            let known = client.known_texts().of(rows, field)?;
            condition = Some(Condition::and(condition, among(field, &known, true)?));
            texts.push(Some(known));
        }
        let mut among = condition?;
        let compared = crate::query::text::without_blank_edges(texts_compared.iter().map(String::as_str));
        for without in [without_blanks(keys), compared].into_iter().flatten() {
            among = Condition::and(Some(among), without);
        }
        Some(ExpectedKeys { texts, among })
    }

    /// The query of groups, of those rows.
    #[must_use]
    pub fn groups(&self, query: &Query) -> Query {
        let mut query = query.clone();
        query.filter = Some(Condition::and(query.filter, self.among.clone()));
        query
    }

    /// Whether the keys received are among those expected.
    pub fn cover(&self, received: &ReceivedKeys) -> bool {
        let is_known = |(texts, value): (&Option<Arc<Vec<String>>>, &Option<Value>)| match (texts, value) {
            (Some(texts), Some(Value::Text(text))) => texts.binary_search(text).is_ok(),
            _ => true,
        };
        let groups = received.groups.iter();
        let mut groups = groups.map(|group| self.texts.iter().zip(group).all(is_known));
        !received.not_representable && groups.all(|known| known)
    }
}

/// Rows that have one of these texts, or none; `None`: of no texts.
fn among(field: &str, texts: &[impl AsRef<str>], or_null: bool) -> Option<Condition> {
    let values = texts.iter().map(|text| Value::Text(text.as_ref().to_owned()));
    let listed = Condition::In {
        field: field.to_owned(),
        values: values.collect(),
        negated: false,
    };
    match (texts.is_empty(), or_null) {
        (true, true) => Some(is_null(field)),
        (true, false) => None,
        (false, true) => Some(Condition::Or(vec![listed, is_null(field)])),
        (false, false) => Some(listed),
    }
}

/// Rows without a blank at an edge of a key that could have one.
fn without_blanks(keys: &[(String, GroupKeyKind)]) -> Option<Condition> {
    let texts = keys.iter().filter(|(_, kind)| *kind == GroupKeyKind::Text);
    crate::query::text::without_blank_edges(texts.map(|(field, _)| field.as_str()))
}

/// Whether no two of the texts can be taken for one another, by whatever rule: they differ in their letters and digits, case
/// aside. Of letters beyond A to Z it is not known what they are taken for.
fn are_unmistakable<'t>(texts: impl IntoIterator<Item = &'t str>) -> bool {
    let mut known = HashSet::new();
    texts.into_iter().all(|text| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        text.is_ascii() && known.insert(letters.map(|c| c.to_ascii_uppercase()).collect::<String>())
    })
}

fn is_null(field: &str) -> Condition {
    Condition::IsNull {
        field: field.to_owned(),
        negated: false,
    }
}

/// Text that the gateway compares as it stands, as far as is known.
fn is_plain(value: &Value) -> bool {
    let Value::Text(text) = value else { return true };
    let is_lost = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    !text.is_empty() && text.trim() == text && !text.chars().any(is_lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formatting::UserFormatting;

    fn received(keys: &[(&str, GroupKeyKind)], groups: &[&[&str]]) -> ReceivedKeys {
        let keys = keys.iter().map(|(field, kind)| ((*field).to_owned(), *kind));
        let mut received = ReceivedKeys::new(keys.collect());
        let formatting = UserFormatting {
            locale: "en_US".into(),
            date_format: "/mdY".into(),
            gmt_offset_seconds: 0,
            clock: 24,
        };
        let reader = CellReader::new(&formatting, None);
        for group in groups {
            let cells = group
                .iter()
                .map(|cell| Some(cell.as_bytes()).filter(|cell| !cell.is_empty()));
            received.add(cells, &reader).expect("cells of their types");
        }
        received
    }

    fn texts(received: &ReceivedKeys) -> Vec<String> {
        received.conditions().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_key_is_a_list() {
        let one = received(&[("NAME", GroupKeyKind::Text)], &[&["b"], &["a"], &["B"], &["b"]]);
        assert_eq!(texts(&one), ["NAME in ('B', 'a', 'b')"]);
        let with_null = received(&[("NAME", GroupKeyKind::Text)], &[&["b"], &[""]]);
        assert_eq!(texts(&with_null), ["NAME in ('b') or NAME is null"]);
        assert_eq!(
            texts(&received(&[("NAME", GroupKeyKind::Text)], &[&[""]])),
            ["NAME is null"]
        );
    }

    #[test]
    fn several_keys_are_an_or_of_ands() {
        let keys = [
            ("CITY", GroupKeyKind::Text),
            ("SINCE", GroupKeyKind::Date),
            ("VIP", GroupKeyKind::Boolean),
        ];
        let some = received(
            &keys,
            &[&["Zürich", "01/31/2024", "true"], &["", "02/29/2024", "false"]],
        );
        assert_eq!(
            texts(&some),
            [
                "[CITY is null and SINCE = 02/29/2024 and [VIP = false or VIP is null]] or \
              [CITY = 'Zürich' and SINCE = 01/31/2024 and VIP = true]"
            ]
        );
        let unset = received(&keys[1..], &[&["01/31/2024", "false"], &["01/31/2024", ""]]);
        assert_eq!(
            texts(&unset),
            ["[SINCE = 01/31/2024 and VIP is null] or [SINCE = 01/31/2024 and VIP = false]"]
        );
    }

    #[test]
    fn texts_that_nothing_can_mistake_are_listed_by_key() {
        let keys = [
            ("CITY", GroupKeyKind::Text),
            ("STATE", GroupKeyKind::Listed),
            ("SINCE", GroupKeyKind::Date),
        ];
        let groups: [&[&str]; 3] = [
            &["Bonn", "Paid", "01/31/2024"],
            &["", "Paid", "01/31/2024"],
            &["Köln-2", "Open", "01/31/2024"],
        ];
        assert_eq!(
            texts(&received(&keys, &groups[..2])),
            ["[CITY in ('Bonn') or CITY is null] and STATE in ('Paid')"]
        );
        assert_eq!(texts(&received(&keys, &groups)).len(), 1);
        assert!(texts(&received(&keys, &groups))[0].contains("SINCE = 01/31/2024"));
        for (mistakable, texts) in [
            (false, &["a", "b", "c 1", "c2"][..]),
            (true, &["a", "A"]),
            (true, &["a b", "a-B"]),
            (true, &["-", "+"]),
            (true, &["ä"]),
        ] {
            assert_eq!(!are_unmistakable(texts.iter().copied()), mistakable, "{texts:?}");
        }
    }

    #[test]
    fn many_keys_take_several_requests() {
        let many: Vec<String> = (0..MOST_VALUES + 1).map(|number| format!("v{number}")).collect();
        let groups: Vec<[&str; 2]> = many.iter().map(|text| [text.as_str(), "7"]).collect();
        let rows: Vec<&[&str]> = groups.iter().map(|group| &group[..1]).collect();
        assert_eq!(
            received(&[("NAME", GroupKeyKind::Text)], &rows)
                .conditions()
                .len(),
            2
        );
        let groups: Vec<[&str; 2]> = groups.iter().map(|group| [group[0], "7"]).collect();
        let mut rows: Vec<&[&str]> = groups[..MOST_COMPARISONS / 2]
            .iter()
            .map(|group| &group[..])
            .collect();
        rows.push(&["V-1", "7"]);
        let pairs = received(
            &[("NAME", GroupKeyKind::Text), ("N", GroupKeyKind::Number)],
            &rows,
        );
        assert_eq!(pairs.conditions().len(), 2);
    }

    #[test]
    fn what_cannot_be_compared_is_not() {
        for text in ["a ", " a", "a\u{1}", "\u{a0}a"] {
            assert!(
                received(&[("NAME", GroupKeyKind::Text)], &[&[text]]).not_representable,
                "{text:?}"
            );
        }
        let listed = received(&[("STATE", GroupKeyKind::Listed)], &[&["Paid"]]);
        assert!(!listed.not_representable && listed.blanks().is_none());
        let free = received(
            &[("STATE", GroupKeyKind::Listed), ("NAME", GroupKeyKind::Text)],
            &[&["Paid", "x"]],
        );
        let blanks = free.blanks().expect("a free text").to_string();
        assert_eq!(blanks, "NAME like '% ' or NAME like ' %'");
    }
}
