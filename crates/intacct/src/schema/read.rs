//! The answers of `lookup` and `inspect`.

use super::{DataType, Entity, FieldDefinition, ObjectDefinition, ObjectName, Relationship};
use crate::error::{Error, ErrorKind};
use crate::xml::tree::Element;

fn flag(element: &Element, name: &str) -> bool {
    matches!(element.text_of(name), "true" | "TRUE" | "True" | "T" | "1")
}

impl ObjectDefinition {
    /// Reads `data` of a lookup.
    pub(crate) fn read(data: &Element) -> Result<Self, Error> {
        let malformed = |what: &str| Error::new(ErrorKind::Malformed, format!("the answer to lookup {what}"));
        let object = data
            .child("Type")
            .ok_or_else(|| malformed("describes no object"))?;
        let fields = object
            .child("Fields")
            .ok_or_else(|| malformed("lists no fields"))?;
        let relationships = object.child("Relationships");
        Ok(ObjectDefinition {
            name: object.attribute("Name").unwrap_or_default().to_owned(),
            document_type: object.attribute("DocumentType").unwrap_or_default().to_owned(),
            fields: fields
                .children_named("Field")
                .map(FieldDefinition::read)
                .filter(|field| !field.id.is_empty())
                .collect(),
            relationships: relationships
                .iter()
                .flat_map(|list| list.children_named("Relationship"))
                .map(Relationship::read)
                .collect(),
        })
    }
}

impl FieldDefinition {
    fn read(field: &Element) -> Self {
        let text = |name: &str| field.text_of(name).to_owned();
        FieldDefinition {
            id: text("ID"),
            label: text("LABEL"),
            description: text("DESCRIPTION"),
            required: flag(field, "REQUIRED"),
            read_only: flag(field, "READONLY"),
            data_type: DataType::from_name(field.text_of("DATATYPE")),
            valid_values: field
                .child("VALIDVALUES")
                .iter()
                .flat_map(|list| list.children_named("VALIDVALUE"))
                .map(|value| value.text.trim().to_owned())
                .filter(|value| !value.is_empty())
                .collect(),
            custom: flag(field, "ISCUSTOM"),
        }
    }
}

impl Relationship {
    fn read(relationship: &Element) -> Self {
        let text = |name: &str| relationship.text_of(name).to_owned();
        Relationship {
            path: text("OBJECTPATH"),
            object: text("OBJECTNAME"),
            label: text("LABEL"),
            kind: text("RELATIONSHIPTYPE"),
            related_by: text("RELATEDBY"),
        }
    }
}

impl ObjectName {
    /// Reads `data` of `inspect *`: every child is an object, named by its attribute `typename` or else by its text
    /// (the tag is not documented).
    pub(crate) fn read_all(data: &Element) -> Vec<ObjectName> {
        let name = |entry: &Element| {
            let label = entry.text.trim();
            let name = entry.attribute("typename").unwrap_or(label).trim();
            ObjectName {
                name: name.to_owned(),
                label: label.to_owned(),
            }
        };
        data.children
            .iter()
            .map(name)
            .filter(|entry| !entry.name.is_empty())
            .collect()
    }
}

impl Entity {
    pub(crate) fn read(element: &Element) -> Entity {
        let text = |name: &str| element.text_of(name).to_owned();
        Entity {
            id: text("id"),
            name: text("name"),
            record_no: text("recordno"),
            currency: text("currency"),
            first_fiscal_month: text("firstfiscalmonth"),
            first_tax_month: text("firstfiscaltaxmonth"),
            week_start: text("weekstart"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Caps;
    use crate::xml::tree::parse;

    #[test]
    fn a_lookup_is_read() {
        let data = parse(
            br#"<data listtype="All" count="1"><Type Name="GLBATCH" DocumentType=""><Fields>
                <Field><ID>RECORDNO</ID><LABEL>Record number</LABEL><DESCRIPTION>Key</DESCRIPTION>
                <REQUIRED>false</REQUIRED><READONLY>true</READONLY><DATATYPE>INTEGER</DATATYPE><ISCUSTOM>false</ISCUSTOM></Field>
                <Field><ID>Region_Code</ID><LABEL>R&amp;D</LABEL><DESCRIPTION/><REQUIRED>true</REQUIRED>
                <READONLY>false</READONLY><DATATYPE>BLOB</DATATYPE>
                <VALIDVALUES><VALIDVALUE>Draft</VALIDVALUE><VALIDVALUE>Posted</VALIDVALUE></VALIDVALUES>
                <ISCUSTOM>true</ISCUSTOM></Field></Fields>
                <Relationships><Relationship><OBJECTPATH>JOURNAL</OBJECTPATH><OBJECTNAME>GLJOURNAL</OBJECTNAME><LABEL/>
                <RELATIONSHIPTYPE>MANY2ONE</RELATIONSHIPTYPE><RELATEDBY>JOURNAL</RELATEDBY></Relationship></Relationships>
                </Type></data>"#,
            &Caps::default(),
        );
        let object = ObjectDefinition::read(&data.expect("well-formed")).expect("a definition");
        assert_eq!(object.name, "GLBATCH");
        let [key, region] = &object.fields[..] else {
            panic!("two fields: {object:?}")
        };
        assert_eq!(
            (key.id.as_str(), &key.data_type, key.read_only),
            ("RECORDNO", &DataType::Integer, true)
        );
        assert_eq!(region.label, "R&D");
        assert_eq!(region.data_type, DataType::Other("BLOB".into()));
        assert_eq!(region.valid_values, ["Draft", "Posted"]);
        assert!(region.custom && region.required && !region.read_only);
        assert_eq!(object.relationships[0].object, "GLJOURNAL");
    }

    #[test]
    fn objects_are_listed_by_typename_or_text() {
        let data = parse(
            b"<data><type typename=\"APADJUSTMENT\">AP Adjustment</type><x>CUSTOMER</x><y/></data>",
            &Caps::default(),
        );
        let names = ObjectName::read_all(&data.expect("well-formed"));
        let names: Vec<_> = names
            .iter()
            .map(|n| (n.name.as_str(), n.label.as_str()))
            .collect();
        assert_eq!(
            names,
            [("APADJUSTMENT", "AP Adjustment"), ("CUSTOMER", "CUSTOMER")]
        );
    }

    #[test]
    fn entities_are_read_whatever_the_case() {
        let data = parse(
            b"<data><entity><id>E1</id><Name>First</Name><recordno>7</recordno><currency/></entity></data>",
            &Caps::default(),
        );
        let data = data.expect("well-formed");
        let entities: Vec<Entity> = data.children_named("entity").map(Entity::read).collect();
        assert_eq!(entities.len(), 1);
        assert_eq!(
            (&entities[0].id, &entities[0].name, &entities[0].record_no),
            (&"E1".to_owned(), &"First".to_owned(), &"7".to_owned())
        );
        assert_eq!(entities[0].currency, "");
    }
}
