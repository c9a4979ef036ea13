//! How PostgreSQL would plan a query, without EXPLAIN: Citus stops running statements in the session's own process for the
//! rest of a transaction in which something was explained, and then no longer finds temporary tables.

use crate::error::{Report, raise};
use pgrx::PgList;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CString;

/// Whether the rows of a query come from one foreign scan alone, and whether PostgreSQL sorts. Nothing is run, and nothing is
/// sent; the query is planned with the rights of the current user, as EXPLAIN would.
#[pg_extern(volatile)]
fn mirror_planned(query: &str) -> TableIterator<'static, (name!(foreign_scan, bool), name!(sorts, bool))> {
    let query = CString::new(query).unwrap_or_default();
    // SAFETY: main thread, connected to SPI; the plan is read before it is released, and an error releases all of it.
    let planned = Spi::connect(|_| unsafe {
        let plan = pg_sys::SPI_prepare(query.as_ptr(), 0, std::ptr::null_mut());
        if plan.is_null() {
            return None;
        }
        let cached = pg_sys::SPI_plan_get_cached_plan(plan);
        if cached.is_null() {
            return None;
        }
        let statement = PgList::<pg_sys::PlannedStmt>::from_pg((*cached).stmt_list).get_ptr(0);
        let planned = statement
            .filter(|statement| (**statement).type_ == pg_sys::NodeTag::T_PlannedStmt)
            .map(|statement| {
                let root = (*statement).planTree;
                ((*root).type_ == pg_sys::NodeTag::T_ForeignScan, sorts(root))
            });
        // A plan that is not saved has no owner.
        pg_sys::ReleaseCachedPlan(cached, std::ptr::null_mut());
        pg_sys::SPI_freeplan(plan);
        planned
    });
    let planned = planned.unwrap_or_else(|| {
        raise(Report::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "the statement is not one query",
        ))
    });
    TableIterator::once(planned)
}

/// Whether a plan over one table has a sort in it.
///
/// # Safety
/// The plan is complete, or null.
unsafe fn sorts(plan: *mut pg_sys::Plan) -> bool {
    // SAFETY: the caller's; what is below a node is complete too.
    unsafe {
        !plan.is_null()
            && (matches!(
                (*plan).type_,
                pg_sys::NodeTag::T_Sort | pg_sys::NodeTag::T_IncrementalSort
            ) || sorts((*plan).lefttree))
    }
}
