//! The executor's side of a lookup join: the callbacks of its node.
//!
//! Outer rows are collected, their distinct keys become a condition of the scan that is the node's second child, the
//! rows that it brings are hashed, and joined rows are returned in the order of the outer side.

mod ask;
mod batch;
mod explain;
mod keys;
mod node;
mod row;
mod rows;
mod state;
mod table;
mod whole;

use crate::private::LOOKUP_NAME;
use node::{Node, lookup, private};
use pgrx::{PgList, PgMemoryContexts, pg_guard, pg_sys};
use state::Lookup;

struct ScanMethods(pg_sys::CustomScanMethods);

// SAFETY: a static name and a function; the table is never written.
unsafe impl Sync for ScanMethods {}

static SCAN_METHODS: ScanMethods = ScanMethods(pg_sys::CustomScanMethods {
    CustomName: LOOKUP_NAME.as_ptr(),
    CreateCustomScanState: Some(create),
});

struct ExecMethods(pg_sys::CustomExecMethods);

// SAFETY: as above.
unsafe impl Sync for ExecMethods {}

static EXEC_METHODS: ExecMethods = ExecMethods(pg_sys::CustomExecMethods {
    CustomName: LOOKUP_NAME.as_ptr(),
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
    ExplainCustomScan: Some(explain::explain),
});

/// Makes the node known by its name, under which plans travel as text; called once when the library is loaded.
pub fn init() {
    // SAFETY: main thread, while the library is loaded; the table is static.
    unsafe { pg_sys::RegisterCustomScanMethods(&raw const SCAN_METHODS.0) };
}

#[pg_guard]
unsafe extern "C-unwind" fn create(plan: *mut pg_sys::CustomScan) -> *mut pg_sys::Node {
    debug_assert!(!plan.is_null());
    // SAFETY: zeroed memory of the executor's, as makeNode gives it.
    unsafe {
        let node = pg_sys::palloc0(size_of::<Node>()).cast::<Node>();
        (*node.cast::<pg_sys::Node>()).type_ = pg_sys::NodeTag::T_CustomScanState;
        (*node).scan.methods = &raw const EXEC_METHODS.0;
        node.cast()
    }
}

/// Makes both sides ready, and sends no request.
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
        let flags = flags & !(unsupported as i32);
        let mut children = PgList::<pg_sys::PlanState>::new();
        for child in PgList::<pg_sys::Plan>::from_pg((*plan).custom_plans).iter_ptr() {
            children.push(pg_sys::ExecInitNode(child, estate, flags));
        }
        (*node).custom_ps = children.into_pg();
        if flags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as i32 != 0 {
            // Subplans in conditions are shown too.
            let count = private(node).conditions.into();
            let mut conditions = PgList::<pg_sys::Node>::new();
            let expressions = PgList::<pg_sys::Node>::from_pg((*plan).custom_exprs);
            expressions
                .iter_ptr()
                .take(count)
                .for_each(|node| conditions.push(node));
            pg_sys::ExecInitQual(conditions.into_pg(), &raw mut (*node).ss.ps);
            return;
        }
        let mut memory = PgMemoryContexts::For((*estate).es_query_cxt);
        let lookup = memory.switch_to(|_| Lookup::prepare(node, private(node)));
        (*node.cast::<Node>()).lookup = memory.leak_and_drop_on_delete(lookup);
    }
}

/// The next joined row.
#[pg_guard]
unsafe extern "C-unwind" fn exec(node: *mut pg_sys::CustomScanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: executor callback on the main thread with a node of ours.
    unsafe {
        match lookup(node) {
            Some(lookup) => lookup.next(),
            None => std::ptr::null_mut(),
        }
    }
}

/// Starts over, possibly with other parameters.
#[pg_guard]
unsafe extern "C-unwind" fn rescan(node: *mut pg_sys::CustomScanState) {
    // SAFETY: executor callback on the main thread with a node of ours.
    unsafe {
        let changed = (*node).ss.ps.chgParam;
        let mut inner_changed = false;
        for (number, child) in PgList::<pg_sys::PlanState>::from_pg((*node).custom_ps)
            .iter_ptr()
            .enumerate()
        {
            if !changed.is_null() {
                pg_sys::UpdateChangedParamSet(child, changed);
            }
            if (*child).chgParam.is_null() {
                // The inner side starts over whenever it is asked.
                if number == 0 {
                    pg_sys::ExecReScan(child);
                }
            } else {
                inner_changed |= number == 1;
            }
        }
        if let Some(lookup) = lookup(node) {
            lookup.rewind(inner_changed);
        }
    }
}

/// Cancels what is under way; the state itself goes with the executor's memory.
#[pg_guard]
unsafe extern "C-unwind" fn end(node: *mut pg_sys::CustomScanState) {
    // SAFETY: executor callback on the main thread with a node of ours.
    unsafe {
        if let Some(lookup) = lookup(node) {
            lookup.stop();
            lookup.close();
        }
        for child in PgList::<pg_sys::PlanState>::from_pg((*node).custom_ps).iter_ptr() {
            pg_sys::ExecEndNode(child);
        }
    }
}
