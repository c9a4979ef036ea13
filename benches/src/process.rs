//! What a process used, from `/proc`.

use std::fs;
use std::time::Duration;

/// Processor time of all live threads of a process.
///
/// # Panics
/// Where there is no `/proc`, or the process is gone.
pub fn cpu(pid: i32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("/proc");
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .map(|text| nanoseconds(&text))
        .sum()
}

/// Processor time of this thread.
///
/// # Panics
/// Where there is no `/proc`.
pub fn own_cpu() -> Duration {
    nanoseconds(&fs::read_to_string("/proc/thread-self/schedstat").expect("/proc"))
}

fn nanoseconds(schedstat: &str) -> Duration {
    let first = schedstat.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(first.unwrap_or_default())
}

/// Forgets the largest memory that a process had so far.
///
/// # Panics
/// If that is not permitted.
pub fn forget_peak(pid: i32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("clear_refs may be written");
}

/// KiB of memory now, and at most since [`forget_peak`].
///
/// # Panics
/// Where there is no `/proc`, or the process is gone.
pub fn memory(pid: i32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("/proc");
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    (
        kib("VmRSS:").expect("the memory now"),
        kib("VmHWM:").expect("the largest memory"),
    )
}
