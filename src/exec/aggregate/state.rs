//! Executor state of a pushed aggregate (`fdw_state`).

use super::groups::{Doubt, Failure, Groups, quotient_is_coarse};
use super::job::{self as ask, CallBound, GroupAnswer};
use super::memory::{Remembered, question};
use super::statistics::all_texts;
use crate::catalog::ForeignTable;
use crate::convert::inward::Converter;
use crate::error::{Report, raise, raise_internal};
use crate::exec::answers::Answers;
use crate::exec::bind::Parameters;
use crate::exec::cell_location::CellLocation;
use crate::exec::cells::cell_reader;
use crate::exec::read_through::ReadThrough;
use crate::exec::scan::{ScanState, ScanStats, job};
use crate::io::{self, Ready, Stream};
use crate::private::{AggregateOutput, AggregatePrivate, Merge, QueryItem};
use crate::shmem::Tracked;
use intacct::{Binding, CellError, CellReader, Client, Confirmation, ErrorKind, ExpectedKeys, Page, Query};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Instant;

/// A running aggregate. Owned by the executor's memory context, so that an error drops it too.
pub struct AggregateState {
    pub(super) table: Rc<ForeignTable>,
    user: pg_sys::Oid,
    pub(super) plan: AggregatePrivate,
    pub(super) parameters: Parameters,
    converters: Vec<Converter>,
    /// Columns that are the same in every group: position and value.
    constants: Vec<(usize, pg_sys::Datum)>,
    /// Rows and bytes so far, for EXPLAIN ANALYZE.
    pub received: ScanStats,
    /// Whether [`next`](Self::next) waits for the answer; else it gives nothing while it is not there, and
    /// [`wait_fd`](Self::wait_fd) shows why.
    pub blocking: bool,
    progress: AggregatePhase,
    /// What was answered for parameters before these; none of an aggregate that has no parameters.
    pub answers: Option<Answers<Remembered>>,
    /// Whether all rows are worth reading.
    pub(super) read_through: ReadThrough,
    /// Calls of all answers together with which the rows can be read instead.
    pub(super) most_calls: Option<u64>,
}

/// Where the aggregate stands.
pub(super) enum AggregatePhase {
    /// No request has been sent.
    Idle,
    /// The answer is on its way.
    Asking(Box<Asking>),
    /// The next group to hand out.
    Groups {
        groups: Rc<Groups>,
        reader: CellReader,
        next: usize,
    },
    /// Numbers of rows alone: of all, and of those in which fields have values; whether they are still to be returned.
    Count { rows: u64, values: Vec<u64>, row: bool },
    /// No row matches; whether the row of an aggregate over nothing is still to be returned.
    Nothing { row: bool },
    /// The rows are read and grouped here.
    Local,
}

/// A question that was asked.
pub(super) struct Asking {
    client: Client,
    /// The plan, its parameters bound.
    plan: AggregatePrivate,
    answer: Stream<GroupAnswer>,
    /// What was wrong with the first answer, if this is the second one.
    doubt: Option<Doubt>,
    /// Since when it has been asked.
    since: Instant,
    _tracked: Option<Tracked>,
}

/// A group on its way into the slot.
struct Cursor<'a> {
    plan: &'a AggregatePrivate,
    groups: &'a Groups,
    reader: &'a CellReader,
    group: usize,
}

impl AggregateState {
    /// An aggregate before its first request; `converters` are those of the slot's columns, `constants` columns of the slot that
    /// are the same in every group.
    ///
    /// # Safety
    /// Main thread; the current memory context must live as long as the aggregate.
    pub unsafe fn new(
        table: Rc<ForeignTable>,
        user: pg_sys::Oid,
        plan: AggregatePrivate,
        parameters: Parameters,
        converters: Vec<Converter>,
        constants: Vec<(usize, pg_sys::Datum)>,
    ) -> AggregateState {
        AggregateState {
            // SAFETY: same contract as this function.
            answers: (!parameters.is_empty()).then(|| unsafe { Answers::new() }),
            read_through: ReadThrough::Unknown,
            most_calls: None,
            table,
            user,
            plan,
            parameters,
            converters,
            constants,
            received: ScanStats::default(),
            blocking: true,
            progress: AggregatePhase::Idle,
        }
    }

