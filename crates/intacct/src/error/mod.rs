//! What can go wrong, in one type.

pub(crate) mod classify;
mod kind;
mod remedy;
mod texts;

pub(crate) use kind::Level;
pub use kind::{ConnectStage, ErrorKind};

use crate::mask::Mask;
use std::fmt;

/// Errors of the gateway that the detail shows at most: an answer may hold any number.
const MAX_SHOWN: usize = 100;

/// One error as the gateway reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayError {
    /// Number, or sometimes a text in its place.
    pub errorno: String,
    /// First text, often empty.
    pub description: String,
    /// Second text, usually the one to read.
    pub description2: String,
    /// What the gateway suggests.
    pub correction: String,
}

/// A failure: what, where, and what the gateway said. Never holds a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    company: Option<String>,
    object: Option<String>,
    function: Option<String>,
    control_id: Option<String>,
    gateway_errors: Vec<GatewayError>,
    hint: Option<String>,
    sender_accepted: bool,
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error {
    /// A failure of this kind; `message` is one line in lower case.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            company: None,
            object: None,
            function: None,
            control_id: None,
            gateway_errors: Vec::new(),
            hint: None,
            sender_accepted: false,
        }))
    }

    /// With a remedy of its own instead of the usual one of its kind.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Where it happened; what is known already stays.
    pub(crate) fn at(
        mut self,
        company: &str,
        object: Option<&str>,
        function: &str,
        control_id: &str,
    ) -> Self {
        let place = &mut *self.0;
        place.company.get_or_insert_with(|| company.to_owned());
        place.function.get_or_insert_with(|| function.to_owned());
        if place.object.is_none() {
            place.object = object.map(str::to_owned);
        }
        if place.control_id.is_none() && !control_id.is_empty() {
            place.control_id = Some(control_id.to_owned());
        }
        self
    }

    /// About this object.
    pub(crate) fn of_object(mut self, object: &str) -> Self {
        self.0.object.get_or_insert_with(|| object.to_owned());
        self
    }

    /// The same failure as another kind.
    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same failure with another message.
    pub(crate) fn with_message(mut self, message: String) -> Self {
        self.0.message = message;
        self
    }

    /// Takes secrets out of everything that came from outside, should it be repeated there.
    pub(crate) fn without(mut self, secrets: &Mask) -> Self {
        let place = &mut *self.0;
        place
            .gateway_errors
            .iter_mut()
            .for_each(|error| error.mask(secrets));
        place.message = secrets.apply(std::mem::take(&mut place.message));
        if let Some(hint) = &mut place.hint {
            *hint = secrets.apply(std::mem::take(hint));
        }
        self
    }

    fn with_gateway_errors(mut self, errors: Vec<GatewayError>) -> Self {
        self.0.gateway_errors = errors;
        self
    }

    pub(crate) fn with_sender_accepted(mut self, accepted: bool) -> Self {
        self.0.sender_accepted = accepted;
        self
    }

    /// The gateway has accepted the sender and refused something behind it. False says nothing.
    pub fn sender_accepted(&self) -> bool {
        self.0.sender_accepted
    }

    /// What kind of failure.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Company asked.
    pub fn company(&self) -> Option<&str> {
        self.0.company.as_deref()
    }

    /// Object asked for.
    pub fn object(&self) -> Option<&str> {
        self.0.object.as_deref()
    }

    /// Gateway function called.
    pub fn function(&self) -> Option<&str> {
        self.0.function.as_deref()
    }

    /// Control id of the request, for the vendor's support.
    pub fn control_id(&self) -> Option<&str> {
        self.0.control_id.as_deref()
    }

    /// Everything that the gateway said, in its order.
    pub fn gateway_errors(&self) -> &[GatewayError] {
        &self.0.gateway_errors
    }

    /// Company, object, function, control id and the texts of the gateway, a line each; empty when nothing is known.
    pub fn detail(&self) -> String {
        let place = [
            ("Company", self.company()),
            ("Object", self.object()),
            ("Function", self.function()),
            ("Control id", self.control_id()),
        ];
        let mut lines: Vec<String> = place
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| format!("{name}: {value}")))
            .collect();
        lines.extend(
            self.gateway_errors()
                .iter()
                .take(MAX_SHOWN)
                .map(|error| format!("Gateway error {error}")),
        );
        if let Some(more @ 1..) = self.gateway_errors().len().checked_sub(MAX_SHOWN) {
            lines.push(format!("Further errors of the gateway: {more}"));
        }
        lines.join("\n")
    }

    /// What to do about it; empty when nothing can be advised.
    pub fn hint(&self) -> String {
        match &self.0.hint {
            Some(hint) => hint.clone(),
            None => remedy::hint(&self.0.kind).to_owned(),
        }
    }
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.errorno.is_empty() {
            "(no number)"
        } else {
            &self.errorno
        })?;
        let texts = [&self.description, &self.description2, &self.correction];
        let mut separator = ": ";
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            write!(f, "{separator}{text}")?;
            separator = " - ";
        }
        Ok(())
    }
}

impl GatewayError {
    /// Takes secrets out of the texts.
    pub(crate) fn mask(&mut self, secrets: &Mask) {
        for text in [
            &mut self.errorno,
            &mut self.description,
            &mut self.description2,
            &mut self.correction,
        ] {
            *text = secrets.apply(std::mem::take(text));
        }
    }

    /// The text to show first: usually the second description.
    pub fn text(&self) -> &str {
        [
            &self.description2,
            &self.description,
            &self.correction,
            &self.errorno,
        ]
        .into_iter()
        .find(|text| !text.is_empty())
        .map_or("the gateway gives no reason", |text| text.as_str())
    }
}
