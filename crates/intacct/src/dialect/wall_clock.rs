//! Dates and times in conditions as the gateway can compare them: points in time become readings of its wall clock, and
//! what lies outside its calendar is decided without it.

use super::DialectKind;
use crate::formatting::GatewayZone;
use crate::query::{Bound, CompareOp, Condition, Query, Value};
use jiff::civil::{Date, DateTime, date};
use jiff::{SignedDuration, Timestamp};

/// The first and the last reading that can be stored and compared with: the gateway's dates have years of four digits,
/// and it refuses a whole query for the sake of one bound beyond them.
const FIRST: DateTime = date(1000, 1, 1).at(0, 0, 0, 0);
const LAST: DateTime = date(9999, 12, 31).at(23, 59, 59, 0);

/// Whether a day can be stored at the gateway.
pub fn is_storable(day: Date) -> bool {
    (FIRST.date()..=LAST.date()).contains(&day)
}

impl Query {
    /// The query with its condition [at the wall clock](Condition::at_wall_clock). `None`: no row can match.
    pub fn at_wall_clock(&self, zone: &GatewayZone, kind: DialectKind) -> Option<Query> {
        let filter = match self.filter.clone().map(|filter| filter.at_wall_clock(zone, kind)) {
            None | Some(Bound::Always) => None,
            Some(Bound::When(filter)) => Some(filter),
            Some(Bound::Never) => return None,
        };
        Some(Query {
            filter,
            ..self.clone()
        })
    }

    /// Whether the condition compares with points in time, so that the gateway's zone must be known.
    pub(crate) fn has_instants(&self) -> bool {
        let values = self.filter.as_ref().map(Condition::values).unwrap_or_default();
        values.iter().any(|value| matches!(value, Value::Instant(_)))
    }
}

impl Condition {
    /// Replaces each [`Value::Instant`] by the gateway's local time, keeping every row that the condition keeps.
    ///
    /// The gateway keeps whole seconds only, so a bound with a fraction is moved outward; near a change of the
    /// clock, where a local time may stand for two instants, it is moved outward by the size of the change. Where
    /// no bound can be given, the row must merely have a value. The caller compares again what it receives.
    ///
    /// A date or time outside the years 1000 to 9999 on the gateway's calendar is below or above every value that can
    /// be stored, so what a comparison with it comes to is known: true or false of each value, and not true of none.
    pub fn at_wall_clock(self, zone: &GatewayZone, kind: DialectKind) -> Bound {
        let has_value = |field: String| match kind.capabilities().operators.is_not_null {
            true => Bound::When(Condition::IsNull { field, negated: true }),
            false => Bound::Always,
        };
        match self {
            Condition::And(parts) => {
                let mut kept = Vec::with_capacity(parts.len());
                for part in parts {
                    match part.at_wall_clock(zone, kind) {
                        Bound::Always => {}
                        Bound::Never => return Bound::Never,
                        Bound::When(part) => kept.push(part),
                    }
                }
                joined(kept, Bound::Always, Condition::And)
            }
            Condition::Or(parts) => {
                let mut kept = Vec::with_capacity(parts.len());
                for part in parts {
                    match part.at_wall_clock(zone, kind) {
                        Bound::Always => return Bound::Always,
                        Bound::Never => {}
                        Bound::When(part) => kept.push(part),
                    }
                }
                joined(kept, Bound::Never, Condition::Or)
            }
            Condition::Compare { field, op, value } => match Span::of(&value, zone) {
                Some(span) => match span.compare(op) {
                    Decided::Never => Bound::Never,
                    Decided::AnyValue => has_value(field),
                    Decided::Compare(op, value) => Bound::When(Condition::Compare { field, op, value }),
                    Decided::Between(low, high) => Bound::When(Condition::Between { field, low, high }),
                },
                None => Bound::When(Condition::Compare { field, op, value }),
            },
            Condition::Between { field, low, high } => match (Span::of(&low, zone), Span::of(&high, zone)) {
                (Some(low), Some(high)) => {
                    let span = Span {
                        low: low.low,
                        high: high.high,
                        is_day: low.is_day && high.is_day,
                    };
                    match span.contains() {
                        Decided::Never => Bound::Never,
                        Decided::AnyValue => has_value(field),
                        Decided::Compare(op, value) => Bound::When(Condition::Compare { field, op, value }),
                        Decided::Between(low, high) => Bound::When(Condition::Between { field, low, high }),
                    }
                }
                _ => Bound::When(Condition::Between { field, low, high }),
            },
            Condition::In {
                field,
                values,
                negated,
            } => {
                let mut said = Vec::with_capacity(values.len());
                for value in values {
                    match Span::of(&value, zone) {
                        None => said.push(value),
                        // No value that is stored equals it.
                        Some(span) if span.high < FIRST || span.low > LAST => {}
                        Some(span) => match span.point() {
                            Some(time) => said.push(span.value(time)),
                            None => return has_value(field),
                        },
                    }
                }
                match said.is_empty() {
                    false => Bound::When(Condition::In {
                        field,
                        values: said,
                        negated,
                    }),
                    true if negated => has_value(field),
                    true => Bound::Never,
                }
            }
            other => Bound::When(other),
        }
    }
}

