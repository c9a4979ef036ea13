//! CREATE FOREIGN TABLE as text.

use super::table::{ColumnDefinition, TableDefinition};
use std::fmt::Write;

/// How PostgreSQL quotes; its own functions in the backend.
pub struct Quoting<'a> {
    /// Quotes an identifier where needed.
    pub identifier: &'a dyn Fn(&str) -> String,
    /// Quotes a text.
    pub literal: &'a dyn Fn(&str) -> String,
}

/// What is the same for all tables of a statement.
pub struct Common<'a> {
    /// The server.
    pub server: &'a str,
    /// Text columns get COLLATE "C".
    pub collate_c: bool,
    /// Tables ask for rows that are private to an entity.
    pub show_private: bool,
}

/// The statement that creates a table; its schema is given by IMPORT itself.
pub fn create_table(table: &TableDefinition, common: &Common<'_>, quoting: &Quoting<'_>) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|one| column_of(one, qualified(one.sql_type), common, quoting))
        .collect();
    let mut pairs = vec![("object", table.object.clone())];
    match table.row_key.as_deref() {
        Some("RECORDNO") => {}
        key => pairs.push(("row_key", key.unwrap_or_default().to_owned())),
    }
    if table.by_query_string {
        pairs.push(("function", "readByQuery".to_owned()));
    }
    // readByQuery has no word for it, and nothing to show where no row belongs to an entity.
    if common.show_private && (table.entities || !table.by_query_string) {
        pairs.push(("show_private", "on".to_owned()));
    }
    if !table.entities {
        pairs.push(("entities", "off".to_owned()));
    }
    if !table.label.is_empty() {
        pairs.push(("label", table.label.clone()));
    }
    format!(
        "CREATE FOREIGN TABLE {} (\n  {}\n) SERVER {} {}",
        (quoting.identifier)(&table.name),
        columns.join(",\n  "),
        (quoting.identifier)(common.server),
        options(&pairs, quoting)
    )
}

/// A type under a name that reads the same whatever the importing role's `search_path`. Those that are keywords do.
fn qualified(sql_type: &'static str) -> &'static str {
    match sql_type {
        "text" => "pg_catalog.text",
        "date" => "pg_catalog.date",
        "timestamptz" => "pg_catalog.timestamptz",
        "jsonb" => "pg_catalog.jsonb",
        keyword => keyword,
    }
}

/// A column as people spell it in ADD COLUMN.
pub fn column(column: &ColumnDefinition, common: &Common<'_>, quoting: &Quoting<'_>) -> String {
    column_of(column, column.sql_type, common, quoting)
}

fn column_of(
    column: &ColumnDefinition,
    type_name: &str,
    common: &Common<'_>,
    quoting: &Quoting<'_>,
) -> String {
    let mut pairs = vec![
        ("field", column.field.clone()),
        ("type", column.data_type.clone()),
    ];
    let flags = [
        ("key", column.key),
        ("required", column.required),
        ("read_only", column.read_only),
    ];
    pairs.extend(
        flags
            .into_iter()
            .filter(|(_, set)| *set)
            .map(|(name, _)| (name, "on".to_owned())),
    );
    if let Some(reference) = &column.references {
        pairs.push(("references", reference.to_string()));
    }
    if !column.label.is_empty() {
        pairs.push(("label", column.label.clone()));
    }
    let mut text = format!(
        "{} {} {}",
        (quoting.identifier)(&column.name),
        type_name,
        options(&pairs, quoting)
    );
    if common.collate_c && column.sql_type == "text" {
        text.push_str(" COLLATE pg_catalog.\"C\"");
    }
    if column.key {
        text.push_str(" NOT NULL");
    }
    text
}

/// An OPTIONS clause; a name may have a verb before it (`SET type`).
pub fn options(pairs: &[(&str, String)], quoting: &Quoting<'_>) -> String {
    let mut text = String::from("OPTIONS (");
    for (index, (name, value)) in pairs.iter().enumerate() {
        let separator = if index > 0 { ", " } else { "" };
        let (verb, name) = name.rsplit_once(' ').unwrap_or(("", name));
        let verb = if verb.is_empty() {
            String::new()
        } else {
            format!("{verb} ")
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{separator}{verb}{} {}",
            (quoting.identifier)(name),
            (quoting.literal)(value)
        );
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Reference;

    fn quote(text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    fn identifier(text: &str) -> String {
        let plain = text.chars().all(|c| c.is_ascii_lowercase() || c == '_') && text != "references";
        if plain {
            text.to_owned()
        } else {
            format!("\"{text}\"")
        }
    }

    fn sample() -> TableDefinition {
        let column = |name: &str, field: &str, sql_type| ColumnDefinition {
            name: name.to_owned(),
            sql_type,
            field: field.to_owned(),
            data_type: "TEXT".to_owned(),
            label: String::new(),
            required: false,
            read_only: false,
            key: false,
            references: None,
        };
        let key = ColumnDefinition {
            key: true,
            read_only: true,
            data_type: "INTEGER".to_owned(),
            ..column("recordno", "RECORDNO", "bigint")
        };
        let customer = ColumnDefinition {
            required: true,
            label: "Customer's id".to_owned(),
            references: Reference::parse("CUSTOMER=CUSTOMER(CUSTOMERID)"),
            ..column("customerid", "CUSTOMERID", "text")
        };
        TableDefinition {
            entities: true,
            name: "Ar Invoice".to_owned(),
            object: "ARINVOICE".to_owned(),
            label: "AR Invoice".to_owned(),
            row_key: Some("RECORDNO".to_owned()),
            by_query_string: false,
            columns: vec![key, customer],
        }
    }

    fn created(table: &TableDefinition, collate_c: bool, show_private: bool) -> String {
        let quoting = Quoting {
            identifier: &identifier,
            literal: &quote,
        };
        let common = Common {
            server: "acme",
            collate_c,
            show_private,
        };
        create_table(table, &common, &quoting)
    }

    #[test]
    fn a_table_is_spelled_out() {
        assert_eq!(
            created(&sample(), false, false),
            "CREATE FOREIGN TABLE \"Ar Invoice\" (
  recordno bigint OPTIONS (field 'RECORDNO', type 'INTEGER', key 'on', read_only 'on') NOT NULL,
  customerid pg_catalog.text OPTIONS (field 'CUSTOMERID', type 'TEXT', required 'on', \
             \"references\" 'CUSTOMER=CUSTOMER(CUSTOMERID)', label 'Customer''s id')
) SERVER acme OPTIONS (object 'ARINVOICE', label 'AR Invoice')"
        );
    }

    #[test]
    fn collation_private_rows_and_views_are_said() {
        let view = TableDefinition {
            row_key: None,
            by_query_string: true,
            ..sample()
        };
        let text = created(&view, true, true);
        assert!(
            text.contains("label 'Customer''s id') COLLATE pg_catalog.\"C\"\n"),
            "{text}"
        );
        assert!(
            text.contains("type 'INTEGER', key 'on', read_only 'on') NOT NULL"),
            "{text}"
        );
        assert!(
            text.contains(
                "(object 'ARINVOICE', row_key '', function 'readByQuery', show_private 'on', label"
            ),
            "{text}"
        );
    }
}
