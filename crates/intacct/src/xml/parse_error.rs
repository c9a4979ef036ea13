//! Why a document is not accepted.

/// Why a document is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// It ends too early: worth another try.
    Truncated(String),
    /// It is not what the protocol says.
    Malformed(String),
    /// It is whole, and not for the request.
    Foreign(String),
    /// It goes beyond a cap.
    TooLarge(String),
}

impl ParseError {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        ParseError::Malformed(what.into())
    }
}
