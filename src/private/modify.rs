//! What the planner passes to the executor of a write.

use intacct::write::Verb;
use serde::{Deserialize, Serialize};

/// Everything that a write needs to know beside the catalogs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModifyPrivate {
    /// What is done to the rows.
    pub verb: Verb,
    /// Columns that UPDATE assigns.
    pub assigned: Vec<i16>,
    /// Columns that RETURNING or a row trigger reads afterwards.
    pub returning: Vec<i16>,
    /// ON CONFLICT DO NOTHING: a row that is there already is left out.
    pub skip_duplicates: bool,
}
