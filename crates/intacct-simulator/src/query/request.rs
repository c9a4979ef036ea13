//! The parts of a `query` element; the document satisfies the schema already.

use crate::envelope::Node;
use crate::error::Fault;

/// Aggregate functions by element name.
pub const AGGREGATES: &[&str] = &["count", "sum", "avg", "min", "max"];

/// One entry of `select`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// `count`, `sum`, `avg`, `min`, `max`; `None` for a plain field.
    pub aggregate: Option<&'static str>,
    /// Field path as written.
    pub path: String,
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the schema")]
pub enum Operator {
    EqualTo,
    NotEqualTo,
    LessThan,
    LessThanOrEqualTo,
    GreaterThan,
    GreaterThanOrEqualTo,
    Between,
    In,
    NotIn,
    Like,
    NotLike,
    IsNull,
    IsNotNull,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of them.
    And(Vec<Condition>),
    /// Any of them.
    Or(Vec<Condition>),
    /// None of them: the language of readByQuery has it, `query` has not.
    Not(Box<Condition>),
    /// A field compared with literals.
    Compare {
        /// Operator.
        operator: Operator,
        /// Field path as written.
        path: String,
        /// Literals.
        values: Vec<String>,
    },
}

/// One key of `orderby`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Field path as written.
    pub path: String,
    /// Descending.
    pub descending: bool,
}

/// A parsed `query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Object name as written.
    pub object: String,
    /// Transaction definition.
    pub docparid: Option<String>,
    /// Selected fields and aggregates.
    pub select: Vec<Selected>,
    /// Condition.
    pub filter: Option<Condition>,
    /// Sort keys.
    pub order: Vec<Order>,
    /// Text compares without case.
    pub case_insensitive: bool,
    /// Rows private to entities are shown at top level.
    pub show_private: bool,
    /// `xml`, `json` or `csv`.
    pub return_format: String,
    /// Rows per page.
    pub page_size: usize,
    /// Rows skipped.
    pub offset: usize,
}

impl Request {
    /// Reads a `query` element.
    ///
    /// # Errors
    /// What the schema does not see: `*` in select, an empty field name, values of between in the wrong order.
    pub fn parse(node: &Node) -> Result<Self, Fault> {
        let mut select = Vec::new();
        for item in node.child("select").into_iter().flat_map(|s| &s.children) {
            let path = item.text.trim();
            if path == "*" {
                return Err(Fault::new(
                    "Query Failed",
                    "The select element does not support the * wildcard",
                )
                .correct("List every field."));
            }
            if path.is_empty() {
                return Err(Fault::new(
                    "Query Failed",
                    "A field name in the select element is empty",
                ));
            }
            let aggregate = AGGREGATES.iter().find(|a| **a == item.name).copied();
            select.push(Selected {
                aggregate,
                path: path.into(),
            });
        }
        let filter = node
            .child("filter")
            .and_then(|f| f.children.first())
            .map(condition);
        let order = node
            .child("orderby")
            .into_iter()
            .flat_map(|o| &o.children)
            .map(|o| Order {
                path: o.child_text("field").unwrap_or_default().into(),
                descending: o.child("descending").is_some(),
            })
            .collect();
        let options = node.child("options");
        let flag = |name| {
            options
                .and_then(|o| o.child_text(name))
                .is_some_and(|t| matches!(t, "true" | "1"))
        };
        let number = |name, default| {
            node.child_text(name)
                .and_then(|t| t.parse().ok())
                .unwrap_or(default)
        };
        Ok(Self {
            object: node.child_text("object").unwrap_or_default().into(),
            docparid: node
                .child_text("docparid")
                .filter(|d| !d.is_empty())
                .map(Into::into),
            select,
            filter,
            order,
            case_insensitive: flag("caseinsensitive"),
            show_private: flag("showprivate"),
            return_format: options
                .and_then(|o| o.child_text("returnformat"))
                .unwrap_or("xml")
                .to_lowercase(),
            page_size: number("pagesize", 100),
            offset: number("offset", 0),
        })
    }
}

fn condition(node: &Node) -> Condition {
    let operator = match node.name.as_str() {
        "and" => return Condition::And(node.children.iter().map(condition).collect()),
        "or" => return Condition::Or(node.children.iter().map(condition).collect()),
        "notequalto" => Operator::NotEqualTo,
        "lessthan" => Operator::LessThan,
        "lessthanorequalto" => Operator::LessThanOrEqualTo,
        "greaterthan" => Operator::GreaterThan,
        "greaterthanorequalto" => Operator::GreaterThanOrEqualTo,
        "between" => Operator::Between,
        "in" => Operator::In,
        "notin" => Operator::NotIn,
        "like" => Operator::Like,
        "notlike" => Operator::NotLike,
        "isnull" => Operator::IsNull,
        "isnotnull" => Operator::IsNotNull,
        _ => Operator::EqualTo,
    };
    Condition::Compare {
        operator,
        path: node.child_text("field").unwrap_or_default().into(),
        // Blanks belong to a text value: only names are trimmed.
        values: node
            .children
            .iter()
            .filter(|c| c.name == "value")
            .map(|c| c.text.clone())
            .collect(),
    }
}
