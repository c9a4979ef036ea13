//! The floor plan: rooms top to bottom, imports that go up, circles between files.

use std::collections::{BTreeMap, BTreeSet};

use crate::rust::{self, Use};
use crate::text::{Source, files, read};

/// One line of the plan: a file or folder, and what it is.
struct Room {
    path: String,
}

impl Room {
    /// `src/plan` holds `src/plan.rs` and all below `src/plan/`.
    fn holds(&self, file: &str) -> bool {
        file.strip_prefix(&self.path)
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }
}

struct Module {
    file: String,
    code: String,
    rest: String,
    uses: Vec<Use>,
}

/// What the plan says of one package.
pub struct Plan {
    rooms: Vec<Room>,
    circles: Vec<String>,
}

/// Reads the plan: `room` lines top to bottom, and `circle FOLDER` lines for folders whose files may form circles.
pub fn plan(text: &str) -> Plan {
    let mut plan = Plan {
        rooms: Vec::new(),
        circles: Vec::new(),
    };
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let path = line.split_whitespace().next().unwrap_or_default().to_owned();
        match line.strip_prefix("circle ") {
            Some(folder) => plan
                .circles
                .push(folder.split_whitespace().next().unwrap_or_default().to_owned()),
            None => plan.rooms.push(Room { path }),
        }
    }
    plan
}

/// What is wrong with the files below `root` (`src`, `crates/intacct/src`), as a key for the baseline and a text.
pub fn check(base: &str, root: &str, plan: &Plan) -> BTreeMap<String, String> {
    let modules = modules(base, root);
    let edges = edges(&modules);
    let mut wrong = BTreeMap::new();
    let mut add = |key: String, shown: String| {
        wrong.insert(key, shown);
    };
    let room = |file: &str| {
        plan.rooms
            .iter()
            .enumerate()
            .filter(|(_, room)| room.holds(file))
            .max_by_key(|(_, room)| room.path.len())
            .map(|(at, _)| at)
    };
    for module in modules.values() {
        if room(&module.file).is_none() {
            let text = format!("floor-plan: no room holds {}", module.file);
            add(text.clone(), text);
        }
    }
    for room in &plan.rooms {
        if room.path.starts_with(&format!("{root}/")) && !modules.values().any(|m| room.holds(&m.file)) {
            let text = format!("floor-plan: there is no {}", room.path);
            add(text.clone(), text);
        }
    }
    for (from, to) in &edges {
        if let (Some(lower), Some(upper)) = (room(from), room(to))
            && upper < lower
        {
            add(
                format!("up: {from} -> {to}"),
                format!("{from} imports from a higher room: {to}"),
            );
        }
    }
    for circle in circles(&edges) {
        if !plan
            .circles
            .iter()
            .any(|folder| circle.iter().all(|file| file.starts_with(folder.as_str())))
        {
            // A key for each file, so that a baseline stays valid while a circle gets smaller.
            for file in &circle {
                add(
                    format!("circle: {file}"),
                    format!("{file} is in a circle: {}", circle.join(" ")),
                );
            }
        }
    }
    wrong
}

fn modules(base: &str, root: &str) -> BTreeMap<Vec<String>, Module> {
    let mut found = BTreeMap::new();
    let mut tests = BTreeSet::new();
    let sources = files(base, root, "rs");
    for Source { path, .. } in &sources {
        let text = read(base, path);
        for (at, _) in text.match_indices("#[cfg(test)]") {
            let rest = text[at + 12..].trim_start();
            if let Some(name) = rest.strip_prefix("mod ").and_then(|rest| rest.split_once(';')) {
                tests.insert(format!("{}::{}", module_path(root, path).join("::"), name.0));
            }
        }
    }
    for Source { path, .. } in sources {
        let module = module_path(root, &path);
        if tests.contains(&module.join("::")) || path.ends_with("tests.rs") || path.ends_with("/bin.rs") {
            continue;
        }
        let code = rust::code(&read(base, &path));
        let (uses, rest) = rust::uses(&code);
        found.insert(
            module,
            Module {
                file: path,
                code,
                rest,
                uses,
            },
        );
    }
    found
}

fn module_path(root: &str, file: &str) -> Vec<String> {
    let mut path = vec!["crate".to_owned()];
    path.extend(
        file[root.len() + 1..]
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned),
    );
    if path.last().is_some_and(|last| last == "mod" || last == "lib") {
        path.pop();
    }
    path
}

/// Imports from file to file: paths are followed through what faces export again.
fn edges(modules: &BTreeMap<Vec<String>, Module>) -> BTreeSet<(String, String)> {
    let mut edges = BTreeSet::new();
    for (path, module) in modules {
        let mut add = |target: Option<(Vec<String>, bool)>| {
            if let Some((target, true)) = target
                && target != *path
            {
                edges.insert((module.file.clone(), modules[&target].file.clone()));
            }
        };
        for used in module.uses.iter().filter(|used| !used.public) {
            if used.path.last().is_some_and(|last| last == "*") {
                add(resolve(modules, path, &used.path[..used.path.len() - 1], 0)
                    .map(|(target, _)| (target, true)));
            } else {
                add(resolve(modules, path, &used.path, 0));
            }
        }
        for used in rust::paths(&module.rest) {
            add(resolve(modules, path, &used, 0));
        }
    }
    edges
}

