//! `get_list` and `get`: rows of version 2.1, with elements inside of elements and dates in parts.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};

use super::Caller;
use crate::catalog::legacy::{Lines, List, Part};
use crate::catalog::{DataType, Field};
use crate::envelope::Node;
use crate::error::Fault;
use crate::query::{Condition, Operator, Order, Request, Scope, Shape, cell, keys};
use crate::respond::{Note, Outcome, Xml};
use crate::store::quote;

/// Rows of a list that does not say how many it wants.
const DEFAULT_ITEMS: usize = 100;

/// Answers `get_list`.
///
/// # Errors
/// The fault that the gateway answers.
pub fn get_list(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let list = list(caller, node)?;
    let number = |name: &str, default: usize| match node.attribute(name) {
        None | Some("") => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            Fault::new(
                "XL03000006",
                format!("The attribute {name} is not a number: {text}"),
            )
        }),
    };
    let request = Request {
        object: list.object.name.clone(),
        docparid: None,
        select: Vec::new(),
        filter: node
            .child("filter")
            .map(|filter| all_of(list, filter))
            .transpose()?,
        order: sorts(list, node)?,
        case_insensitive: false,
        show_private: node.attribute("showprivate") == Some("true"),
        return_format: String::new(),
        page_size: number("maxitems", DEFAULT_ITEMS)?.min(caller.settings.list_rows),
        offset: number("start", 0)?,
    };
    let scope = caller.scope();
    let (found, total) = keys(&scope, list.object, &request)?;
    let mut xml = Xml::part(caller.whitespace, 3);
    let end = (request.offset + found.len()) as i64 - 1;
    xml.leaf_with(
        "listtype",
        &[
            ("start", &request.offset.to_string()),
            ("end", &end.to_string()),
            ("total", &total.to_string()),
        ],
        list.name,
    );
    Ok(Outcome {
        list: Some(xml.out),
        data: Some(data(caller, list, &found, &shown(list, node)?)?),
        note: Note {
            rows: found.len(),
            total: Some(total),
        },
        ..Outcome::default()
    })
}

/// Answers `get`.
///
/// # Errors
/// The fault that the gateway answers.
pub fn get(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let list = list(caller, node)?;
    let request = Request {
        object: list.object.name.clone(),
        docparid: None,
        select: Vec::new(),
        filter: Some(Condition::Compare {
            operator: Operator::EqualTo,
            path: list.key.name.clone(),
            values: vec![node.attribute("key").unwrap_or_default().into()],
        }),
        order: Vec::new(),
        case_insensitive: false,
        show_private: true,
        return_format: String::new(),
        page_size: 1,
        offset: 0,
    };
    let (found, _) = keys(&caller.scope(), list.object, &request)?;
    Ok(Outcome {
        data: Some(data(caller, list, &found, &shown(list, node)?)?),
        note: Note {
            rows: found.len(),
            total: None,
        },
        ..Outcome::default()
    })
}

