//! The file descriptors that wake the backend when the I/O thread has something for it.

use pgrx::pg_sys;
use rustix::event::{EventfdFlags, eventfd};
use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rings the bell from the I/O thread. Cheap to clone.
#[derive(Clone)]
pub struct Bell(Arc<Place>);

/// Where a stream's bell hangs.
struct Place {
    /// The backend's one descriptor, for all streams that are waited for one at a time.
    shared: Arc<OwnedFd>,
    /// The stream's own, where several are waited for at once.
    own: Mutex<Option<Arc<OwnedFd>>>,
}

impl Place {
    fn own(&self) -> MutexGuard<'_, Option<Arc<OwnedFd>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    /// Wakes the backend. A full counter means that it has been woken already, so a failed write is no loss.
    pub fn ring(&self) {
        let own = self.0.own().clone();
        let _ = rustix::io::write(own.as_ref().unwrap_or(&self.0.shared), &1u64.to_ne_bytes());
    }
}

/// Streams with a descriptor of their own, in this backend: so many scans below an Append are under way at the same time.
const MOST_OWN: usize = 32;

thread_local! {
    /// The shared descriptor: kept as long as the backend lives.
    static SHARED: RefCell<Option<Arc<OwnedFd>>> = const { RefCell::new(None) };
    /// Own descriptors.
    static OWN: Cell<usize> = const { Cell::new(0) };
    /// Streams.
    static STREAMS: Cell<usize> = const { Cell::new(0) };
}

/// How many streams there are in this backend.
pub fn streams() -> usize {
    STREAMS.get()
}

/// Whether one more stream can be waited for beside others.
pub fn has_place() -> bool {
    OWN.get() < MOST_OWN && spare(1 + TO_WAIT)
}

/// The backend's end. All streams share a descriptor while they are waited for one at a time: a caller that is woken looks at its
/// own queue, and does so before each wait. What is waited for beside others has one of its own, since epoll refuses the same
/// one twice in one set.
pub struct Notifier {
    place: Arc<Place>,
    /// The stream's own descriptor.
    own: Option<Arc<OwnedFd>>,
}

/// A descriptor that PostgreSQL knows of.
fn descriptor() -> std::io::Result<Arc<OwnedFd>> {
    if !spare(1 + TO_WAIT) {
        return Err(std::io::Error::from_raw_os_error(libc::EMFILE));
    }
    // SAFETY: main thread; only touches the backend's descriptor counter.
    if !unsafe { pg_sys::AcquireExternalFD() } {
        return Err(std::io::Error::from_raw_os_error(libc::EMFILE));
    }
    match eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK) {
        Ok(fd) => Ok(Arc::new(fd)),
        Err(error) => {
            // SAFETY: as above; undoes the acquisition.
            unsafe { pg_sys::ReleaseExternalFD() };
            Err(error.into())
        }
    }
}

impl Notifier {
    /// The backend's end of a stream, on the shared descriptor.
    ///
    /// # Errors
    /// For the first of a backend the operating system's error, or `EMFILE` when PostgreSQL has too many open.
    pub fn new() -> std::io::Result<Notifier> {
        let shared = SHARED.with_borrow_mut(|shared| match shared {
            Some(shared) => Ok(shared.clone()),
            None => descriptor().map(|made| shared.insert(made).clone()),
        })?;
        STREAMS.set(STREAMS.get() + 1);
        let own = Mutex::new(None);
        Ok(Notifier {
            place: Arc::new(Place { shared, own }),
            own: None,
        })
    }

    /// Gives the stream a descriptor of its own, unless too many have one; whether it has. A look at the queue after this sees
    /// what the shared one was rung for before.
    pub fn has_own(&mut self) -> bool {
        if self.own.is_none() && has_place() {
            self.own = descriptor().ok();
            if self.own.is_some() {
                OWN.set(OWN.get() + 1);
                self.place.own().clone_from(&self.own);
            }
        }
        self.own.is_some()
    }

    /// The other end, for the I/O thread.
    pub fn bell(&self) -> Bell {
        Bell(self.place.clone())
    }

    /// Forgets earlier rings. Call it before looking at the queue, or a wake can be lost.
    pub fn drain(&self) {
        let mut counter = [0u8; 8];
        let _ = rustix::io::read(self.descriptor(), &mut counter);
    }

    /// The descriptor to wait on.
    pub fn raw(&self) -> RawFd {
        self.descriptor().as_raw_fd()
    }

    fn descriptor(&self) -> &OwnedFd {
        self.own.as_ref().unwrap_or(&self.place.shared)
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
        STREAMS.set(STREAMS.get().saturating_sub(1));
        if self.own.take().is_some() {
            OWN.set(OWN.get().saturating_sub(1));
            // SAFETY: decrements a counter, cannot raise; streams live and die on the main thread.
            unsafe { pg_sys::ReleaseExternalFD() };
        }
    }
}
