//! Markdown: lines of at most 120 characters, links to files that are there.

use std::collections::BTreeMap;
use std::path::Path;

use crate::text::{files, read};

const WIDTH: usize = 120;

/// Lines that are too long, for each file.
pub fn long_lines(base: &str) -> BTreeMap<String, Vec<usize>> {
    let mut found = BTreeMap::new();
    for file in files(base, ".", "md") {
        let path = file.path.trim_start_matches("./").to_owned();
        let lines: Vec<usize> = read(base, &path)
            .lines()
            .enumerate()
            .filter(|(_, line)| line.chars().count() > WIDTH)
            .map(|(at, _)| at + 1)
            .collect();
        if !lines.is_empty() {
            found.insert(path, lines);
        }
    }
    found
}

/// Links to a file of the repository that is not there.
pub fn broken_links(base: &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in files(base, ".", "md") {
        let text = read(base, &file.path);
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new("."));
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            let local = !path.is_empty() && !path.contains(':') && !path.contains(char::is_whitespace);
            if local && !path.contains(['*', '$', '(']) && !Path::new(base).join(folder).join(path).exists() {
                found.push(format!(
                    "{}: no such file: {target}",
                    file.path.trim_start_matches("./")
                ));
            }
        }
    }
    found
}
