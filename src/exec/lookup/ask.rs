//! The question of a batch: a condition for each key, put together for the gateway.

use crate::private::LookupPrivate;
use crate::private::transform::{ParamTransform, Rounding};
use intacct::{Binding, Bound, CompareOp, Condition, Value};

/// What the rows of one outer row's key are asked by.
pub enum Asked {
    /// No row can match.
    Nothing,
    /// A condition.
    When(Condition),
    /// The gateway cannot express it: all rows are read.
    Everything,
}

impl Asked {
    /// The template with an outer row's values in it.
    pub fn of(private: &LookupPrivate, bindings: &[Binding]) -> Asked {
        let mut binding = |number: u32| {
            let index = number as usize - 1;
            let binding = bindings.get(index).cloned().unwrap_or(Binding::NotRepresentable);
            match (&binding, private.transforms.get(index)) {
                // What is no whole number of eight bytes equals none.
                (Binding::NotRepresentable, Some(ParamTransform::Integer(Rounding::Exact))) => Binding::Null,
                _ if private.dialect.can_express_binding(&binding) => binding,
                _ => Binding::NotRepresentable,
            }
        };
        let bound = match (private.template.bind(&mut binding), &private.coarse) {
            (Bound::Always, Some(coarse)) => coarse.bind(&mut binding),
            (bound, _) => bound,
        };
        match bound {
            Bound::Always => Asked::Everything,
            Bound::Never => Asked::Nothing,
            Bound::When(condition) => Asked::When(condition),
        }
    }
}

/// Comparisons in one request, where a key takes more than one, or where it has several lists.
pub const MOST_COMPARISONS: usize = 3000;

/// Keys that one request asks for, at most `most`.
pub fn most_keys(template: &Condition, most: usize) -> usize {
    match template {
        Condition::And(parts) => (MOST_COMPARISONS / parts.len().max(1)).clamp(1, most),
        _ => most,
    }
}

/// One condition that keeps what any of several keeps: a list, where all compare one field with a value.
pub fn any_of(mut conditions: Vec<Condition>) -> Option<Condition> {
    if conditions.len() < 2 {
        return conditions.pop();
    }
    let Some(Condition::Compare { field, .. }) = conditions.first() else {
        return Some(Condition::Or(conditions));
    };
    let field = field.clone();
    let equals = |condition: &Condition| matches!(condition, Condition::Compare { field: other, op: CompareOp::Eq, .. } if *other == field);
    if !conditions.iter().all(equals) {
        return Some(Condition::Or(conditions));
    }
    let values: Vec<Value> = conditions
        .into_iter()
        .filter_map(|condition| match condition {
            Condition::Compare { value, .. } => Some(value),
            _ => None,
        })
        .collect();
    Some(Condition::In {
        field,
        values,
        negated: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        let query: intacct::Query = format!("select A from B where {text}").parse().expect("a query");
        query.filter.expect("a condition")
    }

    #[test]
    fn keys_of_one_field_become_a_list() {
        let asked = ["X = 1", "X = 2", "X = 7"].map(condition).to_vec();
        assert_eq!(any_of(asked), Some(condition("X in (1, 2, 7)")));
        assert_eq!(any_of(vec![condition("X = 1")]), Some(condition("X = 1")));
        assert_eq!(any_of(Vec::new()), None);
    }

    #[test]
    fn other_keys_become_alternatives() {
        let keys = ["X = 1 and Y = 2", "X = 3 and Y = 4"].map(condition).to_vec();
        assert_eq!(any_of(keys.clone()), Some(Condition::Or(keys)));
        let mixed = ["X = 1", "Y = 2"].map(condition).to_vec();
        assert_eq!(any_of(mixed.clone()), Some(Condition::Or(mixed)));
        let bounds = ["X = 1", "X > 2"].map(condition).to_vec();
        assert_eq!(any_of(bounds.clone()), Some(Condition::Or(bounds)));
    }

    #[test]
    fn a_request_holds_no_more_comparisons_than_it_may() {
        let most = |text| most_keys(&condition(text), 1000);
        assert_eq!(most("X = 1"), 1000);
        assert_eq!(most("X = 1 and Y = 2"), 1000);
        assert_eq!(most("X = 1 and Y = 2 and Z = 3 and A = 4"), 750);
        assert_eq!(most_keys(&condition("X = 1 and Y = 2"), 1), 1);
    }
}
