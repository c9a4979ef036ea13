//! Whether rows stand in the order that was asked for.
//!
//! A cell does not show its type: `10` before `9` is right for text and wrong for numbers. So each key starts with
//! every reading that its cells may have, loses those by which a row came out of order, and the rows are out of order
//! when no reading is left. A sequence that passes ascends by at least one reading: no page can come twice.

use crate::formatting::reading;
use crate::query::{CompareOp, Condition, OrderKey, Query, SelectItem, Value};
use crate::xml::page::Page;
use std::cmp::Ordering;

/// The key columns of a page.
pub(super) struct Keys<'a> {
    pub(super) keys: &'a [OrderKey],
    columns: Vec<usize>,
    /// For each key, the readings by which all rows so far are in order.
    readings: Vec<Vec<Reading>>,
}

/// Compares two cells as something; `None` when they are not that.
type Reading = fn(&[u8], &[u8]) -> Option<Ordering>;

const READINGS: [Reading; 3] = [compare_bytes, compare_numbers, compare_moments];

impl<'a> Keys<'a> {
    /// `Err` names a key that is not selected.
    pub(super) fn new(query: &Query, keys: &'a [OrderKey]) -> Result<Self, &'a str> {
        let column = |key: &'a OrderKey| {
            let is_key = |item: &SelectItem| matches!(item, SelectItem::Field(field) if field.eq_ignore_ascii_case(&key.field));
            query.select.iter().position(is_key).ok_or(key.field.as_str())
        };
        let columns = keys.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Keys::of_columns(keys, columns))
    }

    fn of_columns(keys: &'a [OrderKey], columns: Vec<usize>) -> Self {
        Keys {
            keys,
            columns,
            readings: vec![READINGS.to_vec(); keys.len()],
        }
    }

    /// The keys of a row; `Err` names a key without a value.
    pub(super) fn of_row<'p>(&self, page: &'p Page, row: usize) -> Result<Vec<&'p [u8]>, &'a str> {
        let cells = self.keys.iter().zip(&self.columns);
        cells
            .map(|(key, column)| page.cell(row, *column).ok_or(key.field.as_str()))
            .collect()
    }

    /// The row with just these keys.
    pub(super) fn find(&self, page: &Page, keys: &[Vec<u8>]) -> Option<usize> {
        let is_it = |row: &usize| {
            let cells = self.columns.iter().map(|column| page.cell(*row, *column));
            cells.eq(keys.iter().map(|key| Some(key.as_slice())))
        };
        (0..page.rows()).find(is_it)
    }

    /// The column of the last key, which is unique.
    pub(super) fn last_column(&self) -> usize {
        self.columns.last().copied().unwrap_or_default()
    }

    /// Goes through the rows of a page, the first of which follows `last`. Gives the first row that may not come where
    /// it comes; `Err` names a key without a value.
    pub(super) fn advance(
        &mut self,
        page: &Page,
        last: Option<&Vec<Vec<u8>>>,
    ) -> Result<Option<usize>, &'a str> {
        for row in 0..page.rows() {
            for (key, column) in self.keys.iter().zip(&self.columns) {
                page.cell(row, *column).ok_or(key.field.as_str())?;
            }
            let follows = match (row.checked_sub(1), last) {
                (Some(before), _) => self.in_order(|columns, key| page.cell(before, columns[key]), page, row),
                (None, Some(last)) => self.in_order(|_, key| last.get(key).map(Vec::as_slice), page, row),
                (None, None) => true,
            };
            if !follows {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Whether a row of the page may follow one with the keys that `before` gives, by what all calls so far have in
    /// common.
    fn in_order<'p>(
        &mut self,
        before: impl Fn(&[usize], usize) -> Option<&'p [u8]>,
        page: &Page,
        row: usize,
    ) -> bool {
        for (number, (key, readings)) in self.keys.iter().zip(&mut self.readings).enumerate() {
            let a = before(&self.columns, number).unwrap_or_default();
            let b = page.cell(row, self.columns[number]).unwrap_or_default();
            if a == b {
                continue;
            }
            let wanted = if key.descending {
                Ordering::Greater
            } else {
                Ordering::Less
            };
            let mut later = false;
            readings.retain(|reading| {
                let found = reading(a, b);
                later |= found == Some(wanted);
                matches!(found, Some(found) if found != wanted.reverse())
            });
            if later || readings.is_empty() {
                return later;
            }
        }
        false
    }

    /// The condition of rows that come after a row with these keys: later in the first key, or equal there and later
    /// in the second, and so on.
    pub(super) fn after(&self, last: &[Vec<u8>]) -> Condition {
        self.beside(last, |descending, _| match descending {
            true => CompareOp::Lt,
            false => CompareOp::Gt,
        })
    }

    /// The condition of all other rows: those that come before it, and itself.
    pub(super) fn until(&self, last: &[Vec<u8>]) -> Condition {
        self.beside(last, |descending, is_last_key| match (descending, is_last_key) {
            (true, true) => CompareOp::Ge,
            (true, false) => CompareOp::Gt,
            (false, true) => CompareOp::Le,
            (false, false) => CompareOp::Lt,
        })
    }

    fn beside(&self, last: &[Vec<u8>], op: impl Fn(bool, bool) -> CompareOp) -> Condition {
        let values: Vec<Value> = last.iter().map(|cell| reading::value_to_send(cell)).collect();
        let compare = |index: usize, op: CompareOp| Condition::Compare {
            field: self.keys[index].field.clone(),
            op,
            value: values[index].clone(),
        };
        let later = |index: usize| {
            let equal = (0..index).map(|earlier| compare(earlier, CompareOp::Eq));
            let op = op(self.keys[index].descending, index + 1 == self.keys.len());
            let mut parts: Vec<Condition> = equal.chain([compare(index, op)]).collect();
            if parts.len() == 1 {
                parts.remove(0)
            } else {
                Condition::And(parts)
            }
        };
        let mut alternatives: Vec<Condition> = (0..self.keys.len()).map(later).collect();
        if alternatives.len() == 1 {
            alternatives.remove(0)
        } else {
            Condition::Or(alternatives)
        }
    }
}

