//! Cells into values. Parsers work on bytes: they run once per cell of every row.

use super::{GatewayZone, UserFormatting};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::cell::Cell;

const DAY: i64 = 86_400;
const MICROS: i64 = 1_000_000;

/// A cell that does not hold what its type says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: \"{found}\"")]
pub struct CellError {
    /// What should have stood there.
    pub expected: &'static str,
    /// What stands there, cut when long.
    pub found: String,
}

/// Reads cells under the user's formatting and the gateway's zone.
///
/// US (`MM/DD/YYYY`) and ISO (`YYYY-MM-DD`) dates differ in their separators; both occur whatever the user
/// prefers, because some objects always answer in ISO form.
#[derive(Debug, Clone)]
pub struct CellReader {
    zone: GatewayZone,
    /// Local seconds between which the zone is known to keep one offset, and that offset in seconds.
    steady: Cell<Option<(i64, i64, i64)>>,
}

fn unread<T>(expected: &'static str, cell: &[u8]) -> Result<T, CellError> {
    let found = String::from_utf8_lossy(cell).chars().take(80).collect();
    Err(CellError { expected, found })
}

impl CellReader {
    /// A reader for this user; `zone` overrides the user's offset.
    pub fn new(formatting: &UserFormatting, zone: Option<&TimeZone>) -> Self {
        CellReader {
            zone: GatewayZone::new(zone, Some(formatting)),
            steady: Cell::new(None),
        }
    }

    /// A reader of times at Greenwich.
    pub fn at_greenwich() -> Self {
        CellReader {
            zone: GatewayZone::new(Some(&TimeZone::UTC), None),
            steady: Cell::new(None),
        }
    }

    /// The zone of timestamps that do not carry theirs.
    pub fn zone(&self) -> &GatewayZone {
        &self.zone
    }

    /// A calendar day. A time behind it is accepted when it is midnight.
    ///
    /// # Errors
    /// For a cell that is not one.
    pub fn date(&self, cell: &[u8]) -> Result<Date, CellError> {
        const EXPECTED: &str = "a date (MM/DD/YYYY or YYYY-MM-DD)";
        match moment(cell) {
            Some(Moment {
                date,
                time_of_day: 0,
                micros: 0,
                ..
            }) => Ok(date),
            _ => unread(EXPECTED, cell),
        }
    }

    /// As [`date`](Self::date), in days since 1970-01-01.
    ///
    /// # Errors
    /// For a cell that is not a date.
    pub fn days(&self, cell: &[u8]) -> Result<i64, CellError> {
        self.date(cell).map(days_since_epoch)
    }

    /// Microseconds since 1970-01-01 00:00:00 UTC.
    ///
    /// A reading without an offset is of the gateway's clock, and midnight when it has no time. Where the clock is set
    /// back and a reading happens twice, the earlier instant is meant; where it is set forward over a reading, the
    /// instant that the old offset gives.
    ///
    /// # Errors
    /// For a cell that is no timestamp.
    pub fn timestamp(&self, cell: &[u8]) -> Result<i64, CellError> {
        const EXPECTED: &str = "a timestamp (MM/DD/YYYY HH:MM:SS or YYYY-MM-DDTHH:MM:SS)";
        let Some(moment) = moment(cell) else {
            return unread(EXPECTED, cell);
        };
        let local = days_since_epoch(moment.date) * DAY + moment.time_of_day;
        let offset = match moment.offset {
            Some(offset) => offset,
            None => match self.offset_at(local, &moment) {
                Some(offset) => offset,
                None => return unread(EXPECTED, cell),
            },
        };
        Ok((local - offset) * MICROS + moment.micros)
    }

