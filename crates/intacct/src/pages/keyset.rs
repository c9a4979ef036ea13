//! Pages that start after the keys of the last row: nothing that changes elsewhere shifts them.
//!
//! Several are asked for at once by counting on from a row that is known ([`super::ahead`]). Such a page is used only if
//! it shows the last row of the page before, and then it is what a request for the rows behind that row would have
//! answered. If it does not, the rows behind that row are asked for. Where that would go on so, and nothing relies on the
//! order, the rest of the keys is split ([`super::ranges`]).

use super::ahead::Ahead;
use super::order::Keys;
use super::ranges;
use super::reader::{ReadSummary, Reader, UnderWay};
use super::seen::Seen;
use crate::error::{Error, ErrorKind};
use crate::formatting::reading;
use crate::query::{Condition, OrderKey, Query, Value};
use crate::xml::page::Page;
use futures_util::future::try_join;

/// The values of the keys of a row.
type Cells = Vec<Vec<u8>>;

/// Where a read stopped that another one goes on: behind a row. What the read as a whole gives is what one would have given that
/// waited there, between two pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRow {
    keys: Cells,
    left: Option<u64>,
}

impl LastRow {
    /// The last row of a page of the query, in whose order pages follow each other; `left`: rows behind it, where the gateway
    /// reported them. `None`: the page does not show its keys.
    pub fn of(query: &Query, page: &Page, left: Option<u64>) -> Option<LastRow> {
        let keys = Keys::new(query, &query.order_by).ok()?;
        let cells = keys.of_row(page, page.rows().checked_sub(1)?).ok()?;
        (!cells.is_empty()).then(|| LastRow {
            keys: cells.into_iter().map(<[u8]>::to_vec).collect(),
            left,
        })
    }
}

fn internal(message: String) -> Error {
    Error::new(ErrorKind::Internal, message)
}

pub(super) async fn read(
    reader: Reader<'_>,
    keys: &[OrderKey],
    any_order: bool,
    seen: Option<&mut Seen>,
    behind: Option<&LastRow>,
    mut emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    let plan = reader.plan;
    if keys.is_empty() {
        return Err(internal("keyset paging without keys".into()));
    }
    let keys = Keys::new(&plan.query, keys)
        .map_err(|field| internal(format!("keyset paging needs field {field} in the select list")))?;
    let mut own = Seen::default();
    let mut walk = Walk {
        seen: seen.or((keys.keys.len() > 1).then_some(&mut own)),
        query: Query {
            order_by: keys.keys.to_vec(),
            limit: None,
            offset: None,
            ..plan.query.clone()
        },
        keys,
        last: behind.map(|row| row.keys.clone()),
        left: behind.and_then(|row| row.left),
        splits: any_order && plan.ahead > 1,
    };
    let (first, uncertain) = match &walk.last {
        Some(last) => walk.behind(last),
        None => (walk.query.clone(), false),
    };
    let mut ahead = Ahead::new(&reader, first, uncertain);
    let mut summary = ReadSummary::default();
    let (mut idle_pages, mut misses, mut doubts) = (0, 0, 0);
    let range = loop {
        let Some((asked, page)) = ahead.next().await else {
            return Err(internal("reading stopped before the end".into()));
        };
        let mut page = page?;
        let rows = page.rows() as u64;
        let joins = match walk.last.as_ref().filter(|_| asked.overlaps) {
            None => 0,
            Some(last) => match walk.keys.find(&page, last) {
                Some(row) => row + 1,
                None => {
                    misses += 1;
                    if misses > 1
                        && let Some(range) = walk.range()
                    {
                        break range;
                    }
                    let (query, uncertain) = walk.behind(last);
                    if asked.missed {
                        ahead.go_on(query, uncertain);
                    } else {
                        ahead.go_on_before(asked, page, query, uncertain);
                    }
                    continue;
                }
            },
        };
        if asked.uncertain && rows == 0 && page.total_count == Some(0) {
            return Err(vanished(&plan.query));
        }
        let complete = reader.is_last(asked.size, &page)?;
        page.drop_first_rows(joins);
        if let Err(error) = walk.settle_left(&reader, &page).await? {
            doubts += 1;
            let Some(last) = walk.last.as_ref().filter(|_| doubts < MOST_DOUBTS) else {
                return Err(error);
            };
            let (query, uncertain) = walk.behind(last);
            ahead.go_on(query, uncertain);
            continue;
        }
        doubts = 0;
        walk.accept(&page)?;
        idle_pages = if page.rows() > 0 { 0 } else { idle_pages + 1 };
        if let Some(last) = walk.last.as_ref().filter(|_| !complete) {
            if idle_pages > 1 {
                // A gateway that shows the same rows whatever the offset.
                if let Some(range) = walk.range() {
                    break range;
                }
                ahead.width = 0;
                idle_pages = 0;
                let (query, uncertain) = walk.behind(last);
                ahead.go_on(query, uncertain);
            } else {
                ahead.move_up(&asked, rows, || walk.behind(last).0);
                if ahead.is_idle() && ahead.width > 0 {
                    let (query, uncertain) = walk.behind(last);
                    ahead.go_on(query, uncertain);
                }
            }
        }
        if let Some(seen) = &mut walk.seen {
            seen.take_out(&mut page, walk.keys.last_column());
        }
        summary.count(&page);
        let counted = page.total_count.is_some();
        if !ahead.beside(emit(page)).await {
            return Ok(summary);
        }
        if complete {
            summary.complete = true;
            return Ok(summary);
        }
        if !counted && let Some(range) = walk.range() {
            break range;
        }
        ahead.wanted = true;
        ahead.refill();
        if ahead.is_idle() {
            let last = walk
                .last
                .as_ref()
                .ok_or_else(|| internal("rows remain and there is none to go on behind".into()))?;
            let (query, uncertain) = walk.behind(last);
            ahead.go_on(query, uncertain);
        }
    };
    // Its requests hold slots of the gateway, and nothing would bring them to an end.
    drop(ahead);
    ranges::read(&reader, range, walk.seen, summary, emit).await
}

