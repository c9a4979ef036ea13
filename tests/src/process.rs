//! What the operating system knows of a backend: file descriptors, threads, memory.

use postgres::Client;
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

/// Lets a backend open so many more files; `None`: as many as it may ever. The server's own user sets that, by another connection.
///
/// # Panics
/// As [`resources`].
pub fn let_open(by: &mut Client, pid: i32, more: Option<u64>) {
    let limits =
        fs::read_to_string(format!("/proc/{pid}/limits")).expect("the backend's limits are readable");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let most = line
        .and_then(|line| line.split_whitespace().nth(4))
        .expect("a limit");
    let limit = match more {
        None => most.to_owned(),
        Some(more) => {
            let is_free = |number: &u64| fs::symlink_metadata(format!("/proc/{pid}/fd/{number}")).is_err();
            let free = (0..).filter(is_free).nth(more as usize);
            free.map(|number| number.to_string()).unwrap_or_default()
        }
    };
    by.batch_execute(&format!(
        "CREATE TEMP TABLE IF NOT EXISTS said (line text);
         COPY said FROM PROGRAM 'prlimit --pid {pid} --nofile={limit}:'"
    ))
    .expect("the backend's limit can be set");
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
