//! How a query is rendered for the gateway. Each dialect declares what it can express; a planner asks and never assumes.

mod capabilities;
pub(crate) mod get_list;
pub mod legacy;
mod query;
mod read_by_query;
mod wall_clock;

pub use capabilities::{Capabilities, Operators, PageRequest, RenderContext};
pub use wall_clock::is_storable;

use crate::config::DtdVersion;
use crate::error::Error;
use crate::query::{Binding, Condition, Query, Value};
use crate::schema::DataType;
use capabilities::Dialect;

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
    /// The function that reads rows for requests of this version.
    pub fn for_version(version: DtdVersion) -> DialectKind {
        match version {
            DtdVersion::V3_0 => DialectKind::Query,
            DtdVersion::V2_1 => DialectKind::GetList,
        }
    }

    /// Name of the gateway's function.
    pub fn function(self) -> &'static str {
        match self {
            DialectKind::Query => "query",
            DialectKind::ReadByQuery => "readByQuery",
            DialectKind::GetList => "get_list",
        }
    }

    /// What the dialect can express.
    pub fn capabilities(self) -> &'static Capabilities {
        match self {
            DialectKind::Query => query::QueryDialect.capabilities(),
            DialectKind::ReadByQuery => read_by_query::ReadByQueryDialect.capabilities(),
            DialectKind::GetList => get_list::GetListDialect.capabilities(),
        }
    }

    /// The field that identifies rows, where the function settles it and not the object's definition: 2.1 finds most
    /// objects by their id and shows no record number of theirs.
    pub fn settled_key(self, object: &str) -> Option<&'static str> {
        match self {
            DialectKind::GetList => legacy::LegacyObject::find(object).map(|object| object.key),
            DialectKind::Query | DialectKind::ReadByQuery => None,
        }
    }

    /// Whether conditions on a field can be expressed at all, in the sense in which rows show it.
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

    /// Whether the dialect can express a condition on fields that [compare](Self::compares).
    pub fn can_express(self, condition: &Condition) -> bool {
        let operators = &self.capabilities().operators;
        let operator = match condition {
            Condition::And(parts) | Condition::Or(parts) => {
                return parts.iter().all(|part| self.can_express(part));
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
        operator
            && condition
                .values()
                .into_iter()
                .all(|value| self.can_express_value(value))
    }

    /// Whether the dialect can express what a parameter is bound to.
    pub fn can_express_binding(self, binding: &Binding) -> bool {
        match binding {
            Binding::Value(value) => self.can_express_value(value),
            Binding::List(values) => values.iter().flatten().all(|value| self.can_express_value(value)),
            Binding::Null | Binding::NotRepresentable => true,
        }
    }

    /// Whether the dialect can represent a value. Of a parameter that is known when it is bound.
    pub fn can_express_value(self, value: &Value) -> bool {
        let capabilities = self.capabilities();
        match value {
            Value::Text(text) => capabilities.backslash || !text.contains('\\'),
            Value::Boolean(_) => capabilities.booleans,
            _ => true,
        }
    }
}

/// The function element alone, without credentials. A parameter that is not bound is shown as `$1`.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for what the dialect cannot express.
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