    /// Fills the slot with the next group; `false`: there is none, or [`is_local`](Self::is_local).
    ///
    /// # Safety
    /// `context` must be the scan's expression context, the arrays as long as the tuple descriptor; memory for values
    /// is taken from the current context. `has_local`: whether there is a local plan;
    /// `local_scan`: the only scan of it, where all its rows may be read once.
    pub unsafe fn next(
        &mut self,
        context: *mut pg_sys::ExprContext,
        has_local: bool,
        mut local_scan: Option<&mut ScanState>,
        values: &mut [pg_sys::Datum],
        nulls: &mut [bool],
    ) -> bool {
        if matches!(self.progress, AggregatePhase::Idle) {
            // SAFETY: same contract as this function.
            self.progress = unsafe { self.start(context, has_local, local_scan.as_deref_mut()) };
        }
        while let AggregatePhase::Asking(asking) = &mut self.progress {
            let answer = if self.blocking {
                asking
                    .answer
                    .next()
                    .map(|next| next.map_or(Ready::End, Ready::Item))
            } else {
                asking.answer.try_next()
            };
            if matches!(answer, Ok(Ready::NotYet)) {
                return false;
            }
            if let AggregatePhase::Asking(asking) =
                std::mem::replace(&mut self.progress, AggregatePhase::Idle)
            {
                self.received.waited += asking.since.elapsed();
                self.progress = match answer {
                    Ok(Ready::Item(answer)) if answer.too_dear => {
                        self.reads_rows_instead(has_local, local_scan.as_deref_mut())
                    }
                    Ok(Ready::Item(answer)) => {
                        let queries = asking.plan.queries.clone();
                        let progress = self.conclude(*asking, answer, has_local);
                        self.remember(&queries, &progress);
                        progress
                    }
                    Ok(_) => raise_internal("an aggregate has no result"),
                    Err(error) => self.unanswered(&asking.plan, error, has_local),
                };
            }
        }
        if let (AggregatePhase::Local, Some(scan)) = (&self.progress, local_scan) {
            scan.received.elsewhere = self.received.meter.stats().calls;
        }
        let found = match &mut self.progress {
            AggregatePhase::Idle | AggregatePhase::Asking(_) | AggregatePhase::Local => false,
            AggregatePhase::Count {
                rows,
                values: counted,
                row,
            } => {
                for (output, value) in self.plan.outputs.iter().zip(&mut *values) {
                    let number = match output {
                        AggregateOutput::Values(number) => counted.get(usize::from(*number)),
                        _ => Some(&*rows),
                    };
                    *value = count_datum(number.copied().unwrap_or(0));
                }
                nulls.fill(false);
                std::mem::take(row)
            }
            AggregatePhase::Nothing { row } => {
                for ((output, value), null) in self.plan.outputs.iter().zip(&mut *values).zip(&mut *nulls) {
                    *null = !matches!(output, AggregateOutput::Rows | AggregateOutput::Values(_));
                    *value = pg_sys::Datum::from(0i64);
                }
                std::mem::take(row)
            }
            AggregatePhase::Groups { groups, reader, next } => {
                if *next == groups.len() {
                    return false;
                }
                let cursor = Cursor {
                    plan: &self.plan,
                    groups,
                    reader,
                    group: *next,
                };
                for (index, output) in self.plan.outputs.iter().enumerate() {
                    // SAFETY: same contract as this function.
                    match unsafe { cursor.value(*output, &self.converters[index]) } {
                        Ok(value) => {
                            nulls[index] = value.is_none();
                            values[index] = value.unwrap_or(pg_sys::Datum::from(0));
                        }
                        Err((place, error)) => raise(self.place(place).report(&error)),
                    }
                }
                *next += 1;
                true
            }
        };
        for (column, value) in &self.constants {
            values[*column] = *value;
            nulls[*column] = false;
        }
        found
    }

    /// The descriptor that becomes readable when the answer is there; none when it is, or no request was sent.
    pub fn wait_fd(&self) -> Option<RawFd> {
        match &self.progress {
            AggregatePhase::Asking(asking) => Some(asking.answer.descriptor()),
            _ => None,
        }
    }

