//! What happens to a request document: schema, sender, sign-in, functions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use crate::catalog::Catalog;
use crate::company::{COMPANIES, Company, INACTIVE, SENDERS, User};
use crate::config::Config;
use crate::data::value::iso_time;
use crate::envelope::{Authentication, Control, Node, Operation, Request, control, schema};
use crate::error::Fault;
use crate::faults::Faults;
use crate::format::Formatter;
use crate::functions::{self, Caller};
use crate::log::{CallEntry, Log};
use crate::query::Rendered;
use crate::respond::{Note, OperationAnswer, Outcome, SignIn, control_failure, gateway_failure, response};
use crate::session::{Identity, Sessions};
use crate::settings::{Dtd30, Settings};
use crate::store::changes::{self, Author, Change};

/// The simulated world behind the HTTP server.
pub struct Gateway {
    /// Companies by id.
    pub companies: HashMap<String, Arc<Company>>,
    /// Open sessions.
    pub sessions: Sessions,
    /// The request log.
    pub log: Log,
    /// The fault script.
    pub faults: Faults,
    /// Changes that were made but are not visible yet.
    pub held: Mutex<Vec<(String, Vec<Change>, Author)>>,
    settings: RwLock<Settings>,
    url: Mutex<String>,
}

/// An answer before it is compressed and sent.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
    /// Rows in the body, and where they begin.
    pub rows: Option<(usize, Arc<Rendered>)>,
    /// What the log keeps of each function.
    pub calls: Vec<CallEntry>,
    /// First error number.
    pub error: Option<String>,
}

impl Answer {
    fn xml(status: u16, body: Vec<u8>, error: Option<&str>) -> Self {
        let error = error.map(Into::into);
        Self {
            status,
            content_type: "application/xml; charset=UTF-8",
            body,
            rows: None,
            calls: Vec::new(),
            error,
        }
    }

    /// A failure of the gateway in front (`GW-nnnn`).
    pub fn gateway(status: u16, number: &str, text: &str) -> Self {
        Self::xml(status, gateway_failure(number, text), Some(number))
    }
}

/// A request that was parsed, and what is known of it before it runs.
pub struct Parsed {
    /// The document, or the control-level failure that answers it.
    pub request: Result<Request, Box<(Control, Fault)>>,
    /// Company id, where the document or its session names it.
    pub company: String,
    /// User id, likewise.
    pub user: String,
    /// Entity, likewise.
    pub location: String,
}

