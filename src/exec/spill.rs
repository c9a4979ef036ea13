//! What outgrows the memory of a node and may be wanted again: records in a temporary file, found by a hash.
//!
//! The hash has as many buckets as fit into a small part of the memory; the records of a bucket form a chain in the file, of
//! which each knows the one before it. What is written last is found first.

use crate::error::raise_internal;
use intacct::Page;
#[cfg(not(test))]
use pgrx::{PgMemoryContexts, pg_sys};

/// A temporary file to which is appended. One that is not closed goes with the statement's resources.
pub struct TempFile {
    /// Owns what belongs to the file.
    #[cfg(not(test))]
    context: pg_sys::MemoryContext,
    #[cfg(not(test))]
    file: *mut pg_sys::BufFile,
    #[cfg(test)]
    bytes: Vec<u8>,
    end: u64,
}

/// Bytes of a segment of a temporary file, as the server makes them.
#[cfg(not(test))]
const SEGMENT: u64 = 1 << 30;

/// Of C.
#[cfg(not(test))]
const SEEK_SET: i32 = 0;

#[cfg(not(test))]
impl TempFile {
    /// A file that is made when it is written to.
    ///
    /// # Safety
    /// Main thread, always; the current memory context must outlive the file.
    pub unsafe fn new() -> TempFile {
        TempFile {
            // SAFETY: main thread.
            context: unsafe { pg_sys::CurrentMemoryContext },
            file: std::ptr::null_mut(),
            end: 0,
        }
    }

    /// Appends; returns where the bytes begin.
    pub fn append(&mut self, bytes: &[u8]) -> u64 {
        let position = self.end;
        // SAFETY: main thread, as `new` demands; the file is this one's, and the server copies the bytes.
        unsafe {
            if self.file.is_null() {
                let mut context = PgMemoryContexts::For(self.context);
                self.file = context.switch_to(|_| pg_sys::BufFileCreateTemp(false));
            }
            self.seek(position);
            pg_sys::BufFileWrite(self.file, bytes.as_ptr().cast_mut().cast(), bytes.len());
            let (mut segment, mut offset) = (0, 0);
            pg_sys::BufFileTell(self.file, &mut segment, &mut offset);
            self.end = segment as u64 * SEGMENT + offset as u64;
        }
        position
    }

    /// Reads what begins at a position.
    pub fn read(&mut self, position: u64, bytes: &mut [u8]) {
        self.seek(position);
        // SAFETY: as above; the buffer is as long as it says.
        if unsafe { pg_sys::BufFileRead(self.file, bytes.as_mut_ptr().cast(), bytes.len()) } != bytes.len() {
            raise_internal("a temporary file ends too early");
        }
    }

    fn seek(&mut self, position: u64) {
        let (segment, offset) = ((position / SEGMENT) as i32, (position % SEGMENT) as i64);
        // SAFETY: as above.
        if self.file.is_null() || unsafe { pg_sys::BufFileSeek(self.file, segment, offset, SEEK_SET) } != 0 {
            raise_internal("cannot seek in a temporary file");
        }
    }

    /// Closes the file, and forgets what was in it.
    pub fn close(&mut self) {
        let file = std::mem::replace(&mut self.file, std::ptr::null_mut());
        self.end = 0;
        if !file.is_null() {
            // SAFETY: as above; closed once.
            unsafe { pg_sys::BufFileClose(file) };
        }
    }
}

/// Without a server: in memory.
#[cfg(test)]
impl TempFile {
    pub unsafe fn new() -> TempFile {
        let bytes = Vec::new();
        TempFile { bytes, end: 0 }
    }

    pub fn append(&mut self, bytes: &[u8]) -> u64 {
        let position = self.end;
        self.bytes.extend_from_slice(bytes);
        self.end = self.bytes.len() as u64;
        position
    }

    pub fn read(&mut self, position: u64, bytes: &mut [u8]) {
        let start = position as usize;
        bytes.copy_from_slice(&self.bytes[start..start + bytes.len()]);
    }

