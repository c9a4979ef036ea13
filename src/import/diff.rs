//! Schema differences: statements that bring a foreign table up to date with the company.

use super::ddl::{Common, Quoting, column as column_text, options};
use super::fetch::Described;
use super::naming::{Assigned, Case, Namer, SYSTEM_COLUMNS};
use super::request::WantedObject;
use super::table::{ColumnDefinition, sql_type, table, type_name};
use intacct::{FieldDefinition, ObjectDefinition, ObjectName};

/// A column that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its name.
    pub name: String,
    /// Its type, as PostgreSQL writes it.
    pub sql_type: String,
    /// Path in Intacct.
    pub field: String,
    /// The option `type`; none when the column was written by hand.
    pub data_type: Option<String>,
    /// The option `label`.
    pub label: Option<String>,
    /// The option `required`.
    pub required: bool,
    /// The option `read_only`.
    pub read_only: bool,
    /// The column has text in C order.
    pub collate_c: bool,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableChange {
    /// What it is, in a word or two.
    pub what: &'static str,
    /// Path in Intacct.
    pub field: String,
    /// What follows `ALTER FOREIGN TABLE name`.
    pub action: String,
}

/// Fields that have no column yet.
pub fn missing<'a>(definition: &'a ObjectDefinition, columns: &[Existing]) -> Vec<&'a FieldDefinition> {
    let has_column = |field: &FieldDefinition| {
        columns
            .iter()
            .any(|column| column.field.eq_ignore_ascii_case(&field.id))
    };
    let fields = definition.fields.iter();
    fields.filter(|field| !has_column(field)).collect()
}

/// The changes for a table with these columns; `refused` are fields that cannot be queried and get no column.
pub fn changes(
    definition: &ObjectDefinition,
    columns: &[Existing],
    refused: &[String],
    quoting: &Quoting<'_>,
) -> Vec<TableChange> {
    let mut changes = added(definition, columns, refused, quoting);
    for column in columns {
        match definition.field(&column.field) {
            Some(field) => changes.extend(altered(column, field, quoting)),
            // A path through a relation is a field of another object.
            None if column.field.contains('.') => {}
            None => changes.push(TableChange {
                what: "field gone",
                field: column.field.clone(),
                action: format!("DROP COLUMN {}", (quoting.identifier)(&column.name)),
            }),
        }
    }
    changes
}

fn added(
    definition: &ObjectDefinition,
    columns: &[Existing],
    refused: &[String],
    quoting: &Quoting<'_>,
) -> Vec<TableChange> {
    let fields: Vec<FieldDefinition> = missing(definition, columns).into_iter().cloned().collect();
    let has_capitals = |column: &Existing| column.name.chars().any(char::is_uppercase);
    let case = match columns.iter().any(has_capitals) {
        true => Case::Keep,
        false => Case::Lower,
    };
    let described = Described {
        wanted: WantedObject {
            object: ObjectName {
                name: definition.name.clone(),
                label: String::new(),
            },
            table: None,
        },
        definition: ObjectDefinition {
            fields,
            ..definition.clone()
        },
        related: Vec::new(),
        refused: refused.to_vec(),
        missing: Vec::new(),
        by_query_string: false,
        settled_key: None,
    };
    let Some((fresh, _)) = table(&described, String::new(), case) else {
        return Vec::new();
    };
    let taken: Vec<&str> = columns
        .iter()
        .map(|column| column.name.as_str())
        .chain(SYSTEM_COLUMNS)
        .collect();
    let mut namer = Namer::new(case, &taken);
    let common = Common {
        server: "",
        collate_c: columns.iter().any(|column| column.collate_c),
        show_private: false,
    };
    let additions = fresh.columns.into_iter().map(|column| {
        let (Assigned::Plain(name) | Assigned::Changed(name)) = namer.assign(&column.field);
        // The key of an existing table is what its option row_key names.
        let column = ColumnDefinition {
            name,
            key: false,
            ..column
        };
        TableChange {
            what: "new field",
            field: column.field.clone(),
            action: format!("ADD COLUMN {}", column_text(&column, &common, quoting)),
        }
    });
    additions.collect()
}

