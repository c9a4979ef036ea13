//! One page after another, none lost and none doubled.

mod ahead;
mod assumed;
mod keyset;
mod listed;
mod offset;
mod order;
mod ranges;
mod reader;
mod seen;
mod stored;

pub use assumed::{AssumedKey, KeyValues};
pub use keyset::LastRow;
pub use reader::{Beside, Paging, ReadPlan, ReadSummary};
pub use seen::Seen;

use crate::client::Client;
use crate::dialect::DialectKind;
use crate::error::{Error, ErrorKind};
use crate::xml::page::Page;
use assumed::Assumed;
use reader::Reader;

/// Reads pages and hands each to `emit`, in the order of rows unless `any_order`, until the answer ends or `emit` says false. Can be dropped
/// at any await. Made for one thread, as [`Client`] is.
///
/// Rows that are there all the time, and that neither the condition nor the order's keys move, are handed out once each
/// whatever else changes; no row key comes twice.
///
/// # Errors
/// [`ErrorKind::Malformed`] when the gateway's pages do not follow each other as asked, [`ErrorKind::Moved`] when rows
/// without a key changed place between two pages: no row is lost or doubled in silence. What the gateway refuses.
///
/// [`ErrorKind::Malformed`]: crate::ErrorKind::Malformed
/// [`ErrorKind::Moved`]: crate::ErrorKind::Moved
pub async fn read(
    client: &Client,
    plan: &ReadPlan,
    emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    read_part(client, plan, None, emit).await
}

/// As [`read`], for one of several reads that shall not give one row key twice between them.
///
/// # Errors
/// Those of [`read`].
pub async fn read_part(
    client: &Client,
    plan: &ReadPlan,
    seen: Option<&mut Seen>,
    emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    read_part_beside(client, plan, seen, None, emit).await
}

/// As [`read_part`], with other queries beside the first page.
///
/// # Errors
/// Those of [`read`].
pub async fn read_part_beside(
    client: &Client,
    plan: &ReadPlan,
    seen: Option<&mut Seen>,
    beside: Option<&Beside>,
    emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    read_part_behind(client, plan, None, seen, beside, emit).await
}

/// As [`read_part_beside`], only the rows behind one at which an earlier read of the same plan stopped: of the dialect `query`, by
/// the keys of its order. `seen` is what the earlier read has seen.
///
/// # Errors
/// Those of [`read`].
pub async fn read_part_behind(
    client: &Client,
    plan: &ReadPlan,
    behind: Option<&LastRow>,
    seen: Option<&mut Seen>,
    beside: Option<&Beside>,
    mut emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    let company = &client.config().company_id;
    let at = |error: Error| error.at(company, Some(&plan.query.object), plan.kind.function(), "");
    let Some(query) = client.as_sent(&plan.query, plan.kind).await.map_err(at)? else {
        // No row can match: no request is sent. The one that waits for the requests beside it gets none.
        if let Some(beside) = beside {
            let none = beside
                .take_queries()
                .iter()
                .map(|_| Ok(Page::without_rows(false)));
            beside.answer(none.collect());
            emit(Page::without_rows(false)).await;
        }
        return Ok(ReadSummary {
            complete: true,
            ..ReadSummary::default()
        });
    };
    let plan = &ReadPlan {
        query,
        ..plan.clone()
    };
    let reader = Reader { client, plan, beside };
    let mut assumed = Assumed::new(&plan.query, &plan.assumed);
    let mut disorder = None;
    let emit = async |page: Page| match assumed.accept(&page) {
        Ok(()) => emit(page).await,
        Err(error) => {
            disorder = Some(error);
            false
        }
    };
    let by_keys = plan.kind == DialectKind::Query && matches!(plan.paging, Paging::Keyset { .. });
    let ended = match &plan.paging {
        _ if behind.is_some() && !by_keys => Err(Error::new(
            ErrorKind::Internal,
            "pages without keys cannot be read from a row on",
        )),
        Paging::Keyset { .. } | Paging::Offset if plan.kind == DialectKind::ReadByQuery => {
            stored::read(reader, emit).await
        }
        Paging::Keyset { .. } | Paging::Offset if plan.kind == DialectKind::GetList => {
            listed::read(reader, emit).await
        }
        Paging::Keyset { keys, any_order } => {
            keyset::read(reader, keys, *any_order, seen, behind, emit).await
        }
        Paging::Offset => offset::read(reader, emit).await,
        Paging::Single => single(reader, emit).await,
    };
    match disorder {
        Some(error) => Err(at(error)),
        None => ended.map_err(at),
    }
}

async fn single(reader: Reader<'_>, mut emit: impl AsyncFnMut(Page) -> bool) -> Result<ReadSummary, Error> {
    let size = reader.first_size();
    let page = reader
        .page(&reader.plan.query, reader.first_offset(), size)
        .await?;
    let complete = reader.is_last(size, &page)?;
    let mut summary = ReadSummary::default();
    summary.count(&page);
    let wanted = emit(page).await;
    summary.complete = complete && wanted;
    Ok(summary)
}