fn list(caller: &Caller<'_>, node: &Node) -> Result<&'static List, Fault> {
    let name = node.attribute("object").unwrap_or_default();
    let list = List::find(name).ok_or_else(|| {
        Fault::new(
            "XL03000006",
            format!("The list {name} is not served by this simulator"),
        )
    })?;
    caller.readable(&list.object.name)?;
    Ok(list)
}

fn invalid_field(list: &List, name: &str) -> Fault {
    Fault::new(
        "XL03000006",
        format!("The field {name} is not valid for the list {}", list.name),
    )
}

/// The outermost elements that a row shows; none said: all.
fn shown(list: &List, node: &Node) -> Result<Option<Vec<String>>, Fault> {
    let Some(fields) = node.child("fields") else {
        return Ok(None);
    };
    let name = |field: &Node| {
        let name = field.text.trim().to_string();
        match list.parts.iter().any(|part| outermost(part) == name) {
            true => Ok(name),
            false => Err(invalid_field(list, &name)),
        }
    };
    fields
        .children
        .iter()
        .map(name)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn outermost(part: &Part) -> &'static str {
    match part {
        Part::Field(path, _) => path[0],
        Part::Custom(element) => element,
        Part::Lines(lines) => lines.path[0],
    }
}

fn sorts(list: &List, node: &Node) -> Result<Vec<Order>, Fault> {
    let sorts = node.child("sorts").into_iter().flat_map(|sorts| &sorts.children);
    sorts
        .map(|sort| {
            let name = sort.text.trim();
            let field = list.field(name).ok_or_else(|| invalid_field(list, name))?;
            Ok(Order {
                path: field.name.clone(),
                descending: sort.attribute("order") == Some("desc"),
            })
        })
        .collect()
}

/// Several conditions beside each other must all hold.
fn all_of(list: &List, node: &Node) -> Result<Condition, Fault> {
    let parts: Result<Vec<Condition>, Fault> =
        node.children.iter().map(|part| condition(list, part)).collect();
    parts.map(Condition::And)
}

fn condition(list: &List, node: &Node) -> Result<Condition, Fault> {
    if node.name == "logical" {
        let Condition::And(parts) = all_of(list, node)? else {
            return Err(Fault::database());
        };
        return Ok(match node.attribute("logical_operator") {
            Some("or") => Condition::Or(parts),
            _ => Condition::And(parts),
        });
    }
    let name = node.child_text("field").unwrap_or_default();
    let field = list.field(name).ok_or_else(|| invalid_field(list, name))?;
    if field.data_type == DataType::Boolean {
        // How 2.1 compares truth values is not documented.
        return Err(invalid_field(list, name));
    }
    let operator = match node.child_text("operator").unwrap_or_default() {
        "=" => Operator::EqualTo,
        "!=" => Operator::NotEqualTo,
        "<" => Operator::LessThan,
        "<=" => Operator::LessThanOrEqualTo,
        ">" => Operator::GreaterThan,
        ">=" => Operator::GreaterThanOrEqualTo,
        "like" => Operator::Like,
        other => {
            return Err(Fault::new(
                "XL03000006",
                format!("The operator {other} is not valid in a filter"),
            ));
        }
    };
    Ok(Condition::Compare {
        operator,
        path: field.name.clone(),
        values: vec![
            node.child("value")
                .map(|value| value.text.clone())
                .unwrap_or_default(),
        ],
    })
}

/// The `data` element with the rows of these keys, in their order.
fn data(caller: &Caller<'_>, list: &List, keys: &[i64], shown: &Option<Vec<String>>) -> Result<Xml, Fault> {
    let scope = caller.scope();
    let connection = caller.company.store.read()?;
    let parts: Vec<&Part> = list
        .parts
        .iter()
        .filter(|part| {
            shown
                .as_ref()
                .is_none_or(|names| names.iter().any(|name| name == outermost(part)))
        })
        .collect();
    let fields: Vec<&Field> = parts.iter().flat_map(|part| fields_of(list, part)).collect();
    let columns: Vec<String> = fields.iter().map(|field| quote(&field.name)).collect();
    let sql = format!(
        "SELECT {}{} FROM {} WHERE {} = ?",
        quote(&list.object.row_id),
        columns
            .iter()
            .map(|column| format!(", {column}"))
            .collect::<String>(),
        quote(&list.object.table()),
        quote(&list.object.row_id)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut xml = Xml::part(caller.whitespace, 3);
    xml.open("data", &[]);
    for key in keys {
        let mut rows = statement.query([key])?;
        while let Some(row) = rows.next()? {
            xml.open(list.name, &[]);
            write_row(&mut xml, &scope, &connection, list, &parts, row, *key)?;
            xml.close(list.name);
        }
    }
    xml.close("data");
    Ok(xml)
}

/// The fields that a part reads.
fn fields_of<'a>(list: &'a List, part: &'a Part) -> Vec<&'a Field> {
    match part {
        Part::Field(_, field) => vec![field],
        Part::Custom(_) => list.object.fields.iter().filter(|field| field.custom).collect(),
        Part::Lines(_) => Vec::new(),
    }
}

fn write_row(
    xml: &mut Xml,
    scope: &Scope<'_>,
    connection: &Connection,
    list: &List,
    parts: &[&Part],
    row: &Row<'_>,
    key: i64,
) -> Result<(), Fault> {
    let mut column = 0;
    let mut open: Vec<&str> = Vec::new();
    for part in parts {
        match part {
            Part::Field(path, field) => {
                column += 1;
                let value = row.get_ref(column)?;
                let (last, around) = path.split_last().expect("a path has elements");
                // What is inside of another element is left out when it is empty, and the other with it.
                if !around.is_empty() && value == ValueRef::Null {
                    continue;
                }
                while !around.starts_with(&open) {
                    xml.close(open.pop().unwrap_or_default());
                }
                for element in &around[open.len()..] {
                    xml.open(element, &[]);
                    open.push(element);
                }
                write_value(xml, scope, last, field, value);
            }
            Part::Custom(element) => {
                close_all(xml, &mut open);
                xml.open(element, &[]);
                for field in list.object.fields.iter().filter(|field| field.custom) {
                    column += 1;
                    xml.open("customfield", &[]);
                    xml.leaf("customfieldname", &field.name);
                    xml.leaf("customfieldvalue", &text(scope, field, row.get_ref(column)?));
                    xml.close("customfield");
                }
                xml.close(element);
            }
            Part::Lines(lines) => {
                close_all(xml, &mut open);
                write_lines(xml, scope, connection, lines, key)?;
            }
        }
    }
    close_all(xml, &mut open);
    Ok(())
}

fn close_all(xml: &mut Xml, open: &mut Vec<&str>) {
    while let Some(element) = open.pop() {
        xml.close(element);
    }
}

fn write_lines(
    xml: &mut Xml,
    scope: &Scope<'_>,
    connection: &Connection,
    lines: &Lines,
    key: i64,
) -> Result<(), Fault> {
    let columns: Vec<String> = lines.fields.iter().map(|(_, field)| quote(&field.name)).collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE {} = ? AND {} = 1 ORDER BY \"LINE_NO\", \"RECORDNO\"",
        columns.join(", "),
        quote(&lines.object.table()),
        quote(lines.link),
        quote(lines.only)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter([Value::Integer(key)]))?;
    let (line, around) = lines.path.split_last().expect("a path has elements");
    let mut opened = false;
    while let Some(row) = rows.next()? {
        if !opened {
            for element in around {
                xml.open(element, &[]);
            }
            opened = true;
        }
        xml.open(line, &[]);
        for (column, (element, field)) in lines.fields.iter().enumerate() {
            write_value(xml, scope, element, field, row.get_ref(column)?);
        }
        xml.close(line);
    }
    if opened {
        for element in around.iter().rev() {
            xml.close(element);
        }
    }
    Ok(())
}

/// A date stands in parts and is left out when there is none; everything else is text.
fn write_value(xml: &mut Xml, scope: &Scope<'_>, element: &str, field: &Field, value: ValueRef<'_>) {
    if field.data_type != DataType::Date {
        xml.leaf(element, &text(scope, field, value));
        return;
    }
    let stored = value.as_str().unwrap_or_default();
    let (Some(year), Some(month), Some(day)) = (stored.get(0..4), stored.get(5..7), stored.get(8..10)) else {
        return;
    };
    xml.open(element, &[]);
    xml.leaf("year", year).leaf("month", month).leaf("day", day);
    xml.close(element);
}

fn text(scope: &Scope<'_>, field: &Field, value: ValueRef<'_>) -> String {
    let mut text = String::new();
    cell(scope, Shape::kind(field.data_type, field.scale), value, &mut text);
    text
}
