//! Counters of a client.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// What a client did since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestStats {
    /// HTTP requests sent, repetitions included.
    pub requests: u64,
    /// Calls in them: pages asked for and records written, as contracts count them.
    pub calls: u64,
    /// Of these requests, repetitions after a failure.
    pub retries: u64,
    /// Sessions opened.
    pub sign_ins: u64,
    /// Pages received.
    pub pages: u64,
    /// Rows received.
    pub rows: u64,
    /// Times that the gateway asked to slow down.
    pub rate_limited: u64,
    /// Logical requests that failed for good.
    pub failures: u64,
    /// Bytes received as transferred.
    pub wire_bytes: u64,
    /// Bytes received after decompression.
    pub decoded_bytes: u64,
}

/// The counters of a live client.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<RequestStats>);

impl Counters {
    /// Counts for the client, and for the [`Meter`] that the current task runs under.
    pub(crate) fn count(&self, change: impl Fn(&mut RequestStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = METER.try_with(|meter| {
            change(&mut meter.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        });
    }

    pub(crate) fn snapshot(&self) -> RequestStats {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

tokio::task_local! {
    static METER: Meter;
}

/// Counts what some work does, apart from everything else that its client does. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counters>);

impl Meter {
    /// Runs `work`; what any client does in it is counted here too.
    pub async fn run<F: Future>(&self, work: F) -> F::Output {
        METER.scope(self.clone(), work).await
    }

    /// What was counted so far.
    pub fn stats(&self) -> RequestStats {
        self.0.snapshot()
    }
}
