//! Executor state of a foreign scan (`fdw_state`).

use super::job::{self, GoOn, Job, PartPage};
use super::kept::{Kept, Recording, Resumed, moved};
use super::lines::Lines;
use super::stats::ScanStats;
use super::whole::{Cursor, Whole};
use crate::catalog::ForeignTable;
use crate::convert::inward::Converter;
use crate::convert::memory::RowMemory;
use crate::error::{Report, raise};
use crate::exec::aggregate;
use crate::exec::answers::Answers;
use crate::exec::bind::{self, Parameters};
use crate::exec::cell_location::{CellLocation, naming};
use crate::exec::cells::cell_reader;
use crate::exec::generated::StoredColumns;
use crate::exec::read_through::{ReadThrough, pages_behind};
use crate::io::{self, Ready, Stream};
use crate::private::{ScanPart, ScanPrivate};
use crate::shmem::Tracked;
use intacct::{Binding, CellReader, Client, Condition, ErrorKind, Page, Query};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// One column that the scan fills.
pub struct Output {
    /// Position in the slot, from 0.
    pub slot: usize,
    /// Index in the page.
    pub cell: usize,
    /// How the cell is read.
    pub converter: Converter,
    /// The column is declared NOT NULL. The planner relies on that, so a row that has nothing there is an error.
    pub not_null: bool,
}

/// A running scan. Owned by the executor's memory context, so that an error drops it too.
pub struct ScanState {
    /// The table, for options and messages.
    pub table: Rc<ForeignTable>,
    /// Whose mapping is used.
    pub user: pg_sys::Oid,
    /// The plan, parameters unbound.
    pub plan: ScanPrivate,
    /// The plan's expressions.
    pub parameters: Parameters,
    /// Columns to fill from the page.
    pub outputs: Vec<Output>,
    /// Columns that are the same in every row: position and value.
    pub constants: Vec<(usize, pg_sys::Datum)>,
    /// Columns that are computed from the others.
    pub stored: StoredColumns,
    /// Rows and bytes so far, for EXPLAIN ANALYZE.
    pub received: ScanStats,
    /// Whether [`next`](Self::next) waits for rows; else it gives none while none are there, and
    /// [`wait_fd`](Self::wait_fd) shows why.
    pub blocking: bool,
    /// What a lookup join asks for, beside the plan's own condition.
    keys: Option<Condition>,
    /// The query without that, once it is bound.
    all: Option<Query>,
    client: Option<Client>,
    pub(super) reader: Option<CellReader>,
    /// Holds the values of the current row.
    memory: RowMemory,
    /// Owned lines of the page's rows.
    lines: Lines,
    pub(super) progress: ScanPhase,
    /// What the scan still has to skip and to return, if it carries out LIMIT and OFFSET; as it is, and as it began.
    pub(super) left: Option<(Left, Left)>,
    /// What was answered for parameters before these; none of a scan that is run once.
    pub(in crate::exec) answers: Option<Answers<Kept>>,
    /// The answer that is under way.
    pub(super) recording: Option<Recording>,
    /// Of an answer that was kept in part and is asked for once more.
    pub(super) resumed: Option<Resumed>,
    /// Whether all rows are worth reading.
    pub(super) read_through: ReadThrough,
    /// All rows, once they are read.
    pub(super) whole: Option<Whole>,
    /// Where the next read goes on, if some of its rows are known.
    pub(super) go_on: Option<GoOn>,
    /// The number of all rows, which are read for the next question: lookups of the node above have cost as much.
    pub(super) whole_next: Option<u64>,
}

/// Streams of a backend that fetch ahead.
const MOST_AHEAD: usize = 32;

/// Rows that are still to be skipped and returned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) skip: u64,
    pub(super) limit: u64,
}

/// Where the scan stands.
#[allow(clippy::large_enum_variant, reason = "there is one of it in a scan")]
pub(super) enum ScanPhase {
    /// No request has been sent.
    Idle,
    /// A join is computed locally.
    Local,
    /// Reading `page` from `row` on; later pages come from `rest`.
    Reading {
        page: Rc<Page>,
        row: usize,
        pages: u64,
        rest: Rest,
        shown: SharedProgress,
    },
}

