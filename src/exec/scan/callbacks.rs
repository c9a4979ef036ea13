//! Executor callbacks of a foreign scan: begin, iterate, rescan, end.

use super::state::{Output, ScanState};
use crate::catalog::ForeignTable;
use crate::convert::inward::{Converter, constant};
use crate::error::{raise, raise_internal};
use crate::exec::aggregate::AggregateState;
use crate::exec::bind::Parameters;
use crate::exec::generated::StoredColumns;
use crate::ffi;
use crate::private::{AggregateOutput, AggregatePrivate, Private, ScanPrivate};
use pgrx::{PgMemoryContexts, is_a, pg_guard, pg_sys};

/// A scan that has begun.
pub enum Running {
    /// Of rows.
    Scan(Box<ScanState>),
    /// Of groups.
    Aggregate(Box<AggregateState>),
    /// Of groups that the plan below combines.
    Combined,
}

/// The state of a scan that has begun; none while only explaining.
///
/// # Safety
/// `node` must be a scan of ours.
pub unsafe fn state<'a>(node: *mut pg_sys::ForeignScanState) -> Option<&'a mut Running> {
    // SAFETY: set by begin_foreign_scan, owned by the executor's memory context, used on the main thread only.
    unsafe { (*node).fdw_state.cast::<Running>().as_mut() }
}

/// Makes a scan ready. Sends no request: that happens when the first row is wanted.
#[pg_guard]
pub unsafe extern "C-unwind" fn begin_foreign_scan(node: *mut pg_sys::ForeignScanState, flags: i32) {
    if flags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as i32 != 0 {
        return;
    }
    // SAFETY: executor callback on the main thread with a node whose plan is ours.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        let private = Private::from_list((*plan).fdw_private)
            .unwrap_or_else(|error| raise_internal(&format!("the plan cannot be read: {error}")));
        let (relation, transforms) = match &private {
            Private::Scan(private) => (private.joined.unwrap_or(0), private.transforms.clone()),
            Private::Aggregate(private) => (private.relation, private.transforms.clone()),
            Private::Combined => {
                let mut memory = PgMemoryContexts::For((*(*node).ss.ps.state).es_query_cxt);
                (*node).fdw_state = memory.leak_and_drop_on_delete(Running::Combined).cast();
                return;
            }
        };
        let estate = (*node).ss.ps.state;
        let table = ForeignTable::load(crate::compat::scan_table(node, relation))
            .unwrap_or_else(|error| raise(error));
        let parameters = Parameters::prepare((*plan).fdw_exprs, transforms, &raw mut (*node).ss.ps);
        let user = crate::compat::scan_user(node);

        let mut memory = PgMemoryContexts::For((*estate).es_query_cxt);
        let state = match private {
            Private::Scan(private) => {
                let (outputs, constants) = memory.switch_to(|_| columns(node, &table, &private));
                let relation = (*node).ss.ss_currentRelation;
                let stored = match relation.is_null() {
                    true => StoredColumns::none(),
                    false => StoredColumns::prepare(
                        relation,
                        &table,
                        |attnum| private.generated.contains(&attnum),
                        estate,
                    ),
                };
                let mut state = ScanState::new(table, user, *private, parameters, outputs, constants);
                state.stored = stored;
                // A scan that depends on values of the executor may be run for each of them.
                let rewinds = flags & pg_sys::EXEC_FLAG_REWIND as i32 != 0;
                if rewinds || !(*plan).scan.plan.allParam.is_null() {
                    memory.switch_to(|_| state.remember());
                }
                Running::Scan(Box::new(state))
            }
            Private::Aggregate(private) => {
                let converters = memory.switch_to(|_| converters(node, &private));
                let constants = memory.switch_to(|_| constants(node, &private));
                let state = memory.switch_to(|_| {
                    AggregateState::new(table, user, *private, parameters, converters, constants)
                });
                Running::Aggregate(Box::new(state))
            }
            Private::Combined => Running::Combined,
        };
        (*node).fdw_state = memory.leak_and_drop_on_delete(state).cast();
    }
}

