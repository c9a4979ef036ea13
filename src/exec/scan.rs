//! The scan callbacks: begin, iterate, rescan, end.

use super::bind::Parameters;
use super::state::{Output, ScanState, constant};
use crate::catalog::ForeignTable;
use crate::convert::inward::Converter;
use crate::error::{raise, raise_internal};
use crate::plan::private::ScanPrivate;
use pgrx::{PgMemoryContexts, pg_guard, pg_sys};

/// The state of a scan that has begun; none while only explaining.
///
/// # Safety
/// `node` must be a scan of ours.
pub unsafe fn state<'a>(node: *mut pg_sys::ForeignScanState) -> Option<&'a mut ScanState> {
    // SAFETY: set by begin_foreign_scan, owned by the executor's memory context, used on the main thread only.
    unsafe { (*node).fdw_state.cast::<ScanState>().as_mut() }
}

/// Makes a scan ready. Asks nobody: that happens when the first row is wanted.
#[pg_guard]
pub unsafe extern "C-unwind" fn begin_foreign_scan(node: *mut pg_sys::ForeignScanState, flags: i32) {
    if flags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as i32 != 0 {
        return;
    }
    // SAFETY: executor callback on the main thread with a node whose plan is ours.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        let private = ScanPrivate::from_list((*plan).fdw_private)
            .unwrap_or_else(|error| raise_internal(&format!("the plan cannot be read: {error}")));
        let relid = (*(*node).ss.ss_currentRelation).rd_id;
        let table = ForeignTable::load(relid).unwrap_or_else(|error| raise(error));
        let parameters = Parameters::prepare((*plan).fdw_exprs, &raw mut (*node).ss.ps);
        let user = crate::compat::scan_user(node);

        let estate = (*node).ss.ps.state;
        let mut memory = PgMemoryContexts::For((*estate).es_query_cxt);
        let (outputs, constants) = memory.switch_to(|_| columns(node, &table, &private));
        let state = ScanState::new(table, user, private, parameters, outputs, constants);
        (*node).fdw_state = memory.leak_and_drop_on_delete(state).cast();
    }
}

/// The columns to fill, from the plan, and those that are constant.
unsafe fn columns(
    node: *mut pg_sys::ForeignScanState,
    table: &ForeignTable,
    private: &ScanPrivate,
) -> (Vec<Output>, Vec<(usize, pg_sys::Datum)>) {
    // SAFETY: the slot's descriptor is set up before BeginForeignScan.
    unsafe {
        let descriptor = (*(*node).ss.ss_ScanTupleSlot).tts_tupleDescriptor;
        let outputs = private
            .columns
            .iter()
            .map(|(attnum, cell)| {
                let slot = *attnum as usize - 1;
                let attribute = crate::compat::attribute(descriptor, slot);
                let converter = Converter::new(attribute.atttypid, attribute.atttypmod);
                Output {
                    slot,
                    cell: usize::from(*cell),
                    converter,
                }
            })
            .collect();
        let constants = table
            .columns
            .iter()
            .filter_map(|column| {
                let slot = column.attnum as usize - 1;
                let attribute = crate::compat::attribute(descriptor, slot);
                let text = column.constant.as_deref()?;
                Some((slot, constant(text, attribute.atttypid, attribute.atttypmod)))
            })
            .collect();
        (outputs, constants)
    }
}

/// The next row, in the scan's slot.
#[pg_guard]
pub unsafe extern "C-unwind" fn iterate_foreign_scan(
    node: *mut pg_sys::ForeignScanState,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: executor callback on the main thread; the slot's arrays are as long as its descriptor. The current
    // memory context is the per-tuple one, which outlives the row.
    unsafe {
        let slot = (*node).ss.ss_ScanTupleSlot;
        if let Some(clear) = (*(*slot).tts_ops).clear {
            clear(slot);
        }
        let Some(state) = state(node) else { return slot };
        let length = (*(*slot).tts_tupleDescriptor).natts as usize;
        let values = std::slice::from_raw_parts_mut((*slot).tts_values, length);
        let nulls = std::slice::from_raw_parts_mut((*slot).tts_isnull, length);
        if state.next((*node).ss.ps.ps_ExprContext, values, nulls) {
            pg_sys::ExecStoreVirtualTuple(slot);
        }
        slot
    }
}

/// Starts over, possibly with other parameters.
#[pg_guard]
pub unsafe extern "C-unwind" fn rescan_foreign_scan(node: *mut pg_sys::ForeignScanState) {
    // SAFETY: executor callback on the main thread.
    unsafe {
        if let Some(state) = state(node) {
            state.rewind(!(*node).ss.ps.chgParam.is_null());
        }
    }
}

/// Cancels what is still under way; the state itself goes with the executor's memory.
#[pg_guard]
pub unsafe extern "C-unwind" fn end_foreign_scan(node: *mut pg_sys::ForeignScanState) {
    // SAFETY: executor callback on the main thread.
    unsafe {
        if let Some(state) = state(node) {
            state.stop();
        }
    }
}
