//! Requests that are made before their rows are needed: answered in any order, handed out in the order of the rows.
//!
//! The pages ahead are counted from a place (the start, or the keys of a row) and overlap by one row. The reader of a
//! page checks that it joins what came before; where it does not, rows moved, and reading goes on behind the last row.
//! So an answer costs no request more than one that is read page after page, whatever gaps the keys have, and its rows
//! keep their order.

use super::reader::{Flying, MAX_WAITING_BYTES, Reader, UnderWay};
use crate::error::Error;
use crate::query::Query;
use crate::xml::page::Page;
use futures_util::stream::StreamExt;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Places are moved up when the rows counted from them would be more than this many pages.
const MAX_COUNTED_PAGES: u64 = 32;

/// One request for a page.
#[derive(Clone)]
pub(super) struct Asked {
    query: Rc<Query>,
    pub(super) offset: u64,
    /// Rows asked for.
    pub(super) size: u32,
    /// Number of the place from which the offset counts.
    place: u64,
    /// Its first row should be the last row of the page before.
    pub(super) overlaps: bool,
    /// It has been found not to join the page before.
    pub(super) missed: bool,
    /// See [`Ahead::go_on`].
    pub(super) uncertain: bool,
}

type Arrival = (i64, Asked, Result<Page, Error>);

/// The requests under way.
pub(super) struct Ahead<'a> {
    reader: &'a Reader<'a>,
    /// Requests in flight at once, at most; fewer than two: none is made before the one before is answered.
    pub(super) width: usize,
    /// Whether more than one page may be requested before it is needed.
    pub(super) wanted: bool,
    flying: Flying<'a, Arrival>,
    arrived: BTreeMap<i64, (Asked, Result<Page, Error>)>,
    waiting_bytes: usize,
    /// Number of the page to hand out next, and of the one to ask for next.
    head: i64,
    tail: i64,
    place: Rc<Query>,
    place_number: u64,
    /// Offset of the next page ahead.
    next: u64,
    /// Rows behind the place in all, where the gateway reported it.
    end: Option<u64>,
    size: u32,
    max_size: u32,
}

impl<'a> UnderWay<'a> for Ahead<'a> {
    type Arrival = Arrival;

    fn flying(&mut self) -> &mut Flying<'a, Arrival> {
        &mut self.flying
    }

    fn arrive(&mut self, (number, asked, page): Arrival) {
        if let Ok(page) = &page
            && asked.place == self.place_number
        {
            self.end = page.total_count;
            let rows = page.rows() as u64;
            if self.next <= asked.offset {
                // The first page behind this place: the pages ahead start with its last row. A page that is shorter
                // than asked for, and not the last, shows what the gateway's pages hold.
                self.next = (asked.offset + rows).saturating_sub(1);
                if rows >= 2 && rows < u64::from(asked.size) {
                    self.max_size = self.max_size.min(rows as u32);
                }
            }
        }
        self.waiting_bytes += memory(&page);
        self.arrived.insert(number, (asked, page));
        self.refill();
    }
}

impl<'a> Ahead<'a> {
    /// Asks for the first page; `uncertain` as for [`go_on`](Self::go_on).
    pub(super) fn new(reader: &'a Reader<'a>, query: Query, uncertain: bool) -> Self {
        let mut ahead = Ahead {
            reader,
            width: match reader.plan.kind.capabilities().offset {
                true => reader.plan.ahead,
                false => reader.plan.ahead.min(1),
            },
            wanted: false,
            flying: Flying::new(),
            arrived: BTreeMap::new(),
            waiting_bytes: 0,
            head: 0,
            tail: 0,
            place: Rc::new(query),
            place_number: 0,
            next: 0,
            end: None,
            size: reader.first_size(),
            max_size: reader.max_size(),
        };
        ahead.start(reader.first_offset(), false, uncertain);
        ahead
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.head == self.tail
    }