    /// A reading of the gateway's clock, in microseconds since it showed 1970-01-01 00:00:00. A cell that carries its
    /// offset is put on that clock first.
    ///
    /// # Errors
    /// As [`timestamp`](Self::timestamp).
    pub fn reading(&self, cell: &[u8]) -> Result<i64, CellError> {
        const EXPECTED: &str = "a timestamp (MM/DD/YYYY HH:MM:SS or YYYY-MM-DDTHH:MM:SS)";
        let Some(moment) = moment(cell) else {
            return unread(EXPECTED, cell);
        };
        let local = days_since_epoch(moment.date) * DAY + moment.time_of_day;
        let shown = match moment.offset {
            None => Some(local),
            Some(offset) => jiff::Timestamp::from_second(local - offset).ok().map(|instant| {
                let shown = self.zone.render(instant);
                let midnight = shown.date().at(0, 0, 0, 0);
                days_since_epoch(shown.date()) * DAY + shown.duration_since(midnight).as_secs()
            }),
        };
        match shown {
            Some(shown) => Ok(shown * MICROS + moment.micros),
            None => unread(EXPECTED, cell),
        }
    }

    /// A time of day, in microseconds since midnight: `HH:MM:SS` with 24 hours, or that of a timestamp as the gateway's
    /// clock shows it.
    ///
    /// # Errors
    /// For a cell that shows no time.
    pub fn time_of_day(&self, cell: &[u8]) -> Result<i64, CellError> {
        const EXPECTED: &str = "a time of day (HH:MM:SS)";
        if let Some((seconds, rest)) = clock(cell) {
            return match fraction(rest) {
                Some((micros, [])) => Ok(seconds * MICROS + micros),
                _ => unread(EXPECTED, cell),
            };
        }
        match self.reading(cell) {
            Ok(shown) => Ok(shown.rem_euclid(DAY * MICROS)),
            Err(_) => unread(EXPECTED, cell),
        }
    }

    /// A truth value: `true`, `false`, `T` or `F` in any case (`query` writes words, `readByQuery` letters).
    ///
    /// # Errors
    /// For a cell that is none of these.
    pub fn boolean(&self, cell: &[u8]) -> Result<bool, CellError> {
        match cell {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ if cell.eq_ignore_ascii_case(b"true") || cell.eq_ignore_ascii_case(b"t") => Ok(true),
            _ if cell.eq_ignore_ascii_case(b"false") || cell.eq_ignore_ascii_case(b"f") => Ok(false),
            _ => unread("a boolean (true or false)", cell),
        }
    }

    /// An integer. Zeros after a decimal point are accepted: some keys are written like `12.0`.
    ///
    /// # Errors
    /// For a cell that is no integer, or one that 64 bits do not hold.
    pub fn integer(&self, cell: &[u8]) -> Result<i64, CellError> {
        const EXPECTED: &str = "an integer";
        let (negative, rest) = match cell {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, cell),
        };
        let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, tail) = rest.split_at(length);
        let zeros = match tail {
            [] => true,
            [b'.', zeros @ ..] => zeros.iter().all(|b| *b == b'0'),
            _ => false,
        };
        if digits.is_empty() || !zeros {
            return unread(EXPECTED, cell);
        }
        let step = |sum: i64, b: &u8| sum.checked_mul(10)?.checked_sub(i64::from(b - b'0'));
        // Summed below zero, where there is one value more.
        let sum = digits.iter().try_fold(0, step);
        match sum.and_then(|sum| if negative { Some(sum) } else { sum.checked_neg() }) {
            Some(value) => Ok(value),
            None => unread("an integer of 64 bits", cell),
        }
    }

    /// Seconds east of Greenwich at a reading of the gateway's clock.
    fn offset_at(&self, local: i64, moment: &Moment) -> Option<i64> {
        let zone = match &self.zone {
            GatewayZone::Fixed(offset) | GatewayZone::Reported(offset) => {
                return Some(i64::from(offset.seconds()));
            }
            GatewayZone::Named(zone) => zone,
        };
        if let Some((from, until, offset)) = self.steady.get()
            && (from..until).contains(&local)
        {
            return Some(offset);
        }
        let second = i32::try_from(moment.time_of_day).ok()?;
        let reading = moment.date.at(0, 0, 0, 0) + jiff::SignedDuration::from_secs(i64::from(second));
        let instant = self.zone.instant(reading)?;
        let offset = i64::from(zone.to_offset(instant).seconds());
        // A day away from any change of the clock, no reading happens twice or never. The change may be at this very
        // instant, and is then the one that precedes.
        let from = zone
            .preceding(
                instant
                    .saturating_add(jiff::SignedDuration::from_secs(1))
                    .unwrap_or(instant),
            )
            .next()
            .map_or(i64::MIN, |t| t.timestamp().as_second() + offset + DAY);
        let until = zone
            .following(instant)
            .next()
            .map_or(i64::MAX, |t| t.timestamp().as_second() + offset - DAY);
        self.steady.set(Some((from, until, offset)));
        Some(local - instant.as_second())
    }
}

