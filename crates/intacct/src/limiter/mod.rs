//! How many requests are in flight at once: within this client (`Limiter`), and among the processes that share a
//! company ([`SharedLimiter`], with [`Slots`] as its memory).

mod local;
mod shared;
mod slots;

pub(crate) use local::Limiter;
pub use shared::SharedLimiter;
pub use slots::{SLOTS, Slots};
