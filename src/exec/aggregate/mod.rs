//! The executor's side of aggregates that the gateway computes.

mod ask;
mod groups;
mod memory;
mod state;

pub use ask::{may_read_rows, verification};
pub use state::AggregateState;
