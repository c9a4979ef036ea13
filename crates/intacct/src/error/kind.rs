//! Kinds of failure.

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
    /// A record with this key exists already.
    Duplicate,
    /// A field that the gateway requires was not given.
    MissingRequired,
    /// Something that the record refers to does not exist, or something refers to the record.
    BadReference,
    /// A field was to be emptied, and is not empty.
    NotCleared,
    /// A write may have been executed, and nothing shows whether it was.
    OutcomeUnknown,
    /// No call is left of the day.
    CallLimit,
    /// The caller was asked to stop.
    Interrupted,
    /// The record of a write, or the count of calls, could not be made safe, so nothing was sent.
    NotLogged {
        /// The disk is full.
        disk_full: bool,
    },
    /// The gateway does not accept the form of the request.
    InvalidRequest,
    /// The response is not what the protocol says.
    Malformed,
    /// The response goes beyond a cap.
    TooLarge,
    /// The work would take more calls than it may.
    TooManyCalls,
    /// The gateway named an endpoint that is not to be trusted, or a redirect.
    EndpointRefused,
    /// The user's formatting preferences are not ones that can be read.
    Formatting,
    /// A cell does not parse.
    Cell,
    /// More than one record where one was asked for.
    NotOne,
    /// Data moved while it was read.
    Moved,
    /// Nothing proves that the answer is what was asked for: the caller must ask in another way.
    Undecided,
    /// The gateway is not what an option declares it to be, or cannot do what an option asks for.
    Option,
    /// The dialect cannot express this.
    Unsupported,
    /// Not of the connector's SELECT syntax.
    Syntax,
    /// This process is out of descriptors, threads or memory.
    Resources,
    /// A mistake of this library or of its caller.
    Internal,
}

/// The level at which the gateway refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The sender; nothing was executed.
    Control,
    /// The user; nothing was executed.
    Authentication,
    /// One function.
    Function,
}
