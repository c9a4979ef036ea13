//! The nodes of a lookup join: its path, and the plan that is made of it.

use super::fit;
use super::keys::{Keys, is_outer_left};
use super::sides::Sides;
use crate::error::raise_internal;
use crate::ffi::node;
use crate::plan::limit;
use crate::plan::qual::Params;
use crate::plan::relation::state;
use crate::private::{Join, LOOKUP_NAME, LookupPrivate, to_list};
use pgrx::{PgList, is_a, pg_guard, pg_sys};

struct PathMethods(pg_sys::CustomPathMethods);

// SAFETY: a static name and a function; the table is never written.
unsafe impl Sync for PathMethods {}

static METHODS: PathMethods = PathMethods(pg_sys::CustomPathMethods {
    CustomName: LOOKUP_NAME.as_ptr(),
    PlanCustomPath: Some(plan),
    ReparameterizeCustomPathByChild: None,
});

/// The path of a join of `outer` with `scan`; its costs and its order are the caller's to set.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn path(
    sides: &Sides,
    outer: *mut pg_sys::Path,
    scan: *mut pg_sys::Path,
    restrictions: *mut pg_sys::List,
) -> *mut pg_sys::CustomPath {
    // SAFETY: the node is zeroed memory of the planner's, as makeNode gives it.
    unsafe {
        let path: *mut pg_sys::CustomPath = node(pg_sys::NodeTag::T_CustomPath);
        (*path).path.pathtype = pg_sys::NodeTag::T_CustomScan;
        (*path).path.parent = sides.joined;
        (*path).path.pathtarget = (*sides.joined).reltarget;
        (*path).flags = pg_sys::CUSTOMPATH_SUPPORT_PROJECTION;
        let mut children = PgList::<pg_sys::Path>::new();
        children.push(outer);
        children.push(scan);
        (*path).custom_paths = children.into_pg();
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        {
            (*path).custom_restrictinfo = restrictions;
        }
        let mut private = PgList::<pg_sys::Node>::new();
        private.push(restrictions.cast());
        private.push(pg_sys::makeInteger(sides.join as i32).cast());
        private.push(pg_sys::makeInteger(sides.nulling as i32).cast());
        (*path).custom_private = private.into_pg();
        (*path).methods = &raw const METHODS.0;
        path
    }
}

impl Sides {
    /// What [`path`] kept.
    unsafe fn of(
        joined: *mut pg_sys::RelOptInfo,
        path: *mut pg_sys::CustomPath,
    ) -> (Sides, *mut pg_sys::List) {
        // SAFETY: a path of ours.
        unsafe {
            let children = PgList::<pg_sys::Path>::from_pg((*path).custom_paths);
            let private = PgList::<pg_sys::Node>::from_pg((*path).custom_private);
            let (Some(outer), Some(inner)) = (children.get_ptr(0), children.get_ptr(1)) else {
                raise_internal("a lookup join without two sides")
            };
            let number = |index| {
                private
                    .get_ptr(index)
                    .map_or(0, |node| (*node.cast::<pg_sys::Integer>()).ival)
            };
            let join = [Join::Inner, Join::Left, Join::Semi, Join::Anti]
                .into_iter()
                .find(|join| *join as i32 == number(1));
            let sides = Sides {
                joined,
                outer: (*outer).parent,
                inner: (*inner).parent,
                join: join.unwrap_or(Join::Inner),
                nulling: number(2) as pg_sys::Index,
            };
            (sides, private.get_ptr(0).unwrap_or(std::ptr::null_mut()).cast())
        }
    }
}

/// Makes the plan of a path.
#[pg_guard]
unsafe extern "C-unwind" fn plan(
    root: *mut pg_sys::PlannerInfo,
    joined: *mut pg_sys::RelOptInfo,
    path: *mut pg_sys::CustomPath,
    target_list: *mut pg_sys::List,
    _clauses: *mut pg_sys::List,
    plans: *mut pg_sys::List,
) -> *mut pg_sys::Plan {
    // SAFETY: planner callback on the main thread with a path of ours.
    unsafe {
        let (sides, restrictions) = Sides::of(joined, path);
        let table = state(sides.inner);
        let Some(keys) = Keys::find(root, table, &sides, restrictions) else {
            raise_internal("a lookup join has no keys")
        };
        let children = PgList::<pg_sys::Plan>::from_pg(plans);
        let (Some(outer), Some(inner)) = (children.get_ptr(0), children.get_ptr(1)) else {
            raise_internal("a lookup join without two sides")
        };
        if !is_a(inner.cast(), pg_sys::NodeTag::T_ForeignScan) {
            raise_internal("the inner side of a lookup join is no foreign scan");
        }
        let nulled =
            |node: *mut pg_sys::Node| crate::compat::add_nulling(node, (*sides.inner).relids, sides.nulling);

        // The columns of the node's own rows: those of the outer side, and behind them those of the inner one.
        let mut columns = PgList::<pg_sys::TargetEntry>::new();
        for (side, is_inner) in [(outer, false), (inner, true)] {
            for entry in PgList::<pg_sys::TargetEntry>::from_pg((*side).targetlist).iter_ptr() {
                let copy = pg_sys::copyObjectImpl((*entry).expr.cast()).cast::<pg_sys::Node>();
                let expression = if is_inner { nulled(copy) } else { copy };
                let number = columns.len() as i16 + 1;
                let column = pg_sys::makeTargetEntry(expression.cast(), number, std::ptr::null_mut(), false);
                columns.push(column);
            }
        }

        let (on, filter) = fit::split(&sides, restrictions);
        let on = PgList::<pg_sys::Node>::from_pg(nulled(on.cast()).cast());
        let mut expressions = PgList::<pg_sys::Node>::new();
        for condition in on.iter_ptr() {
            expressions.push(condition);
        }
        for clause in &keys.clauses {
            let key = pg_sys::copyObjectImpl((**clause).clause.cast()).cast::<pg_sys::OpExpr>();
            if !is_outer_left(*clause, &sides) {
                pg_sys::CommuteOpExpr(key);
            }
            expressions.push(nulled(key.cast()));
        }
        let count = keys.clauses.len() as u16;
        let mut wanted_params = Params::default();
        let wanted = match table.push.limit {
            true => limit::wanted(root, joined, (*path).path.pathkeys, &mut wanted_params),
            false => None,
        };
        let (values, transforms) = keys.params.into_parts();
        let (wanted_values, wanted_transforms) = wanted_params.into_parts();
        for list in [values, wanted_values] {
            for value in PgList::<pg_sys::Node>::from_pg(list).iter_ptr() {
                expressions.push(value);
            }
        }
        let private = LookupPrivate {
            join: sides.join,
            conditions: on.len() as u16,
            keys: count,
            transforms,
            template: keys.template,
            coarse: keys.coarse,
            dialect: table.table.dialect(),
            wanted,
            wanted_transforms,
        };

        let scan: *mut pg_sys::CustomScan = node(pg_sys::NodeTag::T_CustomScan);
        (*scan).scan.plan.targetlist = target_list;
        (*scan).scan.plan.qual = filter;
        (*scan).flags = (*path).flags;
        (*scan).custom_plans = plans;
        (*scan).custom_exprs = expressions.into_pg();
        (*scan).custom_private = to_list(&private)
            .unwrap_or_else(|error| raise_internal(&format!("cannot keep the plan: {error}")));
        (*scan).custom_scan_tlist = columns.into_pg();
        (*scan).methods = pg_sys::GetCustomScanMethods(LOOKUP_NAME.as_ptr(), false);
        scan.cast()
    }
}
