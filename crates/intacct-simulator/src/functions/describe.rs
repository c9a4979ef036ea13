//! `lookup` and `inspect`: they answer whatever the user may read (fact 64).

use super::Caller;
use crate::catalog::{Catalog, DataType, Object};
use crate::envelope::Node;
use crate::error::Fault;
use crate::respond::{Note, Outcome, Xml};

fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn find(name: &str) -> Result<&'static Object, Fault> {
    Catalog::builtin().object(name).ok_or_else(|| {
        Fault::new("PL04000026", format!("Object definition {name} not found")).id("IA.OBJECT_NOT_FOUND")
    })
}

/// Fields and relations of an object.
///
/// # Errors
/// The fault that the gateway answers.
pub fn lookup(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let object = find(node.child_text("object").unwrap_or_default())?;
    let mut xml = Xml::part(caller.whitespace, 3);
    xml.open("data", &[("listtype", "All"), ("count", "1")]);
    let document = node.child_text("docparid").unwrap_or_default();
    xml.open("Type", &[("Name", &object.name), ("DocumentType", document)]);
    xml.open("Fields", &[]);
    for field in &object.fields {
        xml.open("Field", &[]);
        xml.leaf("ID", &field.name)
            .leaf("LABEL", &field.label)
            .leaf("DESCRIPTION", &field.label);
        xml.leaf("REQUIRED", boolean(field.required))
            .leaf("READONLY", boolean(field.read_only));
        xml.leaf("DATATYPE", field.data_type.name());
        if !field.values.is_empty() {
            xml.open("VALIDVALUES", &[]);
            for (label, _) in &field.values {
                xml.leaf("VALIDVALUE", label);
            }
            xml.close("VALIDVALUES");
        }
        xml.leaf("ISCUSTOM", boolean(field.custom)).close("Field");
    }
    xml.close("Fields").open("Relationships", &[]);
    for relation in &object.relations {
        xml.open("Relationship", &[]);
        xml.leaf("OBJECTPATH", &relation.path)
            .leaf("OBJECTNAME", &relation.object)
            .leaf("LABEL", "");
        xml.leaf("RELATIONSHIPTYPE", "MANY2ONE")
            .leaf("RELATEDBY", &relation.local)
            .close("Relationship");
    }
    // Lines point back at their header: listed, but not dottable.
    for lines in Catalog::builtin().objects.iter() {
        if lines.owner.as_ref().is_some_and(|o| o.object == object.name) {
            xml.open("Relationship", &[]);
            xml.leaf("OBJECTPATH", &lines.name)
                .leaf("OBJECTNAME", &lines.name)
                .leaf("LABEL", "");
            xml.leaf("RELATIONSHIPTYPE", "ONE2MANY")
                .leaf("RELATEDBY", "RECORDNO")
                .close("Relationship");
        }
    }
    xml.close("Relationships").close("Type").close("data");
    Ok(Outcome {
        data: Some(xml),
        note: Note { rows: 1, total: None },
        ..Outcome::default()
    })
}

/// All objects, or the fields of one.
///
/// # Errors
/// The fault that the gateway answers.
pub fn inspect(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let name = node
        .child_text("object")
        .or_else(|| node.child_text("name"))
        .unwrap_or_default();
    let mut xml = Xml::part(caller.whitespace, 3);
    if name == "*" {
        let objects = &Catalog::builtin().objects;
        xml.open(
            "data",
            &[("listtype", "All"), ("count", &objects.len().to_string())],
        );
        for object in objects {
            xml.leaf_with("type", &[("typename", &object.name)], &object.label);
        }
        xml.close("data");
        let note = Note {
            rows: objects.len(),
            total: None,
        };
        return Ok(Outcome {
            data: Some(xml),
            note,
            ..Outcome::default()
        });
    }
    let object = find(name)?;
    let detail = node.attribute("detail") == Some("1");
    xml.open("data", &[("listtype", "All"), ("count", "1")]);
    xml.open("Type", &[("Name", &object.name)]);
    if detail {
        xml.open("Attributes", &[]);
        xml.leaf("SingularName", &object.label)
            .leaf("PluralName", &format!("{}s", object.label));
        xml.leaf("Description", &object.label).close("Attributes");
    }
    xml.open("Fields", &[]);
    for field in &object.fields {
        if !detail {
            xml.leaf("Field", &field.name);
            continue;
        }
        let related = object.relations.iter().find(|r| r.local == field.name);
        xml.open("Field", &[]);
        xml.leaf("Name", &field.name)
            .leaf("GroupName", "")
            .leaf("dataName", external(field.data_type));
        xml.leaf("externalDataName", external(field.data_type));
        xml.leaf("isRequired", boolean(field.required))
            .leaf("isReadOnly", boolean(field.read_only));
        xml.leaf("maxLength", if field.data_type.is_text() { "4000" } else { "0" });
        xml.leaf("DisplayLabel", &field.label)
            .leaf("Description", &field.label)
            .leaf("id", &field.name);
        xml.leaf("relationship", related.map_or("", |_| "MANY2ONE"));
        xml.leaf("relatedObject", related.map_or("", |r| &r.object))
            .close("Field");
    }
    xml.close("Fields").close("Type").close("data");
    Ok(Outcome {
        data: Some(xml),
        note: Note { rows: 1, total: None },
        ..Outcome::default()
    })
}

fn external(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Integer => "integer",
        DataType::Decimal | DataType::Currency | DataType::Percent => "decimal",
        DataType::Boolean => "boolean",
        DataType::Date => "date",
        DataType::Timestamp => "timestamp",
        DataType::Enum => "enum",
        DataType::Text | DataType::Sequence => "text",
    }
}
