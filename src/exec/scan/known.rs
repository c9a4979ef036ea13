//! What is known of the answer to a question: what was answered before, or all rows, which are read when answers have cost as
//! many calls.

use super::job::{self, GoOn, Job};
use super::kept::{Kept, KeptPage, Recording, Resumed, moved};
use super::state::{Left, Rest, ScanPhase, ScanState, Source};
use super::whole::{Cursor, Whole};
use crate::error::raise;
use crate::exec::aggregate;
use crate::exec::answers::{self, Answers};
use crate::exec::bind;
use crate::exec::read_through::{ReadThrough, pages_behind};
use crate::private::ScanPrivate;
use crate::shmem::Tracked;
use intacct::{Binding, CellReader, DialectKind, ErrorKind, LastRow, OrderKey, Page, Query, Seen};
use pgrx::pg_sys;
use std::rc::Rc;

impl ScanState {
    /// Records a page of a part of the answer that is under way; one that outgrows the memory goes to the file.
    pub(super) fn record(&mut self, page: &Rc<Page>, part: usize) {
        let (Some(answers), Some(recording)) = (&mut self.answers, &mut self.recording) else {
            return;
        };
        recording.kept.add(page, part);
        recording.bytes += page.memory_bytes() + size_of::<Page>();
        if recording.in_file || !answers.make_room(recording.bytes) {
            recording.in_file = true;
            recording.bytes = recording.kept.pages.len() * size_of::<KeptPage>();
            recording.kept.unload(&mut answers.spilled.file);
        }
    }

    /// Keeps what was recorded: all rows, or those that came before the statement had enough.
    pub(super) fn keep_answer(&mut self, complete: bool) {
        if let (Some(answers), Some(mut recording)) = (&mut self.answers, self.recording.take())
            && (complete || !recording.kept.pages.is_empty())
        {
            let is_last = recording.kept.part + 1 == self.plan.parts.len();
            recording.kept.complete = complete || is_last && recording.kept.left == Some(0);
            answers.keep(recording.question, recording.kept, recording.bytes);
        }
    }

    /// Keeps answers: the scan may be run for several parameters, or several times for the same.
    ///
    /// # Safety
    /// Main thread; the current memory context must live as long as the scan.
    pub unsafe fn remember(&mut self) {
        // Lines are read record by record beside the pages.
        if self.plan.lines.is_empty() {
            // SAFETY: same contract as this function.
            self.answers = Some(unsafe { Answers::new() });
        }
    }

    /// Whether answers can be found among all rows. Those of several tables are not checked again, so they must be found by keys
    /// alone.
    pub fn can_read_whole(&self) -> bool {
        self.answers.is_some() && (self.plan.joined.is_none() || !self.plan.lookup_keys.is_empty())
    }

    /// Whether all rows have been read.
    pub fn has_read_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// Reads all rows, of which there are so many, for the next question.
    pub fn read_whole_next(&mut self, rows: u64) {
        if self.whole.is_none() {
            self.whole_next = Some(rows);
        }
    }

    /// What is known of the answer to a plan whose parameters are bound.
    ///
    /// # Safety
    /// As [`next`](Self::next).
    pub(super) unsafe fn known(
        &mut self,
        context: *mut pg_sys::ExprContext,
        plan: &ScanPrivate,
        bindings: &[Binding],
        is_exact: bool,
    ) -> Source {
        let Some(answers) = &mut self.answers else {
            return Source::Gateway(None);
        };
        // SAFETY: main thread.
        if let Some(cursor) = unsafe { find(&mut self.whole, plan, self.reader.as_ref()) } {
            answers.recalled += 1;
            return Source::Known(Rest::Whole(cursor));
        }
        let question = question(plan, bindings, is_exact);
        if let Some(kept) = answers.recall(&question) {
            return Source::Known(Rest::Kept(kept, 0));
        }
        // An aggregate whose local plan this is has asked before, and its other parameters are to come.
        let may_come_again =
            answers.asked > 0 || self.received.elsewhere > 0 && self.parameters.varies().contains(&true);
        let rows = match self.whole_next.take() {
            Some(rows) => Some(rows),
            None if !may_come_again || self.whole.is_some() => None,
            None => {
                let asked = answers.asked;
                self.before_lookup(asked, bindings)
            }
        };
        if let Some(rows) = rows {
            // SAFETY: same contract as this function.
            unsafe { self.read_whole((*context).ecxt_per_query_memory, bindings, rows) };
            // SAFETY: main thread.
            if let Some(cursor) = unsafe { find(&mut self.whole, plan, self.reader.as_ref()) } {
                if let Some(answers) = &mut self.answers {
                    answers.recalled += 1;
                }
                return Source::Known(Rest::Whole(cursor));
            }
        }
        if let Some(answers) = &mut self.answers {
            answers.asked += 1;
        }
        Source::Gateway(Some(question))
    }

