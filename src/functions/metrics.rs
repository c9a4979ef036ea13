//! `metrics`, for monitoring systems: counters that outlive the server's run, and the view over all that is watched.

use super::access::{exists, may_use, reads_all_stats};
use super::request_stats::errors;
use crate::error::Report;
use crate::options::server_name;
use crate::shmem::{self, kept};
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

extension_sql_file!(
    "../../sql/monitoring/metrics.sql",
    name = "metrics",
    requires = [
        request_totals,
        request_stats,
        "progress",
        "write_log",
        "mirror_registry"
    ]
);

/// Requests to the servers of this database in the whole life of the cluster, crashes excepted. Where backends
/// share no memory, what others ask is counted when they end. Only of servers that the current user may use, except for
/// members of `pg_read_all_stats`.
#[pg_extern(volatile)]
#[allow(clippy::type_complexity)]
fn request_totals() -> TableIterator<
    'static,
    (
        name!(server, String),
        name!(since, Option<TimestampWithTimeZone>),
        name!(requests, i64),
        name!(retries, i64),
        name!(failures, i64),
        name!(abandoned, i64),
        name!(sign_ins, i64),
        name!(errors, JsonB),
        name!(rows, i64),
        name!(sent_bytes, i64),
        name!(wire_bytes, i64),
        name!(decoded_bytes, i64),
        name!(gateway_seconds, f64),
        name!(queued_seconds, f64),
        name!(paused_seconds, f64),
    ),
> {
    // SAFETY: main thread; constant while the backend lives.
    let here = unsafe { pg_sys::MyDatabaseId };
    let is_shared = shmem::attach();
    let (totals, saved) = kept::all(&dropped(here, is_shared));
    if let Err(error) = saved {
        Report::new(
            PgSqlErrorCode::ERRCODE_IO_ERROR,
            format!("could not store the request counters: {error}"),
        )
        .hint("They start from zero at the next start of the server if sage_intacct/ in the data directory cannot \
               be written.")
        .emit(PgLogLevel::WARNING);
    }
    let sees_all = reads_all_stats();
    let rows = totals
        .into_iter()
        .filter(|total| total.database == here.to_u32())
        .map(|total| (pg_sys::Oid::from(total.server), total.since, total.counters))
        .filter(|(server, ..)| exists(*server) && (sees_all || may_use(*server)))
        .map(|(server, since, counters)| {
            let errors = errors(&counters);
            (
                server_name(server),
                TimestampWithTimeZone::try_from(since).ok(),
                counters.requests as i64,
                counters.retries as i64,
                counters.failures as i64,
                counters.abandoned as i64,
                counters.sign_ins as i64,
                errors,
                counters.rows as i64,
                counters.sent_bytes as i64,
                counters.wire_bytes as i64,
                counters.decoded_bytes as i64,
                counters.gateway.as_secs_f64(),
                counters.queued.as_secs_f64(),
                counters.paused.as_secs_f64(),
            )
        });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// Servers with counters that are no more: dropped ones of this database, and all of databases that were dropped.
fn dropped(here: pg_sys::Oid, is_shared: bool) -> Vec<(u32, u32)> {
    let known = kept::known(is_shared).into_iter();
    let is_gone = |(database, server): &(u32, u32)| match *database == here.to_u32() {
        true => !exists(pg_sys::Oid::from(*server)),
        // SAFETY: main thread inside a transaction; NULL where there is no such database.
        false => unsafe { pg_sys::get_database_name(pg_sys::Oid::from(*database)).is_null() },
    };
    known.filter(is_gone).collect()
}
