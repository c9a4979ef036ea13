//! The one wait function: the only place where the backend blocks.

use super::log;
use super::notifier::{Notifier, can_wait};
use crate::error::raise;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

/// Waits until `poll` has something. Cancel, `statement_timeout` and terminate end the wait by unwinding.
///
/// `poll` must not hold a lock or a borrow when it returns: an interrupt unwinds through this frame.
pub fn wait<T>(notifier: &Notifier, poll: impl FnMut() -> Option<T>) -> T {
    wait_or(notifier, poll, || {
        pgrx::check_for_interrupts!();
        None
    })
}

/// The same, but what becomes of interrupts is up to `interrupts`: it ends the wait with what it returns.
pub fn wait_or<T>(
    notifier: &Notifier,
    mut poll: impl FnMut() -> Option<T>,
    mut interrupts: impl FnMut() -> Option<T>,
) -> T {
    let events = (pg_sys::WL_LATCH_SET | pg_sys::WL_SOCKET_READABLE | pg_sys::WL_EXIT_ON_PM_DEATH) as i32;
    loop {
        // Drained before the queue is checked: a ring after this line is seen by the wait below.
        notifier.drain();
        log::report();
        if let Some(found) = poll() {
            return found;
        }
        if let Some(end) = interrupts() {
            return end;
        }
        if !can_wait() {
            raise(exhausted(&std::io::Error::from_raw_os_error(libc::EMFILE)));
        }
        let descriptor = notifier.raw();
        let woken = PgTryBuilder::new(|| {
            // SAFETY: main thread; MyLatch is valid for the life of the backend; the descriptor is owned by `notifier`.
            unsafe { pg_sys::WaitLatchOrSocket(pg_sys::MyLatch, events, descriptor, -1, wait_event()) }
        })
        .catch_others(|error| match error {
            // PostgreSQL makes a descriptor for each wait, and has no SQLSTATE for it.
            CaughtError::PostgresError(report)
                if report.sql_error_code() == PgSqlErrorCode::ERRCODE_INTERNAL_ERROR =>
            {
                raise(exhausted(&std::io::Error::other(report.message())))
            }
            error => error.rethrow(),
        })
        .execute();
        if woken & pg_sys::WL_LATCH_SET as i32 != 0 {
            // SAFETY: as above.
            unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
        }
    }
}

/// The error when there is nothing left to wait with: a descriptor of the backend's, one for each wait, a thread.
pub fn exhausted(error: &std::io::Error) -> intacct::Error {
    let message = format!("this backend has no descriptor or thread left to wait for Sage Intacct: {error}");
    intacct::Error::new(intacct::ErrorKind::Resources, message).with_hint(
        "PostgreSQL lets extensions have a third of max_files_per_process, of which other extensions hold the rest. Raise it, \
         or read partitions one after the other: SET enable_async_append = off.",
    )
}

/// What `pg_stat_activity` shows while we wait: `SageIntacctResponse` from PostgreSQL 17 on, `Extension` before.
#[cfg(any(feature = "pg17", feature = "pg18"))]
fn wait_event() -> u32 {
    use std::cell::Cell;
    thread_local!(static EVENT: Cell<u32> = const { Cell::new(0) });
    EVENT.with(|event| {
        if event.get() == 0 {
            // SAFETY: a valid C string; the name is registered once for the cluster, later calls find it.
            event.set(unsafe { pg_sys::WaitEventExtensionNew(c"SageIntacctResponse".as_ptr()) });
        }
        event.get()
    })
}

#[cfg(any(feature = "pg15", feature = "pg16"))]
fn wait_event() -> u32 {
    pg_sys::PG_WAIT_EXTENSION
}
