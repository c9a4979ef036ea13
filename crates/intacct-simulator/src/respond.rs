//! Response documents.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::envelope::Control;
use crate::error::Fault;
use crate::query::Rendered;

/// Writes XML, pretty or not.
#[derive(Debug)]
pub struct Xml {
    /// The text so far.
    pub out: Vec<u8>,
    /// The last rows that were appended, and where they begin.
    pub rows: Option<(usize, Arc<Rendered>)>,
    pretty: bool,
    depth: usize,
}

impl Xml {
    /// Starts a document.
    pub fn document(pretty: bool) -> Self {
        Self {
            out: b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_vec(),
            rows: None,
            pretty,
            depth: 0,
        }
    }

    /// Starts a part that will stand `depth` elements deep.
    pub fn part(pretty: bool, depth: usize) -> Self {
        Self {
            out: Vec::new(),
            rows: None,
            pretty,
            depth,
        }
    }

    fn line(&mut self) {
        if self.pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + self.depth * 4, b' ');
        }
    }

    /// Opens an element; attributes are `name, value` pairs.
    pub fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> &mut Self {
        self.line();
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        for (key, value) in attributes {
            self.out.extend_from_slice(format!(" {key}=\"").as_bytes());
            self.escape(value);
            self.out.push(b'"');
        }
        self.out.push(b'>');
        self.depth += 1;
        self
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) -> &mut Self {
        self.depth -= 1;
        self.line();
        self.out.extend_from_slice(format!("</{name}>").as_bytes());
        self
    }

    /// An element with text.
    pub fn leaf(&mut self, name: &str, text: &str) -> &mut Self {
        self.leaf_with(name, &[], text)
    }

    /// An element with attributes and text.
    pub fn leaf_with(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) -> &mut Self {
        self.open(name, attributes);
        self.depth -= 1;
        self.escape(text);
        self.out.extend_from_slice(format!("</{name}>").as_bytes());
        self
    }

    /// XML that was written before.
    pub fn raw(&mut self, xml: &[u8]) -> &mut Self {
        self.out.extend_from_slice(xml);
        self
    }

    /// Rows that were written before.
    pub fn rows(&mut self, rows: Arc<Rendered>) -> &mut Self {
        let at = self.out.len();
        self.out.extend_from_slice(&rows.body);
        self.rows = Some((at, rows));
        self
    }

    /// A part that was written before.
    pub fn part_of(&mut self, part: &Xml) -> &mut Self {
        if let Some((at, rows)) = &part.rows {
            self.rows = Some((self.out.len() + at, rows.clone()));
        }
        self.raw(&part.out)
    }

    fn escape(&mut self, text: &str) {
        self.out
            .extend_from_slice(quick_xml::escape::escape(text).as_bytes());
    }
}

/// What a function answers.
#[derive(Debug, Default)]
pub struct Outcome {
    /// `key` of a row that a legacy function made.
    pub key: Option<String>,
    /// `listtype` element of a legacy list, complete.
    pub list: Option<Vec<u8>>,
    /// `data` element, complete.
    pub data: Option<Xml>,
    /// A body that replaces the whole envelope, with its content type (returnformat json and csv).
    pub bare: Option<(Vec<u8>, &'static str)>,
    /// Faults; none means success.
    pub faults: Vec<Fault>,
    /// Rolled back because another function of the transaction failed.
    pub aborted: bool,
    /// For the log: object, rows, matching rows.
    pub note: Note,
}

/// What the request log keeps of a function.
#[derive(Debug, Default, Clone)]
pub struct Note {
    /// Rows answered.
    pub rows: usize,
    /// Rows that match.
    pub total: Option<usize>,
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        Self {
            faults: vec![fault],
            ..Self::default()
        }
    }
}

/// What an operation says about its sign-in.
#[derive(Debug, Default)]
pub struct SignIn {
    /// User id.
    pub user: String,
    /// Company id.
    pub company: String,
    /// Entity.
    pub location: String,
    /// Session lifetime from now.
    pub lifetime: Duration,
    /// What the gateway's clock is ahead of this machine's, in seconds.
    pub clock_skew: i64,
}

/// One operation's answer.
#[derive(Debug)]
pub struct OperationAnswer {
    /// Who signed in.
    pub sign_in: SignIn,
    /// Failure of the sign-in; then there are no results.
    pub refused: Option<Fault>,
    /// Function name, control id and outcome.
    pub results: Vec<(String, String, Outcome)>,
}

