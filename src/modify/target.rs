//! Target table of a write: which columns can be written, and the row identifier.

use crate::catalog::{Column, ForeignTable};
use crate::error::{Report, raise};
use crate::options::{self, WriteMode};
use intacct::write::{Verb, WriteTarget};
use pgrx::spi::quote_identifier;
use pgrx::{PgSqlErrorCode, pg_sys};
use std::ffi::CStr;
use std::rc::Rc;
use std::sync::Arc;

/// A foreign table that is written.
pub struct TargetTable {
    /// Its options and columns.
    pub table: Rc<ForeignTable>,
    /// Its name, for messages.
    pub name: String,
}

impl TargetTable {
    /// Reads the table from the catalogs. Raises when an option cannot be understood.
    pub fn load(relid: pg_sys::Oid) -> TargetTable {
        // SAFETY: main thread inside a transaction; the name is copied.
        let name = unsafe {
            let name = pg_sys::get_rel_name(relid);
            match name.is_null() {
                true => String::new(),
                false => CStr::from_ptr(name).to_string_lossy().into_owned(),
            }
        };
        TargetTable {
            table: ForeignTable::load(relid).unwrap_or_else(|error| raise(error)),
            name,
        }
    }

    /// What the library gets of the table.
    pub fn gateway(&self) -> Arc<WriteTarget> {
        let options = &self.table.options;
        let mut target = WriteTarget::new(&options.object);
        target.docparid = options.docparid.clone();
        target.show_private = self.table.show_private();
        target.missing_as_null = options.missing_as_null;
        if let Some(key) = &options.row_key {
            target.id_field = key.clone();
        }
        if let Some(natural) = self.natural_key() {
            target.natural_key = Some(natural.field.clone());
        }
        Arc::new(target)
    }

    /// The column that identifies rows for UPDATE and DELETE: that of the record number where there is one, whatever is
    /// marked as key; else that which is marked.
    pub fn identity(&self) -> Option<&Column> {
        let record = self
            .table
            .options
            .row_key
            .as_deref()
            .and_then(|key| self.table.column_of_field(key));
        record.or_else(|| self.natural_key())
    }

    /// The column that is marked as key and is not the record number.
    pub fn natural_key(&self) -> Option<&Column> {
        self.table
            .columns
            .iter()
            .find(|column| column.key && column.is_remote() && !self.table.is_row_key(&column.field))
    }

    /// Whether the options allow to write: those of the server and those of the table, since any role with USAGE on a server
    /// can make a table of their own.
    pub fn is_updatable(&self) -> bool {
        self.table.server.updatable && self.table.options.updatable.unwrap_or(true)
    }

