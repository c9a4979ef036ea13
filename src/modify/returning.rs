//! Columns that RETURNING and row triggers read after a write.

use super::target::TargetTable;
use crate::convert::inward::{Converter, constant};
use pgrx::pg_sys;

/// A column that is shown afterwards.
pub struct ReturningColumn {
    /// Position in the slot, from 0.
    pub slot: usize,
    /// Intacct field.
    pub field: String,
    /// How its cell is read.
    pub converter: Converter,
    /// It is the same in every row.
    pub constant: Option<pg_sys::Datum>,
    /// Reading it depends on the user's formatting.
    pub formatted: bool,
}

impl ReturningColumn {
    /// How the columns of these numbers are shown. Owned lines are shown as they were sent.
    ///
    /// # Safety
    /// Main thread; `descriptor` must be the table's, and the current memory context must outlive the statement.
    pub unsafe fn columns(
        target: &TargetTable,
        numbers: &[i16],
        descriptor: pg_sys::TupleDesc,
    ) -> Vec<ReturningColumn> {
        target
            .table
            .columns
            .iter()
            .filter(|column| numbers.contains(&column.attnum))
            .filter(|column| !column.is_lines() && column.generated.is_none())
            .map(|column| {
                let slot = column.attnum as usize - 1;
                // SAFETY: the caller guarantees a valid descriptor.
                unsafe {
                    let attribute = crate::compat::attribute(descriptor, slot);
                    ReturningColumn {
                        slot,
                        field: column.field.clone(),
                        converter: Converter::new(attribute.atttypid, attribute.atttypmod),
                        constant: column
                            .constant
                            .as_deref()
                            .map(|text| constant(text, attribute.atttypid, attribute.atttypmod)),
                        formatted: Converter::needs_formatting(attribute.atttypid),
                    }
                }
            })
            .collect()
    }

    /// Whether the column is known without reading the row again, when these fields are.
    pub fn is_known(&self, fields: &[(String, String)]) -> bool {
        self.constant.is_some() || self.known(fields).is_some()
    }

    /// The value among `fields`, if it needs no reading.
    pub fn known<'a>(&self, fields: &'a [(String, String)]) -> Option<&'a str> {
        if self.formatted {
            return None;
        }
        fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(&self.field))
            .map(|(_, value)| value.as_str())
    }
}
