//! How a query is said to the gateway. Each dialect declares what it can say; a planner asks and never assumes.

pub(crate) mod get_list;
pub mod legacy;
mod query;
mod read_by_query;

use crate::error::Error;
use crate::formatting::GatewayZone;
use crate::query::{Binding, CompareOp, Condition, Query, Value};
use crate::schema::DataType;

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
            DialectKind::GetList => get_list::GetListDialect.capabilities(),
        }
    }

    /// The field that tells rows apart, where the function settles it and not the object's definition: 2.1 finds most
    /// objects by their id and shows no record number of theirs.
    pub fn settled_key(self, object: &str) -> Option<&'static str> {
        match self {
            DialectKind::GetList => legacy::LegacyObject::find(object).map(|object| object.key),
            DialectKind::Query | DialectKind::ReadByQuery => None,
        }
    }

    /// Whether conditions on a field can be said at all, in the sense in which rows show it.
    pub fn compares(self, object: &str, field: &str, data_type: &DataType) -> bool {
        let capabilities = self.capabilities();
        let typed = match data_type {
            DataType::Enum => capabilities.enums,
            DataType::Boolean => capabilities.booleans,
            _ => true,
        };
        typed
            && match self {
                DialectKind::Query => true,
                DialectKind::ReadByQuery => !field.contains('.'),
                DialectKind::GetList => {
                    legacy::LegacyObject::find(object).is_some_and(|object| object.filtered(field).is_some())
                }
            }
    }

    /// Whether a condition on fields that [compare](Self::compares) can be said.
    pub fn says(self, condition: &Condition) -> bool {
        let operators = &self.capabilities().operators;
        let operator = match condition {
            Condition::And(parts) | Condition::Or(parts) => {
                return parts.iter().all(|part| self.says(part));
            }
            Condition::Compare { op, .. } => operators.compare.contains(op),
            Condition::CompareFields { .. } => false,
            Condition::Between { .. } => operators.between,
            Condition::In { negated, .. } => match negated {
                false => operators.in_list,
                true => operators.not_in_list,
            },
            Condition::Like { negated, .. } => match negated {
                false => operators.like,
                true => operators.not_like,
            },
            Condition::IsNull { negated, .. } => match negated {
                false => operators.is_null,
                true => operators.is_not_null,
            },
        };
        operator && condition.values().into_iter().all(|value| self.says_value(value))
    }

    /// Whether what a parameter is bound to can be said.
    pub fn says_binding(self, binding: &Binding) -> bool {
        match binding {
            Binding::Value(value) => self.says_value(value),
            Binding::List(values) => values.iter().flatten().all(|value| self.says_value(value)),
            Binding::Null | Binding::Unsayable => true,
        }
    }

    /// Whether a value can be said. Of a parameter that is known when it is bound.
    pub fn says_value(self, value: &Value) -> bool {
        let capabilities = self.capabilities();
        match value {
            Value::Text(text) => capabilities.backslash || !text.contains('\\'),
            Value::Boolean(_) => capabilities.booleans,
            _ => true,
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
    /// An order that rests on nothing but the values.
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
    /// Enumerations are compared by the labels that rows show.
    pub enums: bool,
    /// Truth values can be compared.
    pub booleans: bool,
    /// Text with a backslash can be said.
    pub backslash: bool,
}

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
/// Fails with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for what the dialect cannot say.
pub fn render_function(
    kind: DialectKind,
    query: &Query,
    page: &PageRequest,
    context: &RenderContext,
) -> Result<String, Error> {
    match kind {
        DialectKind::Query => query::QueryDialect.function(query, page, context),
        DialectKind::ReadByQuery => read_by_query::ReadByQueryDialect.function(query, page, context),
        DialectKind::GetList => get_list::GetListDialect.function(query, page, context),
    }
}
