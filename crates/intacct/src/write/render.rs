//! Changes as function elements.

use super::element::{Content, Element, put};
use super::legacy::{self, Leftover};
use super::lines;
use super::{Change, Verb, WriteValue};
use crate::error::{Error, ErrorKind};
use crate::xml::escape::push_element;
use std::collections::BTreeSet;

/// Keys that are known beside those of the changes, and fields known to be custom ones.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub custom: BTreeSet<Leftover>,
}

/// The key of a change in this field.
pub(super) fn key_in<'a>(change: &'a Change, field: &str) -> Option<&'a str> {
    change
        .key
        .as_ref()
        .filter(|(name, _)| name.eq_ignore_ascii_case(field))
        .map(|(_, value)| value.as_str())
}

/// The field by which the function of a change addresses its record.
pub(super) fn addressed_by<'a>(change: &'a Change, function: &str) -> Option<&'a str> {
    match (legacy::find(function), change.verb) {
        (_, Verb::Create) => None,
        (Some(legacy), _) => Some(legacy.key),
        // An update takes the natural key as well, where the gateway keeps it unique.
        (None, Verb::Update) => {
            let unique = change.target.unique_key();
            let named = change.key.as_ref().map(|(field, _)| field.as_str());
            let addresses = |field: &&str| {
                let fields = [Some(change.target.id_field.as_str()), unique];
                fields
                    .into_iter()
                    .flatten()
                    .any(|known| known.eq_ignore_ascii_case(field))
            };
            named.filter(addresses).or(Some(&change.target.id_field))
        }
        (None, Verb::Delete) => Some(&change.target.id_field),
    }
}

/// The element of a function that writes these changes, which share target and verb. `keys` are the values of the
/// field that the function addresses records by; empty for a create.
///
/// Fails with the position of the change at fault.
pub(super) fn function_body(
    function: &str,
    changes: &[Change],
    keys: &[String],
    context: &Context,
) -> Result<String, (usize, Error)> {
    let mut out = String::new();
    let Some(first) = changes.first() else {
        return Ok(out);
    };
    if let Some(legacy) = legacy::find(function) {
        let cells = with_definition(first);
        let key = keys.first().filter(|_| first.verb != Verb::Create);
        let key = key.map(String::as_str);
        legacy
            .render(first.verb, key, &cells, &context.custom, &mut out)
            .map_err(|error| (0, error.of_object(&first.target.object)))?;
        return Ok(out);
    }
    if first.verb == Verb::Delete {
        delete(&mut out, changes, keys)?;
        return Ok(out);
    }
    out.push_str(&format!("<{function}>"));
    for (at, change) in changes.iter().enumerate() {
        let key = addressed_by(change, function).zip(keys.get(at).map(String::as_str));
        object(change, key)
            .and_then(|object| object.render(&mut out))
            .map_err(|error| (at, error.of_object(&change.target.object)))?;
    }
    out.push_str(&format!("</{function}>"));
    Ok(out)
}

/// The cells with the transaction definition among them.
fn with_definition(change: &Change) -> Vec<lines::Cell> {
    let mut cells = change.cells.clone();
    let named = cells
        .iter()
        .any(|(field, _)| field.eq_ignore_ascii_case("DOCPARID"));
    if let (Verb::Create, Some(definition), false) = (change.verb, &change.target.docparid, named) {
        cells.push(("DOCPARID".into(), WriteValue::Text(definition.clone())));
    }
    cells
}

fn delete(out: &mut String, changes: &[Change], keys: &[String]) -> Result<(), (usize, Error)> {
    let refuse = |at: usize, what: &str| {
        let error = Error::new(ErrorKind::Unsupported, format!("the key \"{}\" {what}", keys[at]));
        (at, error.of_object(&changes[at].target.object))
    };
    if let Some(at) = keys.iter().position(|key| key.is_empty() || key.contains(',')) {
        return Err(refuse(
            at,
            "must not be empty or hold a comma, which separates keys",
        ));
    }
    out.push_str("<delete>");
    push_element(out, "object", &changes[0].target.object)
        .and_then(|()| push_element(out, "keys", &keys.join(",")))
        .map_err(|_| refuse(0, "holds a control character, which XML cannot carry"))?;
    out.push_str("</delete>");
    Ok(())
}

/// The element of a record for `create` and `update`.
fn object(change: &Change, key: Option<(&str, &str)>) -> Result<Element, Error> {
    let mut elements = Vec::new();
    if let Some((field, value)) = key {
        put(&mut elements, field, Content::Text(value.to_owned()))?;
    }
    for (field, value) in &change.cells {
        match value {
            WriteValue::Text(text) if text.is_empty() && change.verb == Verb::Create => {}
            WriteValue::Text(text) => put(&mut elements, field, Content::Text(text.clone()))?,
            WriteValue::Empty if change.verb == Verb::Create => {}
            WriteValue::Empty => put(&mut elements, field, Content::Text(String::new()))?,
            WriteValue::Lines(value) => {
                lines::check(field, value)?;
                let nothing = change.verb == Verb::Create && lines::lines(field, value)?.is_empty();
                if !nothing {
                    put_lines(&mut elements, field, value)?;
                }
            }
        }
    }
    let mut object = Vec::new();
    put(&mut object, &change.target.object, Content::Elements(elements))?;
    object
        .pop()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "an object without an element"))
}

