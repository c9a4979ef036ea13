//! The text form, read.
use super::{Condition, Query};
use std::str::FromStr;

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

fn unread(text: &str) -> SyntaxError {
    SyntaxError {
        line: 1,
        column: 1,
        expected: "select".into(),
        found: text.into(),
    }
}

impl FromStr for Query {
    type Err = SyntaxError;
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        Err(unread(text))
    }
}

impl FromStr for Condition {
    type Err = SyntaxError;
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        Err(unread(text))
    }
}
