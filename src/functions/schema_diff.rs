//! `schema_diff`: what the company has changed since tables were imported.

use super::access::{foreign_data_allowed, usable_server};
use super::comments::{columns, schema_must_exist, tables, unreadable};
use crate::connection;
use crate::error::raise;
use crate::import::{Existing, Quoting, TableChange, changes, missing};
use crate::{io, options};
use intacct::{Client, DialectKind, Error, ErrorKind, ObjectDefinition, PageRequest, Query, SelectItem};
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};
use std::sync::Arc;

/// The statements that bring the imported tables of a schema up to date with the company: columns for new fields,
/// types and labels that have changed, and fields that are gone. Nothing is changed: run those that you want.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn schema_diff(
    schema: &str,
) -> TableIterator<
    'static,
    (
        name!(foreign_table, String),
        name!(change, String),
        name!(field, String),
        name!(statement, String),
    ),
> {
    foreign_data_allowed();
    let tables = tables(schema).unwrap_or_else(|error| raise(unreadable(&error)));
    if tables.is_empty() {
        schema_must_exist(schema);
    }
    let mut rows = Vec::new();
    for (relid, table) in tables {
        let name = format!("{}.{}", quote_identifier(schema), quote_identifier(&table));
        for change in table_changes(relid) {
            rows.push((
                name.clone(),
                change.what.to_owned(),
                change.field,
                format!("ALTER FOREIGN TABLE {name} {};", change.action),
            ));
        }
    }
    TableIterator::new(rows)
}

fn table_changes(relid: pg_sys::Oid) -> Vec<TableChange> {
    let table = options::table(relid).unwrap_or_else(|error| raise(error));
    // SAFETY: main thread inside a transaction; the table was found in the catalog.
    let (server, user) = unsafe { ((*pg_sys::GetForeignTable(relid)).serverid, pg_sys::GetUserId()) };
    let server = usable_server(&options::server_name(server));
    let client = connection::client(server, user).unwrap_or_else(|error| raise(error));
    let existing = existing(relid);
    let kind = table
        .function
        .unwrap_or(DialectKind::for_version(client.config().dtd_version));
    let columns = existing.clone();
    let asked = io::run(move || async move {
        let definition = client
            .definition_anew(&table.object, table.docparid.as_deref())
            .await?;
        let wanted: Vec<String> = missing(&definition, &columns)
            .iter()
            .map(|field| field.id.clone())
            .collect();
        let refused = refused(&client, &definition, table.docparid, kind, wanted).await?;
        Ok((definition, refused))
    });
    let (definition, refused): (Arc<ObjectDefinition>, Vec<String>) =
        asked.unwrap_or_else(|error| raise(error));
    let quoting = Quoting {
        identifier: &|text| quote_identifier(text),
        literal: &|text| quote_literal(text),
    };
    changes(&definition, &existing, &refused, &quoting)
}

/// Which of these fields the gateway does not let be queried: asks for one row with them until it answers.
async fn refused(
    client: &Client,
    definition: &ObjectDefinition,
    docparid: Option<String>,
    kind: DialectKind,
    mut fields: Vec<String>,
) -> Result<Vec<String>, Error> {
    let mut refused = Vec::new();
    while !fields.is_empty() {
        let mut query = Query::new(definition.name.clone());
        query.docparid.clone_from(&docparid);
        query.select = fields.iter().cloned().map(SelectItem::Field).collect();
        // Only what is refused is looked for.
        query.missing_as_null = true;
        let page = PageRequest { size: 1, offset: 0 };
        let error = match client.page(&query, kind, &page, false).await {
            Ok(_) => return Ok(refused),
            Err(error) => error,
        };
        let before = fields.len();
        if let ErrorKind::UnknownFields(named) = error.kind() {
            let is_named = |field: &String| named.iter().any(|name| name.eq_ignore_ascii_case(field));
            refused.extend(fields.iter().filter(|field| is_named(field)).cloned());
            fields.retain(|field| !is_named(field));
        }
        if fields.len() == before {
            return Err(error);
        }
    }
    Ok(refused)
}

fn existing(relid: pg_sys::Oid) -> Vec<Existing> {
    let columns = columns(relid).into_iter().filter_map(|(attnum, name)| {
        // SAFETY: main thread inside a transaction; the column was found in the catalog.
        if unsafe { pg_sys::get_attgenerated(relid, attnum) } != 0 {
            return None;
        }
        let options = options::column(relid, attnum).unwrap_or_else(|error| raise(error));
        if options.constant.is_some() {
            return None;
        }
        let (sql_type, collate_c) = column_type(relid, attnum);
        Some(Existing {
            name,
            sql_type,
            field: options.field,
            data_type: options.data_type.map(|data_type| data_type.name().to_owned()),
            label: options.label,
            required: options.required,
            read_only: options.read_only,
            collate_c,
        })
    });
    columns.collect()
}

/// The type of a column as PostgreSQL writes it, and whether its collation is C.
fn column_type(relid: pg_sys::Oid, attnum: i16) -> (String, bool) {
    const TYPE: &str = "SELECT pg_catalog.format_type(atttypid, atttypmod),
            attcollation OPERATOR(pg_catalog.=) 'pg_catalog.\"C\"'::pg_catalog.regcollation::pg_catalog.oid
        FROM pg_catalog.pg_attribute
        WHERE attrelid OPERATOR(pg_catalog.=) $1 AND attnum OPERATOR(pg_catalog.=) $2";
    let read = Spi::get_two_with_args::<String, bool>(TYPE, &[relid.into(), attnum.into()]);
    let (sql_type, collate_c) = read.unwrap_or_else(|error| raise(unreadable(&error)));
    (sql_type.unwrap_or_default(), collate_c.unwrap_or(false))
}
