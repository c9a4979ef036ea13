//! `upsert`: rows that are there by their natural key are updated, the others are created.

use super::access::is_ours;
use crate::catalog::Column;
use crate::convert::inward::try_input;
use crate::convert::json::Document;
use crate::error::{Report, raise};
use crate::exec::cell_location::reporting;
use crate::modify::TargetTable;
use crate::options::nearest;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use pgrx::spi::{self, SpiClient, quote_identifier, quote_qualified_identifier};
use pgrx::{JsonB, pg_sys};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::ffi::CStr;

/// Rows as objects of the columns to be written.
type Rows = Vec<Map<String, Value>>;

/// Creates the rows that are not there yet and updates the others; returns how many of each. Rows are JSON objects, their
/// members columns of the table. The key is the column that is marked with the option `key`, else that of the object's
/// natural key. Rows are written as INSERT and UPDATE write them.
#[pg_extern(sql = r#"
CREATE FUNCTION upsert("table" regclass, rows jsonb) RETURNS TABLE (created bigint, updated bigint)
    STRICT VOLATILE PARALLEL UNSAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn upsert(
    table: pg_sys::Oid,
    rows: Document,
) -> TableIterator<'static, (name!(created, i64), name!(updated, i64))> {
    // SAFETY: main thread inside a transaction; the name is a constant.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"sage_intacct.upsert()".as_ptr()) };
    let target = target(table);
    // Before anything is read: the answer costs a call.
    target.check_updatable("inserts and updates");
    let key = key(&target);
    let rows = read(rows.0, &target, key);
    check_values(&rows, &target, key);
    let statements = Statements::new(table, &target, key);
    let written = Spi::connect_mut(|client| statements.run(client, rows));
    let counts = written.unwrap_or_else(|error| {
        raise(Report::new(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("the rows could not be written: {error}"),
        ))
    });
    TableIterator::once(counts)
}

/// The table, which must be one of this extension.
fn target(table: pg_sys::Oid) -> TargetTable {
    // SAFETY: main thread inside a transaction; what is not a foreign table is found out first.
    let ours = unsafe {
        pg_sys::get_rel_relkind(table) as u8 == pg_sys::RELKIND_FOREIGN_TABLE
            && is_ours((*pg_sys::GetForeignTable(table)).serverid)
    };
    if !ours {
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                "upsert() supports only Sage Intacct foreign tables",
            )
            .hint("Ordinary tables have INSERT ... ON CONFLICT DO UPDATE."),
        );
    }
    // It is not locked yet for a function that is given an OID.
    // SAFETY: main thread inside a transaction.
    unsafe { pg_sys::LockRelationOid(table, pg_sys::RowExclusiveLock as i32) };
    TargetTable::load(table)
}

/// The column by which rows are found.
fn key(target: &TargetTable) -> &Column {
    let known = || {
        let gateway = target.gateway();
        let field = gateway.natural_key.clone()?;
        target.table.column_of_field(&field)
    };
    match target.natural_key().or_else(known) {
        Some(column) => column,
        None => raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!(
                    "foreign table \"{}\" has no column for a natural key",
                    target.name
                ),
            )
            .detail(format!(
                "upsert() finds existing rows by a natural key of {}.",
                target.table.options.object
            ))
            .hint("Set the column option key to on for a column that is unique in Sage Intacct."),
        ),
    }
}

/// The rows of a JSON array, checked: columns that exist, and a key in each.
fn read(rows: Value, target: &TargetTable, key: &Column) -> Rows {
    let wrong = |message: String| {
        Report::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
            .hint("Rows are given as [{\"column\": value, ...}, ...].")
    };
    let rows = match rows {
        Value::Array(rows) => rows,
        row @ Value::Object(_) => vec![row],
        _ => raise(wrong("rows must be an array of objects".into())),
    };
    let names: Vec<&str> = target
        .table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    (1..)
        .zip(rows)
        .map(|(number, row)| {
            let Value::Object(row) = row else {
                raise(wrong(format!("row {number} is not an object")))
            };
            if let Some(stranger) = row.keys().find(|name| !names.contains(&name.as_str())) {
                let report = Report::new(
                    PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                    format!(
                        "column \"{stranger}\" of row {number} does not exist in foreign table \"{}\"",
                        target.name
                    ),
                );
                raise(match nearest(stranger, names.iter().copied()) {
                    Some(name) => report.hint(format!("Did you mean \"{name}\"?")),
                    None => report,
                });
            }
            if row.get(&key.name).is_none_or(Value::is_null) {
                raise(
                    Report::new(
                        PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
                        format!("null value in key column \"{}\" of row {number}", key.name),
                    )
                    .hint("The key decides whether the row exists."),
                );
            }
            row
        })
        .collect()
}