    /// Whether nothing has been asked.
    pub fn is_idle(&self) -> bool {
        matches!(self.progress, AggregatePhase::Idle)
    }

    /// Whether the local plan has taken over.
    pub fn is_local(&self) -> bool {
        matches!(self.progress, AggregatePhase::Local)
    }

    /// Starts over; what is at hand, or on its way, is returned again when the parameters are the same.
    pub fn rewind(&mut self, parameters_changed: bool) {
        if parameters_changed {
            return self.stop();
        }
        match &mut self.progress {
            AggregatePhase::Groups { next, .. } => *next = 0,
            AggregatePhase::Count { rows, row, .. } => *row = *rows > 0 || !self.plan.grouped,
            AggregatePhase::Nothing { row } => *row = !self.plan.grouped,
            AggregatePhase::Idle | AggregatePhase::Asking(_) | AggregatePhase::Local => {}
        }
    }

    /// Closes files: the last call.
    pub fn close(&mut self) {
        if let Some(answers) = &mut self.answers {
            answers.spilled.close();
        }
    }

    /// Lets go of what is held.
    pub fn stop(&mut self) {
        self.progress = AggregatePhase::Idle;
    }

    unsafe fn start(
        &mut self,
        context: *mut pg_sys::ExprContext,
        has_local: bool,
        local_scan: Option<&mut ScanState>,
    ) -> AggregatePhase {
        // SAFETY: same contract as this function.
        let bindings = unsafe { self.parameters.evaluate(context) };
        let filter = self.plan.queries.first().and_then(|query| query.filter.as_ref());
        if !self.table.expresses_exactly_at_execution(&bindings, filter) {
            return self.local(has_local, None);
        }
        let Some(plan) = bind(&self.plan, &bindings) else {
            return self.nothing();
        };
        let client =
            crate::connection::client(self.table.server_oid, self.user).unwrap_or_else(|error| raise(error));
        let question = question(&plan.queries);
        if let Some(answer) = self
            .answers
            .as_mut()
            .and_then(|answers| answers.recall(&question))
        {
            return self.recalled(answer, &client);
        }
        if let Some(answers) = &mut self.answers
            && answers.whole_after.is_some()
        {
            answers.recalled += 1;
            return self.local(has_local, None);
        }
        // At an entity, what a path shows of other entities is not known (fact 41).
        if plan.joined && client.config().location_id.is_some() {
            return self.local(has_local, None);
        }
        if let Some(scan) = local_scan
            && self.reads_rows(&client, &bindings, scan)
        {
            return self.local(has_local, None);
        }
        if let Some(answers) = &mut self.answers {
            answers.asked += 1;
        }
        self.ask(client, plan, None)
    }

    /// What was answered before.
    fn recalled(&self, answer: Remembered, client: &Client) -> AggregatePhase {
        match answer {
            Remembered::Groups(groups) => AggregatePhase::Groups {
                groups,
                reader: cell_reader(Some(client)),
                next: 0,
            },
            Remembered::Count(rows, values) => AggregatePhase::Count {
                rows,
                values,
                row: rows > 0 || !self.plan.grouped,
            },
            Remembered::Nothing => self.nothing(),
        }
    }

    /// Keeps what the gateway answered; what the local plan returns is not known here.
    fn remember(&mut self, queries: &[Query], progress: &AggregatePhase) {
        let Some(answers) = &mut self.answers else {
            return;
        };
        let answer = match progress {
            AggregatePhase::Groups { groups, .. } => Remembered::Groups(groups.clone()),
            AggregatePhase::Count { rows, values, .. } => Remembered::Count(*rows, values.clone()),
            AggregatePhase::Nothing { .. } => Remembered::Nothing,
            _ => return,
        };
        let bytes = answer.memory_bytes();
        answers.keep(question(queries), answer, bytes);
    }

