//! The rows that the extension reads are those that the company has.

use std::collections::BTreeMap;

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, hides_owned};
use serde_json::Value;

use super::run::LOCAL;

/// Compares a local copy, cell by cell, with the simulator's own database.
pub fn compare(company: &Company, client: &mut Client, table: &str, key: &str) {
    let fields = client
        .query(
            "SELECT attname::text, o.option_value, format_type(atttypid, NULL)
             FROM pg_attribute a, pg_options_to_table(a.attfdwoptions) o
             WHERE attrelid = ('f.' || $1)::text::regclass AND attnum > 0 AND o.option_name = 'field' ORDER BY attnum",
            &[&table],
        )
        .expect("the catalog answers");
    let mut columns: BTreeMap<String, (String, String)> = fields
        .iter()
        .map(|row| {
            (
                row.get::<_, String>(0),
                (row.get::<_, String>(1), row.get::<_, String>(2)),
            )
        })
        .collect();
    // A column without the option has the field of its own name in upper case.
    for row in client
        .query(
            "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
             WHERE attrelid = ('f.' || $1)::text::regclass AND attnum > 0",
            &[&table],
        )
        .expect("the catalog answers")
    {
        let name: String = row.get(0);
        let field = name.to_uppercase();
        columns.entry(name).or_insert((field, row.get(1)));
    }
    let object = client
        .query_one(
            "SELECT coalesce((SELECT option_value FROM pg_foreign_table, pg_options_to_table(ftoptions)
                              WHERE ftrelid = ('f.' || $1)::text::regclass AND option_name = 'object'), upper($1))",
            &[&table],
        )
        .expect("the catalog answers")
        .get::<_, String>(0);
    let key_field = columns[key].0.clone();
    let mut truth: BTreeMap<String, _> = company
        .gateway
        .truth(&format!("SELECT * FROM \"{object}\""))
        .into_iter()
        .filter(|row| !hides_owned(&object) || row.get("MEGAENTITYKEY").is_none_or(Value::is_null))
        .map(|row| (text(&row[&key_field]).expect("a key"), row))
        .collect();
    client.batch_execute("SET timezone = 'UTC'").expect("a setting");
    let list: Vec<_> = columns
        .iter()
        .map(|(name, (_, kind))| match kind.as_str() {
            "numeric" => format!("trim_scale({name})::text"),
            "boolean" => format!("{name}::int::text"),
            "timestamp with time zone" => format!("to_char({name}, 'YYYY-MM-DD HH24:MI:SS')"),
            _ => format!("{name}::text"),
        })
        .collect();
    let rows = client
        .query(
            &format!(
                "SELECT {key}::text, ARRAY[{}] FROM {LOCAL}.{table}",
                list.join(", ")
            ),
            &[],
        )
        .expect("a local table");
    for row in &rows {
        let (number, cells): (String, Vec<Option<String>>) = (row.get(0), row.get(1));
        let expected = truth
            .remove(&number)
            .unwrap_or_else(|| panic!("{object} {number} is not in the company"));
        for ((name, (field, kind)), cell) in columns.iter().zip(cells) {
            let value = expected
                .get(field)
                .unwrap_or_else(|| panic!("{object} has no field {field}"));
            let value = text(value).map(|value| canonical(&value, kind));
            assert_eq!(cell, value, "{object} {number}, column {name}");
        }
    }
    let left: Vec<_> = truth.keys().collect();
    assert!(left.is_empty(), "{object}: {left:?} are missing");
    assert!(!rows.is_empty(), "{object} is empty");
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A value of the simulator's database as PostgreSQL prints it.
fn canonical(value: &str, kind: &str) -> String {
    match kind {
        "numeric" if value.contains('.') => value.trim_end_matches('0').trim_end_matches('.').to_owned(),
        "timestamp with time zone" => value.replace('T', " ").trim_end_matches('Z').to_owned(),
        _ => value.to_owned(),
    }
}
