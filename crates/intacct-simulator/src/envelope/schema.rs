//! The part of the vendor's request schemas (`api.xsd` of version 3.0, the DTDs of version 2.1) that the simulator
//! serves, as data.
//!
//! Texts of the faults follow libxml2's, which the gateway shows to its clients.

use super::legacy;
use super::node::Node;

/// What an element may contain.
#[derive(Debug)]
pub enum Content {
    /// Character data.
    Text,
    /// Character data that is a boolean.
    Boolean,
    /// Character data that is a whole number in a range.
    Integer(i64, i64),
    /// Character data of at most that many characters.
    Short(usize),
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Each at most as often as it says, in any order.
    All(&'static [Particle]),
    /// In this order.
    Sequence(&'static [Particle]),
    /// Any of these, so often in total.
    Several(&'static [Particle], usize, usize),
    /// Anything well-formed, at least so many elements.
    Any(usize),
}

/// A child element, or one of several: `glaccountno|accountlabel`.
#[derive(Debug)]
pub struct Particle {
    name: &'static str,
    min: usize,
    max: usize,
    content: &'static Content,
}

impl Particle {
    fn is(&self, name: &str) -> bool {
        self.name.split('|').any(|n| n == name)
    }
}

const fn one(name: &'static str, content: &'static Content) -> Particle {
    Particle {
        name,
        min: 1,
        max: 1,
        content,
    }
}
const fn maybe(name: &'static str, content: &'static Content) -> Particle {
    Particle {
        name,
        min: 0,
        max: 1,
        content,
    }
}
const fn many(name: &'static str, min: usize, max: usize, content: &'static Content) -> Particle {
    Particle {
        name,
        min,
        max,
        content,
    }
}

const TEXT: &Content = &Content::Text;
const BOOLEAN: &Content = &Content::Boolean;
const EMPTY: &Content = &Content::Text;
const MANY: usize = usize::MAX;

static CONTROL: Content = Content::Sequence(&[
    maybe("appid", TEXT),
    one("senderid", TEXT),
    maybe("password", TEXT),
    one("controlid", &Content::Short(256)),
    maybe("uniqueid", TEXT),
    maybe("dtdversion", TEXT),
    maybe("policyid", TEXT),
    maybe("debug", TEXT),
    maybe("includewhitespace", BOOLEAN),
    maybe("showadditionalerrorinfo", BOOLEAN),
]);
static LOGIN: Content = Content::Sequence(&[
    one("userid", TEXT),
    one("companyid", TEXT),
    one("password", TEXT),
    maybe("clientid", TEXT),
    maybe("locationid", TEXT),
]);
static AUTHENTICATION: Content = Content::Several(
    &[one("login", &LOGIN), one("sessionid", TEXT), one("oauth", TEXT)],
    1,
    1,
);
static CONTENT: Content = Content::Sequence(&[many("function", 1, MANY, &Content::Any(0))]);
static OPERATION: Content = Content::Sequence(&[
    one("authentication", &AUTHENTICATION),
    many("preferences", 0, MANY, &Content::Any(0)),
    many("content", 0, MANY, &CONTENT),
]);
/// The whole document.
pub static REQUEST: Content =
    Content::Sequence(&[one("control", &CONTROL), many("operation", 1, MANY, &OPERATION)]);

static CONTROL_2_1: Content = Content::Sequence(&[
    one("senderid", TEXT),
    one("password", TEXT),
    one("controlid", TEXT),
    maybe("uniqueid", TEXT),
    maybe("dtdversion", TEXT),
    maybe("policyid", TEXT),
    maybe("debug", TEXT),
    maybe("validate", TEXT),
    maybe("includewhitespace", TEXT),
    maybe("showadditionalerrorinfo", TEXT),
]);
static AUTHENTICATION_2_1: Content = Content::Several(&[one("login", &LOGIN), one("sessionid", TEXT)], 1, 1);
static OPERATION_2_1: Content = Content::Sequence(&[
    one("authentication", &AUTHENTICATION_2_1),
    many("preferences", 0, MANY, &Content::Any(0)),
    many("content", 0, MANY, &CONTENT),
]);
static REQUEST_2_1: Content = Content::Sequence(&[
    one("control", &CONTROL_2_1),
    many("operation", 1, MANY, &OPERATION_2_1),
]);

static COMPARE: Content = Content::Sequence(&[one("field", TEXT), one("value", TEXT)]);
static BETWEEN: Content = Content::Sequence(&[one("field", TEXT), many("value", 2, 2, TEXT)]);
static IN: Content = Content::Sequence(&[one("field", TEXT), many("value", 1, 1000, TEXT)]);
static NULLNESS: Content = Content::Sequence(&[one("field", TEXT)]);
static GROUP: Content = Content::Several(CONDITIONS, 2, MANY);
static CONDITIONS: &[Particle] = &[
    one("and", &GROUP),
    one("or", &GROUP),
    one("equalto", &COMPARE),
    one("notequalto", &COMPARE),
    one("lessthan", &COMPARE),
    one("lessthanorequalto", &COMPARE),
    one("greaterthan", &COMPARE),
    one("greaterthanorequalto", &COMPARE),
    one("between", &BETWEEN),
    one("in", &IN),
    one("notin", &IN),
    one("like", &COMPARE),
    one("notlike", &COMPARE),
    one("isnull", &NULLNESS),
    one("isnotnull", &NULLNESS),
];
static FILTER: Content = Content::Several(CONDITIONS, 1, 1);
static ORDER: Content = Content::Sequence(&[one("field", TEXT), maybe("ascending|descending", EMPTY)]);
static ORDERBY: Content = Content::Sequence(&[many("order", 1, MANY, &ORDER)]);
static SELECT: Content = Content::Several(
    &[
        one("field", TEXT),
        one("count", TEXT),
        one("avg", TEXT),
        one("min", TEXT),
        one("max", TEXT),
        one("sum", TEXT),
    ],
    1,
    MANY,
);
static OPTIONS: Content = Content::Sequence(&[
    maybe("caseinsensitive", BOOLEAN),
    maybe("showprivate", BOOLEAN),
    maybe("returnformat", TEXT),
]);
static QUERY: Content = Content::All(&[
    one("select", &SELECT),
    one("object", TEXT),
    maybe("docparid", TEXT),
    maybe("filter", &FILTER),
    maybe("orderby", &ORDERBY),
    maybe("options", &OPTIONS),
    maybe("pagesize", &Content::Integer(1, 2000)),
    maybe("offset", &Content::Integer(0, i64::MAX)),
]);
static LOOKUP: Content = Content::All(&[one("object", TEXT), maybe("docparid", TEXT)]);
static INSPECT: Content = Content::Several(&[one("object", TEXT), one("name", TEXT)], 1, 1);
static FORMATTING: Content = Content::Several(&[one("key", TEXT), one("userId", TEXT)], 1, 1);
static SESSION: Content = Content::Sequence(&[maybe("locationid", TEXT)]);
static NOTHING: Content = Content::Sequence(&[]);
static READ: Content = Content::All(&[
    one("object", TEXT),
    one("keys", TEXT),
    maybe("fields", TEXT),
    maybe("returnFormat", TEXT),
    maybe("docparid", TEXT),
]);
static READ_RELATED: Content = Content::All(&[
    one("object", TEXT),
    one("keys", TEXT),
    one("relation", TEXT),
    maybe("fields", TEXT),
    maybe("returnFormat", TEXT),
]);
static READ_BY_QUERY: Content = Content::All(&[
    one("object", TEXT),
    one("query", TEXT),
    maybe("pagesize", TEXT),
    maybe("fields", TEXT),
    maybe("returnFormat", TEXT),
    maybe("docparid", TEXT),
]);
static READ_MORE: Content = Content::Several(
    &[
        one("object", TEXT),
        one("view", TEXT),
        one("reportId", TEXT),
        one("resultId", TEXT),
    ],
    1,
    1,
);
static READ_REPORT: Content = Content::All(&[
    one("report", TEXT),
    maybe("pagesize", TEXT),
    maybe("returnFormat", TEXT),
    maybe("arguments", &ANY),
    maybe("waitTime", TEXT),
    maybe("listSeparator", TEXT),
    maybe("reportId", TEXT),
    maybe("showStatusOnly", &Content::Boolean),
]);
static WRITE: Content = Content::Any(1);
static DELETE: Content = Content::All(&[one("object", TEXT), one("keys", TEXT)]);
static DATE: Content = Content::Sequence(&[one("year", TEXT), one("month", TEXT), one("day", TEXT)]);
static CUSTOM_FIELD: Content =
    Content::Sequence(&[one("customfieldname", TEXT), one("customfieldvalue", TEXT)]);
static CUSTOM_FIELDS: Content = Content::Sequence(&[many("customfield", 1, MANY, &CUSTOM_FIELD)]);
static CONTACT_NAME: Content = Content::Any(1);
static LINE_ITEM: Content = Content::Sequence(&[
    one("accountlabel|glaccountno", TEXT),
    maybe("offsetglaccountno", TEXT),
    one("amount", TEXT),
    maybe("allocationid", TEXT),
    maybe("memo", TEXT),
    maybe("locationid", TEXT),
    maybe("departmentid", TEXT),
    maybe("item1099", TEXT),
    maybe("form1099type", TEXT),
    maybe("form1099box", TEXT),
    maybe("key", TEXT),
    maybe("totalpaid", TEXT),
    maybe("totaldue", TEXT),
    maybe("customfields", &CUSTOM_FIELDS),
    maybe("revrectemplate", TEXT),
    maybe("defrevaccount", TEXT),
    maybe("revrecstartdate", &DATE),
    maybe("revrecenddate", &DATE),
    maybe("projectid", TEXT),
    maybe("taskid", TEXT),
    maybe("costtypeid", TEXT),
    maybe("customerid", TEXT),
    maybe("vendorid", TEXT),
    maybe("employeeid", TEXT),
    maybe("itemid", TEXT),
    maybe("classid", TEXT),
    maybe("contractid", TEXT),
    maybe("warehouseid", TEXT),
    maybe("billable", TEXT),
    maybe("totaltrxamount", TEXT),
    maybe("partialexempt", TEXT),
    maybe("paymenttaxcapture", TEXT),
    maybe("taxentries", &ANY),
]);
static LINE_ITEMS: Content = Content::Sequence(&[many("lineitem", 1, MANY, &LINE_ITEM)]);
/// The schema ties the rate elements to `currency`; here they are merely ordered.
static CREATE_INVOICE: Content = Content::Sequence(&[
    one("customerid", TEXT),
    one("datecreated", &DATE),
    maybe("dateposted", &DATE),
    maybe("datedue", &DATE),
    maybe("termname", TEXT),
    maybe("batchkey", TEXT),
    maybe("action", TEXT),
    maybe("invoiceno", TEXT),
    maybe("ponumber", TEXT),
    maybe("description", TEXT),
    maybe("externalid", TEXT),
    maybe("billto", &CONTACT_NAME),
    maybe("shipto", &CONTACT_NAME),
    maybe("basecurr", TEXT),
    maybe("currency", TEXT),
    maybe("exchratedate", &DATE),
    maybe("exchratetype|exchrate", TEXT),
    maybe("nogl", TEXT),
    maybe("supdocid", TEXT),
    maybe("customfields", &CUSTOM_FIELDS),
    maybe("taxsolutionid", TEXT),
    one("invoiceitems", &LINE_ITEMS),
]);
static ANY: Content = Content::Any(0);

/// All functions of the vendor's schema of 3.0, one a line.
const FUNCTIONS: &str = include_str!("functions-3.0.txt");
/// All functions of 2.1.
const FUNCTIONS_2_1: &str = include_str!("functions-2.1.txt");

/// Version of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V2_1,
    V3_0,
}

/// Content of a function element, if the schema knows the function.
fn function(name: &str, version: Version) -> Option<&'static Content> {
    Some(match name {
        "query" => &QUERY,
        "lookup" => &LOOKUP,
        "inspect" => &INSPECT,
        "readUserFormatting" => &FORMATTING,
        "getAPISession" => &SESSION,
        "readEntityDetails" => &NOTHING,
        "read" | "readByName" => &READ,
        "readRelated" => &READ_RELATED,
        "readByQuery" => &READ_BY_QUERY,
        "readMore" => &READ_MORE,
        "readReport" => &READ_REPORT,
        "create" | "update" => &WRITE,
        "delete" => &DELETE,
        "create_invoice" => &CREATE_INVOICE,
        _ if version == Version::V2_1 => &ANY,
        other if FUNCTIONS.lines().any(|f| f == other) => &ANY,
        _ => return None,
    })
}

/// Checks a document against the schema that it names; the error is the text of the first fault.
///
/// # Errors
/// The first violation of the schema.
pub fn check(document: &Node) -> Result<(), String> {
    let named = document
        .child("control")
        .and_then(|control| control.child_text("dtdversion"));
    let version = match named {
        Some(name) if name.starts_with('2') => Version::V2_1,
        _ => Version::V3_0,
    };
    if document.name != "request" {
        return Err(fault(
            &document.name,
            "No matching global declaration available for the validation root.",
        ));
    }
    attributes(document, &[])?;
    let model = match version {
        Version::V2_1 => &REQUEST_2_1,
        Version::V3_0 => &REQUEST,
    };
    content(document, model)?;
    for operation in document.children.iter().filter(|n| n.name == "operation") {
        attributes(operation, &["transaction"])?;
        if let Some(value) = operation.attribute("transaction")
            && !matches!(value, "true" | "false")
        {
            return Err(format!(
                "Element 'operation', attribute 'transaction': [facet 'enumeration'] The value '{value}' is not an element of the set {{'true', 'false'}}."
            ));
        }
        for node in operation
            .children
            .iter()
            .filter(|n| n.name == "content")
            .flat_map(|c| &c.children)
        {
            check_function(node, version)?;
        }
    }
    Ok(())
}

fn check_function(node: &Node, version: Version) -> Result<(), String> {
    attributes(node, &["controlid"])?;
    match node.attribute("controlid") {
        None => return Err("Element 'function': The attribute 'controlid' is required but missing.".into()),
        Some(id) if version == Version::V3_0 && id.chars().count() > 256 => {
            return Err(format!(
                "Element 'function', attribute 'controlid': [facet 'maxLength'] The value '{id}' has a length that exceeds the allowed maximum of '256'."
            ));
        }
        Some(_) => {}
    }
    let [call] = node.children.as_slice() else {
        return Err(match node.children.get(1) {
            Some(second) => fault(&second.name, "This element is not expected."),
            None => fault("function", "Missing child element(s)."),
        });
    };
    if version == Version::V2_1 && !FUNCTIONS_2_1.lines().any(|f| f == call.name) {
        return Err(fault(&call.name, "This element is not expected."));
    }
    match call.name.as_str() {
        "get_list" => return legacy::check_list(call),
        "get" => return legacy::check_get(call),
        _ => {}
    }
    let Some(model) = function(&call.name, version) else {
        return Err(fault(&call.name, "This element is not expected."));
    };
    if call.name == "inspect" {
        attributes(call, &["detail"])?;
    } else if call.name == "readReport" {
        attributes(call, &["returnDef", "type", "libraryReport"])?;
    } else if !matches!(model, Content::Any(_)) {
        attributes(call, &[])?;
    }
    content(call, model)
}

pub(super) fn fault(name: &str, text: &str) -> String {
    format!("Element '{name}': {text}")
}

/// Nothing but text in an element.
pub(super) fn leaf(node: &Node) -> Result<(), String> {
    content(node, TEXT)
}

pub(super) fn attributes(node: &Node, allowed: &[&str]) -> Result<(), String> {
    match node
        .attributes
        .iter()
        .find(|(n, _)| !allowed.contains(&n.as_str()) && !n.starts_with("xmlns"))
    {
        Some((name, _)) => Err(format!(
            "Element '{}', attribute '{name}': The attribute '{name}' is not allowed.",
            node.name
        )),
        None => Ok(()),
    }
}

fn content(node: &Node, model: &'static Content) -> Result<(), String> {
    let text = node.text.trim();
    match model {
        Content::Any(min) if node.children.len() < *min => {
            Err(fault(&node.name, "Missing child element(s)."))
        }
        Content::Any(_) => Ok(()),
        Content::Text | Content::Boolean | Content::Integer(..) | Content::Short(_) | Content::Word(_) => {
            if let Some(child) = node.children.first() {
                return Err(fault(&child.name, "This element is not expected."));
            }
            value(&node.name, text, &node.text, model)
        }
        Content::All(_) | Content::Sequence(_) | Content::Several(..) if !text.is_empty() => Err(fault(
            &node.name,
            "Character content other than whitespace is not allowed because the content type is 'element-only'.",
        )),
        Content::All(particles) => all(node, particles),
        Content::Sequence(particles) => sequence(node, particles),
        Content::Several(particles, min, max) => several(node, particles, *min, *max),
    }
}

fn value(name: &str, text: &str, raw: &str, model: &Content) -> Result<(), String> {
    let ok = match model {
        Content::Boolean => text.is_empty() || matches!(text, "true" | "false" | "1" | "0"),
        Content::Integer(low, high) => {
            text.is_empty() || text.parse::<i64>().is_ok_and(|n| (*low..=*high).contains(&n))
        }
        Content::Short(limit) => raw.chars().count() <= *limit,
        Content::Word(words) => words.contains(&text),
        _ => true,
    };
    if ok {
        Ok(())
    } else {
        Err(fault(
            name,
            &format!("'{text}' is not a valid value of the atomic type."),
        ))
    }
}

fn expected(particles: &[Particle]) -> String {
    let names: Vec<&str> = particles.iter().map(|p| p.name).collect();
    match names.as_slice() {
        [] => String::new(),
        [name] => format!(" Expected is ( {name} )."),
        names => format!(" Expected is one of ( {} ).", names.join(", ")),
    }
}

fn unexpected(child: &Node, particles: &[Particle]) -> String {
    fault(
        &child.name,
        &format!("This element is not expected.{}", expected(particles)),
    )
}

fn all(node: &Node, particles: &'static [Particle]) -> Result<(), String> {
    let mut seen = vec![0usize; particles.len()];
    for child in &node.children {
        let Some(i) = particles.iter().position(|p| p.name == child.name) else {
            return Err(unexpected(child, particles));
        };
        seen[i] += 1;
        if seen[i] > particles[i].max {
            return Err(fault(&child.name, "This element is not expected."));
        }
        attributes(child, &[])?;
        content(child, particles[i].content)?;
    }
    match particles.iter().zip(&seen).find(|(p, n)| **n < p.min) {
        Some((p, _)) => Err(fault(
            &node.name,
            &format!("Missing child element(s). Expected is ( {} ).", p.name),
        )),
        None => Ok(()),
    }
}

fn sequence(node: &Node, particles: &'static [Particle]) -> Result<(), String> {
    let (mut at, mut count) = (0, 0);
    for child in &node.children {
        while at < particles.len() && !particles[at].is(&child.name) {
            if count < particles[at].min {
                return Err(unexpected(child, &particles[at..=at]));
            }
            (at, count) = (at + 1, 0);
        }
        if at == particles.len() || count == particles[at].max {
            return Err(fault(&child.name, "This element is not expected."));
        }
        count += 1;
        if !matches!(child.name.as_str(), "operation" | "function") {
            attributes(child, &[])?;
        }
        content(child, particles[at].content)?;
    }
    let missing = particles
        .iter()
        .enumerate()
        .skip(at)
        .find(|(i, p)| p.min > if *i == at { count } else { 0 });
    match missing {
        Some((_, p)) => Err(fault(
            &node.name,
            &format!("Missing child element(s). Expected is ( {} ).", p.name),
        )),
        None => Ok(()),
    }
}

fn several(node: &Node, particles: &'static [Particle], min: usize, max: usize) -> Result<(), String> {
    for (i, child) in node.children.iter().enumerate() {
        let Some(particle) = particles.iter().find(|p| p.name == child.name) else {
            return Err(unexpected(child, particles));
        };
        if i >= max {
            return Err(fault(&child.name, "This element is not expected."));
        }
        attributes(child, &[])?;
        content(child, particle.content)?;
    }
    if node.children.len() < min {
        return Err(fault(
            &node.name,
            &format!("Missing child element(s).{}", expected(particles)),
        ));
    }
    Ok(())
}
