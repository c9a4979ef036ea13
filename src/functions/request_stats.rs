//! Counters of requests.

use super::access::{exists, may_use, reads_all_stats};
use crate::options::{self, server_name};
use crate::shmem::{ServerCalls, ServerSlot, Snapshot};
use crate::{guc, request_log, shmem};
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

/// Requests to each server: by this backend since it began, and by all backends where they share memory. Only of
/// servers that the current user may use, except for members of `pg_read_all_stats`.
#[pg_extern(volatile, parallel_restricted)]
#[allow(clippy::type_complexity)]
fn request_stats() -> TableIterator<
    'static,
    (
        name!(server, String),
        name!(scope, &'static str),
        name!(since, Option<TimestampWithTimeZone>),
        name!(requests, i64),
        name!(calls, i64),
        name!(retries, i64),
        name!(failures, i64),
        name!(abandoned, i64),
        name!(sign_ins, i64),
        name!(errors, JsonB),
        name!(rows, i64),
        name!(sent_bytes, i64),
        name!(wire_bytes, i64),
        name!(decoded_bytes, i64),
        name!(gateway_ms, f64),
        name!(queued_ms, f64),
        name!(paused_ms, f64),
        name!(calls_today, Option<i64>),
        name!(max_calls_per_day, Option<i64>),
    ),
> {
    let sees_all = reads_all_stats();
    let own = request_log::own().into_iter();
    let mut all: Vec<_> = own
        .map(|own| ("backend", own.server, own.since, own.counters, None))
        .collect();
    if shmem::attach() {
        let shared = shmem::servers().into_iter();
        all.extend(shared.map(|known| {
            (
                "all backends",
                known.server,
                known.since,
                known.counters,
                Some(known.slot),
            )
        }));
    }
    let rows = all
        .into_iter()
        .filter(|(_, server, ..)| exists(*server) && (sees_all || may_use(*server)))
        .map(|(scope, server, since, counters, slot)| {
            let milliseconds = |time: std::time::Duration| time.as_micros() as f64 / 1000.0;
            let errors = errors(&counters);
            let name = server_name(server);
            let (calls, limit) = calls(server, &name, slot);
            (
                name,
                scope,
                TimestampWithTimeZone::try_from(since).ok(),
                counters.requests as i64,
                counters.calls as i64,
                counters.retries as i64,
                counters.failures as i64,
                counters.abandoned as i64,
                counters.sign_ins as i64,
                errors,
                counters.rows as i64,
                counters.sent_bytes as i64,
                counters.wire_bytes as i64,
                counters.decoded_bytes as i64,
                milliseconds(counters.gateway),
                milliseconds(counters.queued),
                milliseconds(counters.paused),
                calls,
                limit,
            )
        });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// The calls of all backends today, and what this session may have of them.
fn calls(server: pg_sys::Oid, name: &str, slot: Option<ServerSlot>) -> (Option<i64>, Option<i64>) {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let Some(slot) = slot else { return (None, None) };
    let used = ServerCalls::new(slot, server, name.to_owned()).used();
    let limit = options::server(server)
        .ok()
        .and_then(|options| guc::max_calls_per_day(options.max_calls_per_day));
    (Some(count(used)), limit.map(count))
}

/// Failed attempts by SQLSTATE.
pub(super) fn errors(counters: &Snapshot) -> JsonB {
    let errors = counters
        .errors
        .iter()
        .map(|(state, count)| (crate::error::state_name(*state), (*count).into()));
    JsonB(serde_json::Value::Object(errors.collect()))
}
