//! Location of a cell, for the error when it cannot be read.

use super::scan::job;
use crate::catalog::ForeignTable;
use crate::error::{Report, raise, state_name};
use crate::private::ScanPrivate;
use intacct::{CellError, Page};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A cell's company, object, field and row.
pub struct CellLocation {
    /// Company of the server.
    pub company: String,
    /// Intacct object.
    pub object: String,
    /// Field in Intacct.
    pub field: String,
    /// Row key: its field and its value in this row.
    pub row: Option<(String, String)>,
}

impl CellLocation {
    /// The location of a scan's cell.
    pub fn of(
        table: &ForeignTable,
        plan: &ScanPrivate,
        page: &Page,
        row: usize,
        cell: usize,
    ) -> CellLocation {
        let query = &plan.query;
        let field = match cell.checked_sub(page.columns()) {
            Some(lines) => plan.lines.get(lines).map_or("", |(_, path)| path.as_str()),
            None => job::selected(query, cell as u16),
        };
        CellLocation {
            company: table.server.company_id.clone(),
            object: query.object.clone(),
            field: field.to_owned(),
            row: plan.row_key.and_then(|key| {
                let value = String::from_utf8_lossy(page.cell(row, key.into())?).into_owned();
                Some((job::selected(query, key).to_owned(), value))
            }),
        }
    }

    /// The report for a cell that is not valid for its column's type.
    pub fn report(&self, error: &CellError) -> Report {
        Report::new(
            PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
            invalid(&self.field, &self.object, error),
        )
        .detail(self.to_string())
        .hint(HINT)
    }

    /// The report for a cell without a value in a column that needs one: `why`.
    pub fn missing(&self, why: &str) -> Report {
        Report::new(
            PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
            format!("null value in field {} of {}, {why}", self.field, self.object),
        )
        .detail(self.to_string())
        .hint(HINT)
    }

    /// The report for a cell that the input function of its column's type does not take.
    fn not_taken(&self, error: &ErrorReportWithLevel) -> Report {
        let mut detail = error.detail().unwrap_or_default().to_owned();
        if !detail.is_empty() {
            detail.push('\n');
        }
        Report::new(
            error.sql_error_code(),
            format!("field {} of {}: {}", self.field, self.object, error.message()),
        )
        .detail(detail + &self.to_string())
        .hint(error.hint().unwrap_or(HINT))
    }
}

const HINT: &str = "Import the table again, or declare the column as text to see what it holds.";

impl std::fmt::Display for CellLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Company \"{}\", object \"{}\", field \"{}\"",
            self.company, self.object, self.field
        )?;
        if let Some((key, value)) = &self.row {
            write!(f, ", {key} {value}")?;
        }
        f.write_str(".")
    }
}

/// The message for a cell that is not valid for its column's type.
pub fn invalid(field: &str, object: &str, error: &CellError) -> String {
    let CellError { expected, found } = error;
    format!("invalid value in field {field} of {object}: expected {expected}, found \"{found}\"")
}

/// Calls functions of a type; where they do not take a value, the error names the location of the cell.
pub fn naming<R>(convert: impl FnOnce() -> R, place: impl FnOnce() -> CellLocation) -> R {
    reporting(convert, |error| place().not_taken(error))
}

/// Calls functions of a type; where they do not take a value, `report` makes the error of theirs.
pub fn reporting<R>(convert: impl FnOnce() -> R, report: impl FnOnce(&ErrorReportWithLevel) -> Report) -> R {
    // The error has unwound to here; whatever it left behind goes with the error that is raised in its place.
    let payload = match catch_unwind(AssertUnwindSafe(convert)) {
        Ok(converted) => return converted,
        Err(payload) => payload,
    };
    match payload.downcast::<CaughtError>() {
        Ok(caught) => match &*caught {
            CaughtError::PostgresError(error) if is_of_value(error) => raise(report(error)),
            _ => caught.rethrow(),
        },
        Err(other) => resume_unwind(other),
    }
}

/// Whether an error is about a value, and not a cancel, a shutdown or a lack of means.
fn is_of_value(error: &ErrorReportWithLevel) -> bool {
    let state = state_name(error.sql_error_code() as i32);
    !["53", "57", "58", "XX"]
        .iter()
        .any(|class| state.starts_with(class))
}