    pub fn close(&mut self) {
        self.bytes.clear();
        self.end = 0;
    }
}

/// Records by their hash.
pub struct Spilled {
    /// The file, in which other things may lie between records.
    pub file: TempFile,
    buckets: Vec<u64>,
}

const NOWHERE: u64 = u64::MAX;

/// What stands in front of a record: the one before it in its chain, its hash, and its length.
const HEADER: usize = 24;

impl Spilled {
    /// No records.
    ///
    /// # Safety
    /// As [`TempFile::new`].
    pub unsafe fn new() -> Spilled {
        Spilled {
            // SAFETY: passed on.
            file: unsafe { TempFile::new() },
            buckets: Vec::new(),
        }
    }

    /// Bytes that buckets take of so many.
    pub fn bytes_of(memory: usize) -> usize {
        buckets_of(memory) * size_of::<u64>()
    }

    /// Whether there is no record.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Adds a record, of a node that has so many bytes of memory.
    pub fn put(&mut self, hash: u64, record: &[u8], memory: usize) {
        if self.buckets.is_empty() {
            self.buckets = vec![NOWHERE; buckets_of(memory)];
        }
        let bucket = self.bucket(hash);
        let mut bytes = Vec::with_capacity(HEADER + record.len());
        for number in [self.buckets[bucket], hash, record.len() as u64] {
            bytes.extend_from_slice(&number.to_ne_bytes());
        }
        bytes.extend_from_slice(record);
        self.buckets[bucket] = self.file.append(&bytes);
    }

    /// The first that is made of a record of this hash, the newest one first.
    pub fn find<R>(&mut self, hash: u64, mut make: impl FnMut(&[u8]) -> Option<R>) -> Option<R> {
        if self.buckets.is_empty() {
            return None;
        }
        let mut position = self.buckets[self.bucket(hash)];
        let mut record = Vec::new();
        while position != NOWHERE {
            #[cfg(not(test))]
            pgrx::check_for_interrupts!();
            let mut header = [0; HEADER];
            self.file.read(position, &mut header);
            let number = |at: usize| {
                let mut number = [0; 8];
                number.copy_from_slice(&header[at..at + 8]);
                u64::from_ne_bytes(number)
            };
            if number(8) == hash {
                record.resize(number(16) as usize, 0);
                self.file.read(position + HEADER as u64, &mut record);
                if let Some(made) = make(&record) {
                    return Some(made);
                }
            }
            position = number(0);
        }
        None
    }

    /// Forgets all records, and closes the file.
    pub fn close(&mut self) {
        self.buckets = Vec::new();
        self.file.close();
    }

    fn bucket(&self, hash: u64) -> usize {
        // The lower bits alone may be those by which something else is chosen.
        (hash ^ (hash >> 32)) as usize & (self.buckets.len() - 1)
    }
}

/// Buckets of a node that has so many bytes of memory: an eighth of it.
fn buckets_of(memory: usize) -> usize {
    let most = (memory / 8 / size_of::<u64>()).max(64);
    match most.is_power_of_two() {
        true => most,
        false => most.next_power_of_two() / 2,
    }
}

/// Numbers and texts of a record, read in the order in which they were written.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// So many bytes.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        match self.0.split_at_checked(length) {
            Some((bytes, rest)) => {
                self.0 = rest;
                bytes
            }
            None => raise_internal("a record of a temporary file ends too early"),
        }
    }

    /// A number.
    pub fn number(&mut self) -> u64 {
        let mut number = [0; 8];
        number.copy_from_slice(self.bytes(8));
        u64::from_ne_bytes(number)
    }
}

/// Appends a number to a record.
pub fn put_number(record: &mut Vec<u8>, number: u64) {
    record.extend_from_slice(&number.to_ne_bytes());
}

