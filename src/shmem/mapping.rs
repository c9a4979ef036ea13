//! Memory of the region: shared memory where it can be had, else the backend's own.

use super::kept;
use super::region::{Mapped, OPEN, Region};
use pgrx::{pg_guard, pg_sys};

/// Name of the region. The library's version is part of it: another version may lay it out in another way.
const NAME: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
    concat!("sage_intacct_fdw ", env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
) {
    Ok(name) => name,
    Err(_) => panic!("a version holds no NUL"),
};

// The hooks that were there before ours. Set by the postmaster, before any backend exists.
static mut PREVIOUS_REQUEST: pg_sys::shmem_request_hook_type = None;
static mut PREVIOUS_STARTUP: pg_sys::shmem_startup_hook_type = None;

/// Reserves shared memory when the library is being preloaded.
pub fn init() {
    // SAFETY: main thread, while the library is loaded; the hooks are chained as PostgreSQL asks for.
    unsafe {
        if !pg_sys::process_shared_preload_libraries_in_progress {
            return;
        }
        PREVIOUS_REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        PREVIOUS_STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(startup);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn request() {
    // SAFETY: called by the postmaster when libraries may ask for shared memory.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST {
            previous();
        }
        pg_sys::RequestAddinShmemSpace(size_of::<Region>());
    }
}

/// Also called after a crash, when shared memory is made again.
#[pg_guard]
unsafe extern "C-unwind" fn startup() {
    // SAFETY: called by the postmaster when shared memory has been made; initialising is done under the lock that
    // PostgreSQL asks for.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP {
            previous();
        }
        let mut found = false;
        let lock = &raw mut (*pg_sys::MainLWLockArray.add(ADDIN_SHMEM_INIT_LOCK)).lock;
        pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
        let region = pg_sys::ShmemInitStruct(NAME.as_ptr(), size_of::<Region>(), &mut found);
        if !found {
            clear(region);
        }
        pg_sys::LWLockRelease(lock);
        *OPEN.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Mapped {
            region: &*region.cast::<Region>(),
            is_shared: true,
        });
    }
}

/// The place of `AddinShmemInitLock` in the array of named locks: a macro in C.
const ADDIN_SHMEM_INIT_LOCK: usize = 21;

/// Zeroes the region, which is valid, and brings back what was counted before.
#[pg_guard]
unsafe extern "C-unwind" fn clear(region: *mut std::ffi::c_void) {
    // SAFETY: the region is as large as its type, and it is not used elsewhere yet.
    let region = unsafe {
        region.cast::<Region>().write_bytes(0, 1);
        &*region.cast::<Region>()
    };
    kept::load(region);
}

/// Finds the region that the postmaster has not made.
#[cfg(any(feature = "pg17", feature = "pg18"))]
pub fn map() -> Mapped {
    let mut found = false;
    // SAFETY: main thread; the segment stays mapped until the backend exits, and the region closes before that.
    let region = unsafe {
        let memory = pg_sys::GetNamedDSMSegment(NAME.as_ptr(), size_of::<Region>(), Some(clear), &mut found);
        &*memory.cast::<Region>()
    };
    Mapped {
        region,
        is_shared: true,
    }
}

/// Makes a region of this backend's own.
#[cfg(any(feature = "pg15", feature = "pg16"))]
pub fn map() -> Mapped {
    let layout = std::alloc::Layout::new::<Region>();
    // SAFETY: zeroed memory is a valid region: all of it is atomic integers. It lives as long as the process.
    let region = unsafe {
        let memory = std::alloc::alloc_zeroed(layout).cast::<Region>();
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        &*memory
    };
    Mapped {
        region,
        is_shared: false,
    }
}
