//! The node above groups that PostgreSQL combines of several tables: as the foreign scan that stands there for one, it names
//! the columns below it by the statement's keys and aggregates, and passes rows through. It belongs to no server.

use crate::error::raise_internal;
use crate::ffi::node;
use crate::private::COMBINED_NAME;
use pgrx::{PgList, pg_guard, pg_sys};

struct PathMethods(pg_sys::CustomPathMethods);

// SAFETY: a static name and a function; the table is never written.
unsafe impl Sync for PathMethods {}

static METHODS: PathMethods = PathMethods(pg_sys::CustomPathMethods {
    CustomName: COMBINED_NAME.as_ptr(),
    PlanCustomPath: Some(plan),
    ReparameterizeCustomPathByChild: None,
});

/// The path above `combined`, which has these columns; its costs are the caller's to set.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn path(
    output: *mut pg_sys::RelOptInfo,
    target: *mut pg_sys::PathTarget,
    combined: *mut pg_sys::Path,
    columns: impl Iterator<Item = (*mut pg_sys::Expr, pg_sys::Index)>,
    having: *mut pg_sys::List,
) -> *mut pg_sys::Path {
    // SAFETY: the node is zeroed memory of the planner's, as makeNode gives it.
    unsafe {
        let path: *mut pg_sys::CustomPath = node(pg_sys::NodeTag::T_CustomPath);
        (*path).path.pathtype = pg_sys::NodeTag::T_CustomScan;
        (*path).path.parent = output;
        (*path).path.pathtarget = target;
        (*path).flags = pg_sys::CUSTOMPATH_SUPPORT_PROJECTION;
        let mut children = PgList::<pg_sys::Path>::new();
        children.push(combined);
        (*path).custom_paths = children.into_pg();
        let mut named = PgList::<pg_sys::Node>::new();
        columns.for_each(|(column, _)| named.push(column.cast()));
        let mut private = PgList::<pg_sys::List>::new();
        private.push(named.into_pg());
        private.push(having);
        (*path).custom_private = private.into_pg();
        (*path).methods = &raw const METHODS.0;
        path.cast()
    }
}

/// Makes the plan of a path.
#[pg_guard]
unsafe extern "C-unwind" fn plan(
    _root: *mut pg_sys::PlannerInfo,
    _output: *mut pg_sys::RelOptInfo,
    path: *mut pg_sys::CustomPath,
    target_list: *mut pg_sys::List,
    _clauses: *mut pg_sys::List,
    plans: *mut pg_sys::List,
) -> *mut pg_sys::Plan {
    // SAFETY: planner callback on the main thread with a path of ours.
    unsafe {
        let private = PgList::<pg_sys::List>::from_pg((*path).custom_private);
        let (Some(named), Some(having)) = (private.get_ptr(0), private.get_ptr(1)) else {
            raise_internal("a path of combined groups has no columns")
        };
        let mut columns = PgList::<pg_sys::TargetEntry>::new();
        for (number, column) in (1..).zip(PgList::<pg_sys::Expr>::from_pg(named).iter_ptr()) {
            columns.push(pg_sys::makeTargetEntry(
                column,
                number,
                std::ptr::null_mut(),
                false,
            ));
        }
        let scan: *mut pg_sys::CustomScan = node(pg_sys::NodeTag::T_CustomScan);
        (*scan).scan.plan.targetlist = target_list;
        (*scan).scan.plan.qual = having;
        (*scan).flags = (*path).flags;
        (*scan).custom_plans = plans;
        (*scan).custom_scan_tlist = columns.into_pg();
        (*scan).methods = pg_sys::GetCustomScanMethods(COMBINED_NAME.as_ptr(), false);
        scan.cast()
    }
}
