//! Cells into values.
use super::{GatewayZone, UserFormatting};
use jiff::{civil::Date, tz::TimeZone};

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
#[derive(Debug, Clone)]
pub struct CellReader {
    zone: GatewayZone,
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
        }
    }

    /// The zone of timestamps that do not tell theirs.
    pub fn zone(&self) -> &GatewayZone {
        &self.zone
    }

    /// A calendar day.
    pub fn date(&self, cell: &[u8]) -> Result<Date, CellError> {
        unread("a date", cell)
    }

    /// Microseconds since 1970-01-01 00:00:00 UTC.
    pub fn timestamp(&self, cell: &[u8]) -> Result<i64, CellError> {
        unread("a timestamp", cell)
    }

    /// A truth value.
    pub fn boolean(&self, cell: &[u8]) -> Result<bool, CellError> {
        unread("a boolean", cell)
    }

    /// An integer.
    pub fn integer(&self, cell: &[u8]) -> Result<i64, CellError> {
        unread("an integer", cell)
    }
}
