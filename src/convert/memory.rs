//! Memory of row values that are passed by reference.

use pgrx::pg_sys;

/// A place for values.
pub trait Memory {
    /// Room for this many bytes, aligned for every type.
    ///
    /// # Safety
    /// Main thread. The room must not be used longer than the memory promises.
    unsafe fn take(&mut self, bytes: usize) -> *mut u8;
}

/// The current memory context.
pub struct Context;

impl Memory for Context {
    unsafe fn take(&mut self, bytes: usize) -> *mut u8 {
        // SAFETY: main thread, as the caller promises.
        unsafe { pg_sys::palloc(bytes).cast() }
    }
}

const FIRST_BLOCK_BYTES: usize = 8192;

/// Memory that is used again for row after row: what one row took is valid until the next begins.
#[derive(Default)]
pub struct RowMemory {
    /// In words, so that it is aligned.
    block: Vec<u64>,
    /// Words used.
    used: usize,
    /// Blocks that the current row has outgrown.
    outgrown: Vec<Vec<u64>>,
}

impl RowMemory {
    /// Lets go of what the last row took.
    pub fn begin(&mut self) {
        self.used = 0;
        if !self.outgrown.is_empty() {
            self.outgrown.clear();
        }
    }
}

impl Memory for RowMemory {
    #[inline]
    unsafe fn take(&mut self, bytes: usize) -> *mut u8 {
        let words = bytes.div_ceil(8);
        if words > self.block.len() - self.used {
            let size = words.max(2 * self.block.len()).max(FIRST_BLOCK_BYTES / 8);
            let block = std::mem::replace(&mut self.block, vec![0; size]);
            self.outgrown.push(block);
            self.used = 0;
        }
        let room = self.block[self.used..].as_mut_ptr();
        self.used += words;
        room.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_of_a_row_do_not_overlap_and_are_used_again() {
        let mut memory = RowMemory::default();
        let mut fill = |sizes: &[usize]| {
            memory.begin();
            let rooms: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(index, size)| {
                    // SAFETY: no PostgreSQL is involved; the room is used within the row.
                    unsafe {
                        let room = memory.take(*size);
                        std::ptr::write_bytes(room, index as u8 + 1, *size);
                        assert_eq!(room as usize % 8, 0);
                        (room, *size, index as u8 + 1)
                    }
                })
                .collect();
            for (room, size, mark) in &rooms {
                // SAFETY: as above.
                let bytes = unsafe { std::slice::from_raw_parts(*room, *size) };
                assert!(bytes.iter().all(|byte| byte == mark));
            }
            rooms[0].0
        };
        fill(&[3, 0, 8000, 500, 100_000, 9, 70_000]);
        let first = fill(&[3, 9, 100_000]);
        assert_eq!(first, fill(&[50_000, 1]));
    }
}
