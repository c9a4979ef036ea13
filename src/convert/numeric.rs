//! Plain decimals in the form in which PostgreSQL keeps `numeric` values.
//!
//! The form is that of values on disk, which no version since 9.1 has changed (`src/backend/utils/adt/numeric.c`,
//! `NumericShort`): a header with sign, display scale and weight, then digits of base 10000 without zeros at either end.
//! A test compares it with what `numeric_in` makes, bit by bit.

/// Digits of base 10000 at most; longer numbers are left to `numeric_in`.
const MAX_GROUPS: usize = 24;
/// Largest display scale of the short header.
const MAX_SCALE: usize = 63;

const SHORT: u16 = 0x8000;
const NEGATIVE: u16 = 0x2000;
const SCALE_SHIFT: u32 = 7;
const NEGATIVE_WEIGHT: u16 = 0x0040;
const WEIGHT_MASK: u16 = 0x003f;

/// A number ready to be stored behind a length word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    header: u16,
    groups: [i16; MAX_GROUPS],
    first: usize,
    end: usize,
}

impl Decimal {
    /// Reads sign, digits and at most one point. `None`: anything else, or more digits than are handled here.
    pub fn read(cell: &[u8]) -> Option<Decimal> {
        let (negative, rest) = match cell {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, cell),
        };
        let point = rest.iter().position(|byte| *byte == b'.').unwrap_or(rest.len());
        let (whole, fraction) = (&rest[..point], rest.get(point + 1..).unwrap_or_default());
        let whole_groups = whole.len().div_ceil(4);
        let count = whole_groups + fraction.len().div_ceil(4);
        if whole.len() + fraction.len() == 0 || count > MAX_GROUPS || fraction.len() > MAX_SCALE {
            return None;
        }
        let mut groups = [0; MAX_GROUPS];
        // Groups of four count from the point, to both sides.
        let (short, full) = whole.split_at(whole.len() % 4);
        let mut at = 0;
        if !short.is_empty() {
            groups[0] = group(short)?;
            at = 1;
        }
        for digits in full.chunks_exact(4).chain(fraction.chunks(4)) {
            let missing = 4 - digits.len() as u32;
            groups[at] = group(digits)? * 10i16.pow(missing);
            at += 1;
        }
        let first = groups[..count]
            .iter()
            .position(|group| *group != 0)
            .unwrap_or(count);
        let end = groups[..count]
            .iter()
            .rposition(|group| *group != 0)
            .map_or(count, |last| last + 1);
        let is_zero = first == count;
        let weight = if is_zero {
            0
        } else {
            whole_groups as i16 - 1 - first as i16
        };
        let mut header = SHORT | (fraction.len() as u16) << SCALE_SHIFT | weight as u16 & WEIGHT_MASK;
        if negative && !is_zero {
            header |= NEGATIVE;
        }
        if weight < 0 {
            header |= NEGATIVE_WEIGHT;
        }
        Some(Decimal {
            header,
            groups,
            first,
            end,
        })
    }

    /// The header and the digits, each two bytes in the machine's order.
    pub fn words(&self) -> impl ExactSizeIterator<Item = u16> + '_ {
        let digits = &self.groups[self.first..self.end];
        (0..digits.len() + 1).map(|index| match index.checked_sub(1) {
            None => self.header,
            Some(digit) => digits[digit] as u16,
        })
    }
}

/// Up to four digits.
fn group(digits: &[u8]) -> Option<i16> {
    digits.iter().try_fold(0i16, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(cell: &str) -> Option<Vec<u16>> {
        Decimal::read(cell.as_bytes()).map(|decimal| decimal.words().collect())
    }

    #[test]
    fn digits_are_grouped_from_the_point() {
        assert_eq!(words("0"), Some(vec![0x8000]));
        assert_eq!(words("-0.00"), Some(vec![0x8100]));
        assert_eq!(words("12345.6"), Some(vec![0x8081, 1, 2345, 6000]));
        assert_eq!(words("-10000"), Some(vec![0xa001, 1]));
        assert_eq!(words("0.00012"), Some(vec![0x8280 | 0x7f, 1, 2000]));
        assert_eq!(words("0012"), Some(vec![0x8000, 12]));
        assert_eq!(words(".5"), Some(vec![0x8080 | 0x7f, 5000]));
        assert_eq!(words("5."), Some(vec![0x8000, 5]));
    }

    #[test]
    fn anything_else_is_left_alone() {
        for cell in [
            "",
            ".",
            "-",
            "1e5",
            "1.2.3",
            "NaN",
            "1 ",
            "0x10",
            "1,5",
            &"9".repeat(97),
            "--1",
        ] {
            assert_eq!(words(cell), None, "{cell}");
        }
    }
}
