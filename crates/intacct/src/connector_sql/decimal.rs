//! Exact decimals, for sums and averages that are computed locally.

use std::fmt;

/// Digits of a number of 128 bits that can be relied on.
const MAX_DIGITS: usize = 37;

/// Significant digits of a quotient, at least: what PostgreSQL's `numeric` gives.
const MIN_SIGNIFICANT: i32 = 16;

/// A decimal number: `units` divided by ten to the power of `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    units: i128,
    scale: u32,
}

impl Decimal {
    /// Reads plain digits with at most one point; `None` for anything else and for more digits than are exact.
    pub(super) fn read(text: &str) -> Option<Decimal> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        let plain = !all.is_empty() && all.bytes().all(|b| b.is_ascii_digit());
        if !plain || all.trim_start_matches('0').len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
            return None;
        }
        let units: i128 = all.parse().ok()?;
        Some(Decimal {
            units: if negative { -units } else { units },
            scale: u32::try_from(fraction.len()).ok()?,
        })
    }

    /// The sum; `None` when it has more digits than are exact.
    pub(super) fn add(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let widen = |number: Decimal| {
            number
                .units
                .checked_mul(10_i128.checked_pow(scale - number.scale)?)
        };
        Some(Decimal {
            units: widen(self)?.checked_add(widen(other)?)?,
            scale,
        })
    }

    /// The quotient by a number of rows, with as many digits as PostgreSQL's `avg` gives.
    pub(super) fn divided_by(self, rows: u64) -> String {
        let scale = self.quotient_scale(rows);
        let rows = i128::from(rows);
        let magnitude = self.units.abs();
        let divisor = 10_i128.pow(self.scale).saturating_mul(rows);
        let mut digits = (magnitude / divisor).to_string();
        let mut rest = magnitude % divisor;
        if scale > 0 {
            digits.push('.');
        }
        for _ in 0..scale {
            // The rest is smaller than the divisor, and one digit is taken at a time.
            let (digit, left) = ten_times(rest, divisor);
            digits.push(char::from(b'0' + digit));
            rest = left;
        }
        let digits = if rest >= divisor - rest {
            increment(&digits)
        } else {
            digits
        };
        let is_zero = digits.bytes().all(|b| matches!(b, b'0' | b'.'));
        match self.units < 0 && !is_zero {
            true => format!("-{digits}"),
            false => digits,
        }
    }

    /// PostgreSQL's rule for the scale of a quotient (`select_div_scale`): digits are counted in groups of four.
    fn quotient_scale(self, rows: u64) -> u32 {
        let (weight, first) = leading_group(&self.magnitude());
        let (row_weight, row_first) = leading_group(&rows.to_string());
        let mut quotient_weight = weight - row_weight;
        if first <= row_first {
            quotient_weight -= 1;
        }
        let scale = MIN_SIGNIFICANT - quotient_weight * 4;
        u32::try_from(scale).unwrap_or(0).max(self.scale)
    }

    /// The digits without a sign.
    fn magnitude(self) -> String {
        let digits = format!(
            "{:0>width$}",
            self.units.unsigned_abs(),
            width = self.scale as usize + 1
        );
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        match fraction {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.units < 0 {
            f.write_str("-")?;
        }
        f.write_str(&self.magnitude())
    }
}

/// `rest * 10` divided by `divisor`, without leaving 128 bits.
fn ten_times(rest: i128, divisor: i128) -> (u8, i128) {
    let mut digit = 0;
    let mut left = 0_i128;
    for _ in 0..10 {
        // Both are smaller than the divisor, so the sum is at most one divisor too large.
        let room = divisor - left;
        if rest >= room {
            digit += 1;
            left = rest - room;
        } else {
            left += rest;
        }
    }
    (digit, left)
}

/// Adds one to the last digit.
fn increment(digits: &str) -> String {
    let mut bytes: Vec<u8> = digits.bytes().collect();
    for byte in bytes.iter_mut().rev() {
        match byte {
            b'9' => *byte = b'0',
            b'.' => {}
            digit => {
                *digit += 1;
                return bytes.into_iter().map(char::from).collect();
            }
        }
    }
    bytes.insert(0, b'1');
    bytes.into_iter().map(char::from).collect()
}

/// Weight and value of the first group of four digits that is not zero, counted from the point; zero has weight 0.
fn leading_group(digits: &str) -> (i32, u32) {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let fraction = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let groups = |text: &str| -> Vec<u32> {
        text.as_bytes()
            .chunks(4)
            .map(|group| group.iter().fold(0, |sum, b| sum * 10 + u32::from(b - b'0')))
            .collect()
    };
    let (whole, fraction) = (groups(&whole), groups(&fraction));
    let first = i32::try_from(whole.len()).unwrap_or(i32::MAX) - 1;
    (whole.iter().chain(&fraction))
        .enumerate()
        .find(|(_, group)| **group != 0)
        .map_or((0, 0), |(index, group)| {
            (first - i32::try_from(index).unwrap_or(i32::MAX), *group)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::read(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn sums_keep_the_larger_scale() {
        let sum = |a: &str, b: &str| decimal(a).add(decimal(b)).map(|sum| sum.to_string());
        assert_eq!(sum("1.50", "2").as_deref(), Some("3.50"));
        assert_eq!(sum("-0.05", "0.05").as_deref(), Some("0.00"));
        assert_eq!(sum("999", "-1000.001").as_deref(), Some("-1.001"));
        assert_eq!(sum(&"9".repeat(37), "0.1"), Some(format!("{}.1", "9".repeat(37))));
        assert_eq!(sum(&"9".repeat(37), "0.01"), None);
    }

    #[test]
    fn other_texts_are_no_decimals() {
        for text in ["", "-", ".", "1e3", "1.2.3", "NaN", &"9".repeat(38)] {
            assert_eq!(Decimal::read(text), None, "{text}");
        }
    }

    /// The right sides are what PostgreSQL 15 answers to `SELECT a / b` with `numeric` operands.
    #[test]
    fn averages_have_the_digits_of_postgresql() {
        for (sum, rows, average) in [
            ("10", 3, "3.3333333333333333"),
            ("2", 3, "0.66666666666666666667"),
            ("1", 8, "0.12500000000000000000"),
            ("100.50", 2, "50.2500000000000000"),
            ("-7.5", 2, "-3.7500000000000000"),
            ("12345678.90", 7, "1763668.414285714286"),
            ("0", 5, "0.00000000000000000000"),
            ("99999", 10, "9999.9000000000000000"),
            ("20000", 3, "6666.6666666666666667"),
        ] {
            assert_eq!(decimal(sum).divided_by(rows), average, "{sum} / {rows}");
        }
    }

    proptest! {
        #[test]
        fn a_quotient_times_the_rows_is_the_sum(units in -1_000_000_000_000i64..1_000_000_000_000, rows in 1u64..10_000) {
            let sum = Decimal { units: units.into(), scale: 2 };
            let average: f64 = sum.divided_by(rows).parse().expect("a number");
            let expected = units as f64 / 100.0 / rows as f64;
            prop_assert!((average - expected).abs() <= expected.abs() * 1e-12 + 1e-9);
        }
    }
}
