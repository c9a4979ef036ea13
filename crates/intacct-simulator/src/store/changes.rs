//! Rows inserted, updated and deleted: stamps, audit trail, owned lines.
//!
//! [`Change`] is what a person would do in the browser; the gateway's create, update and delete use the same rows.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{Writer, quote, values};
use crate::catalog::{Catalog, DataType, Object};

/// One change; values as `/_sim/rows` shows them (decimals as text or numbers, dates ISO, instants UTC).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Change {
    /// A new row; the row key is made when absent.
    Insert {
        /// Object name.
        object: String,
        /// Fields.
        values: Map<String, Json>,
    },
    /// Changes fields of rows.
    Update {
        /// Object name.
        object: String,
        /// Row keys.
        #[serde(default)]
        keys: Vec<i64>,
        /// Instead of keys: SQL condition over the base table.
        #[serde(default, rename = "where")]
        condition: Option<String>,
        /// Fields to set.
        values: Map<String, Json>,
        /// Leave WHENMODIFIED and AUDITHISTORY alone.
        #[serde(default)]
        silent: bool,
    },
    /// Deletes rows with their owned lines and writes AUDITHISTORY.
    Delete {
        /// Object name.
        object: String,
        /// Row keys.
        #[serde(default)]
        keys: Vec<i64>,
        /// Instead of keys: SQL condition over the base table.
        #[serde(default, rename = "where")]
        condition: Option<String>,
        /// Leave AUDITHISTORY alone.
        #[serde(default)]
        silent: bool,
    },
}

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No such object.
    #[error("no object {0}")]
    Object(String),
    /// No such field.
    #[error("no field {1} in {0}")]
    Field(String, String),
    /// A value that does not fit its field.
    #[error("{0}")]
    Value(String),
    /// SQLite refused.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

/// Who changes a row, when, and by which way.
#[derive(Debug, Clone)]
pub struct Author {
    /// Login id.
    pub user: String,
    /// `api` or `ui`.
    pub source: &'static str,
    /// Stored form of the instant.
    pub at: String,
}

/// Fields and their values.
pub type Cells = Vec<(String, Value)>;

/// Applies changes in order; all or none. Returns the keys of the rows concerned, per change.
///
/// # Errors
/// The first change that is refused.
pub fn apply(writer: &Writer<'_>, changes: &[Change], author: &Author) -> Result<Vec<Vec<i64>>, ChangeError> {
    writer.execute_batch("SAVEPOINT change")?;
    let done: Result<Vec<_>, _> = changes.iter().map(|c| one(writer, c, author)).collect();
    writer.execute_batch(if done.is_ok() {
        "RELEASE change"
    } else {
        "ROLLBACK TO change; RELEASE change"
    })?;
    done
}

fn one(writer: &Writer<'_>, change: &Change, author: &Author) -> Result<Vec<i64>, ChangeError> {
    let find = |name: &str| {
        Catalog::builtin()
            .object(name)
            .ok_or_else(|| ChangeError::Object(name.into()))
    };
    match change {
        Change::Insert { object, values } => {
            let object = find(object)?;
            Ok(vec![insert(writer, object, cells(object, values)?, author)?])
        }
        Change::Update {
            object,
            keys,
            condition,
            values,
            silent,
        } => {
            let object = find(object)?;
            let (keys, cells) = (
                select(writer, object, keys, condition.as_deref())?,
                cells(object, values)?,
            );
            for key in &keys {
                update(writer, object, *key, cells.clone(), (!silent).then_some(author))?;
            }
            Ok(keys)
        }
        Change::Delete {
            object,
            keys,
            condition,
            silent,
        } => {
            let object = find(object)?;
            let keys = select(writer, object, keys, condition.as_deref())?;
            for key in &keys {
                delete(writer, object, *key, (!silent).then_some(author))?;
            }
            Ok(keys)
        }
    }
}

fn cells(object: &Object, values: &Map<String, Json>) -> Result<Cells, ChangeError> {
    values
        .iter()
        .map(|(name, json)| {
            let field = object
                .field(name)
                .ok_or_else(|| ChangeError::Field(object.name.clone(), name.clone()))?;
            Ok((
                field.name.clone(),
                values::shown(field, json).map_err(ChangeError::Value)?,
            ))
        })
        .collect()
}

fn select(
    connection: &Connection,
    object: &Object,
    keys: &[i64],
    condition: Option<&str>,
) -> Result<Vec<i64>, ChangeError> {
    let Some(condition) = condition else {
        return Ok(keys.to_vec());
    };
    let id = quote(&object.row_id);
    let sql = format!(
        "SELECT {id} FROM {} WHERE {condition} ORDER BY {id}",
        quote(&object.table())
    );
    let mut statement = connection.prepare(&sql)?;
    Ok(statement.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?)
}

