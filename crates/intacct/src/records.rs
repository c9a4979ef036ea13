//! Whole records by key (`read`, `readByName`), with the lines that they own.

use crate::client::Client;
use crate::config::DtdVersion;
use crate::dialect::get_list;
use crate::dialect::get_list::rows;
use crate::dialect::legacy::LegacyObject;
use crate::error::{Error, ErrorKind};
use crate::query::Query;
use crate::xml::escape::push_element;
use crate::xml::tree::Element;

/// Keys of one request (documented bound of `read` and `readByName`).
const MAX_KEYS: usize = 100;

/// How records are addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// By RECORDNO, or `id` of custom objects (`read`): the only way that shows owned lines.
    RecordNo,
    /// By the natural key (`readByName`).
    Name,
}

/// A record, its fields in the gateway's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The gateway's tag, often in lower case.
    pub object: String,
    /// Field names, with dots for what the gateway nests, and values.
    pub fields: Vec<(String, FieldValue)>,
}

/// What a field of a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// Text; `None` when empty, which is NULL.
    Text(Option<String>),
    /// Owned lines.
    Lines(Vec<Record>),
}

impl Record {
    fn read(element: &Element) -> Record {
        let mut record = Record {
            object: element.name.clone(),
            fields: Vec::with_capacity(element.children.len()),
        };
        record.take_fields("", element);
        record
    }

    /// A row of dtd version 2.1 as 3.0 would show it.
    fn of_legacy(object: &LegacyObject, row: &Element) -> Record {
        let mut record = Record {
            object: object.name.to_lowercase(),
            fields: Vec::with_capacity(object.fields.len()),
        };
        record.take_legacy(object, row, row);
        if let Some(custom) = object.custom.and_then(|element| row.child(element)) {
            record.fields.extend(custom.children.iter().map(|field| {
                let name = field.text_of("customfieldname").to_owned();
                let value = field.child("customfieldvalue").map(|value| value.text.clone());
                (name, FieldValue::Text(value.filter(|value| !value.is_empty())))
            }));
        }
        let owned = LegacyObject::all()
            .iter()
            .filter(|lines| lines.element == object.element && !lines.lines.is_empty());
        for lines in owned {
            let mut found = vec![row];
            for step in &lines.lines {
                found = found
                    .iter()
                    .flat_map(|parent| parent.children_named(step))
                    .collect();
            }
            let line = |line: &&Element| {
                let mut record = Record {
                    object: lines.name.to_lowercase(),
                    fields: Vec::with_capacity(lines.fields.len()),
                };
                record.take_legacy(lines, row, line);
                record
            };
            let rows = found.iter().map(line).collect();
            record
                .fields
                .push((format!("{}S", lines.name), FieldValue::Lines(rows)));
        }
        record
    }

    fn take_legacy(&mut self, object: &LegacyObject, document: &Element, row: &Element) {
        for field in &object.fields {
            let text = field
                .paths
                .iter()
                .find_map(|place| rows::at(place, if place.outer { document } else { row }));
            let text = text.filter(|text| !text.is_empty());
            self.fields.push((field.name.to_owned(), FieldValue::Text(text)));
        }
    }

    fn take_fields(&mut self, prefix: &str, element: &Element) {
        for field in &element.children {
            let name = format!("{prefix}{}", field.name);
            if field.children.is_empty() {
                let text = (!field.text.is_empty()).then(|| field.text.clone());
                self.fields.push((name, FieldValue::Text(text)));
            } else if field.children.iter().all(|line| !line.children.is_empty()) {
                let lines = field.children.iter().map(Record::read).collect();
                self.fields.push((name, FieldValue::Lines(lines)));
            } else {
                self.take_fields(&format!("{name}."), field);
            }
        }
    }

    /// The value of a field; case does not matter.
    pub fn field(&self, name: &str) -> Option<&FieldValue> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

impl Client {
    /// The records with these keys, in the gateway's order; what no key finds is missing. No `fields` means all.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a key with a comma, which separates keys in the request; what the gateway refuses.
    pub async fn records(
        &self,
        object: &str,
        kind: KeyKind,
        keys: &[String],
        fields: &[String],
        docparid: Option<&str>,
    ) -> Result<Vec<Record>, Error> {
        if self.config().dtd_version == DtdVersion::V2_1 {
            return self.legacy_records(object, kind, keys).await;
        }
        let mut records = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_KEYS) {
            let function = match kind {
                KeyKind::RecordNo => "read",
                KeyKind::Name => "readByName",
            };
            let body =
                body(function, object, keys, fields, docparid).map_err(|error| error.of_object(object))?;
            let data = self.data(function, Some(object), body).await?;
            records.extend(data.children.iter().map(Record::read));
        }
        Ok(records)
    }

