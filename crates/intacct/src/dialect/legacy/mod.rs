//! Objects of dtd version 2.1 under their names of 3.0: `objects.txt`, read once.

use crate::schema::{DataType, FieldDefinition, ObjectDefinition, ObjectName};
use std::sync::LazyLock;

/// The part of a path that leads to the company's own fields: `CUSTOMFIELDS.Region_Code`.
pub const CUSTOM_FIELDS: &str = "CUSTOMFIELDS";

/// An object of 3.0 and what 2.1 calls it.
#[derive(Debug)]
pub struct LegacyObject {
    /// Name in 3.0.
    pub name: &'static str,
    /// Display name.
    pub label: &'static str,
    /// Name in 2.1, which is also the element of a row.
    pub element: &'static str,
    /// Where its lines stand in a row of `element`; empty for objects that are such rows themselves.
    pub lines: Vec<&'static str>,
    /// Field of 3.0 that is unique.
    pub key: &'static str,
    /// Fields that both versions have, in the order of 2.1.
    pub fields: Vec<LegacyField>,
    /// The element that holds the company's own fields, if rows show them.
    pub custom: Option<&'static str>,
}

/// A field of 3.0 and where 2.1 shows it.
#[derive(Debug, Clone)]
pub struct LegacyField {
    /// Name in 3.0.
    pub name: &'static str,
    /// Type of its values.
    pub data_type: DataType,
    /// Where it stands, most likely place first.
    pub paths: Vec<ElementPath>,
    /// A condition on it can be sent.
    filtered: bool,
}

/// A path of elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementPath {
    /// It starts at the document around the line, not at the line.
    pub outer: bool,
    /// Element names, outermost first.
    pub path: Vec<String>,
    /// Of several custom fields, the one of this name.
    pub custom: Option<String>,
}

impl LegacyObject {
    /// The object of this name in 3.0; case does not matter.
    pub fn find(name: &str) -> Option<&'static LegacyObject> {
        OBJECTS
            .iter()
            .find(|object| object.name.eq_ignore_ascii_case(name))
    }

    /// All of them.
    pub fn all() -> &'static [LegacyObject] {
        &OBJECTS
    }

    /// Where a field of 3.0 stands; `CUSTOMFIELDS.x` is one of the company's own.
    pub fn paths(&self, field: &str) -> Option<Vec<ElementPath>> {
        if let Some(known) = self.field(field) {
            return Some(known.paths.clone());
        }
        let element = self.custom?;
        let (prefix, name) = field.split_once('.')?;
        prefix.eq_ignore_ascii_case(CUSTOM_FIELDS).then(|| {
            vec![ElementPath {
                outer: false,
                path: vec![element.to_owned()],
                custom: Some(name.to_owned()),
            }]
        })
    }

    /// What filters call a field: an element directly inside of the row.
    pub fn filtered(&self, field: &str) -> Option<&str> {
        let known = self.field(field).filter(|known| known.filtered)?;
        known.element()
    }

    /// The element that identifies the rows of `element`, and by which they are sorted.
    pub fn row_key(&self) -> &str {
        match self.field(self.key) {
            // Lines come with their document.
            Some(key) if self.lines.is_empty() => key.element().unwrap_or("key"),
            _ => "key",
        }
    }

    /// As `lookup` would describe it, as far as 2.1 goes.
    pub fn definition(&self) -> ObjectDefinition {
        let field = |field: &LegacyField| FieldDefinition {
            id: field.name.to_owned(),
            label: String::new(),
            description: String::new(),
            required: false,
            read_only: false,
            data_type: field.data_type.clone(),
            valid_values: Vec::new(),
            custom: false,
        };
        ObjectDefinition {
            name: self.name.to_owned(),
            document_type: String::new(),
            fields: self.fields.iter().map(field).collect(),
            relationships: Vec::new(),
        }
    }

    /// Leaves of a definition of 3.0 what 2.1 shows; the company's own fields get their paths in 2.1.
    pub fn keep_shown(&self, definition: &mut ObjectDefinition) {
        definition.fields.retain_mut(|field| {
            if field.custom && self.custom.is_some() {
                field.id = format!("{CUSTOM_FIELDS}.{}", field.id);
                return true;
            }
            self.field(&field.id).is_some()
        });
        definition.relationships.clear();
    }

    /// As `inspect` would list it.
    pub fn listed(&self) -> ObjectName {
        ObjectName {
            name: self.name.to_owned(),
            label: self.label.to_owned(),
        }
    }

    fn field(&self, name: &str) -> Option<&LegacyField> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
    }
}

impl LegacyField {
    /// The outermost element of the first place.
    fn element(&self) -> Option<&str> {
        self.paths.first()?.path.first().map(String::as_str)
    }
}

static OBJECTS: LazyLock<Vec<LegacyObject>> = LazyLock::new(|| parse(include_str!("objects.txt")));

fn parse(text: &'static str) -> Vec<LegacyObject> {
    let mut objects: Vec<LegacyObject> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match (line.strip_prefix("object "), objects.last_mut()) {
            (Some(header), _) => objects.extend(object(header)),
            (None, Some(object)) => add_field(object, line),
            (None, None) => {}
        }
    }
    objects
}

