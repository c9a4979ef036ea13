//! Upper paths: which steps above scans and joins are pushed down.

use super::{aggregate, offset};
use crate::ffi;
use pgrx::{pg_guard, pg_sys};
use std::ffi::c_void;
use std::sync::OnceLock;

/// Who was asked for upper paths before us.
static PREVIOUS: OnceLock<pg_sys::create_upper_paths_hook_type> = OnceLock::new();

/// Takes part in the planning of what no single wrapper is asked for; called once when the library is loaded.
pub fn init() {
    // SAFETY: main thread, while the library is loaded.
    unsafe {
        if PREVIOUS.set(pg_sys::create_upper_paths_hook).is_ok() {
            pg_sys::create_upper_paths_hook = Some(add_upper_paths);
        }
    }
}

/// Offers to let several gateways group.
#[pg_guard]
unsafe extern "C-unwind" fn add_upper_paths(
    root: *mut pg_sys::PlannerInfo,
    stage: pg_sys::UpperRelationKind::Type,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    extra: *mut c_void,
) {
    use pg_sys::UpperRelationKind::{UPPERREL_DISTINCT, UPPERREL_GROUP_AGG};
    // SAFETY: planner hook on the main thread with nodes of the current planning; `extra` is of the type that the stage defines.
    unsafe {
        if let Some(Some(previous)) = PREVIOUS.get() {
            ffi::add_upper_paths(*previous, root, stage, input, output, extra);
        }
        match stage {
            UPPERREL_GROUP_AGG => aggregate::add_paths_of_several(root, stage, input, output, extra.cast()),
            UPPERREL_DISTINCT => {
                aggregate::add_paths_of_several(root, stage, input, output, std::ptr::null_mut());
            }
            _ => {}
        }
    }
}

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
