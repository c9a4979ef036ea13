//! The write log in SQL: what was sent, what became of it, and where servers are at home.

use super::access::{callers_client, is_ours, reads_all_stats, usable_server};
use crate::error::{Report, raise};
use crate::io;
use crate::options::role_name;
use crate::write_log::{self, LogEntry, instant};
use intacct::write::{DoubtfulRequest, WriteOutcome, resolve};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

extension_sql_file!(
    "../../sql/writes/log.sql",
    name = "write_log",
    requires = ["foreign_data_wrapper", write_log_file]
);

/// Reads the log.
fn entries() -> Vec<LogEntry> {
    write_log::entries().unwrap_or_else(|error| {
        raise(Report::new(
            PgSqlErrorCode::ERRCODE_IO_ERROR,
            format!("could not read the write log: {error}"),
        ))
    })
}

/// What became of an entry, in a word.
fn outcome(entry: &LogEntry) -> &'static str {
    match entry.outcome {
        Some(outcome) => outcome.as_str(),
        None if is_under_way(entry) => "under way",
        None => WriteOutcome::InDoubt.as_str(),
    }
}

/// Whether a process is at it still.
fn is_under_way(entry: &LogEntry) -> bool {
    let pid = entry.sent.pid as i32;
    // SAFETY: main thread; looks at the list of processes.
    unsafe {
        entry.is_own
            && entry.outcome.is_none()
            && entry.sent.start == pg_sys::PgStartTime
            && pid != pg_sys::MyProcPid
            && !pg_sys::BackendPidGetProc(pid).is_null()
    }
}

/// Whether the current user may see an entry: the writer, the owner of the server, a superuser.
fn is_seen(entry: &LogEntry) -> bool {
    let (role, server) = (
        pg_sys::Oid::from(entry.sent.role_oid),
        pg_sys::Oid::from(entry.sent.server_oid),
    );
    // SAFETY: main thread inside a transaction; each looks into a catalog, and finds nothing for what is gone.
    unsafe {
        let user = pg_sys::GetUserId();
        pg_sys::superuser()
            || (!role_name(role).is_empty() && pg_sys::has_privs_of_role(user, role))
            || owns(server)
    }
}

/// Whether the current user owns a server, or is a member of the role that does.
fn owns(server: pg_sys::Oid) -> bool {
    const MISSING_OK: pg_sys::bits16 = pg_sys::FSV_MISSING_OK as pg_sys::bits16;
    // SAFETY: main thread inside a transaction; a server that is gone gives NULL.
    unsafe {
        let known = pg_sys::GetForeignServerExtended(server, MISSING_OK);
        !known.is_null() && pg_sys::has_privs_of_role(pg_sys::GetUserId(), (*known).owner)
    }
}

