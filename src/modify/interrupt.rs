//! Interrupts during a write: nothing may be raised that hides what was stored.

use crate::error::{Report, raise};
use crate::ffi;
use intacct::write::WriteProgress;
use pgrx::{PgSqlErrorCode, pg_sys};
use std::cell::Cell;

/// A cancel, a timeout or a terminate that has arrived and is not yet served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

/// Looks for interrupts in the wait for a write of so many rows. A terminate closes the write, so that nothing leaves any
/// more, and does not return, unless all rows are stored already: then the caller notes them first. A cancel is left to
/// the caller. Both stay pending. All others are served.
pub fn look(progress: &WriteProgress, rows: usize) -> Option<Cancelled> {
    // SAFETY: main thread; flags that signal handlers set.
    unsafe {
        if pg_sys::InterruptPending == 0 || pg_sys::InterruptHoldoffCount != 0 {
            return None;
        }
        if pg_sys::ProcDiePending != 0 {
            progress.close();
            if progress.certain() == rows {
                return Some(Cancelled);
            }
        } else if pg_sys::QueryCancelPending != 0 && pg_sys::QueryCancelHoldoffCount == 0 {
            return Some(Cancelled);
        }
    }
    pgrx::check_for_interrupts!();
    None
}

/// What PostgreSQL reports for the cancel that is pending.
pub fn reason() -> &'static str {
    // SAFETY: main thread; looks at flags.
    unsafe {
        if ffi::get_timeout_indicator(ffi::LOCK_TIMEOUT, false) {
            "canceling statement due to lock timeout"
        } else if ffi::get_timeout_indicator(ffi::STATEMENT_TIMEOUT, false) {
            "canceling statement due to statement timeout"
        } else {
            "canceling statement due to user request"
        }
    }
}

/// Whether a cancel is pending that would be served now.
pub fn is_pending() -> bool {
    // SAFETY: main thread; looks at flags.
    unsafe {
        pg_sys::InterruptPending != 0
            && pg_sys::QueryCancelPending != 0
            && pg_sys::ProcDiePending == 0
            && pg_sys::InterruptHoldoffCount == 0
            && pg_sys::QueryCancelHoldoffCount == 0
    }
}

/// Serves the cancel that is pending, as PostgreSQL does, but names in the DETAIL what is stored. Does not return.
pub fn serve(stored: Option<String>) -> ! {
    let Some(stored) = stored else {
        pgrx::check_for_interrupts!();
        raise(Report::new(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, reason()));
    };
    let report = Report::new(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, reason()).detail(stored);
    // SAFETY: main thread; what ProcessInterrupts does before it raises.
    unsafe {
        pg_sys::QueryCancelPending = 0;
        ffi::get_timeout_indicator(ffi::LOCK_TIMEOUT, true);
        ffi::get_timeout_indicator(ffi::STATEMENT_TIMEOUT, true);
    }
    raise(report)
}

thread_local! {
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// Holds interrupts until the transaction ends: what the gateway has accepted is to be committed here as well.
pub fn hold_until_end() {
    if !HELD.replace(true) {
        // SAFETY: main thread; as the macro HOLD_INTERRUPTS.
        unsafe { pg_sys::InterruptHoldoffCount += 1 };
    }
}

/// The transaction has committed. PostgreSQL holds interrupts itself at that moment.
pub fn committed() {
    if HELD.replace(false) {
        // SAFETY: main thread; as the macro RESUME_INTERRUPTS, for the hold of `hold_until_end`.
        unsafe { pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1) };
    }
}

/// The transaction has failed: the error has let go of all holds.
pub fn aborted() {
    HELD.set(false);
}
