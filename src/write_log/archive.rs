//! Settled entries move from the file to a table. They leave the file when the transaction that has put them into the
//! table is committed: after a crash in between they are in both, and the table knows them by their control ids.

use super::entries::{self, LogEntry};
use super::file::LogFile;
use super::log_file;
use super::owner::as_owner;
use super::record::LogRecord;
use crate::error::raise_internal;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use pgrx::{pg_guard, pg_sys, spi};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::c_void;

/// Bytes of the file from which a write archives by the way.
const LARGE: u64 = 1 << 20;
/// Advisory lock of the archiving backend: class, then the database's by itself.
const LOCK_CLASS: i32 = 727_021_358;

thread_local! {
    /// What this transaction has put into the table, and the file that it is from.
    static MOVED: RefCell<Option<(LogFile, HashSet<String>)>> = const { RefCell::new(None) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    /// Size of the file at which it is worth while to look again.
    static NEXT: Cell<u64> = const { Cell::new(LARGE) };
}

/// Archives when the file is large. Main thread only.
pub fn when_large() {
    let log = log_file();
    let size = log.size();
    if size >= NEXT.get() {
        NEXT.set(2 * size);
        move_settled(&log);
    }
}

/// Moves what is settled into the table, unless another backend does so; returns how many entries. Main thread only.
pub fn archive() -> usize {
    move_settled(&log_file())
}

fn move_settled(log: &LogFile) -> usize {
    let Ok(files) = log.read_all() else { return 0 };
    let own = files.into_iter().find(|(header, _)| header == log.header());
    let Some((header, bytes)) = own else { return 0 };
    let mut settled = entries::read(&bytes, &header, true);
    settled.retain(LogEntry::is_settled);
    if settled.is_empty() {
        return 0;
    }
    let moved = as_owner(|| Spi::connect_mut(|client| insert(client, &settled)));
    match moved {
        Ok(false) => return 0,
        Ok(true) => {}
        Err(error) => raise_internal(&format!("sage_intacct.settled_write cannot be written: {error}")),
    }
    if !REGISTERED.replace(true) {
        // SAFETY: main thread; the callbacks live as long as the library, which is never unloaded.
        unsafe {
            pg_sys::RegisterXactCallback(Some(transaction_ends), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(subtransaction_ends), std::ptr::null_mut());
        }
    }
    // They leave the file at the commit: by then they must be on the disk, whatever synchronous_commit is.
    // SAFETY: main thread inside a transaction; sets a flag of it.
    unsafe { pg_sys::ForceSyncCommit() };
    let count = settled.len();
    MOVED.with_borrow_mut(|moved| {
        let (_, ids) = moved.get_or_insert_with(|| (log.clone(), HashSet::new()));
        ids.extend(settled.into_iter().map(|entry| entry.function.control_id));
    });
    count
}

/// `false` when another backend is at it.
fn insert(client: &mut spi::SpiClient<'_>, settled: &[LogEntry]) -> spi::Result<bool> {
    const LOCK: &str = "SELECT pg_catalog.pg_try_advisory_xact_lock($1, 0)";
    const INSERT: &str = "
        INSERT INTO sage_intacct.settled_write
               (control_id, sent, role, role_oid, server, server_oid, company, object, function, rows, key_field, keys,
                body_hash, outcome, outcome_at, reason)
        VALUES ($1, $2, $3::pg_catalog.name, $4, $5::pg_catalog.name, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        ON CONFLICT (control_id) DO UPDATE
           SET sent = excluded.sent, outcome = excluded.outcome, outcome_at = excluded.outcome_at,
               reason = excluded.reason";
    const FORGET: &str = "
        DELETE FROM sage_intacct.settled_write w
         WHERE w.outcome_at OPERATOR(pg_catalog.<) (SELECT pg_catalog.now() OPERATOR(pg_catalog.-) r.keep
                                                      FROM sage_intacct.write_log_retention r)";
    let free: Option<bool> = client.update(LOCK, None, &[LOCK_CLASS.into()])?.first().get(1)?;
    if free != Some(true) {
        return Ok(false);
    }
    let statement = client.prepare_mut(
        INSERT,
        &[
            PgBuiltInOids::TEXTOID.oid(),
            PgBuiltInOids::TIMESTAMPTZOID.oid(),
            PgBuiltInOids::TEXTOID.oid(),
            PgBuiltInOids::OIDOID.oid(),
            PgBuiltInOids::TEXTOID.oid(),
            PgBuiltInOids::OIDOID.oid(),
            PgBuiltInOids::TEXTOID.oid(),
            PgBuiltInOids::TEXTOID.oid(),
            PgBuiltInOids::TEXTOID.oid(),
            PgBuiltInOids::INT8OID.oid(),
            PgBuiltInOids::TEXTOID.oid(),
            PgBuiltInOids::TEXTARRAYOID.oid(),
            PgBuiltInOids::TEXTOID.oid(),
            PgBuiltInOids::TEXTOID.oid(),
            PgBuiltInOids::TIMESTAMPTZOID.oid(),
            PgBuiltInOids::TEXTOID.oid(),
        ],
    )?;
    for entry in settled {
        let (sent, function) = (&entry.sent, &entry.function);
        let arguments = [
            function.control_id.as_str().into(),
            instant(sent.at).into(),
            sent.role.as_str().into(),
            pg_sys::Oid::from(sent.role_oid).into(),
            sent.server.as_str().into(),
            pg_sys::Oid::from(sent.server_oid).into(),
            sent.connection.company.as_str().into(),
            function.object.as_str().into(),
            function.function.as_str().into(),
            (function.keys.len() as i64).into(),
            function.key_field.as_deref().into(),
            function.keys.clone().into(),
            function.body_hash.as_str().into(),
            entry.outcome.map_or("", |outcome| outcome.as_str()).into(),
            instant(entry.outcome_at.unwrap_or(sent.at)).into(),
            entry.reason.as_str().into(),
        ];
        client.update(&statement, None, &arguments)?;
    }
    client.update(FORGET, None, &[])?;
    Ok(true)
}

/// Microseconds since 1970 as PostgreSQL's timestamp.
pub fn instant(micros: i64) -> Option<TimestampWithTimeZone> {
    /// From 1970-01-01 to 2000-01-01.
    const EPOCH: i64 = 946_684_800_000_000;
    TimestampWithTimeZone::try_from(micros - EPOCH).ok()
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_COMMIT => {
            // No catalog may be accessed here.
            if let Some((log, moved)) = MOVED.take() {
                // What stays in the file is moved once more, and then is there already.
                let _ = log.rewrite(|record| without(record, &moved));
                NEXT.set(LARGE.max(2 * log.size()));
            }
        }
        // Prepared is not committed.
        pg_sys::XactEvent::XACT_EVENT_ABORT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            MOVED.take();
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
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        MOVED.take();
    }
}

/// A record without the functions that have been moved; none when nothing is left of it.
fn without(record: LogRecord, moved: &HashSet<String>) -> Option<LogRecord> {
    match record {
        LogRecord::Header(header) => Some(LogRecord::Header(header)),
        LogRecord::Sent(mut sent) => {
            sent.functions
                .retain(|function| !moved.contains(&function.control_id));
            (!sent.functions.is_empty()).then_some(LogRecord::Sent(sent))
        }
        LogRecord::Ended(mut ended) => {
            ended.functions.retain(|(id, ..)| !moved.contains(id));
            (!ended.functions.is_empty()).then_some(LogRecord::Ended(ended))
        }
    }
}
