//! The node's own row: columns of the outer side, behind them those of the inner one, and what is computed from them.

use super::ask;
use super::batch::Sizes;
use super::keys::Side;
use super::state::Lookup;
use crate::error::raise_internal;
use crate::exec::bind;
use crate::exec::scan::{Running, ScanState, state};
use crate::ffi;
use pgrx::{PgMemoryContexts, pg_sys};

// SAFETY of this file: nodes and slots that the executor has made ready, on the main thread. The node's row has as many
// columns as both sides' rows together.
impl Lookup {
    pub(super) unsafe fn context(&self) -> *mut pg_sys::ExprContext {
        // SAFETY: see above.
        unsafe { (*self.node).ss.ps.ps_ExprContext }
    }

    /// Frees what was computed of the row before.
    pub(super) unsafe fn reset(&self) {
        // SAFETY: see above.
        unsafe { pg_sys::MemoryContextReset((*self.context()).ecxt_per_tuple_memory) };
    }

    /// Works in memory that is freed by [`reset`](Self::reset).
    pub(super) unsafe fn in_row_memory<R>(&mut self, work: impl FnOnce(&mut Lookup) -> R) -> R {
        // SAFETY: see above.
        unsafe { PgMemoryContexts::For((*self.context()).ecxt_per_tuple_memory).switch_to(|_| work(self)) }
    }

    /// Works in memory that is freed at the end of the statement.
    pub(super) unsafe fn in_query_memory<R>(&mut self, work: impl FnOnce(&mut Lookup) -> R) -> R {
        // SAFETY: see above.
        unsafe { PgMemoryContexts::For((*(*self.node).ss.ps.state).es_query_cxt).switch_to(|_| work(self)) }
    }

    /// Columns of the outer side.
    unsafe fn outer_columns(&self) -> usize {
        // SAFETY: see above.
        unsafe { (*(*self.outer_slot).tts_tupleDescriptor).natts as usize }
    }

    /// Puts a row into columns of the node's row, from the one of this number on; without a row they are null.
    unsafe fn fill(&mut self, first: usize, row: Option<*mut pg_sys::TupleTableSlot>) {
        // SAFETY: see above.
        unsafe {
            let target = (*self.node).ss.ss_ScanTupleSlot;
            ffi::ExecClearTuple(target);
            match row {
                Some(slot) => {
                    let columns = (*(*slot).tts_tupleDescriptor).natts as usize;
                    if ((*slot).tts_nvalid as usize) < columns {
                        pg_sys::slot_getsomeattrs_int(slot, columns as i32);
                    }
                    std::ptr::copy_nonoverlapping(
                        (*slot).tts_values,
                        (*target).tts_values.add(first),
                        columns,
                    );
                    std::ptr::copy_nonoverlapping(
                        (*slot).tts_isnull,
                        (*target).tts_isnull.add(first),
                        columns,
                    );
                }
                None => {
                    let columns = (*(*target).tts_tupleDescriptor).natts as usize - first;
                    std::slice::from_raw_parts_mut((*target).tts_isnull.add(first), columns).fill(true);
                }
            }
            pg_sys::ExecStoreVirtualTuple(target);
        }
    }

    pub(super) unsafe fn fill_outer(&mut self, slot: *mut pg_sys::TupleTableSlot) {
        // SAFETY: see above.
        unsafe { self.fill(0, Some(slot)) };
    }

    pub(super) unsafe fn fill_inner_from(&mut self, slot: *mut pg_sys::TupleTableSlot) {
        // SAFETY: see above.
        unsafe { self.fill(self.outer_columns(), Some(slot)) };
    }

    /// The same of a row that was kept.
    pub(super) unsafe fn fill_inner(&mut self, tuple: Option<pg_sys::MinimalTuple>) {
        // SAFETY: see above.
        unsafe {
            let row = tuple.map(|tuple| pg_sys::ExecStoreMinimalTuple(tuple, self.inner_slot, false));
            self.fill(self.outer_columns(), row);
        }
    }

