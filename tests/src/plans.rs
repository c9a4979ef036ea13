//! Plans as every PostgreSQL version from 15 to 18 shows them alike, so that one expected file serves all.

use std::sync::LazyLock;

use regex::{Captures, Regex};

static INIT_PLAN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"InitPlan (\d+) \(returns \$(\d+)\)").expect("a valid pattern"));

/// Lines that only newer versions have. Of text also where it is one line of a cell with many (JSON, YAML, XML).
static ADDED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(Window: .*|Index Searches: \d+|"?Disabled"?: (true|false),?|<Disabled>(true|false)</Disabled>)$"#)
        .expect("a valid pattern")
});

static PARAMETER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$(\d+)").expect("a valid pattern"));

/// A parameter of PostgreSQL beside one of the request: `Intacct Parameters: $1 = $0`.
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" = \$(\d+)").expect("a valid pattern"));

static ROWS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\((\d+) rows?\)$").expect("a valid pattern"));

/// Rewrites the plans in psql's output to one form.
///
/// The result of an InitPlan is `(InitPlan 1).col1` since 17 and was `$0`; 18 adds windows, searches of indexes, and
/// whether a node is disabled. A plan that nothing of this is in stays as psql printed it.
pub fn alike(output: &str) -> String {
    let mut lines = output.lines().peekable();
    let mut rewritten = String::with_capacity(output.len());
    while let Some(line) = lines.next() {
        let starts = line.trim() == "QUERY PLAN"
            && lines
                .peek()
                .is_some_and(|rule| rule.bytes().all(|byte| byte == b'-'));
        let mut block = vec![line];
        if starts {
            for line in lines.by_ref() {
                block.push(line);
                if ROWS.is_match(line) {
                    break;
                }
            }
        }
        for line in plan(&block) {
            rewritten.push_str(&line);
            rewritten.push('\n');
        }
    }
    rewritten
}

/// A block from its heading to its number of rows, or a single line of something else.
fn plan(block: &[&str]) -> Vec<String> {
    let unchanged = || block.iter().map(|line| (*line).to_owned()).collect();
    let [_, _, body @ .., last] = block else {
        return unchanged();
    };
    let results: Vec<(&str, &str)> = body
        .iter()
        .flat_map(|line| INIT_PLAN.captures_iter(line))
        .map(|found| {
            let (_, [number, parameter]) = found.extract();
            (parameter, number)
        })
        .collect();
    let mut removed = 0;
    let mut kept = Vec::new();
    for line in body {
        // A line of a cell that goes on ends with a plus sign.
        let goes_on = line.ends_with('+');
        if ADDED.is_match(line.trim_end_matches('+').trim()) {
            removed += usize::from(!goes_on);
        } else {
            kept.push((init_plans(line, &results), goes_on));
        }
    }
    if kept.len() == body.len() && kept.iter().zip(body).all(|((line, _), was)| line == was) {
        return unchanged();
    }
    let width = kept
        .iter()
        .map(|(line, goes_on)| line.chars().count() + usize::from(!goes_on))
        .max()
        .unwrap_or_default();
    let heading = "QUERY PLAN";
    let blanks = width.saturating_sub(heading.len());
    let mut shown = vec![
        format!(
            "{}{heading}{}",
            " ".repeat(blanks / 2),
            " ".repeat(blanks - blanks / 2)
        ),
        "-".repeat(width),
    ];
    shown.extend(kept.into_iter().map(|(line, _)| line));
    shown.push(
        ROWS.replace(last, |found: &Captures<'_>| {
            let rows: usize = found[1].parse().expect("a number");
            match rows - removed {
                1 => "(1 row)".to_owned(),
                rows => format!("({rows} rows)"),
            }
        })
        .into_owned(),
    );
    shown
}

/// A line with the results of InitPlans, given as parameter and InitPlan, in the form of PostgreSQL 17.
fn init_plans(line: &str, results: &[(&str, &str)]) -> String {
    let line = INIT_PLAN.replace_all(line, "InitPlan $1");
    let start = line.trim_start();
    // The parameters in a request are its own.
    let (pattern, before) = match start.strip_prefix("Intacct ") {
        Some(rest) if rest.starts_with("Parameters: ") => (&*ASSIGNED, " = "),
        Some(_) => return line.into_owned(),
        None => (&*PARAMETER, ""),
    };
    pattern
        .replace_all(&line, |found: &Captures<'_>| {
            match results.iter().find(|(parameter, _)| *parameter == &found[1]) {
                Some((_, number)) => format!("{before}(InitPlan {number}).col1"),
                None => found[0].to_owned(),
            }
        })
        .into_owned()
}
