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
            // SAFETY: the caller guarantees relation and state; a generated column always has an expression, and the
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
            // SAFETY: the caller guarantees executor's state, which frees the context.
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
        // SAFETY: the caller guarantees a valid slot; the expressions were made ready for rows of its table.
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
