//! Whole records by key (`read`, `readByName`), with the lines that they own.

use crate::client::Client;
use crate::error::{Error, ErrorKind};
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
    /// Fails with [`ErrorKind::Unsupported`] for a key with a comma, which separates keys in the request.
    pub async fn records(
        &self,
        object: &str,
        kind: KeyKind,
        keys: &[String],
        fields: &[String],
        docparid: Option<&str>,
    ) -> Result<Vec<Record>, Error> {
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
    fn lines_and_nested_fields_are_told_apart() {
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
