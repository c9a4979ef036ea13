//! The gateway's functions.

mod assign;
mod describe;
mod get_list;
mod legacy;
mod query;
mod query_string;
mod read;
pub mod read_by_query;
pub mod report;
mod session;
mod write;

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
    ///
    /// # Errors
    /// The fault that the gateway answers.
    pub fn readable(&self, name: &str) -> Result<&'static Object, Fault> {
        let object = Catalog::builtin()
            .object(name)
            .ok_or_else(|| Fault::unknown_object(name))?;
        if object.unsubscribed || self.user.denied.contains(&object.name) {
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
    if operation.transaction && operation.calls.iter().any(|c| write::is_write(&c.node.name)) {
        return transaction(caller, control, operation, forced);
    }
    operation
        .calls
        .iter()
        .map(|this| {
            // A write holds the writer from the check of its control id on: a repetition waits for the first.
            let writer = write::is_write(&this.node.name).then(|| caller.company.store.write());
            let outcome = guarded(caller, control, this, forced, || match &writer {
                Some(writer) => write::write(caller, writer, &this.node),
                None => call(caller, this),
            });
            complete(caller, control, this, &outcome);
            outcome
        })
        .collect()
}

/// All functions or none (fact 74).
fn transaction(
    caller: &Caller<'_>,
    control: &Control,
    operation: &Operation,
    forced: Option<&Fault>,
) -> Vec<Outcome> {
    let writer = caller.company.store.write();
    let begun = writer.execute_batch("SAVEPOINT operation");
    let mut outcomes: Vec<Outcome> = Vec::new();
    for this in &operation.calls {
        let outcome = match &begun {
            Err(_) => Fault::database().into(),
            Ok(()) => guarded(caller, control, this, forced, || {
                if write::is_write(&this.node.name) {
                    return write::write(caller, &writer, &this.node);
                }
                let text = format!(
                    "The function {} cannot be part of a transaction that writes",
                    this.node.name
                );
                Fault::new("XL03000006", text).into()
            }),
        };
        let failed = !outcome.faults.is_empty();
        outcomes.push(outcome);
        if failed {
            break;
        }
    }
    let failed = outcomes.last().is_some_and(|o| !o.faults.is_empty());
    let end = if failed {
        "ROLLBACK TO operation; RELEASE operation"
    } else {
        "RELEASE operation"
    };
    if writer.execute_batch(end).is_err() {
        return operation.calls.iter().map(|_| Fault::database().into()).collect();
    }
    if !failed {
        for (this, outcome) in operation.calls.iter().zip(&outcomes) {
            complete(caller, control, this, outcome);
        }
        return outcomes;
    }
    let culprit = outcomes.len() - 1;
    let text = "The entire transaction in this operation has been rolled back due to an error.";
    let rolled_back = Fault::new("XL03000009", text).id("IA.ROLLED_BACK");
    outcomes.resize_with(operation.calls.len(), Outcome::default);
    for (i, outcome) in outcomes.iter_mut().enumerate() {
        (outcome.data, outcome.key) = (None, None);
        outcome.note = Default::default();
        if i == culprit {
            outcome.faults.push(rolled_back.clone());
        } else {
            *outcome = Outcome {
                faults: vec![rolled_back.clone()],
                aborted: true,
                ..Outcome::default()
            };
        }
    }
    outcomes
}

/// Runs a call unless its control id was used before (facts 9, 71).
fn guarded(
    caller: &Caller<'_>,
    control: &Control,
    this: &Call,
    forced: Option<&Fault>,
    run: impl FnOnce() -> Outcome,
) -> Outcome {
    if let Some(fault) = forced {
        return fault.clone().into();
    }
    if checked(control, this)
        && caller
            .company
            .completed()
            .contains(&completion_key(control, this))
    {
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
    run()
}

/// Remembers the control id of a function that completed.
fn complete(caller: &Caller<'_>, control: &Control, this: &Call, outcome: &Outcome) {
    if checked(control, this) && outcome.faults.is_empty() {
        caller.company.completed().insert(completion_key(control, this));
    }
}

/// getAPISession changes nothing that could be doubled.
fn checked(control: &Control, this: &Call) -> bool {
    control.unique_id && this.node.name != "getAPISession"
}

fn completion_key(control: &Control, this: &Call) -> String {
    format!("{} {}", control.sender, this.control_id)
}

/// Executes a call.
fn call(caller: &Caller<'_>, call: &Call) -> Outcome {
    let node = &call.node;
    let done = match node.name.as_str() {
        "query" => query::query(caller, node),
        "read" => read::read(caller, node, false),
        "readByName" => read::read(caller, node, true),
        "readByQuery" => read_by_query::read_by_query(caller, node),
        "readMore" if node.child("reportId").is_some() => report::read_more(caller, node),
        "readMore" => read_by_query::read_more(caller, node),
        "readRelated" => read_by_query::read_related(caller, node),
        "readReport" => report::read_report(caller, node),
        "get_list" => get_list::get_list(caller, node),
        "get" => get_list::get(caller, node),
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
