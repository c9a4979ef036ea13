//! When lists of keys have cost what reading the table does, it is read, once.
//!
//! With the third list a count travels. From then on a lookup join compares what it has spent with the pages of the
//! whole table, so that whatever the number of keys, it spends no more than twice as many calls.

use super::keys::Side;
use super::state::{Lookup, Whole};
use crate::exec::read_through::{counted_rows, pages_of};
use crate::ffi;

/// The list with which a count travels; under a LIMIT it is the one after it.
const COUNTS_AT: u64 = 3;

impl Lookup {
    /// Starts to count, if it is time.
    pub(super) unsafe fn count_whole(&mut self) {
        // SAFETY: main thread; the inner side is a scan of ours.
        let scan = unsafe { self.scan() };
        // A list that may be the last one is no reason to count: under a LIMIT each may be, as long as few rows are wanted.
        let counts_at = COUNTS_AT + u64::from(self.sizes.is_some_and(|sizes| !sizes.reads_ahead()));
        if !matches!(self.whole, Whole::Unknown) || self.outer_ended || self.counts.lists != counts_at {
            return;
        }
        self.whole = match scan.count_rows() {
            Some(stream) => Whole::Counting(stream),
            None => Whole::No,
        };
    }

    /// Whether the table is to be read from now on, instead of more lists.
    pub(super) unsafe fn wants_whole(&mut self) -> bool {
        // SAFETY: main thread; the inner side is a scan of ours.
        let scan = unsafe { self.scan() };
        if let Whole::Counting(stream) = &mut self.whole {
            // Without the number lists go on.
            let counted = counted_rows(scan.received.wait(|| stream.next()));
            self.whole = match counted {
                Some(rows) => Whole::Pages(pages_of(rows, scan.table.page_size())),
                None => Whole::No,
            };
        }
        matches!(self.whole, Whole::Pages(pages) if scan.received.meter.stats().calls >= pages)
    }

    /// Asks for all rows. Does not wait for them.
    pub(super) unsafe fn ask_whole(&mut self) {
        // SAFETY: main thread; the inner side is a scan of ours.
        unsafe { self.ask_for(None) };
        self.whole = Whole::Asked;
    }

    /// Takes in all rows, by their keys.
    pub(super) unsafe fn receive_whole(&mut self) {
        // SAFETY: nodes that the executor has made ready, on the main thread. No batch is in use any more.
        unsafe {
            self.table.clear();
            self.table.side = Side::Inner;
            while let Some((slot, hash)) = self.next_inner() {
                self.in_row_memory(|lookup| {
                    let table = &mut lookup.table;
                    table.unload_if_full(&lookup.keys);
                    let entry = table.entry(&lookup.keys, hash, &lookup.values);
                    table.answer(entry);
                    let tuple = ffi::ExecCopySlotMinimalTuple(slot);
                    table.add(entry, tuple);
                });
            }
        }
        self.whole = Whole::Known;
    }

    /// The next outer row, once all inner rows are known; `false`: there is none.
    pub(super) unsafe fn next_of_known(&mut self) -> bool {
        // SAFETY: nodes that the executor has made ready, on the main thread.
        unsafe {
            if self.outer_ended {
                return false;
            }
            let Some(slot) = self.pull(self.outer) else {
                self.outer_ended = true;
                return false;
            };
            self.counts.known += 1;
            self.begin_row(slot);
            true
        }
    }

    /// Forgets what was read, because other rows would be read now.
    pub(super) unsafe fn forget_whole(&mut self) {
        self.whole = Whole::Unknown;
        // SAFETY: main thread; no batch is in use.
        unsafe { self.table.clear() };
        self.table.side = Side::Outer;
    }
}