/// The entries of the log's file that the current user may see; for counts also those of others, without what names
/// their records.
#[pg_extern(volatile)]
#[allow(clippy::type_complexity)]
fn write_log_file(
    counts: bool,
) -> TableIterator<
    'static,
    (
        name!(sent, Option<TimestampWithTimeZone>),
        name!(role, String),
        name!(server, String),
        name!(company, String),
        name!(object, String),
        name!(function, String),
        name!(rows, i64),
        name!(key_field, Option<String>),
        name!(keys, Vec<String>),
        name!(control_id, String),
        name!(body_hash, String),
        name!(outcome, &'static str),
        name!(outcome_at, Option<TimestampWithTimeZone>),
        name!(reason, String),
        name!(cluster, String),
    ),
> {
    let reads_all = counts && reads_all_stats();
    let rows = entries().into_iter().filter_map(|entry| {
        let seen = is_seen(&entry);
        if !seen && !reads_all {
            return None;
        }
        let cluster = match entry.is_own {
            true => "this cluster".to_owned(),
            false => format!(
                "another: system identifier {}, timeline {}, data directory \"{}\"",
                entry.header.system_identifier, entry.header.timeline, entry.header.data_directory
            ),
        };
        let shown = |text: String| if seen { text } else { String::new() };
        let outcome = outcome(&entry);
        let (sent, function) = (entry.sent, entry.function);
        Some((
            instant(sent.at),
            shown(sent.role.clone()),
            sent.server.clone(),
            shown(sent.connection.company.clone()),
            shown(function.object),
            shown(function.function),
            function.keys.len() as i64,
            function.key_field.filter(|_| seen),
            if seen { function.keys } else { Vec::new() },
            shown(function.control_id),
            shown(function.body_hash),
            outcome,
            entry.outcome_at.and_then(instant),
            shown(entry.reason),
            cluster,
        ))
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// Looks up at the gateway what is in doubt of a server's writes, as far as the current user may see them, and writes
/// down what it finds: stored, not stored, or still in doubt with the reason. What is settled moves to the audit log.
/// `gateway_limit` is the time in seconds after which the gateway executes a request no more: before, what is not there
/// may still come, however short this server waits for answers.
#[pg_extern(volatile)]
#[allow(clippy::type_complexity)]
fn resolve_writes(
    server: &str,
    gateway_limit: default!(f64, 900.0),
) -> TableIterator<
    'static,
    (
        name!(control_id, String),
        name!(object, String),
        name!(function, String),
        name!(key_field, Option<String>),
        name!(keys, Vec<String>),
        name!(outcome, &'static str),
        name!(reason, String),
    ),
> {
    // SAFETY: main thread inside a transaction; the name is a constant.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"sage_intacct.resolve_writes()".as_ptr()) };
    let Ok(patience) = Duration::try_from_secs_f64(gateway_limit) else {
        raise(Report::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("gateway_limit is not a number of seconds: {gateway_limit}"),
        ))
    };
    let oid = usable_server(server);
    let client = callers_client(server);
    let connection = write_log::WriteConnection::of(client.config());
    let all = entries();
    let created = created(&all);
    let mut rows = Vec::new();
    let mut doubtful: BTreeMap<(i64, u32), Vec<&LogEntry>> = BTreeMap::new();
    for entry in all.iter().filter(|entry| !entry.is_settled()) {
        if entry.sent.server_oid != oid.to_u32() || !is_seen(entry) {
            continue;
        }
        let there = &entry.sent.connection;
        let why = if !entry.is_own {
            "written by another cluster, of which this is a copy: it is settled there"
        } else if is_under_way(entry) {
            "a process is still waiting for the answer"
        } else if (&there.company, &there.url) != (&connection.company, &connection.url) {
            "written to a company or endpoint other than the one in the server's options"
        } else {
            doubtful
                .entry((entry.sent.at, entry.sent.pid))
                .or_default()
                .push(entry);
            continue;
        };
        rows.push(row(entry, WriteOutcome::InDoubt, why.to_owned()));
    }
    let requests: Vec<DoubtfulRequest> = doubtful
        .values()
        .map(|entries| request(entries, &connection, &created))
        .collect();
    if !requests.is_empty() {
        let resolved = io::run(move || async move { resolve(&client, &requests, patience).await });
        let resolved = resolved.unwrap_or_else(|error| raise(error));
        let mut settled = Vec::new();
        for (entry, resolution) in doubtful.values().flatten().zip(resolved.into_iter().flatten()) {
            if resolution.outcome != WriteOutcome::InDoubt {
                settled.push((
                    entry.function.control_id.clone(),
                    resolution.outcome,
                    resolution.reason.clone(),
                ));
            }
            rows.push(row(entry, resolution.outcome, resolution.reason));
        }
        if !settled.is_empty()
            && let Err(error) = write_log::settle(settled)
        {
            raise(Report::new(
                PgSqlErrorCode::ERRCODE_IO_ERROR,
                format!("could not write to the write log: {error}"),
            ));
        }
    }
    write_log::archive();
    TableIterator::new(rows)
}

type ResolvedRow = (
    String,
    String,
    String,
    Option<String>,
    Vec<String>,
    &'static str,
    String,
);

fn row(entry: &LogEntry, outcome: WriteOutcome, reason: String) -> ResolvedRow {
    let function = entry.function.clone();
    (
        function.control_id,
        function.object,
        function.function,
        function.key_field,
        function.keys,
        outcome.as_str(),
        reason,
    )
}

fn request(
    entries: &[&LogEntry],
    connection: &write_log::WriteConnection,
    created: &BTreeMap<(String, String), (i64, String)>,
) -> DoubtfulRequest {
    let first = entries[0];
    let instant =
        |micros: i64| jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let mut created_before = HashSet::new();
    for entry in entries {
        for key in &entry.function.keys {
            let name = (entry.function.object.clone(), key.clone());
            let other = created.get(&name);
            if other.is_some_and(|(at, id)| *at <= entry.sent.at && *id != entry.function.control_id) {
                created_before.insert(name);
            }
        }
    }
    DoubtfulRequest {
        functions: entries.iter().map(|entry| entry.function.clone()).collect(),
        transaction: first.sent.transaction,
        sent: instant(first.sent.at),
        last_sent: instant(
            entries
                .iter()
                .map(|entry| entry.last_sent)
                .max()
                .unwrap_or(first.sent.at),
        ),
        clock_offset: first.sent.clock,
        sees_all: first.sent.connection == *connection,
        created_before,
    }
}

/// Records that the log knows as created: by object and key, when that request left, and its control id.
fn created(all: &[LogEntry]) -> BTreeMap<(String, String), (i64, String)> {
    let mut created = BTreeMap::new();
    let stored = |entry: &&LogEntry| {
        entry.is_own
            && entry.outcome == Some(WriteOutcome::Stored)
            && entry.function.verb == Some(intacct::write::Verb::Create)
    };
    for entry in all.iter().filter(stored) {
        for key in &entry.function.keys {
            created
                .entry((entry.function.object.clone(), key.clone()))
                .or_insert_with(|| (entry.sent.at, entry.function.control_id.clone()));
        }
    }
    created
}

/// Lets a server be written through from this cluster and database, although it was from another one of which this is a
/// copy. Only for the server's owner. Says whether anything changed.
#[pg_extern(volatile)]
fn adopt_server(server: &str) -> bool {
    // SAFETY: main thread inside a transaction; the name is a constant.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"sage_intacct.adopt_server()".as_ptr()) };
    let oid = super::access::server(server);
    if !is_ours(oid) || !owns(oid) {
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("must be owner of foreign server {server}"),
            )
            .hint("The owner decides which cluster writes to the company."),
        );
    }
    write_log::adopt(oid)
}