    /// Before the gateway is asked once more, after so many lookups: the number of all rows, if these are to be read instead.
    fn before_lookup(&mut self, asked: u64, bindings: &[Binding]) -> Option<u64> {
        if !self.can_read_whole() {
            return None;
        }
        let query = self.constant_query(bindings);
        let (client, dialect) = (self.client(), self.plan.dialect);
        let page_size = self.table.page_size();
        self.read_through
            .before_lookup(asked, &mut self.received, page_size, || {
                Some((client, dialect, query?))
            })
    }

    /// Under a LIMIT pages grow from a few rows on: what a table of one page has may take several. A count travels with the next
    /// one, if it is time; whether it is.
    unsafe fn counts_beside(&mut self, context: *mut pg_sys::ExprContext) -> bool {
        let wanted = matches!(&self.progress, ScanPhase::Reading { shown, .. } if shown.wanted.is_some());
        if !wanted || !matches!(self.read_through, ReadThrough::Unknown) {
            return false;
        }
        // SAFETY: same contract as the caller's.
        let bindings = unsafe { self.parameters.evaluate(context) };
        let query = self.constant_query(&bindings);
        let (client, dialect) = (self.client(), self.plan.dialect);
        self.read_through
            .starts_to_count(&self.received, || Some((client, dialect, query?)))
    }

    /// The query for all rows, whatever parameters vary; none where they match no row.
    fn constant_query(&self, bindings: &[Binding]) -> Option<Query> {
        let constant = self.parameters.constant(bindings);
        job::bind(&self.plan, &constant).map(|plan| plan.query)
    }

    /// Reads all rows, whatever parameters vary. Where nothing proves that they are those of the join, none are kept. Raises what
    /// goes wrong.
    ///
    /// # Safety
    /// Main thread; `memory` must live as long as the scan.
    unsafe fn read_whole(&mut self, memory: pg_sys::MemoryContext, bindings: &[Binding], rows: u64) {
        let Some(query) = self.constant_query(bindings) else {
            return;
        };
        let client = self.client();
        let plan = ScanPrivate {
            query,
            wanted: None,
            finish: None,
            ..self.plan.clone()
        };
        let before = self.received.meter.stats().calls;
        let tracked = Tracked::start(self.table.server_oid, self.table.oid, &plan.query.object);
        let page_size = self.table.page_size();
        let job = Job {
            client,
            plan,
            page_size,
            first_page: page_size,
            grows: false,
            skip: 0,
            no_prefetch: false,
            any_order: self.plan.any_order,
            go_on: None,
            meter: self.received.meter.clone(),
        };
        let mut stream = job.start().unwrap_or_else(|error| raise(error));
        // SAFETY: same contract as this function.
        let mut whole =
            unsafe { Whole::new(memory, &self.table, &self.plan, self.parameters.varies(), rows) };
        let (mut pages, mut read) = (0, 0);
        loop {
            let page = match self.received.wait(|| stream.next()) {
                Ok(Some(next)) => next.page,
                Ok(None) => break,
                Err(error)
                    if self.plan.joined.is_some()
                        && pages == 0
                        && (*error.kind() == ErrorKind::Undecided || aggregate::may_read_rows(&error)) =>
                {
                    self.read_through = ReadThrough::Never;
                    return;
                }
                Err(error) => raise(error),
            };
            pages += 1;
            read += page.rows() as u64;
            self.received.add(&page);
            if let Some(tracked) = &tracked {
                tracked.progress(read, Some(rows.max(read)), pages);
            }
            self.prepare_reader();
            if let Some(reader) = &self.reader {
                // SAFETY: main thread.
                unsafe { whole.add(&page, reader) };
            }
        }
        if !whole.is_usable() {
            // SAFETY: main thread.
            unsafe { whole.close() };
            self.read_through = ReadThrough::Never;
            return;
        }
        if let Some(answers) = &mut self.answers {
            answers.whole_after = Some(before);
        }
        self.whole = Some(whole);
    }

