//! Which part of a condition is pushed down, and which part is checked locally.
//!
//! The pushed part may keep more rows than the condition, never fewer: a row that the gateway leaves out is lost.

use super::names::Names;
use crate::dialect::{Capabilities, DialectKind};
use crate::query::text::{self, Letters, TextTest};
use crate::query::{CompareOp, Condition, Query, Value};
use crate::schema::{Class, DataType};

/// A condition in two parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// What is pushed down; none keeps every row.
    pub pushed: Option<Condition>,
    /// What rows are checked for locally; none checks nothing.
    pub checked: Option<Condition>,
    /// The pushed part keeps no row that the condition drops.
    pub is_exact: bool,
}

/// Splits the condition of a query for a dialect.
pub(super) fn split(query: &Query, names: &Names, kind: DialectKind) -> Split {
    let can = kind.capabilities();
    let splitter = Splitter {
        object: &query.object,
        names,
        kind,
        can,
        folds: query.case_insensitive,
        local_text: query.case_insensitive && !can.case_insensitive_option,
    };
    match &query.filter {
        None => Split {
            is_exact: true,
            ..Split::default()
        },
        Some(condition) => splitter.split(condition),
    }
}

struct Splitter<'a> {
    object: &'a str,
    names: &'a Names,
    kind: DialectKind,
    can: &'a Capabilities,
    /// Case is disregarded, and the dialect has no option for that: text is compared locally.
    local_text: bool,
    /// Case is disregarded; how the gateway folds letters is not documented.
    folds: bool,
}

