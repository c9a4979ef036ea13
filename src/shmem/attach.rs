//! Attaching to the shared region, and leaving it when the process exits.

use super::mapping::map;
use super::region::{OPEN, with};
use super::{calls, kept};
use pgrx::{pg_guard, pg_sys};
use std::cell::Cell;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;

/// Makes the region reachable; returns whether other backends see it too. Main thread only.
pub fn attach() -> bool {
    let known = *OPEN.read().unwrap_or_else(PoisonError::into_inner);
    let mapped = known.unwrap_or_else(|| {
        let mapped = map();
        *OPEN.write().unwrap_or_else(PoisonError::into_inner) = Some(mapped);
        mapped
    });
    close_at_exit();
    mapped.is_shared
}

/// Takes back what this process holds, keeps what it has counted, and closes the region.
fn close() {
    calls::give_back();
    let open = *OPEN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(mapped) = open {
        kept::save_at_exit(mapped);
    }
    let process = std::process::id();
    with(|region| {
        for server in &region.servers {
            if server.key.load(SeqCst) != 0 {
                server.limiter.release(process);
            }
        }
        region.scans.release(process);
        region.sessions.release(process);
    });
    *OPEN.write().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Closes the region when this process exits, before its dynamic shared memory is unmapped.
fn close_at_exit() {
    thread_local!(static HOOKED: Cell<u32> = const { Cell::new(0) });
    let process = std::process::id();
    if HOOKED.replace(process) != process {
        // SAFETY: main thread; the callback takes no argument and lives as long as the library.
        unsafe { pg_sys::before_shmem_exit(Some(exit), pg_sys::Datum::from(0)) };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn exit(_code: i32, _argument: pg_sys::Datum) {
    close();
}
