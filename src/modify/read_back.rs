//! RETURNING of a written row: key fields from the gateway's answer, other columns by reading the row again.

use super::returning::ReturningColumn;
use super::slot::{attributes, store};
use super::state::WriteState;
use crate::error::Report;
use crate::exec::cell_location::{invalid, reporting};
use crate::{exec, io};
use intacct::write::WriteValue;
use intacct::{Condition, DialectKind, Page, Query, SelectItem, Value};
use pgrx::pg_sys::panic::ErrorReportWithLevel;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};

impl WriteState {
    /// Puts what the gateway holds into the slot of a row that was written. `known` are fields that need no reading,
    /// `written` those that were given other values: a replica may still show the ones before.
    ///
    /// # Safety
    /// `slot` must hold a row of the table.
    pub unsafe fn show(
        &mut self,
        slot: *mut pg_sys::TupleTableSlot,
        known: &[(String, String)],
        written: &[(String, WriteValue)],
    ) {
        if self.shown.is_empty() {
            return;
        }
        let unknown: Vec<&ReturningColumn> = self
            .shown
            .iter()
            .filter(|column| !column.is_known(known))
            .collect();
        let page = match unknown.is_empty() {
            true => None,
            false => self.read_again(&unknown, known, written),
        };
        let fields = fields_of(&unknown);
        let reader = exec::cell_reader(self.client.as_ref());
        // SAFETY: the caller guarantees a valid slot; values are copied into a tuple of the caller's memory context.
        unsafe {
            let (values, nulls) = attributes(slot);
            let (mut values, mut nulls) = (values.to_vec(), nulls.to_vec());
            for column in &self.shown {
                let cell = match (&page, column.known(known)) {
                    _ if column.constant.is_some() => None,
                    (_, Some(text)) => Some(text.as_bytes()),
                    (Some(page), None) => {
                        let place = fields
                            .iter()
                            .position(|field| field.eq_ignore_ascii_case(&column.field));
                        place.and_then(|place| page.cell(0, place))
                    }
                    (None, None) => None,
                };
                (values[column.slot], nulls[column.slot]) = match (column.constant, cell) {
                    (Some(constant), _) => (constant, false),
                    (None, Some(cell)) if !cell.is_empty() => match reporting(
                        || column.converter.datum(cell, &reader),
                        |error| self.not_taken(column, error),
                    ) {
                        Ok(datum) => (datum, false),
                        Err(error) => {
                            self.warn(Report::new(
                                PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
                                invalid(&column.field, &self.target.table.options.object, &error),
                            ));
                            (pg_sys::Datum::from(0), true)
                        }
                    },
                    _ => (pg_sys::Datum::from(0), true),
                };
            }
            store(slot, &mut values, &mut nulls);
        }
    }

    /// Computes the generated columns that are shown of a row that was written, from what the gateway holds of it.
    ///
    /// # Safety
    /// `slot` must hold a row of the table.
    pub unsafe fn compute(&self, slot: *mut pg_sys::TupleTableSlot) {
        if self.stored.is_empty() {
            return;
        }
        // SAFETY: the caller guarantees a valid slot; `store` copies the values.
        unsafe {
            let (mut values, mut nulls) = self.in_row_memory(|| {
                attributes(slot);
                self.stored.fill(slot);
                let (values, nulls) = attributes(slot);
                (values.to_vec(), nulls.to_vec())
            });
            store(slot, &mut values, &mut nulls);
        }
    }

    /// The error of a type that does not take what the gateway holds. Unlike a cell that does not parse it cannot be made a
    /// warning: it is not known what the type's functions left undone.
    fn not_taken(&self, column: &ReturningColumn, error: &ErrorReportWithLevel) -> Report {
        Report::new(
            error.sql_error_code(),
            format!(
                "the row is written, but field {} of {}: {}",
                column.field,
                self.target.table.options.object,
                error.message()
            ),
        )
        .detail(error.detail().unwrap_or_default())
        .hint(error.hint().unwrap_or("Leave the column out of RETURNING."))
    }

    /// Reads the row that was just written. What cannot be read is a warning: the row is stored, and an error would
    /// take back everything but it.
    fn read_again(
        &self,
        columns: &[&ReturningColumn],
        known: &[(String, String)],
        written: &[(String, WriteValue)],
    ) -> Option<Page> {
        let table = &self.target.table;
        let client = self.client.clone()?;
        let find = |name: &str| known.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        let record = find(&self.gateway.id_field);
        let natural = self.gateway.natural_key.as_deref().and_then(find);
        let Some((field, value)) = record.or(natural) else {
            self.warn(self.unreadable("no key was returned"));
            return None;
        };
        let mut query = Query::new(table.options.object.clone());
        query.docparid = table.options.docparid.clone();
        let fields = fields_of(columns);
        query.select = fields
            .iter()
            .map(|field| SelectItem::Field((*field).to_owned()))
            .collect();
        let texts = written.iter().filter_map(|(name, value)| {
            let place = fields.iter().position(|field| field.eq_ignore_ascii_case(name))?;
            match value {
                WriteValue::Text(text) => Some((place, text.clone())),
                // What was to be emptied is checked by itself.
                WriteValue::Empty | WriteValue::Lines(_) => None,
            }
        });
        let texts: Vec<(usize, String)> = texts.collect();
        query.filter = Some(Condition::Compare {
            field: field.clone(),
            op: intacct::CompareOp::Eq,
            value: Value::number(value)
                .filter(|_| record.is_some())
                .unwrap_or_else(|| Value::Text(value.clone())),
        });
        query.show_private = table.asks_private();
        query.missing_as_null = table.options.missing_as_null;
        let formatted = columns.iter().any(|column| column.formatted);
        let dialect = match table.dialect() {
            // Writes are of schema 3.0 in any case, and only its functions find a record by any field.
            DialectKind::GetList => DialectKind::Query,
            other => other,
        };
        let read = io::run(move || async move { client.read_back(&query, dialect, formatted, &texts).await });
        match read {
            Ok((page, None)) if page.rows() == 1 => return Some(page),
            Ok((page, Some(place))) if page.rows() == 1 => {
                self.warn(self.unreadable(&format!(
                    "field {} does not show the written value",
                    fields[place]
                )));
            }
            Ok((page, _)) => self.warn(self.unreadable(&format!("{} rows have the same key", page.rows()))),
            Err(error) => self.warn(Report::from(&error)),
        }
        None
    }

    /// Reports that a row is written and cannot be shown.
    fn warn(&self, mut report: Report) {
        let written = format!(
            "The row of \"{}\" is written; what could not be read is shown as NULL.",
            self.target.name
        );
        report.detail = match report.detail.is_empty() {
            true => written,
            false => format!("{}\n{written}", report.detail),
        };
        report.emit(PgLogLevel::WARNING);
    }

    fn unreadable(&self, why: &str) -> Report {
        Report::new(
            PgSqlErrorCode::ERRCODE_FDW_ERROR,
            format!(
                "the row of {} is written, but cannot be read back: {why}",
                self.target.table.options.object
            ),
        )
        .hint("Leave out RETURNING, or return key fields only.")
    }
}

/// The fields of columns, each once.
fn fields_of<'a>(columns: &[&'a ReturningColumn]) -> Vec<&'a str> {
    let mut fields: Vec<&str> = Vec::with_capacity(columns.len());
    for column in columns {
        if !fields
            .iter()
            .any(|field| field.eq_ignore_ascii_case(&column.field))
        {
            fields.push(&column.field);
        }
    }
    fields
}
