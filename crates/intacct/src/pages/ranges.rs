//! The range of a numeric row key, split among requests that walk their parts side by side.
//!
//! This is for gateways, and hours, in which pages cannot be counted ahead ([`super::ahead`]): no counts, offsets that
//! are ignored, rows deleted faster than pages arrive. Each part is read page after page behind its last key, which
//! nothing that changes elsewhere shifts. A request that comes free takes over half of what the largest part still has
//! before it, so the parts find their sizes however the keys are spread. Rows come in no order.

use super::reader::{Flying, MAX_WAITING_BYTES, ReadSummary, Reader, UnderWay};
use super::seen::Seen;
use crate::error::{Error, ErrorKind};
use crate::query::{CompareOp, Condition, OrderKey, Query, Value};
use crate::xml::page::Page;
use futures_util::stream::StreamExt;
use std::collections::VecDeque;

/// What is read.
pub(super) struct Rows<'a> {
    /// In the order of the key alone, ascending.
    pub(super) query: Query,
    pub(super) key: &'a OrderKey,
    /// Where the key stands in a row.
    pub(super) column: usize,
    /// Only rows with a larger key.
    pub(super) behind: i64,
}

/// The key of a row as a number: only such ranges can be halved.
pub(super) fn number(cell: &[u8]) -> Option<i64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

/// Reads them all. `seen` and `summary` go on from what was read before.
pub(super) async fn read(
    reader: &Reader<'_>,
    rows: Rows<'_>,
    mut seen: Option<&mut Seen>,
    mut summary: ReadSummary,
    mut emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    let column = rows.column;
    let mut ranges = Ranges::new(reader, rows);
    while let Some(page) = ranges.next().await {
        let mut page = page?;
        if let Some(seen) = &mut seen {
            seen.take_out(&mut page, column);
        }
        summary.count(&page);
        if !ranges.beside(emit(page)).await {
            return Ok(summary);
        }
        ranges.refill();
    }
    summary.complete = true;
    Ok(summary)
}

/// Keys of which one request at a time is made.
#[derive(Debug)]
struct Part {
    /// The last key read; larger ones are to be read…
    behind: i64,
    /// …up to this, and it too; `None`: all that there are.
    to: Option<i64>,
    /// Rows that are left, those asked for included; `None` where the gateway does not report it.
    left: Option<u64>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Asked,
    Done,
}

enum Arrival {
    /// The row with the largest key.
    Largest(Result<Page, Error>),
    Part(Asked, Result<Page, Error>),
}

#[derive(Clone, Copy)]
struct Asked {
    /// Number of the part.
    part: usize,
    /// Where it ended then.
    to: Option<i64>,
    size: u32,
}

struct Ranges<'a> {
    reader: &'a Reader<'a>,
    rows: Rows<'a>,
    size: u32,
    width: usize,
    /// The largest key, once it is known.
    largest: Option<i64>,
    parts: Vec<Part>,
    flying: Flying<'a, Arrival>,
    ready: VecDeque<Result<Page, Error>>,
    waiting_bytes: usize,
    failed: bool,
}

impl<'a> UnderWay<'a> for Ranges<'a> {
    type Arrival = Arrival;

    fn flying(&mut self) -> &mut Flying<'a, Arrival> {
        &mut self.flying
    }

    fn arrive(&mut self, arrival: Arrival) {
        let taken = match arrival {
            Arrival::Largest(page) => page.and_then(|page| self.take_largest(&page)).map(|()| None),
            Arrival::Part(asked, page) => page.and_then(|page| self.take(asked, page)).map(Some),
        };
        match taken {
            Ok(Some(page)) if page.rows() > 0 => {
                self.waiting_bytes += page.memory_bytes();
                self.ready.push_back(Ok(page));
            }
            Ok(_) => {}
            Err(error) => {
                self.failed = true;
                self.ready.push_back(Err(error));
            }
        }
        self.refill();
    }
}

impl<'a> Ranges<'a> {
    /// Asks for the first page behind, and for the largest key beside it.
    fn new(reader: &'a Reader<'a>, rows: Rows<'a>) -> Self {
        let whole = Part {
            behind: rows.behind,
            to: None,
            left: None,
            state: State::Idle,
        };
        let mut ranges = Ranges {
            reader,
            size: reader.max_size(),
            width: reader.plan.ahead.max(1),
            largest: None,
            parts: vec![whole],
            flying: Flying::new(),
            ready: VecDeque::new(),
            waiting_bytes: 0,
            failed: false,
            rows,
        };
        ranges.refill();
        ranges.ask_largest();
        ranges
    }

    /// The next page that has rows, of whatever part; `None` when all parts are read.
    async fn next(&mut self) -> Option<Result<Page, Error>> {
        loop {
            if let Some(page) = self.ready.pop_front() {
                self.waiting_bytes -= page.as_ref().map_or(0, Page::memory_bytes);
                return Some(page);
            }
            if self.parts.iter().all(|part| part.state == State::Done) {
                return None;
            }
            let arrival = self.flying.next().await?;
            self.arrive(arrival);
        }
    }

    /// Asks for what is to be read within the bounds.
    fn refill(&mut self) {
        while !self.failed
            && self.flying.len() < self.width
            && self.ready.len() <= self.width
            && self.waiting_bytes < MAX_WAITING_BYTES
        {
            let idle = self.parts.iter().position(|part| part.state == State::Idle);
            match idle.or_else(|| self.take_over()) {
                Some(number) => self.ask(number),
                None => return,
            }
        }
    }

