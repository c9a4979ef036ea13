//! The clock whose readings the gateway's timestamps are. Every rule that depends on it asks here.
use super::{UserFormatting, changes};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset, tz::TimeZone};

/// Clocks that are set back or forward this near to a bound blur it: daylight saving moves them by an hour or two,
/// a territory that changes its side of the date line by a day.
const NEAR: SignedDuration = SignedDuration::from_hours(50);

/// The zone in which the gateway writes and reads timestamps.
///
/// A clock is *steady* when each reading is one point in time and later readings are later points. Any other is
/// *blurred*: near a change of the clock a reading may stand for two points in time, or for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayZone {
    /// Always the same distance from Greenwich, because the configuration declares it.
    Fixed(Offset),
    /// The distance that `readUserFormatting` reports. It has no word for daylight saving, so the clock may be set
    /// forward and back all the same (fact 54).
    Reported(Offset),
    /// A named zone, perhaps with daylight saving.
    Named(TimeZone),
}

impl GatewayZone {
    /// `zone` when there is one, else the user's offset. Where that is not known yet, Greenwich stands for it: whether
    /// the clock is blurred does not depend on it.
    pub fn new(zone: Option<&TimeZone>, formatting: Option<&UserFormatting>) -> Self {
        match (zone, formatting) {
            (Some(zone), _) => match fixed_offset(zone) {
                Some(offset) => GatewayZone::Fixed(offset),
                None => GatewayZone::Named(zone.clone()),
            },
            (None, user) => {
                let reported = user.and_then(|user| Offset::from_seconds(user.gmt_offset_seconds).ok());
                GatewayZone::Reported(reported.unwrap_or(Offset::UTC))
            }
        }
    }

    /// Whether the order of readings is the order in time, and equal readings are one point in time. Only then may an
    /// order, an extremum, a group, a join or the start of a page rely on timestamps as the gateway compares them.
    pub fn is_steady(&self) -> bool {
        matches!(self, GatewayZone::Fixed(_))
    }

    /// The wall clock at a point in time.
    pub fn render(&self, instant: Timestamp) -> DateTime {
        match self {
            GatewayZone::Fixed(offset) | GatewayZone::Reported(offset) => offset.to_datetime(instant),
            GatewayZone::Named(zone) => zone.to_datetime(instant),
        }
    }

    /// The point in time that a reading of the wall clock is taken for; none beyond the calendar.
    ///
    /// Where the clock is set back and a reading happens twice, the earlier one is meant; where it is set forward over
    /// a reading, the point in time that the old offset gives.
    pub fn instant(&self, reading: DateTime) -> Option<Timestamp> {
        match self {
            GatewayZone::Fixed(offset) | GatewayZone::Reported(offset) => offset.to_timestamp(reading).ok(),
            GatewayZone::Named(zone) => zone.to_ambiguous_timestamp(reading).compatible().ok(),
        }
    }

    /// By how much readings of the clock near an instant may be ambiguous: zero where the clock can be relied on.
    pub fn blur(&self, instant: Timestamp) -> SignedDuration {
        match self {
            GatewayZone::Fixed(_) => SignedDuration::ZERO,
            GatewayZone::Reported(_) => changes::near(instant),
            GatewayZone::Named(zone) => change_of(zone, instant),
        }
    }

    /// Whether a comparison with this very instant can be expressed: the gateway keeps whole seconds only, and near a
    /// change of the clock it may understand another moment.
    pub fn represents_exactly(&self, instant: Timestamp) -> bool {
        instant.subsec_nanosecond() == 0 && self.blur(instant).is_zero()
    }
}

/// The offset of a zone that has never had another, whatever its name.
fn fixed_offset(zone: &TimeZone) -> Option<Offset> {
    match zone.to_fixed_offset() {
        Ok(offset) => Some(offset),
        Err(_) => {
            let never_changes = zone.following(Timestamp::MIN).next().is_none();
            never_changes.then(|| zone.to_offset(Timestamp::UNIX_EPOCH))
        }
    }
}

/// By how much the clocks of a zone are moved near an instant.
fn change_of(zone: &TimeZone, instant: Timestamp) -> SignedDuration {
    let before = instant.saturating_sub(NEAR).unwrap_or(Timestamp::MIN);
    let after = instant.saturating_add(NEAR).unwrap_or(Timestamp::MAX);
    let mut offsets = vec![zone.to_offset(before), zone.to_offset(after)];
    offsets.extend(
        zone.following(before)
            .take_while(|change| change.timestamp() <= after)
            .map(|change| change.offset()),
    );
    let seconds = offsets.iter().map(|offset| i64::from(offset.seconds()));
    let (least, most) = seconds.fold((i64::MAX, i64::MIN), |(least, most), next| {
        (least.min(next), most.max(next))
    });
    SignedDuration::from_secs(most - least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> GatewayZone {
        let zone = TimeZone::get(name).expect("a zone of the test");
        GatewayZone::new(Some(&zone), None)
    }

    fn reported(seconds: i32) -> GatewayZone {
        let user = UserFormatting {
            locale: "en_US.UTF-8".into(),
            date_format: "/mdY".into(),
            gmt_offset_seconds: seconds,
            clock: 24,
        };
        GatewayZone::new(None, Some(&user))
    }

    #[test]
    fn only_a_declared_clock_that_never_changes_is_steady() {
        let fixed = TimeZone::fixed(jiff::tz::offset(5));
        assert!(GatewayZone::new(Some(&fixed), None).is_steady());
        for name in ["UTC", "Etc/GMT+8", "Etc/UTC"] {
            assert!(named(name).is_steady(), "{name}");
        }
        for zone in [
            named("America/New_York"),
            named("Europe/London"),
            named("Asia/Tokyo"),
            reported(0),
            reported(-8 * 3600),
            GatewayZone::new(None, None),
        ] {
            assert!(!zone.is_steady(), "{zone:?}");
        }
    }

    #[test]
    fn whether_a_bound_is_exact_is_one_question_to_every_clock() {
        let at = |text: &str| text.parse().expect("a time of the test");
        for (zone, instant, exact) in [
            (named("UTC"), "2024-11-03T09:30:00Z", true),
            (named("UTC"), "2024-11-03T09:30:00.5Z", false),
            (named("America/Los_Angeles"), "2024-11-03T09:30:00Z", false),
            (named("America/Los_Angeles"), "2024-07-03T09:30:00Z", true),
            (named("Europe/Berlin"), "2024-11-03T09:30:00Z", true),
            (reported(0), "2024-11-03T09:30:00Z", false),
            (reported(3600), "2024-10-27T00:30:00Z", false),
            (reported(3600), "2024-07-27T00:30:00Z", true),
        ] {
            assert_eq!(zone.represents_exactly(at(instant)), exact, "{zone:?} {instant}");
        }
    }

    #[test]
    fn a_reading_that_happens_twice_is_the_earlier_one() {
        let zone = named("America/Los_Angeles");
        let reading = jiff::civil::date(2024, 11, 3).at(1, 30, 0, 0);
        let instant = zone.instant(reading).expect("within the calendar");
        assert_eq!(instant.to_string(), "2024-11-03T08:30:00Z");
        assert_eq!(zone.render(instant), reading);
    }
}