/// An answer that was set aside.
pub struct UnderWay(ScanPhase);

/// Where further pages come from.
pub(super) enum Rest {
    /// There are none.
    Nothing,
    /// The gateway.
    Gateway(Stream<PartPage>),
    /// An answer that was kept, from its page of this number on.
    Kept(Kept, usize),
    /// All rows, which were read before.
    Whole(Cursor),
}

/// What others may see of the scan.
#[derive(Default)]
pub(super) struct SharedProgress {
    tracked: Option<Tracked>,
    /// Rows that the statement wants, where known.
    pub(super) wanted: Option<u64>,
    /// The first page shows how many rows there are: they are not read in parts.
    counts: bool,
    rows: u64,
    total: Option<u64>,
    /// Since when the scan has no row at hand, while another node waits for it.
    idle: Option<Instant>,
}

impl SharedProgress {
    /// Counts a page and publishes it.
    fn add(&mut self, page: &Page, pages: u64) {
        if self.counts && pages == 1 {
            let total = page.total_count.map(|total| total.saturating_sub(page.offset));
            self.total = total.map(|total| total.min(self.wanted.unwrap_or(u64::MAX)));
        }
        self.rows += page.rows() as u64;
        self.total = self.total.map(|total| total.max(self.rows));
        if let Some(tracked) = &self.tracked {
            tracked.progress(self.rows, self.total, pages);
        }
    }
}

/// Where the rows of a question come from.
pub(super) enum Source {
    /// The gateway; the answer is kept under this question, if there is one.
    Gateway(Option<String>),
    /// What is known.
    Known(Rest),
}

impl ScanState {
    /// A scan before its first request.
    pub fn new(
        table: Rc<ForeignTable>,
        user: pg_sys::Oid,
        plan: ScanPrivate,
        parameters: Parameters,
        outputs: Vec<Output>,
        constants: Vec<(usize, pg_sys::Datum)>,
    ) -> ScanState {
        ScanState {
            table,
            user,
            plan,
            parameters,
            outputs,
            constants,
            stored: StoredColumns::none(),
            received: ScanStats::default(),
            blocking: true,
            keys: None,
            all: None,
            client: None,
            reader: None,
            memory: RowMemory::default(),
            lines: Lines::default(),
            progress: ScanPhase::Idle,
            left: None,
            answers: None,
            recording: None,
            resumed: None,
            read_through: ReadThrough::Unknown,
            whole: None,
            go_on: None,
            whole_next: None,
        }
    }

    /// Whether LIMIT and OFFSET are carried out here, so that rows must be counted with [`counts`](Self::counts).
    pub fn finishes(&self) -> bool {
        self.plan.finish.is_some()
    }

    /// Whether a row that passed the check of conditions is one to return, and not one to skip.
    pub fn counts(&mut self) -> bool {
        match &mut self.left {
            Some((Left { skip: 0, limit }, _)) => {
                *limit = limit.saturating_sub(1);
                true
            }
            Some((left, _)) => {
                left.skip -= 1;
                false
            }
            None => true,
        }
    }

