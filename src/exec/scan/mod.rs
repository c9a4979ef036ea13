//! Execution of a foreign scan: callbacks, executor state, the job on the I/O thread, owned lines, statistics.

mod callbacks;
pub mod job;
mod kept;
mod known;
mod lines;
mod state;
mod stats;
mod whole;

pub use callbacks::{
    Running, begin_foreign_scan, end_foreign_scan, iterate_foreign_scan, recheck_foreign_scan,
    rescan_foreign_scan, state,
};
pub use state::{ScanState, UnderWay};
pub use stats::ScanStats;
