//! Row keys that were handed out: in an order other than the key's, a row that changes may come up again.

use crate::xml::page::Page;
use roaring::RoaringTreemap;
use std::collections::HashSet;

/// The keys of rows that were handed out. Numbers take a few bytes each at most, however many there are.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    numbers: RoaringTreemap,
    others: HashSet<Box<[u8]>>,
}

impl Seen {
    /// Remembers the keys of a page that was handed out, which stand in this column.
    pub fn add(&mut self, page: &Page, column: usize) {
        for key in (0..page.rows()).filter_map(|row| page.cell(row, column)) {
            self.is_new(key);
        }
    }

    /// Takes out of the page the rows whose key was seen before, and remembers the others.
    pub(super) fn take_out(&mut self, page: &mut Page, column: usize) {
        let repeated: Vec<usize> = (0..page.rows())
            .filter(|row| page.cell(*row, column).is_some_and(|key| !self.is_new(key)))
            .collect();
        page.drop_rows(&repeated);
    }

    fn is_new(&mut self, key: &[u8]) -> bool {
        // Only numbers in the one form that they have in both directions: 7 and 007 are two keys.
        let number = std::str::from_utf8(key)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
            .filter(|_| key[0] != b'0' && key[0] != b'+');
        match number {
            Some(number) => self.numbers.insert(number),
            None => self.others.insert(key.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once() {
        let mut seen = Seen::default();
        for key in [
            "7",
            "007",
            "+7",
            "0",
            "18446744073709551615",
            "18446744073709551616",
            "x",
            "-7",
        ] {
            assert!(seen.is_new(key.as_bytes()), "{key}");
        }
        for key in [
            "7",
            "007",
            "+7",
            "0",
            "18446744073709551615",
            "18446744073709551616",
            "x",
            "-7",
        ] {
            assert!(!seen.is_new(key.as_bytes()), "{key}");
        }
    }
}