/// A failure at control level: nothing was executed.
pub fn control_failure(control: &Control, fault: &Fault) -> Vec<u8> {
    let mut xml = Xml::document(control.whitespace);
    xml.open("response", &[]);
    control_block(&mut xml, control, "failure");
    errors(&mut xml, std::slice::from_ref(fault), control.additional_info);
    xml.close("response");
    xml.out
}

/// A response of the gateway in front: not an answer to the document.
pub fn gateway_failure(number: &str, text: &str) -> Vec<u8> {
    let control = Control {
        dtd_version: "3.0".into(),
        ..Control::default()
    };
    control_failure(&control, &Fault::new(number, text))
}

/// A complete response.
pub fn response(control: &Control, operations: &[OperationAnswer]) -> Xml {
    let mut xml = Xml::document(control.whitespace);
    xml.open("response", &[]);
    control_block(&mut xml, control, "success");
    for operation in operations {
        xml.open("operation", &[]);
        xml.open("authentication", &[]);
        let sign_in = &operation.sign_in;
        xml.leaf(
            "status",
            if operation.refused.is_some() {
                "failure"
            } else {
                "success"
            },
        );
        xml.leaf("userid", &sign_in.user)
            .leaf("companyid", &sign_in.company);
        xml.leaf("locationid", &sign_in.location);
        if operation.refused.is_none() {
            let skew = Duration::from_secs(sign_in.clock_skew.unsigned_abs());
            let now = match sign_in.clock_skew < 0 {
                true => SystemTime::now() - skew,
                false => SystemTime::now() + skew,
            };
            xml.leaf("sessiontimestamp", &iso(now))
                .leaf("sessiontimeout", &iso(now + sign_in.lifetime));
        }
        xml.close("authentication");
        if let Some(fault) = &operation.refused {
            errors(&mut xml, std::slice::from_ref(fault), control.additional_info);
        }
        for (function, control_id, outcome) in &operation.results {
            result(&mut xml, function, control_id, outcome, control.additional_info);
        }
        xml.close("operation");
    }
    xml.close("response");
    xml
}

fn result(xml: &mut Xml, function: &str, control_id: &str, outcome: &Outcome, additional: bool) {
    xml.open("result", &[]);
    let status = match outcome {
        o if o.aborted => "aborted",
        o if !o.faults.is_empty() => "failure",
        _ => "success",
    };
    xml.leaf("status", status)
        .leaf("function", function)
        .leaf("controlid", control_id);
    if let Some(key) = &outcome.key {
        xml.leaf("key", key);
    }
    if let Some(list) = &outcome.list {
        xml.raw(list);
    }
    if let Some(data) = &outcome.data {
        xml.part_of(data);
    }
    if !outcome.faults.is_empty() {
        errors(xml, &outcome.faults, additional);
    }
    xml.close("result");
}

fn control_block(xml: &mut Xml, control: &Control, status: &str) {
    xml.open("control", &[]);
    xml.leaf("status", status)
        .leaf("senderid", &control.sender)
        .leaf("controlid", &control.control_id);
    xml.leaf("uniqueid", if control.unique_id { "true" } else { "false" })
        .leaf("dtdversion", &control.dtd_version);
    xml.close("control");
}

/// Texts come HTML-escaped, inside of XML.
fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('\'', "&#039;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn errors(xml: &mut Xml, faults: &[Fault], additional: bool) {
    xml.open("errormessage", &[]);
    for fault in faults {
        xml.open("error", &[]);
        xml.leaf("errorno", &fault.number)
            .leaf("description", &html(&fault.description));
        xml.leaf("description2", &html(&fault.text))
            .leaf("correction", &html(&fault.correction));
        if additional {
            xml.open("additionalinfo", &[]);
            xml.leaf("errorid", &fault.number).leaf("category", "General");
            xml.open(
                "target",
                &[
                    ("domain", "simulator"),
                    ("requestinfo", ""),
                    ("object", ""),
                    ("field", ""),
                ],
            );
            xml.close("target");
            xml.open("description", &[]);
            xml.leaf("messageid", fault.message_id);
            xml.close("description");
            xml.close("additionalinfo");
        }
        xml.close("error");
    }
    xml.close("errormessage");
}

fn iso(at: SystemTime) -> String {
    let seconds = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64);
    format!(
        "{}+00:00",
        crate::data::value::iso_time(seconds).replace(' ', "T")
    )
}
