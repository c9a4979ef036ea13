//! The crates that a package is linked from, as `cargo metadata` shows them.

use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A crate.
#[derive(Debug, Clone)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX expression.
    pub license: String,
    /// As the manifest names them.
    pub authors: Vec<String>,
    /// Where it is developed, else where it was loaded from.
    pub source: String,
    /// The folder of its manifest.
    pub folder: PathBuf,
    /// Whether it comes from a registry, and not from this workspace.
    pub is_from_registry: bool,
    /// `name@version` of what it is linked with.
    pub needs: Vec<String>,
}

impl Crate {
    /// The texts of licences and notices in its folder; the project's own is in the workspace.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn texts(&self) -> Result<Vec<String>, String> {
        let mut folder: &Path = &self.folder;
        let mut files = notices(folder);
        while files.is_empty() && !self.is_from_registry {
            let Some(parent) = folder.parent() else { break };
            folder = parent;
            files = notices(folder);
        }
        let mut texts: Vec<String> = Vec::new();
        for file in files {
            let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let text = String::from_utf8_lossy(&bytes).replace('\r', "");
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        Ok(texts)
    }
}

fn notices(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| crate::is_notice(path))
        .collect();
    files.sort_unstable();
    files
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// The package and everything that it is linked from, itself first, the others by name.
///
/// # Errors
/// A package that is not there, or a crate without a licence.
pub fn linked(metadata: &Value, package: &str) -> Result<Vec<Crate>, String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: HashMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package, "id"), package))
        .collect();
    let nodes: HashMap<String, Value> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (text(&node, "id"), node))
        .collect();
    let root = packages
        .values()
        .find(|known| known["name"] == package && known["source"].is_null())
        .map(|known| text(known, "id"))
        .ok_or_else(|| format!("no package {package} in this workspace"))?;
    let normal = |id: &str| -> Vec<String> {
        let dependencies = nodes.get(id).map(|node| list(&node["deps"])).unwrap_or_default();
        let linked = dependencies.iter().filter(|dependency| {
            // A kind is null for a dependency of the program itself.
            list(&dependency["dep_kinds"])
                .iter()
                .any(|kind| kind["kind"].is_null())
                && packages
                    .get(&text(dependency, "pkg"))
                    .is_some_and(|known| !is_proc_macro(known))
        });
        linked.map(|dependency| text(dependency, "pkg")).collect()
    };
    let mut waiting = vec![root.clone()];
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let known = &packages[&id];
        let needs = normal(&id);
        found.push((id == root, read(known, &needs, &packages)?));
        waiting.extend(needs);
    }
    found.sort_by(|(a_root, a), (b_root, b)| {
        (!a_root, &a.name, &a.version).cmp(&(!b_root, &b.name, &b.version))
    });
    Ok(found.into_iter().map(|(_, known)| known).collect())
}

/// The same with Rust's standard library, which no metadata name.
pub fn with_standard_library(mut linked: Vec<Crate>, version: &str) -> Vec<Crate> {
    if let Some(root) = linked.first_mut() {
        root.needs.push(format!("std@{version}"));
    }
    linked.push(Crate {
        name: "std".to_owned(),
        version: version.to_owned(),
        license: "MIT OR Apache-2.0".to_owned(),
        authors: vec!["The Rust Project Developers".to_owned()],
        source: "https://github.com/rust-lang/rust".to_owned(),
        folder: PathBuf::new(),
        is_from_registry: false,
        needs: Vec::new(),
    });
    linked
}

/// A macro runs in the compiler and is not in what it makes.
fn is_proc_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets
        .flat_map(|target| target["kind"].as_array().into_iter().flatten())
        .any(|kind| kind == "proc-macro")
}

fn read(package: &Value, needs: &[String], packages: &HashMap<String, Value>) -> Result<Crate, String> {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let license = match (text(package, "license"), text(package, "license_file")) {
        (license, _) if !license.is_empty() => license.replace('/', " OR "),
        (_, file) if !file.is_empty() => "LicenseRef-file".to_owned(),
        _ => return Err(format!("{name} {version} names no licence")),
    };
    let names = package["authors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let authors = names.map(str::to_owned).collect();
    let folder = Path::new(package["manifest_path"].as_str().unwrap_or_default())
        .parent()
        .unwrap_or(Path::new("/"))
        .to_owned();
    let repository = text(package, "repository");
    let label = |id: &String| {
        format!(
            "{}@{}",
            text(&packages[id], "name"),
            text(&packages[id], "version")
        )
    };
    let mut needs: Vec<String> = needs.iter().map(label).collect();
    needs.sort_unstable();
    Ok(Crate {
        source: if repository.is_empty() {
            text(package, "source")
        } else {
            repository
        },
        is_from_registry: !package["source"].is_null(),
        name,
        version,
        license,
        authors,
        folder,
        needs,
    })
}

#[cfg(test)]
mod tests {
    use super::linked;
    use serde_json::{Value, json};

    fn metadata() -> Value {
        let package = |name: &str, kind: &str| {
            json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "authors": [],
                    "manifest_path": format!("/src/{name}/Cargo.toml"), "targets": [{ "kind": [kind] }],
                    "source": if name == "own" { Value::Null } else { json!("registry") } })
        };
        let needs = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        json!({
            "packages": [package("own", "cdylib"), package("a", "lib"), package("b", "lib"), package("m", "proc-macro"),
                         package("build", "lib"), package("dev", "lib")],
            "resolve": { "nodes": [
                { "id": "own", "deps": [needs("b", Value::Null), needs("m", Value::Null), needs("build", json!("build")),
                                         needs("dev", json!("dev"))] },
                { "id": "b", "deps": [needs("a", Value::Null)] },
                { "id": "a", "deps": [] },
            ] },
        })
    }

    #[test]
    fn what_is_linked_counts_and_nothing_else() {
        let found = linked(&metadata(), "own").expect("a package");
        let names: Vec<&str> = found.iter().map(|known| known.name.as_str()).collect();
        assert_eq!(names, ["own", "a", "b"]);
        assert_eq!(found[0].needs, ["b@1.0.0"]);
        assert_eq!(found[1].license, "MIT OR Apache-2.0");
        assert!(linked(&metadata(), "none").is_err());
    }

    #[test]
    fn a_crate_without_a_licence_is_an_error() {
        let mut metadata = metadata();
        metadata["packages"][2]["license"] = Value::Null;
        assert!(linked(&metadata, "own").is_err_and(|problem| problem.contains("b 1.0.0")));
    }
}