/// What has changed about a field since its column was made.
fn altered(column: &Existing, field: &FieldDefinition, quoting: &Quoting<'_>) -> Vec<TableChange> {
    let name = (quoting.identifier)(&column.name);
    let change = |what, action: String| TableChange {
        what,
        field: column.field.clone(),
        action,
    };
    let mut changes = Vec::new();
    // A column without the option was typed by hand: its type is its owner's choice.
    if let Some(known) = &column.data_type {
        let (wanted, data_type) = match sql_type(&field.data_type) {
            Some("bigint") => ("bigint", "INTEGER".to_owned()),
            Some("text") if !field.valid_values.is_empty() => ("text", "ENUM".to_owned()),
            Some(sql_type) => (sql_type, field.data_type.name().to_owned()),
            None => ("text", type_name(&field.data_type)),
        };
        let as_postgresql_says = match wanted {
            "timestamptz" => "timestamp with time zone",
            other => other,
        };
        if !known.eq_ignore_ascii_case(&data_type) {
            let set = options(&[("SET type", data_type)], quoting);
            let action = match column.sql_type == as_postgresql_says {
                true => format!("ALTER COLUMN {name} {set}"),
                false => format!("ALTER COLUMN {name} TYPE {wanted}, ALTER COLUMN {name} {set}"),
            };
            changes.push(change("type changed", action));
        }
    }
    let label = super::table::label(&field.label);
    if column.label.as_deref().unwrap_or_default() != label && column.data_type.is_some() {
        let verb = match (&column.label, label.is_empty()) {
            (None, _) => "ADD label",
            (Some(_), false) => "SET label",
            (Some(_), true) => "DROP label",
        };
        let set = match label.is_empty() {
            true => "OPTIONS (DROP label)".to_owned(),
            false => options(&[(verb, label)], quoting),
        };
        changes.push(change("label changed", format!("ALTER COLUMN {name} {set}")));
    }
    for (option, was, is) in [
        ("required", column.required, field.required),
        ("read_only", column.read_only, field.read_only),
    ] {
        if was != is && column.data_type.is_some() {
            let set = match is {
                true => format!("OPTIONS (ADD {option} 'on')"),
                false => format!("OPTIONS (DROP {option})"),
            };
            changes.push(change("writing changed", format!("ALTER COLUMN {name} {set}")));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use intacct::DataType;

    fn field(id: &str, data_type: DataType, label: &str) -> FieldDefinition {
        FieldDefinition {
            id: id.to_owned(),
            label: label.to_owned(),
            description: String::new(),
            required: false,
            read_only: false,
            data_type,
            valid_values: Vec::new(),
            custom: false,
        }
    }

    fn existing(name: &str, field: &str, sql_type: &str, data_type: &str) -> Existing {
        Existing {
            name: name.to_owned(),
            sql_type: sql_type.to_owned(),
            field: field.to_owned(),
            data_type: Some(data_type.to_owned()),
            label: None,
            required: false,
            read_only: false,
            collate_c: false,
        }
    }

    fn actions(fields: Vec<FieldDefinition>, columns: &[Existing], refused: &[&str]) -> Vec<String> {
        let definition = ObjectDefinition {
            name: "CUSTOMER".to_owned(),
            document_type: String::new(),
            fields,
            relationships: Vec::new(),
        };
        let quoting = Quoting {
            identifier: &|text| text.to_owned(),
            literal: &|text| format!("'{text}'"),
        };
        let refused: Vec<String> = refused.iter().map(|&name| name.to_owned()).collect();
        changes(&definition, columns, &refused, &quoting)
            .into_iter()
            .map(|change| format!("{}: {}", change.what, change.action))
            .collect()
    }

    #[test]
    fn a_table_that_is_up_to_date_has_no_changes() {
        let columns = [existing("name", "NAME", "text", "TEXT")];
        let fields = vec![field("NAME", DataType::Text, "")];
        assert!(actions(fields, &columns, &[]).is_empty());
    }

    #[test]
    fn new_fields_get_free_names_and_refused_ones_nothing() {
        let columns = [existing("region_code", "OLD", "text", "TEXT")];
        let fields = vec![
            field("OLD", DataType::Text, ""),
            field("Region_Code", DataType::Integer, "Region"),
            field("SECRET", DataType::Text, ""),
        ];
        assert_eq!(
            actions(fields, &columns, &["SECRET"]),
            [
                "new field: ADD COLUMN region_code_2 bigint OPTIONS (field 'Region_Code', type 'INTEGER', label 'Region')"
            ]
        );
    }

    #[test]
    fn changed_and_lost_fields_are_reported() {
        let columns = [
            existing("a", "A", "text", "TEXT"),
            existing("b", "B", "numeric", "DECIMAL"),
            existing("gone", "GONE", "text", "TEXT"),
            existing("path", "CUSTOMER.NAME", "text", "TEXT"),
        ];
        let fields = vec![
            field("A", DataType::Date, ""),
            FieldDefinition {
                read_only: true,
                ..field("B", DataType::Currency, "It")
            },
        ];
        assert_eq!(
            actions(fields, &columns, &[]),
            [
                "type changed: ALTER COLUMN a TYPE date, ALTER COLUMN a OPTIONS (SET type 'DATE')",
                "type changed: ALTER COLUMN b OPTIONS (SET type 'CURRENCY')",
                "label changed: ALTER COLUMN b OPTIONS (ADD label 'It')",
                "writing changed: ALTER COLUMN b OPTIONS (ADD read_only 'on')",
                "field gone: DROP COLUMN gone",
            ]
        );
    }
}
