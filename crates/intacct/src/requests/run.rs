//! The tries of one logical request, within its time.

use crate::error::Error;
use crate::retry::{Backoff, Failed, Tries, timed_out};
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// The tries of one logical request.
pub(super) struct Run {
    pub(super) control_id: String,
    limit: Duration,
    pub(super) deadline: Instant,
    tries: Tries,
    /// The attempt under way, from 1.
    pub(super) number: u32,
    /// When the attempt under way was sent.
    pub(super) sent: Instant,
    /// What the attempt before failed with.
    last: Option<Error>,
}

impl Run {
    pub(super) fn new(backoff: Backoff, max_retries: u32, limit: Duration) -> Self {
        let deadline = Instant::now() + limit;
        Run {
            control_id: uuid::Uuid::new_v4().to_string(),
            limit,
            deadline,
            tries: Tries::new(backoff, max_retries, deadline),
            number: 0,
            sent: Instant::now(),
            last: None,
        }
    }

    /// Whether a try is left after this failure.
    pub(super) fn has_next(&self, failed: &Failed) -> bool {
        self.tries.has_next(failed)
    }

    /// How long to wait for the next try; the error where there is none.
    pub(super) fn next_wait(&mut self, failed: Failed) -> Result<Duration, Error> {
        match self.tries.next_wait(&failed) {
            Some(wait) => {
                self.last = Some(failed.error);
                Ok(wait)
            }
            None => Err(failed.error),
        }
    }

    /// How the request ended, within its time or not.
    pub(super) fn end<T>(&mut self, ended: Result<Result<T, Error>, Elapsed>) -> Result<T, Error> {
        ended.unwrap_or_else(|_| Err(timed_out(self.limit, self.last.take())))
    }
}
