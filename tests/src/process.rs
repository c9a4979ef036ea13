//! What the operating system knows of a backend: file descriptors, threads, memory.

use std::fs;

/// Resources that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads, the main one included.
    pub threads: usize,
    /// Resident memory that belongs to this process alone (no shared buffers, no program text), in KiB.
    pub memory_kib: u64,
}

/// Reads the resources of process `pid` from /proc.
///
/// # Panics
/// If there is no such process, or it may not be looked at.
pub fn resources(pid: i32) -> Resources {
    let count = |what: &str| {
        fs::read_dir(format!("/proc/{pid}/{what}"))
            .unwrap_or_else(|error| panic!("/proc/{pid}/{what}: {error}"))
            .count()
    };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the backend's status is readable");
    let memory_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("the status has a line RssAnon");
    Resources {
        descriptors: count("fd"),
        threads: count("task"),
        memory_kib,
    }
}
