//! What is known of the answer to a question: what was answered before, or all rows, which are read when answers have cost as
//! many calls.

use super::job::{self, Job};
use super::kept::Resumed;
use super::state::{Rest, ScanPhase, ScanState, Source};
use super::whole::Whole;
use crate::error::raise;
use crate::exec::answers::Answers;
use crate::exec::bind;
use crate::exec::read_through::ReadThrough;
use crate::private::ScanPrivate;
use crate::shmem::Tracked;
use intacct::{Binding, Page, Query};
use pgrx::pg_sys;
use std::rc::Rc;

impl ScanState {
    /// Records a page of the answer that is under way; one that outgrows the memory is not kept.
    pub(super) fn record(&mut self, page: &Rc<Page>) {
        let (Some(answers), Some(recording)) = (&self.answers, &mut self.recording) else {
            return;
        };
        recording.bytes += page.memory_bytes() + size_of::<Page>();
        if recording.bytes > answers.room() {
            self.recording = None;
        } else {
            recording.kept.pages.push(page.clone());
        }
    }

    /// Keeps what was recorded: all rows, or those that came before the statement had enough.
    pub(super) fn keep_answer(&mut self, complete: bool) {
        if let (Some(answers), Some(mut recording)) = (&mut self.answers, self.recording.take())
            && (complete || !recording.kept.pages.is_empty())
        {
            recording.kept.complete = complete;
            answers.keep(recording.question, recording.kept, recording.bytes);
        }
    }

    /// Keeps answers: the scan may be run for several parameters, or several times for the same.
    pub fn remember(&mut self) {
        // Lines are read record by record beside the pages.
        if self.plan.lines.is_empty() {
            self.answers = Some(Answers::default());
        }
    }

    /// Reads all rows, of which there are so many, for the next question; `false`: they do not answer it.
    pub fn read_whole_next(&mut self, rows: u64) -> bool {
        let can = self.answers.is_some() && self.plan.joined.is_none();
        if can && self.whole.is_none() {
            self.whole_next = Some(rows);
        }
        can
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
        if let Some(whole) = &mut self.whole {
            answers.recalled += 1;
            // SAFETY: main thread.
            return Source::Known(Rest::Whole(unsafe { whole.find(&plan.query) }));
        }
        let question = question(plan, bindings, is_exact);
        if let Some(kept) = answers.recall(&question) {
            return Source::Known(Rest::Kept(kept, 0));
        }
        let rows = match self.whole_next.take() {
            Some(rows) => Some(rows),
            None if self.plan.joined.is_some() || answers.asked == 0 => None,
            None => {
                let asked = answers.asked;
                let query = self.constant_query(bindings);
                let (client, dialect) = (self.client(), self.plan.dialect);
                let page_size = self.table.page_size();
                self.read_through
                    .before_lookup(asked, &mut self.received, page_size, || {
                        Some((client, dialect, query?))
                    })
            }
        };
        if let Some(rows) = rows
            // SAFETY: same contract as this function.
            && let Some(whole) = unsafe { self.read_whole((*context).ecxt_per_query_memory, bindings, rows) }
        {
            if let Some(answers) = &mut self.answers {
                answers.recalled += 1;
            }
            let whole = self.whole.insert(whole);
            // SAFETY: main thread.
            return Source::Known(Rest::Whole(unsafe { whole.find(&plan.query) }));
        }
        if let Some(answers) = &mut self.answers {
            answers.asked += 1;
        }
        Source::Gateway(Some(question))
    }

    /// The query for all rows, whatever parameters vary; none where they match no row.
    fn constant_query(&self, bindings: &[Binding]) -> Option<Query> {
        let constant = self.parameters.constant(bindings);
        job::bind(&self.plan, &constant).map(|plan| plan.query)
    }

    /// Reads all rows, whatever parameters vary. Raises what goes wrong.
    ///
    /// # Safety
    /// Main thread; `memory` must live as long as the scan.
    unsafe fn read_whole(
        &mut self,
        memory: pg_sys::MemoryContext,
        bindings: &[Binding],
        rows: u64,
    ) -> Option<Whole> {
        let query = self.constant_query(bindings)?;
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
            skip: 0,
            no_prefetch: false,
            meter: self.received.meter.clone(),
        };
        let mut stream = job.start().unwrap_or_else(|error| raise(error));
        // SAFETY: same contract as this function.
        let mut whole =
            unsafe { Whole::new(memory, &self.table, &self.plan, self.parameters.varies(), rows) };
        let (mut pages, mut read) = (0, 0);
        while let Some(page) = self
            .received
            .wait(|| stream.next())
            .unwrap_or_else(|error| raise(error))
        {
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
        if let Some(answers) = &mut self.answers {
            answers.whole_after = Some(before);
        }
        Some(whole)
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
        if remaining == 0 || !counted || self.answers.is_none() || !self.blocking {
            return false;
        }
        let page_size = self.table.page_size();
        let more = remaining.div_ceil(page_size.into());
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

    /// Asks once more for an answer of which only the rows that were used now had been kept.
    pub(super) unsafe fn resume(
        &mut self,
        context: *mut pg_sys::ExprContext,
        has_local: bool,
        used: Vec<Rc<Page>>,
    ) {
        // SAFETY: same contract as the caller's.
        let bindings = unsafe { self.parameters.evaluate(context) };
        let is_exact = self
            .table
            .expresses_exactly_at_execution(&bindings, self.plan.query.filter.as_ref());
        let left = self.left;
        self.resumed = Some(Resumed::new(used));
        let bound = job::bind(&self.plan, &bindings);
        let question = bound.as_ref().map(|plan| question(plan, &bindings, is_exact));
        if let Some(answers) = &mut self.answers {
            answers.recalled = answers.recalled.saturating_sub(1);
            answers.asked += 1;
        }
        self.read(bound, &bindings, Source::Gateway(question), is_exact, has_local);
        // What was skipped and returned stays so.
        self.left = left;
    }
}

/// What the gateway is asked with bound parameters, as text.
fn question(plan: &ScanPrivate, bindings: &[Binding], is_exact: bool) -> String {
    let filter = plan.query.filter.as_ref();
    let mut question = filter.map(ToString::to_string).unwrap_or_default();
    if let Some(finish) = plan.finish {
        let limit = finish.limit.map(|limit| bind::count(limit, bindings));
        let offset = bind::count(finish.offset, bindings);
        question += &format!(" limit {limit:?} offset {offset:?} {is_exact}");
    }
    question
}