/// Inserts a row; makes its key and stamps unless given. Returns the key.
///
/// # Errors
/// What SQLite says.
pub fn insert(
    writer: &Writer<'_>,
    object: &Object,
    mut cells: Cells,
    author: &Author,
) -> rusqlite::Result<i64> {
    let has = |cells: &Cells, name: &str| cells.iter().any(|(n, _)| n == name);
    let given = cells
        .iter()
        .find(|(n, _)| *n == object.row_id)
        .and_then(|(_, v)| match v {
            Value::Integer(i) => Some(*i),
            _ => None,
        });
    let key = match given {
        Some(key) => key,
        None => {
            let sql = format!(
                "SELECT COALESCE(MAX({}), 0) FROM {}",
                quote(&object.row_id),
                quote(&object.table())
            );
            let largest = writer.query_row(&sql, [], |r| r.get(0))?;
            let key = Catalog::builtin()
                .position(&object.name)
                .map_or(largest + 1, |position| writer.new_key(position, largest));
            cells.push((object.row_id.clone(), Value::Integer(key)));
            key
        }
    };
    let user = user_key(writer, &author.user);
    let stamp = Value::Text(author.at.clone());
    for name in [
        "WHENCREATED",
        "AUWHENCREATED",
        "WHENMODIFIED",
        "createdAt",
        "updatedAt",
    ] {
        let is_stamp = object
            .field(name)
            .is_some_and(|f| f.data_type == DataType::Timestamp);
        if is_stamp && !has(&cells, name) {
            cells.push((name.into(), stamp.clone()));
        }
    }
    for name in ["CREATEDBY", "MODIFIEDBY"] {
        if object.field(name).is_some() && !has(&cells, name) {
            cells.push((name.into(), user.clone()));
        }
    }
    let names: Vec<String> = cells.iter().map(|(n, _)| quote(n)).collect();
    let marks = vec!["?"; names.len()].join(", ");
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({marks})",
        quote(&object.table()),
        names.join(", ")
    );
    writer
        .prepare_cached(&sql)?
        .execute(params_from_iter(cells.iter().map(|(_, v)| v)))?;
    touch(writer, object);
    audit(writer, object, key, "C", author)?;
    Ok(key)
}

/// Sets fields of a row; with an author, stamps it and writes the audit trail.
///
/// # Errors
/// What SQLite says.
pub fn update(
    writer: &Writer<'_>,
    object: &Object,
    key: i64,
    mut cells: Cells,
    author: Option<&Author>,
) -> rusqlite::Result<()> {
    if let Some(author) = author {
        for name in ["WHENMODIFIED", "updatedAt"] {
            if object.field(name).is_some() && !cells.iter().any(|(n, _)| n == name) {
                cells.push((name.into(), Value::Text(author.at.clone())));
            }
        }
        if object.field("MODIFIEDBY").is_some() && !cells.iter().any(|(n, _)| n == "MODIFIEDBY") {
            cells.push(("MODIFIEDBY".into(), user_key(writer, &author.user)));
        }
    }
    if !cells.is_empty() {
        let sets: Vec<String> = cells.iter().map(|(n, _)| format!("{} = ?", quote(n))).collect();
        let sql = format!(
            "UPDATE {} SET {} WHERE {} = ?",
            quote(&object.table()),
            sets.join(", "),
            quote(&object.row_id)
        );
        let values = cells.iter().map(|(_, v)| v.clone()).chain([Value::Integer(key)]);
        writer.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    }
    touch(writer, object);
    if let Some(author) = author {
        audit(writer, object, key, "M", author)?;
    }
    Ok(())
}

/// Deletes a row and the lines it owns.
///
/// # Errors
/// What SQLite says.
pub fn delete(
    writer: &Writer<'_>,
    object: &Object,
    key: i64,
    author: Option<&Author>,
) -> rusqlite::Result<()> {
    if let Some(author) = author {
        audit(writer, object, key, "D", author)?;
    }
    delete_lines(writer, object, key)?;
    let sql = format!(
        "DELETE FROM {} WHERE {} = ?",
        quote(&object.table()),
        quote(&object.row_id)
    );
    writer.prepare_cached(&sql)?.execute([key])?;
    touch(writer, object);
    Ok(())
}

/// Deletes the lines that a row owns.
///
/// # Errors
/// What SQLite says.
pub fn delete_lines(writer: &Writer<'_>, object: &Object, key: i64) -> rusqlite::Result<()> {
    for lines in &Catalog::builtin().objects {
        if let Some(owner) = lines.owner.as_ref().filter(|o| o.object == object.name) {
            let sql = format!(
                "DELETE FROM {} WHERE {} = ?",
                quote(&lines.table()),
                quote(&owner.link)
            );
            writer.prepare_cached(&sql)?.execute([key])?;
            touch(writer, lines);
        }
    }
    Ok(())
}

fn touch(writer: &Writer<'_>, object: &Object) {
    if let Some(position) = Catalog::builtin().position(&object.name) {
        writer.touch(position);
    }
}

fn user_key(connection: &Connection, login: &str) -> Value {
    connection
        .query_row(
            "SELECT RECORDNO FROM t_USERINFO WHERE LOGINID = ?",
            [login],
            |r| r.get(0),
        )
        .map_or(Value::Null, Value::Integer)
}

/// One line of the audit trail; lines of documents have none of their own.
fn audit(
    writer: &Writer<'_>,
    object: &Object,
    key: i64,
    mode: &str,
    author: &Author,
) -> rusqlite::Result<()> {
    if object.owner.is_some() || object.name == "AUDITHISTORY" {
        return Ok(());
    }
    let sql = format!(
        "SELECT CAST({} AS TEXT) FROM {} WHERE {} = ?",
        quote(&object.audit_key),
        quote(&object.table()),
        quote(&object.row_id)
    );
    let Ok(name) = writer.query_row(&sql, [key], |r| r.get::<_, Option<String>>(0)) else {
        return Ok(());
    };
    writer.execute(
        "INSERT INTO t_AUDITHISTORY (ID, USERID, ACCESSTIME, ACCESSMODE, SOURCE, OBJECTTYPE, OBJECTKEY)
         SELECT COALESCE(MAX(ID), 0) + 1, ?, ?, ?, ?, ?, ? FROM t_AUDITHISTORY",
        (
            &author.user,
            &author.at,
            mode,
            author.source,
            object.name.to_lowercase(),
            name,
        ),
    )?;
    if let Some(position) = Catalog::builtin().position("AUDITHISTORY") {
        writer.touch(position);
    }
    Ok(())
}
