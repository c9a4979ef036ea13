//! Parameters become values, with the meaning that SQL gives to NULL.

use super::{CompareOp, Condition, Count, Query, Value};
use std::cmp::Ordering;
use std::collections::HashSet;

/// The longest list that is sent. How long one may be is not known (fact 28); beyond this the request is for what lies
/// between the ends of the list, or for everything, and the rows are rechecked.
pub const MOST_LISTED: usize = 10_000;

/// What a parameter turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// NULL.
    Null,
    /// One value.
    Value(Value),
    /// The elements of an array; `None` is a NULL element. Inside `in (…)`, or on the right of `=` as `= any`.
    List(Vec<Option<Value>>),
    /// A value that the gateway has no faithful representation of: the condition on it keeps every row, and the caller sorts
    /// them out itself.
    NotRepresentable,
}

/// What is left of a condition once its parameters are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// True of every row.
    Always,
    /// True of no row.
    Never,
    /// Depends on the row.
    When(Condition),
}

type Lookup<'a> = &'a mut dyn FnMut(u32) -> Binding;

impl Condition {
    /// Replaces parameters by what `f` returns for their numbers. A comparison with NULL is true of no row, as in SQL.
    ///
    /// A list bound where only one value makes sense leaves the parameter in place; rendering then refuses it.
    pub fn bind(&self, f: &mut dyn FnMut(u32) -> Binding) -> Bound {
        match self {
            Condition::And(parts) => bind_and(parts, f),
            Condition::Or(parts) => bind_or(parts, f),
            Condition::CompareFields { .. } | Condition::IsNull { .. } => Bound::When(self.clone()),
            Condition::Compare { field, op, value } => match scalar(value, f) {
                Scalar::Null => Bound::Never,
                Scalar::One(value) => Bound::When(Condition::Compare {
                    field: field.clone(),
                    op: *op,
                    value,
                }),
                Scalar::NotRepresentable => Bound::Always,
                Scalar::Many(values) if *op == CompareOp::Eq => membership(field, values, false),
                Scalar::Many(_) => Bound::When(self.clone()),
            },
            Condition::Like {
                field,
                pattern,
                negated,
            } => match scalar(pattern, f) {
                Scalar::Null => Bound::Never,
                Scalar::One(pattern) => Bound::When(Condition::Like {
                    field: field.clone(),
                    pattern,
                    negated: *negated,
                }),
                Scalar::NotRepresentable => Bound::Always,
                Scalar::Many(_) => Bound::When(self.clone()),
            },
            Condition::Between { field, low, high } => match (scalar(low, f), scalar(high, f)) {
                (Scalar::Null, _) | (_, Scalar::Null) => Bound::Never,
                (Scalar::NotRepresentable, _) | (_, Scalar::NotRepresentable) => Bound::Always,
                (Scalar::One(low), Scalar::One(high)) if compare(&low, &high) == Some(Ordering::Greater) => {
                    Bound::Never
                }
                (Scalar::One(low), Scalar::One(high)) => Bound::When(Condition::Between {
                    field: field.clone(),
                    low,
                    high,
                }),
                _ => Bound::When(self.clone()),
            },
            Condition::In {
                field,
                values,
                negated,
            } => {
                let mut elements = Vec::with_capacity(values.len());
                for value in values {
                    match scalar(value, f) {
                        // A NULL array, or a NULL element: the two differ only for an empty remainder of `not in`,
                        // and there both are NULL.
                        Scalar::Null => elements.push(None),
                        Scalar::One(value) => elements.push(Some(value)),
                        Scalar::Many(list) => elements.extend(list),
                        Scalar::NotRepresentable => return Bound::Always,
                    }
                }
                membership(field, elements, *negated)
            }
        }
    }
}

impl Query {
    /// Replaces parameters in the filter, limit and offset. `None`: no row can match.
    ///
    /// A NULL limit or offset is none, as in SQL; so is one that is not a whole number from 0.
    pub fn bind(&self, f: &mut dyn FnMut(u32) -> Binding) -> Option<Query> {
        let filter = match self.filter.as_ref().map(|filter| filter.bind(f)) {
            None | Some(Bound::Always) => None,
            Some(Bound::When(filter)) => Some(filter),
            Some(Bound::Never) => return None,
        };
        let limit = bind_count(self.limit, f);
        let offset = bind_count(self.offset, f);
        Some(Query {
            filter,
            limit,
            offset,
            ..self.clone()
        })
    }