    /// The next page in the order of rows; `None` when nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(Asked, Result<Page, Error>)> {
        loop {
            if let Some((asked, page)) = self.arrived.remove(&self.head) {
                self.head += 1;
                self.waiting_bytes -= memory(&page);
                return Some((asked, page));
            }
            let arrival = self.flying.next().await?;
            self.arrive(arrival);
        }
    }

    /// Asks for the pages ahead that are within the bounds.
    pub(super) fn refill(&mut self) {
        // Before the first page is used up, there is one behind it and no more, whether under way or here.
        let (width, end) = match self.wanted {
            true => (self.width, i64::MAX),
            false => (self.width.min(1), 2),
        };
        while self.width > 1
            && self.flying.len() < width
            && self.tail < end
            && self.arrived.len() <= self.width
            && self.waiting_bytes < MAX_WAITING_BYTES
            && self.next > 0
            && self.end.is_some_and(|end| self.next + 1 < end)
        {
            // Room for the row that is shown again and for one more.
            self.size = self.max_size.max(2);
            self.push(self.next, true, false);
            self.next += u64::from(self.size) - 1;
        }
    }

    fn start(&mut self, offset: u64, overlaps: bool, uncertain: bool) {
        self.next = 0;
        self.end = None;
        self.push(offset, overlaps, uncertain);
    }

    fn push(&mut self, offset: u64, overlaps: bool, uncertain: bool) {
        let asked = self.asked(Rc::clone(&self.place), offset, overlaps, uncertain);
        let number = self.tail;
        self.tail += 1;
        self.send(number, asked);
    }

    fn asked(&self, query: Rc<Query>, offset: u64, overlaps: bool, uncertain: bool) -> Asked {
        Asked {
            query,
            offset,
            size: self.size,
            place: self.place_number,
            overlaps,
            missed: false,
            uncertain,
        }
    }

    fn send(&mut self, number: i64, asked: Asked) {
        let reader = self.reader;
        self.flying.push(Box::pin(async move {
            let page = reader.page(&asked.query, asked.offset, asked.size).await;
            (number, asked, page)
        }));
    }

    /// Drops what is under way and goes on with the rows of `query`, which are those behind the last row. `uncertain`:
    /// its condition could have gone astray.
    pub(super) fn go_on(&mut self, query: Query, uncertain: bool) {
        self.clear();
        self.grow();
        self.move_to(query);
        self.start(0, false, uncertain);
    }

    /// As [`go_on`](Self::go_on), by an offset that shows the last row again.
    pub(super) fn go_on_at(&mut self, offset: u64) {
        self.clear();
        self.grow();
        self.size = self.size.max(2);
        self.place_number += 1;
        self.start(offset, true, false);
    }

    /// Puts a page that does not join the last row back, and asks for the rows behind that row first.
    pub(super) fn go_on_before(&mut self, asked: Asked, page: Page, query: Query, uncertain: bool) {
        self.head -= 1;
        self.waiting_bytes += page.memory_bytes();
        let missed = Asked {
            missed: true,
            ..asked
        };
        self.arrived.insert(self.head, (missed, Ok(page)));
        self.head -= 1;
        let asked = Asked {
            place: u64::MAX,
            ..self.asked(Rc::new(query), 0, false, uncertain)
        };
        self.send(self.head, asked);
    }

    /// Counts from the last row of a page that joined, once the offsets have become large: what happens before it
    /// shifts nothing any more, and the gateway skips fewer rows.
    pub(super) fn move_up(&mut self, asked: &Asked, rows: u64, behind_last: impl FnOnce() -> Query) {
        let behind = asked.offset + rows;
        if asked.place != self.place_number
            || self.next < behind
            || self.next < MAX_COUNTED_PAGES * u64::from(self.max_size)
        {
            return;
        }
        let (next, end) = (self.next - behind, self.end.map(|end| end.saturating_sub(behind)));
        self.move_to(behind_last());
        (self.next, self.end) = (next, end);
    }

    fn move_to(&mut self, query: Query) {
        self.place = Rc::new(query);
        self.place_number += 1;
    }

    /// Drops everything under way; its connections close.
    fn clear(&mut self) {
        self.flying = Flying::new();
        self.arrived.clear();
        self.waiting_bytes = 0;
        self.head = self.tail;
    }

    fn grow(&mut self) {
        self.size = self.reader.next_size(self.size, self.max_size);
    }
}

fn memory(page: &Result<Page, Error>) -> usize {
    page.as_ref().map_or(0, Page::memory_bytes)
}
