//! Points in time become readings of the gateway's wall clock.

use super::{CompareOp, Condition, Value};
use crate::formatting::GatewayZone;
use jiff::{SignedDuration, Timestamp, civil::DateTime};

impl Condition {
    /// Replaces each [`Value::Instant`] by the gateway's local time, keeping every row that the condition keeps.
    ///
    /// The gateway knows whole seconds only, so a bound with a fraction is moved outward; near a change of the
    /// clock, where a local time may stand for two instants, it is moved outward by the size of the change. Where
    /// no bound can be given, the row must merely have a value. The caller compares again what it receives.
    pub fn at_wall_clock(self, zone: &GatewayZone) -> Condition {
        match self {
            Condition::And(parts) => {
                Condition::And(parts.into_iter().map(|part| part.at_wall_clock(zone)).collect())
            }
            Condition::Or(parts) => {
                Condition::Or(parts.into_iter().map(|part| part.at_wall_clock(zone)).collect())
            }
            Condition::Compare {
                field,
                op,
                value: Value::Instant(instant),
            } => compare(field, op, instant, zone),
            Condition::Between {
                field,
                low: Value::Instant(low),
                high: Value::Instant(high),
            } => {
                let (low, high) = (Span::of(low, zone).low, Span::of(high, zone).high);
                between(field, low, high)
            }
            Condition::In {
                field,
                values,
                negated,
            } => membership(field, values, negated, zone),
            other => other,
        }
    }
}

/// The local times that an instant may be written as, at both ends included.
struct Span {
    low: DateTime,
    high: DateTime,
}

impl Span {
    fn of(instant: Timestamp, zone: &GatewayZone) -> Span {
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
        }
    }

    fn point(&self) -> Option<DateTime> {
        (self.low == self.high).then_some(self.low)
    }
}

fn compare(field: String, op: CompareOp, instant: Timestamp, zone: &GatewayZone) -> Condition {
    let span = Span::of(instant, zone);
    let compare = |field, op, time| Condition::Compare {
        field,
        op,
        value: Value::DateTime(time),
    };
    match (span.point(), op) {
        (Some(time), op) => compare(field, op, time),
        (None, CompareOp::Lt | CompareOp::Le) => compare(field, CompareOp::Le, span.high),
        (None, CompareOp::Gt | CompareOp::Ge) => compare(field, CompareOp::Ge, span.low),
        (None, CompareOp::Eq) => between(field, span.low, span.high),
        (None, CompareOp::Ne) => has_value(field),
    }
}

fn membership(field: String, values: Vec<Value>, negated: bool, zone: &GatewayZone) -> Condition {
    let mut said = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::Instant(instant) => match Span::of(instant, zone).point() {
                Some(time) => said.push(Value::DateTime(time)),
                None => return has_value(field),
            },
            other => said.push(other),
        }
    }
    Condition::In {
        field,
        values: said,
        negated,
    }
}

fn between(field: String, low: DateTime, high: DateTime) -> Condition {
    Condition::Between {
        field,
        low: Value::DateTime(low),
        high: Value::DateTime(high),
    }
}

fn has_value(field: String) -> Condition {
    Condition::IsNull { field, negated: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formatting::UserFormatting;
    use jiff::tz::TimeZone;

    fn said(condition: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).expect("a zone of the test");
        let condition: Condition = condition.parse().expect("a condition of the test");
        condition
            .at_wall_clock(&GatewayZone::new(Some(&zone), None))
            .to_string()
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

    /// The gateway tells -08:00 and shows the clock of Los Angeles. A reading that does not exist there (02:30 of that
    /// night) must not be a bound.
    #[test]
    fn an_offset_that_was_told_is_not_trusted_near_a_change() {
        let user = UserFormatting {
            locale: "en_US.UTF-8".into(),
            date_format: "/mdY".into(),
            gmt_offset_seconds: -8 * 3600,
            clock: 24,
        };
        let zone = GatewayZone::new(None, Some(&user));
        let said = |condition: &str| {
            let condition: Condition = condition.parse().expect("a condition of the test");
            condition.at_wall_clock(&zone).to_string()
        };
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
                let span = Span::of(bound, &gateway);
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
}
