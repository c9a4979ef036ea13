//! Transaction callbacks of the transaction log and of the commit queue.

use pgrx::pg_sys;
use std::cell::Cell;
use std::ptr::null_mut;
use std::thread::LocalKey;

/// Registers for the ends of transactions and savepoints, unless `registered` is set.
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
