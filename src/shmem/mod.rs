//! Memory that backends share: counters of requests, the limiter of requests in flight, progress of scans, sessions.
//!
//! All of it is atomics in one region. It lies in shared memory when the library is preloaded (or on PostgreSQL 17 and
//! later, where it can be had at any time); else in the backend's own memory, and then it shows this backend alone. The I/O
//! thread writes there too, without calling PostgreSQL.

mod attach;
mod calls;
mod counters;
pub mod kept;
mod limiter;
mod mapping;
mod progress;
mod region;
mod servers;
mod sessions;

pub use attach::attach;
pub use calls::ServerCalls;
pub use counters::{Counters, Snapshot};
pub use limiter::ServerLimiter;
pub use mapping::init;
pub use progress::{Tracked, running};
pub use region::ServerSlot;
pub use servers::{count, servers, slot};
pub use sessions::MappingShare;