    /// Reads all rows in place of an answer whose first page shows that it costs as much.
    pub(super) unsafe fn reads_whole_instead(
        &mut self,
        first: &Page,
        context: *mut pg_sys::ExprContext,
    ) -> bool {
        let remaining = first.remaining.unwrap_or(0);
        let counted = matches!(
            self.read_through,
            ReadThrough::Counting(_) | ReadThrough::Counted { .. }
        );
        if remaining == 0 || !counted || !self.can_read_whole() || !self.blocking {
            return false;
        }
        let page_size = self.table.page_size();
        // The first page behind this one shows its last row once more, as all do.
        let more = pages_behind(remaining, page_size);
        let due = self.read_through.instead_of(more, &mut self.received, page_size);
        let Some(rows) = due else { return false };
        self.recording = None;
        self.progress = ScanPhase::Idle;
        self.whole_next = Some(rows);
        if let Some(answers) = &mut self.answers {
            answers.asked = answers.asked.saturating_sub(1);
        }
        // SAFETY: same contract as the caller's.
        unsafe { self.start(context, false) };
        true
    }

    /// Between two pages of an answer: reads all rows in place of the rest, when as much has been spent. The rows that were used
    /// are left out of them.
    pub(super) unsafe fn turns_to_whole(&mut self, context: *mut pg_sys::ExprContext) -> bool {
        if !self.can_read_whole() || !self.blocking || self.whole.is_some() {
            return false;
        }
        // SAFETY: same contract as the caller's.
        let begun = unsafe { self.counts_beside(context) };
        let counted = matches!(
            self.read_through,
            ReadThrough::Counting(_) | ReadThrough::Counted { .. }
        );
        if begun || !counted {
            return false;
        }
        let used = match (&self.resumed, &self.recording) {
            (Some(resumed), _) if !resumed.is_done() => resumed.pages().to_vec(),
            (_, Some(recording)) => recording.kept.pages.clone(),
            (_, None) => return false,
        };
        let page_size = self.table.page_size();
        let due = self.read_through.instead_of(0, &mut self.received, page_size);
        // SAFETY: same contract as the caller's.
        due.is_some_and(|rows| unsafe { self.turn_to_whole(context, used, rows) })
    }

    /// Reads all rows, of which there are so many, in place of the rest of the present answer.
    unsafe fn turn_to_whole(
        &mut self,
        context: *mut pg_sys::ExprContext,
        used: Vec<KeptPage>,
        rows: u64,
    ) -> bool {
        // SAFETY: same contract as the caller's.
        let bindings = unsafe { self.parameters.evaluate(context) };
        let Some(plan) = job::bind(&self.plan, &bindings) else {
            return false;
        };
        // SAFETY: as above.
        unsafe { self.read_whole((*context).ecxt_per_query_memory, &bindings, rows) };
        // SAFETY: main thread.
        let Some(mut cursor) = (unsafe { find(&mut self.whole, &plan, self.reader.as_ref()) }) else {
            return false;
        };
        if let (Some(whole), Some(answers)) = (&mut self.whole, &mut self.answers) {
            let file = &mut answers.spilled.file;
            let pages = used.iter().map(|page| page.load(file));
            // SAFETY: main thread; the cursor is of these rows.
            if !unsafe { whole.leave_out(&mut cursor, pages, answers::work_mem()) } {
                moved();
            }
        }
        let left = self.left;
        self.recording = None;
        self.resumed = None;
        let source = Source::Known(Rest::Whole(cursor));
        self.read(Some(plan), &bindings, source, false, false);
        // The rows at hand are not all of the answer, whatever comes: they are not read again.
        if let ScanPhase::Reading { pages, .. } = &mut self.progress {
            *pages = used.len() as u64 + 1;
        }
        if let (Some((before, began)), Some((now, _))) = (left, self.left) {
            let is_exact = self
                .table
                .expresses_exactly_at_execution(&bindings, self.plan.query.filter.as_ref());
            // What the gateway has skipped is not among the rows that were used.
            let skip = match is_exact {
                true => now.skip,
                false => before.skip,
            };
            self.left = Some((Left { skip, ..before }, began));
        }
        true
    }

