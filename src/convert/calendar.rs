//! Bounds on the calendar, computed in the session's time zone by PostgreSQL's own functions.

use super::outward::{EPOCH_DAYS, EPOCH_MICROS, instant};
use crate::private::transform::{BoundEdge, BoundSide, BoundTarget, CalendarBound, CalendarUnit};
use intacct::{Binding, Value};
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Span, Timestamp};
use pgrx::pg_sys;
use std::ffi::CStr;

/// Clocks that are set back or forward this near to a bound blur it.
const NEAR_HOURS: i64 = 50;
const MICROS_PER_HOUR: i64 = 3_600_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// The bound that `moment` makes of a date, timestamp, timestamptz, or the number of a year.
///
/// # Safety
/// Main thread; `datum` must be valid, not null, and of type `type_oid`.
pub unsafe fn bound(datum: pg_sys::Datum, type_oid: pg_sys::Oid, moment: CalendarBound) -> Binding {
    // SAFETY: same contract as this function.
    unsafe { try_bound(datum, type_oid, moment) }.map_or(Binding::NotRepresentable, Binding::Value)
}

unsafe fn try_bound(datum: pg_sys::Datum, type_oid: pg_sys::Oid, moment: CalendarBound) -> Option<Value> {
    // SAFETY: same contract as this function.
    let value = unsafe { civil(datum, type_oid) }?;
    let edge = match moment.unit {
        None => value,
        Some(unit) => on_grid(value, unit, moment.edge)?,
    };
    let blur = if moment.zoned {
        // Where a local time may stand for two instants, twice the size of the change is a safe distance.
        // SAFETY: main thread.
        unsafe { blur(micros_of(edge)?) }? * 2
    } else {
        0
    };
    match moment.target {
        BoundTarget::Day => {
            let days = Span::new().days((blur + SECONDS_PER_DAY - 1).div_euclid(SECONDS_PER_DAY));
            let day = match moment.side {
                BoundSide::Low => edge.date().checked_sub(days).ok()?,
                BoundSide::High => edge.date().checked_add(days).ok()?,
            };
            (1..=9999).contains(&day.year()).then_some(Value::Date(day))
        }
        BoundTarget::Instant => {
            let mut overflow = 0;
            // SAFETY: main thread; with `overflow` nothing is raised.
            let micros =
                unsafe { pg_sys::timestamp2timestamptz_opt_overflow(micros_of(edge)?, &mut overflow) };
            let at = instant(micros).filter(|_| overflow == 0)?;
            let blur = SignedDuration::from_secs(blur);
            let at = match moment.side {
                BoundSide::Low => at.checked_sub(blur).ok()?,
                BoundSide::High => at.checked_add(blur).ok()?,
            };
            Some(Value::Instant(at))
        }
    }
}

/// The value on the session's calendar and clock; none beyond years of four digits.
unsafe fn civil(datum: pg_sys::Datum, type_oid: pg_sys::Oid) -> Option<DateTime> {
    // SAFETY: the caller guarantees a valid type.
    unsafe {
        match type_oid {
            pg_sys::DATEOID => {
                let days = datum.value() as i32;
                if days == i32::MIN || days == i32::MAX {
                    return None;
                }
                civil_of(i64::from(days) * 24 * MICROS_PER_HOUR)
            }
            pg_sys::TIMESTAMPOID => civil_of(datum.value() as i64),
            pg_sys::TIMESTAMPTZOID => {
                let micros = datum.value() as i64;
                instant(micros)?;
                civil_of(micros.checked_add(offset(micros)? * 1_000_000)?)
            }
            pg_sys::NUMERICOID => {
                let digits = pg_sys::OidOutputFunctionCall(pg_sys::Oid::from(pg_sys::F_NUMERIC_OUT), datum);
                let number = CStr::from_ptr(digits).to_str().ok().and_then(year_of);
                pg_sys::pfree(digits.cast());
                let (number, is_whole) = number?;
                year(number, is_whole)
            }
            pg_sys::FLOAT8OID => {
                let number = f64::from_bits(datum.value() as u64);
                let is_year = (1.0..9999.0).contains(&number);
                is_year.then(|| year(number.floor() as i16, number.fract() == 0.0))?
            }
            _ => None,
        }
    }
}

/// A decimal as the year in which it lies, and whether it is just that year: read digit by digit, since a number of 64
/// bits takes 2023.99999999999999999999 for 2024.
fn year_of(digits: &str) -> Option<(i16, bool)> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number = whole.parse().ok().filter(|_| !digits.starts_with('-'))?;
    Some((number, fraction.bytes().all(|digit| digit == b'0')))
}

/// The first moment of a year; of a fraction, some moment inside it.
fn year(number: i16, is_whole: bool) -> Option<DateTime> {
    if !(1..9999).contains(&number) {
        return None;
    }
    let first = Date::new(number, 1, 1).ok()?;
    let day = if is_whole { 1 } else { 2 };
    Some(
        first
            .with()
            .day(day)
            .build()
            .ok()?
            .to_datetime(jiff::civil::Time::midnight()),
    )
}

