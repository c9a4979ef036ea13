//! Rows that one statement may write: counted over all tables of a server that it writes to.

use super::target::TargetTable;
use crate::error::{Report, raise};
use crate::guc;
use pgrx::{PgSqlErrorCode, pg_sys};
use std::cell::RefCell;

/// Rows of running statements, by executor state and server.
type Counted = Vec<((usize, pg_sys::Oid), usize)>;

thread_local! {
    static COUNTED: RefCell<Counted> = const { RefCell::new(Vec::new()) };
}

/// The bound of a statement, and what one of its tables adds to it.
pub struct RowLimit {
    statement: (usize, pg_sys::Oid),
    rows: usize,
    most: usize,
}

impl RowLimit {
    /// The bound that holds for a statement; none where there is none.
    pub fn of(target: &TargetTable, statement: usize) -> Option<RowLimit> {
        let most = guc::max_rows_per_statement(&target.table.server)?;
        Some(RowLimit {
            statement: (statement, target.table.server_oid),
            rows: 0,
            most,
        })
    }

    /// Raises where rows must be sent before all of them are there.
    pub fn refuse_single_rows(&self, target: &TargetTable) {
        raise(
            target
                .refusal(&format!(
                    "this statement would write to foreign table \"{}\" row by row, which max_rows_per_statement does not allow",
                    target.name
                ))
                .detail("The first rows would be stored before it is known how many there are.")
                .hint(
                    "Leave out RETURNING of columns that Sage Intacct fills in, ON CONFLICT and AFTER ROW triggers, \
                     or set max_rows_per_statement to 0.",
                ),
        );
    }

    /// Counts a row. Raises when it is one too many; nothing was sent then.
    pub fn count(&mut self) {
        self.rows += 1;
        let all = COUNTED.with_borrow_mut(|counted| {
            match counted
                .iter_mut()
                .find(|(statement, _)| *statement == self.statement)
            {
                Some((_, rows)) => {
                    *rows += 1;
                    *rows
                }
                None => {
                    counted.push((self.statement, 1));
                    1
                }
            }
        });
        if all > self.most {
            raise(
                Report::new(
                    PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                    format!("the statement writes more than {} rows", self.most),
                )
                .detail(
                    "The server option or the setting max_rows_per_statement limits it. Nothing was sent.",
                )
                .hint("Write fewer rows in one statement, or raise max_rows_per_statement."),
            );
        }
    }
}

impl Drop for RowLimit {
    fn drop(&mut self) {
        COUNTED.with_borrow_mut(|counted| {
            for (statement, rows) in counted.iter_mut() {
                if *statement == self.statement {
                    *rows = rows.saturating_sub(self.rows);
                }
            }
            counted.retain(|(_, rows)| *rows > 0);
        });
    }
}
