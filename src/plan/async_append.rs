//! Whether a scan may be read at the same time as its siblings below an Append.

use super::relation::{RelationState, state};
use super::{aggregate, remote_rel};
use crate::catalog::ForeignTable;
use pgrx::{pg_guard, pg_sys};

/// Says whether a path may become an `Async Foreign Scan`.
#[pg_guard]
pub unsafe extern "C-unwind" fn is_foreign_path_async_capable(path: *mut pg_sys::ForeignPath) -> bool {
    // SAFETY: planner callback on the main thread with a path of ours.
    unsafe {
        if !(*path).path.param_info.is_null() {
            // By join keys: started over for each outer row, which is one request each time.
            return false;
        }
        let rel = (*path).path.parent;
        match (*rel).reloptkind {
            pg_sys::RelOptKind::RELOPT_BASEREL | pg_sys::RelOptKind::RELOPT_OTHER_MEMBER_REL => {
                let RelationState {
                    table,
                    fits_first_page,
                    ..
                } = state(rel);
                table.async_capable() && !fits_first_page
            }
            pg_sys::RelOptKind::RELOPT_JOINREL | pg_sys::RelOptKind::RELOPT_OTHER_JOINREL => {
                remote_rel::join_state(rel).is_some_and(|state| {
                    let mut tables = state.source.members.iter().map(|member| member.table);
                    !state.fits_first_page && tables.all(ForeignTable::async_capable)
                })
            }
            _ if aggregate::is_upper(rel) => aggregate::is_async_capable(path),
            _ => false,
        }
    }
}