    /// Asks for the rest of an answer of which only the rows that were used now had been kept; for all of it, where a read cannot go
    /// on behind a row. Raises what goes wrong.
    pub(super) unsafe fn resume(&mut self, context: *mut pg_sys::ExprContext, has_local: bool, kept: Kept) {
        // SAFETY: same contract as the caller's.
        let bindings = unsafe { self.parameters.evaluate(context) };
        // None is begun when as much has been spent as all rows cost; the count is waited for.
        let due = self.before_lookup(0, &bindings);
        if let Some(rows) = due
            // SAFETY: same contract as the caller's.
            && unsafe { self.turn_to_whole(context, kept.pages.clone(), rows) }
        {
            return;
        }
        let is_exact = self
            .table
            .expresses_exactly_at_execution(&bindings, self.plan.query.filter.as_ref());
        let left = self.left;
        let bound = job::bind(&self.plan, &bindings);
        let question = bound.as_ref().map(|plan| question(plan, &bindings, is_exact));
        if let Some(answers) = &mut self.answers {
            answers.recalled = answers.recalled.saturating_sub(1);
            answers.asked += 1;
        }
        self.go_on = bound.as_ref().and_then(|plan| self.go_on_behind(plan, &kept));
        let goes_on = self.go_on.is_some();
        if !goes_on {
            self.resumed = Some(Resumed::new(kept.pages.clone()));
        }
        let used = kept.pages.len() as u64;
        self.read(
            bound,
            &bindings,
            Source::Gateway(question.clone()),
            is_exact,
            has_local,
        );
        if goes_on {
            self.recording = question.map(|question| Recording::of(question, kept));
        }
        // Rows have been returned: nothing can take the place of all of them any more.
        if let ScanPhase::Reading { pages, .. } = &mut self.progress {
            *pages = used + 1;
        }
        // What was skipped and returned stays so.
        self.left = left;
    }

    /// Where an answer that was kept in part can be gone on with, as between two pages of one read: rows behind the last one are found
    /// by its keys, whatever has changed meanwhile.
    fn go_on_behind(&mut self, plan: &ScanPrivate, kept: &Kept) -> Option<GoOn> {
        // What an option assumes of the order is checked from the first row on.
        let by_keys = plan.keyset && plan.dialect == DialectKind::Query && plan.assumed.is_empty();
        let answers = self.answers.as_mut().filter(|_| by_keys)?;
        let query = job::part_query(&plan.query, plan.parts.get(kept.part)?);
        let row_key = usize::from(plan.row_key?);
        let is_unique = |key: &OrderKey| {
            key.field
                .eq_ignore_ascii_case(job::selected(&query, row_key as u16))
        };
        if !query.order_by.last().is_some_and(is_unique) {
            return None;
        }
        let mut seen = Seen::default();
        if job::comes_up_again(plan) {
            for page in &kept.pages {
                seen.add(&page.load(&mut answers.spilled.file), row_key);
            }
        }
        // What is skipped at the gateway lies before the first row.
        if !kept.pages.iter().any(|page| page.rows() > 0) {
            return None;
        }
        let (part, behind) = match (kept.left, kept.last) {
            (Some(0), _) => (kept.part + 1, None),
            (_, None) => (kept.part, None),
            (left, Some(last)) => {
                let page = kept.pages.get(last)?.load(&mut answers.spilled.file);
                (kept.part, Some(LastRow::of(&query, &page, left)?))
            }
        };
        Some(GoOn { part, behind, seen })
    }
}

/// The rows that a bound plan may keep, among all.
///
/// # Safety
/// Main thread.
unsafe fn find(whole: &mut Option<Whole>, plan: &ScanPrivate, reader: Option<&CellReader>) -> Option<Cursor> {
    // SAFETY: same contract as this function.
    whole
        .as_mut()
        .and_then(|whole| unsafe { whole.find(&plan.query, reader) })
}

/// What the gateway is asked with bound parameters, as text.
fn question(plan: &ScanPrivate, bindings: &[Binding], is_exact: bool) -> String {
    let filter = plan.query.filter.as_ref();
    let mut question = filter.map(ToString::to_string).unwrap_or_default();
    if let Some(finish) = plan.finish {
        // How many of the rows are wanted makes no other question.
        let offset = bind::count(finish.offset, bindings);
        question += &format!(" offset {offset:?} {is_exact}");
    }
    question
}