    /// Fills the slot with the next row; `false`: there is none. Raises what goes wrong.
    ///
    /// # Safety
    /// `context` must be the scan's expression context, the arrays at least as long as the tuple descriptor. Values live
    /// until the next call or in the current memory context. `has_local`: whether there is a local plan.
    pub unsafe fn next(
        &mut self,
        context: *mut pg_sys::ExprContext,
        has_local: bool,
        values: &mut [pg_sys::Datum],
        nulls: &mut [bool],
    ) -> bool {
        if matches!(self.progress, ScanPhase::Idle) {
            // SAFETY: same contract as this function.
            unsafe { self.start(context, has_local) };
        }
        if matches!(self.left, Some((Left { limit: 0, .. }, _))) {
            return false;
        }
        loop {
            // SAFETY: same contract as this function.
            if self.is_between_pages() && unsafe { self.turns_to_whole(context) } {
                continue;
            }
            let ScanPhase::Reading {
                page,
                row,
                pages,
                rest,
                shown,
            } = &mut self.progress
            else {
                return false;
            };
            if *row < page.rows() {
                let current = *row;
                *row += 1;
                // SAFETY: same contract as this function.
                unsafe { self.fill(current, values, nulls) };
                return true;
            }
            let next = match rest {
                Rest::Nothing => return false,
                Rest::Gateway(stream) if self.blocking => {
                    let next = self.received.wait(|| stream.next());
                    next.map(|next| next.map_or(Ready::End, Ready::Item))
                }
                Rest::Gateway(stream) => stream.try_next(),
                Rest::Kept(kept, number) => {
                    let next = kept.pages.get(*number).cloned();
                    *number += 1;
                    match (next, kept.complete) {
                        (Some(next), _) => {
                            *pages += 1;
                            if let Some(answers) = &mut self.answers {
                                *page = next.load(&mut answers.spilled.file);
                            }
                            *row = 0;
                        }
                        (None, true) => *rest = Rest::Nothing,
                        (None, false) => {
                            let kept = kept.clone();
                            // SAFETY: same contract as this function.
                            unsafe { self.resume(context, has_local, kept) };
                        }
                    }
                    continue;
                }
                Rest::Whole(cursor) => {
                    // SAFETY: main thread; the cursor is of the rows that are kept.
                    let next = self
                        .whole
                        .as_mut()
                        .and_then(|whole| unsafe { whole.page(cursor) });
                    match next {
                        Some(next) => {
                            *pages += 1;
                            *page = next;
                            *row = 0;
                        }
                        None => *rest = Rest::Nothing,
                    }
                    continue;
                }
            };
            match next {
                Ok(Ready::NotYet) => {
                    shown.idle.get_or_insert_with(Instant::now);
                    return false;
                }
                Ok(Ready::Item(PartPage { part, page: next })) => {
                    let next = Rc::new(next);
                    *pages += 1;
                    self.received.waited += shown.idle.take().map_or(Duration::ZERO, |since| since.elapsed());
                    self.received.add(&next);
                    shown.add(&next, *pages);
                    // What is asked for by keys, or read on, is not all.
                    let is_whole =
                        self.keys.is_none() && self.resumed.is_none() && self.plan.parts.len() == 1;
                    if *pages == 1 && next.offset == 0 && is_whole && self.plan.joined.is_none() {
                        let filter = self.plan.query.filter.as_ref();
                        self.table.note_rows(filter, next.total_count);
                    }
                    self.lines = Lines::of(&self.plan, self.client.as_ref(), &next, &mut self.received);
                    *row = match (&mut self.resumed, &mut self.answers) {
                        (Some(resumed), Some(answers)) => resumed.used(&next, &mut answers.spilled.file),
                        _ => 0,
                    };
                    *page = next.clone();
                    let is_first = *pages == 1 && shown.wanted.is_none();
                    self.prepare_reader();
                    if is_first && self.resumed.is_none() {
                        // SAFETY: same contract as this function.
                        let instead = unsafe { self.reads_whole_instead(&next, context) };
                        if instead {
                            continue;
                        }
                    }
                    self.record(&next, part);
                }
                Ok(Ready::End) => {
                    if let Some(resumed) = self.resumed.take()
                        && !resumed.is_done()
                    {
                        moved();
                    }
                    *rest = Rest::Nothing;
                    shown.tracked = None;
                    self.keep_answer(true);
                }
                // Rows of which nothing proves that they are those of the join are not used: an ordinary thing for users who
                // see some entities only.
                Err(error) if has_local && *pages == 0 && *error.kind() == ErrorKind::Undecided => {
                    self.received.local = Some(error.to_string());
                    self.progress = ScanPhase::Local;
                }
                // The gateway follows many paths, and not all.
                Err(error) if has_local && *pages == 0 && aggregate::may_read_rows(&error) => {
                    local_join(&self.plan.query.object, &error).emit(PgLogLevel::WARNING);
                    self.progress = ScanPhase::Local;
                }
                Err(error) => {
                    *rest = Rest::Nothing;
                    shown.tracked = None;
                    self.recording = None;
                    raise(error)
                }
            }
        }
    }

