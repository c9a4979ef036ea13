//! A batch of outer rows, and how many of them make one.

use intacct::Condition;
use pgrx::pg_sys;

/// Outer rows whose keys are asked for together.
pub struct Batch {
    /// Its number.
    pub number: u64,
    /// The rows.
    pub store: *mut pg_sys::Tuplestorestate,
    /// How many there are.
    pub rows: u64,
    /// Which of the two tables holds their keys.
    pub table: usize,
    /// Keys that are asked for.
    pub entries: Vec<u32>,
    /// What is asked for them.
    pub conditions: Vec<Condition>,
    /// One of the keys cannot be expressed, so all rows are read.
    pub whole: bool,
    /// The inner side was asked, and its rows are still to be taken in.
    pub pending: bool,
}

impl Batch {
    /// An empty batch.
    ///
    /// # Safety
    /// Main thread; the current memory context must outlive the batch.
    pub unsafe fn new(number: u64, table: usize) -> Batch {
        // SAFETY: main thread. A store that is not ended goes with the statement's resources.
        let store = unsafe { pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem) };
        Batch {
            number,
            store,
            rows: 0,
            table,
            entries: Vec::new(),
            conditions: Vec::new(),
            whole: false,
            pending: false,
        }
    }

    /// Whether the gateway is asked.
    pub fn asks(&self) -> bool {
        self.whole || !self.conditions.is_empty()
    }

    /// Frees the rows.
    ///
    /// # Safety
    /// Main thread; called once.
    pub unsafe fn end(self) {
        // SAFETY: made by `new`.
        unsafe { pg_sys::tuplestore_end(self.store) };
    }
}

/// Rows after which a batch that asks for nothing is worked on.
const ENOUGH_KNOWN: u64 = 10_000;

/// Rows from which on a LIMIT no longer sizes batches.
const LARGE: u64 = 1_000_000;

/// How large batches are: where the statement wants few rows, the first has as many, and each one after it ten times
/// as many, or, after one that brought no row, as many as a request has keys; without such a wish, all have as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    most_keys: usize,
    /// Rows of the next batch, where that is bounded.
    rows: Option<u64>,
    /// Whether the statement may end before all rows have been looked at.
    may_end: bool,
}

impl Sizes {
    /// For a statement that wants so many rows, of keys of which a request holds so many.
    pub fn new(most_keys: usize, wanted: Option<u64>) -> Sizes {
        let rows = wanted
            .map(|wanted| wanted.max(1))
            .filter(|wanted| *wanted < LARGE);
        Sizes {
            most_keys,
            rows,
            may_end: rows.is_some(),
        }
    }

    /// Whether a batch has all the rows that it should have.
    pub fn is_full(&self, rows: u64, keys: usize) -> bool {
        let most_rows = self.rows.unwrap_or(u64::MAX);
        keys >= self.most_keys || rows >= most_rows || (keys == 0 && rows >= ENOUGH_KNOWN)
    }

    /// The sizes of the batches after this one.
    pub fn grow(&mut self) {
        self.rows = self.rows.map(|rows| rows * 10).filter(|rows| *rows < LARGE);
    }

    /// After a batch that brought no row: the next ones have all the keys that a request holds, since it is the lists that cost.
    pub fn grow_to_lists(&mut self) {
        self.rows = None;
    }

    /// Whether the next batch is asked for before it is needed. Under a LIMIT it may never be, and a call costs more than a wait.
    pub fn reads_ahead(&self) -> bool {
        !self.may_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows, and keys, of the first batches of rows that all have keys of their own.
    fn batches(wanted: Option<u64>, most_keys: usize) -> Vec<u64> {
        let mut sizes = Sizes::new(most_keys, wanted);
        (0..5)
            .map(|_| {
                let size = (1..).find(|rows| sizes.is_full(*rows, *rows as usize));
                sizes.grow();
                size.expect("batches have an end")
            })
            .collect()
    }

    #[test]
    fn batches_grow_from_what_is_wanted() {
        assert_eq!(batches(Some(5), 1000), [5, 50, 500, 1000, 1000]);
        assert_eq!(batches(Some(0), 1000), [1, 10, 100, 1000, 1000]);
        assert_eq!(batches(None, 1000), [1000; 5]);
        assert_eq!(batches(Some(u64::MAX), 750), [750; 5]);
    }

    #[test]
    fn a_batch_that_brought_nothing_makes_the_next_ones_whole_lists() {
        let mut sizes = Sizes::new(1000, Some(5));
        assert!(sizes.is_full(5, 5));
        sizes.grow();
        sizes.grow_to_lists();
        assert!(!sizes.is_full(999, 999) && sizes.is_full(1000, 1000));
        assert!(!sizes.reads_ahead(), "it may still be the last one");
    }

    #[test]
    fn rows_of_known_keys_do_not_wait_for_new_ones() {
        let sizes = Sizes::new(1000, None);
        assert!(!sizes.is_full(ENOUGH_KNOWN - 1, 0));
        assert!(sizes.is_full(ENOUGH_KNOWN, 0));
        assert!(!sizes.is_full(ENOUGH_KNOWN * 100, 1));
    }

    #[test]
    fn nothing_is_asked_ahead_for_a_few_rows() {
        let mut sizes = Sizes::new(1000, Some(5));
        assert!(!sizes.reads_ahead());
        for _ in 0..9 {
            sizes.grow();
            assert!(!sizes.reads_ahead());
        }
        assert!(Sizes::new(1000, None).reads_ahead());
        assert!(Sizes::new(1000, Some(u64::MAX)).reads_ahead());
    }
}
