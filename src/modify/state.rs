//! Executor state of a write (`ri_FdwState`).

use super::constants::ConstantColumn;
use super::limit::RowLimit;
use super::returning::ReturningColumn;
use super::row::{Outbound, Outgoing, WriteRow, key_text, merged, output, writable};
use super::send::Unsent;
use super::slot::{attributes, carry, type_of};
use super::target::TargetTable;
use super::{commit_queue, dry_run, interrupt, outcome, plan, send, xact_log};
use crate::convert::outward;
use crate::error::{Report, raise};
use crate::exec::StoredColumns;
use crate::private::ModifyPrivate;
use crate::{connection, guc, write_log};
use intacct::write::{OnDuplicate, RowWritten, Verb, WriteOptions, WriteTarget};
use intacct::{Client, DialectKind};
use pgrx::{PgMemoryContexts, PgSqlErrorCode, pg_sys};
use std::collections::HashSet;
use std::sync::Arc;

/// A write that has begun. Owned by the executor's memory context, so that an error drops it with the rows that were
/// not passed on.
pub struct WriteState {
    /// The table.
    pub target: TargetTable,
    /// The same for the library.
    pub gateway: Arc<WriteTarget>,
    /// The columns that RETURNING and row triggers see.
    pub shown: Vec<ReturningColumn>,
    /// The generated columns of them.
    pub stored: StoredColumns,
    /// The client, after its first use.
    pub client: Option<Client>,
    plan: ModifyPrivate,
    user: pg_sys::Oid,
    /// Columns that may be sent.
    outbound: Vec<Outbound>,
    /// Columns that have the same value in every row, which is not sent.
    constants: Vec<ConstantColumn>,
    /// What names a row: number of the column, and its place in the rows of the scan.
    identity: Option<(i16, i16)>,
    /// When a row was last modified, if that is rechecked: as `identity`.
    modified: Option<(i16, i16)>,
    /// DELETE: columns that RETURNING shows, and their places in the rows of the scan.
    carried: Vec<(i16, i16)>,
    mode: Mode,
    /// Functions are shown and not sent.
    dry_run: bool,
    /// How many rows the statement may write.
    limit: Option<RowLimit>,
    /// A trigger may have changed columns that UPDATE does not assign.
    compares: bool,
    buffer: Vec<WriteRow>,
    /// Rows of the statement that were passed on.
    handed_over: usize,
    /// Those of them, from 1, that were duplicates to leave out.
    left_out: Vec<usize>,
    /// Keys of the rows that were updated or deleted: each is only once.
    seen: HashSet<String>,
    statement: u64,
    /// For values of one row.
    memory: pg_sys::MemoryContext,
}

/// When rows are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Each at once: what the gateway makes of it is shown.
    Single,
    /// When a batch is full, and at the end of the statement.
    Batch,
    /// At the end of the statement: it reads what it writes, and must not see its own rows.
    End,
    /// When the transaction commits.
    Commit,
}

/// How a write begins, beside its table and its plan.
pub struct WriteContext {
    /// The user whose mapping is used.
    pub user: pg_sys::Oid,
    /// Distinguishes the statement from others that run.
    pub statement: usize,
    /// Places of the columns that the scan carries for the write, by number of the column.
    pub places: Vec<(i16, i16)>,
    /// The statement reads from the same server.
    pub reads_server: bool,
    /// A trigger may change rows before they are written.
    pub before_triggers: bool,
    /// A trigger looks at rows after they were written.
    pub after_triggers: bool,
    /// Generated columns that are shown of rows that were written.
    pub stored: StoredColumns,
}

