use super::*;

fn text(value: &str) -> Option<Value> {
    Some(Value::Text(value.into()))
}

/// Binds the text of a condition and prints what is left.
fn bound(condition: &str, bindings: &[Binding]) -> String {
    let condition: Condition = condition.parse().expect("test condition");
    match condition.bind(&mut |number| bindings[number as usize - 1].clone()) {
        Bound::Always => "always".into(),
        Bound::Never => "never".into(),
        Bound::When(condition) => condition.to_string(),
    }
}

#[test]
fn a_comparison_with_null_is_never_true() {
    for condition in [
        "A = $1",
        "A <> $1",
        "A < $1",
        "A like $1",
        "A not like $1",
        "A between 1 and $1",
    ] {
        assert_eq!(bound(condition, &[Binding::Null]), "never", "{condition}");
    }
}

#[test]
fn lists_follow_the_rules_of_null() {
    let list = |items: Vec<Option<Value>>| [Binding::List(items)];
    assert_eq!(
        bound("A in ($1)", &list(vec![text("x"), None, text("y"), text("x")])),
        "A in ('x', 'y')"
    );
    assert_eq!(bound("A not in ($1)", &list(vec![text("x"), None])), "never");
    assert_eq!(bound("A not in ($1)", &list(vec![text("x")])), "A not in ('x')");
    assert_eq!(bound("A in ($1)", &list(vec![])), "never");
    assert_eq!(bound("A not in ($1)", &list(vec![])), "always");
    assert_eq!(bound("A in ($1)", &list(vec![None])), "never");
    assert_eq!(bound("A not in ($1)", &[Binding::Null]), "never");
    assert_eq!(bound("A in ($1)", &[Binding::Null]), "never");
    assert_eq!(
        bound("A = $1", &list(vec![text("x"), text("y")])),
        "A in ('x', 'y')"
    );
}

#[test]
fn branches_that_are_decided_disappear() {
    let null = [Binding::Null];
    assert_eq!(bound("A = 1 and B = $1", &null), "never");
    assert_eq!(bound("A = 1 or B = $1", &null), "A = 1");
    assert_eq!(bound("A = 1 or B = 2 or C = $1", &null), "A = 1 or B = 2");
    assert_eq!(bound("[A = 1 or B = $1] and C = 2", &null), "A = 1 and C = 2");
    let none = [Binding::List(vec![])];
    assert_eq!(bound("A = 1 and B not in ($1)", &none), "A = 1");
    assert_eq!(bound("A = 1 or B not in ($1)", &none), "always");
    assert_eq!(
        bound("[A = 1 and D = 3 or B = $1] and C = 2", &null),
        "A = 1 and D = 3 and C = 2"
    );
}

#[test]
fn a_range_that_is_empty_is_never_true() {
    let low = |digits: &str| [Binding::Value(Value::Number(digits.into()))];
    assert_eq!(bound("A between $1 and 10", &low("10.5")), "never");
    assert_eq!(
        bound("A between $1 and 10", &low("9.75")),
        "A between 9.75 and 10"
    );
    assert_eq!(bound("A between $1 and -2", &low("-10")), "A between -10 and -2");
    assert_eq!(bound("A between $1 and -2.5", &low("-2.25")), "never");
    assert_eq!(bound("A between 02/01/2024 and 01/31/2024", &[]), "never");
}

#[test]
fn limit_and_offset_are_bound() {
    let query: Query = "select A from B limit $1 offset $2".parse().expect("query");
    let number = |digits: &str| Binding::Value(Value::Number(digits.into()));
    let bound = query
        .bind(&mut |n| if n == 1 { number("5") } else { Binding::Null })
        .expect("rows");
    assert_eq!(bound.to_string(), "select A from B limit 5");
    assert_eq!(query.unbound(), Some(1));
    assert_eq!(bound.unbound(), None);
}

#[test]
fn what_is_not_representable_keeps_every_row() {
    let not_representable = [Binding::NotRepresentable];
    for condition in [
        "A = $1",
        "A not in (1, $1)",
        "A in ($1)",
        "A like $1",
        "A between 1 and $1",
    ] {
        assert_eq!(bound(condition, &not_representable), "always", "{condition}");
    }
    assert_eq!(bound("A = $1 and B = 2", &not_representable), "B = 2");
    assert_eq!(bound("A = $1 or B = 2", &not_representable), "always");
}
