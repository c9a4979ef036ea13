//! Pages that start after the keys of the last row: nothing that changes elsewhere shifts them.

use super::order::Keys;
use super::{ReadSummary, Reader};
use crate::error::{Error, ErrorKind};
use crate::query::{Condition, OrderKey, Query};
use crate::xml::rows::Page;

fn internal(message: String) -> Error {
    Error::new(ErrorKind::Internal, message)
}

pub(super) async fn read(
    mut reader: Reader<'_>,
    keys: &[OrderKey],
    mut emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    let plan = reader.plan;
    if keys.is_empty() {
        return Err(internal("keyset paging without keys".into()));
    }
    let mut keys = Keys::new(&plan.query, keys)
        .map_err(|field| internal(format!("keyset paging needs field {field} in the select list")))?;
    let mut query = Query {
        order_by: keys.keys.to_vec(),
        limit: None,
        offset: None,
        ..plan.query.clone()
    };
    let mut offset = reader.first_offset();
    let mut last: Option<Vec<Vec<u8>>> = None;
    let mut expected_more = false;
    loop {
        let page = reader.page(&query, offset).await?;
        if expected_more && page.rows() == 0 && page.total_count == Some(0) {
            return Err(vanished(&plan.query));
        }
        check_order(&mut keys, &page, last.as_deref(), &plan.query)?;
        let complete = reader.is_last(&page)?;
        if let Some(row) = page.rows().checked_sub(1) {
            let cells = key_cells(&keys, &page, row, &plan.query)?;
            last = Some(cells.into_iter().map(<[u8]>::to_vec).collect());
        }
        reader.count(&page);
        if !emit(page).await {
            return Ok(reader.ended(false));
        }
        let Some(last) = last.as_ref().filter(|_| !complete) else {
            return Ok(reader.ended(true));
        };
        let after = keys.after(last);
        // Only where a value was put into another form can the comparison have gone astray.
        expected_more = after
            .values()
            .iter()
            .zip(last)
            .any(|(value, cell)| is_reformed(value, cell));
        query.filter = Some(Condition::and(plan.query.filter.clone(), after));
        offset = 0;
    }
}

fn is_reformed(value: &crate::query::Value, cell: &[u8]) -> bool {
    !matches!(value, crate::query::Value::Text(text) | crate::query::Value::Number(text) if text.as_bytes() == cell)
}

fn key_cells<'p>(keys: &Keys<'_>, page: &'p Page, row: usize, query: &Query) -> Result<Vec<&'p [u8]>, Error> {
    keys.of_row(page, row).map_err(|field| {
        let message = format!(
            "a row of {} has no {field}, by which its pages are read",
            query.object
        );
        Error::new(ErrorKind::Cell, message).with_hint(
            "Set the table's row_key to a field that every row has, or to nothing if there is none.",
        )
    })
}

/// Every row must come after the one before it, across pages too: else rows would be lost or come twice.
fn check_order(
    keys: &mut Keys<'_>,
    page: &Page,
    last: Option<&[Vec<u8>]>,
    query: &Query,
) -> Result<(), Error> {
    let fields = keys.keys;
    let disorder = |message: &str| {
        let fields: Vec<&str> = fields.iter().map(|key| key.field.as_str()).collect();
        let message = format!(
            "{message} (object {}, ordered by {})",
            query.object,
            fields.join(", ")
        );
        Err(Error::new(ErrorKind::Malformed, message).with_hint(
            "If the server is declared with ordering 'binary', its text order may be another: see check().",
        ))
    };
    let mut before: Option<Vec<&[u8]>> = last.map(|cells| cells.iter().map(Vec::as_slice).collect());
    for row in 0..page.rows() {
        let cells = key_cells(keys, page, row, query)?;
        if let Some(before) = &before
            && !keys.in_order(before, &cells)
        {
            return match row {
                0 => disorder("the gateway's next page does not come after the last"),
                _ => disorder("the gateway's rows do not come in the order asked for"),
            };
        }
        before = Some(cells);
    }
    Ok(())
}

fn vanished(query: &Query) -> Error {
    let message = format!(
        "the gateway announced more rows of {} and then showed none",
        query.object
    );
    Error::new(ErrorKind::Moved, message)
}
