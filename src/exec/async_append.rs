//! Scans below an Append that reads its children at the same time.
//!
//! The Append asks each child for a row, and goes on to the next child when it has none yet; then it waits for the
//! descriptors of all of them. A request that was started stays under way whatever the Append does, so nothing is
//! needed to order them: the client keeps to the limiter of its server.
//!
//! So many scans of a backend are under way at the same time and no more, since each takes a descriptor and holds the rows of a
//! page: further ones ask for nothing until one of those has ended. Where all places are taken by other Appends, they are read
//! one after the other.

use super::scan::{Running, state};
use crate::error::raise_internal;
use crate::ffi::{ExecAsyncRequestDone, ExecAsyncRequestPending, ExecAsyncResponse, ExecProcNodeReal};
use crate::io;
use pgrx::{pg_guard, pg_sys};
use std::os::fd::RawFd;

/// The Append wants a row.
#[pg_guard]
pub unsafe extern "C-unwind" fn foreign_async_request(areq: *mut pg_sys::AsyncRequest) {
    // SAFETY: executor callback on the main thread with a request to a scan of ours.
    unsafe { produce(areq, false) }
}

/// The Append waits: adds the descriptor of the scan to its events. A scan that has asked for nothing yet does so if there is a
/// place for it now.
#[pg_guard]
pub unsafe extern "C-unwind" fn foreign_async_configure_wait(areq: *mut pg_sys::AsyncRequest) {
    // SAFETY: executor callback on the main thread while a request to a scan of ours is pending; its requestor is an
    // Append with a set of events. What has arrived meanwhile has made the descriptor readable.
    unsafe {
        let events = (*(*areq).requestor.cast::<pg_sys::AppendState>()).as_eventset;
        if is_idle((*areq).requestee) {
            // Those of this Append that have a place stand before this one. Beside the postmaster's death nothing would end the
            // wait if there are none.
            let is_first = pg_sys::GetNumRegisteredWaitEvents(events) <= 1;
            let has_place = io::has_place();
            if !has_place && !is_first {
                return;
            }
            (*areq).callback_pending = false;
            produce(areq, !has_place);
            if (*areq).request_complete {
                // The executor counts rows around the callbacks that it expects them of, which this is none of.
                if !(*(*areq).requestee).instrument.is_null() {
                    let rows = if is_empty((*areq).result) { 0.0 } else { 1.0 };
                    pg_sys::InstrUpdateTupleCount((*(*areq).requestee).instrument, rows);
                }
                return ExecAsyncResponse(areq);
            }
        }
        let Some(descriptor) = wait_fd((*areq).requestee) else {
            raise_internal("a scan without a pending request was asked to wait");
        };
        pg_sys::AddWaitEventToSet(
            events,
            pg_sys::WL_SOCKET_READABLE,
            descriptor,
            std::ptr::null_mut(),
            areq.cast(),
        );
    }
}

/// The descriptor has become readable.
#[pg_guard]
pub unsafe extern "C-unwind" fn foreign_async_notify(areq: *mut pg_sys::AsyncRequest) {
    // SAFETY: executor callback on the main thread with a request to a scan of ours.
    unsafe { produce(areq, false) }
}

/// Answers with the next row if it is at hand, or reports that it is on its way. Does not wait unless it may, but where a
/// local plan has taken over.
unsafe fn produce(areq: *mut pg_sys::AsyncRequest, may_wait: bool) {
    // SAFETY: the caller guarantees a valid request. The node's own function is called below the instrumentation, which
    // the executor does around us.
    unsafe {
        let node = (*areq).requestee;
        if !may_wait && is_idle(node) && !io::has_place() {
            return ExecAsyncRequestPending(areq);
        }
        blocking(node, may_wait);
        let row = ExecProcNodeReal(node);
        blocking(node, true);
        if !is_empty(row) {
            return ExecAsyncRequestDone(areq, row);
        }
        match wait_fd(node) {
            Some(_) if !may_wait => ExecAsyncRequestPending(areq),
            _ => ExecAsyncRequestDone(areq, std::ptr::null_mut()),
        }
    }
}

/// Whether a slot holds no row.
unsafe fn is_empty(row: *const pg_sys::TupleTableSlot) -> bool {
    // SAFETY: a slot of the scan's, or none.
    row.is_null() || unsafe { u32::from((*row).tts_flags) & pg_sys::TTS_FLAG_EMPTY != 0 }
}

/// Whether the scan has asked for nothing.
unsafe fn is_idle(node: *mut pg_sys::PlanState) -> bool {
    // SAFETY: as `produce`.
    match unsafe { state(node.cast()) } {
        Some(Running::Scan(state)) => state.is_idle(),
        Some(Running::Aggregate(state)) => state.is_idle(),
        Some(Running::Combined) | None => false,
    }
}

/// The descriptor that the scan waits for; none when it has ended.
unsafe fn wait_fd(node: *mut pg_sys::PlanState) -> Option<RawFd> {
    // SAFETY: as `produce`.
    match unsafe { state(node.cast()) }? {
        Running::Scan(state) => state.wait_fd(),
        Running::Aggregate(state) => state.wait_fd(),
        // Never asked to wait: it is not capable of it.
        Running::Combined => None,
    }
}

/// Whether the scan may wait for the gateway. An error in between leaves it as it is, and ends the scan too.
unsafe fn blocking(node: *mut pg_sys::PlanState, blocking: bool) {
    // SAFETY: as `produce`.
    match unsafe { state(node.cast()) } {
        Some(Running::Scan(state)) => state.blocking = blocking,
        Some(Running::Aggregate(state)) => state.blocking = blocking,
        Some(Running::Combined) | None => {}
    }
}
