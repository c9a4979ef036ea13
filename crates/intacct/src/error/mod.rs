//! What can go wrong, in one type.

use std::fmt;

/// How far a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectStage {
    /// The name of the host was not resolved.
    Dns,
    /// No TCP connection.
    Tcp,
    /// No agreement on TLS, or a certificate that is not trusted.
    Tls,
}

/// Kinds of failure; each asks for its own remedy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The sender id or its password is wrong.
    SenderRefused,
    /// The sender is not authorised in the company.
    SenderNotAuthorized,
    /// The user, the company or the password is wrong.
    SignInRefused,
    /// The company is expired, disabled or inactive.
    CompanyUnavailable,
    /// The session ended and a new one was refused as well.
    InvalidSession,
    /// The user may not use the object, or the company has not subscribed to it.
    Permission,
    /// The object does not exist.
    UnknownObject,
    /// These fields do not exist or cannot be queried.
    UnknownFields(Vec<String>),
    /// Too many requests, also after retries.
    RateLimited,
    /// No connection.
    Connect(ConnectStage),
    /// The connection broke, also after retries.
    ConnectionLost,
    /// The gateway or its front end gave up (HTTP 5xx), also after retries.
    GatewayTimeout,
    /// `request_timeout` passed.
    RequestTimeout,
    /// The gateway refused the function for another reason.
    Refused,
    /// The gateway does not accept the form of the request.
    InvalidRequest,
    /// The response is not what the protocol says.
    Malformed,
    /// The response goes beyond a cap.
    TooLarge,
    /// The gateway named an endpoint that is not to be trusted, or a redirect.
    EndpointRefused,
    /// The user's formatting preferences are not ones that can be read.
    Formatting,
    /// A cell does not parse.
    Cell,
    /// Data moved while it was read.
    Moved,
    /// The dialect cannot say this.
    Unsupported,
    /// Not of the connector's SELECT syntax.
    Syntax,
    /// A mistake of this library or of its caller.
    Internal,
}

/// One error as the gateway tells it.
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
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    company: Option<String>,
    object: Option<String>,
    function: Option<String>,
    control_id: Option<String>,
    gateway_errors: Vec<GatewayError>,
    hint: Option<String>,
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
        }))
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

    /// Company, object, function, control id and all texts of the gateway, a line each.
    pub fn detail(&self) -> String {
        String::new()
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        self.0.hint.clone().unwrap_or_default()
    }
}
