//! What `get` and `get_list` show of the objects: `legacy.txt`.

use std::sync::LazyLock;

use super::{Catalog, Field, Object};

/// A list of version 2.1.
#[derive(Debug)]
pub struct List {
    /// Its name, and the element of a row.
    pub name: &'static str,
    /// The object behind it.
    pub object: &'static Object,
    /// Field by which `get` finds a row.
    pub key: &'static Field,
    /// What a row holds, in order.
    pub parts: Vec<Part>,
}

/// A part of a row.
#[derive(Debug)]
pub enum Part {
    /// A path of elements, and the field that fills it.
    Field(Vec<&'static str>, &'static Field),
    /// The company's own fields, under this element.
    Custom(&'static str),
    /// Lines.
    Lines(Lines),
}

/// The lines of a row.
#[derive(Debug)]
pub struct Lines {
    /// The elements around a line and that of the line.
    pub path: Vec<&'static str>,
    /// The object behind them.
    pub object: &'static Object,
    /// Field that holds the row's key.
    pub link: &'static str,
    /// Field that is true for lines.
    pub only: &'static str,
    /// What a line holds.
    pub fields: Vec<(&'static str, &'static Field)>,
}

impl List {
    /// The list of this name, if the simulator serves it.
    pub fn find(name: &str) -> Option<&'static List> {
        LISTS.iter().find(|list| list.name == name)
    }

    /// All of them.
    pub fn all() -> &'static [List] {
        &LISTS
    }

    /// The field that fills an element directly inside of a row.
    pub fn field(&self, element: &str) -> Option<&'static Field> {
        self.parts.iter().find_map(|part| match part {
            Part::Field(path, field) if path.as_slice() == [element] => Some(*field),
            _ => None,
        })
    }
}

static LISTS: LazyLock<Vec<List>> =
    LazyLock::new(|| parse(include_str!("legacy.txt")).expect("legacy.txt is well-formed"));

fn parse(text: &'static str) -> Result<Vec<List>, String> {
    let mut lists: Vec<List> = Vec::new();
    let mut in_lines = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || format!("legacy.txt: {line}");
        match (words.as_slice(), lists.last_mut()) {
            (["list", name, object, key], _) => {
                let object = Catalog::builtin().object(object).ok_or_else(wrong)?;
                let key = object.field(key).ok_or_else(wrong)?;
                lists.push(List {
                    name,
                    object,
                    key,
                    parts: Vec::new(),
                });
                in_lines = false;
            }
            (["lines", path, object, link, only], Some(list)) => {
                list.parts.push(Part::Lines(Lines {
                    path: path.split('.').collect(),
                    object: Catalog::builtin().object(object).ok_or_else(wrong)?,
                    link,
                    only,
                    fields: Vec::new(),
                }));
                in_lines = true;
            }
            (["end"], _) => in_lines = false,
            ([element, "*"], Some(list)) => list.parts.push(Part::Custom(element)),
            ([element, field], Some(list)) => match list.parts.last_mut() {
                Some(Part::Lines(lines)) if in_lines => {
                    let field = lines.object.field(field).ok_or_else(wrong)?;
                    lines.fields.push((element, field));
                }
                _ => {
                    let field = list.object.field(field).ok_or_else(wrong)?;
                    list.parts.push(Part::Field(element.split('.').collect(), field));
                }
            },
            _ => return Err(wrong()),
        }
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_fields() {
        let invoice = List::find("invoice").unwrap();
        assert_eq!(invoice.field("invoiceno").unwrap().name, "RECORDID");
        assert!(invoice.field("contactname").is_none());
        let lines = invoice.parts.iter().find_map(|part| match part {
            Part::Lines(lines) => Some(lines),
            _ => None,
        });
        assert_eq!(lines.unwrap().path, ["invoiceitems", "lineitem"]);
        // What follows the lines of a bill is the bill's own.
        let bill = List::find("bill").unwrap();
        assert_eq!(bill.field("state").unwrap().name, "STATE");
    }
}
