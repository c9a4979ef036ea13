//! The request log: what tests read to see what a client really asked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// One function of a request.
#[derive(Debug, Clone, Serialize, Default)]
pub struct CallEntry {
    /// Function name.
    pub function: String,
    /// Object, where the function names one.
    pub object: String,
    /// `function@controlid`.
    pub controlid: String,
    /// The call as XML.
    pub xml: String,
    /// `pagesize`, where given.
    pub pagesize: Option<u64>,
    /// `offset`, where given.
    pub offset: Option<u64>,
    /// Rows answered.
    pub rows: usize,
    /// Rows that match, where the function counts.
    pub total: Option<usize>,
    /// First error number of this function.
    pub error: Option<String>,
}

/// One HTTP request.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Entry {
    /// Counts from 1 since the last clear.
    pub n: u64,
    /// When it came in, RFC 3339.
    pub time: String,
    /// Company id.
    pub company: String,
    /// Login id.
    pub user: String,
    /// Entity of the session; empty at top level.
    pub location: String,
    /// How it signed in: `login`, `session` or nothing.
    pub auth: String,
    /// Function names.
    pub functions: Vec<String>,
    /// Object of the first function that names one.
    pub object: String,
    /// First function as XML; credentials are in none.
    pub query: String,
    /// `pagesize` of the first function that has one.
    pub pagesize: Option<u64>,
    /// `offset` of the first function that has one.
    pub offset: Option<u64>,
    /// Rows answered by all functions.
    pub rows: usize,
    /// Bytes of the request body.
    pub request_bytes: usize,
    /// Bytes of the response body on the wire (compressed where it is).
    pub bytes: usize,
    /// HTTP status; 0: the connection was closed without one.
    pub status: u16,
    /// From the last byte of the request to the response being ready, milliseconds.
    pub duration_ms: f64,
    /// Function control ids.
    pub controlids: Vec<String>,
    /// `control/uniqueid`.
    pub uniqueid: bool,
    /// All functions.
    pub calls: Vec<CallEntry>,
    /// First error number at any level.
    pub error: Option<String>,
    /// Name of the scripted fault that hit this request.
    pub fault: Option<String>,
}

/// Most entries kept.
const LIMIT: usize = 200_000;
/// Most bytes of documents kept in them.
const BYTES: usize = 512 << 20;

/// All requests since the last clear, the first of them where there are too many.
#[derive(Debug, Default)]
pub struct Log {
    inner: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    entries: Vec<Entry>,
    bytes: usize,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry and numbers it.
    pub fn add(&self, mut entry: Entry) {
        let mut log = self.lock();
        log.last += 1;
        entry.n = log.last;
        let documents = entry.calls.iter().map(|call| call.xml.len());
        let bytes = entry.query.len() + documents.sum::<usize>();
        if log.entries.len() < LIMIT && log.bytes + bytes <= BYTES {
            log.bytes += bytes;
            log.entries.push(entry);
        }
    }

    /// A copy of all entries.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// A copy of the entries after number `n`.
    pub fn since(&self, n: u64) -> Vec<Entry> {
        self.lock().entries.iter().filter(|e| e.n > n).cloned().collect()
    }

    /// Forgets all entries and counts from 1 again.
    pub fn clear(&self) {
        *self.lock() = Kept::default();
    }
}