fn joined(mut kept: Vec<Condition>, empty: Bound, join: fn(Vec<Condition>) -> Condition) -> Bound {
    match kept.len() {
        0 => empty,
        1 => Bound::When(kept.remove(0)),
        _ => Bound::When(join(kept)),
    }
}

/// What a comparison comes to.
enum Decided {
    /// True of no value.
    Never,
    /// True of every value.
    AnyValue,
    Compare(CompareOp, Value),
    Between(Value, Value),
}

/// The local times that a date or time may be written as, at both ends included.
struct Span {
    low: DateTime,
    high: DateTime,
    /// They are days.
    is_day: bool,
}

impl Span {
    /// `None`: the value is neither date nor time.
    fn of(value: &Value, zone: &GatewayZone) -> Option<Span> {
        let at = |time| Span {
            low: time,
            high: time,
            is_day: false,
        };
        match value {
            Value::Date(day) => Some(Span {
                is_day: true,
                ..at(day.at(0, 0, 0, 0))
            }),
            Value::DateTime(time) => Some(at(*time)),
            Value::Instant(instant) => Some(Span::of_instant(*instant, zone)),
            Value::Text(_) | Value::Number(_) | Value::Boolean(_) | Value::Param(_) => None,
        }
    }

    fn of_instant(instant: Timestamp, zone: &GatewayZone) -> Span {
        let floor = Timestamp::from_second(instant.as_second() - i64::from(instant.subsec_nanosecond() < 0))
            .unwrap_or(instant);
        let ceiling = if floor == instant {
            floor
        } else {
            floor
                .saturating_add(SignedDuration::from_secs(1))
                .unwrap_or(floor)
        };
        let blur = zone.blur(instant);
        Span {
            low: zone.render(floor).saturating_sub(blur),
            high: zone.render(ceiling).saturating_add(blur),
            is_day: false,
        }
    }

    fn point(&self) -> Option<DateTime> {
        (self.low == self.high).then_some(self.low)
    }

    fn value(&self, time: DateTime) -> Value {
        match self.is_day {
            true => Value::Date(time.date()),
            false => Value::DateTime(time),
        }
    }

    fn compare(&self, op: CompareOp) -> Decided {
        match (op, self.point()) {
            (CompareOp::Lt | CompareOp::Le, _) if self.high < FIRST => Decided::Never,
            (CompareOp::Lt | CompareOp::Le, _) if self.high > LAST => Decided::AnyValue,
            (CompareOp::Gt | CompareOp::Ge, _) if self.low > LAST => Decided::Never,
            (CompareOp::Gt | CompareOp::Ge, _) if self.low < FIRST => Decided::AnyValue,
            (CompareOp::Lt, Some(time)) if time == FIRST => Decided::Never,
            (CompareOp::Gt, Some(time)) if self.value(time) == self.value(LAST) => Decided::Never,
            (CompareOp::Eq, None) => self.contains(),
            (CompareOp::Eq, _) if self.high < FIRST || self.low > LAST => Decided::Never,
            (CompareOp::Ne, _) if self.high < FIRST || self.low > LAST => Decided::AnyValue,
            (CompareOp::Ne, None) => Decided::AnyValue,
            (op, Some(time)) => Decided::Compare(op, self.value(time)),
            (CompareOp::Lt | CompareOp::Le, None) => Decided::Compare(CompareOp::Le, self.value(self.high)),
            (CompareOp::Gt | CompareOp::Ge, None) => Decided::Compare(CompareOp::Ge, self.value(self.low)),
        }
    }

