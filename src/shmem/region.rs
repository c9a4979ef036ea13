//! Layout of the shared region, and access to it: atomics only, zeroed memory at first.

use super::counters::Counters;
use intacct::calls::CallCount;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{PoisonError, RwLock};

/// Servers that can be distinguished, in the whole cluster. Those beyond have no shared counters and no shared limiter.
pub const SERVERS: usize = 2048;

/// Everything that is shared.
#[repr(C)]
pub struct Region {
    pub servers: [Server; SERVERS],
    pub scans: Scans,
    pub sessions: Sessions,
}

impl Region {
    /// The slot of a server, claimed where it has none; `since`: when counting begins then. None when all are taken.
    pub fn claim(&self, key: u64, since: i64) -> Option<usize> {
        let start = (key ^ key >> 32) as usize % SERVERS;
        let mut slots = (0..SERVERS).map(|step| (start + step) % SERVERS);
        slots.find(|slot| {
            let server = &self.servers[*slot];
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
    /// OIDs of database and server; 0: free. A slot is never given to another server.
    pub key: AtomicU64,
    /// When the first request was counted, in PostgreSQL's own microseconds; 0: the server was dropped, as far as is known.
    pub since: AtomicI64,
    pub counters: Counters,
    pub calls: CallCount,
    pub limiter: intacct::limiter::Slots,
}

/// The region while it may be touched. It is closed when the backend exits: dynamic shared memory is unmapped then,
/// perhaps before the I/O thread has ended.
pub static OPEN: RwLock<Option<Mapped>> = RwLock::new(None);

/// Where the region is.
#[derive(Clone, Copy)]
pub struct Mapped {
    pub region: &'static Region,
    /// Other backends see it too.
    pub is_shared: bool,
}

/// The slot of a server in the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerSlot(pub usize);

/// Does something with the region; nothing comes of it once the backend exits. Callable from any thread after
/// [`attach`](fn@super::attach). `work` must not call PostgreSQL.
pub fn with<T>(work: impl FnOnce(&Region) -> T) -> Option<T> {
    let open = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    open.map(|mapped| work(mapped.region))
}

/// Scans that can be seen at once, in the whole cluster.
pub const SCANS: usize = 256;
/// Bytes of an object's name that are kept.
pub const OBJECT_NAME: usize = 64;

/// The running scans.
#[repr(C)]
pub struct Scans {
    pub numbers: AtomicU32,
    pub scans: [Scan; SCANS],
}

#[repr(C)]
pub struct Scan {
    /// Process and a running number; 0: free.
    pub owner: AtomicU64,
    /// The owner whose values these are: until it is equal to `owner`, they are not all written.
    pub written: AtomicU64,
    pub database: AtomicU32,
    pub server: AtomicU32,
    pub relation: AtomicU32,
    pub started: AtomicI64,
    pub rows: AtomicU64,
    /// One more than the number, 0: unknown.
    pub total: AtomicU64,
    pub pages: AtomicU64,
    pub object: [AtomicU64; OBJECT_NAME / 8],
}

/// Sessions that can be shared at once, in the whole cluster.
pub const SESSIONS: usize = 128;
/// Bytes of a sealed session.
pub const SEALED: usize = 1024;

/// The shared sessions.
#[repr(C)]
pub struct Sessions(pub [SharedSession; SESSIONS]);

#[repr(C)]
pub struct SharedSession {
    /// OIDs of the database and the user mapping; 0: free.
    pub key: AtomicU64,
    /// The process that signs in; 0: none.
    pub claim: AtomicU32,
    pub length: AtomicU32,
    /// Counts the sessions that were left here.
    pub number: AtomicU64,
    /// When the session must be renewed, on the shared clock; 0: there is none.
    pub until: AtomicU64,
    pub bytes: [AtomicU64; SEALED / 8],
    pub beside: Beside,
}

/// Bytes of what is sealed beside a session.
pub const SEALED_BESIDE: usize = 256;

/// What was left beside a session.
#[repr(C)]
pub struct Beside {
    /// The session's number; 0: nothing, or it is being written.
    pub number: AtomicU64,
    /// The process that writes; 0: none.
    pub writer: AtomicU32,
    pub length: AtomicU32,
    /// Until when it may be used, on the shared clock.
    pub until: AtomicU64,
    pub bytes: [AtomicU64; SEALED_BESIDE / 8],
}

/// A server of a database, as the region keeps it.
pub fn key(database: u32, server: u32) -> u64 {
    u64::from(database) << 32 | u64::from(server)
}

/// Milliseconds of a clock that all processes share and that never goes back.
pub fn clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// Whether a process exists.
pub fn is_alive(process: u32) -> bool {
    let pid = i32::try_from(process)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    // Any other error than "no such process" means that there is one.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}
