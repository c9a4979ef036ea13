//! Which part of a condition the gateway is told, and which part is looked at here.
//!
//! The gateway may be told less than the condition says, never more: what it leaves out is lost.

use super::like::Pattern;
use super::names::Names;
use crate::dialect::{Capabilities, DialectKind};
use crate::query::{CompareOp, Condition, Query, Value};
use crate::schema::Class;

/// A condition taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// What the gateway is told; none is everything.
    pub told: Option<Condition>,
    /// What rows are checked for here; none is nothing.
    pub checked: Option<Condition>,
    /// What the gateway is told keeps no row that the condition drops.
    pub is_exact: bool,
}

/// Takes the condition of a query apart for a dialect.
pub(super) fn split(query: &Query, names: &Names, kind: DialectKind) -> Split {
    let can = kind.capabilities();
    let splitter = Splitter {
        object: &query.object,
        names,
        kind,
        can,
        text_here: query.case_insensitive && !can.case_insensitive_option,
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
    /// The gateway cannot be told to disregard case.
    text_here: bool,
}

impl Splitter<'_> {
    fn split(&self, condition: &Condition) -> Split {
        match condition {
            Condition::And(parts) => {
                let parts: Vec<Split> = parts.iter().map(|part| self.split(part)).collect();
                let is_exact = parts.iter().all(|part| part.is_exact);
                let (mut told, mut checked) = (None, None);
                for part in parts {
                    told = both(told, part.told);
                    checked = both(checked, part.checked);
                }
                Split {
                    told,
                    checked,
                    is_exact,
                }
            }
            Condition::Or(parts) => {
                let parts: Vec<Split> = parts.iter().map(|part| self.split(part)).collect();
                let is_exact = parts.iter().all(|part| part.is_exact);
                let told: Option<Vec<Condition>> = parts.into_iter().map(|part| part.told).collect();
                Split {
                    told: told.map(Condition::Or),
                    // Only as a whole can alternatives be looked at.
                    checked: (!is_exact).then(|| condition.clone()),
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
            return here(leaf);
        }
        let is_test = matches!(leaf, Condition::IsNull { .. });
        if let (true, false, [field]) = (self.text_here, is_test, &fields[..])
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
                pattern: Value::Text(text),
                negated: false,
            } if operators.like => {
                let coarse = Pattern::new(text).coarsest();
                if coarse.is_empty() {
                    return here(leaf);
                }
                let told = Condition::Like {
                    field: field.clone(),
                    pattern: Value::Text(coarse),
                    negated: false,
                };
                Split {
                    told: Some(told),
                    ..here(leaf)
                }
            }
            Condition::Like {
                field, negated: true, ..
            } => self.with_value(leaf, field),
            _ => here(leaf),
        }
    }

    fn compare(&self, leaf: &Condition, field: &str, op: CompareOp, value: &Value) -> Split {
        let class = Class::of(&self.names.type_of(field));
        if !self.can.operators.compare.contains(&op) || !self.is_sayable(field, value) {
            return self.with_value(leaf, field);
        }
        match (class, op, value) {
            // Whether the gateway minds blanks at the end of text is not documented.
            (Class::Text, CompareOp::Eq, _) => Split {
                checked: Some(leaf.clone()),
                ..exact(leaf)
            },
            (Class::Text, CompareOp::Ne, _) => self.with_value(leaf, field),
            // A boolean that is not set may read false.
            (Class::Boolean, CompareOp::Eq, Value::Boolean(true)) => exact(leaf),
            (Class::Boolean, ..) => here(leaf),
            (Class::Moment, _, Value::Instant(_)) => Split {
                told: Some(leaf.clone()),
                ..here(leaf)
            },
            // What the gateway does with rows without a value is not documented.
            (_, CompareOp::Ne, _) => match self.has_value(field) {
                Some(has_value) => Split {
                    told: Some(Condition::and(Some(leaf.clone()), has_value)),
                    checked: None,
                    is_exact: true,
                },
                None => Split {
                    told: Some(leaf.clone()),
                    ..here(leaf)
                },
            },
            _ => exact(leaf),
        }
    }

    fn list(&self, leaf: &Condition, field: &str, values: &[Value], negated: bool) -> Split {
        let class = Class::of(&self.names.type_of(field));
        let operators = &self.can.operators;
        let said = !values.is_empty()
            && class != Class::Boolean
            && values.iter().all(|value| self.is_sayable(field, value))
            && !values.iter().any(|value| matches!(value, Value::Instant(_)));
        match (negated, class) {
            (false, _) if !said => here(leaf),
            (false, _) if operators.in_list => Split {
                checked: (class == Class::Text).then(|| leaf.clone()),
                ..exact(leaf)
            },
            // What a dialect without lists can say is said one by one.
            (false, _) if operators.compare.contains(&CompareOp::Eq) && values.len() <= 100 => {
                let one = |value: &Value| Condition::Compare {
                    field: field.to_owned(),
                    op: CompareOp::Eq,
                    value: value.clone(),
                };
                let told = match values {
                    [single] => one(single),
                    several => Condition::Or(several.iter().map(one).collect()),
                };
                Split {
                    told: Some(told),
                    checked: Some(leaf.clone()),
                    is_exact: true,
                }
            }
            (true, _) if values.is_empty() => here(leaf),
            (true, class) => match self.has_value(field) {
                Some(has_value) if said && class != Class::Text && operators.not_in_list => Split {
                    told: Some(Condition::and(Some(leaf.clone()), has_value)),
                    checked: None,
                    is_exact: true,
                },
                _ => self.with_value(leaf, field),
            },
            _ => here(leaf),
        }
    }

    /// Looked at here; the gateway is told that the field has a value.
    fn with_value(&self, leaf: &Condition, field: &str) -> Split {
        Split {
            told: self.has_value(field),
            ..here(leaf)
        }
    }

    fn has_value(&self, field: &str) -> Option<Condition> {
        self.can.operators.is_not_null.then(|| Condition::IsNull {
            field: field.to_owned(),
            negated: true,
        })
    }

    /// Whether the gateway can be told a value and takes it as it is meant.
    fn is_sayable(&self, field: &str, value: &Value) -> bool {
        let data_type = self.names.type_of(field);
        match value {
            Value::Text(text) => !text.is_empty() && !text.chars().any(char::is_control),
            Value::Number(digits) => !data_type.is_integer() || !digits.contains('.'),
            Value::DateTime(moment) => moment.subsec_nanosecond() == 0,
            _ => true,
        }
    }
}

fn exact(leaf: &Condition) -> Split {
    Split {
        told: Some(leaf.clone()),
        checked: None,
        is_exact: true,
    }
}

fn here(leaf: &Condition) -> Split {
    Split {
        told: None,
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
