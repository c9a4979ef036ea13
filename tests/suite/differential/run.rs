//! Runs a statement on the foreign tables and on their copies, and compares.

use std::collections::HashMap;

use postgres::{Client, SimpleQueryMessage};

use super::statement::{Compare, Statement};

/// The schema of the foreign tables.
pub const FOREIGN: &str = "f";
/// The schema of the local copies.
pub const LOCAL: &str = "l";

/// What each statement is tried with: the classes of pushdown that are switched off.
pub const VARIANTS: &[&[&str]] = &[
    &[],
    &["push_where"],
    &["push_order"],
    &["push_limit"],
    &["push_aggregates"],
    &["push_joins"],
    &["push_lookups"],
    &[
        "push_where",
        "push_order",
        "push_limit",
        "push_aggregates",
        "push_joins",
        "push_lookups",
    ],
];

/// Rows as text, or the SQLSTATE of the error.
type Answer = Result<Vec<Vec<Option<String>>>, String>;

/// Runs `statement` in every variant. Variants whose plans are the same, down to the requests, are run once.
///
/// The plan with everything pushed, if there is one.
///
/// # Errors
/// A description of the first difference.
pub fn check(client: &mut Client, statement: &Statement) -> Result<Option<String>, String> {
    let expected = answer(client, &statement.sql, LOCAL, statement, &[]);
    let whole = match &statement.compare {
        Compare::Part { whole } => Some(answer(client, whole, LOCAL, statement, &[])),
        _ => None,
    };
    let plans = plans(client, statement);
    for (number, off) in VARIANTS.iter().enumerate() {
        let known = |plans: &Vec<_>| plans[..number].contains(&plans[number]);
        if plans.as_ref().is_some_and(known) {
            continue;
        }
        let got = answer(client, &statement.sql, FOREIGN, statement, off);
        difference(&expected, whole.as_ref(), &got, &statement.compare).map_err(|difference| {
            // Whether it comes again tells a wrong plan from something that passed.
            let again = answer(client, &statement.sql, FOREIGN, statement, off);
            let again = match again == got {
                true => "the same when repeated",
                false => "another answer when repeated",
            };
            format!(
                "{difference} ({again})\n  off: {off:?}  time zone: {}\n  {}{}\n{}",
                statement.time_zone,
                statement.settings,
                statement.sql,
                explain(client, statement, off)
            )
        })?;
    }
    Ok(plans.map(|mut plans| plans.swap_remove(0)))
}

/// The plan of every variant; `None`: one of them cannot be made.
fn plans(client: &mut Client, statement: &Statement) -> Option<Vec<String>> {
    let mut sql = String::from("BEGIN;");
    for off in VARIANTS {
        sql += &preamble(FOREIGN, statement, off);
        sql += &explained(&statement.sql);
        sql += "; RESET ALL;";
    }
    let messages = client.simple_query(&(sql + "ROLLBACK"));
    let Ok(messages) = messages else {
        // The statement's own error is for the runs to compare.
        let _ = client.batch_execute("ROLLBACK");
        return None;
    };
    let mut plans = vec![String::new()];
    let mut complete = true;
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                if complete {
                    plans.push(String::new());
                }
                complete = false;
                let plan = plans.last_mut().expect("one was pushed");
                plan.push_str(row.get(0).unwrap_or_default());
                plan.push('\n');
            }
            _ => complete = true,
        }
    }
    plans.remove(0);
    (plans.len() == VARIANTS.len()).then_some(plans)
}

fn answer(client: &mut Client, sql: &str, schema: &str, statement: &Statement, off: &[&str]) -> Answer {
    let result = client.simple_query(&format!("BEGIN; {} {sql}", preamble(schema, statement, off)));
    let ended = client.batch_execute("ROLLBACK");
    let lost = |error: &postgres::Error| format!("08006 the connection is lost: {error:?}");
    let messages = result.map_err(|error| match error.as_db_error() {
        Some(database) => format!("{} {}", database.code().code(), database.message()),
        None => lost(&error),
    })?;
    ended.map_err(|error| lost(&error))?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
            }
            _ => None,
        })
        .collect())
}

fn preamble(schema: &str, statement: &Statement, off: &[&str]) -> String {
    let mut text = format!(
        "SET LOCAL search_path = {schema}; SET LOCAL timezone = '{}'; {}",
        statement.time_zone, statement.settings
    );
    for class in off {
        text += &format!(" SET LOCAL sage_intacct.{class} = off;");
    }
    text
}

/// The statement's EXPLAIN, down to the requests.
fn explained(sql: &str) -> String {
    match sql.rsplit_once("EXECUTE s") {
        Some((before, arguments)) => format!("{before}EXPLAIN (VERBOSE, COSTS OFF) EXECUTE s{arguments}"),
        None => format!("EXPLAIN (VERBOSE, COSTS OFF) {sql}"),
    }
}

