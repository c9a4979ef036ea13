//! `read` and `readByName`: rows by key, with their owned lines when all fields are asked.

use rusqlite::types::Value;

use super::Caller;
use crate::catalog::{Catalog, Field, Object};
use crate::envelope::Node;
use crate::error::Fault;
use crate::query::{ReturnFormat, RowWriter, Scope, Shape};
use crate::respond::{Note, Outcome, Xml};
use crate::store::quote;

/// Most keys of one call.
pub const MAX_KEYS: usize = 100;

/// Answers `read` (`by_name` false) or `readByName`.
///
/// # Errors
/// The fault that the gateway answers.
pub fn read(caller: &Caller<'_>, node: &Node, by_name: bool) -> Result<Outcome, Fault> {
    let object = caller.readable(node.child_text("object").unwrap_or_default())?;
    let key_field = if by_name {
        object.natural_key.as_deref().ok_or_else(|| {
            Fault::new(
                "XL03000006",
                format!("The object {} has no name to read by", object.name),
            )
        })?
    } else {
        object.row_id.as_str()
    };
    let keys = keys(node.child_text("keys").unwrap_or_default())?;
    let (fields, all) = fields(object, node.child_text("fields").unwrap_or("*"))?;
    let format = ReturnFormat::parse(&node.child_text("returnFormat").unwrap_or_default().to_lowercase())
        .ok_or_else(|| Fault::new("XL03000006", "Unknown returnFormat"))?;
    let scope = caller.scope();
    let shapes = shapes(&fields);
    let mut writer = RowWriter::new(&scope, format, &object.name.to_lowercase(), &shapes);
    let connection = caller.company.store.read()?;
    let mut sql = format!(
        "SELECT a0.{}, {} FROM {} AS a0 WHERE a0.{} = ?1",
        quote(&object.row_id),
        columns(&fields),
        quote(&object.table()),
        quote(key_field)
    );
    if object.has_entity() && scope.location.is_some() {
        sql.push_str(" AND (a0.\"MEGAENTITYID\" IS NULL OR a0.\"MEGAENTITYID\" = ?2)");
    }
    let mut statement = connection.prepare_cached(&sql)?;
    for key in &keys {
        let mut values = vec![if by_name {
            Value::Text(key.clone())
        } else {
            Value::Integer(
                key.parse()
                    .map_err(|_| Fault::new("XL03000006", format!("The key {key} is not a number")))?,
            )
        }];
        if sql.contains("?2") {
            values.push(Value::Text(scope.location.unwrap_or_default().into()));
        }
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let lines = if all && format == ReturnFormat::Xml {
                owned_lines(&scope, &connection, object, row.get(0)?)?
            } else {
                Vec::new()
            };
            writer.row_with(row, 1, &lines)?;
        }
    }
    Ok(answer(caller, object, writer, format))
}

fn answer(caller: &Caller<'_>, object: &Object, writer: RowWriter<'_>, format: ReturnFormat) -> Outcome {
    let note = Note {
        rows: writer.count,
        total: None,
    };
    let body = writer.finish();
    match format {
        ReturnFormat::Json => Outcome {
            bare: Some((body, "application/json")),
            note,
            ..Outcome::default()
        },
        ReturnFormat::Csv => Outcome {
            bare: Some((body, "text/csv")),
            note,
            ..Outcome::default()
        },
        ReturnFormat::Xml => {
            let mut xml = Xml::part(caller.whitespace, 3);
            let list = object.name.to_lowercase();
            xml.open("data", &[("listtype", &list), ("count", &note.rows.to_string())]);
            xml.raw(&body).close("data");
            Outcome {
                data: Some(xml),
                note,
                ..Outcome::default()
            }
        }
    }
}

/// The comma list of keys.
///
/// # Errors
/// The fault that the gateway answers.
pub fn keys(text: &str) -> Result<Vec<String>, Fault> {
    let keys: Vec<String> = text
        .split(',')
        .map(|k| k.trim().to_string())
        .filter(|k| !k.is_empty())
        .collect();
    if keys.is_empty() {
        return Err(Fault::new("XL03000006", "The element keys holds no key"));
    }
    if keys.len() > MAX_KEYS {
        return Err(Fault::new(
            "XL03000006",
            format!("{} keys were given; at most {MAX_KEYS} are allowed", keys.len()),
        ));
    }
    Ok(keys)
}

/// The fields of a comma list; true when all are meant.
///
/// # Errors
/// The fault that the gateway answers.
pub fn fields(object: &'static Object, list: &str) -> Result<(Vec<&'static Field>, bool), Fault> {
    if matches!(list.trim(), "" | "*") {
        return Ok((
            object
                .fields
                .iter()
                .filter(|f| f.queryable || f.name.ends_with('#'))
                .collect(),
            true,
        ));
    }
    let mut fields = Vec::new();
    for name in list.split(',').map(str::trim) {
        match object.field(name) {
            Some(field) => fields.push(field),
            None => {
                return Err(Fault::new(
                    format!("Invalid fields list {name}"),
                    format!("The field {name} is not valid for {}", object.name),
                ));
            }
        }
    }
    Ok((fields, false))
}

/// Output columns of own fields.
pub fn shapes(fields: &[&Field]) -> Vec<Shape> {
    fields
        .iter()
        .map(|f| Shape {
            tag: f.name.trim_end_matches('#').into(),
            kind: Shape::kind(f.data_type, f.scale),
        })
        .collect()
}

/// SQL list of own fields.
pub fn columns(fields: &[&Field]) -> String {
    fields
        .iter()
        .map(|f| format!("a0.{}", quote(&f.name)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `<ARINVOICEITEMS><arinvoiceitem>…` of a header.
fn owned_lines(
    scope: &Scope<'_>,
    connection: &rusqlite::Connection,
    object: &Object,
    key: i64,
) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    for lines in &Catalog::builtin().objects {
        let Some(owner) = lines.owner.as_ref().filter(|o| o.object == object.name) else {
            continue;
        };
        let fields: Vec<&Field> = lines.fields.iter().filter(|f| f.queryable).collect();
        let sql = format!(
            "SELECT {} FROM {} AS a0 WHERE a0.{} = ? ORDER BY a0.\"LINE_NO\", a0.\"RECORDNO\"",
            columns(&fields),
            quote(&lines.table()),
            quote(&owner.link)
        );
        let mut writer = RowWriter::new(
            scope,
            ReturnFormat::Xml,
            &lines.name.to_lowercase(),
            &shapes(&fields),
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([key])?;
        while let Some(row) = rows.next()? {
            writer.row(row, 0)?;
        }
        out.extend_from_slice(format!("<{}>", owner.collection).as_bytes());
        out.extend_from_slice(&writer.finish());
        out.extend_from_slice(format!("</{}>", owner.collection).as_bytes());
    }
    Ok(out)
}