/// Answers in a row that may show fewer rows than the one before has announced.
const MOST_DOUBTS: u32 = 6;

/// Where the reading stands.
struct Walk<'k> {
    /// In the order of the keys.
    query: Query,
    keys: Keys<'k>,
    /// Of the last row taken.
    last: Option<Cells>,
    /// Rows behind it, where the gateway reported it.
    left: Option<u64>,
    seen: Option<&'k mut Seen>,
    /// Parts of the keys may be read side by side.
    splits: bool,
}

impl<'k> Walk<'k> {
    /// The rows behind the last one, if they may be split by their keys.
    fn range(&self) -> Option<ranges::Rows<'k>> {
        if !self.splits {
            return None;
        }
        let ([key], [last]) = (self.keys.keys, self.last.as_deref()?) else {
            return None;
        };
        (!key.descending).then_some(ranges::Rows {
            query: self.query.clone(),
            key,
            column: self.keys.last_column(),
            behind: ranges::number(last)?,
        })
    }

    /// The query for the rows behind one with these keys, and whether its condition could have gone astray: only
    /// where a value was put into another form.
    fn behind(&self, last: &Cells) -> (Query, bool) {
        let uncertain = last.iter().any(|cell| is_reformed(cell));
        let after = self.keys.after(last);
        let query = Query {
            filter: Some(Condition::and(self.query.filter.clone(), after)),
            ..self.query.clone()
        };
        (query, uncertain)
    }

    /// Compares what a page knows of the rows behind the last one with what the page before has said of them. Fewer may be
    /// there because rows were deleted meanwhile: then the rows up to the last one and those behind it are no fewer than
    /// there are in all. Two small requests show it. The inner error: they are fewer.
    async fn settle_left(&mut self, reader: &Reader<'_>, page: &Page) -> Result<Result<(), Error>, Error> {
        let Some(now) = page.remaining.map(|remaining| page.rows() as u64 + remaining) else {
            self.left = None;
            return Ok(Ok(()));
        };
        let announced = self.left;
        if let (Some(announced), Some(last)) = (announced, &self.last)
            && now < announced
        {
            let upto = Query {
                filter: Some(Condition::and(self.query.filter.clone(), self.keys.until(last))),
                order_by: Vec::new(),
                ..self.query.clone()
            };
            let all = Query {
                order_by: Vec::new(),
                ..self.query.clone()
            };
            let (upto, all) = try_join(reader.page(&upto, 0, 1), reader.page(&all, 0, 1)).await?;
            if let (Some(upto), Some(all)) = (upto.total_count, all.total_count)
                && upto + now < all
            {
                let message = format!(
                    "the gateway announced {announced} more rows of {} and shows {now}, but counts {all} in all, of which \
                     {upto} are read",
                    self.query.object
                );
                return Ok(Err(Error::new(ErrorKind::Malformed, message)));
            }
        }
        self.left = page.remaining;
        Ok(Ok(()))
    }

    /// Every row must come after the one before it, across pages too: else rows would be lost or come twice.
    fn accept(&mut self, page: &Page) -> Result<(), Error> {
        let Some(end) = page.rows().checked_sub(1) else {
            return Ok(());
        };
        let missing = |field: &str| no_key(&self.query, field);
        match self.keys.advance(page, self.last.as_ref()).map_err(missing)? {
            None => {}
            Some(0) => return Err(self.disorder("the gateway's next page does not come after the last")),
            Some(_) => return Err(self.disorder("the gateway's rows do not come in the order asked for")),
        }
        let cells = self.keys.of_row(page, end).map_err(missing)?;
        self.last = Some(cells.into_iter().map(<[u8]>::to_vec).collect());
        Ok(())
    }

    fn disorder(&self, message: &str) -> Error {
        let fields: Vec<&str> = self.keys.keys.iter().map(|key| key.field.as_str()).collect();
        let message = format!(
            "{message} (object {}, ordered by {})",
            self.query.object,
            fields.join(", ")
        );
        Error::new(ErrorKind::Malformed, message).with_hint(
            "If the server is declared with ordering 'binary', its text order may be another: see check().",
        )
    }
}

fn is_reformed(cell: &[u8]) -> bool {
    !matches!(reading::value_to_send(cell), Value::Text(text) | Value::Number(text) if text.as_bytes() == cell)
}

fn no_key(query: &Query, field: &str) -> Error {
    let message = format!(
        "a row of {} has no {field}, by which its pages are read",
        query.object
    );
    Error::new(ErrorKind::Cell, message)
        .with_hint("Set the table's row_key to a field that every row has, or to nothing if there is none.")
}

fn vanished(query: &Query) -> Error {
    let message = format!(
        "the gateway announced more rows of {} and then showed none",
        query.object
    );
    Error::new(ErrorKind::Moved, message)
}
