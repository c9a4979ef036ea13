//! Parameterized paths, scans by join keys: one request for each outer row, worth it when the outer side is tiny.

use super::cost;
use super::relation::RelationState;
use pgrx::{PgList, pg_guard, pg_sys};
use std::ffi::c_void;

/// Adds a path for each set of outer relations whose join clauses the gateway can check.
///
/// # Safety
/// Planner nodes of the current planning; `rel` has passed through get_foreign_rel_size.
pub unsafe fn add_paths(root: *mut pg_sys::PlannerInfo, rel: *mut pg_sys::RelOptInfo, state: &RelationState) {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let translator = state.translator(root, rel);
        let mut seen: Vec<pg_sys::Relids> = Vec::new();
        for clause in join_clauses(root, rel) {
            pgrx::check_for_interrupts!();
            if !pg_sys::join_clause_is_movable_to(clause, rel) {
                continue;
            }
            if (*clause).pseudoconstant || translator.translated((*clause).clause.cast()).pushed.is_none() {
                continue;
            }
            let outer = pg_sys::bms_union((*clause).clause_relids, (*rel).lateral_relids);
            let outer = pg_sys::bms_del_member(outer, (*rel).relid as i32);
            if outer.is_null() || seen.iter().any(|other| pg_sys::bms_equal(*other, outer)) {
                continue;
            }
            seen.push(outer);
            let info = pg_sys::get_baserel_parampathinfo(root, rel, outer);
            let rows = (*info).ppi_rows;
            let cost = cost::scan(
                &state.table,
                rows,
                1,
                cost::local_cost(rel),
                pg_sys::cpu_tuple_cost,
            );
            let path = crate::compat::create_foreignscan_path(
                root,
                rel,
                rows,
                cost.startup,
                cost.total,
                std::ptr::null_mut(),
                outer,
                std::ptr::null_mut(),
            );
            pg_sys::add_path(rel, path);
        }
    }
}

/// Join clauses that mention the relation, those implied by equivalence classes included.
unsafe fn join_clauses(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
) -> Vec<*mut pg_sys::RestrictInfo> {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let mut clauses: Vec<_> = PgList::<pg_sys::RestrictInfo>::from_pg((*rel).joininfo)
            .iter_ptr()
            .collect();
        if (*rel).has_eclass_joins {
            let implied = pg_sys::generate_implied_equalities_for_column(
                root,
                rel,
                Some(is_ours),
                std::ptr::null_mut(),
                (*rel).lateral_referencers,
            );
            clauses.extend(PgList::<pg_sys::RestrictInfo>::from_pg(implied).iter_ptr());
        }
        clauses
    }
}

/// Whether a member of an equivalence class is made of the relation's columns: of a bare one, or of one within a cast or a
/// function. What of it can be expressed is for the translator to know.
#[pg_guard]
unsafe extern "C-unwind" fn is_ours(
    _root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    _class: *mut pg_sys::EquivalenceClass,
    member: *mut pg_sys::EquivalenceMember,
    _nothing: *mut c_void,
) -> bool {
    // SAFETY: called by the planner with valid nodes.
    unsafe { pg_sys::bms_equal((*member).em_relids, (*rel).relids) }
}
