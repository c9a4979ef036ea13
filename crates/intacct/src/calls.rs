//! How many calls a day may have: a count in memory that several processes map, and a store that a crash does not forget.
//!
//! A call is what a contract counts: a function that reads (each page is one), a record that is written. Calls are counted
//! before they are sent. A day is one of UTC.
//!
//! The store is not written for each call but for blocks of them: it holds at least what the memory says, so that a
//! start from the store, after a crash, counts too many calls rather than too few. Day, calls used and calls left of the
//! block are one atomic word: they change together or not at all. Zeroed memory is a count that has not begun.

use crate::error::Error;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Bounds the calls that are sent. Asked on the thread that sends, before each request leaves.
pub trait CallLimit: Send + Sync {
    /// So many calls are about to be sent. Those that are exempt count too, and are never refused.
    ///
    /// # Errors
    /// Of kind [`crate::ErrorKind::CallLimit`] when they are too many, or of [`crate::ErrorKind::NotLogged`] when they
    /// cannot be counted. Nothing is sent then.
    fn spend(&self, calls: u64, exempt: bool) -> Result<(), Error>;
}

tokio::task_local! {
    static EXEMPT: ();
}

/// Does work whose calls are not refused: what was sent must be looked up, however many calls are left.
pub(crate) async fn exempt<F: Future>(work: F) -> F::Output {
    EXEMPT.scope((), work).await
}

/// Whether calls of this task are exempt.
pub(crate) fn is_exempt() -> bool {
    EXEMPT.try_with(|()| ()).is_ok()
}

/// Keeps a day and its calls over a crash. An instance is the only one for its store until it is dropped.
pub trait CallStore {
    /// The day that was stored last, and its calls; none when nothing was.
    ///
    /// # Errors
    /// Of the file system, or what is there cannot be read.
    fn read(&mut self) -> io::Result<Option<(u64, u64)>>;

    /// Stores a day and its calls; with `durable` they are safe when this returns.
    ///
    /// # Errors
    /// Of the file system.
    fn write(&mut self, day: u64, calls: u64, durable: bool) -> io::Result<()>;
}

/// Why calls are not to be sent.
#[derive(Debug)]
pub enum Refused {
    /// They are too many.
    Spent {
        /// Days since 1970, of UTC.
        day: u64,
        /// Calls of the day.
        used: u64,
    },
    /// They cannot be counted.
    Store(io::Error),
}

/// Calls in a block at most.
const BLOCK: u64 = 64;
/// A block is at most this part of the limit: that is what a crash may cost.
const PARTS: u64 = 100;

/// The calls of a day.
#[derive(Debug, Default)]
#[repr(C)]
pub struct CallCount(AtomicU64);

/// The parts of the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Day {
    /// Days since 1970; 0: not begun.
    day: u64,
    /// Calls that the store has beyond those used.
    left: u64,
    used: u64,
}

const DAY_BITS: u32 = 16;
const LEFT_BITS: u32 = 16;
const USED_BITS: u32 = 64 - DAY_BITS - LEFT_BITS;
const MOST_LEFT: u64 = (1 << LEFT_BITS) - 1;
const MOST_USED: u64 = (1 << USED_BITS) - 1;
/// Calls of one request at most; no request has as many.
const MOST_AT_ONCE: u64 = MOST_LEFT / 4;

impl Day {
    fn of(word: u64) -> Day {
        Day {
            day: word >> (LEFT_BITS + USED_BITS),
            left: word >> USED_BITS & MOST_LEFT,
            used: word & MOST_USED,
        }
    }

    fn word(self) -> u64 {
        self.day << (LEFT_BITS + USED_BITS) | self.left << USED_BITS | self.used.min(MOST_USED)
    }

    fn stored(self) -> u64 {
        self.used + self.left
    }
}

impl CallCount {
    fn load(&self) -> Day {
        Day::of(self.0.load(SeqCst))
    }

    fn swap(&self, old: Day, new: Day) -> bool {
        self.0
            .compare_exchange(old.word(), new.word(), SeqCst, SeqCst)
            .is_ok()
    }

