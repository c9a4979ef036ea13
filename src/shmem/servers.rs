//! Servers in the shared region: their slots and counters.

use super::counters::{Counters, Snapshot};
use super::kept;
use super::region::{ServerSlot, key, with};
use pgrx::pg_sys;
use std::sync::atomic::Ordering::SeqCst;

/// The slot of a server of this database, claimed at its first use; none when all are taken. Main thread, after
/// [`attach`](fn@super::attach).
pub fn slot(server: pg_sys::Oid) -> Option<ServerSlot> {
    // SAFETY: main thread; constant while the backend lives.
    let database = unsafe { pg_sys::MyDatabaseId };
    let key = key(database.to_u32(), server.to_u32());
    // SAFETY: main thread; reads the clock.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let slot = with(|region| {
        let slot = region.claim(key, now)?;
        // It is in use again, or it is a server whose making was not committed when it was looked up.
        let _ = region.servers[slot]
            .since
            .compare_exchange(0, now, SeqCst, SeqCst);
        Some(slot)
    });
    slot?.map(ServerSlot)
}

/// Counts something for the server at `slot`. Callable from any thread; `count` must not call PostgreSQL.
pub fn count(slot: ServerSlot, count: impl FnOnce(&Counters)) {
    with(|region| count(&region.servers[slot.0].counters));
    kept::counted();
}

/// A server of this database in the region.
pub struct KnownServer {
    /// Its OID; it may have been dropped meanwhile.
    pub server: pg_sys::Oid,
    /// Its slot.
    pub slot: ServerSlot,
    /// Since when there are counters.
    pub since: pg_sys::TimestampTz,
    /// The counters.
    pub counters: Snapshot,
}

/// The servers of this database that were sent a request. Main thread, after [`attach`](fn@super::attach).
pub fn servers() -> Vec<KnownServer> {
    // SAFETY: as in `slot`.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    let list = with(|region| {
        let known = region.servers.iter().enumerate().filter_map(|(slot, server)| {
            let key = server.key.load(SeqCst);
            let since = server.since.load(SeqCst);
            (key != 0 && since != 0 && (key >> 32) as u32 == database).then(|| KnownServer {
                server: pg_sys::Oid::from(key as u32),
                slot: ServerSlot(slot),
                since,
                counters: server.counters.snapshot(),
            })
        });
        known.collect()
    });
    list.unwrap_or_default()
}
