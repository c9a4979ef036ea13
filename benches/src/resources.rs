//! What the operating system knows of a backend.

use std::fs;
use std::thread;
use std::time::Duration;

/// File descriptors, threads and private memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads, the main one included.
    pub threads: usize,
    /// Resident memory that belongs to this process alone, in KiB.
    pub memory_kib: u64,
}

impl Resources {
    /// What process `pid` holds once two looks in a row show the same number of descriptors and threads: connections of
    /// cancelled requests are closed a moment after the statement has ended.
    ///
    /// # Panics
    /// If there is no such process, or it may not be looked at.
    pub fn settled(pid: i32) -> Resources {
        let mut last = Resources::read(pid);
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(50));
            let now = Resources::read(pid);
            if (now.descriptors, now.threads) == (last.descriptors, last.threads) {
                return now;
            }
            last = now;
        }
        last
    }

    fn read(pid: i32) -> Resources {
        let count = |what: &str| {
            fs::read_dir(format!("/proc/{pid}/{what}"))
                .unwrap_or_else(|error| panic!("/proc/{pid}/{what}: {error}"))
                .count()
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the backend's status");
        let memory_kib = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"))
            .and_then(|number| number.trim().parse().ok())
            .expect("the status has a line RssAnon");
        Resources {
            descriptors: count("fd"),
            threads: count("task"),
            memory_kib,
        }
    }
}
