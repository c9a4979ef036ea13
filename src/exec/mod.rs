//! The executor's side of a scan.

mod aggregate;
mod analyze;
mod append;
mod bind;
mod explain;
mod generated;
mod job;
mod lines;
mod lookup;
pub mod place;
mod scan;
mod state;

pub use aggregate::may_read_rows;
pub use analyze::analyze_foreign_table;
pub use append::{foreign_async_configure_wait, foreign_async_notify, foreign_async_request};
pub use explain::{explain_foreign_scan, property};
pub use generated::{StoredColumns, sources};
pub use lookup::{init, lookup_methods};
pub use scan::{
    begin_foreign_scan, end_foreign_scan, iterate_foreign_scan, recheck_foreign_scan, rescan_foreign_scan,
};
pub use state::cell_reader;
