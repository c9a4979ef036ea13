//! What a lookup join costs: its lists of keys and the pages of what they bring.

use super::keys::Keys;
use super::sides::Sides;
use super::table::own_state;
use crate::plan::cost::{Cost, UNKNOWN_AGGREGATE, UNKNOWN_ROWS};
use crate::plan::relation::{RelationState, Size};
use intacct::Condition;
use pgrx::pg_sys;

/// So many keys, and more, are not looked for in a table of unknown size: most tables have fewer pages than there would be lists.
const MANY_KEYS: f64 = 10.0 * UNKNOWN_ROWS;

/// An estimate.
pub struct Estimate {
    /// Of the join.
    pub join: Cost,
    /// Of the scan in it.
    pub scan: Cost,
    /// Rows that the scan brings.
    pub received: f64,
}

/// The cost of joining `outer` with the table by lists of keys.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn lookup(
    root: *mut pg_sys::PlannerInfo,
    sides: &Sides,
    state: &RelationState,
    keys: &Keys,
    outer: *mut pg_sys::Path,
) -> Estimate {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let table = &state.table;
        let distinct = |outer_side: bool, rows: f64| {
            let expressions = keys.expressions(sides, outer_side);
            pg_sys::estimate_num_groups(
                root,
                expressions,
                rows.max(1.0),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        let outer_rows = (*outer).rows.max(1.0);
        let asked = distinct(true, outer_rows).clamp(1.0, outer_rows);
        let inner_rows = (*sides.inner).rows.max(1.0);
        let by_row_key =
            matches!(&keys.template, Condition::Compare { field, .. } if table.is_row_key(field));
        let received = match by_row_key {
            true => asked.min(inner_rows),
            false => inner_rows * (asked / distinct(false, inner_rows).max(1.0)).min(1.0),
        };
        let page = f64::from(table.page_size());
        let list = crate::guc::lookup_batch() as f64;
        let lists = (asked / list).ceil().max(1.0);
        // Each list has a first page, and a count travels with the third.
        let count = f64::from(u8::from(lists >= 3.0));
        let calls = lists * (received / lists / page).ceil().max(1.0) + count;
        // When the lists have cost what reading the table does, it is read.
        let whole = (inner_rows / page).ceil().max(1.0);
        let calls = match state.size {
            // The size of the table is unknown; keys that are known bound what is read, and so does a count that shows it.
            Size::Guessed => match table.dialect().capabilities().total_count
                && asked <= MANY_KEYS
                && !is_vague(root, sides.outer, outer_rows)
            {
                true => UNKNOWN_AGGREGATE * calls.min(whole),
                // What it takes at worst.
                false => calls.max(2.0 * whole + 3.0),
            },
            Size::Analyzed | Size::Counted(_) => calls.min(2.0 * whole + 3.0),
        };
        let request = table.server.fdw_startup_cost;
        let per_row =
            table.server.fdw_tuple_cost + pg_sys::cpu_tuple_cost + (*sides.inner).baserestrictcost.per_tuple;
        let scan = Cost {
            startup: request,
            total: calls * request + received * per_row,
        };
        // As the other joins: rows that find none are not counted as joined.
        let joined = (*sides.joined).rows;
        let joined = joined.min(received.max(joined - outer_rows));
        let local = outer_rows
            * (pg_sys::cpu_tuple_cost + pg_sys::cpu_operator_cost * keys.clauses.len() as f64)
            + joined * pg_sys::cpu_tuple_cost;
        // The first list waits for as many outer rows as it has keys.
        let first = (list / asked).min(1.0);
        let outer_run = (*outer).total_cost - (*outer).startup_cost;
        Estimate {
            join: Cost {
                startup: (*outer).startup_cost + outer_run * first + request,
                total: (*outer).total_cost + scan.total + local,
            },
            scan,
            received: pg_sys::clamp_row_est(received),
        }
    }
}

/// Whether so many rows of the outer side are a guess, and not narrowed by conditions: then nothing speaks for fewer keys than
/// the table has rows, and a list names fewer of them than a page shows.
unsafe fn is_vague(root: *mut pg_sys::PlannerInfo, outer: *mut pg_sys::RelOptInfo, rows: f64) -> bool {
    if rows < UNKNOWN_ROWS / 2.0 {
        return false;
    }
    let mut relid = -1;
    // SAFETY: the caller guarantees valid planner nodes. The array has a place for each table, which outer joins leave empty.
    unsafe {
        loop {
            relid = pg_sys::bms_next_member((*outer).relids, relid);
            if relid < 0 {
                return false;
            }
            if relid >= (*root).simple_rel_array_size {
                continue;
            }
            let table = *(*root).simple_rel_array.add(relid as usize);
            if !table.is_null() && own_state(table).is_some_and(|state| state.size == Size::Guessed) {
                return true;
            }
        }
    }
}
