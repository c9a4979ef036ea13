//! All rows of a scan whatever its parameters, read once: in memory up to a bound and beyond it in a temporary file, found by a
//! hash on the fields that conditions compare with parameters.
//!
//! The hash has as many buckets as there are rows, or as fit into the memory; the rows of a bucket form a chain, of which each
//! knows the one before it. The conditions are checked again on the rows that are returned, so it is no matter that a bucket has
//! rows of other keys. Rows are returned in the order in which they were read, which is the one that the path claims.

use crate::catalog::ForeignTable;
use crate::error::raise_internal;
use crate::exec::key_part::KeyPart;
use crate::exec::spill::{cells, write_row};
use crate::private::{LookupKey, ScanPrivate, conjuncts};
use intacct::{CellReader, CompareOp, Condition, Page, Query, SelectItem, Value};
use pgrx::{PgMemoryContexts, pg_sys};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// Where a row lies: an offset in memory, or with [`IN_FILE`] a segment and an offset of the file.
type Position = u64;

const IN_FILE: Position = 1 << 63;
const NOWHERE: Position = u64::MAX;

/// What stands in front of a row: the row before it in its chain, its hash, and its length.
const HEADER: usize = 20;

/// All rows.
pub struct Whole {
    keys: Vec<LookupKey>,
    /// A key could not be read: nothing is looked up, all rows are looked at.
    unhashed: bool,
    /// The conditions are not checked again: of the rows that are found, the keys decide.
    decides: bool,
    buckets: Vec<Position>,
    columns: usize,
    rows: u64,
    memory: Vec<u8>,
    /// Bytes of rows that are held in memory.
    bound: usize,
    /// Owns the file.
    context: pg_sys::MemoryContext,
    file: *mut pg_sys::BufFile,
    /// Where the file ends: segment and offset.
    end: (i32, i64),
}

/// Rows to be left out of others, as often as they are here.
#[derive(Default)]
struct LeftOut {
    rows: HashMap<Box<[u8]>, u32>,
    bytes: usize,
}

impl LeftOut {
    /// Bytes that a row takes beside its own.
    const ROW_BYTES: usize = 2 * size_of::<(Box<[u8]>, u32)>();

    fn add(&mut self, row: &[u8]) {
        match self.rows.get_mut(row) {
            Some(times) => *times += 1,
            None => {
                self.bytes += row.len() + Self::ROW_BYTES;
                self.rows.insert(row.into(), 1);
            }
        }
    }

    /// Whether the row is one of them; it counts once.
    fn take(&mut self, row: &[u8]) -> bool {
        let Some(left) = self.rows.get_mut(row) else {
            return false;
        };
        *left -= 1;
        if *left == 0 {
            self.rows.remove(row);
        }
        true
    }
}

/// The rows of one parameter, yet to be returned.
pub struct Cursor {
    found: Found,
    /// Rows of it.
    rows: u64,
    /// The next one, and where it lies.
    next: u64,
    position: Position,
    /// A bit for each row that is not to be returned.
    left_out: Vec<u64>,
}

/// Which rows a cursor has.
enum Found {
    /// These, in this order.
    Chosen(Vec<Position>),
    /// All from this one on.
    All(Position),
}

impl Cursor {
    fn new(found: Found, rows: u64) -> Cursor {
        let mut cursor = Cursor {
            found,
            rows,
            next: 0,
            position: 0,
            left_out: Vec::new(),
        };
        cursor.rewind();
        cursor
    }

    fn rewind(&mut self) {
        self.next = 0;
        if let Found::All(first) = self.found {
            self.position = first;
        }
    }

    fn is_left_out(&self, row: u64) -> bool {
        let bits = self.left_out.get((row / 64) as usize);
        bits.is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }

    fn leave_out(&mut self, row: u64) {
        let place = (row / 64) as usize;
        if self.left_out.len() <= place {
            self.left_out.resize(place + 1, 0);
        }
        self.left_out[place] |= 1 << (row % 64);
    }
}

