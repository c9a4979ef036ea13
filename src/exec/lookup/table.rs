//! What is known of keys: those asked for, and the rows that came.

use super::keys::{Keys, Side};
use super::rows::{RowRef, Rows};
use crate::exec::spill::{Fields, Spilled, put_number};
use pgrx::pg_sys;
use std::collections::HashMap;

/// A key of outer rows.
struct Entry {
    hash: u32,
    values: Vec<pg_sys::Datum>,
    /// Its rows are all there.
    answered: bool,
    /// The batch that asks for it.
    batch: u64,
    /// Its last row.
    head: RowRef,
    /// The next entry of the same hash.
    next: Option<u32>,
}

/// Keys and their rows. Keys that outgrow the memory go to a file, and are looked for there.
pub struct Table {
    /// The side whose values the keys are.
    pub side: Side,
    entries: Vec<Entry>,
    by_hash: HashMap<u32, u32>,
    /// The rows.
    pub rows: Rows,
    /// Bytes of the entries.
    keys_used: usize,
    /// Bytes that keys may take in memory.
    bound: usize,
    /// Keys that are not in memory, with the last row of each.
    spilled: Spilled,
}

/// What finds an entry by its hash, in bytes.
const ENTRY_OVERHEAD: usize = 16;

/// A key that was looked for.
pub enum Found {
    /// Not requested yet, or requested without waiting for the result.
    New(u32),
    /// It is being asked for, by the same batch or one before it.
    Asked,
    /// Its rows are known.
    Known,
}

impl Table {
    /// An empty table that keeps rows of `bound` bytes in memory.
    ///
    /// # Safety
    /// As [`Rows::new`].
    pub unsafe fn new(bound: usize) -> Table {
        Table {
            side: Side::Outer,
            entries: Vec::new(),
            by_hash: HashMap::new(),
            // SAFETY: same contract as this function.
            rows: unsafe { Rows::new(bound) },
            keys_used: 0,
            bound: bound - Spilled::bytes_of(bound),
            // SAFETY: as above.
            spilled: unsafe { Spilled::new() },
        }
    }

    /// Whether the keys alone take more than the memory that they may.
    pub fn is_full(&self) -> bool {
        self.keys_used > self.bound
    }

    /// Moves all keys to the file, if they alone take more than the memory that they may. Entries are others afterwards.
    ///
    /// # Safety
    /// Main thread; no key is being asked for.
    pub unsafe fn unload_if_full(&mut self, keys: &Keys) {
        if !self.is_full() {
            return;
        }
        let side = self.side;
        for entry in std::mem::take(&mut self.entries) {
            // It was asked for by a batch that was cancelled.
            if !entry.answered {
                continue;
            }
            // SAFETY: rows and keys of this table's.
            let (head, values) = unsafe { (self.rows.unload(entry.head), keys.bytes(&entry.values, side)) };
            let mut record = Vec::new();
            match head {
                RowRef::File(segment, offset) => {
                    put_number(&mut record, segment as u64);
                    put_number(&mut record, offset as u64);
                }
                _ => {
                    put_number(&mut record, u64::MAX);
                    put_number(&mut record, 0);
                }
            }
            record.extend_from_slice(&values);
            self.spilled.put(entry.hash.into(), &record, self.bound);
        }
        self.by_hash = HashMap::new();
        self.keys_used = 0;
        // SAFETY: no entry has a row in memory any more.
        unsafe { self.rows.free_memory() };
    }

    /// The last row of a key that is in the file.
    unsafe fn stored(
        &mut self,
        keys: &Keys,
        hash: u32,
        values: &[pg_sys::Datum],
        side: Side,
    ) -> Option<RowRef> {
        let own = self.side;
        self.spilled.find(hash.into(), |record| {
            let mut fields = Fields(record);
            let head = match (fields.number(), fields.number()) {
                (u64::MAX, _) => RowRef::None,
                (segment, offset) => RowRef::File(segment as i32, offset as i64),
            };
            // SAFETY: same contract as `find`; bytes of keys of this table's side.
            unsafe {
                let stored = keys.values(&mut fields, own);
                keys.equal((&stored, own), (values, side)).then_some(head)
            }
        })
    }

    /// The last row of a row's key, in memory or in the file.
    ///
    /// # Safety
    /// As [`find`](Self::find).
    pub unsafe fn head_of(&mut self, keys: &Keys, hash: u32, values: &[pg_sys::Datum], side: Side) -> RowRef {
        // SAFETY: same contract as this function.
        unsafe {
            match self.find(keys, hash, values, side) {
                Some(entry) => self.head(entry),
                None => self.stored(keys, hash, values, side).unwrap_or(RowRef::None),
            }
        }
    }

