//! The `query` function: parsed, resolved against the catalogue, rendered to SQL, answered page by page.

mod aggregate;
pub mod cache;
mod condition;
mod request;
mod resolve;
mod rows;
mod run;

pub use cache::Rendered;
pub use request::{Condition, Operator, Order, Request, Selected};
pub use rows::{Kind, ReturnFormat, RowWriter, Shape, cell};
pub use run::{Page, keys, matching, run, show};

use crate::catalog::Catalog;
use crate::format::Formatter;
use crate::settings::Readings;
use crate::store::Store;

/// Who asks, and under which readings.
#[derive(Debug)]
pub struct Scope<'a> {
    /// Object definitions.
    pub catalog: &'static Catalog,
    /// The company's data.
    pub store: &'a Store,
    /// Its cached key lists.
    pub cache: &'a cache::Cache,
    /// Entity of the session; `None` at top level.
    pub location: Option<&'a str>,
    /// Readings of unconfirmed facts.
    pub readings: &'a Readings,
    /// Reads and writes values for the user.
    pub format: &'a Formatter,
    /// Differs between requests: seed of the undefined order.
    pub nonce: u64,
    /// Pretty printing.
    pub whitespace: bool,
}
