//! A bare HTTP client and the envelopes around calls.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::net::TcpStream;

use intacct_simulator::envelope::Node;
use intacct_simulator::{Config, Simulator};

/// A response as it came.
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn xml(&self) -> Node {
        Node::parse(&self.text()).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// Sends raw bytes and reads to the end of the connection; `None` when it is closed without an answer.
pub fn exchange(url: &str, head: &str, body: &[u8]) -> Option<Response> {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = head.replace("{path}", &format!("/{path}"));
    let head = format!(
        "{head}Host: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let split = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut body = bytes[split + 4..].to_vec();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        body = unchunk(&body);
    }
    Some(Response { status, head, body })
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(line) = bytes.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&bytes[..line]).trim(), 16).unwrap_or(0);
        let end = (line + 2 + size).min(bytes.len());
        out.extend_from_slice(&bytes[line + 2..end]);
        bytes = bytes.get(end + 2..).unwrap_or_default();
        if size == 0 {
            break;
        }
    }
    out
}

pub const POST: &str = "POST {path} HTTP/1.1\r\nContent-Type: application/xml\r\n";

/// A request document.
pub struct Envelope {
    pub sender: (&'static str, &'static str),
    pub control: String,
    pub authentication: String,
    pub transaction: bool,
    pub functions: String,
}

pub fn login(company: &str, user: &str, password: &str) -> String {
    format!(
        "<login><userid>{user}</userid><companyid>{company}</companyid><password>{password}</password></login>"
    )
}

impl Envelope {
    pub fn new(authentication: &str, functions: &str) -> Self {
        Self {
            sender: ("sender1", "senderpw"),
            control: "<uniqueid>false</uniqueid><dtdversion>3.0</dtdversion><includewhitespace>false</includewhitespace>".into(),
            authentication: authentication.into(),
            transaction: false,
            functions: functions.into(),
        }
    }

    pub fn document(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><request><control><senderid>{}</senderid><password>{}</password><controlid>test</controlid>{}</control><operation transaction=\"{}\"><authentication>{}</authentication><content>{}</content></operation></request>",
            self.sender.0, self.sender.1, self.control, self.transaction, self.authentication, self.functions
        )
    }
}

pub fn function(id: &str, call: &str) -> String {
    format!("<function controlid=\"{id}\">{call}</function>")
}

/// A simulator with a signed-in user.
pub struct World {
    pub simulator: Simulator,
    pub login: String,
}

impl World {
    pub fn start() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let simulator = Simulator::start(config).unwrap();
        Self {
            simulator,
            login: login("acme", "apiuser", "secret"),
        }
    }

    pub fn post(&self, document: &str) -> Response {
        exchange(&self.simulator.url(), POST, document.as_bytes()).expect("an answer")
    }

    /// The response to one call.
    pub fn call(&self, call: &str) -> Node {
        self.call_as(&self.login, call)
    }

    pub fn call_as(&self, authentication: &str, call: &str) -> Node {
        self.post(&Envelope::new(authentication, &function("f", call)).document())
            .xml()
    }

    /// The `result` of one call.
    pub fn result(&self, call: &str) -> Node {
        let response = self.call(call);
        find(&response, &["operation", "result"])
            .unwrap_or_else(|| panic!("no result: {response:?}"))
            .clone()
    }

    /// Rows of a successful call: name and text of each field.
    pub fn rows(&self, call: &str) -> Vec<Vec<(String, String)>> {
        let result = self.result(call);
        assert_eq!(result.child_text("status"), Some("success"), "{result:?}");
        rows(result.child("data").unwrap())
    }

    /// The single column of all rows.
    pub fn column(&self, call: &str) -> Vec<String> {
        self.rows(call).into_iter().map(|row| row[0].1.clone()).collect()
    }

    /// First error number and text of a failing call.
    pub fn fault(&self, call: &str) -> (String, String) {
        let result = self.result(call);
        assert_eq!(result.child_text("status"), Some("failure"), "{result:?}");
        error(&result)
    }

    /// One column of a statement, as text.
    pub fn truth(&self, sql: &str) -> Vec<String> {
        let reader = self.simulator.gateway().companies["acme"].store.read().unwrap();
        let mut statement = reader.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(i) => i.to_string(),
                rusqlite::types::ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
                _ => String::new(),
            })
        });
        rows.unwrap().map(Result::unwrap).collect()
    }
}

pub fn rows(data: &Node) -> Vec<Vec<(String, String)>> {
    data.children
        .iter()
        .map(|row| {
            row.children
                .iter()
                .map(|c| (c.name.clone(), c.text.clone()))
                .collect()
        })
        .collect()
}

pub fn find<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, name| node.child(name))
}

pub fn error(holder: &Node) -> (String, String) {
    let error = find(holder, &["errormessage", "error"]).unwrap_or_else(|| panic!("no error: {holder:?}"));
    let text = |name| error.child_text(name).unwrap_or_default().to_string();
    (text("errorno"), text("description2"))
}

/// A `query` for one field of an object, in key order.
pub fn query(object: &str, field: &str, filter: &str) -> String {
    let filter = if filter.is_empty() {
        String::new()
    } else {
        format!("<filter>{filter}</filter>")
    };
    format!(
        "<query><object>{object}</object><select><field>{field}</field></select>{filter}<orderby><order><field>RECORDNO</field><ascending/></order></orderby><pagesize>2000</pagesize></query>"
    )
}
