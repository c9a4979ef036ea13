//! What keeps refreshes apart: a lock of the session for each mirror, which an error takes with it.

use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};

/// First half of the locks' keys (`classid` in pg_locks), so that they meet no advisory locks of applications.
/// `sql/mirrors/registry.sql` looks for it too.
const LOCK_CLASS: u32 = 727_021_357;
/// Advisory locks with keys of two integers have this `objsubid`.
const TWO_KEYS: u16 = 2;
/// The lock method of advisory locks.
const USER_LOCK_METHOD: u8 = 2;

thread_local! {
    static HELD: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
    static WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the procedure that asks may commit: it was called by itself, not in a transaction block and not by a
/// function.
#[pg_extern(volatile)]
fn mirror_may_commit() -> bool {
    // SAFETY: main thread; looks at the calling procedure's SPI connection.
    unsafe { pg_sys::SPI_inside_nonatomic_context() }
}

/// Takes the lock of a mirror, without waiting; says whether it was free. It outlives commits and is released by
/// [`mirror_unlock`], by the error that ends the statement, or with the session.
#[pg_extern(volatile)]
fn mirror_try_lock(mirror: i32) -> bool {
    watch_aborts();
    if HELD.with_borrow(|held| held.contains(&mirror)) {
        return true;
    }
    // SAFETY: main thread; the tag is complete.
    let result = unsafe { pg_sys::LockAcquire(&tag(mirror), pg_sys::ExclusiveLock as i32, true, true) };
    let taken = result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL;
    if taken {
        HELD.with_borrow_mut(|held| held.push(mirror));
    }
    taken
}

/// Releases the lock of a mirror, if this session has it.
#[pg_extern(volatile)]
fn mirror_unlock(mirror: i32) {
    let held = HELD.with_borrow_mut(|held| {
        let before = held.len();
        held.retain(|other| *other != mirror);
        held.len() < before
    });
    if held {
        release(mirror);
    }
}

fn release(mirror: i32) {
    // SAFETY: main thread; the lock was taken with the same tag, mode and owner.
    unsafe {
        pg_sys::LockRelease(&tag(mirror), pg_sys::ExclusiveLock as i32, true);
    }
}

fn tag(mirror: i32) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: set when the backend started.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: LOCK_CLASS,
        locktag_field3: mirror as u32,
        locktag_field4: TWO_KEYS,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: USER_LOCK_METHOD,
    }
}

/// Asks once to be told of transactions that end in an error.
fn watch_aborts() {
    if !WATCHING.replace(true) {
        // SAFETY: main thread; the callback lives as long as the library, which is never unloaded.
        unsafe { pg_sys::RegisterXactCallback(Some(transaction_ended), std::ptr::null_mut()) };
    }
}

/// A procedure that holds a lock goes on after each of its commits; an abort is its end.
#[pg_guard]
unsafe extern "C-unwind" fn transaction_ended(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    if event == pg_sys::XactEvent::XACT_EVENT_ABORT {
        for mirror in HELD.take() {
            release(mirror);
        }
    }
}
