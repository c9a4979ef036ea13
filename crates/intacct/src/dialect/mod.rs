//! How a query is said to the gateway. Each dialect declares what it can say; a planner asks and never assumes.

mod query;
mod read_by_query;

use crate::error::{Error, ErrorKind};
use crate::formatting::GatewayZone;
use crate::query::{CompareOp, Query};

/// The gateway functions that read rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum DialectKind {
    /// `query`, dtd version 3.0.
    Query,
    /// `readByQuery` with `readMore`, dtd version 3.0.
    ReadByQuery,
    /// `get_list`, dtd version 2.1.
    GetList,
}

impl DialectKind {
    /// Name of the gateway's function.
    pub fn function(self) -> &'static str {
        match self {
            DialectKind::Query => "query",
            DialectKind::ReadByQuery => "readByQuery",
            DialectKind::GetList => "get_list",
        }
    }

    /// What can be said.
    pub fn capabilities(self) -> &'static Capabilities {
        match self {
            DialectKind::Query => query::QueryDialect.capabilities(),
            DialectKind::ReadByQuery => read_by_query::ReadByQueryDialect.capabilities(),
            DialectKind::GetList => &GET_LIST,
        }
    }
}

/// The operators of conditions that a dialect can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operators {
    /// Comparisons of a field with a value.
    pub compare: &'static [CompareOp],
    /// `in (…)`
    pub in_list: bool,
    /// `not in (…)`
    pub not_in_list: bool,
    /// `like`
    pub like: bool,
    /// `not like`
    pub not_like: bool,
    /// `between`
    pub between: bool,
    /// `is null`
    pub is_null: bool,
    /// `is not null`
    pub is_not_null: bool,
}

/// What a dialect can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Conditions.
    pub operators: Operators,
    /// An order.
    pub order: bool,
    /// Aggregates and grouping.
    pub aggregates: bool,
    /// Fields of related objects by path.
    pub dotted: bool,
    /// Text compared without regard to case, for the whole query.
    pub case_insensitive_option: bool,
    /// Rows private to an entity.
    pub show_private: bool,
    /// Skipping rows.
    pub offset: bool,
    /// Largest page, rows.
    pub max_page: u32,
    /// Values of one `in`; longer lists are split by the dialect.
    pub max_in: usize,
    /// Pages tell how many rows match in all.
    pub total_count: bool,
}

static GET_LIST: Capabilities = Capabilities {
    operators: Operators {
        compare: &CompareOp::ALL,
        in_list: false,
        not_in_list: false,
        like: true,
        not_like: true,
        between: false,
        is_null: true,
        is_not_null: false,
    },
    order: true,
    aggregates: false,
    dotted: false,
    case_insensitive_option: false,
    show_private: true,
    offset: true,
    max_page: 100,
    max_in: 0,
    total_count: true,
};

/// What rendering depends on beside the query.
#[derive(Debug, Clone)]
pub struct RenderContext {
    /// Zone in which points in time are said.
    pub zone: GatewayZone,
}

/// Which part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows at most.
    pub size: u32,
    /// Rows skipped.
    pub offset: u64,
}

/// A way of saying queries.
trait Dialect {
    /// What can be said.
    fn capabilities(&self) -> &'static Capabilities;

    /// The function element for one page of the answer.
    fn function(&self, query: &Query, page: &PageRequest, context: &RenderContext) -> Result<String, Error>;
}

/// The function element alone, without credentials. A parameter that is not bound is shown as `$1`.
///
/// Fails with [`ErrorKind::Unsupported`] for what the dialect cannot say.
pub fn render_function(
    kind: DialectKind,
    query: &Query,
    page: &PageRequest,
    context: &RenderContext,
) -> Result<String, Error> {
    match kind {
        DialectKind::Query => query::QueryDialect.function(query, page, context),
        DialectKind::ReadByQuery => read_by_query::ReadByQueryDialect.function(query, page, context),
        DialectKind::GetList => Err(Error::new(
            ErrorKind::Unsupported,
            "this version does not read with get_list",
        )),
    }
}
