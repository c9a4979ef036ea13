//! When clocks are set forward or back, anywhere: for a gateway that does not say whose clock it shows.

use jiff::civil::Date;
use jiff::tz::{self, Offset};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A time within which some clock is ambiguous, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: i64,
    until: i64,
    /// By how much that clock is moved.
    size: i64,
}

/// The windows of years that were asked for.
static YEARS: Mutex<Option<HashMap<i16, Arc<[Window]>>>> = Mutex::new(None);

/// By how much a clock somewhere is moved near an instant: zero on most days. An instant is near when the clock's own
/// reading of it, or that of its offset without daylight saving, may be one that the clock shows twice or never.
pub fn near(instant: Timestamp) -> SignedDuration {
    let second = instant.as_second();
    let year = Offset::UTC.to_datetime(instant).year();
    let windows = YEARS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_default()
        .entry(year)
        .or_insert_with(|| windows(year).into())
        .clone();
    let size = windows
        .iter()
        .filter(|window| (window.from..=window.until).contains(&second))
        .map(|window| window.size)
        .max();
    SignedDuration::from_secs(size.unwrap_or(0))
}

/// The windows that reach into a year, each zone's, those that are alike once.
fn windows(year: i16) -> Vec<Window> {
    /// No clock is moved by more.
    const DAY: i64 = 86_400;
    let start = |year| {
        let day = Date::new(year, 1, 1).ok()?;
        Offset::UTC
            .to_timestamp(day.into())
            .ok()
            .map(Timestamp::as_second)
    };
    let first = start(year).map_or(i64::MIN, |second| second - 3 * DAY);
    let last = start(year.saturating_add(1)).map_or(i64::MAX, |second| second + 3 * DAY);
    let begin = Timestamp::from_second(first).unwrap_or(Timestamp::MIN);
    let mut found = Vec::new();
    for name in tz::db().available() {
        let Ok(zone) = tz::db().get(name.as_str()) else {
            continue;
        };
        let mut offset = zone.to_offset(begin);
        for change in zone.following(begin) {
            let second = change.timestamp().as_second();
            if second > last {
                break;
            }
            let size = i64::from((change.offset().seconds() - offset.seconds()).abs());
            offset = change.offset();
            if size != 0 {
                // Twice: the instant may be said by the offset of the other half of the year.
                let reach = 2 * size + 3600;
                found.push((second - reach, second + reach, size));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    let window = |(from, until, size)| Window { from, until, size };
    found.into_iter().map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(instant: &str) -> f64 {
        near(instant.parse().expect("a time of the test")).as_secs_f64() / 3600.0
    }

    #[test]
    fn changes_of_any_clock_are_known() {
        for (instant, size) in [
            ("2024-03-10T10:30:00Z", 1.0),  // Los Angeles
            ("2024-11-03T09:30:00Z", 1.0),  // Los Angeles
            ("2024-03-31T01:00:00Z", 2.0),  // Europe by one, Troll in the Antarctic by two
            ("2024-10-05T15:30:00Z", 1.0),  // Lord Howe by half an hour, Sydney by one
            ("2011-12-30T10:00:00Z", 24.0), // Samoa
            ("2024-07-01T00:00:00Z", 0.0),
            ("2024-01-01T00:00:00Z", 0.0),
            ("2030-12-31T23:59:59Z", 0.0),
        ] {
            assert_eq!(hours(instant), size, "{instant}");
        }
    }

    #[test]
    fn the_ends_of_time_are_near_no_change() {
        near(Timestamp::MIN);
        near(Timestamp::MAX);
    }
}
