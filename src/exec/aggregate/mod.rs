//! Execution of pushed aggregates.

mod groups;
mod job;
mod memory;
mod read_rows;
mod state;
mod statistics;

pub use job::{may_read_rows, verification};
pub use state::AggregateState;
