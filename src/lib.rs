//! Sage Intacct as PostgreSQL foreign tables.
mod catalog;
mod compat;
mod connection;
mod convert;
mod error;
mod exec;
mod ffi;
mod functions;
mod guc;
mod handler;
mod import;
mod io;
mod modify;
mod options;
mod panic;
mod plan;
mod private;
mod request_log;
mod shmem;
mod statement_calls;
mod table_cache;
mod write_log;

pgrx::pg_module_magic!(name, version);

/// Called once when the library is loaded: by the first use in a backend, or by the postmaster when it is preloaded.
/// Only settings are made and shared memory is reserved here; threads and connections wait for the first request.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    panic::init();
    guc::init();
    plan::init();
    exec::init();
    shmem::init();
}
