//! A running lookup join.

use super::ask::{self, Asked};
use super::batch::{Batch, Sizes};
use super::keys::{Keys, Side};
use super::rows::RowRef;
use super::table::{Found, Table};
use crate::error::raise_internal;
use crate::exec::bind::Parameters;
use crate::ffi;
use crate::io::Stream;
use crate::private::{Join, LookupPrivate};
use pgrx::{PgList, PgMemoryContexts, pg_sys};
use std::collections::VecDeque;

/// The state of the node. Owned by the executor's memory context, so that an error drops it too.
pub struct Lookup {
    pub(super) node: *mut pg_sys::CustomScanState,
    pub(super) private: LookupPrivate,
    pub(super) keys: Keys,
    /// The join's conditions, those on keys included.
    conditions: *mut pg_sys::ExprState,
    params: Parameters,
    pub(super) wanted: Parameters,
    pub(super) outer: *mut pg_sys::PlanState,
    pub(super) inner: *mut pg_sys::ForeignScanState,
    pub(super) outer_slot: *mut pg_sys::TupleTableSlot,
    pub(super) inner_slot: *mut pg_sys::TupleTableSlot,
    /// Holds what was read from the file.
    row_memory: pg_sys::MemoryContext,
    /// What is known of keys.
    pub(super) table: Table,
    pub(super) whole: Whole,
    pub(super) sizes: Option<Sizes>,
    batches: u64,
    pub(super) current: Option<Batch>,
    /// Batches that have been collected and asked for, in their order.
    pub(super) ahead: VecDeque<Batch>,
    pub(super) outer_ended: bool,
    row: Option<OuterRow>,
    pub(super) values: Vec<pg_sys::Datum>,
    /// For EXPLAIN ANALYZE.
    pub counts: Counts,
}

/// What is known of the pages of the inner side's table, and whether it is read.
pub enum Whole {
    /// Nothing yet.
    Unknown,
    /// The gateway is being asked.
    Counting(Stream<u64>),
    /// It returned no count.
    No,
    /// So many calls read it.
    Pages(u64),
    /// It is being read.
    Asked,
    /// All its rows are known.
    Known,
}

/// The outer row that is being joined.
struct OuterRow {
    /// The next of the rows that its key has.
    next: RowRef,
    matched: bool,
}

/// What was done.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Distinct keys asked for.
    pub keys: u64,
    /// Lists of keys.
    pub lists: u64,
    /// Outer rows whose key was known, or was being asked for.
    pub known: u64,
}

impl Lookup {
    /// Prepares the node's expressions.
    ///
    /// # Safety
    /// A node of ours whose children are ready, the executor's memory context as current one.
    pub unsafe fn prepare(node: *mut pg_sys::CustomScanState, private: LookupPrivate) -> Lookup {
        // SAFETY: the caller guarantees a valid node; the plan's expressions are as many as it declares.
        unsafe {
            let parent = &raw mut (*node).ss.ps;
            let estate = (*node).ss.ps.state;
            let plan = (*node).ss.ps.plan.cast::<pg_sys::CustomScan>();
            let mut expressions = PgList::<pg_sys::Node>::from_pg((*plan).custom_exprs)
                .iter_ptr()
                .collect::<Vec<_>>()
                .into_iter();
            let mut list = |count: usize| {
                let mut list = PgList::<pg_sys::Node>::new();
                expressions.by_ref().take(count).for_each(|node| list.push(node));
                list
            };
            let conditions = list(private.conditions.into()).into_pg();
            let keys: Vec<_> = list(private.keys.into()).iter_ptr().collect();
            let params = list(private.transforms.len()).into_pg();
            let wanted = list(private.wanted_transforms.len()).into_pg();
            let children = PgList::<pg_sys::PlanState>::from_pg((*node).custom_ps);
            let (Some(outer), Some(inner)) = (children.get_ptr(0), children.get_ptr(1)) else {
                raise_internal("a lookup join without two sides")
            };
            let slot = |side| {
                pg_sys::ExecInitExtraTupleSlot(
                    estate,
                    pg_sys::ExecGetResultType(side),
                    &raw const pg_sys::TTSOpsMinimalTuple,
                )
            };
            let bound = (pg_sys::work_mem.max(64) as usize) * 1024;
            Lookup {
                node,
                keys: Keys::prepare(&keys, parent),
                conditions: pg_sys::ExecInitQual(conditions, parent),
                params: Parameters::prepare(params, private.transforms.clone(), parent),
                wanted: Parameters::prepare(wanted, private.wanted_transforms.clone(), parent),
                private,
                outer,
                inner: inner.cast(),
                outer_slot: slot(outer),
                inner_slot: slot(inner),
                row_memory: pg_sys::AllocSetContextCreateInternal(
                    pg_sys::CurrentMemoryContext,
                    c"Intacct lookup row".as_ptr(),
                    pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
                ),
                table: Table::new(bound),
                whole: Whole::Unknown,
                sizes: None,
                batches: 0,
                current: None,
                ahead: VecDeque::new(),
                outer_ended: false,
                row: None,
                values: Vec::new(),
                counts: Counts::default(),
            }
        }
    }

