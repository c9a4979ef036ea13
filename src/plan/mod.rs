//! Planning of foreign scans, joins and aggregates: sizes, paths, and plans with their [`Query`](intacct::Query).

mod aggregate;
mod async_append;
mod columns;
mod constants;
mod cost;
mod estimate;
mod join;
mod limit;
mod lookup;
mod nodes;
mod offset;
mod parameterized;
mod qual;
mod relation;
mod remote_rel;
mod scan;
mod sort;
mod upper;

pub use async_append::is_foreign_path_async_capable;
pub use columns::read_by_generated;
pub use join::get_foreign_join_paths;
pub use scan::{get_foreign_paths, get_foreign_plan, get_foreign_rel_size};
pub use upper::get_foreign_upper_paths;

/// Takes part in planning beyond the callbacks of a wrapper; called once when the library is loaded.
pub fn init() {
    lookup::init();
    upper::init();
}
