//! The error of text that cannot be read as a query.

/// Text that is not of the connector's SELECT syntax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error at line {line}, column {column}: expected {expected}, found {found}")]
pub struct SyntaxError {
    /// Line of the mistake, from 1.
    pub line: usize,
    /// Column of the mistake in characters, from 1.
    pub column: usize,
    /// What could have stood there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl From<SyntaxError> for crate::error::Error {
    fn from(error: SyntaxError) -> Self {
        crate::error::Error::new(crate::error::ErrorKind::Syntax, error.to_string())
    }
}
