//! Sessions that this backend holds at the gateway.

use super::access::{may_use, usable_server};
use crate::connection;
use crate::options::{role_name, server_name};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

/// One row for each connection of this backend that the current user uses, of servers that it may use. The session's id
/// is a secret and is not among the columns.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn sessions() -> TableIterator<
    'static,
    (
        name!(server, String),
        name!(mapping, Option<String>),
        name!(user_id, String),
        name!(company_id, String),
        name!(entity, Option<String>),
        name!(endpoint_host, Option<String>),
        name!(expires, Option<TimestampWithTimeZone>),
    ),
> {
    // SAFETY: main thread inside a transaction.
    let user = unsafe { pg_sys::GetUserId() };
    let own = connection::open(user)
        .into_iter()
        .filter(|open| may_use(open.server));
    let rows = own.map(|open| {
        let config = open.client.config();
        let session = open.client.session_info();
        (
            server_name(open.server),
            mapped_role(open.mapping),
            config.user_id.clone(),
            config.company_id.clone(),
            session
                .as_ref()
                .and_then(|session| session.entity.clone())
                .or_else(|| config.location_id.clone()),
            session.as_ref().map(|session| session.endpoint_host.clone()),
            session.and_then(|session| session.expires).and_then(timestamp),
        )
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// Lets go of the current user's sessions of this backend at a server; returns how many there were. The next statement signs
/// in again.
#[pg_extern]
fn disconnect(server: &str) -> i32 {
    // SAFETY: main thread inside a transaction.
    let user = unsafe { pg_sys::GetUserId() };
    let closed = connection::close(usable_server(server), user);
    i32::try_from(closed).unwrap_or(i32::MAX)
}

/// The role that a user mapping is for; none when the mapping is gone.
fn mapped_role(mapping: pg_sys::Oid) -> Option<String> {
    // SAFETY: main thread inside a transaction; the tuple is released after its one attribute was read.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::USERMAPPINGOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, mapping.into());
        if tuple.is_null() {
            return None;
        }
        let mut is_null = false;
        let attribute = pg_sys::Anum_pg_user_mapping_umuser as pg_sys::AttrNumber;
        let role = pg_sys::SysCacheGetAttr(cache, tuple, attribute, &mut is_null);
        let role = pg_sys::Oid::from_datum(role, is_null);
        pg_sys::ReleaseSysCache(tuple);
        role.map(role_name)
    }
}

/// A point in time for PostgreSQL; none beyond its range.
pub(super) fn timestamp(instant: jiff::Timestamp) -> Option<TimestampWithTimeZone> {
    // PostgreSQL counts from 2000-01-01.
    const EPOCH: i64 = 946_684_800_000_000;
    TimestampWithTimeZone::try_from(instant.as_microsecond() - EPOCH).ok()
}
