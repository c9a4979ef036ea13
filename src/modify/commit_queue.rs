//! `write_mode 'on_commit'`: rows wait here and are sent when the transaction is about to commit, as one operation of
//! the gateway. A rollback, also one to a savepoint, forgets them; a refusal by the gateway aborts the transaction.

use super::row::WriteRow;
use super::send::Unsent;
use super::target::server_not_updatable;
use super::{interrupt, outcome, send, transaction, xact_log};
use crate::error::{Report, raise};
use crate::{connection, options, write_log};
use intacct::Client;
use intacct::write::{OnDuplicate, WriteOptions};
use pgrx::{PgList, PgSqlErrorCode, pg_guard, pg_sys};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_void};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Rows that may wait: one operation must carry them, and Intacct takes about a hundred at a time lightly.
const MOST_ROWS: usize = 1000;

struct Queue {
    server: pg_sys::Oid,
    user: pg_sys::Oid,
    client: Client,
    /// The options of the server and the mapping when the first row came.
    options: u64,
    rows: Vec<Waiting>,
}

/// A row, and the nesting of the subtransaction that wrote it; 1 is the transaction itself.
struct Waiting {
    level: i32,
    row: WriteRow,
}

thread_local! {
    static QUEUE: RefCell<Option<Queue>> = const { RefCell::new(None) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Lets a row wait for the commit. Raises when it cannot.
pub fn push(server: pg_sys::Oid, user: pg_sys::Oid, row: WriteRow) {
    transaction::register(&REGISTERED, Some(transaction_ends), Some(subtransaction_ends));
    let open = QUEUE.with_borrow(|queue| {
        queue
            .as_ref()
            .map(|queue| (queue.server, queue.user, queue.rows.len()))
    });
    match open {
        Some((other, ..)) if other != server => raise(
            refusal("a transaction can write to one server only when its rows wait for the commit")
                .detail(format!(
                    "Rows for server \"{}\" wait already.",
                    options::server_name(other)
                ))
                .hint("Commit first, or set the server option write_mode to immediate."),
        ),
        Some((_, other, _)) if other != user => raise(
            refusal("a transaction can write as one role only when its rows wait for the commit")
                .detail(format!(
                    "Rows of role \"{}\" wait already.",
                    options::role_name(other)
                ))
                .hint("Commit first, or set the server option write_mode to immediate."),
        ),
        Some((.., MOST_ROWS..)) => raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("more than {MOST_ROWS} rows would wait for the commit"),
            )
            .detail("Rows that wait are sent to Sage Intacct as one operation.")
            .hint("Commit more often, or set the server option write_mode to immediate."),
        ),
        Some(_) => {}
        None => {
            refuse_serializable();
            write_log::check_home(server);
            // Catalogs are read outside of the borrow: they may raise.
            let client = connection::client(server, user).unwrap_or_else(|report| raise(report));
            QUEUE.replace(Some(Queue {
                server,
                user,
                client,
                // SAFETY: main thread inside a transaction.
                options: unsafe { options_of(server, user) },
                rows: Vec::new(),
            }));
        }
    }
    // SAFETY: main thread; reads a counter of the transaction state.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    QUEUE.with_borrow_mut(|queue| {
        if let Some(queue) = queue {
            queue.rows.push(Waiting { level, row });
        }
    });
}

