//! `check`: a connection test that reports what works, what does not, and what to do about it.

mod deep;
mod facts;
mod look;
mod measure;
mod next;
mod observe;
mod outcome;
mod probe;
mod readable;
mod subject;

use super::access::{foreign_data_allowed, usable_server};
use crate::error::Report;
use crate::{connection, io, options};
use outcome::{Step, StepOutcome, StepResult};
use pgrx::AnyNumeric;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use std::time::Instant;
use subject::Subject;

/// Tests a server step by step as the current user. Never raises for a step that fails: `ok` is then false, and
/// the later steps are skipped. `ok` is NULL for a step that was skipped or that is undecided. With `deep`, each
/// unconfirmed fact about the gateway is listed with what this company shows of it, without any of its data.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn check(
    server: &str,
    deep: default!(bool, false),
) -> TableIterator<
    'static,
    (
        name!(step, String),
        name!(ok, Option<bool>),
        name!(detail, Option<String>),
        name!(hint, Option<String>),
        name!(milliseconds, Option<AnyNumeric>),
    ),
> {
    foreign_data_allowed();
    let oid = usable_server(server);
    let mut results = Vec::new();
    if let Some(config) = local_steps(oid, &mut results) {
        remote_steps(config, Subject::read(server, oid), deep, &mut results);
    }
    let facts = facts::FACTS.iter().filter(|_| deep).map(Step::Fact);
    // What to type next is the last line, behind the facts.
    let steps = Step::ALL.into_iter().chain(facts).chain([Step::Next]);
    let rows = steps.map(|step| {
        let result = results.iter().find(|result| result.step == step);
        let outcome = result.map_or(StepOutcome::skipped(), |result| result.outcome.clone());
        let milliseconds = result
            .and_then(|result| result.elapsed)
            .and_then(|elapsed| AnyNumeric::try_from((elapsed.as_secs_f64() * 10_000.0).round() / 10.0).ok());
        (
            step.name(),
            outcome.ok,
            (!outcome.detail.is_empty()).then_some(outcome.detail),
            (!outcome.hint.is_empty()).then_some(outcome.hint),
            milliseconds,
        )
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// Steps that send no request.
fn local_steps(server: pg_sys::Oid, results: &mut Vec<StepResult>) -> Option<intacct::Config> {
    // SAFETY: main thread inside a transaction.
    let user = unsafe { pg_sys::GetUserId() };
    let started = Instant::now();
    let read = options::server(server).and_then(|read| {
        options::ca_certificates(&read, server)?;
        Ok(read)
    });
    let read = connection::agree_with_schema().and(read.map_err(Report::from));
    let outcome = match &read {
        Ok(read) => {
            let version = read.dtd_version.as_str();
            StepOutcome::fine(format!(
                "company {}, {}, dtd_version {version}",
                read.company_id, read.url
            ))
        }
        Err(error) => StepOutcome::failed(error.clone()),
    };
    results.push(StepResult::timed(Step::Options, started, outcome));
    read.ok()?;

    let started = Instant::now();
    let config = options::client_config(server, user)
        .map_err(Report::from)
        .and_then(|made| {
            let mut config = made.config;
            connection::count_calls(&mut config, server, made.max_calls_per_day)?;
            Ok(config)
        });
    let outcome = match &config {
        Ok(config) => {
            let entity = match &config.location_id {
                Some(entity) => format!(", entity {entity}"),
                None => String::new(),
            };
            StepOutcome::fine(format!(
                "user {}{entity}, sender {}",
                config.user_id, config.sender_id
            ))
        }
        Err(error) => StepOutcome::failed(error.clone()),
    };
    results.push(StepResult::timed(Step::UserMapping, started, outcome));
    config.ok()
}

/// Everything for which the gateway is asked.
fn remote_steps(config: intacct::Config, subject: Subject, deep: bool, results: &mut Vec<StepResult>) {
    let steps = io::stream(16, move |emitter| probe::run(config, subject, deep, emitter));
    let broken = |error: intacct::Error| StepResult {
        step: Step::Connect,
        outcome: StepOutcome::failed(error.into()),
        elapsed: None,
    };
    match steps {
        Ok(mut steps) => loop {
            match steps.next() {
                Ok(Some(result)) => results.push(result),
                Ok(None) => break,
                Err(error) => {
                    results.push(broken(error));
                    break;
                }
            }
        },
        Err(error) => results.push(broken(error)),
    }
}
