//! Files of the repository.

use std::fs;
use std::path::Path;

/// A file, by its path from the root of the repository.
pub struct Source {
    pub path: String,
}

/// Files below a folder, or the file itself, with an extension out of a list (`rs`, `rs,md`), in order.
pub fn files(base: &str, root: &str, extensions: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(base, root, extensions, &mut found);
    found.sort_by(|a: &Source, b| a.path.cmp(&b.path));
    found
}

fn collect(base: &str, path: &str, extensions: &str, found: &mut Vec<Source>) {
    let full = Path::new(base).join(path);
    if full.is_dir() {
        for entry in fs::read_dir(full).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "target" && !name.starts_with('.') {
                collect(base, &format!("{path}/{name}"), extensions, found);
            }
        }
    } else if path
        .rsplit_once('.')
        .is_some_and(|(_, has)| extensions.split(',').any(|wanted| wanted == has))
    {
        found.push(Source {
            path: path.to_owned(),
        });
    }
}

/// The text of a file; none where it cannot be read.
pub fn read(base: &str, path: &str) -> String {
    fs::read_to_string(Path::new(base).join(path)).unwrap_or_default()
}