/// How the columns of an aggregate are read.
unsafe fn converters(node: *mut pg_sys::ForeignScanState, private: &AggregatePrivate) -> Vec<Converter> {
    // SAFETY: the slot's descriptor is set up before BeginForeignScan, and has a column for each output.
    unsafe {
        let descriptor = (*(*node).ss.ss_ScanTupleSlot).tts_tupleDescriptor;
        (0..private.outputs.len())
            .map(|column| {
                let attribute = crate::compat::attribute(descriptor, column);
                Converter::new(attribute.atttypid, attribute.atttypmod)
            })
            .collect()
    }
}

/// The columns of an aggregate that are the same in every group, and their values.
unsafe fn constants(
    node: *mut pg_sys::ForeignScanState,
    private: &AggregatePrivate,
) -> Vec<(usize, pg_sys::Datum)> {
    let outputs = private.outputs.iter().enumerate();
    // SAFETY: as for the converters.
    unsafe {
        let descriptor = (*(*node).ss.ss_ScanTupleSlot).tts_tupleDescriptor;
        outputs
            .filter_map(|(slot, output)| {
                let AggregateOutput::Constant(number) = output else {
                    return None;
                };
                let text = private.constants.get(usize::from(*number))?;
                let attribute = crate::compat::attribute(descriptor, slot);
                Some((slot, constant(text, attribute.atttypid, attribute.atttypmod)))
            })
            .collect()
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
        // Lines come behind the cells of the page.
        let behind = private.query.select.len()..;
        let lines = private.lines.iter().map(|(attnum, _)| *attnum).zip(behind);
        let cells = private
            .columns
            .iter()
            .map(|(attnum, cell)| (*attnum, usize::from(*cell)));
        let outputs = cells
            .chain(lines)
            .map(|(attnum, cell)| {
                let slot = attnum as usize - 1;
                let attribute = crate::compat::attribute(descriptor, slot);
                let converter = Converter::new(attribute.atttypid, attribute.atttypmod);
                Output {
                    slot,
                    cell,
                    converter,
                    not_null: attribute.attnotnull,
                }
            })
            .collect();
        let own = table
            .columns
            .iter()
            .filter(|_| private.joined.is_none())
            .filter_map(|column| Some((column.attnum, column.constant.as_deref()?)));
        let joined = private
            .constants
            .iter()
            .map(|(number, text)| (*number, text.as_str()));
        let constants = own
            .chain(joined)
            .map(|(number, text)| {
                let slot = number as usize - 1;
                let attribute = crate::compat::attribute(descriptor, slot);
                (slot, constant(text, attribute.atttypid, attribute.atttypmod))
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
        ffi::ExecClearTuple(slot);
        let Some(state) = state(node) else { return slot };
        let length = (*(*slot).tts_tupleDescriptor).natts as usize;
        let values = std::slice::from_raw_parts_mut((*slot).tts_values, length);
        let nulls = std::slice::from_raw_parts_mut((*slot).tts_isnull, length);
        let context = (*node).ss.ps.ps_ExprContext;
        let has_local = !(*node).ss.ps.lefttree.is_null();
        let (found, is_local) = match state {
            Running::Scan(state) if state.finishes() => {
                let mut found = state.next(context, has_local, values, nulls);
                while found {
                    pg_sys::ExecStoreVirtualTuple(slot);
                    state.stored.fill(slot);
                    if !passes(node, slot) {
                        if let Some(instrument) = (*node).ss.ps.instrument.as_mut() {
                            instrument.nfiltered1 += 1.0;
                        }
                    } else if state.counts() {
                        return slot;
                    }
                    ffi::ExecClearTuple(slot);
                    // No node above the scan receives the row, so its resources are released here.
                    pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
                    pgrx::check_for_interrupts!();
                    found = state.next(context, has_local, values, nulls);
                }
                (false, false)
            }
            Running::Scan(state) => {
                let found = state.next(context, has_local, values, nulls);
                if found && !state.stored.is_empty() {
                    pg_sys::ExecStoreVirtualTuple(slot);
                    state.stored.fill(slot);
                    return slot;
                }
                (found, state.is_local())
            }
            Running::Aggregate(state) => {
                let found = state.next(context, has_local, only_scan(node), values, nulls);
                (found, state.is_local())
            }
            Running::Combined => (false, true),
        };
        if is_local {
            return next_of_local_plan(node);
        }
        if found {
            pg_sys::ExecStoreVirtualTuple(slot);
        }
        slot
    }
}

/// The scan of a local plan that reads rows of one table.
unsafe fn only_scan<'a>(node: *mut pg_sys::ForeignScanState) -> Option<&'a mut ScanState> {
    // SAFETY: plan states that the executor has made ready; the tag is checked before the cast, and the state of a foreign scan
    // below one of ours is of the same server.
    unsafe {
        let mut below = (*node).ss.ps.lefttree;
        while !below.is_null() {
            if !(*below).righttree.is_null() {
                return None;
            }
            if is_a(below.cast(), pg_sys::NodeTag::T_ForeignScanState) {
                return match state(below.cast()) {
                    Some(Running::Scan(scan)) => Some(scan),
                    _ => None,
                };
            }
            below = (*below).lefttree;
        }
        None
    }
}

/// Whether a row passes the local conditions.
unsafe fn passes(node: *mut pg_sys::ForeignScanState, slot: *mut pg_sys::TupleTableSlot) -> bool {
    // SAFETY: the conditions were made ready by the executor; the current memory context is the per-tuple one.
    unsafe {
        let conditions = (*node).ss.ps.qual;
        if conditions.is_null() {
            return true;
        }
        let context = (*node).ss.ps.ps_ExprContext;
        (*context).ecxt_scantuple = slot;
        let mut null = false;
        ffi::evaluate(conditions, context, &mut null).is_none_or(|truth| truth.value() != 0 && !null)
    }
}

/// The next row of the plan that computes here what the gateway could not be trusted with.
unsafe fn next_of_local_plan(node: *mut pg_sys::ForeignScanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: the caller has seen that there is one, which the executor has made ready. Its nodes keep what they make
    // in the current memory context, which must not be that of one tuple.
    unsafe {
        let local = (*node).ss.ps.lefttree;
        PgMemoryContexts::For((*(*node).ss.ps.state).es_query_cxt).switch_to(|_| {
            if !(*local).chgParam.is_null() {
                pg_sys::ExecReScan(local);
            }
            let row = ffi::ExecProcNode(local);
            if row.is_null() {
                (*node).ss.ss_ScanTupleSlot
            } else {
                row
            }
        })
    }
}

/// Computes a joined row again from the rows of its tables, while an update waits for another transaction.
#[pg_guard]
pub unsafe extern "C-unwind" fn recheck_foreign_scan(
    node: *mut pg_sys::ForeignScanState,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    // SAFETY: executor callback on the main thread.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        if (*plan).scan.scanrelid != 0 || (*node).ss.ps.lefttree.is_null() {
            return true;
        }
        let row = next_of_local_plan(node);
        if row.is_null() || u32::from((*row).tts_flags) & pg_sys::TTS_FLAG_EMPTY != 0 {
            return false;
        }
        ffi::ExecCopySlot(slot, row);
        true
    }
}

/// Starts over, possibly with other parameters.
#[pg_guard]
pub unsafe extern "C-unwind" fn rescan_foreign_scan(node: *mut pg_sys::ForeignScanState) {
    // SAFETY: executor callback on the main thread.
    unsafe {
        let changed = !(*node).ss.ps.chgParam.is_null();
        match state(node) {
            Some(Running::Scan(state)) => state.rewind(changed),
            Some(Running::Aggregate(state)) => state.rewind(changed),
            // The executor starts the plan below over.
            Some(Running::Combined) | None => {}
        }
    }
}

/// Cancels what is still under way; the state itself goes with the executor's memory.
#[pg_guard]
pub unsafe extern "C-unwind" fn end_foreign_scan(node: *mut pg_sys::ForeignScanState) {
    // SAFETY: executor callback on the main thread.
    unsafe {
        match state(node) {
            Some(Running::Scan(state)) => {
                state.stop();
                state.close();
            }
            Some(Running::Aggregate(state)) => {
                state.stop();
                state.close();
            }
            Some(Running::Combined) | None => {}
        }
    }
    crate::io::report_lines();
}