    /// Whether the rows at hand are used up, and the gateway has shown that there are more.
    fn is_between_pages(&self) -> bool {
        self.answers.is_some()
            && matches!(&self.progress, ScanPhase::Reading { page, row, pages: 1.., rest: Rest::Gateway(_), .. }
                if *row >= page.rows() && page.remaining != Some(0))
    }

    /// Starts over. When the parameters are the same and the first page is still at hand, it is read again.
    pub fn rewind(&mut self, parameters_changed: bool) {
        if let Some((left, began)) = &mut self.left {
            *left = *began;
        }
        match &mut self.progress {
            ScanPhase::Reading {
                row, pages: 0..=1, ..
            } if !parameters_changed && self.resumed.is_none() => *row = 0,
            ScanPhase::Local if !parameters_changed => {}
            _ => self.stop(),
        }
    }

    /// Narrows the scan to the rows that a lookup join wants; without a condition it wants all. What is under way is
    /// cancelled.
    pub fn ask(&mut self, keys: Option<Condition>) {
        // The join keeps what it has asked for.
        self.answers = None;
        self.stop();
        self.keys = keys;
    }

    /// Asks the gateway, and does not wait for what it answers.
    ///
    /// # Safety
    /// As [`next`](Self::next); the scan must have been asked, and have no local plan.
    pub unsafe fn begin(&mut self, context: *mut pg_sys::ExprContext) {
        if matches!(self.progress, ScanPhase::Idle) {
            // SAFETY: same contract as this function.
            unsafe { self.start(context, false) };
        }
        if let ScanPhase::Reading {
            rest: Rest::Gateway(stream),
            ..
        } = &mut self.progress
        {
            stream.ask();
        }
    }

    /// Takes out the answer that is under way, so that the scan can be asked for something else before it is read.
    pub fn set_aside(&mut self) -> UnderWay {
        UnderWay(std::mem::replace(&mut self.progress, ScanPhase::Idle))
    }

    /// Goes on with an answer that was set aside; what is under way is cancelled.
    pub fn take_up(&mut self, answer: UnderWay) {
        self.progress = answer.0;
    }

    /// Whether the user's preferences are needed, and not known yet.
    pub fn asks_formatting(&self) -> bool {
        let knows = |client: &Client| client.known_formatting().is_some();
        self.plan.need_formatting && !self.client.as_ref().is_some_and(knows)
    }

    /// Pages of the answer that are still to come, as far as the one at hand shows.
    pub fn pages_left(&self) -> u64 {
        match &self.progress {
            ScanPhase::Reading {
                page,
                pages: 1..,
                rest: Rest::Gateway(_),
                ..
            } => pages_behind(page.remaining.unwrap_or(0), self.table.page_size()),
            _ => 0,
        }
    }

    /// Asks how many rows there are whatever keys are asked for, once the scan has begun; `None` where it cannot be determined.
    pub fn count_rows(&self) -> Option<Stream<u64>> {
        let (client, query) = (self.client.clone()?, self.all.clone()?);
        let dialect = self.plan.dialect;
        if !dialect.capabilities().total_count {
            return None;
        }
        job::count(client, dialect, query, self.received.meter.clone()).ok()
    }

    /// The descriptor that becomes readable when the scan can go on; none when it has a row at hand, or has ended.
    pub fn wait_fd(&self) -> Option<RawFd> {
        match &self.progress {
            ScanPhase::Reading {
                page,
                row,
                rest: Rest::Gateway(stream),
                ..
            } if *row >= page.rows() && !matches!(self.left, Some((Left { limit: 0, .. }, _))) => {
                Some(stream.descriptor())
            }
            _ => None,
        }
    }

    /// Whether nothing has been asked.
    pub fn is_idle(&self) -> bool {
        matches!(self.progress, ScanPhase::Idle)
    }

    /// Whether the local plan has taken over.
    pub fn is_local(&self) -> bool {
        matches!(self.progress, ScanPhase::Local)
    }

