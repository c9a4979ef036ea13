//! Whether rows come in an order that an option merely assumes: that the gateway sorts text by its bytes, and NULLs as
//! the greatest values (`ordering 'binary'`).
//!
//! The plan above relies on the order (a merge join, a window, a LIMIT), so rows out of it are an error and never an
//! answer.

use super::order::{compare_moments, compare_numbers};
use crate::error::{Error, ErrorKind};
use crate::query::{Query, SelectItem};
use crate::xml::page::Page;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A key of an order that is to be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssumedKey {
    /// Its field, one of those that the query sorts by.
    pub field: String,
    /// How its values compare.
    pub values: KeyValues,
}

/// How the values of a key compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyValues {
    /// By their bytes.
    Text,
    /// As decimals.
    Numbers,
    /// As dates or readings of a clock.
    Times,
}

struct Key {
    column: usize,
    values: KeyValues,
    descending: bool,
}

/// Follows the rows of an answer.
pub(super) struct Assumed<'a> {
    query: &'a Query,
    keys: Vec<Key>,
    last: Option<Vec<Option<Vec<u8>>>>,
}

impl<'a> Assumed<'a> {
    /// Keys that the query does not sort by, or does not show, are not looked at, nor those behind them.
    pub(super) fn new(query: &'a Query, assumed: &[AssumedKey]) -> Self {
        let key = |assumed: &AssumedKey| {
            let order = query.order_by.iter();
            let order = order.filter(|key| key.field.eq_ignore_ascii_case(&assumed.field));
            let shows = |item: &SelectItem| matches!(item, SelectItem::Field(field) if field.eq_ignore_ascii_case(&assumed.field));
            Some(Key {
                descending: order.map(|key| key.descending).next()?,
                column: query.select.iter().position(shows)?,
                values: assumed.values,
            })
        };
        Assumed {
            query,
            keys: assumed.iter().filter_map(key).collect(),
            last: None,
        }
    }

    /// Takes the rows of the next page.
    pub(super) fn accept(&mut self, page: &Page) -> Result<(), Error> {
        if self.keys.is_empty() {
            return Ok(());
        }
        for row in 0..page.rows() {
            let in_order = match (row.checked_sub(1), &self.last) {
                (Some(before), _) => self.follows(|key| page.cell(before, key.column), page, row),
                (None, Some(last)) => {
                    let mut cells = last.iter();
                    self.follows(|_| cells.next().and_then(|cell| cell.as_deref()), page, row)
                }
                (None, None) => true,
            };
            if !in_order {
                return Err(self.disorder());
            }
        }
        if let Some(end) = page.rows().checked_sub(1) {
            let cell = |key: &Key| page.cell(end, key.column).map(<[u8]>::to_vec);
            self.last = Some(self.keys.iter().map(cell).collect());
        }
        Ok(())
    }

