//! Batched lookup joins: a join of anything with a foreign table, whose rows are asked for by lists of join keys.
//!
//! The path has two children, the outer side's own path and a plain scan of the foreign table; at execution
//! (`exec::lookup`) the keys of many outer rows go to that scan at once. Why the rows are those of the join:
//! `docs/pushdown.md`.

mod cost;
mod fit;
mod keys;
mod make;
mod sides;
mod table;

use super::nodes::clauses;
use super::relation::RelationState;
use crate::ffi;
use crate::private::Join;
use keys::Keys;
use pgrx::{PgList, pg_guard, pg_sys};
use sides::Sides;
use std::sync::OnceLock;
use table::lookup_table;

/// Who was asked for join paths before us.
static PREVIOUS: OnceLock<pg_sys::set_join_pathlist_hook_type> = OnceLock::new();

/// Takes part in the planning of joins; called once when the library is loaded.
pub fn init() {
    // SAFETY: main thread, while the library is loaded.
    unsafe {
        if PREVIOUS.set(pg_sys::set_join_pathlist_hook).is_ok() {
            pg_sys::set_join_pathlist_hook = Some(add_join_paths);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn add_join_paths(
    root: *mut pg_sys::PlannerInfo,
    joined: *mut pg_sys::RelOptInfo,
    outer: *mut pg_sys::RelOptInfo,
    inner: *mut pg_sys::RelOptInfo,
    kind: pg_sys::JoinType::Type,
    extra: *mut pg_sys::JoinPathExtraData,
) {
    // SAFETY: planner hook on the main thread with nodes of the current planning.
    unsafe {
        if let Some(Some(previous)) = PREVIOUS.get() {
            ffi::add_join_paths(*previous, root, joined, outer, inner, kind, extra);
        }
        let Some((join, unique)) = Join::of(kind) else {
            return;
        };
        let Some(inner_state) = lookup_table(root, inner) else {
            return;
        };
        if !(*joined).lateral_relids.is_null() {
            return;
        }
        let sides = Sides {
            joined,
            outer,
            inner,
            join,
            nulling: match join {
                Join::Left | Join::Anti => crate::compat::outer_join_relid((*extra).sjinfo),
                Join::Inner | Join::Semi => 0,
            },
        };
        let restrictions = (*extra).restrictlist;
        if clauses(restrictions)
            .iter()
            .any(|clause| (**clause).pseudoconstant)
        {
            return;
        }
        let Some(keys) = Keys::find(root, inner_state, &sides, restrictions) else {
            return;
        };
        if !fit::fits(&sides, restrictions) {
            return;
        }
        if unique {
            let cheapest = (*outer).cheapest_total_path;
            if is_free(cheapest) {
                let path = pg_sys::create_unique_path(root, outer, cheapest, (*extra).sjinfo);
                if !path.is_null() {
                    add_path(root, &sides, inner_state, &keys, path.cast(), restrictions);
                }
            }
            return;
        }
        for path in PgList::<pg_sys::Path>::from_pg((*outer).pathlist).iter_ptr() {
            let matters = path == (*outer).cheapest_total_path
                || path == (*outer).cheapest_startup_path
                || !(*path).pathkeys.is_null();
            if matters && is_free(path) {
                add_path(root, &sides, inner_state, &keys, path, restrictions);
            }
        }
    }
}

/// Whether a path needs nothing of other relations.
unsafe fn is_free(path: *mut pg_sys::Path) -> bool {
    // SAFETY: the caller's path of the current planning.
    unsafe { !path.is_null() && (*path).param_info.is_null() }
}

/// Adds the join of an outer path with the table.
unsafe fn add_path(
    root: *mut pg_sys::PlannerInfo,
    sides: &Sides,
    table: &RelationState,
    keys: &Keys,
    outer: *mut pg_sys::Path,
    restrictions: *mut pg_sys::List,
) {
    // SAFETY: nodes of the current planning.
    unsafe {
        let cost = cost::lookup(root, sides, table, keys, outer);
        let scan = crate::compat::create_foreignscan_path(
            root,
            sides.inner,
            cost.received,
            cost.scan.startup,
            cost.scan.total,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
        let path = make::path(sides, outer, scan, restrictions);
        (*path).path.rows = (*sides.joined).rows;
        (*path).path.startup_cost = cost.join.startup;
        (*path).path.total_cost = cost.join.total;
        let kind = match sides.join {
            Join::Left => pg_sys::JoinType::JOIN_LEFT,
            _ => pg_sys::JoinType::JOIN_INNER,
        };
        (*path).path.pathkeys = pg_sys::build_join_pathkeys(root, sides.joined, kind, (*outer).pathkeys);
        pg_sys::add_path(sides.joined, path.cast());
    }
}
