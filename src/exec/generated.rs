//! Columns that are GENERATED ALWAYS AS (…) STORED. Nothing of them is kept at Sage Intacct: their values are computed
//! in PostgreSQL, from the other columns of each row.
//!
//! A virtual column (PostgreSQL 18) needs nothing here: the planner puts its expression in its place.

use crate::catalog::ForeignTable;
use crate::ffi;
use pgrx::pg_sys;

/// The stored generated columns of a statement's rows, ready to be computed.
pub struct StoredColumns {
    /// Position in the slot, and the expression.
    columns: Vec<(usize, *mut pg_sys::ExprState)>,
    context: *mut pg_sys::ExprContext,
    table: pg_sys::Oid,
}

impl StoredColumns {
    /// No column at all.
    pub fn none() -> StoredColumns {
        StoredColumns {
            columns: Vec::new(),
            context: std::ptr::null_mut(),
            table: pg_sys::InvalidOid,
        }
    }

    /// Makes ready those columns of the table that are wanted.
    ///
    /// # Safety
    /// Main thread; `relation` is the open relation of `table`, `estate` outlives the value.
    pub unsafe fn prepare(
        relation: pg_sys::Relation,
        table: &ForeignTable,
        wanted: impl Fn(i16) -> bool,
        estate: *mut pg_sys::EState,
    ) -> StoredColumns {
        let stored = table
            .columns
            .iter()
            .filter(|column| column.is_stored() && wanted(column.attnum));
        let mut columns = Vec::new();
        for column in stored {
            // SAFETY: the caller vouches for relation and state; a generated column always has an expression, and the
            // executor's memory keeps what is made of it.
            unsafe {
                let expression = pg_sys::build_column_default(relation, column.attnum.into());
                let state = pg_sys::ExecPrepareExpr(expression.cast(), estate);
                columns.push((column.attnum as usize - 1, state));
            }
        }
        if columns.is_empty() {
            return StoredColumns::none();
        }
        StoredColumns {
            columns,
            // SAFETY: the caller vouches for the executor's state, which frees the context.
            context: unsafe { pg_sys::CreateExprContext(estate) },
            table: table.oid,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Computes the columns of the row in a slot and puts them into its arrays; new values live in the current memory
    /// context.
    ///
    /// # Safety
    /// The slot must hold a row of the table, all of whose attributes are in its arrays.
    pub unsafe fn fill(&self, slot: *mut pg_sys::TupleTableSlot) {
        if self.columns.is_empty() {
            return;
        }
        // SAFETY: the caller vouches for the slot; the expressions were made ready for rows of its table.
        unsafe {
            (*slot).tts_tableOid = self.table;
            (*self.context).ecxt_scantuple = slot;
            for (index, state) in &self.columns {
                let mut null = true;
                let value = ffi::evaluate(*state, self.context, &mut null);
                *(*slot).tts_values.add(*index) = value.unwrap_or(pg_sys::Datum::from(0));
                *(*slot).tts_isnull.add(*index) = null;
            }
        }
    }
}

/// The columns that the expressions of stored generated columns read, of those that are `wanted`: what a scan needs to
/// compute them.
///
/// # Safety
/// Main thread, with a lock on the table.
pub unsafe fn sources(table: &ForeignTable, wanted: impl Fn(i16) -> bool) -> Vec<i16> {
    let stored: Vec<i16> = table
        .columns
        .iter()
        .filter(|column| column.is_stored() && wanted(column.attnum))
        .map(|column| column.attnum)
        .collect();
    if stored.is_empty() {
        return Vec::new();
    }
    let mut numbers = std::ptr::null_mut();
    // SAFETY: the caller holds a lock; the expressions' columns are those of relation 1.
    unsafe {
        let relation = pg_sys::relation_open(table.oid, pg_sys::NoLock as i32);
        for attnum in stored {
            let expression = pg_sys::build_column_default(relation, attnum.into());
            pg_sys::pull_varattnos(expression, 1, &mut numbers);
        }
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
    }
    let reads = |attnum: i16| {
        let number = i32::from(attnum) - pg_sys::FirstLowInvalidHeapAttributeNumber;
        // SAFETY: a valid bitmap set, and a member above zero.
        unsafe { pg_sys::bms_is_member(number, numbers) }
    };
    table
        .columns
        .iter()
        .map(|column| column.attnum)
        .filter(|attnum| reads(*attnum))
        .collect()
}