fn compare_bytes(a: &[u8], b: &[u8]) -> Option<Ordering> {
    Some(a.cmp(b))
}

/// Exact comparison of plain decimals.
pub(super) fn compare_numbers(a: &[u8], b: &[u8]) -> Option<Ordering> {
    let (a, b) = (decimal(a)?, decimal(b)?);
    Some(match (a.0, b.0) {
        (false, false) => magnitude(&a, &b),
        (true, true) => magnitude(&b, &a),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    })
}

/// Is negative, whole digits, fraction digits; without zeros that say nothing.
type Decimal<'a> = (bool, &'a [u8], &'a [u8]);

fn decimal(cell: &[u8]) -> Option<Decimal<'_>> {
    let (negative, rest) = match cell {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, cell),
    };
    let point = rest.iter().position(|b| *b == b'.').unwrap_or(rest.len());
    let (whole, fraction) = (&rest[..point], rest.get(point + 1..).unwrap_or_default());
    if rest.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = whole.iter().take_while(|b| **b == b'0').count();
    let trailing = fraction.iter().rev().take_while(|b| **b == b'0').count();
    let (whole, fraction) = (&whole[zeros..], &fraction[..fraction.len() - trailing]);
    Some((
        negative && !(whole.is_empty() && fraction.is_empty()),
        whole,
        fraction,
    ))
}

fn magnitude(a: &Decimal<'_>, b: &Decimal<'_>) -> Ordering {
    a.1.len()
        .cmp(&b.1.len())
        .then_with(|| a.1.cmp(b.1))
        .then_with(|| a.2.cmp(b.2))
}

pub(super) fn compare_moments(a: &[u8], b: &[u8]) -> Option<Ordering> {
    Some(reading::wall_clock(a)?.cmp(&reading::wall_clock(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(descending: &[bool]) -> Vec<OrderKey> {
        let key = |(i, d): (usize, &bool)| OrderKey {
            field: format!("K{i}"),
            descending: *d,
        };
        descending.iter().enumerate().map(key).collect()
    }

    /// Whether these rows of keys are in order.
    fn in_order(descending: &[bool], rows: &[&[&str]]) -> bool {
        let keys = keys(descending);
        let mut keys = Keys::of_columns(&keys, (0..keys.len()).collect());
        keys.advance(&Page::of_cells(rows), None) == Ok(None)
    }

    #[test]
    fn some_reading_must_put_all_rows_in_order() {
        assert!(in_order(&[false], &[&["9"], &["10"], &["11"]]));
        assert!(in_order(&[false], &[&["10"], &["9"], &["90"]]));
        assert!(in_order(
            &[false],
            &[&["12/31/2023"], &["01/01/2024"], &["01/01/2024 00:00:01"]]
        ));
        assert!(in_order(&[true], &[&["01/01/2024 00:00:01"], &["01/01/2024"]]));
        assert!(in_order(&[true], &[&["-1.5"], &["-1.50001"]]));
        assert!(!in_order(&[false], &[&["10"], &["10"]]));
        assert!(!in_order(&[false], &[&["b"], &["a"]]));
        assert!(!in_order(&[false], &[&["20"], &["10"]]));
        assert!(!in_order(&[false], &[&["9"], &["10"], &["73"], &["8"]]));
        assert!(!in_order(&[false], &[&["10"], &["9"], &["10"]]));
        assert!(!in_order(&[false], &[&["01/02/2024"], &["01/01/2024"]]));
    }

    #[test]
    fn later_keys_decide_among_equals() {
        assert!(in_order(
            &[true, false],
            &[&["6", "1"], &["5.0", "1"], &["5.00", "2"], &["5.00", "10"]]
        ));
        assert!(!in_order(&[false, false], &[&["a", "2"], &["a", "2"]]));
        assert!(!in_order(&[false, false], &[&["a", "3"], &["a", "2"]]));
    }

    #[test]
    fn the_rest_comes_after_the_last_row() {
        let keys = keys(&[true, false]);
        let after = Keys::of_columns(&keys, vec![0, 1]).after(&[b"2024-03-01".to_vec(), b"17".to_vec()]);
        assert_eq!(
            after.to_string(),
            "K0 < 03/01/2024 or [K0 = 03/01/2024 and K1 > 17]"
        );
        let until = Keys::of_columns(&keys, vec![0, 1]).until(&[b"2024-03-01".to_vec(), b"17".to_vec()]);
        assert_eq!(
            until.to_string(),
            "K0 > 03/01/2024 or [K0 = 03/01/2024 and K1 <= 17]"
        );
        let single = Keys::of_columns(&keys[1..], vec![1]).after(&[b"O'Brien".to_vec()]);
        assert_eq!(single.to_string(), "K1 > 'O''Brien'");
    }

    proptest! {
        #[test]
        fn numbers_compare_as_numbers(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000) {
            let text = |n: i64| format!("{}{}.{:03}", if n < 0 { "-" } else { "" }, n.abs() / 1000, n.abs() % 1000);
            prop_assert_eq!(compare_numbers(text(a).as_bytes(), text(b).as_bytes()), Some(a.cmp(&b)));
        }
    }
}
