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

/// Forgets the largest amount of memory that a process has held so far.
///
/// # Panics
/// If there is no such process, or it belongs to somebody else.
pub fn forget_peak(pid: i32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the backend's peak can be reset");
}

/// The largest amount of resident memory that a process has held since [`forget_peak`], in KiB.
///
/// # Panics
/// As [`resources`].
pub fn peak_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the backend's status is readable");
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("the status has a line VmHWM")
}
