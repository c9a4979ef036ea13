//! Planner state of a foreign table (`fdw_private` of its `RelOptInfo`).

use super::qual::{Params, TranslationCache, Translator};
use crate::catalog::ForeignTable;
use crate::options::PushSwitches;
use pgrx::pg_sys;
use std::rc::Rc;

/// What planning one table needs to remember between its callbacks.
pub struct RelationState {
    pub table: Rc<ForeignTable>,
    pub push: PushSwitches,
    /// What its conditions were translated to.
    pub known: TranslationCache,
    /// Where its number of rows comes from.
    pub size: Size,
    /// The first page may be all that the statement takes.
    pub fits_first_page: bool,
}

/// Where the number of a table's rows comes from.
#[derive(Clone, Copy, PartialEq)]
pub enum Size {
    /// What ANALYZE has found.
    Analyzed,
    /// The gateway has counted, while planning, those under the conditions that it can check.
    Counted(f64),
    /// Neither analyzed nor counted.
    Guessed,
}

/// The state made by [`get_foreign_rel_size`](super::get_foreign_rel_size).
///
/// # Safety
/// `rel` must be a relation that passed through it in this planning.
pub unsafe fn state<'a>(rel: *mut pg_sys::RelOptInfo) -> &'a RelationState {
    // SAFETY: the pointer was set by get_foreign_rel_size and lives as long as the planner's memory context.
    unsafe { &*(*rel).fdw_private.cast::<RelationState>() }
}

impl RelationState {
    pub fn translator(&self, root: *mut pg_sys::PlannerInfo, rel: *mut pg_sys::RelOptInfo) -> Translator<'_> {
        Translator {
            table: &self.table,
            known: &self.known,
            // SAFETY: a valid relation of the current planning.
            relid: unsafe { (*rel).relid },
            root,
            params: Params::default(),
            may_disregard_case: true,
            depth: 0,
        }
    }
}

/// How many rows a table has at most, as far as it is known: from ANALYZE, or because this backend has read it.
///
/// # Safety
/// As [`state`], of a table.
pub unsafe fn known_rows(rel: *mut pg_sys::RelOptInfo) -> Option<f64> {
    // SAFETY: same contract as this function.
    unsafe {
        let state = state(rel);
        let seen = state.table.seen_rows.get().map(|rows| rows as f64);
        match state.size {
            Size::Analyzed => Some(seen.unwrap_or(0.0).max((*rel).tuples)),
            Size::Counted(_) | Size::Guessed => seen,
        }
    }
}

/// Whether a statement lists different values and computes no aggregate.
///
/// # Safety
/// `root` must be of the current planning.
pub unsafe fn lists_values(root: *mut pg_sys::PlannerInfo) -> bool {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        let parse = (*root).parse;
        let has_keys = !(*parse).groupClause.is_null() || !(*parse).distinctClause.is_null();
        has_keys && !(*parse).hasAggs && (*parse).groupingSets.is_null()
    }
}

/// Whether a relation is read by this wrapper alone, so that its private state is ours.
///
/// # Safety
/// `rel` must be a relation of the current planning.
pub unsafe fn is_ours(rel: *mut pg_sys::RelOptInfo) -> bool {
    let ours = crate::exec::begin_foreign_scan as *const () as usize;
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        (*rel)
            .fdwroutine
            .as_ref()
            .and_then(|routine| routine.BeginForeignScan)
            .is_some_and(|begin| begin as *const () as usize == ours)
    }
}