impl Gateway {
    /// Generates the companies.
    ///
    /// # Errors
    /// A wrong setting or object name; what SQLite says.
    pub fn create(config: &Config) -> Result<Self, String> {
        let catalog = Catalog::builtin();
        let mut settings = Settings::default();
        for (key, value) in &config.settings {
            settings.set(key, value)?;
        }
        if let Some(unknown) = config.rows.keys().find(|o| catalog.object(o).is_none()) {
            return Err(format!("no object {unknown}"));
        }
        if !(1..=COMPANIES.len()).contains(&config.companies) {
            return Err(format!(
                "{} companies: 1 to {} are there",
                config.companies,
                COMPANIES.len()
            ));
        }
        let plan: Vec<_> = (0..)
            .zip(&COMPANIES[..config.companies])
            .map(|(n, (id, password))| (*id, *password, config.seed.wrapping_add(7919 * n)))
            .collect();
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = plan
                .iter()
                .map(|(id, password, seed)| {
                    scope.spawn(move || Company::create(id, password, catalog, *seed, &config.rows_of(id)))
                })
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().expect("generation does not panic"))
                .collect()
        });
        let mut companies = HashMap::new();
        for company in made {
            let company = company.map_err(|e| e.to_string())?;
            companies.insert(company.id.clone(), Arc::new(company));
        }
        Ok(Self {
            companies,
            sessions: Sessions::default(),
            log: Log::default(),
            faults: Faults::default(),
            held: Mutex::default(),
            settings: RwLock::new(settings),
            url: Mutex::default(),
        })
    }

    /// A copy of the settings.
    pub fn settings(&self) -> Settings {
        self.settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes settings; all of them or, on an error, none.
    ///
    /// # Errors
    /// An unknown key or a wrong value.
    pub fn set<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), String> {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = settings.clone();
        for (key, value) in pairs {
            changed.set(key, value)?;
        }
        *settings = changed;
        Ok(())
    }

    /// The gateway's clock, in stored form.
    pub fn now(&self) -> String {
        let clock = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs() as i64);
        iso_time(clock + self.settings().clock_skew)
    }

    /// Changes a company's data as a person would in the browser; all or none. Held changes are stamped now and
    /// become visible with [`Self::release`].
    ///
    /// # Errors
    /// An unknown company; the first change that is refused.
    pub fn change(&self, company: &str, changes: Vec<Change>, hold: bool) -> Result<Vec<Vec<i64>>, String> {
        let known = self
            .companies
            .get(company)
            .ok_or_else(|| format!("no company {company}"))?;
        let author = Author {
            user: "admin".into(),
            source: "ui",
            at: self.now(),
        };
        if hold {
            self.held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((company.into(), changes, author));
            return Ok(Vec::new());
        }
        changes::apply(&known.store.write(), &changes, &author).map_err(|e| e.to_string())
    }

    /// Makes held changes visible; returns how many batches there were.
    ///
    /// # Errors
    /// The first batch that is refused.
    pub fn release(&self) -> Result<usize, String> {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        let count = held.len();
        for (company, batch, author) in held {
            let store = &self.companies[&company].store;
            changes::apply(&store.write(), &batch, &author).map_err(|e| e.to_string())?;
        }
        Ok(count)
    }

    /// Own URL.
    pub fn url(&self) -> String {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the URL where the gateway listens.
    pub fn set_url(&self, url: String) {
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// Parses and checks a document; nothing is executed.
    pub fn parse(&self, body: &[u8]) -> Parsed {
        let schema_fault = |text: String| {
            Fault::new("XL03000003", text)
                .correct("Use the correct syntax and format for the function.")
                .id("IA.XML_VALIDATION_FAILED")
        };
        let refused = |control: Control, fault: Fault| Parsed {
            request: Err(Box::new((control, fault))),
            company: String::new(),
            user: String::new(),
            location: String::new(),
        };
        let document = std::str::from_utf8(body)
            .map_err(|_| "Input is not proper UTF-8, indicate encoding !".to_string())
            .and_then(Node::parse);
        let document = match document {
            Ok(document) => document,
            Err(text) => return refused(Control::default(), schema_fault(text)),
        };
        let block = document.child("control").map(control).unwrap_or_default();
        if let Err(text) = schema::check(&document) {
            return refused(block, schema_fault(text));
        }
        let only_2_1 = self.settings().readings.dtd_3_0 == Dtd30::Refused;
        if !(block.dtd_version == "3.0" && !only_2_1 || block.dtd_version == "2.1") {
            let text = format!(
                "Element 'dtdversion': '{}' is not a supported version.",
                block.dtd_version
            );
            return refused(block, schema_fault(text));
        }
        let request = Request::from_document(&document);
        let known = request
            .operations
            .first()
            .map(|o| self.identity_hint(o))
            .unwrap_or_default();
        Parsed {
            request: Ok(request),
            company: known.0,
            user: known.1,
            location: known.2,
        }
    }

    fn identity_hint(&self, operation: &Operation) -> (String, String, String) {
        match &operation.authentication {
            Authentication::Login {
                user,
                company,
                location,
                ..
            } => (
                company.clone(),
                user.clone(),
                location.clone().unwrap_or_default(),
            ),
            Authentication::Session(id) => self
                .sessions
                .peek(id)
                .map(|i| (i.company, i.user, i.location.unwrap_or_default()))
                .unwrap_or_default(),
            Authentication::OAuth => Default::default(),
        }
    }

    /// Executes a parsed request. `forced`: every function fails with this instead.
    pub fn execute(&self, parsed: &Parsed, forced: Option<&Fault>) -> Answer {
        let request = match &parsed.request {
            Ok(request) => request,
            Err(refusal) => {
                let (control, fault) = refusal.as_ref();
                return Answer::xml(200, control_failure(control, fault), Some(&fault.number));
            }
        };
        let control = &request.control;
        if let Some(fault) = check_sender(control) {
            return Answer::xml(200, control_failure(control, &fault), Some(&fault.number));
        }
        if parsed.company.eq_ignore_ascii_case(INACTIVE) {
            return Answer::gateway(400, "GW-0011", "The company is not active.");
        }
        let settings = self.settings();
        let mut calls = Vec::new();
        let mut answers = Vec::new();
        let mut bare = None;
        for operation in &request.operations {
            let mut answer = self.operation(control, operation, &settings, forced);
            for ((function, control_id, outcome), call) in answer.results.iter_mut().zip(&operation.calls) {
                calls.push(call_entry(function, control_id, outcome, &call.node));
                if let Some(body) = outcome.bare.take() {
                    bare = Some(body);
                }
            }
            answers.push(answer);
        }
        let first_error = answers
            .iter()
            .find_map(|a| a.refused.as_ref().map(|f| f.number.clone()))
            .or_else(|| calls.iter().find_map(|c| c.error.clone()));
        if let Some((body, content_type)) = bare.filter(|_| first_error.is_none()) {
            return Answer {
                status: 200,
                content_type,
                body,
                rows: None,
                calls,
                error: None,
            };
        }
        let document = response(control, &answers);
        let mut answer = Answer::xml(200, document.out, None);
        answer.rows = document.rows;
        (answer.calls, answer.error) = (calls, first_error);
        answer
    }

    fn operation(
        &self,
        control: &Control,
        operation: &Operation,
        settings: &Settings,
        forced: Option<&Fault>,
    ) -> OperationAnswer {
        let lifetime = Duration::from_secs(settings.session_ttl);
        let (company, user, identity) = match self.sign_in(control, operation, lifetime) {
            Ok(signed_in) => signed_in,
            Err(fault) => {
                return OperationAnswer {
                    sign_in: SignIn::default(),
                    refused: Some(fault),
                    results: Vec::new(),
                };
            }
        };
        let sign_in = SignIn {
            user: user.id.clone(),
            company: company.id.clone(),
            location: identity.location.clone().unwrap_or_default(),
            lifetime,
            clock_skew: settings.clock_skew,
        };
        if operation.calls.len() > 1 && operation.calls.iter().any(|c| c.node.name == "getAPISession") {
            let fault = Fault::new(
                "XL03000006",
                "The getAPISession function must be the only function in a request",
            );
            return OperationAnswer {
                sign_in,
                refused: Some(fault),
                results: Vec::new(),
            };
        }
        let format = Formatter::new(&user.preferences, &settings.readings, &settings.time_zone);
        let caller = Caller {
            gateway: self,
            company: &company,
            user: &user,
            identity: &identity,
            settings,
            format: &format,
            whitespace: control.whitespace,
        };
        let outcomes = functions::call_all(&caller, control, operation, forced);
        let results = operation
            .calls
            .iter()
            .zip(outcomes)
            .map(|(call, outcome)| (call.node.name.clone(), call.control_id.clone(), outcome))
            .collect();
        OperationAnswer {
            sign_in,
            refused: None,
            results,
        }
    }

    fn sign_in(
        &self,
        control: &Control,
        operation: &Operation,
        lifetime: Duration,
    ) -> Result<(Arc<Company>, User, Identity), Fault> {
        let refused = |text: &str| Fault::new("XL03000006", text).id("IA.SIGN_IN_FAILED");
        let identity = match &operation.authentication {
            Authentication::Session(id) => self.sessions.use_it(id, lifetime).ok_or_else(|| {
                refused("Invalid session. The session is expired or does not exist.")
                    .correct("Sign in again to get a new session.")
            })?,
            Authentication::Login {
                user,
                company,
                password,
                location,
            } => {
                let known = self
                    .companies
                    .get(company)
                    .and_then(|c| c.users.iter().find(|u| u.id == *user))
                    .is_some_and(|u| u.password == *password);
                if !known {
                    return Err(refused(
                        "Sign-in information is incorrect. Please check your request.",
                    ));
                }
                let location = location.clone().filter(|l| !l.is_empty());
                Identity {
                    company: company.clone(),
                    user: user.clone(),
                    location,
                }
            }
            Authentication::OAuth => {
                return Err(refused(
                    "Sign-in information is incorrect. Please check your request.",
                ));
            }
        };
        let company = self
            .companies
            .get(&identity.company)
            .ok_or_else(|| refused("Sign-in information is incorrect"))?;
        let authorised = SENDERS.iter().any(|(sender, _, companies)| {
            *sender == control.sender && companies.contains(&identity.company.as_str())
        });
        if !authorised {
            return Err(refused(&format!(
                "Invalid Web Services Authorization. The sender ID '{}' is not authorized to make Web Services requests to company ID '{}'.",
                control.sender, identity.company
            )));
        }
        if let Some(location) = &identity.location
            && !company.entities.contains(location)
        {
            return Err(refused(&format!(
                "Sign-in information is incorrect. The location {location} is not valid."
            )));
        }
        let user = company.users.iter().find(|u| u.id == identity.user);
        let user = user
            .ok_or_else(|| refused("Sign-in information is incorrect"))?
            .clone();
        Ok((company.clone(), user, identity))
    }
}

fn check_sender(control: &Control) -> Option<Fault> {
    let known = SENDERS
        .iter()
        .any(|(sender, password, _)| *sender == control.sender && *password == control.password);
    if !known {
        return Some(
            Fault::new("XL03000006", "Incorrect Intacct XML Partner ID or password.").id("IA.PARTNER_AUTH"),
        );
    }
    let policy = control.policy.as_ref()?;
    Some(Fault::new(
        "XL03000006",
        format!("{policy} is not a valid transport policy."),
    ))
}

fn call_entry(function: &str, control_id: &str, outcome: &Outcome, node: &Node) -> CallEntry {
    let mut xml = String::new();
    node.write(&mut xml);
    let number = |name| node.child_text(name).and_then(|t: &str| t.parse().ok());
    let Note { rows, total } = outcome.note;
    CallEntry {
        function: function.into(),
        object: object_of(node),
        controlid: control_id.into(),
        xml,
        pagesize: number("pagesize"),
        offset: number("offset"),
        rows,
        total,
        error: outcome.faults.first().map(|f| f.number.clone()),
    }
}

/// The object that a call is about.
pub fn object_of(node: &Node) -> String {
    match node.name.as_str() {
        "create" | "update" => node.children.first().map(|c| c.name.clone()).unwrap_or_default(),
        _ => node
            .child_text("object")
            .or_else(|| node.attribute("object"))
            .or_else(|| node.child_text("name"))
            .unwrap_or_default()
            .to_string(),
    }
}