    /// The next joined row, null at the end. Raises what goes wrong.
    ///
    /// # Safety
    /// Main thread, called by the executor.
    pub unsafe fn next(&mut self) -> *mut pg_sys::TupleTableSlot {
        // SAFETY: same contract as this function.
        unsafe {
            loop {
                if self.row.is_some() {
                    if let Some(slot) = self.next_match() {
                        return slot;
                    }
                    self.row = None;
                }
                if !self.next_outer() {
                    return std::ptr::null_mut();
                }
            }
        }
    }

    /// The next row of the current outer row.
    unsafe fn next_match(&mut self) -> Option<*mut pg_sys::TupleTableSlot> {
        // SAFETY: nodes that the executor has made ready, on the main thread.
        unsafe {
            let fault = crate::guc::lookup_fault();
            loop {
                pgrx::check_for_interrupts!();
                self.reset();
                pg_sys::MemoryContextReset(self.row_memory);
                let row = self.row.as_mut()?;
                let (rows, next) = (&mut self.table.rows, row.next);
                let found = PgMemoryContexts::For(self.row_memory).switch_to(|_| rows.get(next));
                let Some((tuple, next)) = found else {
                    let unmatched = !row.matched && fault != 4;
                    let alone = unmatched && matches!(self.private.join, Join::Left | Join::Anti);
                    row.matched = true;
                    if !alone {
                        return None;
                    }
                    self.fill_inner(None);
                    match self.passes((*self.node).ss.ps.qual) {
                        true => return Some(self.project()),
                        false => continue,
                    }
                };
                row.next = match fault {
                    1 => RowRef::None,
                    2 if !row.matched => row.next,
                    _ => next,
                };
                self.fill_inner(Some(tuple));
                if fault != 3 && !self.passes(self.conditions) {
                    continue;
                }
                let row = self.row.as_mut()?;
                row.matched = true;
                match self.private.join {
                    Join::Anti => return None,
                    Join::Semi => row.next = RowRef::None,
                    Join::Inner | Join::Left => {}
                }
                if self.passes((*self.node).ss.ps.qual) {
                    return Some(self.project());
                }
                if let Some(instrument) = (*self.node).ss.ps.instrument.as_mut() {
                    instrument.nfiltered1 += 1.0;
                }
            }
        }
    }

    /// Goes to the next outer row; `false`: there is none.
    unsafe fn next_outer(&mut self) -> bool {
        // SAFETY: nodes that the executor has made ready, on the main thread.
        unsafe {
            loop {
                pgrx::check_for_interrupts!();
                if let Some(batch) = &self.current {
                    if pg_sys::tuplestore_gettupleslot(batch.store, true, false, self.outer_slot) {
                        self.begin_row(self.outer_slot);
                        return true;
                    }
                    if let Some(batch) = self.current.take() {
                        batch.end();
                    }
                }
                if matches!(self.whole, Whole::Known) {
                    match self.ahead.pop_front() {
                        Some(batch) => self.current = Some(batch),
                        None => return self.next_of_known(),
                    }
                    continue;
                }
                self.ask_ahead();
                let Some(mut batch) = self.ahead.pop_front() else {
                    if matches!(self.whole, Whole::Asked) {
                        self.receive_whole();
                        continue;
                    }
                    return false;
                };
                let is_complete = self.receive(&mut batch);
                self.current = Some(batch);
                if !is_complete {
                    self.turn_to_whole();
                } else if self.reads_ahead() {
                    self.ask_ahead();
                }
            }
        }
    }

