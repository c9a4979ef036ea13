//! The executor's side of aggregates that the gateway computes.

mod groups;
mod job;
mod memory;
mod state;

pub use job::{may_read_rows, verification};
pub use state::AggregateState;
