//! Costs: a plan costs its requests first, then the rows that travel.

use crate::catalog::ForeignTable;
use pgrx::pg_sys;

/// Rows of a table not counted yet.
pub const UNKNOWN_ROWS: f64 = 1000.0;

/// The least share of such a table that conditions are expected to leave, when none of them names rows by their key.
/// Without statistics each equality counts as rare, and a few together as one row: then a nested loop would look cheap
/// that asks the gateway thousands of times.
pub const LEAST_UNKNOWN_SHARE: f64 = 0.05;

/// The share of rows that have one value of an enumeration.
pub const ENUM_SHARE: f64 = 0.2;

/// What a request for aggregates of such a table weighs, in requests. It saves nothing where the rows are few, and all
/// where the guess was wrong.
pub const UNKNOWN_AGGREGATE: f64 = 0.9;

/// What a slice beside the first weighs, in requests. A statement with a LIMIT rarely comes to it, and to one without
/// an order from the gateway is worth it: the slice must not make the planner sort here instead.
const NULL_PART: f64 = 0.01;

/// What a scan is expected to cost, in the planner's units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Until the first row: one request.
    pub startup: f64,
    /// Until the last row.
    pub total: f64,
}

/// The cost of fetching `rows` rows, in `parts` slices, of which the statement keeps what its local conditions leave.
///
/// Each page is one request and costs `fdw_startup_cost`: with the default of postgres_fdw (100 for a connection's
/// round trip) a nested loop that asks once per outer row loses against reading the inner table whole, unless the
/// outer side is tiny.
pub fn scan(table: &ForeignTable, rows: f64, parts: usize, local_per_row: f64, cpu_tuple_cost: f64) -> Cost {
    let request = table.server.fdw_startup_cost;
    let pages = (rows / f64::from(table.page_size())).ceil().max(1.0) + (parts as f64 - 1.0) * NULL_PART;
    let per_row = table.server.fdw_tuple_cost + cpu_tuple_cost + local_per_row;
    Cost {
        startup: request,
        total: pages * request + rows * per_row,
    }
}

/// What checking the conditions costs for one row: all of them are rechecked locally.
pub unsafe fn local_cost(rel: *mut pg_sys::RelOptInfo) -> f64 {
    // SAFETY: nodes of the current planning, as for all callers.
    unsafe { (*rel).baserestrictcost.per_tuple }
}
