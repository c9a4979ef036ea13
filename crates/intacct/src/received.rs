//! Keys of groups that the gateway made: whether their rows have those very keys.
//!
//! Whether texts that differ by case or by blanks at an edge make one group is not known (fact 31), and the numbers of such groups
//! add up all the same. So rows are counted under the keys that were received: text is compared with regard to case, and
//! rows that went into the group of another text are missing from the number. Comparisons may disregard blanks themselves, so
//! that no text with one at an edge may be there at all.

use crate::client::Client;
use crate::dialect::{DialectKind, PageRequest};
use crate::error::Error;
use crate::formatting::{CellError, CellReader};
use crate::query::{CompareOp, Condition, Count, Query, Value};
use futures_util::future::try_join_all;
use std::collections::HashSet;

/// Keys of one request: as many values as a list of a condition has at most.
const MOST_VALUES: usize = crate::query::MOST_LISTED;
/// Keys of one request where a group has several: each then takes a comparison for every field.
const MOST_COMPARISONS: usize = 3000;
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

    /// Counts the rows of `rows`, the query without groups, that have the keys received.
    ///
    /// # Errors
    /// What a request failed with.
    pub async fn count(
        &self,
        client: &Client,
        rows: &Query,
        kind: DialectKind,
    ) -> Result<Confirmation, Error> {
        let is_text = |kind: &GroupKeyKind| matches!(kind, GroupKeyKind::Text | GroupKeyKind::Listed);
        if self.groups.is_empty() || !self.keys.iter().any(|(_, kind)| is_text(kind)) {
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
        let blanks: Vec<Query> = self.blanks().map(query).into_iter().collect();
        let counts = conditions.into_iter().enumerate().map(|(number, condition)| {
            let (query, blanks) = (query(condition), &blanks);
            async move {
                let beside = if number == 0 { blanks.as_slice() } else { &[] };
                let request = PageRequest { size: 1, offset: 0 };
                client.page_beside(&query, kind, &request, false, beside).await
            }
        });
        let mut all = 0;
        for (page, beside) in try_join_all(counts).await? {
            for blanks in beside {
                if blanks?.total_count != Some(0) {
                    return Ok(Confirmation::Impossible);
                }
            }
            match page.total_count {
                Some(rows) => all += rows,
                None => return Ok(Confirmation::Impossible),
            }
        }
        Ok(Confirmation::Rows(all))
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
            &[&["Bonn", "01/31/2024", "true"], &["", "02/29/2024", "false"]],
        );
        assert_eq!(
            texts(&some),
            [
                "[CITY is null and SINCE = 02/29/2024 and [VIP = false or VIP is null]] or \
              [CITY = 'Bonn' and SINCE = 01/31/2024 and VIP = true]"
            ]
        );
        let unset = received(&keys[1..], &[&["01/31/2024", "false"], &["01/31/2024", ""]]);
        assert_eq!(
            texts(&unset),
            ["[SINCE = 01/31/2024 and VIP is null] or [SINCE = 01/31/2024 and VIP = false]"]
        );
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
        let rows: Vec<&[&str]> = groups[..MOST_COMPARISONS / 2 + 1]
            .iter()
            .map(|group| &group[..])
            .collect();
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