fn explain(client: &mut Client, statement: &Statement, off: &[&str]) -> String {
    let sql = explained(&statement.sql);
    match answer(client, &sql, FOREIGN, statement, off) {
        Ok(rows) => rows
            .into_iter()
            .map(|row| format!("    {}", row.into_iter().flatten().collect::<String>()))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => format!("    EXPLAIN fails: {error}"),
    }
}

fn difference(
    expected: &Answer,
    whole: Option<&Answer>,
    got: &Answer,
    compare: &Compare,
) -> Result<(), String> {
    let (expected, got) = match (expected, got) {
        (Ok(expected), Ok(got)) => (expected, got),
        // The texts may name other tables; the class of error must be the same.
        (Err(expected), Err(got)) if expected[..5] == got[..5] => return Ok(()),
        (Err(expected), Err(got)) => return Err(format!("expected error {expected}, got error {got}")),
        (Ok(rows), Err(got)) => return Err(format!("expected {} rows, got error {got}", rows.len())),
        (Err(expected), Ok(rows)) => {
            return Err(format!("expected error {expected}, got {} rows", rows.len()));
        }
    };
    if expected.len() != got.len() {
        return Err(format!(
            "expected {} rows, got {}{}",
            expected.len(),
            got.len(),
            surplus(expected, got)
        ));
    }
    match compare {
        Compare::Ordered => match expected.iter().zip(got).position(|(a, b)| a != b) {
            Some(at) => Err(format!(
                "row {at}: expected {:?}, got {:?}",
                expected[at], got[at]
            )),
            None => Ok(()),
        },
        Compare::Unordered => {
            let text = surplus(expected, got);
            if text.is_empty() {
                Ok(())
            } else {
                Err(format!("other rows{text}"))
            }
        }
        Compare::Part { .. } => {
            let Some(Ok(whole)) = whole else {
                return Err(format!("the statement without limit: {whole:?}"));
            };
            match first_not_in(got, whole) {
                Some(row) => Err(format!(
                    "got a row that the statement without limit does not return: {row:?}"
                )),
                None => Ok(()),
            }
        }
    }
}

/// Describes one row that is missing and one that is too many; empty if the multisets are equal.
fn surplus(expected: &[Vec<Option<String>>], got: &[Vec<Option<String>>]) -> String {
    let mut text = String::new();
    if let Some(row) = first_not_in(expected, got) {
        text += &format!("\n  missing: {row:?}");
    }
    if let Some(row) = first_not_in(got, expected) {
        text += &format!("\n  too many: {row:?}");
    }
    text
}

fn first_not_in<'a>(
    rows: &'a [Vec<Option<String>>],
    of: &[Vec<Option<String>>],
) -> Option<&'a Vec<Option<String>>> {
    let mut counts: HashMap<&Vec<Option<String>>, usize> = HashMap::new();
    for row in of {
        *counts.entry(row).or_default() += 1;
    }
    rows.iter().find(|row| match counts.get_mut(row) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Answer {
        Ok(texts.iter().map(|text| vec![Some((*text).to_owned())]).collect())
    }

    #[test]
    fn order_matters_only_where_it_is_asked_for() {
        let (one, other) = (rows(&["a", "b"]), rows(&["b", "a"]));
        assert!(difference(&one, None, &other, &Compare::Unordered).is_ok());
        assert!(
            difference(&one, None, &other, &Compare::Ordered)
                .unwrap_err()
                .contains("row 0")
        );
    }

    #[test]
    fn rows_are_counted() {
        let (one, other) = (rows(&["a", "a", "b"]), rows(&["a", "b", "b"]));
        let text = difference(&one, None, &other, &Compare::Unordered).unwrap_err();
        assert!(text.contains("missing") && text.contains("too many"), "{text}");
    }

    #[test]
    fn part_of_the_rows_suffices_under_a_limit() {
        let whole = rows(&["a", "b", "c"]);
        let compare = Compare::Part { whole: String::new() };
        assert!(difference(&rows(&["a"]), Some(&whole), &rows(&["c"]), &compare).is_ok());
        assert!(difference(&rows(&["a"]), Some(&whole), &rows(&["d"]), &compare).is_err());
        assert!(difference(&rows(&["a"]), Some(&whole), &rows(&["a", "a"]), &compare).is_err());
    }

    #[test]
    fn errors_compare_by_class() {
        let (one, same, other) = (
            Err("22012 a".into()),
            Err("22012 b".into()),
            Err("HV000 c".into()),
        );
        assert!(difference(&one, None, &same, &Compare::Ordered).is_ok());
        assert!(difference(&one, None, &other, &Compare::Ordered).is_err());
        assert!(difference(&rows(&[]), None, &other, &Compare::Ordered).is_err());
    }
}