    /// Raises when the options do not allow to write.
    pub fn check_updatable(&self, verbs: &str) {
        if self.is_updatable() {
            return;
        }
        let report = Report::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("foreign table \"{}\" does not allow {verbs}", self.name),
        );
        raise(if self.table.server.updatable {
            report
                .detail("Option updatable of the foreign table is off.")
                .hint(format!(
                    "ALTER FOREIGN TABLE {} OPTIONS (SET updatable 'on') allows writes.",
                    quote_identifier(&self.name)
                ))
        } else {
            server_not_updatable(report, self.table.server_oid)
        })
    }

    /// Rows of one create, update or delete.
    pub fn batch_size(&self) -> usize {
        self.table
            .options
            .batch_size
            .unwrap_or(self.table.server.batch_size) as usize
    }

    /// The column that shows when a row was last modified, where rows that were modified since they were read must not
    /// be written. Raises when there is none.
    pub fn modified(&self) -> Option<&Column> {
        if !self.table.server.match_unmodified {
            return None;
        }
        let column = self.table.column_of_field("WHENMODIFIED");
        // SAFETY: main thread inside a transaction; a catalog look-up.
        let is_instant =
            |column: &&Column| unsafe { pg_sys::getBaseType(column.type_oid) } == pg_sys::TIMESTAMPTZOID;
        match column.filter(is_instant) {
            Some(column) => Some(column),
            None => raise(
                self.refusal(&format!(
                    "foreign table \"{}\" has no column of type timestamptz for WHENMODIFIED, which match_unmodified needs",
                    self.name
                ))
                .hint("Add the column, or set the server option match_unmodified to off."),
            ),
        }
    }

    /// Whether rows wait for the commit.
    pub fn waits_for_commit(&self) -> bool {
        self.table.server.write_mode == WriteMode::OnCommit
    }

    /// Raises when this cannot be done to rows of the table, whatever the rows are.
    pub fn check(&self, verb: Verb) {
        self.check_updatable(match verb {
            Verb::Create => "inserts",
            Verb::Update => "updates",
            Verb::Delete => "deletes",
        });
        if let Err(error) = intacct::write::function(&self.table.options.object, verb) {
            raise(error);
        }
        if verb != Verb::Create && self.identity().is_none() {
            raise(
                self.refusal(&format!(
                    "foreign table \"{}\" has no row identifier column",
                    self.name
                ))
                .hint(format!(
                    "Add a column for field {}, or set the column option key to on for the column of its natural key.",
                    self.table.options.row_key.as_deref().unwrap_or("RECORDNO")
                )),
            );
        }
    }

    /// Raises when a column cannot be given a value, a constant one another value than its own; `creating`: in a new row.
    pub fn check_column(&self, column: &Column, creating: bool) {
        let report = |why: &str, hint: &str| {
            raise(
                Report::new(
                    PgSqlErrorCode::ERRCODE_GENERATED_ALWAYS,
                    format!(
                        "column \"{}\" of foreign table \"{}\" cannot be written",
                        column.name, self.name
                    ),
                )
                .detail(format!(
                    "Field {} of {} {why}.",
                    column.field, self.table.options.object
                ))
                .hint(hint.to_owned()),
            )
        };
        if let Some(constant) = &column.constant {
            return report(
                "does not exist in Sage Intacct: the column has option constant",
                &format!("Leave the column out, or give it the value that every row has, \"{constant}\"."),
            );
        }
        if self.table.is_row_key(&column.field) {
            return report(
                "is the record number, which Sage Intacct assigns",
                if creating {
                    "Leave the column out; RETURNING shows the assigned number."
                } else {
                    "A row keeps its record number: select the row in WHERE."
                },
            );
        }
        if !creating && self.identity().is_some_and(|key| key.attnum == column.attnum) {
            return report(
                "is the key by which rows are updated",
                "Add a column for RECORDNO to the table, so that its rows keep an identity.",
            );
        }
        if column.generated.is_some() {
            return report(
                "does not exist in Sage Intacct: the column is generated",
                "Leave the column out.",
            );
        }
        if column.read_only {
            report(
                "is computed by Sage Intacct: the column has option read_only",
                "Leave the column out. If Sage Intacct accepts a value, set the column option read_only to off.",
            );
        }
    }

    /// Whether a record can be addressed by a column: it is marked as key, or its field is `unique`, which Intacct itself
    /// keeps so.
    pub fn names_record(&self, column: &Column, unique: Option<&str>) -> bool {
        column.is_remote()
            && (column.key || unique.is_some_and(|field| field.eq_ignore_ascii_case(&column.field)))
    }

    /// Raises for a trigger that has changed a column by which a record can be addressed: the record number and a key of
    /// another record would be sent together.
    pub fn refuse_other_key(&self, column: &Column) {
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_GENERATED_ALWAYS,
                format!(
                    "column \"{}\" of foreign table \"{}\" cannot be changed by a trigger",
                    column.name, self.name
                ),
            )
            .detail(format!(
                "Field {} of {} names a record, and the statement does not assign it.",
                column.field, self.table.options.object
            ))
            .hint("Leave the key as it is in the trigger, or assign it in the UPDATE."),
        )
    }

    /// Something about the table that cannot be done.
    pub fn refusal(&self, message: &str) -> Report {
        Report::new(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, message)
    }
}

/// The DETAIL and HINT of a write to a server that does not allow any.
pub fn server_not_updatable(report: Report, server: pg_sys::Oid) -> Report {
    let name = options::server_name(server);
    report
        .detail(format!(
            "Option updatable of server \"{name}\" is off; an option of a foreign table does not override that."
        ))
        .hint(format!(
            "ALTER SERVER {} OPTIONS (SET updatable 'on') allows writes to its tables.",
            quote_identifier(&name)
        ))
}
