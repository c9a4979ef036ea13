//! Observers of requests.

use std::time::Duration;

/// Receives every attempt of every request, on the task that made it: must not block.
pub trait Observer: Send + Sync {
    /// One attempt ended.
    fn event(&self, event: &Event<'_>);

    /// A failed request waits so long before it is tried again.
    fn pause(&self, _time: Duration) {}
}

/// One attempt of a request. Holds no secrets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event<'a> {
    /// Gateway function (`query`, `lookup`, `getAPISession`, …).
    pub function: &'a str,
    /// Object asked for.
    pub object: Option<&'a str>,
    /// Control id of the request.
    pub control_id: &'a str,
    /// Calls in the request: pages asked for and records written.
    pub calls: u64,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// What it waited for its turn before that.
    pub queued: Duration,
    /// From the first byte sent to the last byte parsed.
    pub duration: Duration,
    /// Rows received.
    pub rows: u64,
    /// Bytes of the request document.
    pub sent_bytes: u64,
    /// Bytes of the response as transferred.
    pub wire_bytes: u64,
    /// Bytes of the response after decompression.
    pub decoded_bytes: u64,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// With an answer.
    Success,
    /// Failed, and will be tried again.
    Retry(&'a crate::Error),
    /// Failed for good.
    Failure(&'a crate::Error),
    /// The request was abandoned: cancelled, or out of time.
    Abandoned,
}