impl Splitter<'_> {
    fn split(&self, condition: &Condition) -> Split {
        match condition {
            Condition::And(parts) => {
                let parts: Vec<Split> = parts.iter().map(|part| self.split(part)).collect();
                let is_exact = parts.iter().all(|part| part.is_exact);
                let (mut pushed, mut checked) = (None, None);
                for part in parts {
                    pushed = both(pushed, part.pushed);
                    checked = both(checked, part.checked);
                }
                Split {
                    pushed,
                    checked,
                    is_exact,
                }
            }
            Condition::Or(parts) => {
                let parts: Vec<Split> = parts.iter().map(|part| self.split(part)).collect();
                let is_exact = parts.iter().all(|part| part.is_exact);
                let looks = parts.iter().any(|part| part.checked.is_some());
                let pushed: Option<Vec<Condition>> = parts.into_iter().map(|part| part.pushed).collect();
                Split {
                    pushed: pushed.map(Condition::Or),
                    // Alternatives can be checked only as a whole.
                    checked: (looks || !is_exact).then(|| condition.clone()),
                    is_exact,
                }
            }
            leaf => self.leaf(leaf),
        }
    }

    fn leaf(&self, leaf: &Condition) -> Split {
        let fields = leaf.fields();
        let dotted = |field: &&str| !self.can.dotted && field.contains('.');
        let compared = |field: &&str| self.kind.compares(self.object, field, &self.names.type_of(field));
        if fields.iter().any(|field| dotted(field) || !compared(field)) {
            return local(leaf);
        }
        let is_test = matches!(leaf, Condition::IsNull { .. });
        if let (true, false, [field]) = (self.local_text, is_test, &fields[..])
            && Class::of(&self.names.type_of(field)) == Class::Text
        {
            return self.with_value(leaf, field);
        }
        let operators = &self.can.operators;
        match leaf {
            Condition::IsNull { negated: false, .. } if operators.is_null => exact(leaf),
            Condition::IsNull { negated: true, .. } if operators.is_not_null => exact(leaf),
            Condition::Compare { field, op, value } => self.compare(leaf, field, *op, value),
            Condition::Between { field, low, high } => {
                // As two comparisons: the gateway does not say what it makes of bounds in the wrong order.
                let bound = |op, value: &Value| Condition::Compare {
                    field: field.clone(),
                    op,
                    value: value.clone(),
                };
                let bounds = [bound(CompareOp::Ge, low), bound(CompareOp::Le, high)];
                self.split(&Condition::And(bounds.to_vec()))
            }
            Condition::In {
                field,
                values,
                negated,
            } => self.list(leaf, field, values, *negated),
            Condition::Like {
                field,
                pattern: Value::Text(pattern),
                negated,
            } => {
                let test = text::matches(field, !negated, pattern, Letters::Distinct, self.is_enum(field));
                match test {
                    // What disregards case leaves out more under a negative.
                    Some(_) if *negated && self.folds => self.with_value(leaf, field),
                    Some(test) => self.text(leaf, field, test),
                    None => local(leaf),
                }
            }
            _ => local(leaf),
        }
    }

    fn compare(&self, leaf: &Condition, field: &str, op: CompareOp, value: &Value) -> Split {
        let class = Class::of(&self.names.type_of(field));
        let equal = op == CompareOp::Eq;
        if class == Class::Text && (equal || op == CompareOp::Ne) {
            let is_enum = self.is_enum(field) && !self.folds;
            return match text::compares(field, equal, value, is_enum) {
                Some(test) => self.text(leaf, field, test),
                None => self.with_value(leaf, field),
            };
        }
        if !self.can.operators.compare.contains(&op) || !self.is_representable(field, value) {
            return self.with_value(leaf, field);
        }
        match (class, op, value) {
            // A boolean that is not set may read false.
            (Class::Boolean, CompareOp::Eq, Value::Boolean(true)) => exact(leaf),
            (Class::Boolean, ..) => local(leaf),
            (Class::Moment, _, Value::Instant(_)) => Split {
                pushed: Some(leaf.clone()),
                ..local(leaf)
            },
            // What the gateway does with rows without a value is not known (fact 20).
            (_, CompareOp::Ne, _) => match self.has_value(field) {
                Some(has_value) => Split {
                    pushed: Some(Condition::and(Some(leaf.clone()), has_value)),
                    checked: None,
                    is_exact: true,
                },
                None => Split {
                    pushed: Some(leaf.clone()),
                    ..local(leaf)
                },
            },
            _ => exact(leaf),
        }
    }

    fn list(&self, leaf: &Condition, field: &str, values: &[Value], negated: bool) -> Split {
        let class = Class::of(&self.names.type_of(field));
        let operators = &self.can.operators;
        if class == Class::Text && (negated || operators.in_list) {
            let is_enum = self.is_enum(field) && !self.folds;
            return match text::lists(field, !negated, values, is_enum) {
                Some(test) => self.text(leaf, field, test),
                None => local(leaf),
            };
        }
        let representable = !values.is_empty()
            && class != Class::Boolean
            && values.iter().all(|value| self.is_representable(field, value))
            && !values.iter().any(|value| matches!(value, Value::Instant(_)));
        match (negated, class) {
            // Points in time may be bounded by readings of the clock around them.
            (false, Class::Moment) if !representable && operators.in_list && !values.is_empty() => Split {
                pushed: Some(leaf.clone()),
                ..local(leaf)
            },
            (false, _) if !representable => local(leaf),
            (false, _) if operators.in_list => exact(leaf),
            // Without an operator for lists: one comparison per value.
            (false, _) if operators.compare.contains(&CompareOp::Eq) && values.len() <= 100 => {
                let one = |value: &Value| Condition::Compare {
                    field: field.to_owned(),
                    op: CompareOp::Eq,
                    value: value.clone(),
                };
                let pushed = match values {
                    [single] => one(single),
                    several => Condition::Or(several.iter().map(one).collect()),
                };
                Split {
                    pushed: Some(pushed),
                    checked: Some(leaf.clone()),
                    is_exact: true,
                }
            }
            (true, _) if values.is_empty() => local(leaf),
            (true, _) => match self.has_value(field) {
                Some(has_value) if representable && operators.not_in_list => Split {
                    pushed: Some(Condition::and(Some(leaf.clone()), has_value)),
                    checked: None,
                    is_exact: true,
                },
                _ => self.with_value(leaf, field),
            },
            _ => local(leaf),
        }
    }

    /// A test of text. Rows are rechecked all the same: what blanks at the end of values do is not known (fact 22).
    fn text(&self, leaf: &Condition, field: &str, test: TextTest) -> Split {
        if !self.kind.can_express(&test.sent) {
            return self.with_value(leaf, field);
        }
        Split {
            pushed: Some(test.sent),
            checked: Some(leaf.clone()),
            is_exact: test.exact && !self.folds,
        }
    }

    fn is_enum(&self, field: &str) -> bool {
        self.names.type_of(field) == DataType::Enum
    }

    /// Checked locally; pushed down is that the field has a value.
    fn with_value(&self, leaf: &Condition, field: &str) -> Split {
        Split {
            pushed: self.has_value(field),
            ..local(leaf)
        }
    }

    fn has_value(&self, field: &str) -> Option<Condition> {
        self.can.operators.is_not_null.then(|| Condition::IsNull {
            field: field.to_owned(),
            negated: true,
        })
    }

    /// Whether a value can be sent, and the gateway takes it as it is meant.
    fn is_representable(&self, field: &str, value: &Value) -> bool {
        let data_type = self.names.type_of(field);
        match value {
            Value::Text(text) => text::is_sendable(text),
            Value::Number(digits) => !data_type.is_integer() || !digits.contains('.'),
            Value::DateTime(moment) => moment.subsec_nanosecond() == 0,
            _ => true,
        }
    }
}

fn exact(leaf: &Condition) -> Split {
    Split {
        pushed: Some(leaf.clone()),
        checked: None,
        is_exact: true,
    }
}

fn local(leaf: &Condition) -> Split {
    Split {
        pushed: None,
        checked: Some(leaf.clone()),
        is_exact: false,
    }
}

fn both(a: Option<Condition>, b: Option<Condition>) -> Option<Condition> {
    match b {
        Some(b) => Some(Condition::and(a, b)),
        None => a,
    }
}
