//! Pages counted from the start, for objects without a key. Each shows the last row of the page before once more: if
//! it is not the same row, rows moved in between.

use super::{ReadSummary, Reader};
use crate::error::{Error, ErrorKind};
use crate::query::{OrderKey, Query, SelectItem};
use crate::xml::rows::Page;

pub(super) async fn read(
    mut reader: Reader<'_>,
    mut emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    let plan = reader.plan;
    let query = Query {
        order_by: total_order(&plan.query),
        limit: None,
        offset: None,
        ..plan.query.clone()
    };
    let mut offset = reader.first_offset();
    let mut last: Option<Vec<Option<Vec<u8>>>> = None;
    loop {
        if last.is_some() {
            // Room for the row that is shown again and for one more.
            reader.size = reader.size.max(2);
        }
        let mut page = reader.page(&query, offset).await?;
        if page.rows() > 0 && page.offset != offset {
            let message = format!(
                "the gateway sent rows from {} where {offset} was asked for",
                page.offset
            );
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        let complete = reader.is_last(&page)?;
        let next = offset + page.rows() as u64;
        let row = page.rows().checked_sub(1).map(|row| cells(&page, row));
        if let Some(last) = &last {
            if page.rows() == 0 || cells(&page, 0) != *last {
                let message = format!("rows of {} changed place while they were read", query.object);
                return Err(Error::new(ErrorKind::Moved, message));
            }
            page.drop_first_row();
            if page.rows() == 0 && !complete {
                return Err(Error::new(
                    ErrorKind::Malformed,
                    "the gateway's pages do not advance",
                ));
            }
        }
        last = row;
        reader.count(&page);
        if !emit(page).await {
            return Ok(reader.ended(false));
        }
        if complete {
            return Ok(reader.ended(true));
        }
        offset = next - 1;
    }
}

fn cells(page: &Page, row: usize) -> Vec<Option<Vec<u8>>> {
    (0..page.columns())
        .map(|column| page.cell(row, column).map(<[u8]>::to_vec))
        .collect()
}

/// The order asked for, then the selected fields that it does not name. RECORDNO leaves nothing to tell apart.
fn total_order(query: &Query) -> Vec<OrderKey> {
    let mut order = query.order_by.clone();
    if order.iter().any(|key| key.field.eq_ignore_ascii_case("RECORDNO")) {
        return order;
    }
    let fields = query.select.iter().filter_map(|item| match item {
        SelectItem::Field(field) if !field.contains('.') => Some(field),
        _ => None,
    });
    for field in fields {
        if !order.iter().any(|key| key.field.eq_ignore_ascii_case(field)) {
            order.push(OrderKey {
                field: field.clone(),
                descending: false,
            });
        }
    }
    order
}
