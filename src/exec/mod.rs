//! Execution of foreign scans, pushed aggregates and lookup joins; ANALYZE and EXPLAIN.

mod aggregate;
mod analyze;
mod answers;
mod async_append;
mod bind;
pub mod cell_location;
mod cells;
mod combined;
mod explain;
mod generated;
mod key_part;
mod lookup;
mod read_through;
mod scan;
mod spill;

pub use aggregate::may_read_rows;
pub use analyze::analyze_foreign_table;
pub use async_append::{foreign_async_configure_wait, foreign_async_notify, foreign_async_request};
pub use cells::cell_reader;
pub use explain::{explain_foreign_scan, property};
pub use generated::StoredColumns;
pub use scan::ScanStats;
pub use scan::{
    begin_foreign_scan, end_foreign_scan, iterate_foreign_scan, recheck_foreign_scan, rescan_foreign_scan,
};

/// Makes the nodes that are this library's own known; called once when it is loaded.
pub fn init() {
    lookup::init();
    combined::init();
}
