//! Requests: parsed, checked against the schema, taken apart.

mod legacy;
pub mod node;
pub mod schema;

pub use node::Node;

/// The `control` block.
#[derive(Clone, Default)]
pub struct Control {
    /// Web services sender.
    pub sender: String,
    /// Its password.
    pub password: String,
    /// Correlation id, echoed.
    pub control_id: String,
    /// Whether function control ids are checked for repetition; true unless the request says false.
    pub unique_id: bool,
    /// Schema version.
    pub dtd_version: String,
    /// Asynchronous transport policy.
    pub policy: Option<String>,
    /// Pretty printing of the answer; true unless the request says false.
    pub whitespace: bool,
    /// Details added to errors.
    pub additional_info: bool,
}

/// How a request signs in.
#[derive(Clone)]
pub enum Authentication {
    /// User and password.
    Login {
        /// User id.
        user: String,
        /// Company id.
        company: String,
        /// Password.
        password: String,
        /// Entity; `None` when the element is absent.
        location: Option<String>,
    },
    /// Session id.
    Session(String),
    /// Not described for XML requests.
    OAuth,
}

/// One function call.
#[derive(Clone)]
pub struct Call {
    /// `function@controlid`.
    pub control_id: String,
    /// The call itself, named after the function.
    pub node: Node,
}

/// One `operation`.
#[derive(Clone)]
pub struct Operation {
    /// All or nothing.
    pub transaction: bool,
    /// Sign-in.
    pub authentication: Authentication,
    /// Functions in document order.
    pub calls: Vec<Call>,
}

/// A request that satisfies the schema.
#[derive(Clone)]
pub struct Request {
    /// Control block.
    pub control: Control,
    /// Operations in document order.
    pub operations: Vec<Operation>,
}

impl Request {
    /// Takes a checked document apart.
    pub fn from_document(document: &Node) -> Self {
        let control = document.child("control").map(control).unwrap_or_default();
        let operations = document
            .children
            .iter()
            .filter(|n| n.name == "operation")
            .map(operation)
            .collect();
        Self { control, operations }
    }

    /// All calls of all operations.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.operations.iter().flat_map(|o| &o.calls)
    }
}

/// The control block, as far as a document that may be invalid has one.
pub fn control(node: &Node) -> Control {
    let text = |name| node.child_text(name).unwrap_or_default().to_string();
    let flag = |name, default| match node.child_text(name) {
        Some("true" | "1") => true,
        Some("false" | "0") => false,
        _ => default,
    };
    Control {
        sender: text("senderid"),
        password: text("password"),
        control_id: text("controlid"),
        unique_id: flag("uniqueid", true),
        dtd_version: node.child_text("dtdversion").unwrap_or("3.0").to_string(),
        policy: node
            .child_text("policyid")
            .filter(|p| !p.is_empty())
            .map(Into::into),
        whitespace: flag("includewhitespace", true),
        additional_info: flag("showadditionalerrorinfo", false),
    }
}

fn operation(node: &Node) -> Operation {
    let authentication = node.child("authentication").and_then(|a| a.children.first());
    let authentication = match authentication {
        Some(login) if login.name == "login" => {
            let text = |name| login.child_text(name).unwrap_or_default().to_string();
            // `companyId|entityId`, or with a console in front `consoleId|companyId|entityId`.
            let company = text("companyid");
            let parts: Vec<&str> = company.split('|').collect();
            let (company, entity) = match parts.as_slice() {
                [_, client, entity] => (client.to_string(), Some(entity.to_string())),
                [company, entity] => (company.to_string(), Some(entity.to_string())),
                _ => (company.clone(), None),
            };
            Authentication::Login {
                user: text("userid"),
                company: login
                    .child_text("clientid")
                    .filter(|c| !c.is_empty())
                    .map_or(company, Into::into),
                password: text("password"),
                location: login.child_text("locationid").map(Into::into).or(entity),
            }
        }
        Some(session) if session.name == "sessionid" => Authentication::Session(session.text.trim().into()),
        _ => Authentication::OAuth,
    };
    let calls = node
        .children
        .iter()
        .filter(|n| n.name == "content")
        .flat_map(|c| &c.children)
        .filter_map(|f| {
            Some(Call {
                control_id: f.attribute("controlid").unwrap_or_default().into(),
                node: f.children.first()?.clone(),
            })
        })
        .collect();
    Operation {
        transaction: node.attribute("transaction") == Some("true"),
        authentication,
        calls,
    }
}
