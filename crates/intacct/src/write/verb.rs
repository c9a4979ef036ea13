//! What is done to a record.

/// What is done to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Verb {
    /// Make it.
    Create,
    /// Change fields of it.
    Update,
    /// Remove it.
    Delete,
}

impl Verb {
    /// Name of the generic function.
    pub(crate) fn generic(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
        }
    }
}
