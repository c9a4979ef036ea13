//! Which tables can be asked by lists of keys.

use crate::plan::nodes::clauses;
use crate::plan::relation::{RelationState, is_ours, state};
use pgrx::pg_sys;

/// What is known of a relation, if it is a table of ours.
///
/// # Safety
/// A relation of the current planning.
pub unsafe fn own_state<'a>(rel: *mut pg_sys::RelOptInfo) -> Option<&'a RelationState> {
    use pg_sys::RelOptKind::{RELOPT_BASEREL, RELOPT_OTHER_MEMBER_REL};
    // SAFETY: the caller's relation of the current planning; the private state of a scan of ours is ours.
    unsafe {
        if !matches!((*rel).reloptkind, RELOPT_BASEREL | RELOPT_OTHER_MEMBER_REL)
            || (*rel).fdw_private.is_null()
        {
            return None;
        }
        is_ours(rel).then(|| state(rel))
    }
}

/// What is known of a relation, if it is a table of ours whose rows may be asked for by keys.
///
/// # Safety
/// As [`own_state`].
pub unsafe fn lookup_table<'a>(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
) -> Option<&'a RelationState> {
    // SAFETY: the caller's relation of the current planning.
    unsafe {
        let state = own_state(rel)?;
        if !(*rel).lateral_relids.is_null() {
            return None;
        }
        // A row that is changed may match once more by its new values.
        let is_target = pg_sys::bms_is_member((*rel).relid as i32, (*root).all_result_relids)
            && (*(*root).parse).commandType != pg_sys::CmdType::CMD_SELECT;
        // Such a condition makes a node above the scan.
        let gated = clauses((*rel).baserestrictinfo)
            .iter()
            .any(|clause| (**clause).pseudoconstant);
        (state.push.where_ && state.push.lookups && !is_target && !gated).then_some(state)
    }
}
