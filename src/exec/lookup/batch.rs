//! A batch of outer rows, and how many of them make one.

use crate::exec::scan::UnderWay;
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
    /// Keys that are asked for.
    pub entries: Vec<u32>,
    /// What is asked for them.
    pub conditions: Vec<Condition>,
    /// One of the keys cannot be expressed, so all rows are read.
    pub whole: bool,
    /// The inner side was asked, and its rows are still to be taken in.
    pub pending: bool,
    /// Its answer, set aside while the inner side is asked for further batches.
    pub answer: Option<UnderWay>,
}

impl Batch {
    /// An empty batch.
    ///
    /// # Safety
    /// Main thread; the current memory context must outlive the batch.
    pub unsafe fn new(number: u64) -> Batch {
        // SAFETY: main thread. A store that is not ended goes with the statement's resources.
        let store = unsafe { pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem) };
        Batch {
            number,
            store,
            rows: 0,
            entries: Vec::new(),
            conditions: Vec::new(),
            whole: false,
            pending: false,
            answer: None,
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
///
/// What a small batch has left of its list, a later one has more, as a second list of its request: so many keys take as many
/// requests as they would in whole lists, unless they end with a small one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    most_keys: usize,
    /// Keys of a request that has several lists.
    at_once: usize,
    /// Rows of the next batch, where that is bounded.
    rows: Option<u64>,
    /// Keys by which the lists so far could have been longer.
    left: usize,
    /// Whether the statement may end before all rows have been looked at.
    may_end: bool,
}

impl Sizes {
    /// For a statement that wants so many rows, of keys of which a list holds so many, and a request with several lists `at_once`.
    pub fn new(most_keys: usize, at_once: usize, wanted: Option<u64>) -> Sizes {
        let rows = wanted
            .map(|wanted| wanted.max(1))
            .filter(|wanted| *wanted < LARGE);
        Sizes {
            most_keys,
            at_once: at_once.max(most_keys),
            rows,
            left: 0,
            may_end: rows.is_some(),
        }
    }

    /// Whether a batch has all the rows that it should have.
    pub fn is_full(&self, rows: u64, keys: usize) -> bool {
        let most_rows = self.rows.unwrap_or(u64::MAX);
        keys >= self.keys() || rows >= most_rows || (keys == 0 && rows >= ENOUGH_KNOWN)
    }

    /// Keys of the next batch at most.
    fn keys(&self) -> usize {
        (self.most_keys + self.left).min(self.at_once)
    }

    /// The sizes of the batches after one that asks for so many keys.
    pub fn grow(&mut self, keys: usize) {
        self.rows = self.rows.map(|rows| rows * 10).filter(|rows| *rows < LARGE);
        if keys > 0 {
            self.left = (self.left + self.most_keys).saturating_sub(keys);
        }
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

    /// Rows, and keys, of the batches of rows that all have keys of their own; whether one brings no row, says `is_empty`.
    fn batches(wanted: Option<u64>, most_keys: usize, all: u64, is_empty: bool) -> Vec<u64> {
        let mut sizes = Sizes::new(most_keys, 3000, wanted);
        let (mut left, mut batches) = (all, Vec::new());
        while left > 0 {
            let size = (1..left)
                .find(|rows| sizes.is_full(*rows, *rows as usize))
                .unwrap_or(left);
            sizes.grow(size as usize);
            if is_empty {
                sizes.grow_to_lists();
            }
            batches.push(size);
            left -= size;
        }
        batches
    }

    #[test]
    fn batches_grow_from_what_is_wanted() {
        let five = batches(Some(5), 1000, 10_000, false);
        assert_eq!(five, [5, 50, 500, 3000, 1445, 1000, 1000, 1000, 1000, 1000]);
        let one = batches(Some(0), 1000, 6000, false);
        assert_eq!(one, [1, 10, 100, 1000, 3000, 1889]);
        assert_eq!(batches(None, 1000, 5000, false), [1000; 5]);
        assert_eq!(batches(Some(u64::MAX), 750, 1000, false), [750, 250]);
    }

    #[test]
    fn a_batch_that_brought_nothing_makes_the_next_ones_whole_lists() {
        let mut sizes = Sizes::new(1000, 3000, Some(5));
        assert!(sizes.is_full(5, 5));
        sizes.grow(5);
        sizes.grow_to_lists();
        assert!(!sizes.is_full(1994, 1994) && sizes.is_full(1995, 1995));
        assert!(!sizes.reads_ahead(), "it may still be the last one");
        sizes.grow(1995);
        assert!(!sizes.is_full(999, 999) && sizes.is_full(1000, 1000));
    }

    #[test]
    fn a_small_batch_costs_no_list_more() {
        for (most_keys, all) in [
            (1000, 10_000_u64),
            (1000, 9_999),
            (100, 1000),
            (100, 901),
            (7, 700),
            (1, 50),
        ] {
            for wanted in [1, 2, 5, 10, 99, 100, 5000] {
                let lists = all.div_ceil(most_keys as u64);
                let empty = batches(Some(wanted), most_keys, all, true);
                assert_eq!(
                    empty.len() as u64,
                    lists.max(1),
                    "{most_keys} {all} {wanted} {empty:?}"
                );
                let grown = batches(Some(wanted), most_keys, all, false);
                assert_eq!(grown.iter().sum::<u64>(), all);
                // The last one may be small, where all end with it.
                assert!(
                    grown.len() as u64 <= lists + 1,
                    "{most_keys} {all} {wanted} {grown:?}"
                );
                let most = grown.iter().max().copied();
                assert!(most <= Some(3000.max(most_keys as u64)), "{grown:?}");
            }
        }
    }

    #[test]
    fn batches_without_new_keys_leave_nothing() {
        let mut sizes = Sizes::new(10, 3000, Some(5));
        sizes.grow(0);
        sizes.grow(0);
        sizes.grow_to_lists();
        assert!(sizes.is_full(10, 10));
    }

    #[test]
    fn rows_of_known_keys_do_not_wait_for_new_ones() {
        let sizes = Sizes::new(1000, 3000, None);
        assert!(!sizes.is_full(ENOUGH_KNOWN - 1, 0));
        assert!(sizes.is_full(ENOUGH_KNOWN, 0));
        assert!(!sizes.is_full(ENOUGH_KNOWN * 100, 1));
    }

    #[test]
    fn nothing_is_asked_ahead_for_a_few_rows() {
        let mut sizes = Sizes::new(1000, 3000, Some(5));
        assert!(!sizes.reads_ahead());
        for _ in 0..9 {
            sizes.grow(5);
            assert!(!sizes.reads_ahead());
        }
        assert!(Sizes::new(1000, 3000, None).reads_ahead());
        assert!(Sizes::new(1000, 3000, Some(u64::MAX)).reads_ahead());
    }
}
