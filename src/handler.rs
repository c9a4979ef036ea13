//! The handler: which callbacks PostgreSQL calls.

use crate::{exec, import, modify, plan};
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
    routine.IsForeignRelUpdatable = Some(modify::is_foreign_rel_updatable);
    routine.AddForeignUpdateTargets = Some(modify::add_foreign_update_targets);
    routine.PlanForeignModify = Some(modify::plan_foreign_modify);
    routine.BeginForeignModify = Some(modify::begin_foreign_modify);
    routine.ExecForeignInsert = Some(modify::exec_foreign_insert);
    routine.GetForeignModifyBatchSize = Some(modify::get_foreign_modify_batch_size);
    routine.ExecForeignBatchInsert = Some(modify::exec_foreign_batch_insert);
    routine.ExecForeignUpdate = Some(modify::exec_foreign_update);
    routine.ExecForeignDelete = Some(modify::exec_foreign_delete);
    routine.EndForeignModify = Some(modify::end_foreign_modify);
    routine.BeginForeignInsert = Some(modify::begin_foreign_insert);
    routine.EndForeignInsert = Some(modify::end_foreign_modify);
    routine.ExplainForeignModify = Some(modify::explain_foreign_modify);
    routine.ExecForeignTruncate = Some(modify::exec_foreign_truncate);
    routine.IsForeignPathAsyncCapable = Some(plan::is_foreign_path_async_capable);
    routine.ForeignAsyncRequest = Some(exec::foreign_async_request);
    routine.ForeignAsyncConfigureWait = Some(exec::foreign_async_configure_wait);
    routine.ForeignAsyncNotify = Some(exec::foreign_async_notify);
    routine.ImportForeignSchema = Some(import::import_foreign_schema);
    routine.into_pg_boxed()
}
