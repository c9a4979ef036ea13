//! Upper paths: which steps above scans and joins are pushed down.

use super::{aggregate, offset};
use pgrx::{pg_guard, pg_sys};
use std::ffi::c_void;

/// Offers to let the gateway group, and to finish a statement.
#[pg_guard]
pub unsafe extern "C-unwind" fn get_foreign_upper_paths(
    root: *mut pg_sys::PlannerInfo,
    stage: pg_sys::UpperRelationKind::Type,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    extra: *mut c_void,
) {
    use pg_sys::UpperRelationKind::{UPPERREL_DISTINCT, UPPERREL_FINAL, UPPERREL_GROUP_AGG};
    // SAFETY: planner callback on the main thread with nodes of the current planning; `extra` is of the type that the stage defines.
    unsafe {
        match stage {
            UPPERREL_GROUP_AGG => aggregate::add_paths(root, stage, input, output, extra.cast()),
            UPPERREL_DISTINCT => aggregate::add_paths(root, stage, input, output, std::ptr::null_mut()),
            UPPERREL_FINAL => offset::add_paths(root, output, extra.cast()),
            _ => {}
        }
    }
}
