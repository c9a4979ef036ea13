//! The rows of an answer that is kept for the same question, and the check of those that are asked for once more.

use crate::error::raise;
use crate::exec::answers::Stored;
use crate::exec::spill::{Fields, TempFile, put_number, read_page, write_page};
use intacct::{Error, ErrorKind, Page};
use std::rc::Rc;

/// A page of an answer.
#[derive(Clone)]
pub enum KeptPage {
    /// In memory.
    Memory(Rc<Page>),
    /// In the file of the answers.
    File {
        /// Where it begins.
        position: u64,
        /// How long it is there.
        bytes: u64,
        /// Rows in it.
        rows: usize,
    },
}

impl KeptPage {
    /// Rows in it.
    pub fn rows(&self) -> usize {
        match self {
            KeptPage::Memory(page) => page.rows(),
            KeptPage::File { rows, .. } => *rows,
        }
    }

    /// Bytes that it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        match self {
            KeptPage::Memory(page) => page.memory_bytes() + size_of::<Page>(),
            KeptPage::File { .. } => size_of::<KeptPage>(),
        }
    }

    /// The page, which may be read from the file of the answers that it belongs to.
    pub fn load(&self, file: &mut TempFile) -> Rc<Page> {
        match self {
            KeptPage::Memory(page) => page.clone(),
            KeptPage::File { position, bytes, .. } => {
                let mut record = vec![0; *bytes as usize];
                file.read(*position, &mut record);
                Rc::new(read_page(&mut Fields(&record)))
            }
        }
    }

    /// The same page in the file.
    fn in_file(&self, file: &mut TempFile) -> KeptPage {
        match self {
            KeptPage::Memory(page) => {
                let mut record = Vec::new();
                write_page(page, &mut record);
                KeptPage::File {
                    position: file.append(&record),
                    bytes: record.len() as u64,
                    rows: page.rows(),
                }
            }
            KeptPage::File { .. } => self.clone(),
        }
    }
}

/// An answer: pages in the order in which they came.
#[derive(Clone, Default)]
pub struct Kept {
    /// The pages.
    pub pages: Vec<KeptPage>,
    /// There are no more.
    pub complete: bool,
    /// The part of the scan that the last of them belongs to.
    pub part: usize,
    /// The number of the last page of that part that has rows.
    pub last: Option<usize>,
    /// Rows behind it in that part, where the gateway reported them.
    pub left: Option<u64>,
}

impl Kept {
    /// Adds a page of a part.
    pub fn add(&mut self, page: &Rc<Page>, part: usize) {
        if self.part != part {
            (self.part, self.last) = (part, None);
        }
        if page.rows() > 0 {
            self.last = Some(self.pages.len());
        }
        self.left = page.remaining;
        self.pages.push(KeptPage::Memory(page.clone()));
    }

    /// Moves all pages to the file.
    pub fn unload(&mut self, file: &mut TempFile) {
        for page in &mut self.pages {
            *page = page.in_file(file);
        }
    }
}

impl Stored for Kept {
    fn write(&self, file: &mut TempFile, record: &mut Vec<u8>) {
        put_number(record, self.complete.into());
        put_number(record, self.part as u64);
        put_number(record, self.last.map_or(0, |last| last as u64 + 1));
        put_number(record, self.left.map_or(0, |left| left.saturating_add(1)));
        put_number(record, self.pages.len() as u64);
        for page in &self.pages {
            if let KeptPage::File {
                position,
                bytes,
                rows,
            } = page.in_file(file)
            {
                for number in [position, bytes, rows as u64] {
                    put_number(record, number);
                }
            }
        }
    }

    fn read(fields: &mut Fields<'_>) -> Kept {
        let complete = fields.number() != 0;
        let part = fields.number() as usize;
        let last = fields.number().checked_sub(1).map(|last| last as usize);
        let left = fields.number().checked_sub(1);
        let pages = (0..fields.number()).map(|_| KeptPage::File {
            position: fields.number(),
            bytes: fields.number(),
            rows: fields.number() as usize,
        });
        Kept {
            pages: pages.collect(),
            complete,
            part,
            last,
            left,
        }
    }
}

/// An answer that is being recorded.
pub struct Recording {
    /// What was asked.
    pub question: String,
    /// What came so far.
    pub kept: Kept,
    /// Bytes of it in memory.
    pub bytes: usize,
    /// It has outgrown the memory: pages are written to the file as they come.
    pub in_file: bool,
}

impl Recording {
    /// Nothing has come.
    pub fn new(question: String) -> Recording {
        Recording::of(question, Kept::default())
    }

    /// This has come so far.
    pub fn of(question: String, kept: Kept) -> Recording {
        let bytes = kept.pages.iter().map(KeptPage::memory_bytes).sum();
        Recording {
            question,
            kept,
            bytes,
            in_file: false,
        }
    }
}