    /// Cancels what is under way. What came of an answer is kept.
    pub fn stop(&mut self) {
        self.keep_answer(false);
        self.resumed = None;
        self.progress = ScanPhase::Idle;
    }

    /// Closes files.
    ///
    /// # Safety
    /// Main thread; the last call.
    pub unsafe fn close(&mut self) {
        if let Some(whole) = &mut self.whole {
            // SAFETY: passed on.
            unsafe { whole.close() };
        }
        if let Some(answers) = &mut self.answers {
            answers.spilled.close();
        }
    }

    pub(super) unsafe fn start(&mut self, context: *mut pg_sys::ExprContext, has_local: bool) {
        // SAFETY: same contract as this function.
        let bindings = unsafe { self.parameters.evaluate(context) };
        let filter = self.plan.query.filter.as_ref();
        let is_exact = self.table.expresses_exactly_at_execution(&bindings, filter);
        // The rows of a join are not rechecked, so every condition must be expressed exactly.
        if self.plan.joined.is_some() && has_local && !is_exact {
            self.progress = ScanPhase::Local;
            return;
        }
        let bound = job::bind(&self.plan, &bindings);
        let source = match &bound {
            // SAFETY: same contract as this function.
            Some(plan) => unsafe { self.known(context, plan, &bindings, is_exact) },
            None => Source::Gateway(None),
        };
        self.read(bound, &bindings, source, is_exact, has_local);
    }

    /// Starts to read the rows of a plan whose parameters are bound; without a plan there are none.
    pub(super) fn read(
        &mut self,
        bound: Option<ScanPrivate>,
        bindings: &[Binding],
        source: Source,
        is_exact: bool,
        has_local: bool,
    ) {
        let go_on = self.go_on.take();
        let finish = self.plan.finish.map(|finish| {
            let limit = finish
                .limit
                .and_then(|limit| bind::row_count(limit, bindings, true));
            let offset = bind::row_count(finish.offset, bindings, false).unwrap_or(0);
            // A condition that is loosened keeps rows that must not count, and so do all rows.
            let at_gateway = is_exact && !matches!(source, Source::Known(Rest::Whole(_)));
            let left = Left {
                skip: if at_gateway { 0 } else { offset },
                limit: limit.unwrap_or(u64::MAX),
            };
            self.left = Some((left, left));
            (limit, offset, at_gateway)
        });
        let mut shown = SharedProgress::default();
        let rest = match (bound, source) {
            (None, _) => Rest::Nothing,
            (Some(_), _) if matches!(finish, Some((Some(0), ..))) => Rest::Nothing,
            (Some(_), Source::Known(rest)) => rest,
            (Some(mut plan), Source::Gateway(question)) => {
                if let Some(keys) = &self.keys {
                    self.all = Some(plan.query.clone());
                    plan.query.filter = Some(Condition::and(plan.query.filter, keys.clone()));
                }
                let client = self.client();
                // At an entity, what a path shows of other entities is not known (fact 41).
                if self.plan.joined.is_some() && has_local && client.config().location_id.is_some() {
                    self.progress = ScanPhase::Local;
                    return;
                }
                let page_size = self.table.page_size();
                let wanted = match finish {
                    Some((limit, _, true)) => limit,
                    Some((limit, offset, false)) => limit.map(|limit| limit.saturating_add(offset)),
                    None => plan.wanted.and_then(|wanted| {
                        let limit = bind::count(wanted.limit, bindings)?;
                        let offset = wanted.offset.and_then(|offset| bind::count(offset, bindings));
                        Some(limit.saturating_add(offset.unwrap_or(0)))
                    }),
                };
                let first_page = match wanted {
                    // A few rows would not show whether the gateway sorts as an option assumes.
                    Some(wanted) if plan.assumed.is_empty() && self.resumed.is_none() && go_on.is_none() => {
                        wanted.clamp(1, page_size.into()) as u32
                    }
                    _ => page_size,
                };
                shown.wanted = wanted;
                shown.counts = matches!(plan.parts[..], [ScanPart::Whole]);
                shown.tracked = Tracked::start(self.table.server_oid, self.table.oid, &plan.query.object);
                self.recording = question.map(Recording::new);
                let job = Job {
                    client,
                    plan,
                    page_size,
                    first_page,
                    // What comes beyond the rows that are wanted is kept for later runs: small pages would be calls more.
                    grows: self.answers.is_none(),
                    skip: match finish {
                        Some((_, offset, true)) if go_on.is_none() => offset,
                        _ => 0,
                    },
                    // Each of many would hold what it has fetched ahead; and an answer of which a part was enough before is likely
                    // not to be read to its end.
                    no_prefetch: wanted.is_some() || go_on.is_some() || io::streams() >= MOST_AHEAD,
                    // An answer that is kept in part is gone on with behind its last row.
                    any_order: self.plan.any_order && self.answers.is_none(),
                    go_on,
                    meter: self.received.meter.clone(),
                };
                Rest::Gateway(job.start().unwrap_or_else(|error| raise(error)))
            }
        };
        self.progress = ScanPhase::Reading {
            page: Rc::default(),
            row: 0,
            pages: 0,
            rest,
            shown,
        };
    }