    /// Values from one end to the other.
    fn contains(&self) -> Decided {
        match (self.low < FIRST, self.high > LAST) {
            _ if self.high < FIRST || self.low > LAST || self.low > self.high => Decided::Never,
            (true, true) => Decided::AnyValue,
            (true, false) => Decided::Compare(CompareOp::Le, self.value(self.high)),
            (false, true) => Decided::Compare(CompareOp::Ge, self.value(self.low)),
            (false, false) => Decided::Between(self.value(self.low), self.value(self.high)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formatting::UserFormatting;
    use jiff::tz::TimeZone;

    fn said(condition: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).expect("a zone of the test");
        sent(
            condition,
            &GatewayZone::new(Some(&zone), None),
            DialectKind::Query,
        )
    }

    fn sent(condition: &str, zone: &GatewayZone, kind: DialectKind) -> String {
        let condition: Condition = condition.parse().expect("a condition of the test");
        match condition.at_wall_clock(zone, kind) {
            Bound::Always => "always".to_owned(),
            Bound::Never => "never".to_owned(),
            Bound::When(condition) => condition.to_string(),
        }
    }

    #[test]
    fn whole_seconds_in_a_fixed_zone_are_exact() {
        assert_eq!(
            said("A >= 2024-05-01T10:00:00Z", "UTC"),
            "A >= 05/01/2024 10:00:00"
        );
        assert_eq!(
            said("A <> 2024-05-01T10:00:00Z", "UTC"),
            "A <> 05/01/2024 10:00:00"
        );
    }

    #[test]
    fn fractions_move_a_bound_outward() {
        assert_eq!(
            said("A < 2024-05-01T10:00:00.5Z", "UTC"),
            "A <= 05/01/2024 10:00:01"
        );
        assert_eq!(
            said("A > 2024-05-01T10:00:00.5Z", "UTC"),
            "A >= 05/01/2024 10:00:00"
        );
        assert_eq!(
            said("A = 2024-05-01T10:00:00.5Z", "UTC"),
            "A between 05/01/2024 10:00:00 and 05/01/2024 10:00:01"
        );
        assert_eq!(said("A <> 2024-05-01T10:00:00.5Z", "UTC"), "A is not null");
        assert_eq!(
            said("A > 1969-12-31T23:59:59.5Z", "UTC"),
            "A >= 12/31/1969 23:59:59"
        );
    }

    #[test]
    fn a_zone_with_daylight_saving_is_exact_far_from_a_change() {
        assert_eq!(
            said("A >= 2024-07-01T12:00:00Z", "America/New_York"),
            "A >= 07/01/2024 08:00:00"
        );
    }

    #[test]
    fn a_change_of_the_clock_moves_a_bound_outward_by_its_size() {
        // 2024-11-03 06:30Z is the second 01:30 of that night in New York.
        assert_eq!(
            said("A <= 2024-11-03T06:30:00Z", "America/New_York"),
            "A <= 11/03/2024 02:30:00"
        );
        assert_eq!(
            said("A > 2024-11-03T06:30:00Z", "America/New_York"),
            "A >= 11/03/2024 00:30:00"
        );
    }

    /// The gateway reports -08:00 and shows the clock of Los Angeles. A reading that does not exist there (02:30 of that
    /// night) must not be a bound.
    #[test]
    fn a_reported_offset_is_not_trusted_near_a_change() {
        let user = UserFormatting {
            locale: "en_US.UTF-8".into(),
            date_format: "/mdY".into(),
            gmt_offset_seconds: -8 * 3600,
            clock: 24,
        };
        let zone = GatewayZone::new(None, Some(&user));
        let said = |condition: &str| sent(condition, &zone, DialectKind::Query);
        assert_eq!(said("A > 2024-03-10T10:30:00Z"), "A >= 03/10/2024 01:30:00");
        assert_eq!(said("A > 2024-07-10T10:30:00Z"), "A > 07/10/2024 02:30:00");
    }

    /// A row's local time, read as the reader reads it, must satisfy the sent condition whenever it satisfies the
    /// original one: tried on every quarter of an hour around both changes of a year.
    #[test]
    fn no_row_is_lost_around_a_change() {
        let zone = TimeZone::get("America/New_York").expect("a zone of the test");
        let gateway = GatewayZone::new(Some(&zone), None);
        for start in ["2024-03-09T00:00:00Z", "2024-11-02T00:00:00Z"] {
            let start: Timestamp = start.parse().expect("a time of the test");
            let step = |n: i64| start + SignedDuration::from_mins(15 * n);
            for bound in (0..192).map(step) {
                let span = Span::of_instant(bound, &gateway);
                for row in (0..192).map(step) {
                    let written = zone.to_datetime(row);
                    let read = zone.to_timestamp(written).expect("a time of the test");
                    assert!(
                        read > bound || written <= span.high,
                        "{written} is lost under <= {bound}"
                    );
                    assert!(
                        read < bound || written >= span.low,
                        "{written} is lost under >= {bound}"
                    );
                }
            }
        }
    }

    #[test]
    fn bounds_outside_the_gateways_calendar_are_decided() {
        for (condition, decided) in [
            ("D < 01/01/0005", "never"),
            ("D <= 12/31/0999", "never"),
            ("D = 01/01/0005", "never"),
            ("D > 01/01/0005", "D is not null"),
            ("D >= 12/31/0999", "D is not null"),
            ("D <> 01/01/0005", "D is not null"),
            ("D < 01/01/1000", "never"),
            ("D > 12/31/9999", "never"),
            ("D < 12/31/9999", "D < 12/31/9999"),
            ("T > 12/31/9999 23:59:59", "never"),
            ("T > 12/31/9999 00:00:00", "T > 12/31/9999 00:00:00"),
            ("D >= 01/01/1000", "D >= 01/01/1000"),
            ("D <= 12/31/9999", "D <= 12/31/9999"),
            ("D between 01/01/0005 and 12/31/0999", "never"),
            ("D between 01/01/0005 and 01/01/2024", "D <= 01/01/2024"),
            ("D between 01/01/0005 and 12/31/9999", "D <= 12/31/9999"),
            ("D in (01/01/0005, 01/01/2024)", "D in (01/01/2024)"),
            ("D in (01/01/0005)", "never"),
            ("D not in (01/01/0005, 01/01/2024)", "D not in (01/01/2024)"),
            ("D not in (01/01/0005)", "D is not null"),
            ("[D < 01/01/0005 or N = 1]", "N = 1"),
            ("[D > 01/01/0005 or N = 1]", "D is not null or N = 1"),
            ("D < 01/01/0005 and N = 1", "never"),
            (
                "D < 01/01/0005 or [D > 01/01/0005 and N = 1]",
                "D is not null and N = 1",
            ),
            ("T < 01/01/0005 10:00:00", "never"),
            ("T > 12/31/0999 23:59:59", "T is not null"),
        ] {
            assert_eq!(said(condition, "UTC"), decided, "{condition}");
        }
    }

    /// What counts is the year on the gateway's clock.
    #[test]
    fn the_calendar_ends_where_the_gateways_clock_says() {
        for (condition, zone, decided) in [
            ("T >= 0999-12-31T23:30:00Z", "UTC", "T is not null"),
            ("T < 0999-12-31T23:30:00Z", "UTC", "never"),
            ("T >= 1000-01-01T00:00:00Z", "UTC", "T >= 01/01/1000 00:00:00"),
            ("T >= 1000-01-01T00:00:00Z", "Etc/GMT+8", "T is not null"),
            ("T < 0999-12-31T23:30:00Z", "Etc/GMT-1", "T < 01/01/1000 00:30:00"),
            (
                "T in (0001-06-01T00:00:00Z, 2024-05-01T10:00:00Z)",
                "UTC",
                "T in (05/01/2024 10:00:00)",
            ),
            (
                "T between 0500-01-01T00:00:00.5Z and 2024-05-01T10:00:00Z",
                "UTC",
                "T <= 05/01/2024 10:00:00",
            ),
        ] {
            assert_eq!(said(condition, zone), decided, "{condition} in {zone}");
        }
    }

    /// Some functions have no test for a value: what is true of every value is then left to the reader.
    #[test]
    fn bounds_outside_the_calendar_keep_every_row() {
        let zone = GatewayZone::new(Some(&TimeZone::UTC), None);
        assert_eq!(sent("D > 01/01/0005", &zone, DialectKind::GetList), "always");
        assert_eq!(
            sent("D > 01/01/0005 and N = 1", &zone, DialectKind::GetList),
            "N = 1"
        );
        assert_eq!(sent("D < 01/01/0005", &zone, DialectKind::GetList), "never");
    }
}