    /// Forgets everything.
    ///
    /// # Safety
    /// Main thread.
    pub unsafe fn clear(&mut self) {
        self.entries = Vec::new();
        self.by_hash = HashMap::new();
        self.keys_used = 0;
        self.spilled.close();
        // SAFETY: same contract as this function.
        unsafe { self.rows.clear() };
    }

    /// Closes files.
    ///
    /// # Safety
    /// Main thread; the last call.
    pub unsafe fn close(&mut self) {
        self.spilled.close();
        // SAFETY: same contract as this function.
        unsafe { self.rows.close() };
    }

    /// The key of an outer row, which `batch` asks for if it is new. Batches from number `first` on are under way.
    ///
    /// # Safety
    /// Main thread; values of the keys' types.
    pub unsafe fn ask(
        &mut self,
        keys: &Keys,
        hash: u32,
        values: &[pg_sys::Datum],
        batch: u64,
        first: u64,
    ) -> Found {
        // SAFETY: same contract as this function.
        unsafe {
            if let Some(index) = self.find(keys, hash, values, Side::Outer) {
                let entry = &mut self.entries[index as usize];
                return match entry.answered {
                    true => Found::Known,
                    false if entry.batch >= first => Found::Asked,
                    // By a batch that was cancelled.
                    false => {
                        entry.batch = batch;
                        Found::New(index)
                    }
                };
            }
            if self.stored(keys, hash, values, Side::Outer).is_some() {
                return Found::Known;
            }
            Found::New(self.insert(keys, hash, values, batch))
        }
    }

    /// The entry of an inner row's key, which is made if there is none.
    ///
    /// # Safety
    /// As [`ask`](Self::ask), values of the inner side.
    pub unsafe fn entry(&mut self, keys: &Keys, hash: u32, values: &[pg_sys::Datum]) -> u32 {
        // SAFETY: same contract as this function.
        unsafe {
            match self.find(keys, hash, values, Side::Inner) {
                Some(entry) => entry,
                None => {
                    let head = self.stored(keys, hash, values, Side::Inner);
                    let entry = self.insert(keys, hash, values, 0);
                    self.entries[entry as usize].head = head.unwrap_or(RowRef::None);
                    entry
                }
            }
        }
    }

    unsafe fn insert(&mut self, keys: &Keys, hash: u32, values: &[pg_sys::Datum], batch: u64) -> u32 {
        let index = self.entries.len() as u32;
        let side = self.side;
        // SAFETY: same contract as this function.
        let (values, bytes) = unsafe { self.rows.context().switch_to(|_| keys.copy(values, side)) };
        let size = size_of::<Entry>() + ENTRY_OVERHEAD + bytes;
        self.keys_used += size;
        self.rows.charge(size);
        self.entries.push(Entry {
            hash,
            values,
            answered: false,
            batch,
            head: RowRef::None,
            next: self.by_hash.get(&hash).copied(),
        });
        self.by_hash.insert(hash, index);
        index
    }

    /// The entry in memory whose key equals that of a row.
    ///
    /// # Safety
    /// Main thread; values of the keys' types on this side; the current memory context is a short one.
    pub unsafe fn find(&self, keys: &Keys, hash: u32, values: &[pg_sys::Datum], side: Side) -> Option<u32> {
        let mut next = self.by_hash.get(&hash).copied();
        while let Some(index) = next {
            let entry = &self.entries[index as usize];
            debug_assert_eq!(entry.hash, hash);
            // SAFETY: same contract as this function.
            if unsafe { keys.equal((&entry.values, self.side), (values, side)) } {
                return Some(index);
            }
            next = entry.next;
        }
        None
    }

    /// Whether rows of the entry are expected by `batch`: a request may bring rows that were not asked for, and those of an
    /// earlier one are there already.
    pub fn expects(&self, entry: u32, batch: u64) -> bool {
        let entry = &self.entries[entry as usize];
        !entry.answered && entry.batch == batch
    }

    /// Adds a row to an entry.
    ///
    /// # Safety
    /// Main thread; a valid tuple.
    pub unsafe fn add(&mut self, entry: u32, tuple: pg_sys::MinimalTuple) {
        let head = self.head(entry);
        // SAFETY: same contract as this function.
        let head = unsafe { self.rows.add(tuple, head) };
        self.entries[entry as usize].head = head;
    }

    /// The last row of an entry.
    pub fn head(&self, entry: u32) -> RowRef {
        self.entries[entry as usize].head
    }

    /// Notes that all rows of an entry are there.
    pub fn answer(&mut self, entry: u32) {
        self.entries[entry as usize].answered = true;
    }
}
