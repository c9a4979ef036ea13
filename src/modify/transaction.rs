//! How the xact_log and the queue hear of the ends of transactions.

use pgrx::pg_sys;
use std::cell::Cell;
use std::ptr::null_mut;
use std::thread::LocalKey;

/// Asks to be told of the ends of transactions and savepoints, unless `registered` says that this was done.
pub fn register(
    registered: &'static LocalKey<Cell<bool>>,
    transaction: pg_sys::XactCallback,
    subtransaction: pg_sys::SubXactCallback,
) {
    if registered.replace(true) {
        return;
    }
    // SAFETY: main thread; the callbacks live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(transaction, null_mut());
        pg_sys::RegisterSubXactCallback(subtransaction, null_mut());
    }
}
