//! The query value: a request for rows of one Intacct object.
//!
//! [`Query`] is a plain value. Its text form ([`Display`](std::fmt::Display) and [`FromStr`](std::str::FromStr)) is
//! the connector's SELECT syntax; its other form is what a [dialect](crate::dialect) renders for the gateway.

mod bind;
mod display;
mod literal;
mod parse;
pub mod text;

pub(crate) use bind::compare_numbers;
pub use bind::{Binding, Bound, MOST_LISTED, ends};
pub(crate) use literal::{write_us_date, write_us_datetime};
pub use parse::SyntaxError;

use serde::{Deserialize, Serialize};

/// A question to one Intacct object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Query {
    /// Integration name of the object, as Intacct spells it (`ARINVOICE`).
    pub object: String,
    /// Transaction definition, for the documents of Order Entry, Purchasing and Inventory (`Sales Order`).
    pub docparid: Option<String>,
    /// What each row holds, in order; empty means `*`, every field of the object.
    pub select: Vec<SelectItem>,
    /// The rows wanted; none means all.
    pub filter: Option<Condition>,
    /// The order of the rows, most significant key first.
    pub order_by: Vec<OrderKey>,
    /// At most this many rows.
    pub limit: Option<Count>,
    /// Rows to skip first.
    pub offset: Option<Count>,
    /// Compare text without regard to case, everywhere in the filter.
    pub case_insensitive: bool,
    /// Include rows that are private to an entity.
    pub show_private: bool,
    /// An element that is missing in a row is NULL, and not an error: for a gateway that leaves out empty ones.
    #[serde(default)]
    pub missing_as_null: bool,
}

impl Query {
    /// Asks `object` for everything; the other parts are filled in by the caller.
    pub fn new(object: impl Into<String>) -> Self {
        Query {
            object: object.into(),
            docparid: None,
            select: Vec::new(),
            filter: None,
            order_by: Vec::new(),
            limit: None,
            offset: None,
            case_insensitive: false,
            show_private: false,
            missing_as_null: false,
        }
    }
}

/// One column of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SelectItem {
    /// A field, possibly through relations (`VENDOR.CREDITLIMIT`). Beside aggregates it is a grouping key.
    Field(String),
    /// An aggregate over the group.
    Aggregate {
        /// What is computed.
        function: AggregateFunction,
        /// Over which field.
        field: String,
    },
}

impl SelectItem {
    /// The field that the item reads.
    pub fn field(&self) -> &str {
        match self {
            SelectItem::Field(field) | SelectItem::Aggregate { field, .. } => field,
        }
    }
}

/// The aggregates that the gateway knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AggregateFunction {
    /// `count(F)`
    Count,
    /// `sum(F)`
    Sum,
    /// `avg(F)`
    Avg,
    /// `min(F)`
    Min,
    /// `max(F)`
    Max,
}

impl AggregateFunction {
    /// Every aggregate.
    pub const ALL: [AggregateFunction; 5] = [Self::Count, Self::Sum, Self::Avg, Self::Min, Self::Max];

    /// Lower-case name, both of the text form and of the gateway's element.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderKey {
    /// The field sorted by.
    pub field: String,
    /// Largest first.
    pub descending: bool,
}

/// A number of rows, possibly known only at execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Count {
    /// Known.
    Number(u64),
    /// The parameter of this number (`$1` is 1).
    Param(u32),
}

