//! `get` and `get_list`, which the schemas of 2.1 and 3.0 describe alike.

use super::node::Node;
use super::schema::{attributes, fault, leaf};

/// Objects that `get_list` takes, one a line.
const LIST_OBJECTS: &str = include_str!("list-objects.txt");
/// Objects that `get` takes, one a line.
const GET_OBJECTS: &str = include_str!("get-objects.txt");

/// Checks a `get_list`.
///
/// # Errors
/// The first violation of the schema.
pub fn check_list(node: &Node) -> Result<(), String> {
    attributes(node, &["object", "start", "maxitems", "showprivate"])?;
    one_of(node, "object", LIST_OBJECTS.lines())?;
    if node.attribute("showprivate").is_some() {
        one_of(node, "showprivate", ["true", "false"].into_iter())?;
    }
    no_text(node)?;
    let mut order = ["filter", "sorts", "fields", "additional_parameters"].into_iter();
    for child in &node.children {
        if !order.any(|name| name == child.name) {
            return Err(unexpected(child));
        }
        no_text(child)?;
        attributes(child, &[])?;
        match child.name.as_str() {
            "filter" => filter(child)?,
            "sorts" => each(child, "sortfield", |sort| {
                attributes(sort, &["order"])?;
                one_of(sort, "order", ["asc", "desc"].into_iter())?;
                leaf(sort)
            })?,
            "fields" => fields(child)?,
            _ => each(child, "parameter", |parameter| {
                sequence(parameter, &["name", "value"], &["object"])
            })?,
        }
    }
    Ok(())
}

/// Checks a `get`.
///
/// # Errors
/// The first violation of the schema.
pub fn check_get(node: &Node) -> Result<(), String> {
    attributes(node, &["object", "key", "externalkey"])?;
    one_of(node, "object", GET_OBJECTS.lines())?;
    if node.attribute("key").is_none() {
        return Err("Element 'get': The attribute 'key' is required but missing.".into());
    }
    if node.attribute("externalkey").is_some() {
        one_of(node, "externalkey", ["true", "false"].into_iter())?;
    }
    no_text(node)?;
    match node.children.as_slice() {
        [] => Ok(()),
        [only] if only.name == "fields" => {
            attributes(only, &[])?;
            no_text(only)?;
            fields(only)
        }
        [first, ..] => Err(unexpected(first)),
    }
}

fn fields(node: &Node) -> Result<(), String> {
    each(node, "field", |field| {
        attributes(field, &[])?;
        leaf(field)
    })
}

fn filter(node: &Node) -> Result<(), String> {
    let Some(first) = node.children.first() else {
        return Err(fault("filter", "Missing child element(s)."));
    };
    if !matches!(first.name.as_str(), "logical" | "expression") {
        return Err(unexpected(first));
    }
    // Either logicals or expressions.
    each(node, &first.name, condition)
}

fn condition(node: &Node) -> Result<(), String> {
    if node.name == "expression" {
        return sequence(node, &["field", "operator", "value"], &["object"]);
    }
    attributes(node, &["logical_operator", "object"])?;
    one_of(node, "logical_operator", ["and", "or"].into_iter())?;
    no_text(node)?;
    for part in &node.children {
        if !matches!(part.name.as_str(), "logical" | "expression") {
            return Err(unexpected(part));
        }
        condition(part)?;
    }
    match node.children.len() {
        0 | 1 => Err(fault(
            "logical",
            "Missing child element(s). Expected is one of ( logical, expression ).",
        )),
        _ => Ok(()),
    }
}

fn each(node: &Node, name: &str, check: impl Fn(&Node) -> Result<(), String>) -> Result<(), String> {
    if node.children.is_empty() {
        return Err(fault(
            &node.name,
            &format!("Missing child element(s). Expected is ( {name} )."),
        ));
    }
    for child in &node.children {
        if child.name != name {
            return Err(unexpected(child));
        }
        check(child)?;
    }
    Ok(())
}

/// These elements with text in them, in this order.
fn sequence(node: &Node, names: &[&str], allowed: &[&str]) -> Result<(), String> {
    // The schema of 3.0 gives parameters no attributes.
    let allowed = if node.name == "parameter" { &[] } else { allowed };
    attributes(node, allowed)?;
    no_text(node)?;
    for (i, name) in names.iter().enumerate() {
        match node.children.get(i) {
            Some(child) if child.name == *name => {
                attributes(child, &[])?;
                leaf(child)?;
            }
            Some(child) => return Err(unexpected(child)),
            None => {
                return Err(fault(
                    &node.name,
                    &format!("Missing child element(s). Expected is ( {name} )."),
                ));
            }
        }
    }
    match node.children.get(names.len()) {
        Some(more) => Err(unexpected(more)),
        None => Ok(()),
    }
}

fn one_of<'a>(
    node: &Node,
    attribute: &str,
    mut allowed: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    match node.attribute(attribute) {
        None => Err(format!(
            "Element '{}': The attribute '{attribute}' is required but missing.",
            node.name
        )),
        Some(value) if allowed.any(|word| word == value) => Ok(()),
        Some(value) => Err(format!(
            "XML Parse error: Error 502: Value \"{value}\" for attribute {attribute} of {} is not among the enumerated set.",
            node.name
        )),
    }
}

fn no_text(node: &Node) -> Result<(), String> {
    match node.text.trim().is_empty() {
        true => Ok(()),
        false => Err(fault(
            &node.name,
            "Character content other than whitespace is not allowed because the content type is 'element-only'.",
        )),
    }
}

fn unexpected(node: &Node) -> String {
    fault(&node.name, "This element is not expected.")
}