/// The module that has the item at the end of a path, and whether it is an item rather than the module itself.
fn resolve(
    modules: &BTreeMap<Vec<String>, Module>,
    from: &[String],
    path: &[String],
    depth: usize,
) -> Option<(Vec<String>, bool)> {
    if depth > 8 {
        return None;
    }
    let mut at = from.to_vec();
    let mut rest = path;
    let mut anchored = false;
    while let Some(first) = rest.first() {
        match first.as_str() {
            "crate" => at = vec!["crate".to_owned()],
            "super" => {
                at.pop();
            }
            "self" => {}
            _ => break,
        }
        anchored = true;
        rest = &rest[1..];
    }
    let mut first = true;
    while let Some(name) = rest.first() {
        let mut child = at.clone();
        child.push(name.clone());
        if modules.contains_key(&child) {
            at = child;
        } else {
            let module = modules.get(&at)?;
            if let Some(used) = module
                .uses
                .iter()
                .find(|used| used.name == *name && used.path.last().is_some())
            {
                // The binding itself: a name that shadows an item of another package ends here.
                if used.path.first() == Some(name) && used.path.len() == 1 {
                    return None;
                }
                let (target, item) = resolve(modules, &at, &used.path, depth + 1)?;
                if item || rest.len() == 1 {
                    return Some((target, item));
                }
                return resolve_in(modules, &target, &rest[1..], depth + 1);
            }
            for used in module
                .uses
                .iter()
                .filter(|used| used.path.last().is_some_and(|last| last == "*"))
            {
                if let Some((target, _)) = resolve(modules, &at, &used.path[..used.path.len() - 1], depth + 1)
                    && target != at
                    && let Some(target_module) = modules.get(&target)
                    && (rust::defines(&target_module.code, name)
                        || target_module.uses.iter().any(|u| u.name == *name))
                {
                    return resolve_in(modules, &target, rest, depth + 1);
                }
            }
            if first && !anchored && !rust::defines(&module.code, name) {
                return None;
            }
            return Some((at, true));
        }
        first = false;
        rest = &rest[1..];
    }
    Some((at, false))
}

fn resolve_in(
    modules: &BTreeMap<Vec<String>, Module>,
    at: &[String],
    rest: &[String],
    depth: usize,
) -> Option<(Vec<String>, bool)> {
    let mut path = vec!["self".to_owned()];
    path.extend(rest.iter().cloned());
    resolve(modules, at, &path, depth)
}

/// Sets of two or more files that reach each other.
fn circles(edges: &BTreeSet<(String, String)>) -> Vec<Vec<String>> {
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, _) in edges {
        let mut seen = BTreeSet::new();
        let mut todo = vec![from.as_str()];
        while let Some(at) = todo.pop() {
            for (_, to) in edges.iter().filter(|(from, _)| from == at) {
                if seen.insert(to.as_str()) {
                    todo.push(to);
                }
            }
        }
        reach.insert(from, seen);
    }
    let mut found = BTreeSet::new();
    for (file, reached) in &reach {
        if reached.contains(file) {
            let circle: Vec<String> = reached
                .iter()
                .filter(|other| reach.get(**other).is_some_and(|back| back.contains(file)))
                .map(|&other| other.to_owned())
                .collect();
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

/// All imports as text, for `--edges`.
pub fn list(base: &str, root: &str) -> Vec<String> {
    edges(&modules(base, root))
        .into_iter()
        .map(|(from, to)| format!("{from} {to}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn circles_are_found_once() {
        let edges = [
            edge("a", "b"),
            edge("b", "c"),
            edge("c", "a"),
            edge("c", "d"),
            edge("d", "e"),
        ];
        assert_eq!(circles(&edges.into_iter().collect()), [["a", "b", "c"]]);
        assert!(circles(&[edge("a", "b")].into_iter().collect()).is_empty());
    }

    #[test]
    fn imports_are_followed_through_faces() {
        let mut modules = BTreeMap::new();
        for (path, text) in [
            ("crate", "mod a; mod b;"),
            (
                "crate::a",
                "pub use inner::Thing; pub use self::more::*; pub struct Own;",
            ),
            ("crate::a::inner", "pub struct Thing; use super::Own;"),
            ("crate::a::more", "pub fn extra() {}"),
            (
                "crate::b",
                "use crate::a::{self, Thing}; fn f() { a::extra(); other::thing(); }",
            ),
        ] {
            let code = rust::code(text);
            let (uses, rest) = rust::uses(&code);
            let key = path.split("::").map(str::to_owned).collect();
            modules.insert(
                key,
                Module {
                    file: path.replace("::", "/"),
                    code,
                    rest,
                    uses,
                },
            );
        }
        let found: Vec<_> = edges(&modules).into_iter().collect();
        assert_eq!(
            found,
            [
                edge("crate/a/inner", "crate/a"),
                edge("crate/b", "crate/a/inner"),
                edge("crate/b", "crate/a/more"),
            ]
        );
    }
}