/// A mark of the options of a server and of the mapping of a user.
///
/// # Safety
/// Main thread inside a transaction. Raises when one of them is gone.
unsafe fn options_of(server: pg_sys::Oid, user: pg_sys::Oid) -> u64 {
    let mut hasher = DefaultHasher::new();
    // SAFETY: the lists are of the catalogs, in the current memory context.
    unsafe {
        let lists = [
            (*pg_sys::GetForeignServer(server)).options,
            (*pg_sys::GetUserMapping(user, server)).options,
        ];
        for list in lists {
            for option in PgList::<pg_sys::DefElem>::from_pg(list).iter_ptr() {
                CStr::from_ptr((*option).defname).hash(&mut hasher);
                CStr::from_ptr(pg_sys::defGetString(option)).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

fn refusal(message: &str) -> Report {
    Report::new(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, message)
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    match event {
        // Errors may still be raised here, and interrupts are served: nothing has been committed yet.
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT => {
            if let Some(queue) = QUEUE.take() {
                queue.send();
            }
        }
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => {
            let waiting =
                QUEUE.with_borrow(|queue| queue.as_ref().is_some_and(|queue| !queue.rows.is_empty()));
            if waiting {
                raise(
                    refusal(
                        "cannot PREPARE a transaction that has written to a server with write_mode on_commit",
                    )
                    .detail("Sage Intacct cannot hold rows until COMMIT PREPARED.")
                    .hint("Use COMMIT, or set the server option write_mode to immediate."),
                );
            }
        }
        pg_sys::XactEvent::XACT_EVENT_COMMIT => interrupt::committed(),
        pg_sys::XactEvent::XACT_EVENT_ABORT => {
            interrupt::aborted();
            QUEUE.take();
        }
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn subtransaction_ends(
    event: pg_sys::SubXactEvent::Type,
    _own: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut c_void,
) {
    // SAFETY: main thread; reads a counter of the transaction state.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    QUEUE.with_borrow_mut(|queue| {
        let Some(queue) = queue else { return };
        match event {
            pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => {
                for waiting in queue.rows.iter_mut().filter(|waiting| waiting.level >= level) {
                    waiting.level = level - 1;
                }
            }
            pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => {
                queue.rows.retain(|waiting| waiting.level < level);
            }
            _ => {}
        }
    });
    // A transaction that has taken back all that it wrote may go on with another server.
    QUEUE.with_borrow_mut(|queue| {
        if queue.as_ref().is_some_and(|queue| queue.rows.is_empty()) {
            *queue = None;
        }
    });
}

impl Queue {
    /// Raises when the server has been closed to writes since the rows were written.
    fn check_updatable(&self) {
        // A commit takes no lock that would bring what other sessions have changed. SAFETY: main thread in a transaction.
        unsafe { pg_sys::AcceptInvalidationMessages() };
        let server = options::server(self.server).unwrap_or_else(|error| raise(error));
        if !server.updatable {
            let report = Report::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "server \"{}\" does not allow the rows that wait for the commit to be written",
                    options::server_name(self.server)
                ),
            );
            raise(server_not_updatable(report, self.server));
        }
    }

    /// Sends all rows as one operation. Raises when they are not stored, so that the transaction is not committed; when
    /// they are, nothing interrupts the rest of the commit.
    fn send(self) {
        if self.rows.is_empty() {
            return;
        }
        self.check_updatable();
        refuse_serializable();
        // SAFETY: main thread; the transaction is not committed yet. What others have altered is looked for.
        let options = unsafe {
            pg_sys::AcceptInvalidationMessages();
            options_of(self.server, self.user)
        };
        if options != self.options {
            raise(
                Report::new(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "server \"{}\" was altered while rows waited for the commit",
                        options::server_name(self.server)
                    ),
                )
                .detail("The rows were taken under other options of the server or of the user mapping. None is sent.")
                .hint("Run the transaction again."),
            );
        }
        let rows: Arc<Vec<WriteRow>> = Arc::new(self.rows.into_iter().map(|waiting| waiting.row).collect());
        let options = WriteOptions {
            batch_size: rows.len(),
            on_duplicate: OnDuplicate::Fail,
        };
        let statement = xact_log::statement();
        match send::send(&self.client, self.server, &rows, options) {
            Ok(written) => {
                interrupt::hold_until_end();
                // Should the commit fail now, the rows are stored nevertheless.
                let stored = rows.iter().zip(&written.rows);
                xact_log::note(
                    statement,
                    stored.map(|(row, written)| (row, written.keys.as_slice())),
                );
                outcome::warn(&written.warnings, &rows, 0);
            }
            Err(unsent) => match *unsent {
                Unsent::Cancelled(failure) if failure.possible.is_empty() => {
                    xact_log::note(statement, xact_log::certain(&failure, &rows));
                    interrupt::serve(xact_log::stored_by(statement))
                }
                Unsent::Failed(failure) | Unsent::Cancelled(failure) => {
                    raise(outcome::report(&failure, &rows, 0, &[]))
                }
            },
        }
    }
}

/// PostgreSQL checks a serializable transaction after its rows were sent: it could fail when they are stored.
fn refuse_serializable() {
    // SAFETY: main thread; reads the state of the transaction.
    if unsafe { pg_sys::XactIsoLevel } == pg_sys::XACT_SERIALIZABLE as i32 {
        raise(
            refusal("cannot write to a server with write_mode on_commit in a serializable transaction")
                .detail(
                    "PostgreSQL may find a conflict and abort the transaction after Sage Intacct has accepted its rows.",
                )
                .hint("Use REPEATABLE READ, or set the server option write_mode to immediate."),
        );
    }
}
