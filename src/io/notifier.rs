//! The file descriptor that wakes the backend when the I/O thread has something for it.

use pgrx::pg_sys;
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Rings the bell from the I/O thread. Cheap to clone.
#[derive(Clone)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Wakes the backend. A full counter means that it has been woken already, so a failed write is no loss.
    pub fn ring(&self) {
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

/// The backend's end: one per stream, since epoll refuses the same descriptor twice in one set.
pub struct Notifier {
    fd: Arc<OwnedFd>,
}

impl Notifier {
    /// Creates the descriptor and accounts for it with PostgreSQL.
    ///
    /// # Errors
    /// The operating system's error, or `EMFILE` when PostgreSQL has too many open.
    pub fn new() -> std::io::Result<Notifier> {
        if !spare(1 + TO_WAIT) {
            return Err(std::io::Error::from_raw_os_error(libc::EMFILE));
        }
        // SAFETY: main thread; only touches the backend's descriptor counter.
        if !unsafe { pg_sys::AcquireExternalFD() } {
            return Err(std::io::Error::from_raw_os_error(libc::EMFILE));
        }
        match eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK) {
            Ok(fd) => Ok(Notifier { fd: Arc::new(fd) }),
            Err(error) => {
                // SAFETY: as above; undoes the acquisition.
                unsafe { pg_sys::ReleaseExternalFD() };
                Err(error.into())
            }
        }
    }

    /// The other end, for the I/O thread.
    pub fn bell(&self) -> Bell {
        Bell(self.fd.clone())
    }

    /// Forgets earlier rings. Call it before looking at the queue, or a wake can be lost.
    pub fn drain(&self) {
        let mut counter = [0u8; 8];
        let _ = rustix::io::read(&*self.fd, &mut counter);
    }

    /// The descriptor to wait on.
    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Descriptors that the backend opens while it waits, in a wait of ours or of an Append.
const TO_WAIT: usize = 1;

/// Whether PostgreSQL lets us open so many descriptors more. Where a wait of its own finds none it raises an internal error.
fn spare(count: usize) -> bool {
    let mut acquired = 0;
    // SAFETY: main thread; only touches the backend's descriptor counter, which is put back.
    unsafe {
        while acquired < count && pg_sys::AcquireExternalFD() {
            acquired += 1;
        }
        for _ in 0..acquired {
            pg_sys::ReleaseExternalFD();
        }
    }
    acquired == count
}

/// Whether a wait can be begun.
pub fn can_wait() -> bool {
    spare(1)
}

impl Drop for Notifier {
    fn drop(&mut self) {
        // SAFETY: decrements a counter, cannot raise; streams live and die on the main thread.
        unsafe { pg_sys::ReleaseExternalFD() };
    }
}
