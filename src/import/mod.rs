//! IMPORT FOREIGN SCHEMA: tables for the company's objects, as they are now.

mod ddl;
mod diff;
mod fetch;
mod naming;
mod request;
mod table;

use crate::error::{Report, notice, raise};
use crate::options::spec::OptionLevel;
use crate::options::{self, OptionValues};
use crate::{connection, io};
use ddl::{Common, create_table};
use fetch::{Fetched, Reason, fetch};
use naming::{Assigned, Namer};
use pgrx::pg_sys::ImportForeignSchemaType::{FDW_IMPORT_SCHEMA_EXCEPT, FDW_IMPORT_SCHEMA_LIMIT_TO};
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};
use pgrx::{PgList, pg_sys};
use request::{ImportRequest, Selection};
use std::ffi::{CStr, CString};
use table::{Remark, TableDefinition};

pub use ddl::Quoting;
pub use diff::{Existing, TableChange, changes, missing};

/// Why a field that `lookup` lists may be refused.
const REFUSED_FIELDS: &str = "Such fields belong to applications that the company has not subscribed to, or to older \
                              functions of the gateway. The import goes on without them.";

/// The only schema that a company has.
const REMOTE_SCHEMA: &str = "intacct";

/// Answers with a list of CREATE FOREIGN TABLE statements, and with NOTICEs about what is left out or renamed.
///
/// # Safety
/// Called by PostgreSQL with a valid statement.
#[pg_guard]
pub unsafe extern "C-unwind" fn import_foreign_schema(
    stmt: *mut pg_sys::ImportForeignSchemaStmt,
    server_oid: pg_sys::Oid,
) -> *mut pg_sys::List {
    // SAFETY: PostgreSQL passes a statement whose strings and lists live as long as the call.
    let (schema, selection, options) = unsafe { read_statement(stmt) };
    if !schema.eq_ignore_ascii_case(REMOTE_SCHEMA) {
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_FDW_SCHEMA_NOT_FOUND,
                format!("schema \"{schema}\" does not exist at Sage Intacct"),
            )
            .hint(format!(
                "There is one schema: IMPORT FOREIGN SCHEMA {REMOTE_SCHEMA} FROM SERVER ..."
            )),
        );
    }
    let request = ImportRequest::read(selection, &options).unwrap_or_else(|error| raise(error));
    // SAFETY: main thread inside a transaction.
    let user = unsafe { pg_sys::GetUserId() };
    let client = connection::client(server_oid, user).unwrap_or_else(|report| raise(report));
    let asked = request.clone();
    let fetched = io::run(move || fetch(client, asked)).unwrap_or_else(|error| raise(error));

    refuse_strangers(&fetched, &request);
    let tables = tables(&fetched, &request);
    let server = options::server_name(server_oid);
    let common = Common {
        server: &server,
        collate_c: request.collate_c,
        show_private: request.private,
    };
    let quoting = Quoting {
        identifier: &|text| quote_identifier(text),
        literal: &|text| quote_literal(text),
    };
    let mut commands = PgList::<std::ffi::c_char>::new();
    for table in &tables {
        pgrx::check_for_interrupts!();
        // Names and labels are free of NUL: control characters were taken out.
        let command = CString::new(create_table(table, &common, &quoting)).unwrap_or_default();
        // SAFETY: main thread; copied into the current memory context.
        commands.push(unsafe { pg_sys::pstrdup(command.as_ptr()) });
    }
    commands.into_pg()
}

/// The remote schema, the selection and the options of a statement.
unsafe fn read_statement(stmt: *mut pg_sys::ImportForeignSchemaStmt) -> (String, Selection, OptionValues) {
    // SAFETY: the caller passes a valid statement.
    unsafe {
        let text = |text: *const std::ffi::c_char| CStr::from_ptr(text).to_string_lossy().into_owned();
        let names = || {
            PgList::<pg_sys::RangeVar>::from_pg((*stmt).table_list)
                .iter_ptr()
                .map(|table| text((*table).relname))
                .collect()
        };
        let selection = match (*stmt).list_type {
            FDW_IMPORT_SCHEMA_LIMIT_TO => Selection::LimitTo(names()),
            FDW_IMPORT_SCHEMA_EXCEPT => Selection::Except(names()),
            _ => Selection::All,
        };
        (
            text((*stmt).remote_schema),
            selection,
            options::values(OptionLevel::Import, (*stmt).options),
        )
    }
}

