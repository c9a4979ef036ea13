//! Requests of a refresh beside those for rows.

use super::super::access::{foreign_data_allowed, is_ours};
use super::super::sessions::timestamp;
use crate::catalog::ForeignTable;
use crate::error::{Report, raise};
use crate::{connection, io};
use futures_util::future::try_join;
use intacct::{
    AggregateFunction, Client, CompareOp, Condition, DialectKind, Error, ErrorKind, GatewayZone, PageRequest,
    Query, SelectItem, Value,
};
use jiff::Timestamp;
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::json;

/// Number of rows of a foreign table and sum of their keys, of those behind `after` and up to `upto`. Two requests, of
/// one row each. Both are null where the gateway's function cannot count.
#[pg_extern(volatile)]
fn mirror_totals(
    source: Option<pg_sys::Oid>,
    after: Option<i64>,
    upto: Option<i64>,
) -> TableIterator<'static, (name!(rows, Option<i64>), name!(key_sum, Option<AnyNumeric>))> {
    let table = readable_table(source.unwrap_or(pg_sys::InvalidOid));
    let capabilities = table.dialect().capabilities();
    let key = table
        .options
        .row_key
        .clone()
        .filter(|_| table.row_key_is_number());
    let totals = match key {
        Some(key) if capabilities.aggregates && capabilities.total_count => {
            let query = rows_between(&table, &key, after, upto);
            let (client, dialect) = (client(&table), table.dialect());
            let asked = io::run(move || ask(client, dialect, query, key));
            Some(asked.unwrap_or_else(|error| raise(error)))
        }
        _ => None,
    };
    TableIterator::once((
        totals.map(|(rows, _)| rows),
        totals.map(|(_, sum)| AnyNumeric::from(sum)),
    ))
}

/// The field that identifies the rows of a foreign table; empty where nothing does.
#[pg_extern(stable)]
fn mirror_row_key(source: pg_sys::Oid) -> String {
    readable_table(source).options.row_key.clone().unwrap_or_default()
}

/// How many seconds a time near this one (seconds since 1970) may be older than it looks, since the clock that the
/// gateway shows is set back nearby; null without a time.
#[pg_extern(stable)]
fn mirror_clock_change(source: pg_sys::Oid, at: Option<i64>) -> Option<i64> {
    const HOUR: i64 = 3600;
    let at = at?;
    let clock = readable_table(source).clock.clone();
    let blur = |hours: i64| {
        let near = Timestamp::from_second(at.saturating_add(hours * HOUR)).ok()?;
        Some(clock.blur(near).as_secs())
    };
    // A day and more around: the watermark is somewhat older than what has been read.
    let most = (-26..=26).filter_map(blur).max().unwrap_or(0);
    Some(match clock {
        _ if most == 0 => 0,
        GatewayZone::Named(_) => most.max(HOUR),
        // No company lives where the clocks are moved by more.
        GatewayZone::Reported(_) | GatewayZone::Fixed(_) => HOUR,
    })
}

/// Requests that this session has sent to the server of a foreign table as the current user.
#[pg_extern(volatile)]
fn mirror_requests(source: pg_sys::Oid) -> i64 {
    let requests = client(&readable_table(source)).stats().requests;
    i64::try_from(requests).unwrap_or(i64::MAX)
}

/// Where the rows of a foreign table come from, so far as the session and the options of the server show it: gateway, company
/// and entity as the sign-in answered them, the clock of its timestamps, and whether private rows are asked for. Signs in
/// where no session is alive, and asks for the user's preferences where they are not known yet.
#[pg_extern(volatile)]
fn mirror_session(source: pg_sys::Oid) -> JsonB {
    let table = readable_table(source);
    let client = client(&table);
    let asked = client.clone();
    let (session, zone) = io::run(move || async move {
        let session = match asked.session_info() {
            Some(session) => session,
            None => asked.sign_in().await?,
        };
        let zone = match asked.gateway_zone().await {
            Ok(zone) => Some(zone),
            // A company that does not return them shows no timestamps either.
            Err(error) if asked.lacks_metadata(&error) => None,
            Err(error) => return Err(error),
        };
        Ok::<_, Error>((session, zone))
    })
    .unwrap_or_else(|error| raise(error));
    let config = client.config();
    let company = session.company.as_deref().unwrap_or(&config.company_id);
    let client_company = config.client_id.as_deref().filter(|id| !id.is_empty());
    JsonB(json!({
        "gateway": config.url,
        "company": match client_company {
            Some(other) if !other.eq_ignore_ascii_case(company) => format!("{company}|{other}"),
            _ => company.to_owned(),
        }
        .to_lowercase(),
        "entity": session.entity.unwrap_or_default(),
        "zone": zone.as_ref().map(zone_name),
        "zone_source": match config.time_zone {
            Some(_) => "declared",
            None => "reported",
        },
        "private": table.asks_private(),
    }))
}

