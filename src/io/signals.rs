//! Signals belong to the backend's main thread: every other thread is born with all of them blocked.

/// Blocks all signals in this thread until dropped; a thread spawned meanwhile inherits the blocked mask for good.
pub struct Blocked {
    previous: libc::sigset_t,
}

impl Blocked {
    /// Blocks all signals of the calling thread.
    pub fn all() -> std::io::Result<Blocked> {
        // SAFETY: both sets are plain memory owned by this frame; the calls only write to them.
        unsafe {
            let mut full = std::mem::zeroed::<libc::sigset_t>();
            let mut previous = std::mem::zeroed::<libc::sigset_t>();
            libc::sigfillset(&mut full);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &full, &mut previous) {
                0 => Ok(Blocked { previous }),
                code => Err(std::io::Error::from_raw_os_error(code)),
            }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `previous` was filled in by pthread_sigmask above.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.previous, std::ptr::null_mut());
        }
    }
}