    /// Counts calls, unless they are more than are left of `limit`. Without a limit nothing is stored. `today` is the day
    /// since 1970, `open` opens the store.
    ///
    /// # Errors
    /// They must not be sent.
    pub fn spend<S: CallStore>(
        &self,
        calls: u64,
        limit: Option<u64>,
        exempt: bool,
        today: u64,
        open: impl Fn() -> io::Result<S>,
    ) -> Result<(), Refused> {
        let calls = calls.min(MOST_AT_ONCE);
        loop {
            let now = self.load();
            if !is_of(now, today) {
                match (self.begin(today, &open), limit) {
                    (Err(error), Some(_)) => return Err(Refused::Store(error)),
                    (Err(_), None) => self.restart(now, today, 0),
                    (Ok(()), _) => {}
                }
                continue;
            }
            let used = now.used.saturating_add(calls);
            if limit.is_some_and(|limit| used > limit) && !exempt {
                return Err(Refused::Spent {
                    day: now.day,
                    used: now.used,
                });
            }
            if let Some(limit) = limit
                && now.left < calls
            {
                let block = (limit / PARTS).clamp(1, BLOCK) - 1;
                self.reserve(now.day, calls, block, &open)
                    .map_err(Refused::Store)?;
                continue;
            }
            let left = now.left.saturating_sub(calls);
            if self.swap(now, Day { used, left, ..now }) {
                return Ok(());
            }
        }
    }

    /// The calls of today, and those that a crash would not forget.
    pub fn used<S: CallStore>(&self, today: u64, open: impl Fn() -> io::Result<S>) -> u64 {
        if !is_of(self.load(), today) && self.begin(today, &open).is_err() {
            return 0;
        }
        self.load().used
    }

    /// Takes back what is left of the block: the store has the very count then.
    ///
    /// # Errors
    /// Of the file system.
    pub fn give_back<S: CallStore>(&self, open: impl Fn() -> io::Result<S>) -> io::Result<()> {
        if self.load().left == 0 {
            return Ok(());
        }
        let mut store = open()?;
        loop {
            let now = self.load();
            if self.swap(now, Day { left: 0, ..now }) {
                return store.write(now.day, now.used, false);
            }
        }
    }

    /// Begins to count a day, from what the store has of it.
    fn begin<S: CallStore>(&self, today: u64, open: impl Fn() -> io::Result<S>) -> io::Result<()> {
        let mut store = open()?;
        loop {
            let now = self.load();
            if is_of(now, today) {
                return Ok(());
            }
            let used = match store.read()? {
                // The day's own, or of a day to come: the clock was set back, and the calls were made all the same.
                Some((day, calls)) if day >= today => calls,
                _ if now.day > today => now.used,
                _ => 0,
            };
            if used > 0 {
                store.write(today, used, true)?;
            }
            if self.swap(
                now,
                Day {
                    day: today,
                    left: 0,
                    used,
                },
            ) {
                return Ok(());
            }
        }
    }

    /// The same without a store.
    fn restart(&self, now: Day, today: u64, used: u64) {
        let used = if now.day > today { now.used } else { used };
        self.swap(
            now,
            Day {
                day: today,
                left: 0,
                used,
            },
        );
    }

    /// Has the store hold `calls` more than are used, and a block on top.
    fn reserve<S: CallStore>(
        &self,
        day: u64,
        calls: u64,
        block: u64,
        open: impl Fn() -> io::Result<S>,
    ) -> io::Result<()> {
        let mut store = open()?;
        let now = self.load();
        if now.day != day || now.left >= calls {
            return Ok(());
        }
        // Nothing is added to what is stored meanwhile: `used` and `left` of others move against each other.
        let more = calls + block;
        store.write(day, now.stored() + more, true)?;
        loop {
            let now = self.load();
            let left = now.left + more;
            if now.day != day || self.swap(now, Day { left, ..now }) {
                return Ok(());
            }
        }
    }
}

/// Whether a count is of today. One that another process has begun for tomorrow a moment ago is: the two have read their
/// clocks on either side of midnight. So is one after the clock was set back by less than a day.
fn is_of(count: Day, today: u64) -> bool {
    count.day == today || count.day == today + 1
}

#[cfg(test)]
#[path = "calls/tests.rs"]
mod tests;
