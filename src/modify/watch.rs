//! A backend that exits while a write is under way: the write is closed, the write log records that the outcome is in doubt,
//! and the server's log has a line for whom it concerns.

use crate::error::Report;
use intacct::write::WriteProgress;
use intacct::{Error, ErrorKind};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};
use std::cell::{Cell, RefCell};

thread_local! {
    static UNDER_WAY: RefCell<Option<WriteProgress>> = const { RefCell::new(None) };
    static HOOK_PID: Cell<u32> = const { Cell::new(0) };
}

/// While this lives, a write is under way.
pub struct Watch(WriteProgress);

/// Watches over a write.
pub fn over(progress: &WriteProgress) -> Watch {
    let pid = std::process::id();
    if HOOK_PID.replace(pid) != pid {
        // SAFETY: main thread; the callback takes no argument and lives as long as the library.
        unsafe { pg_sys::before_shmem_exit(Some(backend_exits), pg_sys::Datum::from(0)) };
    }
    UNDER_WAY.replace(Some(progress.clone()));
    Watch(progress.clone())
}

impl Drop for Watch {
    fn drop(&mut self) {
        // However the wait has ended: nothing leaves any more. An error of the wait itself leaves the rows in doubt.
        if self.0.close() && std::thread::panicking() {
            self.0.failure(Error::new(ErrorKind::Internal, "the wait failed"));
        }
        UNDER_WAY.replace(None);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn backend_exits(_code: i32, _argument: pg_sys::Datum) {
    let Some(progress) = UNDER_WAY.take() else { return };
    progress.close();
    let failure = progress.failure(Error::new(ErrorKind::Internal, "the backend was terminated"));
    if failure.possible.is_empty() {
        return;
    }
    Report::new(
        PgSqlErrorCode::ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN,
        "a backend was terminated while Sage Intacct was writing: it is not known which rows are stored",
    )
    .detail(format!(
        "Rows in doubt: {}. Control IDs: {}.",
        failure.possible.len(),
        failure.control_ids.join(", ")
    ))
    .hint("SELECT * FROM sage_intacct.resolve_writes(server) looks them up.")
    .emit(PgLogLevel::LOG);
}