    /// Whether a row may follow one with the keys that `before` gives, asked for in their order.
    fn follows<'p>(
        &self,
        mut before: impl FnMut(&Key) -> Option<&'p [u8]>,
        page: &'p Page,
        row: usize,
    ) -> bool {
        for key in &self.keys {
            let (a, b) = (before(key), page.cell(row, key.column));
            let order = match (a, b) {
                (None, None) => Some(Ordering::Equal),
                (None, Some(_)) => Some(Ordering::Greater),
                (Some(_), None) => Some(Ordering::Less),
                (Some(a), Some(b)) if a == b => Some(Ordering::Equal),
                (Some(a), Some(b)) => match key.values {
                    KeyValues::Text => Some(a.cmp(b)),
                    KeyValues::Numbers => compare_numbers(a, b),
                    KeyValues::Times => compare_moments(a, b),
                },
            };
            let order = match key.descending {
                true => order.map(Ordering::reverse),
                false => order,
            };
            match order {
                Some(Ordering::Equal) => {}
                Some(Ordering::Greater) => return false,
                // A cell that is no value of its type is an error elsewhere.
                Some(Ordering::Less) | None => return true,
            }
        }
        true
    }

    fn disorder(&self) -> Error {
        let fields: Vec<&str> = self.query.order_by.iter().map(|key| key.field.as_str()).collect();
        let message = format!(
            "rows of {} do not come in the order that the server option ordering 'binary' declares",
            self.query.object
        );
        Error::new(ErrorKind::Option, message).with_hint(format!(
            "The rows were asked for in the order of {}. Set the server option ordering to 'proven': check() shows how the \
             gateway sorts text and NULLs.",
            fields.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::OrderKey;

    fn query(keys: &[(&str, bool)]) -> Query {
        let mut query = Query::new("CUSTOMER");
        query.select = keys
            .iter()
            .map(|(field, _)| SelectItem::Field((*field).into()))
            .collect();
        query.order_by = keys
            .iter()
            .map(|(field, descending)| OrderKey {
                field: (*field).into(),
                descending: *descending,
            })
            .collect();
        query
    }

    /// Whether the pages pass; an empty cell is NULL.
    fn passes(keys: &[(&str, bool, KeyValues)], pages: &[&[&[&str]]]) -> bool {
        let order: Vec<_> = keys
            .iter()
            .map(|(field, descending, _)| (*field, *descending))
            .collect();
        let query = query(&order);
        let assumed: Vec<_> = keys
            .iter()
            .map(|(field, _, values)| AssumedKey {
                field: (*field).into(),
                values: *values,
            })
            .collect();
        let mut assumed = Assumed::new(&query, &assumed);
        pages
            .iter()
            .all(|rows| assumed.accept(&Page::of_cells(rows)).is_ok())
    }

    #[test]
    fn text_comes_by_its_bytes() {
        let key = [("NAME", false, KeyValues::Text)];
        assert!(passes(
            &key,
            &[&[&["B"], &["a"], &["b"]], &[&["b"], &["ä"], &[""]]]
        ));
        assert!(!passes(&key, &[&[&["a"], &["B"]]]));
        assert!(!passes(&key, &[&[&["a"]], &[&["B"]]]), "across pages");
        assert!(!passes(&key, &[&[&["10"], &["9"], &["10"]]]));
        assert!(passes(&key, &[&[&["10"], &["9"]]]), "as text");
        let key = [("NAME", true, KeyValues::Text)];
        assert!(passes(&key, &[&[&[""], &["b"], &["B"]]]));
        assert!(!passes(&key, &[&[&["B"], &["b"]]]));
    }

    #[test]
    fn nulls_are_the_greatest_of_any_type() {
        for values in [KeyValues::Text, KeyValues::Numbers, KeyValues::Times] {
            let ascending = [("K", false, values)];
            assert!(passes(&ascending, &[&[&["1"]], &[&[""]], &[&[""]]]), "{values:?}");
            assert!(!passes(&ascending, &[&[&[""]], &[&["1"]]]), "{values:?}");
            let descending = [("K", true, values)];
            assert!(passes(&descending, &[&[&[""], &["1"]]]), "{values:?}");
            assert!(!passes(&descending, &[&[&["1"], &[""]]]), "{values:?}");
        }
    }

    #[test]
    fn later_keys_count_among_equals_only() {
        let keys = [("N", true, KeyValues::Numbers), ("T", false, KeyValues::Text)];
        assert!(passes(
            &keys,
            &[&[&["10", "z"], &["9.50", "a"], &["9.5", "b"], &["9", "A"]]]
        ));
        assert!(!passes(&keys, &[&[&["9.50", "b"], &["9.5", "a"]]]));
        assert!(!passes(&keys, &[&[&["9", "a"], &["10", "b"]]]));
        let times = [("D", false, KeyValues::Times)];
        assert!(passes(&times, &[&[&["12/31/2023"], &["01/01/2024"]]]));
        assert!(!passes(&times, &[&[&["01/02/2024"], &["12/31/2023"]]]));
    }
}
