//! The user's formatting preferences, and the cells written under them.

mod cells;
mod zone;

pub use cells::{CellError, CellReader};
pub use zone::GatewayZone;

use crate::error::Error;

/// How the gateway writes dates and times for the signed-in user (`readUserFormatting`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFormatting {
    /// `en_US.UTF-8` and the like.
    pub locale: String,
    /// Separator and the order of the parts: `/mdY`.
    pub date_format: String,
    /// East of Greenwich.
    pub gmt_offset_seconds: i32,
    /// 12 or 24 hours.
    pub clock: u8,
}

impl UserFormatting {
    /// Whether cells written like this can be read without a guess.
    pub fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}