/// Appends the cells of a row: of each, its length and its text. No cell is empty: nothing stands for a cell without a value.
pub fn write_row(page: &Page, row: usize, bytes: &mut Vec<u8>) {
    for column in 0..page.columns() {
        let cell = page.cell(row, column).unwrap_or_default();
        bytes.extend_from_slice(&(cell.len() as u32).to_ne_bytes());
        bytes.extend_from_slice(cell);
    }
}

/// The cells of a row that was written so.
pub fn cells(mut row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (length, rest) = row.split_at_checked(4)?;
        let length = u32::from_ne_bytes(length.try_into().ok()?);
        let (cell, rest) = rest.split_at_checked(length as usize)?;
        row = rest;
        Some((!cell.is_empty()).then_some(cell))
    })
}

/// Appends the rows of a page; what the gateway said about them is left out.
pub fn write_page(page: &Page, record: &mut Vec<u8>) {
    put_number(record, page.rows() as u64);
    let mut bytes = Vec::new();
    for row in 0..page.rows() {
        bytes.clear();
        write_row(page, row, &mut bytes);
        put_number(record, bytes.len() as u64);
        record.extend_from_slice(&bytes);
    }
}

/// A page of the rows that were written so.
pub fn read_page(fields: &mut Fields<'_>) -> Page {
    let mut page = Page::default();
    for _ in 0..fields.number() {
        let length = fields.number() as usize;
        if !page.push_cells(cells(fields.bytes(length))) {
            raise_internal("a page of more than 4 GiB");
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spilled() -> Spilled {
        // SAFETY: there is no server.
        unsafe { Spilled::new() }
    }

    #[test]
    fn records_are_found_by_their_hash_the_newest_one_first() {
        let mut spilled = spilled();
        assert!(spilled.is_empty());
        assert_eq!(spilled.find(1, |_| Some(())), None);
        for number in 0..5000u64 {
            // Few hashes, so that chains are long and records of other keys stand among them.
            let mut record = Vec::new();
            put_number(&mut record, number % 900);
            put_number(&mut record, number);
            spilled.put(number % 300 * 977, &record, 64);
        }
        for key in 0..900u64 {
            let found = spilled.find(key % 300 * 977, |record| {
                let mut fields = Fields(record);
                (fields.number() == key).then(|| fields.number())
            });
            let newest = (0..5000).rev().find(|number| number % 900 == key);
            assert_eq!(found, newest);
        }
        assert_eq!(spilled.find(3, |_| Some(())), None, "no such hash");
        spilled.close();
        assert_eq!(spilled.find(0, |_| Some(())), None);
    }

    #[test]
    fn buckets_take_an_eighth_of_the_memory() {
        for memory in [0, 64 << 10, 100_000, 4 << 20, 1 << 30] {
            let bytes = Spilled::bytes_of(memory);
            assert!((bytes / 8).is_power_of_two(), "{memory}");
            assert!(bytes <= (memory / 8).max(512), "{memory}");
            assert!(bytes > memory / 17, "{memory}");
        }
    }

    #[test]
    fn pages_come_back_cell_by_cell() {
        let rows: [&[Option<&[u8]>]; 3] = [
            &[Some(b"a"), None],
            &[None, None],
            &[Some("ä\n".as_bytes()), Some(b"0")],
        ];
        for taken in 0..=3 {
            let mut page = Page::default();
            for row in &rows[..taken] {
                assert!(page.push_cells(row.iter().copied()));
            }
            let mut record = Vec::new();
            write_page(&page, &mut record);
            put_number(&mut record, 7);
            let mut fields = Fields(&record);
            let read = read_page(&mut fields);
            assert_eq!((read.rows(), fields.number(), fields.0.len()), (taken, 7, 0));
            for (row, column) in (0..taken).flat_map(|row| [(row, 0), (row, 1)]) {
                assert_eq!(read.cell(row, column), page.cell(row, column));
            }
        }
        // Rows without columns are rows.
        let mut page = Page::default();
        assert!(page.push_cells([]) && page.push_cells([]));
        let mut record = Vec::new();
        write_page(&page, &mut record);
        assert_eq!(read_page(&mut Fields(&record)).rows(), 2);
    }
}