    fn ask(&mut self, number: usize) {
        let reader = self.reader;
        let part = &mut self.parts[number];
        part.state = State::Asked;
        let (behind, to) = (part.behind, part.to);
        let asked = Asked {
            part: number,
            to,
            size: self.size,
        };
        let ends = to.map(|to| self.compare(CompareOp::Le, to));
        let mut query = self.behind(behind);
        query.filter = match ends {
            Some(ends) => Some(Condition::and(query.filter, ends)),
            None => query.filter,
        };
        self.flying.push(Box::pin(async move {
            Arrival::Part(asked, reader.page(&query, 0, asked.size).await)
        }));
    }

    fn ask_largest(&mut self) {
        let reader = self.reader;
        let mut query = self.behind(self.rows.behind);
        for key in &mut query.order_by {
            key.descending = true;
        }
        self.flying.push(Box::pin(async move {
            Arrival::Largest(reader.page(&query, 0, 1).await)
        }));
    }

    fn behind(&self, key: i64) -> Query {
        let query = self.rows.query.clone();
        Query {
            filter: Some(Condition::and(query.filter, self.compare(CompareOp::Gt, key))),
            ..query
        }
    }

    fn compare(&self, op: CompareOp, key: i64) -> Condition {
        Condition::Compare {
            field: self.rows.key.field.clone(),
            op,
            value: Value::Number(key.to_string()),
        }
    }

    /// Where the last part will probably end. It has no end of its own: a key that is larger after all is read too.
    fn take_largest(&mut self, page: &Page) -> Result<(), Error> {
        let Some(last) = page.rows().checked_sub(1) else {
            return Ok(());
        };
        self.largest = Some(self.key(page, last)?);
        let whole = &mut self.parts[0];
        if let (State::Asked, Some(total)) = (whole.state, page.total_count) {
            whole.left = Some(total);
        }
        Ok(())
    }

    /// Takes a page of a part: the rows that are still the part's own.
    fn take(&mut self, asked: Asked, mut page: Page) -> Result<Page, Error> {
        let complete = self.reader.is_last(asked.size, &page)?;
        if !complete && page.rows() >= 2 {
            // The gateway's pages may hold less than asked for.
            self.size = self.size.min(page.rows() as u32);
        }
        let (mut behind, to) = (self.parts[asked.part].behind, self.parts[asked.part].to);
        let mut others = Vec::new();
        for row in 0..page.rows() {
            let key = self.key(&page, row)?;
            if key <= behind || asked.to.is_some_and(|to| key > to) {
                return Err(self.astray(key));
            }
            behind = key;
            if to.is_some_and(|to| key > to) {
                others.push(row);
            }
        }
        page.drop_rows(&others);
        let part = &mut self.parts[asked.part];
        part.left = match (part.left, page.remaining) {
            // Some of those that the gateway counts are others' by now.
            (Some(left), Some(remaining)) if to != asked.to => {
                Some(left.saturating_sub(page.rows() as u64).min(remaining))
            }
            (_, remaining) => remaining,
        };
        part.state = match complete || to.is_some_and(|to| behind >= to) {
            true => State::Done,
            false => State::Idle,
        };
        part.behind = behind;
        Ok(page)
    }

    /// Makes a part of the upper half of what the largest part has behind the page that is under way for it.
    fn take_over(&mut self) -> Option<usize> {
        let largest = self.largest?;
        let rest = |part: &Part| match part.state {
            State::Done => None,
            _ => part.rest(largest, self.size),
        };
        let (number, rest) = (self.parts.iter().enumerate())
            .filter_map(|(number, part)| Some((number, rest(part)?)))
            .max_by_key(|(_, rest)| rest.rows)?;
        let (upper, mine) = (rest.rows / 2, &mut self.parts[number]);
        let part = Part {
            behind: rest.middle,
            to: mine.to.replace(rest.middle),
            left: mine.left.map(|_| upper),
            state: State::Idle,
        };
        mine.left = mine.left.map(|left| left - upper);
        self.parts.push(part);
        Some(self.parts.len() - 1)
    }

    fn key(&self, page: &Page, row: usize) -> Result<i64, Error> {
        let cell = page.cell(row, self.rows.column).unwrap_or_default();
        number(cell).ok_or_else(|| {
            let message = format!(
                "the gateway sent {:?} as {} of a row of {}, by which its pages are read",
                String::from_utf8_lossy(cell),
                self.rows.key.field,
                self.rows.query.object
            );
            Error::new(ErrorKind::Malformed, message)
        })
    }

    fn astray(&self, key: i64) -> Error {
        let message = format!(
            "the gateway sent {} {key} of {} where other keys or another order were asked for",
            self.rows.key.field, self.rows.query.object
        );
        Error::new(ErrorKind::Malformed, message)
    }
}

/// What a part has behind the page that is under way.
struct Rest {
    rows: u64,
    /// The key in its middle.
    middle: i64,
}

impl Part {
    /// `None` when it is not worth a separate request: no more than a page.
    fn rest(&self, largest: i64, size: u32) -> Option<Rest> {
        let end = i128::from(self.to.unwrap_or(largest));
        let span = u64::try_from(end - i128::from(self.behind))
            .ok()
            .filter(|span| *span > 0)?;
        // The key identifies rows, so there are no more of them than keys.
        let left = self.left.map_or(span, |left| left.min(span));
        let rows = left
            .checked_sub(u64::from(size))
            .filter(|rows| *rows > u64::from(size))?;
        let under_way = u128::from(span) * u128::from(size) / u128::from(left);
        let middle = (i128::from(self.behind) + under_way as i128 + end) / 2;
        let middle = i64::try_from(middle).ok()?;
        (middle > self.behind && i128::from(middle) < end).then_some(Rest { rows, middle })
    }
}
