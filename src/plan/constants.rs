//! Conditions on columns that are the same in every row: the planner decides them, so that they keep nothing else from
//! the gateway, and a table in which no row can match is not read.
//!
//! The proof is the planner's own, the one by which it leaves out partitions.

use crate::catalog::{Column, ForeignTable};
use crate::convert::inward::constant;
use pgrx::{PgList, pg_sys};

/// Takes conditions that every row fulfils off a table; marks it as empty if there is one that no row fulfils.
///
/// # Safety
/// Planner nodes of the current planning; `rel` is a relation of `table`.
pub unsafe fn decide(rel: *mut pg_sys::RelOptInfo, table: &ForeignTable) {
    // SAFETY: the caller guarantees valid planner or executor nodes; what is made lives in the planner's memory.
    unsafe {
        let mut facts = PgList::<pg_sys::Node>::new();
        for column in &table.columns {
            if let Some(fact) = column
                .constant
                .as_deref()
                .and_then(|text| fact(rel, column, text))
            {
                facts.push(fact);
            }
        }
        if facts.is_empty() {
            return;
        }
        let facts = facts.into_pg();
        let mut open = PgList::<pg_sys::RestrictInfo>::new();
        for clause in super::nodes::clauses((*rel).baserestrictinfo) {
            pgrx::check_for_interrupts!();
            let mut condition = PgList::<pg_sys::Node>::new();
            condition.push((*clause).clause.cast());
            let condition = condition.into_pg();
            if pg_sys::contain_mutable_functions((*clause).clause.cast()) {
                open.push(clause);
            } else if pg_sys::predicate_refuted_by(condition, facts, true) {
                pg_sys::mark_dummy_rel(rel);
                return;
            } else if !pg_sys::predicate_implied_by(condition, facts, false) {
                open.push(clause);
            }
        }
        (*rel).baserestrictinfo = open.into_pg();
    }
}

/// Whether the values of a type are read in one way only.
pub fn is_settled(type_oid: pg_sys::Oid) -> bool {
    matches!(
        type_oid,
        pg_sys::TEXTOID
            | pg_sys::VARCHAROID
            | pg_sys::BPCHAROID
            | pg_sys::BOOLOID
            | pg_sys::INT2OID
            | pg_sys::INT4OID
            | pg_sys::INT8OID
            | pg_sys::NUMERICOID
            | pg_sys::UUIDOID
    )
}

/// `column = its value`. `None` for types whose values may be read in more than one way.
unsafe fn fact(rel: *mut pg_sys::RelOptInfo, column: &Column, text: &str) -> Option<*mut pg_sys::Node> {
    let settled = is_settled(column.type_oid);
    if !settled {
        return None;
    }
    // SAFETY: the caller guarantees a valid relation; catalog look-ups by OID. A value that is none of the type raises
    // here as it would when the rows are read.
    unsafe {
        let types = pg_sys::lookup_type_cache(column.type_oid, pg_sys::TYPECACHE_EQ_OPR as i32);
        let var = pg_sys::makeVar(
            (*rel).relid as i32,
            column.attnum,
            column.type_oid,
            column.typmod,
            column.collation,
            0,
        );
        let value = pg_sys::makeConst(
            column.type_oid,
            column.typmod,
            column.collation,
            (*types).typlen.into(),
            constant(text, column.type_oid, column.typmod),
            false,
            (*types).typbyval,
        );
        let mut var: *mut pg_sys::Node = var.cast();
        let mut value: *mut pg_sys::Node = value.cast();
        if column.type_oid == pg_sys::VARCHAROID {
            // Varchar borrows the operators of text, and the planner sees the same in the statement's conditions.
            for side in [&mut var, &mut value] {
                let cast = pg_sys::CoercionForm::COERCE_IMPLICIT_CAST;
                *side =
                    pg_sys::makeRelabelType(side.cast(), pg_sys::TEXTOID, -1, column.collation, cast).cast();
            }
        }
        let fact = pg_sys::make_opclause(
            (*types).eq_opr,
            pg_sys::BOOLOID,
            false,
            var.cast(),
            value.cast(),
            pg_sys::InvalidOid,
            column.collation,
        );
        // As the planner has made the statement's own conditions: `b = true` is `b` to it.
        Some(pg_sys::eval_const_expressions(std::ptr::null_mut(), fact.cast()))
    }
}