    /// Whether further lists are asked for before they are needed.
    fn reads_ahead(&self) -> bool {
        // SAFETY: main thread.
        let is_rechecking = unsafe { self.is_rechecking() };
        !is_rechecking && self.sizes.is_some_and(|sizes| sizes.reads_ahead())
    }

    /// Collects batches until as many are under way as may be asked for at once. One is without further ado: the one that is
    /// needed.
    unsafe fn ask_ahead(&mut self) {
        loop {
            let most = match self.reads_ahead() {
                // SAFETY: main thread; the inner side is a scan of ours.
                true => unsafe { self.most_under_way() },
                false => 1,
            };
            if self.ahead.len() >= most {
                return;
            }
            // SAFETY: same contract as the caller's.
            match unsafe { self.collect() } {
                Some(batch) => self.ahead.push_back(batch),
                None => return,
            }
        }
    }

    /// Goes on with an outer row, whose key is in a table.
    pub(super) unsafe fn begin_row(&mut self, slot: *mut pg_sys::TupleTableSlot) {
        // SAFETY: a slot of the outer side's, on the main thread.
        unsafe {
            self.reset();
            self.fill_outer(slot);
            let next = self.key(Side::Outer).map_or(RowRef::None, |hash| {
                self.in_row_memory(|lookup| {
                    lookup
                        .table
                        .head_of(&lookup.keys, hash, &lookup.values, Side::Outer)
                })
            });
            self.row = Some(OuterRow { next, matched: false });
        }
    }

    /// Collects outer rows, and asks for those of their keys that are not known. Does not wait for the answer.
    unsafe fn collect(&mut self) -> Option<Batch> {
        // SAFETY: nodes that the executor has made ready, on the main thread.
        unsafe {
            if self.outer_ended || matches!(self.whole, Whole::Asked) {
                return None;
            }
            let is_first = self.ahead.is_empty();
            if self.wants_whole() {
                // What is under way has been paid for.
                if is_first {
                    self.ask_whole();
                }
                return None;
            }
            if !is_first && self.table.is_full() {
                return None;
            }
            let sizes = match self.sizes {
                Some(sizes) => sizes,
                None => self.first_sizes(),
            };
            self.sizes = Some(sizes);
            let mut batch = self.begin_batch();
            while !sizes.is_full(batch.rows, batch.conditions.len()) {
                pgrx::check_for_interrupts!();
                let Some(slot) = self.pull(self.outer) else {
                    self.outer_ended = true;
                    break;
                };
                pg_sys::tuplestore_puttupleslot(batch.store, slot);
                batch.rows += 1;
                self.reset();
                self.fill_outer(slot);
                self.note(&mut batch);
            }
            if let Some(sizes) = &mut self.sizes {
                sizes.grow(batch.conditions.len());
            }
            if batch.rows == 0 {
                batch.end();
                return None;
            }
            if batch.asks() {
                self.ask(&mut batch);
            }
            Some(batch)
        }
    }

    /// A batch without rows.
    unsafe fn begin_batch(&mut self) -> Batch {
        // SAFETY: main thread; where no batch is under way, none of the rows of the one before is at hand.
        unsafe {
            if self.ahead.is_empty() {
                self.table.unload_if_full(&self.keys);
            }
            self.batches += 1;
            let number = self.batches;
            self.in_query_memory(|_| Batch::new(number))
        }
    }

    /// The key of the outer row at hand, which the batch asks for if it is new.
    unsafe fn note(&mut self, batch: &mut Batch) {
        // SAFETY: main thread; the node's row is filled on the outer side.
        unsafe {
            let Some(hash) = self.key(Side::Outer) else {
                return;
            };
            let number = batch.number;
            let first = self.ahead.front().map_or(number, |first| first.number);
            let found = self.in_row_memory(|lookup| {
                lookup
                    .table
                    .ask(&lookup.keys, hash, &lookup.values, number, first)
            });
            let Found::New(entry) = found else {
                self.counts.known += 1;
                return;
            };
            let context = self.context();
            let asked = self.in_row_memory(|lookup| match lookup.keys.has_empty_text(&lookup.values) {
                true => Asked::Nothing,
                false => Asked::of(&lookup.private, &lookup.params.evaluate(context)),
            });
            match asked {
                Asked::Nothing => {
                    self.table.answer(entry);
                    return;
                }
                Asked::When(condition) => batch.conditions.push(condition),
                Asked::Everything => batch.whole = true,
            }
            batch.entries.push(entry);
        }
    }

