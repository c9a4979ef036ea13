//! Execution of pushed aggregates.

mod groups;
mod job;
mod memory;
mod state;

pub use job::{may_read_rows, verification};
pub use state::AggregateState;