/// Which rows. Meaning of NULL as in SQL: a row is kept when the condition is true.
///
/// [`And`](Condition::And) and [`Or`](Condition::Or) hold two parts or more; the text form of anything else is not
/// read back as the same value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// Every part holds.
    And(Vec<Condition>),
    /// At least one part holds.
    Or(Vec<Condition>),
    /// A field against a value.
    Compare {
        /// Left side.
        field: String,
        /// How.
        op: CompareOp,
        /// Right side.
        value: Value,
    },
    /// A field against another field. No dialect can express it: it is evaluated by the reader.
    CompareFields {
        /// Left side.
        left: String,
        /// How.
        op: CompareOp,
        /// Right side.
        right: String,
    },
    /// Both bounds are included.
    Between {
        /// The field tested.
        field: String,
        /// Smallest value kept.
        low: Value,
        /// Largest value kept.
        high: Value,
    },
    /// Equal to one of the values (or, negated, to none of them).
    In {
        /// The field tested.
        field: String,
        /// The values; a [`Value::Param`] may be bound to a whole list.
        values: Vec<Value>,
        /// `not in`.
        negated: bool,
    },
    /// Text pattern with `%` and `_`.
    Like {
        /// The field tested.
        field: String,
        /// The pattern.
        pattern: Value,
        /// `not like`.
        negated: bool,
    },
    /// No value.
    IsNull {
        /// The field tested.
        field: String,
        /// `is not null`.
        negated: bool,
    },
}

impl Condition {
    /// `b`, and `a` too when there is one. Nested conjunctions become one.
    pub fn and(a: Option<Condition>, b: Condition) -> Condition {
        let Some(a) = a else { return b };
        let mut parts = match a {
            Condition::And(parts) => parts,
            other => vec![other],
        };
        match b {
            Condition::And(inner) => parts.extend(inner),
            other => parts.push(other),
        }
        Condition::And(parts)
    }

    /// The fields named, in the order of appearance, repetitions included.
    pub fn fields(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.visit(&mut |part| match part {
            Condition::And(_) | Condition::Or(_) => {}
            Condition::CompareFields { left, right, .. } => found.extend([left.as_str(), right.as_str()]),
            Condition::Compare { field, .. }
            | Condition::Between { field, .. }
            | Condition::In { field, .. }
            | Condition::Like { field, .. }
            | Condition::IsNull { field, .. } => found.push(field.as_str()),
        });
        found
    }

    /// The values compared with, in the order of appearance.
    pub fn values(&self) -> Vec<&Value> {
        let mut found = Vec::new();
        self.visit(&mut |part| match part {
            Condition::Compare { value, .. } | Condition::Like { pattern: value, .. } => found.push(value),
            Condition::Between { low, high, .. } => found.extend([low, high]),
            Condition::In { values, .. } => found.extend(values),
            Condition::And(_)
            | Condition::Or(_)
            | Condition::CompareFields { .. }
            | Condition::IsNull { .. } => {}
        });
        found
    }

    /// Gives every parameter the number that `f` makes of its own.
    pub fn renumber(&mut self, f: &mut dyn FnMut(u32) -> u32) {
        let mut of_value = |value: &mut Value| {
            if let Value::Param(number) = value {
                *number = f(*number);
            }
        };
        match self {
            Condition::And(parts) | Condition::Or(parts) => {
                parts.iter_mut().for_each(|part| part.renumber(f));
            }
            Condition::Compare { value, .. } | Condition::Like { pattern: value, .. } => of_value(value),
            Condition::Between { low, high, .. } => [low, high].into_iter().for_each(of_value),
            Condition::In { values, .. } => values.iter_mut().for_each(of_value),
            Condition::CompareFields { .. } | Condition::IsNull { .. } => {}
        }
    }

    /// Calls `f` with this condition and every condition inside it, parents first.
    pub fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Condition)) {
        f(self);
        if let Condition::And(parts) | Condition::Or(parts) = self {
            for part in parts {
                part.visit(f);
            }
        }
    }
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CompareOp {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl CompareOp {
    /// Every operator.
    pub const ALL: [CompareOp; 6] = [Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];

    /// As written in the text form.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

/// A constant, or the place of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Text.
    Text(String),
    /// A decimal number in canonical spelling; make it with [`Value::number`].
    Number(String),
    /// A truth value.
    Boolean(bool),
    /// A calendar day.
    Date(jiff::civil::Date),
    /// A reading of the gateway's wall clock, whole seconds.
    DateTime(jiff::civil::DateTime),
    /// A point in time, whole seconds, said to the gateway in its own zone.
    Instant(jiff::Timestamp),
    /// The parameter of this number (`$1` is 1), bound at execution.
    Param(u32),
}
