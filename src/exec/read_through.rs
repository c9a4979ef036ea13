//! When a node's lookups have cost what reading all rows does, these are read, once.
//!
//! After two calls, a count of all rows under the conditions that stay the same
//! travels with the next lookup. From then on what was spent is
//! compared with the pages of all rows, so that whatever the number of parameters, no more than twice as many calls are spent.

use super::scan::job;
use super::{ScanStats, may_read_rows};
use crate::error::raise;
use crate::io::Stream;
use intacct::{Client, DialectKind, Error, Query};

/// What reading all rows costs, and how far that is known.
pub enum ReadThrough {
    /// Not counted yet.
    Unknown,
    /// The count is under way.
    Counting(Stream<u64>),
    /// All rows are not to be read: the gateway returns no count, or matches no row.
    Never,
    /// So many rows, in so many pages.
    Counted {
        /// Rows under the conditions that stay the same.
        rows: u64,
        /// Pages of them.
        pages: u64,
    },
}

/// Calls after which a count travels with the next lookup.
const COUNT_AFTER: u64 = 2;

impl ReadThrough {
    /// Before another lookup, after so many: the number of all rows, if reading them is no dearer than what these have cost.
    /// Starts to count when it is time, and waits for the count where a lookup takes several calls; `query` is the query for all
    /// rows. Raises what goes wrong.
    pub fn before_lookup(
        &mut self,
        lookups: u64,
        received: &mut ScanStats,
        page_size: u32,
        query: impl FnOnce() -> Option<(Client, DialectKind, Query)>,
    ) -> Option<u64> {
        let calls = received.spent();
        if self.starts_to_count(received, query) && calls <= lookups {
            return None;
        }
        self.settle(received, page_size);
        self.is_due(received, 0)
    }

    /// Starts to count, if it is time; whether it is.
    pub fn starts_to_count(
        &mut self,
        received: &ScanStats,
        query: impl FnOnce() -> Option<(Client, DialectKind, Query)>,
    ) -> bool {
        if !matches!(self, ReadThrough::Unknown) || received.spent() < COUNT_AFTER {
            return false;
        }
        *self = match query() {
            Some((client, dialect, query)) if dialect.capabilities().total_count => {
                let counting = job::count(client, dialect, query, received.meter.clone());
                ReadThrough::Counting(counting.unwrap_or_else(|error| raise(error)))
            }
            _ => ReadThrough::Never,
        };
        true
    }

    /// While a lookup goes on for so many more calls: the same, for reading all rows in place of its rest.
    pub fn instead_of(&mut self, more: u64, received: &mut ScanStats, page_size: u32) -> Option<u64> {
        self.settle(received, page_size);
        self.is_due(received, more)
    }

    /// What reading all rows takes, once it is known: rows and pages.
    pub fn counted(&self) -> Option<(u64, u64)> {
        match self {
            ReadThrough::Counted { rows, pages } => Some((*rows, *pages)),
            _ => None,
        }
    }

    /// Waits for the count.
    fn settle(&mut self, received: &mut ScanStats, page_size: u32) {
        let ReadThrough::Counting(stream) = self else {
            return;
        };
        let counted = received.wait(|| stream.next());
        *self = match counted_rows(counted) {
            Some(rows) => ReadThrough::Counted {
                rows,
                pages: pages_of(rows, page_size),
            },
            None => ReadThrough::Never,
        };
    }

    fn is_due(&self, received: &ScanStats, more: u64) -> Option<u64> {
        let (rows, pages) = self.counted()?;
        let calls = received.spent().saturating_add(more);
        let due = match more {
            0 => calls >= pages,
            _ => calls > pages,
        };
        due.then_some(rows)
    }
}

/// The pages of so many rows: each shows the last row of the one before once more.
pub fn pages_of(rows: u64, page_size: u32) -> u64 {
    let page_size = u64::from(page_size.max(2));
    1 + rows.saturating_sub(page_size).div_ceil(page_size - 1)
}

/// The pages of so many rows that follow a page.
pub fn pages_behind(rows: u64, page_size: u32) -> u64 {
    match rows {
        0 => 0,
        rows => pages_of(rows.saturating_add(1), page_size),
    }
}

/// The answer to a count. That the gateway does not answer this query is no fault of the statement's; anything else is raised.
pub fn counted_rows(counted: Result<Option<u64>, Error>) -> Option<u64> {
    match counted {
        Ok(counted) => counted,
        Err(error) if may_read_rows(&error) => None,
        Err(error) => raise(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_overlap_by_a_row() {
        for (rows, page_size, pages) in [
            (0, 7, 1),
            (7, 7, 1),
            (8, 7, 2),
            (13, 7, 2),
            (14, 7, 3),
            (5, 1, 4),
            (4001, 2000, 3),
        ] {
            assert_eq!(pages_of(rows, page_size), pages, "{rows} by {page_size}");
        }
    }
}