/// `NAME = element [lines] key FIELD "label"`
fn object(header: &'static str) -> Option<LegacyObject> {
    let (name, rest) = header.split_once(" = ")?;
    let (names, rest) = rest.split_once(" key ")?;
    let (key, label) = rest.split_once(' ')?;
    let mut names = names.split(' ');
    Some(LegacyObject {
        name,
        label: label.trim_matches('"'),
        element: names.next()?,
        lines: names
            .next()
            .map(|path| path.split('.').collect())
            .unwrap_or_default(),
        key,
        fields: Vec::new(),
        custom: None,
    })
}

/// `FIELD TYPE place …` or `custom element`
fn add_field(object: &mut LegacyObject, line: &'static str) {
    let mut words = line.split_whitespace();
    let (Some(name), Some(second)) = (words.next(), words.next()) else {
        return;
    };
    if name == "custom" {
        object.custom = Some(second);
        return;
    }
    let paths: Vec<&str> = words.collect();
    let plain = |place: &&str| !place.contains(['.', '^', '-']);
    object.fields.push(LegacyField {
        name,
        data_type: DataType::from_name(second),
        // What filters make of the lines of a document is not known.
        filtered: object.lines.is_empty() && paths.iter().all(plain),
        paths: paths.into_iter().map(place).collect(),
    });
}

fn place(text: &str) -> ElementPath {
    let outer = text.starts_with('^');
    let path = text.trim_start_matches(['^', '-']);
    ElementPath {
        outer,
        path: path.split('.').map(str::to_owned).collect(),
        custom: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_read_whole() {
        let text = include_str!("objects.txt");
        let lines = text.lines().filter(|line| line.starts_with("object ")).count();
        assert_eq!(OBJECTS.len(), lines);
        for object in OBJECTS.iter() {
            assert!(!object.label.is_empty(), "{}", object.name);
            assert!(
                object.field(object.key).is_some(),
                "{}: {}",
                object.name,
                object.key
            );
            for field in &object.fields {
                assert!(!field.paths.is_empty(), "{}.{}", object.name, field.name);
                assert!(
                    !matches!(field.data_type, DataType::Other(_)),
                    "{}.{}",
                    object.name,
                    field.name
                );
                let twins = object.fields.iter().filter(|other| other.name == field.name);
                assert_eq!(twins.count(), 1, "{}.{}", object.name, field.name);
            }
        }
    }

    #[test]
    fn names_differ_between_the_versions() {
        let invoice = LegacyObject::find("arinvoice").expect("an object");
        assert_eq!(invoice.element, "invoice");
        assert_eq!(invoice.filtered("RECORDID"), Some("invoiceno"));
        assert_eq!(invoice.filtered("WHENCREATED"), Some("datecreated"));
        assert_eq!(invoice.row_key(), "key");
        assert_eq!(invoice.filtered("BILLTOPAYTOCONTACTNAME"), None);
        assert_eq!(invoice.paths("RECORDTYPE"), None);
        assert_eq!(invoice.paths("CUSTOMFIELDS.Region_Code"), None);
        let line = LegacyObject::find("ARINVOICEITEM").expect("an object");
        assert_eq!(line.lines, ["invoiceitems", "lineitem"]);
        assert_eq!(line.filtered("AMOUNT"), None);
        assert!(line.paths("RECORDKEY").expect("a place")[0].outer);
        let customer = LegacyObject::find("CUSTOMER").expect("an object");
        assert_eq!(
            customer.paths("CUSTOMFIELDS.Region_Code").expect("a place")[0]
                .custom
                .as_deref(),
            Some("Region_Code")
        );
        let project = LegacyObject::find("PROJECT").expect("an object");
        assert_eq!((project.row_key(), project.filtered("PROJECTID")), ("key", None));
    }

    /// The vendor's schema has every element named here.
    #[test]
    fn elements_are_those_of_the_vendors_schema() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/intacct_dtd/v2.1/");
        let Ok(schema) = std::fs::read_to_string(format!("{root}intacct_response.v2.1.dtd")) else {
            eprintln!("SKIPPED: {root} is absent, the vendor's schema was not asked");
            return;
        };
        let content = |element: &str| {
            let start = schema
                .find(&format!("<!ELEMENT {element} "))
                .unwrap_or_else(|| panic!("no element {element}"));
            let text = &schema[start..];
            let model = &text[..text.find('>').expect("a closed declaration")];
            let model = model.replace("%CONTACT;", "(contact | contactname)");
            model
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let mut missing = Vec::new();
        for object in OBJECTS.iter() {
            for field in &object.fields {
                for place in &field.paths {
                    let lines = if place.outer {
                        &[][..]
                    } else {
                        object.lines.as_slice()
                    };
                    let mut at = object.element.to_owned();
                    for step in lines.iter().copied().chain(place.path.iter().map(String::as_str)) {
                        if !content(&at).iter().any(|name| name == step) {
                            missing.push(format!("{}.{}: {at} has no {step}", object.name, field.name));
                        }
                        at = step.to_owned();
                    }
                }
            }
            if let Some(custom) = object.custom {
                assert!(content(object.element).iter().any(|name| name == custom));
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
