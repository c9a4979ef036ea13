//! Report of a failed write: which rows are stored, which may be, and which one was refused.

use super::row::WriteRow;
use crate::error::Report;
use intacct::write::{Verb, WriteFailure};
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// Names of rows that are reported; more are counted only.
const NAMED: usize = 10;

/// The error for a failure. `before` counts the rows of the statement that were passed on earlier; `left_out` are
/// those of them that were duplicates to skip, in ascending order. Rows are numbered from 1, in the order of the statement.
pub fn report(failure: &WriteFailure, rows: &[WriteRow], before: usize, left_out: &[usize]) -> Report {
    let mut report = Report::from(&failure.error);
    let (done, doing) = verbs(rows);
    let mut lines = vec![report.detail];
    lines.retain(|line| !line.is_empty());
    let mut certain: Vec<usize> = (1..=before)
        .filter(|row| left_out.binary_search(row).is_err())
        .collect();
    certain.extend(failure.certain.iter().map(|index| before + index + 1));
    lines.push(match certain.as_slice() {
        [] => format!("Certainly {done}: no row."),
        certain => format!("Certainly {done}: {}.", numbers(certain)),
    });
    if !failure.possible.is_empty() {
        let possible: Vec<usize> = failure.possible.iter().map(|index| before + index + 1).collect();
        lines.push(format!(
            "Possibly {done}: {}{}.",
            numbers(&possible),
            names(rows, &failure.possible)
        ));
        lines.push(format!("Control IDs: {}.", failure.control_ids.join(", ")));
    }
    if let Some(index) = failure.first_failing {
        lines.push(format!(
            "First failing row: {}{}.",
            before + index + 1,
            names(rows, &[index])
        ));
    }
    report.detail = lines.join("\n");
    if !failure.possible.is_empty() {
        report.hint = format!(
            "Look up the rows in doubt with SELECT * FROM sage_intacct.resolve_writes(server) before {doing} them \
             again. Sage support finds them by the control IDs."
        );
    }
    report
}

/// Warnings that are reported one by one; more are counted only.
const WARNED: usize = 10;

/// Reports what is wrong though Sage Intacct has accepted the rows: nothing of it is undone. `before` as in [`report`].
pub fn warn(warnings: &[(usize, intacct::Error)], rows: &[WriteRow], before: usize) {
    for (index, error) in warnings.iter().take(WARNED) {
        let mut report = Report::from(error);
        let written = format!("Row {}{} is written.", before + index + 1, names(rows, &[*index]));
        report.detail = match report.detail.is_empty() {
            true => written,
            false => format!("{}\n{written}", report.detail),
        };
        report.emit(PgLogLevel::WARNING);
    }
    if let more @ 1.. = warnings.len().saturating_sub(WARNED) {
        Report::new(
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("{more} more rows are written with such a warning"),
        )
        .emit(PgLogLevel::WARNING);
    }
}

/// What was done to the rows, and doing it.
fn verbs(rows: &[WriteRow]) -> (&'static str, &'static str) {
    let mut all = rows.iter().map(|row| row.verb);
    match all.next() {
        Some(first) if all.all(|verb| verb == first) => match first {
            Verb::Create => ("stored", "inserting"),
            Verb::Update => ("updated", "updating"),
            Verb::Delete => ("deleted", "deleting"),
        },
        _ => ("written", "writing"),
    }
}

/// `rows 1 to 100, 105`
pub fn numbers(rows: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &row in rows {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == row => *last = row,
            _ => ranges.push((row, row)),
        }
    }
    let parts: Vec<String> = ranges
        .into_iter()
        .map(|(first, last)| match last {
            last if last == first => first.to_string(),
            last => format!("{first} to {last}"),
        })
        .collect();
    match rows.len() {
        1 => format!("row {}", parts.join(", ")),
        _ => format!("rows {}", parts.join(", ")),
    }
}

/// ` (CUSTOMERID C-1, C-2)`; empty when the rows have no name.
fn names(rows: &[WriteRow], indices: &[usize]) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in indices
        .iter()
        .take(NAMED)
        .filter_map(|index| rows.get(*index)?.name())
    {
        names.push(name);
    }
    named(names, indices.len())
}

/// ` (CUSTOMERID C-1, CUSTOMERID C-2, and 3 more)` for some names of so many rows; empty when there is no name.
pub fn named(names: Vec<String>, rows: usize) -> String {
    if names.is_empty() {
        return String::new();
    }
    let more = match rows.saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!(" ({}{more})", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modify::row::Outgoing;
    use intacct::write::WriteTarget;
    use intacct::{Error, ErrorKind};
    use std::sync::Arc;

    fn rows(count: usize) -> Vec<WriteRow> {
        let target = Arc::new(WriteTarget::new("CUSTOMER"));
        (1..=count)
            .map(|number| WriteRow {
                target: target.clone(),
                verb: Verb::Create,
                key: None,
                cells: vec![("CUSTOMERID".into(), Outgoing::Text(format!("C-{number}")))],
                unmodified: None,
            })
            .collect()
    }

    fn failure(certain: Vec<usize>, possible: Vec<usize>, first_failing: Option<usize>) -> WriteFailure {
        WriteFailure {
            error: Error::new(ErrorKind::Internal, "no"),
            certain,
            possible,
            first_failing,
            control_ids: vec!["a-1".into()],
        }
    }

    #[test]
    fn numbers_are_ranges() {
        assert_eq!(numbers(&[3]), "row 3");
        assert_eq!(numbers(&[1, 2, 3, 7, 9, 10]), "rows 1 to 3, 7, 9 to 10");
    }

    #[test]
    fn a_refusal_shows_what_is_stored_and_which_row_failed() {
        let report = report(&failure(vec![], vec![], Some(1)), &rows(3), 100, &[7]);
        assert_eq!(
            report.detail,
            "Certainly stored: rows 1 to 6, 8 to 100.\nFirst failing row: 102 (CUSTOMERID C-2)."
        );
    }

    #[test]
    fn what_is_in_doubt_is_named() {
        let report = report(&failure(vec![0], (1..14).collect(), None), &rows(14), 0, &[]);
        assert_eq!(
            report.detail,
            "Certainly stored: row 1.\nPossibly stored: rows 2 to 14 (CUSTOMERID C-2, CUSTOMERID C-3, CUSTOMERID C-4, \
             CUSTOMERID C-5, CUSTOMERID C-6, CUSTOMERID C-7, CUSTOMERID C-8, CUSTOMERID C-9, CUSTOMERID C-10, \
             CUSTOMERID C-11, and 3 more).\nControl IDs: a-1."
        );
        assert!(
            report.hint.contains("before inserting them again"),
            "{}",
            report.hint
        );
    }
}