    /// Asks; `doubt`: what was wrong with the answer before.
    fn ask(&self, client: Client, plan: AggregatePrivate, doubt: Option<Doubt>) -> AggregatePhase {
        let tracked = Tracked::start(self.table.server_oid, self.table.oid, &plan.queries[0].object);
        if plan.verify
            && let Some(rows) = ask::whole(&plan)
        {
            for (field, kind) in ask::keys(&plan) {
                if kind.is_text() {
                    ExpectedKeys::suggest(&client, &rows, &field, || {
                        let attnum = self.table.column_of_field(&field)?.attnum;
                        // SAFETY: main thread, within a statement on this table.
                        unsafe { all_texts(self.table.oid, attnum) }
                    });
                }
            }
        }
        let (asked, question, size) = (client.clone(), plan.clone(), self.table.page_size());
        let meter = self.received.meter.clone();
        let bound = self.most_calls.map(|calls| CallBound {
            meter: meter.clone(),
            calls: calls.saturating_sub(self.received.elsewhere),
        });
        let answer = io::stream(1, move |emitter| async move {
            let answer = meter.run(ask::ask(asked, question, size, bound)).await?;
            emitter.send(answer).await;
            Ok(())
        });
        AggregatePhase::Asking(Box::new(Asking {
            client,
            plan,
            answer: answer.unwrap_or_else(|error| raise(error)),
            doubt,
            since: Instant::now(),
            _tracked: tracked,
        }))
    }

    /// Draws the conclusions from an answer; what does not add up is asked once more.
    fn conclude(&mut self, asking: Asking, answer: GroupAnswer, has_local: bool) -> AggregatePhase {
        let Asking {
            client, plan, doubt, ..
        } = asking;
        self.note(&answer);
        if plan.only_count {
            return match answer.total() {
                Some(rows) => AggregatePhase::Count {
                    rows,
                    values: answer.values,
                    row: rows > 0 || !plan.grouped,
                },
                None => self.local(has_local, None),
            };
        }
        let (total, confirmed) = (answer.total(), answer.confirmed);
        let Some(pages) = answer.groups else {
            return self.local(has_local, None);
        };
        let reader = cell_reader(Some(&client));
        let collected = Groups::collect(&plan, pages, answer.total, answer.values, &reader);
        let collected = collected.and_then(|groups| match (confirmed, total) {
            (Confirmation::Rows(matched), Some(total)) if matched != total => {
                Err(Failure::Doubt(Doubt::Folded { matched, total }))
            }
            _ => Ok(groups),
        });
        match collected {
            // Nothing is wrong, and nothing shows that it is right.
            Ok(_) if confirmed == Confirmation::Impossible => self.local(has_local, None),
            Ok(groups) => self.groups(groups, reader, has_local),
            Err(Failure::Doubt(found)) if doubt.is_none() => self.ask(client, plan, Some(found)),
            Err(Failure::Doubt(found)) => self.local(has_local, Some(self.doubt(found))),
            Err(Failure::Cell(query, item, error)) => {
                let place = QueryItem {
                    query: query as u16,
                    item: item as u16,
                };
                raise(self.place(place).report(&error))
            }
        }
    }

    /// What becomes of a question that was not answered.
    fn unanswered(
        &mut self,
        plan: &AggregatePrivate,
        error: intacct::Error,
        has_local: bool,
    ) -> AggregatePhase {
        if has_local && *error.kind() == ErrorKind::Undecided {
            // As for rows of a join.
            self.received.local = Some(error.to_string());
            return self.local(has_local, None);
        }
        if !has_local || !ask::may_read_rows(&error) {
            raise(error)
        }
        let report = Report::new(
            PgSqlErrorCode::ERRCODE_WARNING,
            format!(
                "Sage Intacct did not group {}; its rows are read instead",
                plan.queries[0].object
            ),
        )
        .cause(&error)
        .hint("Set the server option push_aggregates to off if this happens often.");
        self.local(has_local, Some(report))
    }

    fn note(&mut self, answer: &GroupAnswer) {
        let pages = answer.groups.iter().flatten().flatten().chain(&answer.total);
        pages.for_each(|page: &Page| self.received.add(page));
        self.received.pages += answer.values.len() as u64;
        if !self.plan.joined {
            let filter = self.plan.queries[0].filter.as_ref();
            self.table.note_rows(filter, answer.total());
        }
    }