/// Microseconds since 2000-01-01 00:00:00, as PostgreSQL counts, on calendar and clock.
fn civil_of(micros: i64) -> Option<DateTime> {
    if micros == i64::MIN || micros == i64::MAX {
        return None;
    }
    let at = Timestamp::from_microsecond(micros.checked_add(EPOCH_MICROS)?).ok()?;
    let civil = jiff::tz::Offset::UTC.to_datetime(at);
    (2..=9998).contains(&civil.year()).then_some(civil)
}

fn micros_of(civil: DateTime) -> Option<i64> {
    let at = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
    at.as_microsecond().checked_sub(EPOCH_DAYS * 24 * MICROS_PER_HOUR)
}

/// Seconds east of Greenwich at an instant, in the session's time zone.
unsafe fn offset(micros: i64) -> Option<i64> {
    let mut west = 0;
    let mut parts = pg_sys::pg_tm::default();
    let mut fraction = 0;
    // SAFETY: main thread; the name of the zone is not asked for, and no zone is the session's.
    let outcome = unsafe {
        pg_sys::timestamp2tm(
            micros,
            &mut west,
            &mut parts,
            &mut fraction,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    (outcome == 0).then_some(-i64::from(west))
}

/// By how many seconds local times near this one are ambiguous.
unsafe fn blur(local: i64) -> Option<i64> {
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    for hours in -NEAR_HOURS..=NEAR_HOURS {
        // SAFETY: same contract as this function.
        let offset = unsafe { offset(local.checked_add(hours * MICROS_PER_HOUR)?) }?;
        least = least.min(offset);
        most = most.max(offset);
    }
    Some(most - least)
}

/// The point of a unit's grid that `edge` names.
fn on_grid(value: DateTime, unit: CalendarUnit, edge: BoundEdge) -> Option<DateTime> {
    let start = start(value, unit)?;
    match edge {
        BoundEdge::Start => Some(start),
        BoundEdge::Ceiling if start == value => Some(start),
        BoundEdge::Ceiling | BoundEdge::Next => start.checked_add(length(unit)).ok(),
    }
}

fn length(unit: CalendarUnit) -> Span {
    let span = Span::new();
    match unit {
        CalendarUnit::Second => span.seconds(1),
        CalendarUnit::Minute => span.minutes(1),
        CalendarUnit::Hour => span.hours(1),
        CalendarUnit::Day => span.days(1),
        CalendarUnit::Week => span.days(7),
        CalendarUnit::Month => span.months(1),
        CalendarUnit::Quarter => span.months(3),
        CalendarUnit::Year => span.years(1),
    }
}

fn start(value: DateTime, unit: CalendarUnit) -> Option<DateTime> {
    let (date, time) = (value.date(), value.time());
    let midnight = |date: Date| date.to_datetime(jiff::civil::Time::midnight());
    let clock = |minute, second| Some(date.at(time.hour(), minute, second, 0));
    match unit {
        CalendarUnit::Second => clock(time.minute(), time.second()),
        CalendarUnit::Minute => clock(time.minute(), 0),
        CalendarUnit::Hour => clock(0, 0),
        CalendarUnit::Day => Some(midnight(date)),
        CalendarUnit::Week => {
            let days = i64::from(date.weekday().to_monday_zero_offset());
            Some(midnight(date.checked_sub(Span::new().days(days)).ok()?))
        }
        CalendarUnit::Month => Some(midnight(date.first_of_month())),
        CalendarUnit::Quarter => {
            let month = (date.month() - 1) / 3 * 3 + 1;
            Some(midnight(Date::new(date.year(), month, 1).ok()?))
        }
        CalendarUnit::Year => Some(midnight(date.first_of_year())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_a_point_before_at_and_after() {
        let at = |text: &str| text.parse::<DateTime>().expect("a time of the test");
        let grid = |value: &str, unit, edge| on_grid(at(value), unit, edge).map(|at| at.to_string());
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(
            grid("2024-05-17T10:20:30", CalendarUnit::Month, BoundEdge::Start),
            is("2024-05-01T00:00:00")
        );
        assert_eq!(
            grid("2024-05-17T10:20:30", CalendarUnit::Month, BoundEdge::Ceiling),
            is("2024-06-01T00:00:00")
        );
        assert_eq!(
            grid("2024-05-01T00:00:00", CalendarUnit::Month, BoundEdge::Ceiling),
            is("2024-05-01T00:00:00")
        );
        assert_eq!(
            grid("2024-05-01T00:00:00", CalendarUnit::Month, BoundEdge::Next),
            is("2024-06-01T00:00:00")
        );
        assert_eq!(
            grid("2024-05-17T10:20:30", CalendarUnit::Quarter, BoundEdge::Start),
            is("2024-04-01T00:00:00")
        );
        assert_eq!(
            grid("2024-12-31T10:20:30", CalendarUnit::Week, BoundEdge::Start),
            is("2024-12-30T00:00:00")
        );
        assert_eq!(
            grid("2024-12-31T10:20:30", CalendarUnit::Year, BoundEdge::Next),
            is("2025-01-01T00:00:00")
        );
        assert_eq!(
            grid("2024-05-17T10:20:30.5", CalendarUnit::Second, BoundEdge::Ceiling),
            is("2024-05-17T10:20:31")
        );
    }
}