    /// Asks the inner side for a batch's keys.
    unsafe fn ask(&mut self, batch: &mut Batch) {
        // SAFETY: main thread; the inner side is a scan of ours.
        unsafe {
            self.counts.keys += batch.entries.len() as u64;
            self.counts.lists += 1;
            let conditions = std::mem::take(&mut batch.conditions);
            let condition = match batch.whole {
                true => None,
                false => ask::any_of(conditions),
            };
            batch.pending = true;
            self.ask_for(condition);
            if !self.is_rechecking() {
                batch.answer = Some(self.scan().set_aside());
                self.count_whole();
            }
        }
    }

    /// Asks the inner side for the rows under a condition.
    pub(super) unsafe fn ask_for(&mut self, condition: Option<intacct::Condition>) {
        // SAFETY: main thread; the inner side is a scan of ours.
        unsafe {
            self.scan().ask(condition);
            pg_sys::ExecReScan(self.inner.cast());
            if !self.is_rechecking() {
                let context = (*self.inner).ss.ps.ps_ExprContext;
                let scan = self.scan();
                PgMemoryContexts::For((*context).ecxt_per_tuple_memory).switch_to(|_| scan.begin(context));
            }
        }
    }

    /// Takes in the rows of a batch that was asked for; `false`: the rest of them costs more than all rows, which are to be read.
    unsafe fn receive(&mut self, batch: &mut Batch) -> bool {
        // SAFETY: nodes that the executor has made ready, on the main thread.
        unsafe {
            if !batch.pending {
                return true;
            }
            if let Some(answer) = batch.answer.take() {
                self.scan().take_up(answer);
            }
            // That there is a row is all that these want to know.
            let one = matches!(self.private.join, Join::Semi | Join::Anti)
                && self.private.conditions == self.private.keys;
            let mut is_empty = true;
            while let Some((slot, hash)) = self.next_inner() {
                if is_empty && self.is_dearer_than_whole() {
                    return false;
                }
                is_empty = false;
                let number = batch.number;
                self.in_row_memory(|lookup| {
                    let Some(entry) = lookup.table.find(&lookup.keys, hash, &lookup.values, Side::Inner)
                    else {
                        return;
                    };
                    let table = &mut lookup.table;
                    if table.expects(entry, number) && !(one && table.head(entry) != RowRef::None) {
                        let tuple = ffi::ExecCopySlotMinimalTuple(slot);
                        table.add(entry, tuple);
                    }
                });
            }
            for entry in &batch.entries {
                self.table.answer(*entry);
            }
            if let Some(sizes) = self.sizes.as_mut().filter(|_| is_empty) {
                sizes.grow_to_lists();
            }
        }
        true
    }

    /// Starts over. What is known of keys is kept, unless other parameters have changed what the inner side reads.
    ///
    /// # Safety
    /// Main thread.
    pub unsafe fn rewind(&mut self, inner_changed: bool) {
        // SAFETY: same contract as this function.
        unsafe {
            self.stop();
            if inner_changed {
                self.forget_whole();
            } else if matches!(self.whole, Whole::Asked) {
                // It was worth it, and still is.
                self.whole = Whole::Pages(0);
            }
        }
        self.outer_ended = false;
        self.sizes = None;
    }

    /// Cancels what is under way, and frees the rows of batches.
    ///
    /// # Safety
    /// Main thread.
    pub unsafe fn stop(&mut self) {
        self.row = None;
        // SAFETY: stores are ended once; the slot may point into one.
        unsafe {
            ffi::ExecClearTuple(self.outer_slot);
            for batch in self.current.take().into_iter().chain(self.ahead.drain(..)) {
                batch.end();
            }
            self.scan().stop();
        }
    }

    /// Closes files.
    ///
    /// # Safety
    /// Main thread; the last call.
    pub unsafe fn close(&mut self) {
        // SAFETY: same contract as this function.
        unsafe { self.table.close() };
    }
}
