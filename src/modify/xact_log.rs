//! Transaction log: what this transaction has written. A rollback cannot undo it, so it reports what stays.

use super::outcome::named;
use super::row::WriteRow;
use super::transaction;
use crate::error::Report;
use intacct::write::{Verb, WriteFailure};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_guard, pg_sys};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;

/// Names of rows that are kept for one statement; more are counted only.
const NAMED: usize = 10;

/// Rows written by one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct XactEntry {
    /// Nesting of the subtransaction that wrote them; 1 is the transaction itself.
    level: i32,
    statement: u64,
    object: String,
    verb: Verb,
    /// It is not known whether they are stored.
    in_doubt: bool,
    rows: usize,
    /// Names of the first of them.
    names: Vec<String>,
}

thread_local! {
    static ENTRIES: RefCell<Vec<XactEntry>> = const { RefCell::new(Vec::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    static STATEMENTS: Cell<u64> = const { Cell::new(0) };
}

/// A number for a statement that writes.
pub fn statement() -> u64 {
    let number = STATEMENTS.get() + 1;
    STATEMENTS.set(number);
    number
}

/// Notes that rows are stored. The gateway may have returned keys of them.
pub fn note<'a>(statement: u64, rows: impl Iterator<Item = (&'a WriteRow, &'a [(String, String)])>) {
    enter(statement, false, rows);
}

/// The rows of a failure that are stored for certain.
pub fn certain<'a>(
    failure: &'a WriteFailure,
    rows: &'a [WriteRow],
) -> impl Iterator<Item = (&'a WriteRow, &'a [(String, String)])> {
    let rows = failure.certain.iter().filter_map(|index| rows.get(*index));
    rows.map(|row| (row, &[][..]))
}

/// An error is about to report all rows of a statement. In a subtransaction it may be caught and never be seen: then
/// the rollback reports it as well.
pub fn failed(statement: u64, failure: &WriteFailure, rows: &[WriteRow]) {
    if level() <= 1 {
        ENTRIES.with_borrow_mut(|entries| entries.retain(|entry| entry.statement != statement));
        return;
    }
    note(statement, certain(failure, rows));
    let possible = failure.possible.iter().filter_map(|index| rows.get(*index));
    enter(statement, true, possible.map(|row| (row, &[][..])));
}

/// What a statement has stored so far, as a sentence; none when it is nothing.
pub fn stored_by(statement: u64) -> Option<String> {
    ENTRIES.with_borrow(|entries| {
        let of: Vec<&XactEntry> = entries
            .iter()
            .filter(|entry| entry.statement == statement && !entry.in_doubt)
            .collect();
        (!of.is_empty()).then(|| format!("Stored at Sage Intacct: {}.", sums(&of)))
    })
}

fn level() -> i32 {
    // SAFETY: main thread; reads a counter of the transaction state.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() }
}

fn enter<'a>(
    statement: u64,
    in_doubt: bool,
    rows: impl Iterator<Item = (&'a WriteRow, &'a [(String, String)])>,
) {
    transaction::register(&REGISTERED, Some(transaction_ends), Some(subtransaction_ends));
    let level = level();
    ENTRIES.with_borrow_mut(|entries| {
        for (row, returned) in rows {
            let is_of = |entry: &&mut XactEntry| {
                entry.statement == statement
                    && entry.level == level
                    && entry.in_doubt == in_doubt
                    && entry.verb == row.verb
                    && entry.object == row.target.object
            };
            if entries.last_mut().filter(is_of).is_none() {
                entries.push(XactEntry {
                    level,
                    statement,
                    object: row.target.object.clone(),
                    verb: row.verb,
                    in_doubt,
                    rows: 0,
                    names: Vec::new(),
                });
            }
            let Some(entry) = entries.last_mut() else { continue };
            entry.rows += 1;
            if entry.names.len() < NAMED {
                let returned = || returned.first().map(|(field, value)| format!("{field} {value}"));
                entry.names.extend(row.name().or_else(returned));
            }
        }
    });
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_ABORT => warn(&ENTRIES.take()),
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
    let level = level();
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
                    .partition::<Vec<_>, _>(|entry| entry.level >= level);
                *entries = kept;
                lost
            });
            warn(&lost);
        }
        _ => {}
    }
}

fn warn(entries: &[XactEntry]) {
    let (in_doubt, stored): (Vec<&XactEntry>, Vec<&XactEntry>) =
        entries.iter().partition(|entry| entry.in_doubt);
    if !stored.is_empty() {
        Report::new(
            PgSqlErrorCode::ERRCODE_WARNING,
            "the rollback does not undo what Sage Intacct has stored",
        )
        .detail(format!("Still there: {}.", sums(&stored)))
        .hint(
            "With the server option write_mode set to on_commit, rows are sent when the transaction commits.",
        )
        .emit(PgLogLevel::WARNING);
    }
    if !in_doubt.is_empty() {
        Report::new(
            PgSqlErrorCode::ERRCODE_WARNING,
            "it is not known whether Sage Intacct has stored rows that are rolled back",
        )
        .detail(format!("In doubt: {}.", sums(&in_doubt)))
        .hint("SELECT * FROM sage_intacct.resolve_writes(server) looks them up.")
        .emit(PgLogLevel::WARNING);
    }
}

/// `3 rows created in CUSTOMER (CUSTOMERID C-1, CUSTOMERID C-2, and 1 more), 1 row deleted in VENDOR`
fn sums(entries: &[&XactEntry]) -> String {
    let mut sums: Vec<(&str, Verb, usize, Vec<&String>)> = Vec::new();
    for entry in entries {
        let known = sums
            .iter_mut()
            .find(|(object, verb, ..)| *object == entry.object && *verb == entry.verb);
        match known {
            Some((_, _, rows, names)) => {
                *rows += entry.rows;
                names.extend(&entry.names);
            }
            None => sums.push((
                &entry.object,
                entry.verb,
                entry.rows,
                entry.names.iter().collect(),
            )),
        }
    }
    let parts: Vec<String> = sums
        .into_iter()
        .map(|(object, verb, rows, names)| {
            let done = match verb {
                Verb::Create => "created",
                Verb::Update => "updated",
                Verb::Delete => "deleted",
            };
            let names = names.into_iter().take(NAMED).cloned().collect();
            format!(
                "{rows} row{} {done} in {object}{}",
                if rows == 1 { "" } else { "s" },
                named(names, rows)
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
        let entry = |object: &str, verb, rows, names: &[&str]| XactEntry {
            level: 1,
            statement: 1,
            object: object.to_owned(),
            verb,
            in_doubt: false,
            rows,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let entries = [
            entry("CUSTOMER", Verb::Create, 100, &["CUSTOMERID C-1"]),
            entry("VENDOR", Verb::Delete, 1, &["RECORDNO 7"]),
            entry("CUSTOMER", Verb::Create, 50, &["CUSTOMERID C-2"]),
            entry("ITEM", Verb::Update, 2, &[]),
        ];
        assert_eq!(
            sums(&entries.iter().collect::<Vec<_>>()),
            "150 rows created in CUSTOMER (CUSTOMERID C-1, CUSTOMERID C-2, and 148 more), 1 row deleted in VENDOR \
             (RECORDNO 7), 2 rows updated in ITEM"
        );
    }
}
