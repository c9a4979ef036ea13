//! Scans below an Append that reads its children at the same time.
//!
//! The Append asks each child for a row, and goes on to the next child when it has none yet; then it waits for the
//! descriptors of all of them. A request that was started stays under way whatever the Append does, so nothing is
//! needed to order them: the client keeps to the limiter of its server.

use super::scan::{Running, state};
use crate::error::raise_internal;
use crate::ffi::{ExecAsyncRequestDone, ExecAsyncRequestPending, ExecProcNodeReal};
use pgrx::{pg_guard, pg_sys};
use std::os::fd::RawFd;

/// The Append wants a row.
#[pg_guard]
pub unsafe extern "C-unwind" fn foreign_async_request(areq: *mut pg_sys::AsyncRequest) {
    // SAFETY: executor callback on the main thread with a request to a scan of ours.
    unsafe { produce(areq) }
}

/// The Append waits: adds the descriptor of the scan to its events.
#[pg_guard]
pub unsafe extern "C-unwind" fn foreign_async_configure_wait(areq: *mut pg_sys::AsyncRequest) {
    // SAFETY: executor callback on the main thread while a request to a scan of ours is pending; its requestor is an
    // Append with a set of events. What has arrived meanwhile has made the descriptor readable.
    unsafe {
        let Some(descriptor) = wait_fd((*areq).requestee) else {
            raise_internal("a scan without a pending request was asked to wait");
        };
        let append = (*areq).requestor.cast::<pg_sys::AppendState>();
        pg_sys::AddWaitEventToSet(
            (*append).as_eventset,
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
    unsafe { produce(areq) }
}

/// Answers with the next row if it is at hand, or reports that it is on its way. Does not wait, but where a
/// local plan has taken over.
unsafe fn produce(areq: *mut pg_sys::AsyncRequest) {
    // SAFETY: the caller guarantees a valid request. The node's own function is called below the instrumentation, which
    // the executor does around us.
    unsafe {
        let node = (*areq).requestee;
        blocking(node, false);
        let row = ExecProcNodeReal(node);
        blocking(node, true);
        let empty = row.is_null() || u32::from((*row).tts_flags) & pg_sys::TTS_FLAG_EMPTY != 0;
        if !empty {
            return ExecAsyncRequestDone(areq, row);
        }
        match wait_fd(node) {
            Some(_) => ExecAsyncRequestPending(areq),
            None => ExecAsyncRequestDone(areq, std::ptr::null_mut()),
        }
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
