//! Where a cell stands, for the error that says it cannot be read.

use crate::error::Report;
use intacct::CellError;
use pgrx::PgSqlErrorCode;

/// A cell's company, object, field and row.
pub struct Place {
    /// Company of the server.
    pub company: String,
    /// Intacct object.
    pub object: String,
    /// Field in Intacct.
    pub field: String,
    /// Row key: its field and its value in this row.
    pub row: Option<(String, String)>,
}

impl Place {
    /// The report for a cell that is not what its column's type says.
    pub fn report(&self, error: &CellError) -> Report {
        let row = match &self.row {
            Some((key, value)) => format!(", {key} {value}"),
            None => String::new(),
        };
        Report::new(
            PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
            format!("field {} of {} holds {error}", self.field, self.object)
                .replace("holds not", "does not hold"),
        )
        .detail(format!(
            "Company \"{}\", object {}, field {}{row}.",
            self.company, self.object, self.field
        ))
        .hint("Import the table again, or declare the column as text to see what it holds.")
    }
}
