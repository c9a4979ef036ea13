//! Changes from outside the gateway: what a user of the company would do in the browser.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// One change; values as the view shows them (decimals as text or numbers, dates ISO, instants UTC).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
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
        /// Row keys; absent: all rows that `where` selects.
        #[serde(default)]
        keys: Vec<i64>,
        /// SQL condition over the base table.
        #[serde(default, rename = "where")]
        condition: Option<String>,
        /// Fields to set.
        values: Map<String, Json>,
        /// Leave WHENMODIFIED alone.
        #[serde(default)]
        silent: bool,
    },
    /// Deletes rows and writes AUDITHISTORY.
    Delete {
        /// Object name.
        object: String,
        /// Row keys.
        #[serde(default)]
        keys: Vec<i64>,
        /// SQL condition over the base table.
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
    #[error("{0}: {1}")]
    Value(String, String),
    /// SQLite refused.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}