    /// Groups that add up: those of no rows are one all the same where nothing is grouped by.
    fn groups(&self, groups: Groups, reader: CellReader, has_local: bool) -> AggregatePhase {
        let plan = &self.plan;
        if plan.keys.is_empty() && (groups.len() == 0 || matches!(groups.rows(plan, 0, &reader), Ok(0))) {
            return self.nothing();
        }
        let averages = plan.outputs.iter().filter_map(|output| match output {
            AggregateOutput::Average(place, counted) => Some((place, counted)),
            _ => None,
        });
        for (place, counted) in averages {
            for group in 0..groups.len() {
                let rows = match counted {
                    Some(number) => groups.values(plan, group, *number, &reader).unwrap_or(0),
                    None => groups.rows(plan, group, &reader).unwrap_or(0),
                };
                let mut sums = groups.cells(group, place.query.into(), place.item.into());
                // A sum of no values is none: what differs was counted at another time.
                if rows == 0 && sums.any(|sum| sum.is_some()) || quotient_is_coarse(sums, rows) {
                    return self.local(has_local, None);
                }
            }
        }
        AggregatePhase::Groups {
            groups: Rc::new(groups),
            reader,
            next: 0,
        }
    }

    fn nothing(&self) -> AggregatePhase {
        AggregatePhase::Nothing {
            row: !self.plan.grouped,
        }
    }

    /// Switches to the local plan, with a WARNING where there is a reason to report.
    pub(super) fn local(&self, has_local: bool, warning: Option<Report>) -> AggregatePhase {
        if !has_local {
            raise_internal("an aggregate has no local plan to fall back on");
        }
        if let Some(warning) = warning {
            warning.emit(PgLogLevel::WARNING);
        }
        AggregatePhase::Local
    }

    fn doubt(&self, doubt: Doubt) -> Report {
        let object = &self.plan.queries[0].object;
        let detail = match doubt {
            Doubt::Sum { grouped, total } => {
                format!("The groups have {grouped} rows together, but {total} rows match.")
            }
            Doubt::Folded { matched, total } => format!(
                "{matched} rows have the texts of the groups, but {total} rows match: the gateway puts texts that \
                 differ by case or blanks into one group."
            ),
            Doubt::Moved => "The groups changed while they were read.".to_owned(),
        };
        Report::new(
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("groups of {object} do not add up; its rows are read instead"),
        )
        .detail(detail)
        .hint(
            "Data may have changed in between. If it happens each time, the gateway leaves groups out: set the \
             server option push_aggregates to off.",
        )
    }

    fn place(&self, place: QueryItem) -> CellLocation {
        let query = &self.plan.queries[usize::from(place.query)];
        CellLocation {
            company: self.table.server.company_id.clone(),
            object: query.object.clone(),
            field: job::selected(query, place.item).to_owned(),
            row: None,
        }
    }
}

