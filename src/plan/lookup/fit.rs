//! Which joins have columns that the node can make: those of its two sides, each by one name only.

use super::sides::Sides;
use crate::plan::nodes::clauses;
use crate::private::Join;
use pgrx::{PgList, is_a, pg_sys};

/// Whether all that is read above the join, and by its clauses, is a column of one of the two sides. Beside a column the
/// planner notes which outer joins may have made it null, and does not forgive a node that mixes them up.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn fits(sides: &Sides, restrictions: *mut pg_sys::List) -> bool {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let (mut on, mut filter) = split(sides, restrictions);
        let mut nodes = PgList::<pg_sys::Node>::from_pg((*(*sides.joined).reltarget).exprs);
        let above = nodes.iter_ptr().all(|node| is_known(sides, node, true));
        nodes = PgList::from_pg((*(*sides.inner).reltarget).exprs);
        above
            && nodes.iter_ptr().all(|node| is_inner(sides, node, 0))
            && all_known(sides, &mut on, false)
            && all_known(sides, &mut filter, true)
    }
}

/// The join's conditions, and the filters that come after it.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn split(
    sides: &Sides,
    restrictions: *mut pg_sys::List,
) -> (*mut pg_sys::List, *mut pg_sys::List) {
    let (mut on, mut filter) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the caller guarantees valid planner or executor nodes. A sort that keeps the order of equals: conditions of a security barrier
    // come before those of the role that uses the view.
    unsafe {
        let mut ordered = clauses(restrictions);
        ordered.sort_by_key(|clause| (**clause).security_level);
        let mut list = PgList::<pg_sys::RestrictInfo>::new();
        for clause in ordered {
            list.push(clause);
        }
        let list = list.into_pg();
        match sides.join {
            Join::Left | Join::Anti => {
                pg_sys::extract_actual_join_clauses(list, (*sides.joined).relids, &mut on, &mut filter);
            }
            Join::Inner | Join::Semi => on = pg_sys::extract_actual_clauses(list, false),
        }
    }
    (on, filter)
}

unsafe fn all_known(sides: &Sides, clauses: &mut *mut pg_sys::List, above: bool) -> bool {
    let flags = pg_sys::PVC_INCLUDE_PLACEHOLDERS | pg_sys::PVC_INCLUDE_AGGREGATES;
    // SAFETY: clauses of the current planning.
    unsafe {
        let columns = pg_sys::pull_var_clause((*clauses).cast(), flags as i32);
        PgList::<pg_sys::Node>::from_pg(columns)
            .iter_ptr()
            .all(|node| is_known(sides, node, above))
    }
}

/// Whether a node is a column of a side, with `above` as it looks after the join.
unsafe fn is_known(sides: &Sides, node: *mut pg_sys::Node, above: bool) -> bool {
    // SAFETY: nodes of the current planning.
    unsafe {
        let outer = PgList::<pg_sys::Node>::from_pg((*(*sides.outer).reltarget).exprs);
        is_inner(sides, node, if above { sides.nulling } else { 0 })
            || outer
                .iter_ptr()
                .any(|known| pg_sys::equal(known.cast(), node.cast()))
    }
}

/// Whether a node is a column of the inner side that just this outer join may have made null.
unsafe fn is_inner(sides: &Sides, node: *mut pg_sys::Node, nulling: pg_sys::Index) -> bool {
    // SAFETY: nodes of the current planning; the type is checked before the cast.
    unsafe {
        if !is_a(node, pg_sys::NodeTag::T_Var) {
            return false;
        }
        let var = node.cast::<pg_sys::Var>();
        (*var).varno as u32 == (*sides.inner).relid
            && (*var).varlevelsup == 0
            && crate::compat::is_nulled_by(var, nulling)
    }
}
