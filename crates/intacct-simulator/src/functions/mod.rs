//! The gateway's functions.

mod describe;
mod query;
mod query_string;
mod read;
pub mod read_by_query;
mod session;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::catalog::{Catalog, Object};
use crate::company::{Company, User};
use crate::envelope::{Call, Control, Operation};
use crate::error::Fault;
use crate::format::Formatter;
use crate::gateway::Gateway;
use crate::query::Scope;
use crate::respond::Outcome;
use crate::session::Identity;
use crate::settings::Settings;

/// Who calls, and in which world.
pub struct Caller<'a> {
    /// The gateway.
    pub gateway: &'a Gateway,
    /// The company signed in to.
    pub company: &'a Company,
    /// The user signed in as.
    pub user: &'a User,
    /// The same as a session would hold it.
    pub identity: &'a Identity,
    /// Settings at the time of the request.
    pub settings: &'a Settings,
    /// Formats values for the user.
    pub format: &'a Formatter,
    /// Pretty printing.
    pub whitespace: bool,
}

impl Caller<'_> {
    /// What a query needs.
    pub fn scope(&self) -> Scope<'_> {
        static NONCE: AtomicU64 = AtomicU64::new(1);
        Scope {
            catalog: Catalog::builtin(),
            store: &self.company.store,
            cache: &self.company.cache,
            location: self.identity.location.as_deref(),
            readings: &self.settings.readings,
            format: self.format,
            nonce: NONCE
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15),
            whitespace: self.whitespace,
        }
    }

    /// Finds an object that the user may read.
    pub fn readable(&self, name: &str) -> Result<&'static Object, Fault> {
        let object = Catalog::builtin()
            .object(name)
            .ok_or_else(|| Fault::unknown_object(name))?;
        if object.unsubscribed || self.user.denied.contains(&object.name.as_str()) {
            return Err(Fault::permission(&object.name));
        }
        Ok(object)
    }
}

/// Executes the calls of an operation, in order.
pub fn call_all(
    caller: &Caller<'_>,
    control: &Control,
    operation: &Operation,
    forced: Option<&Fault>,
) -> Vec<Outcome> {
    operation
        .calls
        .iter()
        .map(|c| guarded(caller, control, c, forced))
        .collect()
}

/// Executes a call unless its control id was used before (protocol reference §8.5).
fn guarded(caller: &Caller<'_>, control: &Control, this: &Call, forced: Option<&Fault>) -> Outcome {
    if let Some(fault) = forced {
        return fault.clone().into();
    }
    // getAPISession changes nothing that could be doubled.
    if !control.unique_id || this.node.name == "getAPISession" {
        return call(caller, this);
    }
    let id = format!("{} {}", control.sender, this.control_id);
    if caller.company.completed().contains(&id) {
        return Fault::new(
            caller.settings.duplicate_errorno.as_str(),
            format!(
                "The function with control ID '{}' was already executed and completed.",
                this.control_id
            ),
        )
        .id("IA.DUPLICATE_CONTROL_ID")
        .into();
    }
    let outcome = call(caller, this);
    if outcome.faults.is_empty() {
        caller.company.completed().insert(id);
    }
    outcome
}

/// Executes a call.
fn call(caller: &Caller<'_>, call: &Call) -> Outcome {
    let node = &call.node;
    let done = match node.name.as_str() {
        "query" => query::query(caller, node),
        "read" => read::read(caller, node, false),
        "readByName" => read::read(caller, node, true),
        "readByQuery" => read_by_query::read_by_query(caller, node),
        "readMore" => read_by_query::read_more(caller, node),
        "readRelated" => read_by_query::read_related(caller, node),
        "lookup" => describe::lookup(caller, node),
        "inspect" => describe::inspect(caller, node),
        "readUserFormatting" => session::user_formatting(caller, node),
        "readEntityDetails" => session::entity_details(caller),
        "getAPISession" => session::get_api_session(caller, node),
        other => Err(Fault::new(
            "XL03000006",
            format!("The function {other} is not served by this simulator"),
        )),
    };
    done.unwrap_or_else(Outcome::from)
}