/// Gives each value to the input function of its column's type, so that an error names column and row.
fn check_values(rows: &Rows, target: &TargetTable, key: &Column) {
    for (number, row) in (1..).zip(rows) {
        for column in &target.table.columns {
            // jsonb_populate_recordset() takes values of structured types apart by rules of its own.
            // SAFETY: main thread inside a transaction; the type is that of a column.
            let is_scalar = unsafe {
                pg_sys::get_element_type(column.type_oid) == pg_sys::InvalidOid
                    && !pg_sys::type_is_rowtype(column.type_oid)
            };
            let is_json = matches!(column.type_oid, pg_sys::JSONOID | pg_sys::JSONBOID);
            let text = match row.get(&column.name) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                Some(Value::Bool(value)) => value.to_string(),
                _ => continue,
            };
            if !is_scalar || is_json {
                continue;
            }
            reporting(
                // SAFETY: as above.
                || unsafe { try_input(&text, column.type_oid, column.typmod) },
                |error| {
                    let record = match &row[&key.name] {
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    let mut detail = error.detail().unwrap_or_default().to_owned();
                    if !detail.is_empty() {
                        detail.push('\n');
                    }
                    detail.push_str(&format!(
                        "Company \"{}\", object \"{}\", field \"{}\", {} {record}.",
                        target.table.server.company_id, target.table.options.object, column.field, key.field
                    ));
                    Report::new(
                        error.sql_error_code(),
                        format!("column \"{}\" of row {number}: {}", column.name, error.message()),
                    )
                    .detail(detail)
                    .hint(error.hint().unwrap_or("Nothing was written: correct the value."))
                },
            );
        }
    }
}

/// The statements that an upsert consists of; `$1` is always an array of rows as jsonb.
struct Statements {
    table: String,
    key: String,
    /// The equality of the key's type, and a cast to it (see [`equality`]).
    equals: String,
    cast: String,
    name: String,
}

impl Statements {
    fn new(table: pg_sys::Oid, target: &TargetTable, key: &Column) -> Statements {
        // SAFETY: main thread inside a transaction; the caller has found the table, so that its schema is there.
        let schema = unsafe {
            let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(table));
            CStr::from_ptr(schema).to_string_lossy().into_owned()
        };
        let (equals, cast) = equality(key);
        Statements {
            table: quote_qualified_identifier(&schema, &target.name),
            key: quote_identifier(&key.name),
            equals,
            cast,
            name: key.name.clone(),
        }
    }

    /// Writes the rows; returns how many were created and updated.
    fn run(&self, client: &mut SpiClient<'_>, rows: Rows) -> spi::Result<(i64, i64)> {
        if rows.is_empty() {
            return Ok((0, 0));
        }
        let keys = self.keys(client, &rows)?;
        let mut seen = HashSet::new();
        if let Some(twice) = keys.iter().find(|key| !seen.insert(key.as_str())) {
            raise(
                Report::new(
                    PgSqlErrorCode::ERRCODE_CARDINALITY_VIOLATION,
                    format!("key {twice} is given more than once"),
                )
                .hint("Each row can be written once in an upsert."),
            );
        }
        let mut there = HashSet::new();
        for key in self.there(client, &rows)? {
            if there.contains(&key) {
                raise(
                    Report::new(
                        PgSqlErrorCode::ERRCODE_CARDINALITY_VIOLATION,
                        format!("more than one row of {} has key {key}", self.table),
                    )
                    .hint("Update the rows by their record numbers: their key does not identify them."),
                );
            }
            there.insert(key);
        }
        let (old, new): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .zip(rows)
            .partition(|(key, _)| there.contains(key));
        let rows = |pairs: Vec<(String, Map<String, Value>)>| alike(pairs.into_iter().map(|(_, row)| row));
        let (mut created, mut updated) = (0, 0);
        for (columns, rows) in rows(new) {
            created += execute(client, &self.insert(&columns), rows)?;
        }
        for (columns, rows) in rows(old) {
            let assigned: Vec<&String> = columns.iter().filter(|column| **column != self.name).collect();
            if !assigned.is_empty() {
                updated += execute(client, &self.update(&assigned), rows)?;
            }
        }
        Ok((created, updated))
    }

    /// The keys of the rows as the key's type prints them, in order.
    fn keys(&self, client: &SpiClient<'_>, rows: &Rows) -> spi::Result<Vec<String>> {
        let statement = format!(
            "SELECT pg_catalog.array_agg(r.{}::pg_catalog.text ORDER BY r.ordinality)
             FROM pg_catalog.jsonb_populate_recordset(NULL::{}, $1) WITH ORDINALITY r",
            self.key, self.table
        );
        self.texts(client, &statement, rows)
    }

    /// The keys of the rows that are there, each as often as it is.
    fn there(&self, client: &SpiClient<'_>, rows: &Rows) -> spi::Result<Vec<String>> {
        let statement = format!(
            "SELECT pg_catalog.array_agg(t.{key}::pg_catalog.text) FROM {table} t
             WHERE t.{key}{cast} {equals} ANY (ARRAY(SELECT r.{key}{cast}
                 FROM pg_catalog.jsonb_populate_recordset(NULL::{table}, $1) r))",
            key = self.key,
            equals = self.equals,
            cast = self.cast,
            table = self.table
        );
        self.texts(client, &statement, rows)
    }

    fn texts(&self, client: &SpiClient<'_>, statement: &str, rows: &Rows) -> spi::Result<Vec<String>> {
        let found: Option<Vec<Option<String>>> = client
            .select(statement, None, &[json(rows).into()])?
            .first()
            .get(1)?;
        Ok(found.unwrap_or_default().into_iter().flatten().collect())
    }

    fn insert(&self, columns: &[String]) -> String {
        let columns: Vec<String> = columns.iter().map(quote_identifier).collect();
        let columns = columns.join(", ");
        format!(
            "INSERT INTO {table} ({columns})
             SELECT {columns} FROM pg_catalog.jsonb_populate_recordset(NULL::{table}, $1)",
            table = self.table
        )
    }

    fn update(&self, columns: &[&String]) -> String {
        let assignments: Vec<String> = columns
            .iter()
            .map(|column| {
                let column = quote_identifier(column);
                format!("{column} = r.{column}")
            })
            .collect();
        format!(
            "UPDATE {table} t SET {} FROM pg_catalog.jsonb_populate_recordset(NULL::{table}, $1) r
             WHERE t.{key}{cast} {equals} r.{key}{cast} AND t.{key}{cast} {equals} ANY (ARRAY(SELECT k.{key}{cast}
                 FROM pg_catalog.jsonb_populate_recordset(NULL::{table}, $1) k))",
            assignments.join(", "),
            key = self.key,
            equals = self.equals,
            cast = self.cast,
            table = self.table
        )
    }
}

