//! Functions that the server exports and pgrx does not bind: the answers to a request of an asynchronous Append, the
//! partitions of a table, and which timeout has fired.
#![allow(non_snake_case, reason = "these are names of C")]

// `pg_guard` looks for the boundary in a module of this name and place.
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::{pg_guard, pg_sys};

#[pg_guard]
unsafe extern "C-unwind" {
    /// The request is answered; a null slot is the end of the rows.
    pub fn ExecAsyncRequestDone(areq: *mut pg_sys::AsyncRequest, result: *mut pg_sys::TupleTableSlot);
    /// The request will be answered after a callback.
    pub fn ExecAsyncRequestPending(areq: *mut pg_sys::AsyncRequest);
    /// A list of OIDs: the relation, which the caller has locked, and all that inherit from it, locked in this mode.
    pub fn find_all_inheritors(
        parentrelId: pg_sys::Oid,
        lockmode: pg_sys::LOCKMODE,
        numparents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
    /// Whether a timeout has fired; with `reset`, and forgets it.
    pub fn get_timeout_indicator(id: std::ffi::c_int, reset: bool) -> bool;
}

/// `LOCK_TIMEOUT` and `STATEMENT_TIMEOUT` of `TimeoutId`, the same in every version.
pub const LOCK_TIMEOUT: std::ffi::c_int = 2;
/// See above.
pub const STATEMENT_TIMEOUT: std::ffi::c_int = 3;