    /// The first parameter that is still unbound.
    pub(crate) fn unbound(&self) -> Option<u32> {
        let values = self.filter.as_ref().map(Condition::values).unwrap_or_default();
        let counts = [self.limit, self.offset].into_iter().flatten();
        let params = values.into_iter().filter_map(|value| match value {
            Value::Param(number) => Some(*number),
            _ => None,
        });
        params
            .chain(counts.filter_map(|count| match count {
                Count::Param(number) => Some(number),
                Count::Number(_) => None,
            }))
            .next()
    }
}

fn bind_count(count: Option<Count>, f: Lookup<'_>) -> Option<Count> {
    match count? {
        Count::Number(number) => Some(Count::Number(number)),
        Count::Param(param) => match f(param) {
            Binding::Value(Value::Number(digits)) => digits.parse().ok().map(Count::Number),
            _ => None,
        },
    }
}

enum Scalar {
    Null,
    One(Value),
    Many(Vec<Option<Value>>),
    NotRepresentable,
}

fn scalar(value: &Value, f: Lookup<'_>) -> Scalar {
    match value {
        Value::Param(number) => match f(*number) {
            Binding::Null => Scalar::Null,
            Binding::Value(value) => Scalar::One(value),
            Binding::List(list) => Scalar::Many(list),
            Binding::NotRepresentable => Scalar::NotRepresentable,
        },
        constant => Scalar::One(constant.clone()),
    }
}

/// `in` and `not in` with their NULL rules; repeated values are dropped.
fn membership(field: &str, elements: Vec<Option<Value>>, negated: bool) -> Bound {
    if elements.is_empty() {
        return if negated { Bound::Always } else { Bound::Never };
    }
    if negated && elements.iter().any(Option::is_none) {
        return Bound::Never;
    }
    let mut seen = HashSet::with_capacity(elements.len());
    let values: Vec<Value> = elements
        .into_iter()
        .flatten()
        .filter(|value| seen.insert(value.clone()))
        .collect();
    if values.is_empty() {
        return Bound::Never;
    }
    if values.len() > MOST_LISTED {
        return match ends(&values).filter(|_| !negated) {
            Some((low, high)) => Bound::When(Condition::Between {
                field: field.to_owned(),
                low,
                high,
            }),
            None => Bound::Always,
        };
    }
    Bound::When(Condition::In {
        field: field.to_owned(),
        values,
        negated,
    })
}

fn bind_and(parts: &[Condition], f: Lookup<'_>) -> Bound {
    let mut kept = Vec::with_capacity(parts.len());
    let mut never = false;
    for part in parts {
        match part.bind(f) {
            Bound::Always => {}
            Bound::Never => never = true,
            Bound::When(Condition::And(inner)) if !matches!(part, Condition::And(_)) => kept.extend(inner),
            Bound::When(part) => kept.push(part),
        }
    }
    match kept.len() {
        _ if never => Bound::Never,
        0 => Bound::Always,
        1 => Bound::When(kept.remove(0)),
        _ => Bound::When(Condition::And(kept)),
    }
}

fn bind_or(parts: &[Condition], f: Lookup<'_>) -> Bound {
    let mut kept = Vec::with_capacity(parts.len());
    let mut always = false;
    for part in parts {
        match part.bind(f) {
            Bound::Always => always = true,
            Bound::Never => {}
            Bound::When(part) => kept.push(part),
        }
    }
    match kept.len() {
        _ if always => Bound::Always,
        0 => Bound::Never,
        1 => Bound::When(kept.remove(0)),
        _ => Bound::When(Condition::Or(kept)),
    }
}

/// Order of two constants of one type, where it is known without the gateway.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::DateTime(a), Value::DateTime(b)) => Some(a.cmp(b)),
        (Value::Instant(a), Value::Instant(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => Some(compare_numbers(a, b)),
        _ => None,
    }
}

/// The least and the greatest of some values that have an order here as there; text has none.
pub fn ends(values: &[Value]) -> Option<(Value, Value)> {
    let mut values = values.iter();
    let first = values.next()?;
    let (mut low, mut high) = (first, first);
    for value in values {
        if compare(value, low)? == Ordering::Less {
            low = value;
        }
        if compare(value, high)? == Ordering::Greater {
            high = value;
        }
    }
    compare(low, high).map(|_| (low.clone(), high.clone()))
}

/// Compares two canonical decimals exactly.
pub(crate) fn compare_numbers(a: &str, b: &str) -> Ordering {
    let magnitude = |a: &str, b: &str| {
        let (a_whole, a_fraction) = a.split_once('.').unwrap_or((a, ""));
        let (b_whole, b_fraction) = b.split_once('.').unwrap_or((b, ""));
        (a_whole.len().cmp(&b_whole.len()))
            .then_with(|| a_whole.cmp(b_whole))
            .then(a_fraction.cmp(b_fraction))
    };
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => magnitude(a, b),
        (Some(a), Some(b)) => magnitude(b, a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests;
