//! The zone of the gateway's wall clock.
use super::{UserFormatting, changes};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset, tz::TimeZone};

/// Clocks that are set back or forward this near to a bound blur it: daylight saving moves them by an hour or two,
/// a territory that changes its side of the date line by a day.
const NEAR: SignedDuration = SignedDuration::from_hours(50);

/// The zone in which the gateway writes and reads timestamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayZone {
    /// Always the same distance from Greenwich.
    Fixed(Offset),
    /// The distance that `readUserFormatting` tells. It has no word for daylight saving, so the clock may be set
    /// forward and back all the same (protocol reference 4.8: not confirmed).
    Told(Offset),
    /// A named zone, perhaps with daylight saving.
    Named(TimeZone),
}

impl GatewayZone {
    /// `zone` when there is one, else the user's offset, else Greenwich.
    pub fn new(zone: Option<&TimeZone>, formatting: Option<&UserFormatting>) -> Self {
        match (zone, formatting) {
            (Some(zone), _) => match zone.to_fixed_offset() {
                Ok(offset) => GatewayZone::Fixed(offset),
                Err(_) => GatewayZone::Named(zone.clone()),
            },
            (None, Some(user)) => {
                GatewayZone::Told(Offset::from_seconds(user.gmt_offset_seconds).unwrap_or(Offset::UTC))
            }
            (None, None) => GatewayZone::Fixed(Offset::UTC),
        }
    }

    /// Whether order of wall-clock readings is order in time.
    pub fn is_fixed(&self) -> bool {
        !matches!(self, GatewayZone::Named(_))
    }

    /// The wall clock at a point in time.
    pub fn render(&self, instant: Timestamp) -> DateTime {
        match self {
            GatewayZone::Fixed(offset) | GatewayZone::Told(offset) => offset.to_datetime(instant),
            GatewayZone::Named(zone) => zone.to_datetime(instant),
        }
    }

    /// By how much readings of the clock near an instant may be ambiguous.
    pub(crate) fn blur(&self, instant: Timestamp) -> SignedDuration {
        match self {
            GatewayZone::Fixed(_) => SignedDuration::ZERO,
            GatewayZone::Told(_) => changes::near(instant),
            GatewayZone::Named(zone) => change_of(zone, instant),
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