/// A clock by its name, or by its distance from Greenwich.
fn zone_name(zone: &GatewayZone) -> String {
    match zone {
        GatewayZone::Fixed(offset) | GatewayZone::Reported(offset) => offset.to_string(),
        GatewayZone::Named(zone) => zone.iana_name().unwrap_or("a zone without a name").to_owned(),
    }
}

/// The earliest time that the gateway's clock can show now, by its last answer; null where no answer showed it. Sends nothing.
#[pg_extern(volatile)]
fn mirror_gateway_time(source: pg_sys::Oid) -> Option<TimestampWithTimeZone> {
    client(&readable_table(source)).gateway_time().and_then(timestamp)
}

/// A foreign table of ours that the current user may read.
pub(super) fn readable_table(relid: pg_sys::Oid) -> std::rc::Rc<ForeignTable> {
    // SAFETY: main thread inside a transaction; what is no relation has no kind, and only foreign tables have a server.
    let readable = unsafe {
        let mode = pg_sys::ACL_SELECT as pg_sys::AclMode;
        pg_sys::get_rel_relkind(relid) as u8 == pg_sys::RELKIND_FOREIGN_TABLE
            && is_ours((*pg_sys::GetForeignTable(relid)).serverid)
            && pg_sys::pg_class_aclcheck(relid, pg_sys::GetUserId(), mode) == pg_sys::AclResult::ACLCHECK_OK
    };
    if !readable {
        raise(Report::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "the foreign table does not belong to sage_intacct_fdw, or may not be read",
        ));
    }
    ForeignTable::lock_and_load(relid).unwrap_or_else(|error| raise(error))
}

pub(super) fn client(table: &ForeignTable) -> Client {
    foreign_data_allowed();
    // SAFETY: main thread inside a transaction.
    let user = unsafe { pg_sys::GetUserId() };
    connection::client(table.server_oid, user).unwrap_or_else(|report| raise(report))
}

/// The rows of the table with keys in a range, without a select list.
pub(super) fn rows_between(table: &ForeignTable, key: &str, after: Option<i64>, upto: Option<i64>) -> Query {
    let bound = |op, value: i64| Condition::Compare {
        field: key.to_owned(),
        op,
        value: Value::Number(value.to_string()),
    };
    let mut query = Query::new(table.options.object.clone());
    query.docparid = table.options.docparid.clone();
    query.show_private = table.asks_private();
    query.missing_as_null = table.options.missing_as_null;
    query.filter = table.options.filter.clone();
    for condition in [
        after.map(|after| bound(CompareOp::Gt, after)),
        upto.map(|upto| bound(CompareOp::Le, upto)),
    ]
    .into_iter()
    .flatten()
    {
        query.filter = Some(Condition::and(query.filter.take(), condition));
    }
    query
}

/// Asks for the number of rows and for the sum of their keys at the same time.
async fn ask(client: Client, dialect: DialectKind, query: Query, key: String) -> Result<(i64, i64), Error> {
    let page = PageRequest { size: 1, offset: 0 };
    let (mut count, mut sum) = (query.clone(), query);
    count.select = vec![SelectItem::Field(key.clone())];
    sum.select = vec![SelectItem::Aggregate {
        function: AggregateFunction::Sum,
        field: key,
    }];
    let (counted, summed) = try_join(
        client.page(&count, dialect, &page, false),
        client.page(&sum, dialect, &page, false),
    )
    .await?;
    let rows = counted
        .total_count
        .and_then(|rows| i64::try_from(rows).ok())
        .ok_or_else(|| malformed("the gateway returned no total count"))?;
    // Over no rows, what comes is the gateway's own affair.
    if rows == 0 {
        return Ok((0, 0));
    }
    let sum = (summed.rows() > 0)
        .then(|| summed.cell(0, 0))
        .flatten()
        .and_then(whole)
        .ok_or_else(|| malformed("the sum of the row keys is not a number"))?;
    Ok((rows, sum))
}

/// A whole number, which may be written with zeros behind a point.
fn whole(cell: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(cell).ok()?;
    let (digits, zeros) = text.split_once('.').unwrap_or((text, ""));
    zeros
        .bytes()
        .all(|b| b == b'0')
        .then(|| digits.parse().ok())
        .flatten()
}

pub(super) fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::Malformed, message)
}