/// A name that no object has: an error when there is nothing else to import, else a notice.
fn refuse_strangers(fetched: &Fetched, request: &ImportRequest) {
    let Selection::LimitTo(names) = &request.selection else {
        return;
    };
    let hint = |nearest: &Option<String>| match nearest {
        Some(name) => format!("Did you mean {}?", name.to_lowercase()),
        None => {
            "SELECT name FROM sage_intacct.objects('...', probe => false) lists the objects of the company."
                .to_owned()
        }
    };
    if fetched.strangers.len() == names.len()
        && let Some(stranger) = fetched.strangers.first()
    {
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("object \"{}\" does not exist in the company", stranger.name),
            )
            .hint(hint(&stranger.nearest)),
        );
    }
    for stranger in &fetched.strangers {
        pgrx::check_for_interrupts!();
        notice(
            format!(
                "object \"{}\" does not exist in the company: no table was made for it",
                stranger.name
            ),
            "",
            hint(&stranger.nearest),
        );
    }
}

/// The tables to make; reports everything that is left out or not as expected.
fn tables(fetched: &Fetched, request: &ImportRequest) -> Vec<TableDefinition> {
    for skipped in &fetched.skipped {
        pgrx::check_for_interrupts!();
        match &skipped.reason {
            Reason::Refused(error) => notice(
                format!("object {} was skipped: {error}", skipped.object),
                "",
                remedy(error),
            ),
            // All of them are meant unless one is named.
            Reason::Custom if matches!(request.selection, Selection::LimitTo(_)) => notice(
                format!(
                    "object {} was skipped: it is the company's own, and import_custom is off",
                    skipped.object
                ),
                "",
                "Import it with OPTIONS (import_custom 'on').",
            ),
            Reason::Custom => {}
        }
    }
    let mut namer = Namer::new(request.case, &[]);
    let mut tables = Vec::new();
    let mut explained = false;
    for object in &fetched.objects {
        pgrx::check_for_interrupts!();
        let name = match &object.wanted.table {
            Some(name) => name.clone(),
            None => match namer.assign(&object.definition.name) {
                Assigned::Plain(name) => name,
                Assigned::Changed(name) => {
                    notice(
                        format!(
                            "object {} becomes table \"{name}\": its own name is taken or too long",
                            object.definition.name
                        ),
                        "",
                        "",
                    );
                    name
                }
            },
        };
        if !object.refused.is_empty() {
            notice(
                format!(
                    "object {}: the gateway refuses to query {}: no column was made for {}",
                    object.definition.name,
                    object.refused.join(", "),
                    if object.refused.len() == 1 { "it" } else { "them" }
                ),
                "",
                // Once is enough: nearly every object has such a field.
                if std::mem::replace(&mut explained, true) {
                    ""
                } else {
                    REFUSED_FIELDS
                },
            );
        }
        if !object.missing.is_empty() {
            notice(
                format!(
                    "object {}: the gateway's response has no element for {}",
                    object.definition.name,
                    object.missing.join(", ")
                ),
                "Reading such a column is an error, since the value of the field is not known.",
                "Where this company's gateway leaves out the elements of empty fields, set the table option \
                 missing_elements to 'null'; else leave the columns out.",
            );
        }
        match table::table(object, name, request.case) {
            Some((mut table, remarks)) => {
                if request.lines {
                    table.add_lines(request.case);
                }
                for remark in &remarks {
                    pgrx::check_for_interrupts!();
                    notify(&table, remark);
                }
                tables.push(table);
            }
            None => notice(
                format!(
                    "object {} was skipped: it has no field that can be read",
                    object.definition.name
                ),
                "",
                "",
            ),
        }
    }
    tables
}

/// What to do about a refused object, when the failure itself has no hint.
fn remedy(error: &intacct::Error) -> String {
    match error.kind() {
        intacct::ErrorKind::Permission => {
            "Ask the company's administrator for permission to list this object, or leave it out with EXCEPT."
                .to_owned()
        }
        intacct::ErrorKind::UnknownObject => {
            "The gateway lists it, but its query function does not support it: leave it out with EXCEPT."
                .to_owned()
        }
        _ if error.hint().is_empty() => {
            "Leave it out with EXCEPT, or import it without asking for a row: OPTIONS (probe 'off')."
                .to_owned()
        }
        _ => error.hint(),
    }
}

fn notify(table: &TableDefinition, remark: &Remark) {
    match remark {
        Remark::Renamed { field, column } => notice(
            format!(
                "object {}: field {field} becomes column \"{column}\": its own name is taken or too long",
                table.object
            ),
            "",
            "",
        ),
        Remark::UnknownType { field, data_type } => notice(
            format!(
                "object {}: field {field} has unknown type {data_type} and becomes a text column",
                table.object
            ),
            "",
            "Conditions on it are evaluated locally.",
        ),
        Remark::TooMany(count) => notice(
            format!(
                "object {}: {count} fields were left out: a table has at most 1600 columns",
                table.object
            ),
            "",
            "",
        ),
    }
}
