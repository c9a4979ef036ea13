//! What is read, and what the ways of paging share.

use super::assumed::AssumedKey;
use crate::client::Client;
use crate::dialect::{DialectKind, PageRequest};
use crate::error::{Error, ErrorKind};
use crate::query::{Count, OrderKey, Query};
use crate::xml::page::Page;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::cell::{Cell, RefCell};
use std::pin::pin;

/// How much larger a page is than the one before, where pages grow.
const GROWTH: u32 = 4;

/// Pages that wait for their turn may hold this many bytes before no more are asked for.
pub(super) const MAX_WAITING_BYTES: usize = 16 << 20;

/// How the pages of an answer follow each other. What [`DialectKind::ReadByQuery`] finds is stored by the gateway and
/// read to its end in the gateway's order, and [`DialectKind::GetList`] is read by overlapping pages, unless it is
/// [`Single`](Paging::Single).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// The next page starts after the keys of the last row.
    Keyset {
        /// A total order: fields that are never null and are selected; the last is the unique row key.
        keys: Vec<OrderKey>,
        /// Nothing relies on the order of rows. It is kept all the same where the gateway's pages can be counted ahead;
        /// where they cannot, requests may walk parts of a numeric row key's range side by side.
        any_order: bool,
    },
    /// Ordered offset pages that overlap by a row, for objects without a key. The fields selected are added to the
    /// order (those without dots: an order by dotted fields is not known to work, fact 14), so that rows that compare
    /// equal are the same.
    Offset,
    /// One page, whatever remains.
    Single,
}

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    /// The query, its parameters bound. Its offset is skipped; its limit sizes the first page and ends nothing.
    pub query: Query,
    /// The dialect that it is rendered in.
    pub kind: DialectKind,
    /// Rows of a page, at most; clamped to what the dialect allows.
    pub page_size: u32,
    /// Rows of the first page.
    pub first_page: u32,
    /// Later pages grow to `page_size`, each to four times the one before; else the second has it.
    pub grows: bool,
    /// How the pages follow each other.
    pub paging: Paging,
    /// The first keys of the order, where it rests on what an option assumes of the gateway: rows that come in another
    /// are an error of kind [`ErrorKind::Option`].
    pub assumed: Vec<AssumedKey>,
    /// The user's formatting must be known before the first page is handed out.
    pub need_formatting: bool,
    /// Pages that may be under way at once; the client's own limit holds beside it. With more than one, they are asked
    /// for before they are needed, once the gateway has reported how many rows there are: one until `emit` has taken the
    /// first page, then as many as this. As many again may wait for their turn. 0: a page is asked for when the one
    /// before has been taken.
    pub ahead: usize,
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

/// Queries whose first pages travel in the request for the first page of a read, and what they are answered.
#[derive(Debug, Default)]
pub struct Beside {
    queries: Vec<Query>,
    sent: Cell<bool>,
    answers: RefCell<Vec<Result<Page, Error>>>,
}

impl Beside {
    /// Queries of the read's own dialect.
    pub fn new(queries: Vec<Query>) -> Beside {
        Beside {
            queries,
            ..Beside::default()
        }
    }

    /// The queries, when they are asked for the first time; then none.
    pub fn take_queries(&self) -> &[Query] {
        match self.sent.replace(true) {
            true => &[],
            false => &self.queries,
        }
    }

    /// Keeps the answers.
    pub fn answer(&self, answers: Vec<Result<Page, Error>>) {
        self.answers.replace(answers);
    }

    /// The answers, in the order of the queries: there when the first page is. A failure is an answer.
    pub fn answers(&self) -> Vec<Result<Page, Error>> {
        self.answers.take()
    }
}

/// Requests under way.
pub(super) type Flying<'a, Arrival> = FuturesUnordered<LocalBoxFuture<'a, Arrival>>;

/// A reader that has several requests under way, and takes their answers as they come.
pub(super) trait UnderWay<'a> {
    type Arrival;

    fn flying(&mut self) -> &mut Flying<'a, Self::Arrival>;

    /// Takes an answer; may ask for more.
    fn arrive(&mut self, arrival: Self::Arrival);

    /// Runs `delivery` to its end, and the requests beside it.
    async fn beside<T>(&mut self, delivery: impl Future<Output = T>) -> T {
        let mut delivery = pin!(delivery);
        loop {
            tokio::select! {
                biased;
                done = &mut delivery => return done,
                Some(arrival) = self.flying().next() => self.arrive(arrival),
            }
        }
    }
}

/// What the ways of paging share.
pub(super) struct Reader<'a> {
    pub(super) client: &'a Client,
    pub(super) plan: &'a ReadPlan,
    pub(super) beside: Option<&'a Beside>,
}

impl Reader<'_> {
    /// Rows of a page, at most.
    pub(super) fn max_size(&self) -> u32 {
        self.plan
            .page_size
            .clamp(1, self.plan.kind.capabilities().max_page)
    }

    /// Rows to ask for first.
    pub(super) fn first_size(&self) -> u32 {
        let limit = match self.plan.query.limit {
            Some(Count::Number(limit)) => u32::try_from(limit).unwrap_or(u32::MAX),
            _ => u32::MAX,
        };
        self.plan.first_page.min(limit).clamp(1, self.max_size())
    }

    /// Rows of the page behind one of so many, where pages hold no more than `most`.
    pub(super) fn next_size(&self, size: u32, most: u32) -> u32 {
        match self.plan.grows {
            true => size.saturating_mul(GROWTH).min(most),
            false => most,
        }
    }

    pub(super) fn first_offset(&self) -> u64 {
        match self.plan.query.offset {
            Some(Count::Number(offset)) => offset,
            _ => 0,
        }
    }

    /// Asks for `size` rows of `query`.
    pub(super) async fn page(&self, query: &Query, offset: u64, size: u32) -> Result<Page, Error> {
        let request = PageRequest { size, offset };
        // The first page travels alone: what travels with it is answered before any row is handed out.
        let others = self.beside.map_or(&[][..], Beside::take_queries);
        let (page, answers) = self
            .client
            .page_beside(query, self.plan.kind, &request, self.plan.need_formatting, others)
            .await?;
        if let Some(beside) = self.beside.filter(|_| !others.is_empty()) {
            beside.answer(answers);
        }
        Ok(page)
    }

    /// Whether nothing follows the page of this many rows.
    pub(super) fn is_last(&self, asked: u32, page: &Page) -> Result<bool, Error> {
        let shown = page.offset.saturating_add(page.rows() as u64);
        if let (Some(0) | None, Some(total)) = (page.remaining, page.total_count)
            && shown < total
            && (page.remaining.is_some() || page.rows() < asked as usize)
        {
            // The two counts of one response contradict each other: better no answer than a short one.
            let message =
                format!("the gateway counts {total} rows, shows {shown}, and reports that none remain");
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        match page.remaining {
            Some(0) => Ok(true),
            Some(remaining) if page.rows() == 0 => {
                let message = format!("the gateway reports that {remaining} rows remain, and shows none");
                Err(Error::new(ErrorKind::Malformed, message))
            }
            Some(_) => Ok(false),
            None => Ok(page.rows() < asked as usize),
        }
    }
}

impl ReadSummary {
    pub(super) fn count(&mut self, page: &Page) {
        self.pages += 1;
        self.rows += page.rows() as u64;
    }
}
