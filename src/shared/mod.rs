//! What backends share: counters of requests, the budget of requests in flight, and what scans are doing.
//!
//! All of it is atomics in one [`Region`], zeroed memory at first. It lies in shared memory when the library is
//! preloaded (or on PostgreSQL 17 and later, where it can be had at any time); else in the backend's own memory, and
//! then it tells of this backend alone. The I/O thread writes there too, without calling PostgreSQL.

mod budget;
mod calls;
mod counters;
pub mod kept;
mod memory;
mod scans;
mod sessions;

pub use budget::ServerBudget;
pub use calls::ServerCalls;
pub use counters::{Counters, Snapshot};
pub use memory::init;
pub use scans::{Tracked, running};
pub use sessions::MappingShare;

use intacct::calls::CallCount;
use pgrx::pg_sys;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{PoisonError, RwLock};

/// Servers that can be told apart, in the whole cluster. Those beyond have no shared counters and no shared budget.
const SERVERS: usize = 512;

/// Everything that is shared.
#[repr(C)]
pub struct Region {
    servers: [Server; SERVERS],
    scans: scans::Scans,
    sessions: sessions::Sessions,
}

impl Region {
    /// The place of a server, taken where it has none; `since`: when counting begins then. None when all are taken.
    fn claim(&self, key: u64, since: i64) -> Option<usize> {
        let start = (key ^ key >> 32) as usize % SERVERS;
        let mut places = (0..SERVERS).map(|step| (start + step) % SERVERS);
        places.find(|place| {
            let server = &self.servers[*place];
            match server.key.compare_exchange(0, key, SeqCst, SeqCst) {
                Ok(_) => {
                    server.since.store(since, SeqCst);
                    true
                }
                Err(taken) => taken == key,
            }
        })
    }
}

/// What is shared about one server of one database.
#[repr(C)]
pub struct Server {
    /// OIDs of database and server; 0: free. A place is never given to another server.
    key: AtomicU64,
    /// When the first request was counted, in PostgreSQL's own microseconds; 0: the server was dropped, as far as is known.
    since: AtomicI64,
    counters: Counters,
    calls: CallCount,
    quota: intacct::quota::Quota,
}

/// The region while it may be touched. It is closed when the backend exits: dynamic shared memory is unmapped then,
/// perhaps before the I/O thread has ended.
static OPEN: RwLock<Option<Mapped>> = RwLock::new(None);

/// Where the region is.
#[derive(Clone, Copy)]
struct Mapped {
    region: &'static Region,
    /// Other backends see it too.
    is_shared: bool,
}

/// The place of a server in the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

/// Does something with the region; nothing comes of it once the backend exits. Callable from any thread after
/// [`attach`]. `work` must not call PostgreSQL.
fn with<T>(work: impl FnOnce(&Region) -> T) -> Option<T> {
    let open = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    open.map(|mapped| work(mapped.region))
}

/// Makes the region reachable; says whether other backends see it too. Main thread only.
pub fn attach() -> bool {
    let known = *OPEN.read().unwrap_or_else(PoisonError::into_inner);
    let mapped = known.unwrap_or_else(|| {
        let mapped = memory::map();
        *OPEN.write().unwrap_or_else(PoisonError::into_inner) = Some(mapped);
        mapped
    });
    memory::close_at_exit();
    mapped.is_shared
}

/// Takes back what this process holds, keeps what it has counted, and lets nobody touch the region any more.
fn close() {
    calls::give_back();
    let open = *OPEN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(mapped) = open {
        kept::save_at_exit(mapped);
    }
    let process = std::process::id();
    with(|region| {
        for server in &region.servers {
            if server.key.load(SeqCst) != 0 {
                server.quota.release(process);
            }
        }
        region.scans.release(process);
        region.sessions.release(process);
    });
    *OPEN.write().unwrap_or_else(PoisonError::into_inner) = None;
}

/// The place of a server of this database, made at its first use; none when all are taken. Main thread, after
/// [`attach`].
pub fn place(server: pg_sys::Oid) -> Option<Place> {
    // SAFETY: main thread; constant while the backend lives.
    let database = unsafe { pg_sys::MyDatabaseId };
    let key = kept::key(database.to_u32(), server.to_u32());
    // SAFETY: main thread; reads the clock.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let place = with(|region| {
        let place = region.claim(key, now)?;
        // It is in use again, or it is a server whose making was not committed when somebody looked for it.
        let _ = region.servers[place]
            .since
            .compare_exchange(0, now, SeqCst, SeqCst);
        Some(place)
    });
    place?.map(Place)
}

/// Counts something for the server at `place`. Callable from any thread; `count` must not call PostgreSQL.
pub fn count(place: Place, count: impl FnOnce(&Counters)) {
    with(|region| count(&region.servers[place.0].counters));
    kept::counted();
}

/// A server of this database in the region.
pub struct Known {
    /// Its OID; it may have been dropped meanwhile.
    pub server: pg_sys::Oid,
    /// Its place.
    pub place: Place,
    /// Since when there are counters.
    pub since: pg_sys::TimestampTz,
    /// The counters.
    pub counters: Snapshot,
}

/// The servers of this database that anybody has asked. Main thread, after [`attach`].
pub fn servers() -> Vec<Known> {
    // SAFETY: as in `place`.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    let list = with(|region| {
        let known = region.servers.iter().enumerate().filter_map(|(place, server)| {
            let key = server.key.load(SeqCst);
            let since = server.since.load(SeqCst);
            (key != 0 && since != 0 && (key >> 32) as u32 == database).then(|| Known {
                server: pg_sys::Oid::from(key as u32),
                place: Place(place),
                since,
                counters: server.counters.snapshot(),
            })
        });
        known.collect()
    });
    list.unwrap_or_default()
}

/// Milliseconds of a clock that all processes share and that never goes back.
fn clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// Whether a process exists.
fn is_alive(process: u32) -> bool {
    let pid = i32::try_from(process)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    // Any other error than "no such process" means that there is one.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}
