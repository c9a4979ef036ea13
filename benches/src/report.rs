//! What was measured, as lines of a table.

use crate::resources::Resources;
use std::process::ExitCode;
use std::time::Duration;

/// Collects and prints.
#[derive(Default)]
pub struct Report {
    missed: usize,
}

impl Report {
    /// A time that has a bound: the median and the worst of several.
    pub fn bounded(&mut self, what: &str, mut times: Vec<Duration>, bound: Duration) {
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        let verdict = if worst <= bound { "ok" } else { "MISSED" };
        self.missed += usize::from(worst > bound);
        println!(
            "{what:<58} median {:>8.1} ms, worst of {} {:>8.1} ms, bound {:>6.0} ms  {verdict}",
            milliseconds(median),
            times.len(),
            milliseconds(worst),
            milliseconds(bound),
        );
    }

    /// What a backend holds before and after many rounds, of which each could have left something.
    pub fn leak(&mut self, what: &str, before: Resources, after: Resources) {
        let kept = after.descriptors <= before.descriptors
            && after.threads <= before.threads
            && after.memory_kib <= before.memory_kib + 1024;
        self.missed += usize::from(!kept);
        println!(
            "{:<58} descriptors {} to {}, threads {} to {}, memory {} to {} KiB  {}",
            format!("{what}: what the backend holds"),
            before.descriptors,
            after.descriptors,
            before.threads,
            after.threads,
            before.memory_kib,
            after.memory_kib,
            if kept { "ok" } else { "MISSED" },
        );
    }

    /// A time beside the time of something else, measured in the same run.
    pub fn ratio(&mut self, what: &str, time: Duration, against: &str, floor: Duration) {
        println!(
            "{what:<58} {:>8.1} ms = {:.2} × {against} ({:.1} ms)",
            milliseconds(time),
            time.as_secs_f64() / floor.as_secs_f64(),
            milliseconds(floor),
        );
    }

    /// A time beside the time of something else, measured in the same run, of which it may be a multiple at most.
    pub fn goal(&mut self, what: &str, time: Duration, against: &str, floor: Duration, bound: f64) {
        let ratio = time.as_secs_f64() / floor.as_secs_f64();
        println!(
            "{what:<58} {:>8.1} ms = {ratio:.2} × {against} ({:.1} ms), bound {bound:.2}  {}",
            milliseconds(time),
            milliseconds(floor),
            self.verdict(ratio <= bound),
        );
    }

    /// A time of which the median has a bound.
    pub fn median_bounded(&mut self, what: &str, mut times: Vec<Duration>, bound: Duration) {
        times.sort();
        let median = times[times.len() / 2];
        println!(
            "{what:<58} median of {} {:>8.1} ms, bound {:>6.0} ms  {}",
            times.len(),
            milliseconds(median),
            milliseconds(bound),
            self.verdict(median <= bound),
        );
    }

    /// A count that has a bound.
    pub fn bounded_count(&mut self, what: &str, count: u64, bound: u64) {
        println!(
            "{what:<58} {count:>8}, bound {bound}  {}",
            self.verdict(count <= bound)
        );
    }

    fn verdict(&mut self, kept: bool) -> &'static str {
        self.missed += usize::from(!kept);
        if kept { "ok" } else { "MISSED" }
    }

    /// A count.
    pub fn count(&mut self, what: &str, count: u64) {
        println!("{what:<58} {count:>8}");
    }

    /// Says whether every bound was kept.
    pub fn finish(self) -> ExitCode {
        match self.missed {
            0 => ExitCode::SUCCESS,
            missed => {
                println!("{missed} bounds missed");
                ExitCode::FAILURE
            }
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
