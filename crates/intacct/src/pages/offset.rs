//! Pages counted from the start, for objects without a key. Each shows the last row of the page before once more: if
//! it is not the same row, rows moved in between.

use super::ahead::Ahead;
use super::reader::{ReadSummary, Reader, UnderWay};
use crate::error::{Error, ErrorKind};
use crate::query::{OrderKey, Query, SelectItem};
use crate::xml::page::Page;

pub(super) async fn read(
    reader: Reader<'_>,
    mut emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    let plan = reader.plan;
    let query = Query {
        order_by: total_order(&plan.query),
        limit: None,
        offset: None,
        ..plan.query.clone()
    };
    let mut ahead = Ahead::new(&reader, query, false);
    let mut summary = ReadSummary::default();
    let mut last: Option<Cells> = None;
    // Rows behind the last one, where the gateway reported it; and whether fewer were shown once.
    let (mut left, mut doubted) = (None::<u64>, false);
    while let Some((asked, page)) = ahead.next().await {
        let mut page = page?;
        if page.rows() > 0 && page.offset != asked.offset {
            let message = format!(
                "the gateway sent rows from {} where {} was asked for",
                page.offset, asked.offset
            );
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        let next = asked.offset + page.rows() as u64;
        let row = page.rows().checked_sub(1).map(|row| cells(&page, row));
        if let Some(last) = &last
            && (page.rows() == 0 || cells(&page, 0) != *last)
        {
            let message = format!("rows of {} changed place while they were read", plan.query.object);
            return Err(Error::new(ErrorKind::Moved, message));
        }
        let complete = reader.is_last(asked.size, &page)?;
        let behind =
            |page: &Page| Some((page.rows() as u64 + page.remaining?).saturating_sub(last.is_some().into()));
        if let (Some(announced), Some(now)) = (left, behind(&page))
            && now < announced
        {
            if std::mem::replace(&mut doubted, true) {
                let message = format!(
                    "the gateway announced {announced} more rows of {} and shows {now}",
                    plan.query.object
                );
                return Err(Error::new(ErrorKind::Moved, message));
            }
            ahead.go_on_at(asked.offset);
            continue;
        }
        (left, doubted) = (page.remaining, false);
        if last.is_some() {
            page.drop_first_rows(1);
            if page.rows() == 0 && !complete {
                return Err(Error::new(
                    ErrorKind::Malformed,
                    "the gateway's pages do not advance",
                ));
            }
        }
        last = row;
        if !complete && ahead.is_idle() && ahead.width > 0 {
            ahead.go_on_at(next - 1);
        }
        summary.count(&page);
        if !ahead.beside(emit(page)).await {
            return Ok(summary);
        }
        ahead.wanted = true;
        ahead.refill();
        if complete {
            summary.complete = true;
            return Ok(summary);
        }
        if ahead.is_idle() {
            ahead.go_on_at(next - 1);
        }
    }
    Err(Error::new(ErrorKind::Internal, "reading stopped before the end"))
}

/// What a row holds.
type Cells = Vec<Option<Vec<u8>>>;

fn cells(page: &Page, row: usize) -> Cells {
    (0..page.columns())
        .map(|column| page.cell(row, column).map(<[u8]>::to_vec))
        .collect()
}

/// The order asked for, then the selected fields that it does not name. After RECORDNO no two rows are equal.
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