impl WriteState {
    /// A write before its first request.
    ///
    /// # Safety
    /// Main thread; `descriptor` must be the table's, and the current memory context must be the statement's.
    pub unsafe fn new(
        target: TargetTable,
        plan: ModifyPrivate,
        context: WriteContext,
        descriptor: pg_sys::TupleDesc,
    ) -> WriteState {
        let dry_run = guc::dry_run();
        let commits = target.waits_for_commit() && !dry_run;
        let mut returning = plan.returning.clone();
        let place = |attnum: i16| {
            context
                .places
                .iter()
                .find(|(number, _)| *number == attnum)
                .copied()
        };
        let identity = target.identity().and_then(|column| place(column.attnum));
        let modified = match plan.verb {
            Verb::Update | Verb::Delete => target.modified().and_then(|column| place(column.attnum)),
            Verb::Create => None,
        };
        let key: Vec<(String, String)> = target
            .identity()
            .filter(|_| plan.verb == Verb::Update)
            .map(|column| (column.field.clone(), String::new()))
            .into_iter()
            .collect();
        let (mut shown, mut carried) = (Vec::new(), Vec::new());
        if plan.verb == Verb::Delete {
            carried = returning.iter().filter_map(|attnum| place(*attnum)).collect();
        } else {
            if context.after_triggers {
                returning = target.table.columns.iter().map(|column| column.attnum).collect();
            }
            if commits {
                // Nothing else is known before the commit.
                let is_constant = |attnum: &i16| {
                    let column = target.table.column(*attnum);
                    column.is_some_and(|column| column.constant.is_some())
                };
                returning.retain(is_constant);
            }
            // SAFETY: same contract as this function.
            shown = unsafe { ReturningColumn::columns(&target, &returning, descriptor) };
        }
        let limit = RowLimit::of(&target, context.statement);
        let mode = if commits {
            Mode::Commit
        } else if dry_run {
            Mode::Batch
        } else if plan.skip_duplicates || shown.iter().any(|column| !column.is_known(&key)) {
            Mode::Single
        } else if context.reads_server || (plan.verb != Verb::Create && !reads_by_key(&target)) {
            Mode::End
        } else {
            Mode::Batch
        };
        if let (Mode::Single, Some(limit)) = (mode, &limit) {
            limit.refuse_single_rows(&target);
        }
        let mode = match limit {
            // Nothing leaves before all rows are counted.
            Some(_) if mode == Mode::Batch => Mode::End,
            _ => mode,
        };
        let compares = plan.verb == Verb::Update && context.before_triggers;
        let mut outbound = writable(&target);
        if plan.verb == Verb::Update && !compares {
            outbound.retain(|column| plan.assigned.contains(&column.attnum));
        }
        // SAFETY: same contract as this function.
        let constants = unsafe { ConstantColumn::all(&target, descriptor) };
        // SAFETY: main thread; the context goes with the statement's.
        let memory = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"sage_intacct_fdw row".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            )
        };
        WriteState {
            gateway: target.gateway(),
            target,
            shown,
            stored: context.stored,
            client: None,
            plan,
            user: context.user,
            outbound,
            constants,
            identity,
            modified,
            carried,
            mode,
            dry_run,
            limit,
            compares,
            buffer: Vec::new(),
            handed_over: 0,
            left_out: Vec::new(),
            seen: HashSet::new(),
            statement: xact_log::statement(),
            memory,
        }
    }

    /// Takes a row to insert; `false`: it was there already, and is left out.
    ///
    /// # Safety
    /// `slot` must hold a row of the table.
    pub unsafe fn insert(&mut self, slot: *mut pg_sys::TupleTableSlot) -> bool {
        // SAFETY: same contract as this function.
        let row = unsafe { self.new_row(slot) };
        if self.mode == Mode::Commit {
            // SAFETY: same contract as this function.
            unsafe { self.check_known(slot) };
        }
        self.take(row);
        if self.mode != Mode::Single {
            // What is shown of a row that is not sent yet are constants.
            if !self.dry_run && !self.shown.is_empty() {
                // SAFETY: same contract as this function.
                unsafe {
                    self.show(slot, &[], &[]);
                    self.compute(slot);
                }
            }
            return !self.dry_run;
        }
        let written = self.hand_over();
        match written.last() {
            Some(row) if row.stored => {
                // SAFETY: same contract as this function.
                unsafe {
                    self.show(slot, &row.keys, &[]);
                    self.compute(slot);
                }
                true
            }
            _ => false,
        }
    }

    /// Takes rows to insert of which nothing is shown; returns for each whether it was not left out as there already.
    ///
    /// # Safety
    /// The slots must hold rows of the table.
    pub unsafe fn insert_all(&mut self, slots: &[*mut pg_sys::TupleTableSlot]) -> Vec<bool> {
        let batch = self.target.batch_size();
        for slot in slots {
            // SAFETY: same contract as this function.
            let row = unsafe { self.new_row(*slot) };
            if self.mode == Mode::Commit {
                // SAFETY: same contract as this function.
                unsafe { self.check_known(*slot) };
            }
            if self.mode == Mode::Single {
                self.buffer.push(row);
            } else {
                self.take(row);
            }
        }
        match self.mode {
            Mode::Single => self.hand_over().iter().map(|row| row.stored).collect(),
            // PostgreSQL hands over a full batch, or the last rows of a table; a trigger makes it hand over one by one.
            Mode::Batch if slots.len() < batch && slots.len() > 1 => {
                self.hand_over();
                vec![!self.dry_run; slots.len()]
            }
            _ => vec![!self.dry_run; slots.len()],
        }
    }

    /// Takes a row to update; `false`: it was updated already.
    ///
    /// # Safety
    /// `slot` must hold the new row, `scanned` the row of the scan, and `old` the row before, if it was brought.
    pub unsafe fn update(
        &mut self,
        slot: *mut pg_sys::TupleTableSlot,
        scanned: *mut pg_sys::TupleTableSlot,
        old: *mut pg_sys::TupleTableSlot,
    ) -> bool {
        // SAFETY: same contract as this function.
        let key = unsafe { self.key(scanned) };
        if !self.seen.insert(key.1.clone()) {
            return false;
        }
        // SAFETY: same contract as this function.
        let unmodified = unsafe { self.last_modified(scanned) };
        // SAFETY: same contract as this function.
        let cells = unsafe { self.changes(slot, old) };
        let known = [key.clone()];
        // Nothing is sent of a row in which nothing but a constant column was assigned.
        let mut written = Vec::new();
        let row = (!cells.is_empty()).then(|| WriteRow {
            target: self.gateway.clone(),
            verb: Verb::Update,
            key: Some(key),
            cells,
            unmodified,
        });
        if self.mode == Mode::Single {
            let single = row.clone();
            row.into_iter().for_each(|row| self.take(row));
            // What is shown is read, even where nothing was written.
            let client = self.connect();
            self.hand_over();
            written = single.map_or(Vec::new(), |row| row.change(&client.zone()).cells);
        } else {
            row.into_iter().for_each(|row| self.take(row));
        }
        // SAFETY: same contract as this function.
        unsafe {
            if !self.dry_run {
                self.show(slot, &known, &written);
            }
            carry(slot, scanned, self.identity.as_slice());
            self.compute(slot);
        }
        !self.dry_run
    }

    /// Takes a row to delete; `false`: it was deleted already.
    ///
    /// # Safety
    /// `scanned` must hold the row of the scan; `slot` is filled with what RETURNING shows of it.
    pub unsafe fn delete(
        &mut self,
        slot: *mut pg_sys::TupleTableSlot,
        scanned: *mut pg_sys::TupleTableSlot,
    ) -> bool {
        // SAFETY: same contract as this function.
        let key = unsafe { self.key(scanned) };
        if !self.seen.insert(key.1.clone()) {
            return false;
        }
        // SAFETY: same contract as this function.
        let unmodified = unsafe { self.last_modified(scanned) };
        self.take(WriteRow {
            target: self.gateway.clone(),
            verb: Verb::Delete,
            key: Some(key),
            cells: Vec::new(),
            unmodified,
        });
        // SAFETY: same contract as this function.
        unsafe { carry(slot, scanned, &self.carried) };
        !self.dry_run
    }

    /// Hands over what is left. Raises when it is not written.
    pub fn finish(&mut self) {
        self.hand_over();
    }

    /// Lets a row wait, or hands over the batch that it makes full.
    fn take(&mut self, row: WriteRow) {
        if let Some(limit) = &mut self.limit {
            limit.count();
        }
        if self.mode == Mode::Commit {
            commit_queue::push(self.target.table.server_oid, self.user, row);
            return;
        }
        self.buffer.push(row);
        if self.mode == Mode::Batch && self.buffer.len() >= self.target.batch_size() {
            self.hand_over();
        }
    }

    /// Who is asked.
    fn connect(&mut self) -> Client {
        match &self.client {
            Some(client) => client.clone(),
            None => {
                let server = self.target.table.server_oid;
                if !self.dry_run {
                    write_log::check_home(server);
                }
                let client = connection::client(server, self.user).unwrap_or_else(|report| raise(report));
                self.client.insert(client).clone()
            }
        }
    }

    /// Sends the rows that wait, and reports what became of them. Raises when they are not all written.
    fn hand_over(&mut self) -> Vec<RowWritten> {
        if self.buffer.is_empty() {
            return Vec::new();
        }
        let client = self.connect();
        let rows = Arc::new(std::mem::take(&mut self.buffer));
        let options = WriteOptions {
            batch_size: self.target.batch_size(),
            on_duplicate: match self.plan.skip_duplicates {
                true => OnDuplicate::Skip,
                false => OnDuplicate::Fail,
            },
        };
        if self.dry_run {
            dry_run::show(&client, &rows, options);
            self.handed_over += rows.len();
            return vec![RowWritten::default(); rows.len()];
        }
        let server = self.target.table.server_oid;
        match send::send(&client, server, &rows, options) {
            Ok(written) => {
                for (index, row) in written.rows.iter().enumerate() {
                    if !row.stored {
                        self.left_out.push(self.handed_over + index + 1);
                    }
                }
                outcome::warn(&written.warnings, &rows, self.handed_over);
                self.handed_over += rows.len();
                let stored = rows
                    .iter()
                    .zip(&written.rows)
                    .filter(|(_, written)| written.stored);
                xact_log::note(
                    self.statement,
                    stored.map(|(row, written)| (row, written.keys.as_slice())),
                );
                // A cancel may have come when all was stored already.
                if interrupt::is_pending() {
                    interrupt::serve(xact_log::stored_by(self.statement));
                }
                written.rows
            }
            Err(unsent) => match *unsent {
                Unsent::Cancelled(failure) if failure.possible.is_empty() => {
                    xact_log::note(self.statement, xact_log::certain(&failure, &rows));
                    interrupt::serve(xact_log::stored_by(self.statement))
                }
                Unsent::Failed(failure) | Unsent::Cancelled(failure) => {
                    xact_log::failed(self.statement, &failure, &rows);
                    raise(outcome::report(&failure, &rows, self.handed_over, &self.left_out))
                }
            },
        }
    }

    /// A new row: the values that are not null. Intacct fills in the others.
    unsafe fn new_row(&mut self, slot: *mut pg_sys::TupleTableSlot) -> WriteRow {
        // SAFETY: the caller guarantees a valid slot; what is kept is copied out of the row's memory.
        let cells = unsafe {
            let (values, nulls) = attributes(slot);
            self.check_constants(values, nulls, true);
            for column in &self.target.table.columns {
                let given = !nulls[column.attnum as usize - 1];
                let sent = self
                    .outbound
                    .iter()
                    .any(|outbound| outbound.attnum == column.attnum);
                if given && !sent && column.generated.is_none() && column.constant.is_none() {
                    self.target.check_column(column, true);
                }
            }
            self.in_row_memory(|| {
                let cells = self.outbound.iter().filter_map(|column| {
                    let index = column.attnum as usize - 1;
                    let value = column.value(values[index], nulls[index], type_of(slot, index));
                    (value != Outgoing::Null).then_some((column, value))
                });
                merged(&self.target, cells.collect())
            })
        };
        WriteRow {
            target: self.gateway.clone(),
            verb: Verb::Create,
            key: None,
            cells,
            unmodified: None,
        }
    }

    /// The values that an update sends: those that are assigned, and those that a trigger has changed.
    unsafe fn changes(
        &self,
        slot: *mut pg_sys::TupleTableSlot,
        old: *mut pg_sys::TupleTableSlot,
    ) -> Vec<(String, Outgoing)> {
        // SAFETY: the caller guarantees valid slots.
        unsafe {
            let (values, nulls) = attributes(slot);
            self.check_constants(values, nulls, false);
            let before = (self.compares && !old.is_null()).then(|| attributes(old));
            if let Some((old_values, old_nulls)) = before {
                self.check_unchanged(slot, (old_values, old_nulls));
            }
            self.in_row_memory(|| {
                let cells = self.outbound.iter().filter_map(|column| {
                    let index = column.attnum as usize - 1;
                    let type_oid = type_of(slot, index);
                    let assigned = self.plan.assigned.contains(&column.attnum);
                    let value = column.value(values[index], nulls[index], type_oid);
                    let same = before.is_none_or(|(values, nulls)| {
                        column.value(values[index], nulls[index], type_oid) == value
                    });
                    let value = match value {
                        // No lines, rather than an empty one.
                        Outgoing::Null if column.is_lines() => {
                            Outgoing::Lines(serde_json::Value::Array(Vec::new()))
                        }
                        value => value,
                    };
                    (assigned || !same).then_some((column, value))
                });
                merged(&self.target, cells.collect())
            })
        }
    }

    /// Raises when a BEFORE trigger has changed a column that no update may change: the key would name another record,
    /// and what is never written would be lost without a word.
    unsafe fn check_unchanged(
        &self,
        slot: *mut pg_sys::TupleTableSlot,
        (old_values, old_nulls): (&[pg_sys::Datum], &[bool]),
    ) {
        // SAFETY: the caller guarantees a valid slot and the row before.
        unsafe {
            let (values, nulls) = attributes(slot);
            let columns = self.target.table.columns.iter();
            for column in columns.filter(|column| column.generated.is_none() && column.constant.is_none()) {
                let index = column.attnum as usize - 1;
                let same = || {
                    self.in_row_memory(|| {
                        let type_oid = type_of(slot, index);
                        output(values[index], type_oid) == output(old_values[index], type_oid)
                    })
                };
                let changed = match (nulls[index], old_nulls[index]) {
                    (true, true) => false,
                    (false, false) => !same(),
                    _ => true,
                };
                if changed {
                    self.target.check_column(column, false);
                    let names_record = self.target.names_record(column, self.gateway.unique_key());
                    if names_record && !self.plan.assigned.contains(&column.attnum) {
                        self.target.refuse_other_key(column);
                    }
                }
            }
        }
    }

    /// Raises when a constant column is given another value than it has.
    unsafe fn check_constants(&self, values: &[pg_sys::Datum], nulls: &[bool], creating: bool) {
        for constant in &self.constants {
            let index = constant.attnum as usize - 1;
            let assigned = self.plan.assigned.contains(&constant.attnum);
            let kept = match nulls[index] {
                true => creating || !(assigned || self.compares),
                false if !creating && !assigned && !self.compares => true,
                // SAFETY: the caller passes the values of a row of the table.
                false => unsafe { self.in_row_memory(|| constant.is(values[index])) },
            };
            if !kept && let Some(column) = self.target.table.column(constant.attnum) {
                self.target.check_column(column, creating);
            }
        }
    }

    /// Field and value that name the row of a scan.
    unsafe fn key(&self, scanned: *mut pg_sys::TupleTableSlot) -> (String, String) {
        // SAFETY: the caller guarantees a valid slot.
        unsafe {
            let (values, nulls) = attributes(scanned);
            let column = self.target.identity();
            let (Some(column), Some((_, place))) = (column, self.identity) else {
                raise(
                    self.target
                        .refusal("the plan does not bring the keys of the rows"),
                )
            };
            let index = place as usize - 1;
            if nulls[index] {
                raise(
                    Report::new(
                        PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
                        format!(
                            "null value in row identifier column \"{}\" of foreign table \"{}\"",
                            column.name, self.target.name
                        ),
                    )
                    .hint("Exclude the row with IS NOT NULL, or add a column for RECORDNO."),
                );
            }
            let value = self.in_row_memory(|| key_text(column, values[index], type_of(scanned, index)));
            (column.field.clone(), value)
        }
    }

    /// When the row of a scan was last modified, if that is rechecked before it is written.
    unsafe fn last_modified(&self, scanned: *mut pg_sys::TupleTableSlot) -> Option<i64> {
        let (_, place) = self.modified?;
        // SAFETY: the caller guarantees a valid slot.
        let (values, nulls) = unsafe { attributes(scanned) };
        let index = place as usize - 1;
        let instant = match nulls[index] {
            true => None,
            false => outward::instant(values[index].value() as i64),
        };
        match instant {
            Some(instant) => Some(instant.as_microsecond()),
            None => raise(
                Report::new(
                    PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                    format!(
                        "null value in the column of WHENMODIFIED of foreign table \"{}\"",
                        self.target.name
                    ),
                )
                .detail("With match_unmodified, a row is written only if it has not been modified since it was read.")
                .hint("Exclude the row with IS NOT NULL, or set the server option match_unmodified to off."),
            ),
        }
    }

    /// Raises when RETURNING shows a column of a new row that has no value yet: the gateway may give it one.
    unsafe fn check_known(&self, slot: *mut pg_sys::TupleTableSlot) {
        // SAFETY: the caller guarantees a valid slot.
        let (_, nulls) = unsafe { attributes(slot) };
        let unknown = self.target.table.columns.iter().find(|column| {
            self.plan.returning.contains(&column.attnum)
                && column.generated.is_none()
                && column.constant.is_none()
                && nulls[column.attnum as usize - 1]
        });
        if let Some(column) = unknown {
            plan::refuse_returning(&self.target, column);
        }
    }

    pub(super) unsafe fn in_row_memory<T>(&self, work: impl FnOnce() -> T) -> T {
        // SAFETY: the context lives as long as the statement; what `work` keeps it copies.
        unsafe {
            pg_sys::MemoryContextReset(self.memory);
            PgMemoryContexts::For(self.memory).switch_to(|_| work())
        }
    }
}

/// Whether the scan finds its next page by the keys of rows, so that rows may be changed while it goes on.
fn reads_by_key(target: &TargetTable) -> bool {
    target.table.dialect() == DialectKind::Query && target.table.row_key_is_number()
}