/// An answer that was kept in part, was used up, and cannot be gone on with: it is asked for again, and must begin with the rows that
/// were used.
pub struct Resumed {
    pages: Vec<KeptPage>,
    /// The next row to compare: page and row.
    next: (usize, usize),
    /// The page of that number, once it is read.
    at: Option<(usize, Rc<Page>)>,
}

impl Resumed {
    /// For rows that were used.
    pub fn new(pages: Vec<KeptPage>) -> Resumed {
        let mut resumed = Resumed {
            pages,
            next: (0, 0),
            at: None,
        };
        resumed.skip_empty();
        resumed
    }

    /// How many rows of the page were used before. Raises when they are others.
    pub fn used(&mut self, page: &Page, file: &mut TempFile) -> usize {
        let mut row = 0;
        while row < page.rows() && !self.is_done() {
            let (number, known) = self.next;
            let before = match self.at.take() {
                Some((at, before)) if at == number => before,
                _ => self.pages[number].load(file),
            };
            let same = (0..page.columns()).all(|column| page.cell(row, column) == before.cell(known, column));
            self.at = Some((number, before));
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
    pub fn pages(&self) -> &[KeptPage] {
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

    fn page(rows: &[&str]) -> Page {
        let mut page = Page::default();
        for row in rows {
            assert!(page.push_cells([Some(row.as_bytes())]));
        }
        page
    }

    #[test]
    fn rows_that_were_used_are_recognised_whatever_pages_bring_them() {
        // SAFETY: there is no server.
        let mut file = unsafe { TempFile::new() };
        let pages = [page(&[]), page(&["a", "b"]), page(&["c"])];
        let kept = pages.map(|page| KeptPage::Memory(Rc::new(page))).to_vec();
        let mut unloaded = Kept {
            pages: kept.clone(),
            ..Kept::default()
        };
        unloaded.unload(&mut file);
        assert!(
            unloaded
                .pages
                .iter()
                .all(|page| matches!(page, KeptPage::File { .. }))
        );
        let mixed = [&kept[..2], &unloaded.pages[2..]].concat();
        for pages in [kept, unloaded.pages, mixed] {
            let mut resumed = Resumed::new(pages);
            assert_eq!(resumed.used(&page(&["a"]), &mut file), 1);
            assert!(!resumed.is_done());
            assert_eq!(resumed.used(&page(&["b", "c", "d", "e"]), &mut file), 2);
            assert!(resumed.is_done());
            assert_eq!(resumed.used(&page(&["f"]), &mut file), 0);
        }
        assert!(Resumed::new(Vec::new()).is_done());
        assert!(Resumed::new(vec![KeptPage::Memory(Rc::new(page(&[])))]).is_done());
    }

    #[test]
    fn the_last_rows_are_those_of_the_last_part() {
        let mut kept = Kept::default();
        let mut after = |rows: &[&str], part| {
            kept.add(&Rc::new(page(rows)), part);
            (kept.part, kept.last, kept.pages.len())
        };
        assert_eq!(after(&[], 0), (0, None, 1));
        assert_eq!(after(&["a"], 0), (0, Some(1), 2));
        assert_eq!(after(&[], 0), (0, Some(1), 3));
        assert_eq!(
            after(&[], 1),
            (1, None, 4),
            "those of the part before are none of it"
        );
        assert_eq!(after(&["b"], 1), (1, Some(4), 5));
    }

    #[test]
    fn answers_come_back_from_the_file() {
        // SAFETY: there is no server.
        let mut file = unsafe { TempFile::new() };
        for (complete, part, left) in [(false, 0, None), (true, 1, Some(0)), (false, 1, Some(7))] {
            let last = left.is_some().then_some(part);
            let kept = Kept {
                part,
                last,
                left,
                pages: vec![
                    KeptPage::Memory(Rc::new(page(&["a", "b"]))),
                    KeptPage::Memory(Rc::new(page(&["c"]))),
                ],
                complete,
            };
            let mut record = Vec::new();
            kept.write(&mut file, &mut record);
            let read = Kept::read(&mut Fields(&record));
            assert_eq!((read.complete, read.pages.len()), (complete, 2));
            assert_eq!((read.part, read.last, read.left), (part, last, left));
            for (one, other) in kept.pages.iter().zip(&read.pages) {
                let (one, other) = (one.load(&mut file), other.load(&mut file));
                let cells = |page: &Page| {
                    (0..page.rows())
                        .map(|row| page.cell(row, 0).map(<[u8]>::to_vec))
                        .collect::<Vec<_>>()
                };
                assert_eq!(cells(&one), cells(&other));
            }
        }
    }
}
