//! Steps of a check and their outcomes.

use super::facts::Fact;
use crate::error::Report;
use std::time::{Duration, Instant};

/// The steps, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The server's options.
    Options,
    /// The user mapping and its files.
    UserMapping,
    /// Name resolution and TCP.
    Connect,
    /// TLS and certificate.
    Tls,
    /// The sender's credentials, and its authorisation in the company.
    Sender,
    /// The user's credentials.
    SignIn,
    /// The session that the gateway gave.
    Session,
    /// The right to read an object.
    Permission,
    /// The user's formatting preferences and the zone of timestamps.
    Formatting,
    /// How long a small request takes.
    RoundTrip,
    /// How long a page takes.
    Page,
    /// What requests at once gain, and how many to allow.
    Concurrency,
    /// Order of text, as observed.
    TextOrder,
    /// Place of NULLs in an order, as observed.
    NullOrder,
    /// Whether groups of NULL are kept, as observed.
    NullGroups,
    /// Whether dotted paths keep rows without a parent, as observed.
    DottedPaths,
    /// An unconfirmed fact, as observed.
    Fact(&'static Fact),
    /// The statement to type next.
    Next,
}

impl Step {
    /// Every step but facts and the last.
    pub const ALL: [Step; 16] = [
        Step::Options,
        Step::UserMapping,
        Step::Connect,
        Step::Tls,
        Step::Sender,
        Step::SignIn,
        Step::Session,
        Step::Permission,
        Step::Formatting,
        Step::RoundTrip,
        Step::Page,
        Step::Concurrency,
        Step::TextOrder,
        Step::NullOrder,
        Step::NullGroups,
        Step::DottedPaths,
    ];

    /// As shown.
    pub fn name(self) -> String {
        let name = match self {
            Step::Fact(fact) => return format!("fact {}: {}", fact.number, fact.name),
            Step::Options => "options",
            Step::UserMapping => "user mapping",
            Step::Connect => "connect",
            Step::Tls => "TLS",
            Step::Sender => "sender",
            Step::SignIn => "sign-in",
            Step::Session => "session",
            Step::Permission => "permission",
            Step::Formatting => "formatting",
            Step::RoundTrip => "round trip",
            Step::Page => "page",
            Step::Concurrency => "concurrency",
            Step::TextOrder => "observed: order of text",
            Step::NullOrder => "observed: order of NULLs",
            Step::NullGroups => "observed: groups of NULL",
            Step::DottedPaths => "observed: dotted paths",
            Step::Next => "next",
        };
        name.to_owned()
    }
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepOutcome {
    /// Whether it succeeded; none when it was skipped or is undecided.
    pub ok: Option<bool>,
    /// What was found; a failure begins with its SQLSTATE.
    pub detail: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl StepOutcome {
    /// Success.
    pub fn fine(detail: impl Into<String>) -> Self {
        StepOutcome {
            ok: Some(true),
            detail: detail.into(),
            hint: String::new(),
        }
    }

    /// Neither success nor failure.
    pub fn open(detail: impl Into<String>) -> Self {
        StepOutcome {
            ok: None,
            detail: detail.into(),
            hint: String::new(),
        }
    }

    /// Not made, since an earlier step failed.
    pub fn skipped() -> Self {
        StepOutcome::open("skipped")
    }

    /// Failure.
    pub fn failed(report: Report) -> Self {
        let mut detail = format!("{}: {}", report.sqlstate(), report.message);
        if !report.detail.is_empty() {
            detail.push('\n');
            detail.push_str(&report.detail);
        }
        StepOutcome {
            ok: Some(false),
            detail,
            hint: report.hint,
        }
    }

    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// A step that was made.
#[derive(Debug, Clone)]
pub struct StepResult {
    /// Which.
    pub step: Step,
    /// What became of it.
    pub outcome: StepOutcome,
    /// Time that it took; none where it was settled by an earlier step's answer.
    pub elapsed: Option<Duration>,
}

impl StepResult {
    /// A step that began at `started` and ends now.
    pub fn timed(step: Step, started: Instant, outcome: StepOutcome) -> Self {
        StepResult {
            step,
            outcome,
            elapsed: Some(started.elapsed()),
        }
    }
}
