//! The executor's side of combined groups over several tables: rows of the plan below pass through, under other names.

use super::explain::property;
use crate::ffi;
use crate::private::COMBINED_NAME;
use pgrx::{PgList, pg_guard, pg_sys};

struct ScanMethods(pg_sys::CustomScanMethods);

// SAFETY: a static name and a function; the table is never written.
unsafe impl Sync for ScanMethods {}

static SCAN_METHODS: ScanMethods = ScanMethods(pg_sys::CustomScanMethods {
    CustomName: COMBINED_NAME.as_ptr(),
    CreateCustomScanState: Some(create),
});

struct ExecMethods(pg_sys::CustomExecMethods);

// SAFETY: as above.
unsafe impl Sync for ExecMethods {}

static EXEC_METHODS: ExecMethods = ExecMethods(pg_sys::CustomExecMethods {
    CustomName: COMBINED_NAME.as_ptr(),
    BeginCustomScan: Some(begin),
    ExecCustomScan: Some(exec),
    EndCustomScan: Some(end),
    ReScanCustomScan: Some(rescan),
    MarkPosCustomScan: None,
    RestrPosCustomScan: None,
    EstimateDSMCustomScan: None,
    InitializeDSMCustomScan: None,
    ReInitializeDSMCustomScan: None,
    InitializeWorkerCustomScan: None,
    ShutdownCustomScan: None,
    ExplainCustomScan: Some(explain),
});

/// Makes the node known by its name, under which plans travel as text; called once when the library is loaded.
pub fn init() {
    // SAFETY: main thread, while the library is loaded; the table is static.
    unsafe { pg_sys::RegisterCustomScanMethods(&raw const SCAN_METHODS.0) };
}

#[pg_guard]
unsafe extern "C-unwind" fn create(_plan: *mut pg_sys::CustomScan) -> *mut pg_sys::Node {
    // SAFETY: zeroed memory of the executor's, as makeNode gives it.
    unsafe {
        let node: *mut pg_sys::CustomScanState = ffi::node(pg_sys::NodeTag::T_CustomScanState);
        (*node).methods = &raw const EXEC_METHODS.0;
        node.cast()
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn begin(
    node: *mut pg_sys::CustomScanState,
    estate: *mut pg_sys::EState,
    flags: i32,
) {
    // SAFETY: executor callback on the main thread with a node of ours.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::CustomScan>();
        let unsupported = pg_sys::EXEC_FLAG_BACKWARD | pg_sys::EXEC_FLAG_MARK;
        let mut children = PgList::<pg_sys::PlanState>::new();
        for child in PgList::<pg_sys::Plan>::from_pg((*plan).custom_plans).iter_ptr() {
            let flags = flags & !(unsupported as i32);
            children.push(pg_sys::ExecInitNode(child, estate, flags));
        }
        (*node).custom_ps = children.into_pg();
    }
}

/// The plan below.
unsafe fn below(node: *mut pg_sys::CustomScanState) -> Option<*mut pg_sys::PlanState> {
    // SAFETY: a node of ours that has begun.
    unsafe { PgList::<pg_sys::PlanState>::from_pg((*node).custom_ps).get_ptr(0) }
}

/// The next row that passes HAVING, as it is selected.
#[pg_guard]
unsafe extern "C-unwind" fn exec(node: *mut pg_sys::CustomScanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: executor callback on the main thread with a node of ours.
    unsafe { pg_sys::ExecScan(&raw mut (*node).ss, Some(next), Some(recheck)) }
}

/// The next row of the plan below.
#[pg_guard]
unsafe extern "C-unwind" fn next(node: *mut pg_sys::ScanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: called by ExecScan with a node of ours.
    unsafe {
        let slot = (*node).ss_ScanTupleSlot;
        ffi::ExecClearTuple(slot);
        let Some(below) = below(node.cast()) else {
            return slot;
        };
        if !(*below).chgParam.is_null() {
            pg_sys::ExecReScan(below);
        }
        let row = ffi::ExecProcNode(below);
        if !row.is_null() && u32::from((*row).tts_flags) & pg_sys::TTS_FLAG_EMPTY == 0 {
            ffi::ExecCopySlot(slot, row);
        }
        slot
    }
}

/// Groups are of no row that another transaction may have changed.
#[pg_guard]
unsafe extern "C-unwind" fn recheck(
    _node: *mut pg_sys::ScanState,
    _slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    true
}

#[pg_guard]
unsafe extern "C-unwind" fn rescan(node: *mut pg_sys::CustomScanState) {
    // SAFETY: executor callback on the main thread with a node of ours.
    unsafe {
        let Some(below) = below(node) else { return };
        let changed = (*node).ss.ps.chgParam;
        if !changed.is_null() {
            pg_sys::UpdateChangedParamSet(below, changed);
        }
        // What has changed starts over with its next row.
        if (*below).chgParam.is_null() {
            pg_sys::ExecReScan(below);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn end(node: *mut pg_sys::CustomScanState) {
    // SAFETY: executor callback on the main thread with a node of ours.
    unsafe {
        if let Some(below) = below(node) {
            pg_sys::ExecEndNode(below);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn explain(
    _node: *mut pg_sys::CustomScanState,
    _ancestors: *mut pg_sys::List,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: called by EXPLAIN.
    unsafe { property(es, c"Intacct Groups", "combined by the plan below") }
}
