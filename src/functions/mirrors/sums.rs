//! Sums over the rows of a foreign table, in all or by a column's values: computed by the gateway, or not at all.

use super::remote::{client, malformed, readable_table, rows_between};
use crate::error::raise;
use crate::exec::{cell_reader, may_read_rows};
use crate::io;
use futures_util::future::try_join;
use intacct::{
    AggregateFunction, CellReader, Client, DialectKind, Error, OrderKey, Page, PageRequest, Query, SelectItem,
};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// More groups are not read: comparing rows costs as much.
const MOST_GROUPS: u64 = 100_000;

/// One group: the value, how many rows, what the fields add up to.
type Group = (Option<String>, Option<i64>, Option<Vec<Option<String>>>);

/// Number of rows of a foreign table and sums of fields; with `grouped`, of each of that field's values, which `kind` describes
/// how to read (`date` or not), and `counted` is the field whose values are counted. Without it two requests, and `counted`
/// is any field. No row comes where the gateway cannot express it, or the numbers do not add up; `sums` is null where it
/// counts but does not add up.
#[pg_extern(volatile)]
#[allow(clippy::type_complexity)]
fn mirror_sums(
    source: pg_sys::Oid,
    counted: String,
    fields: Vec<String>,
    grouped: Option<String>,
    kind: Option<String>,
) -> TableIterator<
    'static,
    (
        name!(place, Option<String>),
        name!(rows, Option<i64>),
        name!(sums, Option<Vec<Option<String>>>),
    ),
> {
    let table = readable_table(source);
    let capabilities = table.dialect().capabilities();
    if !capabilities.aggregates || !capabilities.total_count {
        return TableIterator::new(Vec::new());
    }
    let query = rows_between(&table, "", None, None);
    let (client, dialect, size) = (client(&table), table.dialect(), table.page_size());
    let is_date = kind.as_deref() == Some("date");
    let asked = io::run(move || async move {
        match grouped {
            None => whole(&client, dialect, query, counted, fields)
                .await
                .map(|group| vec![group]),
            Some(grouped) => groups(&client, dialect, query, &grouped, counted, fields, is_date, size).await,
        }
    });
    TableIterator::new(asked.unwrap_or_else(|error| match may_read_rows(&error) {
        true => Vec::new(),
        false => raise(error),
    }))
}

fn sums_of(fields: &[String]) -> impl Iterator<Item = SelectItem> {
    fields.iter().map(|field| SelectItem::Aggregate {
        function: AggregateFunction::Sum,
        field: field.clone(),
    })
}

/// All rows: how many there are is what the gateway returns with a page, not what it counts of a field.
async fn whole(
    client: &Client,
    dialect: DialectKind,
    query: Query,
    counted: String,
    fields: Vec<String>,
) -> Result<Group, Error> {
    let page = PageRequest { size: 1, offset: 0 };
    let (mut count, mut sum) = (query.clone(), query);
    count.select = vec![SelectItem::Field(counted)];
    sum.select = sums_of(&fields).collect();
    let (counted, summed) = if fields.is_empty() {
        (client.page(&count, dialect, &page, false).await?, None)
    } else {
        let summed = async {
            match client.page(&sum, dialect, &page, false).await {
                Err(error) if may_read_rows(&error) => Ok(None),
                other => other.map(Some),
            }
        };
        try_join(client.page(&count, dialect, &page, false), summed).await?
    };
    let rows = counted
        .total_count
        .and_then(|rows| i64::try_from(rows).ok())
        .ok_or_else(|| malformed("the gateway returned no total count"))?;
    // Over no rows, what comes is the gateway's own affair.
    let sums = match (rows, summed) {
        (0, _) => Some(vec![None; fields.len()]),
        (_, Some(page)) if page.rows() > 0 => Some(sums_at(&page, 0, 0, fields.len())?),
        (_, Some(_)) => None,
        (_, None) => fields.is_empty().then(Vec::new),
    };
    Ok((None, Some(rows), sums))
}

/// The groups of a field, in its order.
#[allow(clippy::too_many_arguments)]
async fn groups(
    client: &Client,
    dialect: DialectKind,
    mut query: Query,
    grouped: &str,
    counted: String,
    fields: Vec<String>,
    is_date: bool,
    size: u32,
) -> Result<Vec<Group>, Error> {
    let count = SelectItem::Aggregate {
        function: AggregateFunction::Count,
        field: counted,
    };
    query.select = [SelectItem::Field(grouped.to_owned()), count]
        .into_iter()
        .chain(sums_of(&fields))
        .collect();
    query.order_by = vec![OrderKey {
        field: grouped.to_owned(),
        descending: false,
    }];
    let mut found: Vec<Group> = Vec::new();
    let mut offset = 0;
    loop {
        let page = client
            .page(&query, dialect, &PageRequest { size, offset }, is_date)
            .await?;
        let reader = cell_reader(Some(client));
        for row in 0..page.rows() {
            let place = page
                .cell(row, 0)
                .filter(|cell| !cell.is_empty())
                .map(|cell| place(&reader, cell, is_date))
                .transpose()?;
            let rows = page
                .cell(row, 1)
                .and_then(|cell| std::str::from_utf8(cell).ok()?.parse().ok());
            if rows.is_none() || found.last().is_some_and(|last| last.0 == place) {
                return Err(malformed("the gateway's groups are not distinct"));
            }
            found.push((place, rows, Some(sums_at(&page, row, 2, fields.len())?)));
        }
        offset += page.rows() as u64;
        if offset > MOST_GROUPS {
            return Err(malformed("there are too many groups"));
        }
        // Some gateways count the rows here and not the groups.
        if page.rows() < size as usize || page.remaining == Some(0) {
            return Ok(found);
        }
    }
}

fn place(reader: &CellReader, cell: &[u8], is_date: bool) -> Result<String, Error> {
    if is_date {
        let date = reader.date(cell);
        return date
            .map(|date| date.to_string())
            .map_err(|_| malformed("a group's value is not a date"));
    }
    std::str::from_utf8(cell)
        .map(str::to_owned)
        .map_err(|_| malformed("a group's value is not text"))
}

/// Sums as decimals; a sum of no values is empty.
fn sums_at(page: &Page, row: usize, first: usize, count: usize) -> Result<Vec<Option<String>>, Error> {
    (first..first + count)
        .map(|column| {
            let Some(cell) = page.cell(row, column).filter(|cell| !cell.is_empty()) else {
                return Ok(None);
            };
            let text = std::str::from_utf8(cell).unwrap_or_default();
            let digits = text.strip_prefix('-').unwrap_or(text);
            let decimal = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                && digits.bytes().any(|b| b.is_ascii_digit())
                && digits.bytes().filter(|b| *b == b'.').count() <= 1;
            decimal
                .then(|| Some(text.to_owned()))
                .ok_or_else(|| malformed("a sum is not a decimal"))
        })
        .collect()
}
