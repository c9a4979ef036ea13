//! Observer of requests: the counters of this backend, those of all backends, and the log.

use crate::io;
use crate::shmem::{self, Counters, ServerSlot, Snapshot};
use intacct::{Event, Observer, Outcome};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::time::Duration;

/// Counters of this backend's requests to a server. They live as long as the backend: sessions come and go.
struct Own {
    server: pg_sys::Oid,
    since: pg_sys::TimestampTz,
    counters: &'static Counters,
}

thread_local! {
    static OWN: RefCell<Vec<Own>> = const { RefCell::new(Vec::new()) };
}

/// Counters of this backend's requests to a server.
pub struct OwnCounters {
    /// The server; it may have been dropped meanwhile.
    pub server: pg_sys::Oid,
    /// Since when they count.
    pub since: pg_sys::TimestampTz,
    /// The counters.
    pub counters: Snapshot,
}

/// What this backend has asked, by server. Main thread only.
pub fn own() -> Vec<OwnCounters> {
    OWN.with_borrow(|own| {
        own.iter()
            .map(|own| OwnCounters {
                server: own.server,
                since: own.since,
                counters: own.counters.snapshot(),
            })
            .collect()
    })
}

/// Observer of the requests to one server, on the I/O thread.
pub struct RequestObserver {
    name: String,
    own: &'static Counters,
    /// Where all backends count, or what this one adds to the kept counters.
    slot: Option<ServerSlot>,
}

impl RequestObserver {
    /// The observer for a server; `slot`: its counters among those of all backends. Main thread only.
    pub fn new(server: pg_sys::Oid, name: String, slot: Option<ServerSlot>) -> RequestObserver {
        let own = OWN.with_borrow_mut(|own| {
            if let Some(known) = own.iter().find(|own| own.server == server) {
                return known.counters;
            }
            let counters: &'static Counters = Box::leak(Box::default());
            // SAFETY: main thread; reads the clock.
            let since = unsafe { pg_sys::GetCurrentTimestamp() };
            own.push(Own {
                server,
                since,
                counters,
            });
            counters
        });
        RequestObserver { name, own, slot }
    }
}

impl Observer for RequestObserver {
    fn event(&self, event: &Event<'_>) {
        self.own.count(event);
        if let Some(slot) = self.slot {
            shmem::count(slot, |counters| counters.count(event));
        }
        io::log_line(|| line(&self.name, event));
    }

    fn pause(&self, time: Duration) {
        self.own.pause(time);
        if let Some(slot) = self.slot {
            shmem::count(slot, |counters| counters.pause(time));
        }
    }
}

/// The line for the log.
fn line(server: &str, event: &Event<'_>) -> String {
    let object = event
        .object
        .map(|object| format!(" {object}"))
        .unwrap_or_default();
    let outcome = match event.outcome {
        Outcome::Success => "ok".to_owned(),
        Outcome::Retry(error) => format!("will be retried: {error}"),
        Outcome::Failure(error) => format!("failed: {error}"),
        Outcome::Abandoned => "abandoned: the response is no longer needed".to_owned(),
        _ => "ended".to_owned(),
    };
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    format!(
        "{server}: {}{object}: {outcome}, {} rows, {} bytes, {:.1} ms after {:.1} ms in the queue, attempt {}, \
         controlid {}",
        event.function,
        event.rows,
        event.wire_bytes,
        milliseconds(event.duration),
        milliseconds(event.queued),
        event.attempt,
        event.control_id,
    )
}