/// The fields that a condition compares with what varies, and that can be hashed.
fn key_fields(table: &ForeignTable, plan: &ScanPrivate, varies: &[bool]) -> Vec<LookupKey> {
    if plan.joined.is_some() {
        return plan.lookup_keys.clone();
    }
    if plan.query.case_insensitive {
        return Vec::new();
    }
    let key = |part: &Condition| {
        let Condition::Compare {
            field,
            op: CompareOp::Eq,
            value: Value::Param(number),
        } = part
        else {
            return None;
        };
        let class = table.column_of_field(field)?.class?;
        let select = &plan.query.select;
        let cell = select
            .iter()
            .position(|item| matches!(item, SelectItem::Field(shown) if shown.eq_ignore_ascii_case(field)))?;
        let varies = varies.get(*number as usize - 1).copied().unwrap_or(false);
        (class.equals_as_rendered() && varies).then(|| LookupKey {
            field: field.clone(),
            cell: cell as u16,
            class,
        })
    };
    let parts = conjuncts(plan.query.filter.as_ref());
    parts.iter().filter_map(key).collect()
}

fn hash_of(parts: &[KeyPart]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

impl Whole {
    /// An empty store for about so many rows; `varies`: the parameters whose values change.
    ///
    /// # Safety
    /// Main thread; `context` must outlive the store.
    pub unsafe fn new(
        context: pg_sys::MemoryContext,
        table: &ForeignTable,
        plan: &ScanPrivate,
        varies: &[bool],
        rows: u64,
    ) -> Whole {
        // SAFETY: a setting of the backend, read on its main thread.
        let work_mem = unsafe { pg_sys::work_mem };
        let bound = work_mem.max(64) as usize * 1024 / 2;
        let keys = key_fields(table, plan, varies);
        let most = (bound / size_of::<Position>()).next_power_of_two() / 2;
        let buckets = match keys.is_empty() {
            true => 0,
            false => usize::try_from(rows)
                .unwrap_or(usize::MAX)
                .clamp(64, most.max(64))
                .next_power_of_two()
                .min(most),
        };
        Whole {
            unhashed: keys.is_empty(),
            decides: plan.joined.is_some(),
            keys,
            buckets: vec![NOWHERE; buckets],
            columns: 0,
            rows: 0,
            memory: Vec::new(),
            bound,
            context,
            file: std::ptr::null_mut(),
            end: (0, 0),
        }
    }

    /// Adds the rows of a page.
    ///
    /// # Safety
    /// Main thread.
    pub unsafe fn add(&mut self, page: &Page, reader: &CellReader) {
        let mut bytes = Vec::new();
        for row in 0..page.rows() {
            self.columns = page.columns();
            let hash = match self.unhashed {
                true => None,
                false => self.hash_of_row(page, row, reader),
            };
            let previous = hash.map_or(NOWHERE, |hash| self.buckets[self.bucket(hash)]);
            bytes.clear();
            bytes.extend_from_slice(&previous.to_ne_bytes());
            bytes.extend_from_slice(&hash.unwrap_or(0).to_ne_bytes());
            bytes.extend_from_slice(&[0; 4]);
            write_row(page, row, &mut bytes);
            let length = u32::try_from(bytes.len() - HEADER)
                .unwrap_or_else(|_| raise_internal("a row of more than 4 GiB"));
            bytes[HEADER - 4..HEADER].copy_from_slice(&length.to_ne_bytes());
            // SAFETY: same contract as this function.
            let position = unsafe { self.write(&bytes) };
            if let Some(hash) = hash {
                let bucket = self.bucket(hash);
                self.buckets[bucket] = position;
            }
            self.rows += 1;
        }
    }

    fn bucket(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    /// The hash of a row's key; none where a part is null, which equals nothing. A part that does not parse is for the scan to
    /// report when it comes to the row: then all rows are looked at.
    fn hash_of_row(&mut self, page: &Page, row: usize, reader: &CellReader) -> Option<u64> {
        let mut parts = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            match KeyPart::of_cell(key.class, page.cell(row, key.cell.into())?, reader) {
                Ok(part) => parts.push(part),
                Err(_) => {
                    self.unhashed = true;
                    return None;
                }
            }
        }
        Some(hash_of(&parts))
    }

    /// Whether rows can be found in it.
    pub fn is_usable(&self) -> bool {
        !(self.decides && self.unhashed)
    }

    /// The rows that a query may keep, whose parameters are bound; `None`: it cannot be determined here.
    ///
    /// # Safety
    /// Main thread.
    pub unsafe fn find(&mut self, query: &Query, reader: Option<&CellReader>) -> Option<Cursor> {
        let asked = conjuncts(query.filter.as_ref());
        let value = |key: &LookupKey| {
            asked.iter().find_map(|part| match part {
                Condition::Compare {
                    field,
                    op: CompareOp::Eq,
                    value,
                } if *field == key.field => KeyPart::of_value(key.class, value),
                _ => None,
            })
        };
        let wanted: Option<Vec<KeyPart>> = self.keys.iter().map(value).collect();
        let Some(wanted) = wanted.filter(|_| !self.unhashed) else {
            return (!self.decides).then(|| Cursor::new(Found::All(self.first()), self.rows));
        };
        let hash = hash_of(&wanted);
        let mut found = Vec::new();
        let mut position = self.buckets[self.bucket(hash)];
        while position != NOWHERE {
            pgrx::check_for_interrupts!();
            // SAFETY: same contract as this function.
            let (previous, other, _) = unsafe { self.header(position) };
            if other == hash {
                found.push(position);
            }
            position = previous;
        }
        found.reverse();
        if self.decides {
            let reader = reader?;
            // SAFETY: same contract as this function.
            found.retain(|position| unsafe { self.has_key(*position, &wanted, reader) });
        }
        if crate::guc::lookup_fault() == 6 {
            found.pop();
        }
        let rows = found.len() as u64;
        Some(Cursor::new(Found::Chosen(found), rows))
    }

    /// Whether the row at a position has this key.
    ///
    /// # Safety
    /// Main thread.
    unsafe fn has_key(&mut self, position: Position, wanted: &[KeyPart], reader: &CellReader) -> bool {
        let mut bytes = Vec::new();
        // SAFETY: same contract as this function.
        unsafe {
            let (_, _, length) = self.header(position);
            bytes.resize(length as usize, 0);
            self.read(position, HEADER as u64, &mut bytes);
        }
        let cells: Vec<_> = cells(&bytes).collect();
        let mut parts = self.keys.iter().zip(wanted);
        parts.all(|(key, wanted)| {
            let cell = cells.get(usize::from(key.cell)).copied().flatten();
            let part = cell.and_then(|cell| KeyPart::of_cell(key.class, cell, reader).ok());
            part.as_ref() == Some(wanted)
        })
    }

    fn first(&self) -> Position {
        match self.memory.is_empty() {
            true => IN_FILE,
            false => 0,
        }
    }

    /// Leaves rows out of those that a cursor is still to return; `false`: not all of them are there. No more than `most` bytes of them
    /// are in memory at a time.
    ///
    /// # Safety
    /// Main thread; a cursor of this store, of which nothing has been returned.
    pub unsafe fn leave_out(
        &mut self,
        cursor: &mut Cursor,
        pages: impl Iterator<Item = Rc<Page>>,
        most: usize,
    ) -> bool {
        let (mut rows, mut bytes) = (LeftOut::default(), Vec::new());
        for page in pages {
            for row in 0..page.rows() {
                bytes.clear();
                write_row(&page, row, &mut bytes);
                rows.add(&bytes);
                // SAFETY: same contract as this function.
                if rows.bytes >= most && !unsafe { self.mark(cursor, std::mem::take(&mut rows)) } {
                    return false;
                }
            }
        }
        // SAFETY: same contract as this function.
        let are_there = unsafe { self.mark(cursor, rows) };
        cursor.rewind();
        are_there
    }

    /// Marks rows to be left out. Where they come in the order of the cursor's own, it goes through these once: it goes on where it
    /// stands, and begins again at the end.
    unsafe fn mark(&mut self, cursor: &mut Cursor, mut rows: LeftOut) -> bool {
        let (mut bytes, mut ahead) = (Vec::new(), cursor.rows);
        while !rows.rows.is_empty() && ahead > 0 {
            #[cfg(not(test))]
            pgrx::check_for_interrupts!();
            // SAFETY: same contract as the caller's.
            match unsafe { self.next_row(cursor, &mut bytes) } {
                None => cursor.rewind(),
                Some(row) => {
                    ahead -= 1;
                    if !cursor.is_left_out(row) && rows.take(&bytes) {
                        cursor.leave_out(row);
                    }
                }
            }
        }
        rows.rows.is_empty()
    }

    /// Reads the next row of a cursor, whether left out or not; its number.
    unsafe fn next_row(&mut self, cursor: &mut Cursor, bytes: &mut Vec<u8>) -> Option<u64> {
        let position = match &cursor.found {
            Found::Chosen(positions) => *positions.get(cursor.next as usize)?,
            Found::All(_) if cursor.next == cursor.rows => return None,
            Found::All(_) => cursor.position,
        };
        // SAFETY: same contract as the caller's.
        unsafe {
            let (_, _, length) = self.header(position);
            bytes.resize(length as usize, 0);
            self.read(position, HEADER as u64, bytes);
            if let Found::All(_) = cursor.found {
                cursor.position = self.after(position, HEADER as u64 + u64::from(length));
            }
        }
        cursor.next += 1;
        Some(cursor.next - 1)
    }

    /// The next rows of a cursor; none at the end.
    ///
    /// # Safety
    /// Main thread; a cursor of this store.
    pub unsafe fn page(&mut self, cursor: &mut Cursor) -> Option<Rc<Page>> {
        let mut page = Page::default();
        let mut bytes = Vec::new();
        while page.rows() < PAGE_ROWS && page.memory_bytes() < PAGE_BYTES {
            // SAFETY: same contract as this function.
            let Some(row) = (unsafe { self.next_row(cursor, &mut bytes) }) else {
                break;
            };
            if cursor.is_left_out(row) {
                #[cfg(not(test))]
                pgrx::check_for_interrupts!();
                continue;
            }
            if !page.push_cells(cells(&bytes)) {
                raise_internal("a page of more than 4 GiB");
            }
        }
        (page.rows() > 0).then(|| Rc::new(page))
    }

    /// Closes the file.
    ///
    /// # Safety
    /// Main thread.
    pub unsafe fn close(&mut self) {
        let file = std::mem::replace(&mut self.file, std::ptr::null_mut());
        if !file.is_null() {
            // SAFETY: opened by this store, and closed once.
            unsafe { pg_sys::BufFileClose(file) };
        }
    }

    unsafe fn write(&mut self, bytes: &[u8]) -> Position {
        if self.file.is_null() && self.memory.len() + bytes.len() <= self.bound {
            let position = self.memory.len() as Position;
            self.memory.extend_from_slice(bytes);
            return position;
        }
        // SAFETY: the file is this store's; the server copies the bytes.
        unsafe {
            if self.file.is_null() {
                let mut context = PgMemoryContexts::For(self.context);
                self.file = context.switch_to(|_| pg_sys::BufFileCreateTemp(false));
            }
            let position = in_file(self.end);
            pg_sys::BufFileWrite(self.file, bytes.as_ptr().cast_mut().cast(), bytes.len());
            pg_sys::BufFileTell(self.file, &mut self.end.0, &mut self.end.1);
            position
        }
    }

    /// The row before a row in its chain, its hash, and its length.
    unsafe fn header(&mut self, position: Position) -> (Position, u64, u32) {
        let mut bytes = [0; HEADER];
        // SAFETY: passed on.
        unsafe { self.read(position, 0, &mut bytes) };
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_ne_bytes(number)
        };
        let mut length = [0; 4];
        length.copy_from_slice(&bytes[16..HEADER]);
        (number(0), number(8), u32::from_ne_bytes(length))
    }

    /// Reads what lies so many bytes behind a position.
    unsafe fn read(&mut self, position: Position, behind: u64, bytes: &mut [u8]) {
        if position & IN_FILE == 0 {
            let start = (position + behind) as usize;
            bytes.copy_from_slice(&self.memory[start..start + bytes.len()]);
            return;
        }
        let position = plus(position, behind);
        let (segment, offset) = place(position);
        // SAFETY: the file is this store's, the buffer as long as it says.
        unsafe {
            if pg_sys::BufFileSeek(self.file, segment, offset, SEEK_SET) != 0
                || pg_sys::BufFileRead(self.file, bytes.as_mut_ptr().cast(), bytes.len()) != bytes.len()
            {
                raise_internal("cannot read the temporary file of a scan");
            }
        }
    }

    /// The position of the row behind one of so many bytes.
    fn after(&self, position: Position, bytes: u64) -> Position {
        let next = plus(position, bytes);
        // What does not fit into memory is in the file, and everything after it.
        match next & IN_FILE == 0 && next as usize == self.memory.len() {
            true => IN_FILE,
            false => next,
        }
    }
}