fn days_since_epoch(date: Date) -> i64 {
    // Days of the proleptic Gregorian calendar, counted in years that begin in March.
    let (year, month, day) = (
        i64::from(date.year()),
        i64::from(date.month()),
        i64::from(date.day()),
    );
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A date with what may follow it.
pub(super) struct Moment {
    pub(super) date: Date,
    /// Seconds since midnight.
    pub(super) time_of_day: i64,
    pub(super) micros: i64,
    /// Seconds east of Greenwich.
    pub(super) offset: Option<i64>,
}

fn digits(bytes: &[u8]) -> Option<i16> {
    bytes.iter().try_fold(0i16, |sum, b| {
        b.is_ascii_digit().then(|| sum * 10 + i16::from(b - b'0'))
    })
}

fn two(bytes: &[u8]) -> Option<i8> {
    digits(bytes)?.try_into().ok()
}

pub(super) fn moment(cell: &[u8]) -> Option<Moment> {
    let (head, tail) = cell.split_at_checked(10)?;
    let (year, month, day) = match head {
        [m @ .., b'/', d1, d2, b'/', _, _, _, _] if m.len() == 2 => (&head[6..], m, &[*d1, *d2][..]),
        [y @ .., b'-', m1, m2, b'-', _, _] if y.len() == 4 => (y, &[*m1, *m2][..], &head[8..]),
        _ => return None,
    };
    let date = Date::new(digits(year)?, two(month)?, two(day)?).ok()?;
    let midnight = Moment {
        date,
        time_of_day: 0,
        micros: 0,
        offset: None,
    };
    if tail.is_empty() {
        return Some(midnight);
    }
    let [b' ' | b'T', tail @ ..] = tail else {
        return None;
    };
    let (time_of_day, rest) = clock(tail)?;
    let (micros, rest) = fraction(rest)?;
    Some(Moment {
        time_of_day,
        micros,
        offset: offset(rest)?,
        ..midnight
    })
}

/// `HH:MM:SS` as seconds since midnight, and what follows.
fn clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let (clock, rest) = text.split_at_checked(8)?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *clock else {
        return None;
    };
    let (hour, minute, second) = (two(&[h1, h2])?, two(&[m1, m2])?, two(&[s1, s2])?);
    let valid = hour <= 23 && minute <= 59 && second <= 59;
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    valid.then_some((seconds, rest))
}

/// `.123` as microseconds, and what follows. Digits beyond the sixth are dropped.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', rest @ ..] = rest else {
        return Some((0, rest));
    };
    let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(length);
    if !(1..=9).contains(&length) {
        return None;
    }
    let micros = (0..6).fold(0, |sum, i| {
        sum * 10 + digits.get(i).map_or(0, |b| i64::from(b - b'0'))
    });
    Some((micros, rest))
}

/// `Z`, `+02:00`, `+0200` or `+02`; nothing is no offset.
fn offset(rest: &[u8]) -> Option<Option<i64>> {
    let (sign, hours, minutes) = match *rest {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [sign, h1, h2] => (sign, two(&[h1, h2])?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, two(&[h1, h2])?, two(&[m1, m2])?),
        _ => return None,
    };
    let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(Some(seconds)),
        b'-' => Some(Some(-seconds)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