/// The operator that a type's default operator class calls equal, by its schema, which a `search_path` could lead away
/// from; and the cast to its operands' type, without which one for the domain could be planted beside it.
fn equality(key: &Column) -> (String, String) {
    const OPERATOR: &str = "
        SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname),
               CASE WHEN n.nspname OPERATOR(pg_catalog.=) 'pg_catalog' OR t.oid OPERATOR(pg_catalog.=) $2 THEN ''
                    ELSE pg_catalog.format('::%I.%I', s.nspname, t.typname) END
          FROM pg_catalog.pg_operator o
          JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
          JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) o.oprleft
          JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) t.typnamespace
         WHERE o.oid OPERATOR(pg_catalog.=) $1";
    // SAFETY: main thread inside a transaction; the cache's entry lives as long as the session.
    let operator =
        unsafe { (*pg_sys::lookup_type_cache(key.type_oid, pg_sys::TYPECACHE_EQ_OPR as i32)).eq_opr };
    let found = Spi::get_two_with_args::<String, String>(OPERATOR, &[operator.into(), key.type_oid.into()]);
    match found {
        Ok((Some(operator), Some(cast))) => (operator, cast),
        _ => raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION,
                format!(
                    "column \"{}\" cannot be a key: its type has no equality operator",
                    key.name
                ),
            )
            .hint("Set the column option key on a column of another type."),
        ),
    }
}

fn execute(client: &mut SpiClient<'_>, statement: &str, rows: Rows) -> spi::Result<i64> {
    Ok(client.update(statement, None, &[json(&rows).into()])?.len() as i64)
}

fn json(rows: &Rows) -> JsonB {
    JsonB(Value::Array(rows.iter().cloned().map(Value::Object).collect()))
}

/// Rows that give values to the same columns, together.
fn alike(rows: impl Iterator<Item = Map<String, Value>>) -> Vec<(Vec<String>, Rows)> {
    let mut groups: Vec<(Vec<String>, Rows)> = Vec::new();
    for row in rows {
        let mut columns: Vec<String> = row.keys().cloned().collect();
        columns.sort_unstable();
        match groups.iter_mut().find(|(known, _)| *known == columns) {
            Some((_, group)) => group.push(row),
            None => groups.push((columns, vec![row])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_grouped_by_their_columns() {
        let rows: Rows = [r#"{"a": 1, "b": 2}"#, r#"{"a": 3}"#, r#"{"b": null, "a": 4}"#]
            .into_iter()
            .map(|text| serde_json::from_str(text).expect("an object"))
            .collect();
        let groups = alike(rows.into_iter());
        let shapes: Vec<_> = groups
            .iter()
            .map(|(columns, rows)| (columns.join(","), rows.len()))
            .collect();
        assert_eq!(shapes, [("a,b".to_owned(), 2), ("a".to_owned(), 1)]);
    }
}
