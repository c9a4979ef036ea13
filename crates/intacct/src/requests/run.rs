//! The tries of one logical request, within its time.

use super::{Call, Requester};
use crate::error::Error;
use crate::error::classify::Retry;
use crate::retry::{Failed, Tries, timed_out};
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
    pub(super) fn new(requester: &Requester, limit: Duration) -> Self {
        let deadline = Instant::now() + limit;
        Run {
            control_id: uuid::Uuid::new_v4().to_string(),
            limit,
            deadline,
            tries: Tries::new(requester.backoff, requester.config.max_retries, deadline),
            number: 0,
            sent: Instant::now(),
            last: None,
        }
    }

    /// Whether a try is left after this failure.
    pub(super) fn has_next(&self, failed: &Failed) -> bool {
        self.tries.has_next(failed)
    }

    /// Waits for the next try, or gives up.
    pub(super) async fn pause(&mut self, requester: &Requester, failed: Failed) -> Result<(), Error> {
        let Some(wait) = self.tries.next_wait(&failed) else {
            return Err(failed.error);
        };
        requester.counters.count(|stats| stats.retries += 1);
        if failed.retry == Retry::Slower {
            // Others shall not run into the same refusal meanwhile.
            requester.gate.hold(wait);
        }
        if let Some(observer) = &requester.config.observer {
            observer.pause(wait);
        }
        self.last = Some(failed.error);
        tokio::time::sleep(wait).await;
        Ok(())
    }

    pub(super) fn end<T>(
        self,
        requester: &Requester,
        call: &Call<'_>,
        ended: Result<Result<T, Error>, Elapsed>,
    ) -> Result<T, Error> {
        let ended = ended.unwrap_or_else(|_| Err(timed_out(self.limit, self.last)));
        ended.map_err(|error| {
            requester.counters.count(|stats| stats.failures += 1);
            error.at(
                &requester.config.company_id,
                call.object,
                call.function,
                &self.control_id,
            )
        })
    }
}