/// Lines under their collection: `APBILLITEMS.APBILLITEM`.
fn put_lines(elements: &mut Vec<Element>, field: &str, value: &serde_json::Value) -> Result<(), Error> {
    let lines = lines::lines(field, value)?;
    if lines.is_empty() {
        let collection = field.rsplit_once('.').map_or(field, |(collection, _)| collection);
        return put(elements, collection, Content::Text(String::new()));
    }
    for line in lines {
        let mut inner = Vec::new();
        for (path, value) in lines::cells(line)? {
            match value {
                WriteValue::Text(text) => put(&mut inner, &path, Content::Text(text))?,
                WriteValue::Lines(value) => put_lines(&mut inner, &path, &value)?,
                WriteValue::Empty => {}
            }
        }
        put(elements, field, Content::Elements(inner))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::WriteTarget;
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn change(object: &str, verb: Verb, key: Option<(&str, &str)>, cells: Vec<(&str, WriteValue)>) -> Change {
        Change {
            target: Arc::new(WriteTarget::new(object)),
            verb,
            key: key.map(|(field, value)| (field.into(), value.into())),
            cells: cells
                .into_iter()
                .map(|(field, value)| (field.into(), value))
                .collect(),
        }
    }

    fn text(text: &str) -> WriteValue {
        WriteValue::Text(text.into())
    }

    fn body(function: &str, changes: &[Change], keys: &[&str]) -> Result<String, (usize, String)> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).into()).collect();
        function_body(function, changes, &keys, &Context::default())
            .map_err(|(at, error)| (at, error.to_string()))
    }

    #[test]
    fn generic_functions() {
        let lines = json!([{"ACCOUNTNO": "4000", "TRX_AMOUNT": 5}, {"ACCOUNTNO": "5000", "TRX_AMOUNT": 6}]);
        let bill = change(
            "APBILL",
            Verb::Create,
            None,
            vec![
                ("VENDORID", text("V-1")),
                ("DESCRIPTION", WriteValue::Empty),
                ("APBILLITEMS.APBILLITEM", WriteValue::Lines(lines)),
            ],
        );
        assert_eq!(
            body("create", &[bill], &[]).expect("rendered"),
            "<create><APBILL><VENDORID>V-1</VENDORID><APBILLITEMS><APBILLITEM><ACCOUNTNO>4000</ACCOUNTNO><TRX_AMOUNT>5\
             </TRX_AMOUNT></APBILLITEM><APBILLITEM><ACCOUNTNO>5000</ACCOUNTNO><TRX_AMOUNT>6</TRX_AMOUNT></APBILLITEM>\
             </APBILLITEMS></APBILL></create>"
        );
        let update = |key, cells| change("CUSTOMER", Verb::Update, Some(("RECORDNO", key)), cells);
        let updates = [
            update("1", vec![("NAME", text("a")), ("COMMENTS", WriteValue::Empty)]),
            update(
                "2",
                vec![("CUSTOMERCONTACTS.CONTACT", WriteValue::Lines(json!([])))],
            ),
        ];
        assert_eq!(
            body("update", &updates, &["1", "2"]).expect("rendered"),
            "<update><CUSTOMER><RECORDNO>1</RECORDNO><NAME>a</NAME><COMMENTS/></CUSTOMER><CUSTOMER><RECORDNO>2</RECORDNO>\
             <CUSTOMERCONTACTS/></CUSTOMER></update>"
        );
        let delete = |key| change("CUSTOMER", Verb::Delete, Some(("RECORDNO", key)), vec![]);
        assert_eq!(
            body("delete", &[delete("1"), delete("2")], &["1", "2"]).expect("rendered"),
            "<delete><object>CUSTOMER</object><keys>1,2</keys></delete>"
        );
        assert!(body("delete", &[delete("1"), delete("2,3")], &["1", "2,3"]).is_err_and(|(at, _)| at == 1));
    }

    #[test]
    fn documents_name_their_definition() {
        let mut order = change(
            "SODOCUMENT",
            Verb::Create,
            None,
            vec![("CUSTVENDID", text("C-1"))],
        );
        let mut target = WriteTarget::new("SODOCUMENT");
        target.docparid = Some("Sales Order".into());
        order.target = Arc::new(target);
        assert_eq!(
            body("create_sotransaction", &[order], &[]).expect("rendered"),
            "<create_sotransaction><transactiontype>Sales Order</transactiontype><customerid>C-1</customerid>\
             </create_sotransaction>"
        );
    }
}
