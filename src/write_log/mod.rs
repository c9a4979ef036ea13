//! The write log: a file in which each request that writes is written down before it leaves, and what became of it.
//!
//! It is a file, not a table: a record must outlive the transaction that wrote, and its rollback. `frame.rs` is its
//! form, `record.rs` what is in it, `file.rs` the file, `entries.rs` what a reader makes of it. What is settled moves to
//! a table (`archive.rs`). `home.rs` refuses to write for a cluster that is a copy of the one that used to write.

mod archive;
mod directory;
mod entries;
mod file;
mod frame;
mod home;
mod owner;
mod record;
mod writer;

pub use archive::{archive, instant};
pub use directory::{DataDirectory, is_disk_full};
pub use entries::LogEntry;
pub use home::{adopt, check as check_home};
pub use record::{LogHeader, WriteConnection};
pub use writer::{Writer, settle};

use directory::data_directory;
use file::LogFile;
use pgrx::pg_sys;
use std::ffi::CStr;

/// What makes this cluster and database itself. Main thread only.
fn header() -> LogHeader {
    // SAFETY: main thread inside a transaction; the texts are copied. The timeline is asked for outside of recovery only,
    // where it is set.
    unsafe {
        let timeline = match pg_sys::RecoveryInProgress() {
            true => 0,
            false => pg_sys::GetWALInsertionTimeLine(),
        };
        let name = pg_sys::get_database_name(pg_sys::MyDatabaseId);
        let database = match name.is_null() {
            true => String::new(),
            false => CStr::from_ptr(name).to_string_lossy().into_owned(),
        };
        LogHeader {
            version: record::VERSION,
            system_identifier: pg_sys::GetSystemIdentifier().to_string(),
            timeline,
            data_directory: data_directory().to_string_lossy().into_owned(),
            database_oid: pg_sys::MyDatabaseId.to_u32(),
            database,
        }
    }
}

/// This database's log. Main thread only.
fn log_file() -> LogFile {
    LogFile::new(&data_directory(), header())
}

/// The entries of this database, those of another cluster included, in the order in which they were written. Main
/// thread only.
///
/// # Errors
/// A file that cannot be read.
pub fn entries() -> std::io::Result<Vec<LogEntry>> {
    let log = log_file();
    let mut all = Vec::new();
    for (header, bytes) in log.read_all()? {
        all.extend(entries::read(&bytes, &header, header == *log.header()));
    }
    all.sort_by_key(|entry| entry.sent.at);
    Ok(all)
}