    /// The hash of the row's keys on a side, whose values are then in `values`; `None`: one is null.
    pub(super) unsafe fn key(&mut self, side: Side) -> Option<u32> {
        // SAFETY: see above.
        unsafe {
            let context = self.context();
            (*context).ecxt_scantuple = (*self.node).ss.ss_ScanTupleSlot;
            self.in_row_memory(|lookup| lookup.keys.of_row(side, context, &mut lookup.values))
        }
    }

    /// The next row of the inner side whose keys are not null, with their hash; they are then in `values`.
    pub(super) unsafe fn next_inner(&mut self) -> Option<(*mut pg_sys::TupleTableSlot, u32)> {
        // SAFETY: see above.
        unsafe {
            while let Some(slot) = self.pull(self.inner.cast()) {
                pgrx::check_for_interrupts!();
                self.reset();
                self.fill_inner_from(slot);
                if let Some(hash) = self.key(Side::Inner) {
                    return Some((slot, hash));
                }
            }
            None
        }
    }

    /// Whether the row passes conditions.
    pub(super) unsafe fn passes(&mut self, conditions: *mut pg_sys::ExprState) -> bool {
        // SAFETY: see above.
        unsafe {
            if conditions.is_null() {
                return true;
            }
            let context = self.context();
            (*context).ecxt_scantuple = (*self.node).ss.ss_ScanTupleSlot;
            let mut null = false;
            let truth = self.in_row_memory(|_| ffi::evaluate(conditions, context, &mut null));
            truth.is_some_and(|truth| truth.value() & 0xff != 0 && !null)
        }
    }

    /// What the node returns for the row.
    pub(super) unsafe fn project(&mut self) -> *mut pg_sys::TupleTableSlot {
        // SAFETY: see above.
        unsafe {
            let projection = (*self.node).ss.ps.ps_ProjInfo;
            let row = (*self.node).ss.ss_ScanTupleSlot;
            if projection.is_null() {
                return row;
            }
            (*self.context()).ecxt_scantuple = row;
            self.in_row_memory(|_| ffi::ExecProject(projection))
        }
    }

    /// The next row of a side.
    pub(super) unsafe fn pull(
        &mut self,
        side: *mut pg_sys::PlanState,
    ) -> Option<*mut pg_sys::TupleTableSlot> {
        // SAFETY: see above. Nodes keep what they make in the current memory context.
        unsafe {
            let slot = self.in_query_memory(|_| {
                if !(*side).chgParam.is_null() {
                    pg_sys::ExecReScan(side);
                }
                ffi::ExecProcNode(side)
            });
            (!slot.is_null() && u32::from((*slot).tts_flags) & pg_sys::TTS_FLAG_EMPTY == 0).then_some(slot)
        }
    }

    /// The inner side's scan.
    pub(super) unsafe fn scan<'a>(&self) -> &'a mut ScanState {
        // SAFETY: see above; the planner has seen that it is a scan of rows of ours.
        match unsafe { state(self.inner) } {
            Some(Running::Scan(scan)) => scan,
            _ => raise_internal("the inner side of a lookup join has not begun"),
        }
    }

    /// Whether a row that was changed meanwhile is rechecked (EvalPlanQual): then the sides return one row each, without a request.
    pub(super) unsafe fn is_rechecking(&self) -> bool {
        // SAFETY: see above.
        unsafe { !(*(*self.node).ss.ps.state).es_epq_active.is_null() }
    }

    /// How large batches are, once the parameters of LIMIT are known.
    pub(super) unsafe fn first_sizes(&mut self) -> Sizes {
        // SAFETY: see above.
        let bindings = unsafe {
            let context = self.context();
            self.in_row_memory(|lookup| lookup.wanted.evaluate(context))
        };
        let wanted = self.private.wanted.and_then(|wanted| {
            let limit = bind::count(wanted.limit, &bindings)?;
            let offset = wanted.offset.and_then(|offset| bind::count(offset, &bindings));
            Some(limit.saturating_add(offset.unwrap_or(0)))
        });
        let most = |most| ask::most_keys(&self.private.template, most);
        Sizes::new(
            most(crate::guc::lookup_batch()),
            most(ask::MOST_COMPARISONS),
            wanted,
        )
    }
}
