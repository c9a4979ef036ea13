//! What `make lint` checks beside formatting and clippy: the floor plan, the glossary, the documentation.
//!
//!     project-lint              checks; what the baseline lists may remain
//!     project-lint --baseline   rewrites the baseline
//!     project-lint --imports    prints all imports from file to file
//!
//! The lists are in `tools/project-lint/lists`.

mod landmarks;
mod pages;
mod rooms;
mod rust;
mod text;
mod words;

use std::collections::BTreeMap;
use std::process::ExitCode;

const LISTS: &str = "tools/project-lint/lists";
const ROOTS: [&str; 2] = ["src", "crates/intacct/src"];

fn main() -> ExitCode {
    let base = ".";
    let list = |name: &str| text::read(base, &format!("{LISTS}/{name}"));
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("--imports") {
        ROOTS
            .iter()
            .flat_map(|root| rooms::list(base, root))
            .for_each(|line| println!("{line}"));
        return ExitCode::SUCCESS;
    }

    // Each finding is a key with a number of occurrences and what to print.
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut add = |key: String, count: usize, shown: String| {
        found.insert(key, (count, shown));
    };
    let plan = rooms::plan(&list("floor-plan.txt"));
    for root in ROOTS {
        for (key, shown) in rooms::check(base, root, &plan) {
            add(key, 1, shown);
        }
    }
    let left_out = words::check(
        base,
        &["src", "crates", "docs", "README.md"],
        &list("words.txt"),
        &list("words-allowed.txt"),
    );
    for ((path, phrase), lines) in left_out {
        add(
            format!("word: {phrase} in {path}"),
            lines.len(),
            format!("{path}:{} says \"{phrase}\"", numbers(&lines)),
        );
    }
    for (path, lines) in pages::long_lines(base) {
        add(
            format!("long: {path}"),
            lines.len(),
            format!("{path}:{} is longer than 120 characters", numbers(&lines)),
        );
    }
    for wrong in pages::broken_links(base)
        .into_iter()
        .chain(landmarks::check(base, &list("landmarks.txt")))
    {
        add(wrong.clone(), 1, wrong);
    }
    if let Some(wrong) = shown_rooms(&text::read(base, "docs/architecture.md"), &list("floor-plan.txt")) {
        add(wrong.clone(), 1, wrong);
    }

    if argument.as_deref() == Some("--baseline") {
        let mut lines =
            String::from("# What does not hold yet. It may shrink: `scripts/lint --baseline` rewrites it.\n");
        found
            .iter()
            .for_each(|(key, (count, _))| lines.push_str(&format!("{count} {key}\n")));
        return match std::fs::write(format!("{LISTS}/baseline.txt"), lines) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let baseline = list("baseline.txt");
    let known: BTreeMap<&str, usize> = words::lines(&baseline)
        .filter_map(|line| {
            line.split_once(' ')
                .and_then(|(count, key)| Some((key, count.parse().ok()?)))
        })
        .collect();
    let new: Vec<&str> = found
        .iter()
        .filter(|(key, (count, _))| known.get(key.as_str()).is_none_or(|known| count > known))
        .map(|(_, (_, shown))| shown.as_str())
        .collect();
    new.iter().for_each(|shown| eprintln!("{shown}"));
    let settled = known
        .iter()
        .filter(|(key, known)| found.get(**key).is_none_or(|(count, _)| count < known))
        .count();
    println!(
        "project-lint: {} new, {} in the baseline, {settled} of them better by now",
        new.len(),
        known.len()
    );
    if settled > 0 {
        println!("project-lint: `scripts/lint --baseline` takes out what is settled");
    }
    if new.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn numbers(lines: &[usize]) -> String {
    lines.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// The list of rooms in the documentation is that of the lint.
fn shown_rooms(page: &str, plan: &str) -> Option<String> {
    let block = |text: &str| {
        text.lines()
            .map(str::trim_end)
            .filter(|l| !l.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let shown = page
        .split_once("<!-- rooms: begin -->")
        .and_then(|(_, rest)| rest.split_once("<!-- rooms: end -->"))
        .map(|(shown, _)| block(&shown.replace("```text", "").replace("```", "")));
    (shown != Some(block(plan)))
        .then(|| "docs/architecture.md: the list of rooms differs from floor-plan.txt".to_owned())
}