impl Cursor<'_> {
    /// The value of a column, in the current memory context.
    unsafe fn value(
        &self,
        output: AggregateOutput,
        converter: &Converter,
    ) -> Result<Option<pg_sys::Datum>, (QueryItem, CellError)> {
        let rows = || {
            let place = QueryItem {
                query: 0,
                item: self.plan.keys.len() as u16,
            };
            let rows = self.groups.rows(self.plan, self.group, self.reader);
            rows.map_err(|error| (place, error))
        };
        let values = |number: u16| {
            let place = QueryItem {
                query: (self.plan.queries.len() - usize::from(self.plan.valued)) as u16 + number,
                item: self.plan.keys.len() as u16,
            };
            let values = self.groups.values(self.plan, self.group, number, self.reader);
            values.map_err(|error| (place, error))
        };
        // SAFETY: same contract as this function; the functions called take what their OIDs stand for.
        unsafe {
            match output {
                AggregateOutput::Key(item) => {
                    let place = QueryItem { query: 0, item };
                    let cell = self.cells(place).next().flatten();
                    cell.map(|cell| self.datum(place, cell, converter)).transpose()
                }
                // It is filled in for all groups.
                AggregateOutput::Constant(_) => Ok(None),
                AggregateOutput::Rows => Ok(Some(count_datum(rows()?))),
                AggregateOutput::Values(number) => Ok(Some(count_datum(values(number)?))),
                AggregateOutput::Value(place, merge) => self.merged(place, merge, converter),
                AggregateOutput::Average(place, counted) => {
                    let Some(sum) = self.merged(place, Merge::Add, converter)? else {
                        return Ok(None);
                    };
                    let rows = match counted {
                        Some(number) => values(number)?,
                        None => rows()?,
                    };
                    let rows = call1(pg_sys::F_NUMERIC_INT8, count_datum(rows));
                    Ok(Some(call2(pg_sys::F_NUMERIC_DIV, sum, rows)))
                }
            }
        }
    }

    fn cells(&self, place: QueryItem) -> impl Iterator<Item = Option<&[u8]>> {
        self.groups
            .cells(self.group, place.query.into(), place.item.into())
    }

    unsafe fn datum(
        &self,
        place: QueryItem,
        cell: &[u8],
        converter: &Converter,
    ) -> Result<pg_sys::Datum, (QueryItem, CellError)> {
        // SAFETY: pages hold valid UTF-8.
        unsafe { converter.datum(cell, self.reader) }.map_err(|error| (place, error))
    }

    /// The aggregate over all members of the group.
    unsafe fn merged(
        &self,
        place: QueryItem,
        merge: Merge,
        converter: &Converter,
    ) -> Result<Option<pg_sys::Datum>, (QueryItem, CellError)> {
        let mut whole: Option<pg_sys::Datum> = None;
        for cell in self.cells(place).flatten() {
            // SAFETY: same contract as this function; both datums are of the converter's type.
            unsafe {
                let next = self.datum(place, cell, converter)?;
                whole = Some(match whole {
                    None => next,
                    Some(known) => combine(merge, converter, known, next),
                });
            }
        }
        Ok(whole)
    }
}

fn count_datum(rows: u64) -> pg_sys::Datum {
    pg_sys::Datum::from(i64::try_from(rows).unwrap_or(i64::MAX))
}

/// One value for two groups that are one.
unsafe fn combine(merge: Merge, converter: &Converter, a: pg_sys::Datum, b: pg_sys::Datum) -> pg_sys::Datum {
    // SAFETY: the caller guarantees types: sums are numeric, the others as the converter expects.
    unsafe {
        match (merge, converter) {
            (Merge::Add, _) => call2(pg_sys::F_NUMERIC_ADD, a, b),
            (Merge::Least, Converter::Numeric) => call2(pg_sys::F_NUMERIC_SMALLER, a, b),
            (Merge::Greatest, Converter::Numeric) => call2(pg_sys::F_NUMERIC_LARGER, a, b),
            // A date is 32 bits wide, the others 64.
            (merge, Converter::Date) => {
                let lesser = (a.value() as i32) < (b.value() as i32);
                if lesser == (merge == Merge::Least) { a } else { b }
            }
            (merge, _) => {
                let lesser = (a.value() as i64) < (b.value() as i64);
                if lesser == (merge == Merge::Least) { a } else { b }
            }
        }
    }
}

unsafe fn call1(function: u32, a: pg_sys::Datum) -> pg_sys::Datum {
    // SAFETY: the caller guarantees a valid argument.
    unsafe { pg_sys::OidFunctionCall1Coll(pg_sys::Oid::from(function), pg_sys::InvalidOid, a) }
}

unsafe fn call2(function: u32, a: pg_sys::Datum, b: pg_sys::Datum) -> pg_sys::Datum {
    // SAFETY: the caller guarantees valid arguments.
    unsafe { pg_sys::OidFunctionCall2Coll(pg_sys::Oid::from(function), pg_sys::InvalidOid, a, b) }
}

/// Binds the parameters; `None`: no row can match.
pub(super) fn bind(plan: &AggregatePrivate, bindings: &[Binding]) -> Option<AggregatePrivate> {
    let mut plan = plan.clone();
    for query in plan.queries.iter_mut().chain(&mut plan.counts) {
        *query = query.bind(&mut |number| {
            let binding = bindings.get(number as usize - 1);
            binding.cloned().unwrap_or(Binding::NotRepresentable)
        })?;
    }
    Some(plan)
}
