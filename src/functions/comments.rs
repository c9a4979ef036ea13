//! `apply_comments`: Intacct's labels as COMMENTs.

use crate::error::{Report, raise};
use crate::options;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{self, quote_identifier, quote_literal};

/// Writes the labels of the foreign tables in a schema, and of their columns, as their comments; returns how many
/// comments were written. The tables must be the caller's.
#[pg_extern]
fn apply_comments(schema: &str) -> i64 {
    let comments = tables(schema).unwrap_or_else(|error| raise(unreadable(&error)));
    if comments.is_empty() {
        schema_must_exist(schema);
    }
    let mut written = 0;
    for (relid, table) in comments {
        let name = format!("{}.{}", quote_identifier(schema), quote_identifier(&table));
        written += write(relid, &name);
    }
    written
}

/// The same for one table. Called by the event trigger that follows IMPORT FOREIGN SCHEMA (`sql/tools/comments.sql`).
#[pg_extern]
fn apply_table_comments(foreign_table: pg_sys::Oid) -> i64 {
    const NAME: &str = "
        SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE c.oid OPERATOR(pg_catalog.=) $1";
    let name: Option<String> = Spi::get_one_with_args(NAME, &[foreign_table.into()])
        .unwrap_or_else(|error| raise(unreadable(&error)));
    let Some(name) = name else {
        raise(Report::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("table with OID {} does not exist", foreign_table.to_u32()),
        ))
    };
    write(foreign_table, &name)
}

/// Runs the COMMENT statements for one table; how many.
fn write(relid: pg_sys::Oid, name: &str) -> i64 {
    let statements = statements(relid, name);
    for statement in &statements {
        Spi::run(statement).unwrap_or_else(|error| raise(unreadable(&error)));
    }
    statements.len() as i64
}

/// Foreign tables of this extension in a schema.
pub(super) fn tables(schema: &str) -> spi::Result<Vec<(pg_sys::Oid, String)>> {
    const TABLES: &str = "
        SELECT c.oid, c.relname::pg_catalog.text
        FROM pg_catalog.pg_foreign_table t
        JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.ftrelid
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        JOIN pg_catalog.pg_foreign_server s ON s.oid OPERATOR(pg_catalog.=) t.ftserver
        JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid OPERATOR(pg_catalog.=) s.srvfdw
        JOIN pg_catalog.pg_proc h ON h.oid OPERATOR(pg_catalog.=) w.fdwhandler
        WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name
          AND h.proname OPERATOR(pg_catalog.=) 'sage_intacct_fdw_handler'
        ORDER BY c.relname";
    Spi::connect(|client| {
        let mut found = Vec::new();
        for row in client.select(TABLES, None, &[schema.into()])? {
            if let (Some(relid), Some(table)) = (row.get(1)?, row.get(2)?) {
                found.push((relid, table));
            }
        }
        Ok(found)
    })
}

/// Raises when there is no schema of this name.
pub(super) fn schema_must_exist(schema: &str) {
    if !schema_exists(schema) {
        raise(Report::new(
            PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
            format!("schema \"{schema}\" does not exist"),
        ));
    }
}

fn schema_exists(schema: &str) -> bool {
    const EXISTS: &str = "SELECT 1 FROM pg_catalog.pg_namespace
        WHERE nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name";
    Spi::get_one_with_args::<i32>(EXISTS, &[schema.into()]).is_ok_and(|found| found.is_some())
}

/// The COMMENT statements for one table.
fn statements(relid: pg_sys::Oid, name: &str) -> Vec<String> {
    let table = options::table(relid).unwrap_or_else(|error| raise(error));
    let mut statements = Vec::new();
    if let Some(label) = &table.label {
        let text = quote_literal(format!("{label} (Sage Intacct {})", table.object));
        statements.push(format!("COMMENT ON FOREIGN TABLE {name} IS {text}"));
    }
    for (attnum, column) in columns(relid) {
        let options = options::column(relid, attnum).unwrap_or_else(|error| raise(error));
        if let Some(label) = options.label {
            statements.push(format!(
                "COMMENT ON COLUMN {name}.{} IS {}",
                quote_identifier(&column),
                quote_literal(&label)
            ));
        }
    }
    statements
}

/// The columns of a table: attribute number and name.
pub(super) fn columns(relid: pg_sys::Oid) -> Vec<(i16, String)> {
    const COLUMNS: &str = "SELECT attnum, attname::pg_catalog.text FROM pg_catalog.pg_attribute
        WHERE attrelid OPERATOR(pg_catalog.=) $1
          AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped ORDER BY attnum";
    let read = Spi::connect(|client| -> spi::Result<Vec<(i16, String)>> {
        let mut found = Vec::new();
        for row in client.select(COLUMNS, None, &[relid.into()])? {
            if let (Some(attnum), Some(column)) = (row.get(1)?, row.get(2)?) {
                found.push((attnum, column));
            }
        }
        Ok(found)
    });
    read.unwrap_or_else(|error| raise(unreadable(&error)))
}

pub(super) fn unreadable(error: &spi::Error) -> Report {
    Report::new(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("the catalogs could not be read: {error}"),
    )
}
