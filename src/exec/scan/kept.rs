//! The rows of an answer that is kept for the same question, and the check of those that are asked for once more.

use crate::error::raise;
use intacct::{Error, ErrorKind, Page};
use std::rc::Rc;

/// An answer: pages in the order in which they came.
#[derive(Clone, Default)]
pub struct Kept {
    /// The pages.
    pub pages: Vec<Rc<Page>>,
    /// There are no more.
    pub complete: bool,
}

/// An answer that is being recorded.
pub struct Recording {
    /// What was asked.
    pub question: String,
    /// What came so far.
    pub kept: Kept,
    /// Bytes of it.
    pub bytes: usize,
}

impl Recording {
    /// Nothing has come.
    pub fn new(question: String) -> Recording {
        Recording {
            question,
            kept: Kept::default(),
            bytes: 0,
        }
    }
}

/// An answer that was kept in part, and was used up: it is asked for again, and must begin with the rows that were used.
pub struct Resumed {
    pages: Vec<Rc<Page>>,
    /// The next row to compare: page and row.
    next: (usize, usize),
}

impl Resumed {
    /// For rows that were used.
    pub fn new(pages: Vec<Rc<Page>>) -> Resumed {
        let mut resumed = Resumed { pages, next: (0, 0) };
        resumed.skip_empty();
        resumed
    }

    /// How many rows of the page were used before. Raises when they are others.
    pub fn used(&mut self, page: &Page) -> usize {
        let mut row = 0;
        while row < page.rows() && !self.is_done() {
            let (number, known) = self.next;
            let before = &self.pages[number];
            let same = (0..page.columns()).all(|column| page.cell(row, column) == before.cell(known, column));
            if !same {
                moved();
            }
            self.next.1 += 1;
            self.skip_empty();
            row += 1;
        }
        row
    }

    /// Whether all rows that were used have come again.
    pub fn is_done(&self) -> bool {
        self.next.0 == self.pages.len()
    }

    /// The rows that were used.
    pub fn pages(&self) -> &[Rc<Page>] {
        &self.pages
    }

    fn skip_empty(&mut self) {
        while self.next.0 < self.pages.len() && self.next.1 >= self.pages[self.next.0].rows() {
            self.next = (self.next.0 + 1, 0);
        }
    }
}

/// Raises that the rows have changed.
pub fn moved() -> ! {
    raise(Error::new(
        ErrorKind::Moved,
        "the rows of a subquery changed while they were read again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: &[&str]) -> Rc<Page> {
        let mut page = Page::default();
        for row in rows {
            assert!(page.push_cells([Some(row.as_bytes())]));
        }
        Rc::new(page)
    }

    #[test]
    fn rows_that_were_used_are_recognised_whatever_pages_bring_them() {
        let mut resumed = Resumed::new(vec![page(&[]), page(&["a", "b"]), page(&["c"])]);
        assert_eq!(resumed.used(&page(&["a"])), 1);
        assert!(!resumed.is_done());
        assert_eq!(resumed.used(&page(&["b", "c", "d", "e"])), 2);
        assert!(resumed.is_done());
        assert_eq!(resumed.used(&page(&["f"])), 0);
        assert!(Resumed::new(Vec::new()).is_done());
        assert!(Resumed::new(vec![page(&[])]).is_done());
    }
}
