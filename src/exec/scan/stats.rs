//! Statistics of a scan: what was requested and what arrived, for EXPLAIN ANALYZE.

use intacct::{Meter, Page};
use std::time::{Duration, Instant};

/// What was asked and what arrived, for EXPLAIN ANALYZE.
#[derive(Debug, Default)]
pub struct ScanStats {
    /// Counts requests.
    pub meter: Meter,
    /// Calls that another node has spent on the same rows: an aggregate and the scan of its local plan.
    pub elsewhere: u64,
    /// Why the local plan has taken over, where nothing was wrong.
    pub local: Option<String>,
    /// How long the backend stood still for the gateway.
    pub waited: Duration,
    /// Pages.
    pub pages: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes as they travelled.
    pub wire_bytes: u64,
    /// Bytes after decompression.
    pub decoded_bytes: u64,
}

impl ScanStats {
    /// Waits for the gateway.
    pub fn wait<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let outcome = wait();
        self.waited += start.elapsed();
        outcome
    }

    /// Calls that were spent on the rows.
    pub fn spent(&self) -> u64 {
        self.meter.stats().calls + self.elsewhere
    }

    /// Counts a page.
    pub fn add(&mut self, page: &Page) {
        self.pages += 1;
        self.rows += page.rows() as u64;
        self.wire_bytes += page.wire_bytes();
        self.decoded_bytes += page.decoded_bytes();
    }
}
