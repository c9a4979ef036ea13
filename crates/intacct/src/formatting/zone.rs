//! The zone of the gateway's wall clock.
use super::UserFormatting;
use jiff::{Timestamp, civil::DateTime, tz::Offset, tz::TimeZone};

/// The zone in which the gateway writes and reads timestamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayZone {
    /// Always the same distance from Greenwich.
    Fixed(Offset),
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
                GatewayZone::Fixed(Offset::from_seconds(user.gmt_offset_seconds).unwrap_or(Offset::UTC))
            }
            (None, None) => GatewayZone::Fixed(Offset::UTC),
        }
    }

    /// Whether order of wall-clock readings is order in time.
    pub fn is_fixed(&self) -> bool {
        matches!(self, GatewayZone::Fixed(_))
    }

    /// The wall clock at a point in time.
    pub fn render(&self, instant: Timestamp) -> DateTime {
        match self {
            GatewayZone::Fixed(offset) => offset.to_datetime(instant),
            GatewayZone::Named(zone) => zone.to_datetime(instant),
        }
    }
}
