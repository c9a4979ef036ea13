//! Counters of requests to a server and of their outcomes.

use intacct::{ErrorKind, Event, Outcome};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How many SQLSTATEs are distinguished: more than there are in `error.rs`.
const STATES: usize = 24;

/// Counters that every thread may add to. Zeroed memory is a valid beginning.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
    abandoned: AtomicU64,
    sign_ins: AtomicU64,
    rows: AtomicU64,
    sent_bytes: AtomicU64,
    wire_bytes: AtomicU64,
    decoded_bytes: AtomicU64,
    gateway_micros: AtomicU64,
    queued_micros: AtomicU64,
    paused_micros: AtomicU64,
    errors: [Failures; STATES],
    calls: AtomicU64,
}

/// How often a request failed with one SQLSTATE; 0: none yet.
#[derive(Debug, Default)]
#[repr(C)]
struct Failures {
    state: AtomicI32,
    count: AtomicU64,
}

/// Counters at one moment.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// HTTP requests, each a round trip, repetitions included.
    pub requests: u64,
    /// Calls in them: pages asked for and records written.
    #[serde(default)]
    pub calls: u64,
    /// Of these, repetitions after a failure.
    pub retries: u64,
    /// Requests that failed and were not repeated.
    pub failures: u64,
    /// Requests that were abandoned: cancelled, out of time, or not needed any more.
    pub abandoned: u64,
    /// Sessions opened.
    pub sign_ins: u64,
    /// Rows received.
    pub rows: u64,
    /// Bytes of requests.
    pub sent_bytes: u64,
    /// Bytes of responses as they travelled.
    pub wire_bytes: u64,
    /// Bytes of responses after decompression.
    pub decoded_bytes: u64,
    /// Time between the first byte of each request and the last of its response, added up.
    pub gateway: Duration,
    /// Time that requests waited for their turn.
    pub queued: Duration,
    /// Time that failed requests waited before their repetition.
    pub paused: Duration,
    /// Failed attempts by the SQLSTATE that stands for them, as PostgreSQL packs it.
    pub errors: Vec<(i32, u64)>,
}

impl Counters {
    /// Counts an attempt that ended.
    pub fn count(&self, event: &Event<'_>) {
        let add = |counter: &AtomicU64, number: u64| {
            counter.fetch_add(number, Relaxed);
        };
        add(&self.requests, 1);
        add(&self.calls, event.calls);
        add(&self.retries, u64::from(event.attempt > 1));
        add(&self.rows, event.rows);
        add(&self.sent_bytes, event.sent_bytes);
        add(&self.wire_bytes, event.wire_bytes);
        add(&self.decoded_bytes, event.decoded_bytes);
        add(&self.gateway_micros, micros(event.duration));
        add(&self.queued_micros, micros(event.queued));
        match event.outcome {
            Outcome::Success => add(&self.sign_ins, u64::from(event.function == "getAPISession")),
            Outcome::Retry(error) => self.count_error(error.kind()),
            Outcome::Failure(error) => {
                add(&self.failures, 1);
                self.count_error(error.kind());
            }
            _ => add(&self.abandoned, 1),
        }
    }

    /// Counts a pause before a repetition.
    pub fn pause(&self, time: Duration) {
        self.paused_micros.fetch_add(micros(time), Relaxed);
    }

    fn count_error(&self, kind: &ErrorKind) {
        self.add_errors(crate::error::sqlstate(kind) as i32, 1);
    }

    fn add_errors(&self, state: i32, number: u64) {
        let place = self.errors.iter().find(|failures| {
            // Either it is the state's place, or it becomes it, or another thread has just made it so.
            failures.state.load(Relaxed) == state
                || failures
                    .state
                    .compare_exchange(0, state, Relaxed, Relaxed)
                    .is_ok()
                || failures.state.load(Relaxed) == state
        });
        if let Some(failures) = place {
            failures.count.fetch_add(number, Relaxed);
        }
    }

    /// Adds what was counted elsewhere.
    pub fn add(&self, other: &Snapshot) {
        for (counter, number) in self.numbers().into_iter().zip(other.numbers()) {
            counter.fetch_add(number, Relaxed);
        }
        for (state, number) in &other.errors {
            self.add_errors(*state, *number);
        }
    }

    /// Takes away what has been noted elsewhere: a snapshot of these very counters.
    pub fn subtract(&self, noted: &Snapshot) {
        for (counter, number) in self.numbers().into_iter().zip(noted.numbers()) {
            counter.fetch_sub(number, Relaxed);
        }
        for (state, number) in &noted.errors {
            self.add_errors(*state, number.wrapping_neg());
        }
    }

    /// All counters but those of errors, in the order of [`Snapshot::numbers`].
    fn numbers(&self) -> [&AtomicU64; 13] {
        [
            &self.requests,
            &self.retries,
            &self.failures,
            &self.abandoned,
            &self.sign_ins,
            &self.rows,
            &self.sent_bytes,
            &self.wire_bytes,
            &self.decoded_bytes,
            &self.gateway_micros,
            &self.queued_micros,
            &self.paused_micros,
            &self.calls,
        ]
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let micros = |counter: &AtomicU64| Duration::from_micros(counter.load(Relaxed));
        Snapshot {
            requests: self.requests.load(Relaxed),
            calls: self.calls.load(Relaxed),
            retries: self.retries.load(Relaxed),
            failures: self.failures.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
            sign_ins: self.sign_ins.load(Relaxed),
            rows: self.rows.load(Relaxed),
            sent_bytes: self.sent_bytes.load(Relaxed),
            wire_bytes: self.wire_bytes.load(Relaxed),
            decoded_bytes: self.decoded_bytes.load(Relaxed),
            gateway: micros(&self.gateway_micros),
            queued: micros(&self.queued_micros),
            paused: micros(&self.paused_micros),
            errors: self
                .errors
                .iter()
                .map(|failures| (failures.state.load(Relaxed), failures.count.load(Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }
}

impl Snapshot {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Snapshot) {
        // Atomics know how.
        let sum = Counters::default();
        sum.add(self);
        sum.add(other);
        *self = sum.snapshot();
    }

    fn numbers(&self) -> [u64; 13] {
        [
            self.requests,
            self.retries,
            self.failures,
            self.abandoned,
            self.sign_ins,
            self.rows,
            self.sent_bytes,
            self.wire_bytes,
            self.decoded_bytes,
            micros(self.gateway),
            micros(self.queued),
            micros(self.paused),
            self.calls,
        ]
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_hold_every_counter() {
        let one = Snapshot {
            requests: 1,
            calls: 15,
            retries: 2,
            failures: 3,
            abandoned: 4,
            sign_ins: 5,
            rows: 6,
            sent_bytes: 7,
            wire_bytes: 8,
            decoded_bytes: 9,
            gateway: Duration::from_micros(10),
            queued: Duration::from_micros(11),
            paused: Duration::from_micros(12),
            errors: vec![(77, 13), (78, 14)],
        };
        let counters = Counters::default();
        counters.add(&one);
        assert_eq!(counters.snapshot(), one);
        counters.add(&one);
        let mut sum = one.clone();
        sum.add(&one);
        assert_eq!(counters.snapshot(), sum);
        assert_eq!((sum.paused, sum.errors[1]), (Duration::from_micros(24), (78, 28)));
        counters.subtract(&one);
        assert_eq!(counters.snapshot(), one);
        counters.subtract(&one);
        assert_eq!(counters.snapshot(), Snapshot::default());
    }
}
