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
        // SAFETY: as above.
        matches!(self.whole, Whole::Pages(pages) if unsafe { self.spent() } >= pages)
    }

    /// Calls so far. What has been asked for and has not left yet is among them.
    unsafe fn spent(&self) -> u64 {
        // SAFETY: main thread; the inner side is a scan of ours.
        let calls = unsafe { self.scan() }.received.meter.stats().calls;
        let counts = u64::from(!matches!(self.whole, Whole::Unknown | Whole::No));
        calls.max(self.counts.lists + counts)
    }

    /// How many lists may be under way: as many as requests to the server, as long as each had its rows in one page. Where they have
    /// more, these are asked for at once, and after each list the table may have become cheaper. Until the user's preferences are
    /// known it is one, since each would ask for them.
    pub(super) unsafe fn most_under_way(&self) -> usize {
        // SAFETY: main thread; the inner side is a scan of ours.
        unsafe {
            let scan = self.scan();
            let has_more_pages = scan.received.meter.stats().calls > self.counts.lists + 1;
            match has_more_pages || scan.asks_formatting() {
                true => 1,
                false => scan.table.server.max_concurrency.max(1),
            }
        }
    }

    /// Whether the rest of the answer whose first page is at hand costs more than the whole table may still cost.
    pub(super) unsafe fn is_dearer_than_whole(&mut self) -> bool {
        // SAFETY: main thread; the inner side is a scan of ours.
        unsafe {
            let left = self.scan().pages_left();
            left > 0 && matches!(self.whole, Whole::Pages(pages) if self.spent() + left > pages)
        }
    }

    /// Drops the answers that are under way, and reads all rows in their place. Outer rows that were collected stay.
    pub(super) unsafe fn turn_to_whole(&mut self) {
        for batch in self.current.iter_mut().chain(&mut self.ahead) {
            batch.answer = None;
            batch.pending = false;
        }
        // SAFETY: main thread; no row of a batch is at hand.
        unsafe {
            self.ask_whole();
            self.receive_whole();
        }
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
