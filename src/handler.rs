//! The handler: which callbacks PostgreSQL calls.

use crate::{exec, import, plan};
use pgrx::{pg_sys, prelude::*};

/// The routines of the foreign data wrapper.
#[pg_extern(sql = "
CREATE FUNCTION sage_intacct_fdw_handler() RETURNS fdw_handler
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn sage_intacct_fdw_handler() -> pgrx::PgBox<pg_sys::FdwRoutine, pgrx::AllocatedByPostgres> {
    // SAFETY: main thread; the node is zeroed, so callbacks that are not set are absent.
    let mut routine = unsafe { pgrx::PgBox::<pg_sys::FdwRoutine>::alloc_node(pg_sys::NodeTag::T_FdwRoutine) };
    routine.GetForeignRelSize = Some(plan::get_foreign_rel_size);
    routine.GetForeignPaths = Some(plan::get_foreign_paths);
    routine.GetForeignPlan = Some(plan::get_foreign_plan);
    routine.GetForeignJoinPaths = Some(plan::get_foreign_join_paths);
    routine.GetForeignUpperPaths = Some(plan::get_foreign_upper_paths);
    routine.AnalyzeForeignTable = Some(exec::analyze_foreign_table);
    routine.BeginForeignScan = Some(exec::begin_foreign_scan);
    routine.IterateForeignScan = Some(exec::iterate_foreign_scan);
    routine.ReScanForeignScan = Some(exec::rescan_foreign_scan);
    routine.RecheckForeignScan = Some(exec::recheck_foreign_scan);
    routine.EndForeignScan = Some(exec::end_foreign_scan);
    routine.ExplainForeignScan = Some(exec::explain_foreign_scan);
    routine.ImportForeignSchema = Some(import::import_foreign_schema);
    routine.into_pg_boxed()
}