    /// As [`records`](Self::records), by `get` of dtd version 2.1: one request for each key, all fields of 2.1, under
    /// their names of 3.0.
    async fn legacy_records(
        &self,
        object: &str,
        kind: KeyKind,
        keys: &[String],
    ) -> Result<Vec<Record>, Error> {
        let legacy = get_list::object(&Query::new(object)).map_err(|error| error.of_object(object))?;
        let by_number = legacy.key == "RECORDNO";
        if by_number != (kind == KeyKind::RecordNo) {
            let message = format!(
                "dtd version 2.1 finds records of {} by {}",
                legacy.name, legacy.key
            );
            return Err(Error::new(ErrorKind::Unsupported, message).of_object(object));
        }
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            let body = get_list::get(legacy, key).map_err(|error| error.of_object(object))?;
            let data = self.legacy_data("get", object, body).await?;
            records.extend(data.children.iter().map(|row| Record::of_legacy(legacy, row)));
        }
        Ok(records)
    }
}

fn body(
    function: &str,
    object: &str,
    keys: &[String],
    fields: &[String],
    docparid: Option<&str>,
) -> Result<String, Error> {
    let unsupported = |what: &str| Error::new(ErrorKind::Unsupported, what);
    if keys
        .iter()
        .chain(fields)
        .any(|part| part.is_empty() || part.contains(','))
    {
        return Err(unsupported("a key or field must not be empty or hold a comma"));
    }
    let fields = if fields.is_empty() {
        "*".to_owned()
    } else {
        fields.join(",")
    };
    let mut out = format!("<{function}>");
    let mut element = |name: &str, text: &str| {
        push_element(&mut out, name, text).map_err(|_| unsupported("a key or name holds a control character"))
    };
    element("object", object)?;
    element("keys", &keys.join(","))?;
    element("fields", &fields)?;
    if let Some(docparid) = docparid {
        element("docparid", docparid)?;
    }
    out.push_str(&format!("</{function}>"));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Caps;
    use crate::xml::tree::parse;

    #[test]
    fn lines_and_nested_fields_are_distinguished() {
        let data = parse(
            b"<arinvoice><RECORDNO>12</RECORDNO><NOTE/><CONTACT><EMAIL1>a@x</EMAIL1><MAILADDRESS><CITY>B</CITY>\
              </MAILADDRESS></CONTACT><ARINVOICEITEMS><arinvoiceitem><LINE_NO>1</LINE_NO></arinvoiceitem>\
              <arinvoiceitem><LINE_NO>2</LINE_NO></arinvoiceitem></ARINVOICEITEMS></arinvoice>",
            &Caps::default(),
        );
        let record = Record::read(&data.expect("well-formed"));
        let text = |text: &str| Some(FieldValue::Text(Some(text.to_owned())));
        assert_eq!(record.field("recordno").cloned(), text("12"));
        assert_eq!(record.field("NOTE"), Some(&FieldValue::Text(None)));
        assert_eq!(record.field("CONTACT.EMAIL1").cloned(), text("a@x"));
        let Some(FieldValue::Lines(lines)) = record.field("ARINVOICEITEMS") else {
            panic!("{record:?}")
        };
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].field("LINE_NO").cloned(), text("2"));
    }

    #[test]
    fn keys_are_joined_and_checked() {
        let key = |key: &str| vec![key.to_owned()];
        assert_eq!(
            body("read", "APBILL", &["1".to_owned(), "2".to_owned()], &[], None).expect("a body"),
            "<read><object>APBILL</object><keys>1,2</keys><fields>*</fields></read>"
        );
        assert!(body("read", "APBILL", &key("1,2"), &[], None).is_err());
        assert!(body("read", "APBILL", &key(""), &[], None).is_err());
    }
}
