//! The inner rows of a lookup join: in memory, and beyond its bound in a temporary file.

use crate::error::raise_internal;
use pgrx::{PgMemoryContexts, pg_sys};
use std::ffi::c_void;

/// Where a row lies. Rows of one key form a chain: each knows the one that came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowRef {
    /// The end of a chain.
    None,
    /// In memory.
    Memory(*mut Header),
    /// In the file: its segment and offset.
    File(i32, i64),
}

/// What stands in front of a row's bytes, in memory and in the file.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Header {
    previous: RowRef,
    length: usize,
}

/// A store of rows.
pub struct Rows {
    /// Holds the rows in memory.
    context: pg_sys::MemoryContext,
    /// Lives as long as the store: what belongs to the file.
    parent: pg_sys::MemoryContext,
    file: *mut pg_sys::BufFile,
    /// Where the file ends: segment and offset.
    end: (i32, i64),
    used: usize,
    bound: usize,
}

impl Rows {
    /// An empty store that keeps `bound` bytes in memory.
    ///
    /// # Safety
    /// Main thread; the current memory context must outlive the store.
    pub unsafe fn new(bound: usize) -> Rows {
        // SAFETY: a child of the current context.
        unsafe {
            let parent = pg_sys::CurrentMemoryContext;
            let context = pg_sys::AllocSetContextCreateInternal(
                parent,
                c"Intacct lookup rows".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            );
            Rows {
                context,
                parent,
                file: std::ptr::null_mut(),
                end: (0, 0),
                used: 0,
                bound,
            }
        }
    }

    /// Where what lives as long as the rows is kept.
    pub fn context(&self) -> PgMemoryContexts {
        PgMemoryContexts::For(self.context)
    }

    /// Counts what is kept in the same memory beside rows.
    pub fn charge(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// Adds a row in front of a chain, and returns the chain's new head.
    ///
    /// # Safety
    /// Main thread; a valid tuple.
    pub unsafe fn add(&mut self, tuple: pg_sys::MinimalTuple, previous: RowRef) -> RowRef {
        // SAFETY: sizes are those of the tuple; memory and file are this store's.
        unsafe {
            let length = (*tuple).t_len as usize;
            let header = Header { previous, length };
            let whole = size_of::<Header>() + length;
            if self.used + whole <= self.bound {
                let place = pg_sys::MemoryContextAllocHuge(self.context, whole).cast::<Header>();
                place.write(header);
                let bytes = place.add(1).cast::<u8>();
                std::ptr::copy_nonoverlapping(tuple.cast::<u8>(), bytes, length);
                self.used += whole;
                return RowRef::Memory(place);
            }
            self.append(tuple, previous)
        }
    }

    unsafe fn append(&mut self, tuple: pg_sys::MinimalTuple, previous: RowRef) -> RowRef {
        // SAFETY: as `add`.
        unsafe {
            let length = (*tuple).t_len as usize;
            let header = Header { previous, length };
            if self.file.is_null() {
                self.file =
                    PgMemoryContexts::For(self.parent).switch_to(|_| pg_sys::BufFileCreateTemp(false));
            }
            // The file's own notion of its end leaves out what it has not written yet.
            let (segment, offset) = self.end;
            self.seek(segment, offset);
            let header: *const Header = &header;
            pg_sys::BufFileWrite(self.file, header.cast::<c_void>().cast_mut(), size_of::<Header>());
            pg_sys::BufFileWrite(self.file, tuple.cast(), length);
            pg_sys::BufFileTell(self.file, &mut self.end.0, &mut self.end.1);
            RowRef::File(segment, offset)
        }
    }

    /// A row of a chain and the one before it. What comes from the file is put into the current memory context.
    ///
    /// # Safety
    /// Main thread; a reference that this store has given since it was last cleared.
    pub unsafe fn get(&mut self, row: RowRef) -> Option<(pg_sys::MinimalTuple, RowRef)> {
        // SAFETY: the caller guarantees a valid reference.
        unsafe {
            match row {
                RowRef::None => None,
                RowRef::Memory(place) => Some((place.add(1).cast(), (*place).previous)),
                RowRef::File(segment, offset) => {
                    self.seek(segment, offset);
                    let mut header = Header {
                        previous: RowRef::None,
                        length: 0,
                    };
                    self.read((&raw mut header).cast(), size_of::<Header>());
                    let tuple = pg_sys::palloc(header.length);
                    self.read(tuple, header.length);
                    Some((tuple.cast(), header.previous))
                }
            }
        }
    }

    /// Moves the rows of a chain to the file, and returns the chain's head there.
    ///
    /// # Safety
    /// As [`get`](Self::get).
    pub unsafe fn unload(&mut self, head: RowRef) -> RowRef {
        let mut in_memory = Vec::new();
        let mut next = head;
        while let RowRef::Memory(place) = next {
            in_memory.push(place);
            // SAFETY: the caller guarantees a valid reference.
            next = unsafe { (*place).previous };
        }
        for place in in_memory.into_iter().rev() {
            // SAFETY: as above; the tuple lies behind its header.
            next = unsafe { self.append(place.add(1).cast(), next) };
        }
        next
    }

    /// Frees the memory, once all rows that are still wanted are in the file.
    ///
    /// # Safety
    /// Main thread.
    pub unsafe fn free_memory(&mut self) {
        // SAFETY: memory is this store's.
        unsafe { pg_sys::MemoryContextReset(self.context) };
        self.used = 0;
    }

    /// Forgets all rows, and all else in their memory.
    ///
    /// # Safety
    /// Main thread.
    pub unsafe fn clear(&mut self) {
        // SAFETY: memory and file are this store's.
        unsafe {
            self.close();
            pg_sys::MemoryContextReset(self.context);
        }
        self.end = (0, 0);
        self.used = 0;
    }

    /// Closes the file. One that is not closed goes with the statement's resources.
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

    unsafe fn seek(&mut self, segment: i32, offset: i64) {
        // SAFETY: the store's own file.
        if unsafe { pg_sys::BufFileSeek(self.file, segment, offset, SEEK_SET) } != 0 {
            raise_internal("cannot seek in the temporary file of a lookup join");
        }
    }

    unsafe fn read(&mut self, target: *mut c_void, length: usize) {
        // SAFETY: the store's own file; the caller's memory has the length that it declares.
        if unsafe { pg_sys::BufFileRead(self.file, target, length) } != length {
            raise_internal("the temporary file of a lookup join ends too early");
        }
    }
}

/// Of C.
const SEEK_SET: i32 = 0;