/// Rows and bytes of the pages that are put together from rows.
const PAGE_ROWS: usize = 500;
const PAGE_BYTES: usize = 64 * 1024;

/// Of C.
const SEEK_SET: i32 = 0;

/// Bytes of a segment of a temporary file, as the server makes them.
const SEGMENT: u64 = 1 << 30;

fn in_file((segment, offset): (i32, i64)) -> Position {
    IN_FILE | (segment as u64 * SEGMENT + offset as u64)
}

fn place(position: Position) -> (i32, i64) {
    let at = position & !IN_FILE;
    ((at / SEGMENT) as i32, (at % SEGMENT) as i64)
}

fn plus(position: Position, bytes: u64) -> Position {
    position + bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(rows: &[&str]) -> Whole {
        let mut whole = Whole {
            keys: Vec::new(),
            unhashed: true,
            decides: false,
            buckets: Vec::new(),
            columns: 1,
            rows: 0,
            memory: Vec::new(),
            bound: usize::MAX,
            context: std::ptr::null_mut(),
            file: std::ptr::null_mut(),
            end: (0, 0),
        };
        for row in rows {
            let page = page(&[row]);
            let mut bytes = vec![0; HEADER - 4];
            let mut cells = Vec::new();
            write_row(&page, 0, &mut cells);
            bytes.extend_from_slice(&(cells.len() as u32).to_ne_bytes());
            bytes.extend_from_slice(&cells);
            whole.memory.extend_from_slice(&bytes);
            whole.rows += 1;
        }
        whole
    }

    fn page(rows: &[&str]) -> Page {
        let mut page = Page::default();
        for row in rows {
            assert!(page.push_cells([Some(row.as_bytes())]));
        }
        page
    }

    /// The rows of a cursor over all, without those of these pages.
    fn rest(rows: &[&str], used: &[&[&str]], most: usize) -> Option<String> {
        let mut whole = whole(rows);
        let mut cursor = Cursor::new(Found::All(whole.first()), whole.rows);
        let pages = used.iter().map(|rows| Rc::new(page(rows)));
        // SAFETY: everything is in memory.
        unsafe {
            if !whole.leave_out(&mut cursor, pages, most) {
                return None;
            }
            let mut found = String::new();
            while let Some(page) = whole.page(&mut cursor) {
                for row in 0..page.rows() {
                    found += std::str::from_utf8(page.cell(row, 0).unwrap_or_default()).expect("text");
                }
            }
            Some(found)
        }
    }

    #[test]
    fn rows_that_were_used_are_left_out_as_often_as_they_were() {
        let rows = ["a", "b", "a", "c", "d", "a", "e"];
        // However few of them fit into memory, and whatever order they come in.
        for most in [0, 1, 150, usize::MAX] {
            let rest = |used: &[&[&str]]| rest(&rows, used, most);
            assert_eq!(rest(&[]).as_deref(), Some("abacdae"));
            assert_eq!(rest(&[&["a", "b"]]).as_deref(), Some("acdae"));
            assert_eq!(rest(&[&["a"], &[], &["a", "c"]]).as_deref(), Some("bdae"));
            assert_eq!(rest(&[&["e", "a", "a"], &["a"]]).as_deref(), Some("bcd"));
            assert_eq!(rest(&[&rows]).as_deref(), Some(""));
            assert_eq!(rest(&[&["a", "x"]]), None, "one is not there");
            assert_eq!(rest(&[&["a", "a"], &["a", "a"]]), None, "not so often");
        }
    }
}
