//! Retry of requests: which failures are retried, and how long the backoff is.

use crate::error::classify::Retry;
use crate::error::{Error, ErrorKind};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait that a gateway may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Waits between the tries of one request: between half of `base` and `base`, twice that, and so on up to `max`. So each
/// is longer than the one before, and clients that failed together come back apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first wait.
    pub base: Duration,
    /// Bound of every wait.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            base: Duration::from_secs(1),
            max: Duration::from_secs(30),
        }
    }
}

/// What a failure leaves open about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The gateway executed nothing of it, provably.
    NotRun,
    /// It may have been executed.
    Unknown,
}

/// An attempt that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub error: Error,
    pub retry: Retry,
    /// What the gateway asked to wait.
    pub retry_after: Option<Duration>,
    /// Whether it may have been executed.
    pub fate: Fate,
}

impl Failed {
    pub(crate) fn new(error: Error, retry: Retry) -> Self {
        Failed {
            error,
            retry,
            retry_after: None,
            fate: Fate::Unknown,
        }
    }

    /// A failure before anything was executed.
    pub(crate) fn not_run(mut self) -> Self {
        self.fate = Fate::NotRun;
        self
    }

    /// A failure that is final.
    pub(crate) fn finally(error: Error) -> Self {
        Failed::new(error, Retry::Never)
    }
}

/// The tries of one logical request.
pub(crate) struct Tries {
    backoff: Backoff,
    left: u32,
    used: u32,
    deadline: Instant,
    once_used: bool,
    signed_in_again: bool,
}

impl Tries {
    pub(crate) fn new(backoff: Backoff, max_retries: u32, deadline: Instant) -> Self {
        Tries {
            backoff,
            left: max_retries,
            used: 0,
            deadline,
            once_used: false,
            signed_in_again: false,
        }
    }

    /// Whether a try is left for such a failure, as far as the count goes.
    pub(crate) fn has_next(&self, failed: &Failed) -> bool {
        match failed.retry {
            Retry::Never => false,
            Retry::SignIn => !self.signed_in_again,
            Retry::Once => !self.once_used && self.left > 0,
            Retry::Transient | Retry::Slower => self.left > 0,
        }
    }

    /// How long to wait before the next try, or `None` when there is none.
    pub(crate) fn next_wait(&mut self, failed: &Failed) -> Option<Duration> {
        match failed.retry {
            Retry::Never => return None,
            Retry::SignIn => {
                let first = !std::mem::replace(&mut self.signed_in_again, true);
                return first.then_some(Duration::ZERO);
            }
            Retry::Once if std::mem::replace(&mut self.once_used, true) => return None,
            Retry::Once | Retry::Transient | Retry::Slower => {}
        }
        self.left = self.left.checked_sub(1)?;
        let bound = self
            .backoff
            .base
            .saturating_mul(1 << self.used.min(16))
            .min(self.backoff.max);
        self.used += 1;
        let asked = failed.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        let wait = bound.mul_f64(0.5 + fastrand::f64() / 2.0).max(asked);
        (Instant::now() + wait < self.deadline).then_some(wait)
    }
}

/// The error of a request that used up its time.
pub(crate) fn timed_out(limit: Duration, last: Option<Error>) -> Error {
    let seconds = limit.as_secs_f64();
    let message = match &last {
        None => format!("no answer from the gateway within {seconds} s"),
        Some(last) => format!("no answer from the gateway within {seconds} s; before that: {last}"),
    };
    match last {
        None => Error::new(ErrorKind::RequestTimeout, message),
        Some(last) => last.with_kind(ErrorKind::RequestTimeout).with_message(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(retry: Retry) -> Failed {
        Failed::new(Error::new(ErrorKind::Refused, "x"), retry)
    }

    fn tries(seconds: u64) -> Tries {
        let backoff = Backoff {
            base: Duration::from_secs(1),
            max: Duration::from_secs(4),
        };
        Tries::new(backoff, 3, Instant::now() + Duration::from_secs(seconds))
    }

    #[test]
    fn waits_are_bounded_and_counted() {
        let mut tries = tries(1000);
        for bound in [1, 2, 4] {
            let wait = tries.next_wait(&failed(Retry::Transient)).expect("a wait");
            assert!(wait <= Duration::from_secs(bound), "{wait:?}");
            assert!(wait * 2 >= Duration::from_secs(bound), "{wait:?}");
        }
        assert!(!tries.has_next(&failed(Retry::Transient)));
        assert_eq!(tries.next_wait(&failed(Retry::Transient)), None);
    }

    #[test]
    fn some_failures_are_tried_once_or_never() {
        let mut tries = tries(1000);
        assert_eq!(tries.next_wait(&failed(Retry::Never)), None);
        assert_eq!(tries.next_wait(&failed(Retry::SignIn)), Some(Duration::ZERO));
        assert_eq!(tries.next_wait(&failed(Retry::SignIn)), None);
        assert!(tries.has_next(&failed(Retry::Once)) && !tries.has_next(&failed(Retry::SignIn)));
        assert!(tries.next_wait(&failed(Retry::Once)).is_some());
        assert!(!tries.has_next(&failed(Retry::Once)) && tries.has_next(&failed(Retry::Transient)));
        assert_eq!(tries.next_wait(&failed(Retry::Once)), None);
    }

    #[test]
    fn what_the_gateway_asks_is_heeded_within_the_deadline() {
        let asks = |seconds| Failed {
            retry_after: Some(Duration::from_secs(seconds)),
            ..failed(Retry::Slower)
        };
        let wait = tries(1000).next_wait(&asks(30)).expect("a wait");
        assert!(wait >= Duration::from_secs(30));
        assert_eq!(tries(20).next_wait(&asks(30)), None);
        assert!(tries(1000).next_wait(&asks(100_000)).expect("a wait") <= MAX_RETRY_AFTER);
    }
}
