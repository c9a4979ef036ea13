//! What this transaction has written: a rollback cannot take it back, so it says what stays.

use super::transaction;
use crate::error::Report;
use intacct::write::Verb;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_guard, pg_sys};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;

/// Rows written by one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Nesting of the subtransaction that wrote them; 1 is the transaction itself.
    level: i32,
    statement: u64,
    object: String,
    verb: Verb,
    rows: usize,
}

thread_local! {
    static ENTRIES: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    static STATEMENTS: Cell<u64> = const { Cell::new(0) };
}

/// A number for a statement that writes.
pub fn statement() -> u64 {
    let number = STATEMENTS.get() + 1;
    STATEMENTS.set(number);
    number
}

/// Notes that rows are stored.
pub fn note(statement: u64, object: &str, verb: Verb, rows: usize) {
    if rows == 0 {
        return;
    }
    transaction::register(&REGISTERED, Some(transaction_ends), Some(subtransaction_ends));
    // SAFETY: main thread; reads a counter of the transaction state.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    ENTRIES.with_borrow_mut(|entries| {
        match entries.last_mut() {
            Some(last) if last.statement == statement && last.level == level => last.rows += rows,
            _ => entries.push(Entry {
                level,
                statement,
                object: object.to_owned(),
                verb,
                rows,
            }),
        };
    });
}

/// The statement's own error tells of its rows.
pub fn told(statement: u64) {
    ENTRIES.with_borrow_mut(|entries| entries.retain(|entry| entry.statement != statement));
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_ABORT => warn(ENTRIES.take()),
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            ENTRIES.take();
        }
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn subtransaction_ends(
    event: pg_sys::SubXactEvent::Type,
    _own: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut c_void,
) {
    // SAFETY: main thread; reads a counter of the transaction state.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => ENTRIES.with_borrow_mut(|entries| {
            for entry in entries.iter_mut().filter(|entry| entry.level >= level) {
                entry.level = level - 1;
            }
        }),
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => {
            let lost = ENTRIES.with_borrow_mut(|entries| {
                let (lost, kept) = std::mem::take(entries)
                    .into_iter()
                    .partition(|entry| entry.level >= level);
                *entries = kept;
                lost
            });
            warn(lost);
        }
        _ => {}
    }
}

fn warn(entries: Vec<Entry>) {
    if entries.is_empty() {
        return;
    }
    Report::new(
        PgSqlErrorCode::ERRCODE_WARNING,
        "the rollback does not undo what Sage Intacct has stored",
    )
    .detail(format!("Still there: {}.", sums(&entries)))
    .hint("With the server option write_mode set to on_commit, rows are sent when the transaction commits.")
    .tell(PgLogLevel::WARNING);
}

/// `3 rows created in CUSTOMER, 1 row deleted in VENDOR`
fn sums(entries: &[Entry]) -> String {
    let mut sums: Vec<(&str, Verb, usize)> = Vec::new();
    for entry in entries {
        let known = sums
            .iter_mut()
            .find(|(object, verb, _)| *object == entry.object && *verb == entry.verb);
        match known {
            Some((_, _, rows)) => *rows += entry.rows,
            None => sums.push((&entry.object, entry.verb, entry.rows)),
        }
    }
    let parts: Vec<String> = sums
        .into_iter()
        .map(|(object, verb, rows)| {
            let done = match verb {
                Verb::Create => "created",
                Verb::Update => "updated",
                Verb::Delete => "deleted",
            };
            format!(
                "{rows} row{} {done} in {object}",
                if rows == 1 { "" } else { "s" }
            )
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_by_object_and_what_was_done() {
        let entry = |object: &str, verb, rows| Entry {
            level: 1,
            statement: 1,
            object: object.to_owned(),
            verb,
            rows,
        };
        let entries = [
            entry("CUSTOMER", Verb::Create, 100),
            entry("VENDOR", Verb::Delete, 1),
            entry("CUSTOMER", Verb::Create, 50),
        ];
        assert_eq!(
            sums(&entries),
            "150 rows created in CUSTOMER, 1 row deleted in VENDOR"
        );
    }
}
