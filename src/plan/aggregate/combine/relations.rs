//! Relations and targets of groups that the planner has none for.

use crate::ffi::node;
use pgrx::pg_sys;

/// A target of expressions with their marks.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn pathtarget(
    root: *mut pg_sys::PlannerInfo,
    columns: &[(*mut pg_sys::Expr, pg_sys::Index)],
) -> *mut pg_sys::PathTarget {
    // SAFETY: nodes of the current planning, allocated in its memory context.
    unsafe {
        let target = pg_sys::create_empty_pathtarget();
        for (expression, mark) in columns {
            pg_sys::add_column_to_pathtarget(target, *expression, *mark);
        }
        pg_sys::set_pathtarget_cost_width(root, target)
    }
}

/// A grouped relation over these, beside the planner's own; what `foreign` reads, if it is not null.
///
/// # Safety
/// Relations of the current planning; `foreign` may be null.
pub unsafe fn upper(relids: pg_sys::Relids, foreign: *mut pg_sys::RelOptInfo) -> *mut pg_sys::RelOptInfo {
    // SAFETY: the node is zeroed, its tag set; the caller's relation of the current planning.
    unsafe {
        let upper: *mut pg_sys::RelOptInfo = node(pg_sys::NodeTag::T_RelOptInfo);
        (*upper).reloptkind = pg_sys::RelOptKind::RELOPT_OTHER_UPPER_REL;
        (*upper).relids = relids;
        (*upper).reltarget = pg_sys::create_empty_pathtarget();
        if let Some(foreign) = foreign.as_ref() {
            (*upper).serverid = foreign.serverid;
            (*upper).userid = foreign.userid;
            (*upper).useridiscurrent = foreign.useridiscurrent;
            (*upper).fdwroutine = foreign.fdwroutine;
        }
        upper
    }
}

/// A relation that joins groups, beside the planner's own.
///
/// # Safety
/// Within the current planning.
pub unsafe fn joined(relids: pg_sys::Relids) -> *mut pg_sys::RelOptInfo {
    // SAFETY: as above.
    unsafe {
        let joined = upper(relids, std::ptr::null_mut());
        (*joined).reloptkind = pg_sys::RelOptKind::RELOPT_JOINREL;
        joined
    }
}
