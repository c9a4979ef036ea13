//! Writing: create, update and delete records, never twice.
//!
//! [`write()`] takes [`Change`]s in order, packs them into functions of up to 100 records and functions into operations
//! that are executed whole or not at all, and sends one operation after the other. Every function has a control id of
//! its own that the gateway executes at most once. What became of an operation whose answer was lost is found out by
//! reading: see `readback` for the rules.

mod address;
mod as_read;
mod attempt;
mod change;
mod element;
mod fetch;
mod legacy;
mod lines;
mod logged;
mod operation;
mod preview;
mod progress;
mod readback;
mod readlines;
mod recover;
mod render;
mod resolve;
mod run;
mod skip;
mod support;
mod unmodified;
mod verb;
mod verdict;

pub use change::{
    Change, OnDuplicate, RowWritten, WriteFailure, WriteOptions, WriteTarget, WriteValue, Written,
};
pub use lines::holds_dates;
pub use logged::{LoggedFunction, LoggedRequest, WriteLog, WriteOutcome};
pub use preview::preview;
pub use progress::WriteProgress;
pub use resolve::{DoubtfulRequest, Resolution, resolve};
pub use run::write;
pub use support::{function, rows_per_function};
pub use unmodified::check_unmodified;
pub use verb::Verb;
