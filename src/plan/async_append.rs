//! Whether a scan may be read at the same time as its siblings below an Append.

use super::qual::Params;
use super::relation::{RelationState, state};
use super::{aggregate, limit, remote_rel};
use crate::catalog::ForeignTable;
use intacct::Count;
use pgrx::{pg_guard, pg_sys};

/// Whether the scan's first page may well be all that the statement takes from the whole Append: then its siblings are
/// asked only if it is not, since a call costs time and, by contract, money.
///
/// # Safety
/// Planner nodes of the current planning.
pub unsafe fn fits_first_page(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    table: &ForeignTable,
) -> bool {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    let wanted = unsafe { limit::wanted(root, rel, std::ptr::null_mut(), &mut Params::default()) };
    wanted.is_some_and(|wanted| match wanted.rows() {
        Count::Number(rows) => rows <= u64::from(table.page_size()),
        Count::Param(_) => true,
    })
}

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
                remote_rel::joined(rel).is_some_and(|source| {
                    let mut tables = source.members.iter().map(|member| member.table);
                    tables.all(ForeignTable::async_capable)
                })
            }
            _ if aggregate::is_upper(rel) => aggregate::is_async_capable(path),
            _ => false,
        }
    }
}
