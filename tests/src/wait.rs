//! Waits for what another process does.

use std::thread;
use std::time::{Duration, Instant};

/// Waits for something that must happen.
#[track_caller]
pub fn until(mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < deadline, "it has not happened");
        thread::sleep(Duration::from_millis(5));
    }
}