    /// Who is asked. Raises what goes wrong.
    pub(super) fn client(&mut self) -> Client {
        let client =
            crate::connection::client(self.table.server_oid, self.user).unwrap_or_else(|error| raise(error));
        self.client = Some(client.clone());
        client
    }

    /// The reader of cells, once the formatting is known (the first page brought it).
    pub(super) fn prepare_reader(&mut self) {
        if self.reader.is_some() {
            return;
        }
        self.reader = Some(cell_reader(self.client.as_ref()));
    }

    unsafe fn fill(&mut self, row: usize, values: &mut [pg_sys::Datum], nulls: &mut [bool]) {
        let (ScanPhase::Reading { page, .. }, Some(reader)) = (&self.progress, &self.reader) else {
            return;
        };
        self.memory.begin();
        nulls.fill(true);
        for (slot, value) in &self.constants {
            values[*slot] = *value;
            nulls[*slot] = false;
        }
        for output in &self.outputs {
            let lines = || self.lines.cell(row, output.cell.checked_sub(page.columns())?);
            match page.cell(row, output.cell).or_else(lines) {
                Some(cell) if output.converter.calls_type() => {
                    let memory = &mut self.memory;
                    // SAFETY: as below.
                    let convert = || unsafe { output.converter.datum_in(memory, cell, reader) };
                    let place = || CellLocation::of(&self.table, &self.plan, page, row, output.cell);
                    match naming(convert, place) {
                        Ok(datum) => {
                            values[output.slot] = datum;
                            nulls[output.slot] = false;
                        }
                        Err(error) => raise(place().report(&error)),
                    }
                }
                // SAFETY: pages hold valid UTF-8.
                Some(cell) => match unsafe { output.converter.datum_in(&mut self.memory, cell, reader) } {
                    Ok(datum) => {
                        values[output.slot] = datum;
                        nulls[output.slot] = false;
                    }
                    Err(error) => raise(
                        CellLocation::of(&self.table, &self.plan, page, row, output.cell).report(&error),
                    ),
                },
                None if self.plan.row_key.map(usize::from) == Some(output.cell) => raise(
                    CellLocation::of(&self.table, &self.plan, page, row, output.cell)
                        .missing("which is the row key"),
                ),
                None if output.not_null => raise(
                    CellLocation::of(&self.table, &self.plan, page, row, output.cell)
                        .missing("whose column is declared NOT NULL"),
                ),
                // Of a row of several tables, one may be missing.
                None if self.plan.joined.is_some() => {}
                // SAFETY: main thread.
                None => unsafe { output.converter.null() },
            }
        }
    }
}

/// The error when the gateway does not answer a join.
fn local_join(object: &str, error: &intacct::Error) -> Report {
    Report::new(
        PgSqlErrorCode::ERRCODE_WARNING,
        format!("Sage Intacct did not join {object}; its tables are read one by one"),
    )
    .cause(error)
    .hint("Set the server option push_joins to off if this happens often.")
}
