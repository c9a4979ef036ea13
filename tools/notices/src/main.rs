//! Whose work a binary package holds, and under which licences.
//!
//! ```text
//! cargo metadata --format-version 1 --locked … | notices copyright PACKAGE RUST   Debian's copyright file, with all texts
//! cargo metadata --format-version 1 --locked … | notices sbom PACKAGE RUST        CycloneDX 1.5, JSON
//! ```
//!
//! Only what is linked counts: dependencies for building and for tests are left out. The standard library of the compiler, whose
//! version is RUST, counts too.
#![forbid(unsafe_code)]

mod crates;

use crates::Crate;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, package, rust] = &arguments[..] else {
        eprintln!("usage: cargo metadata … | notices copyright|sbom PACKAGE RUST");
        return ExitCode::FAILURE;
    };
    let made = serde_json::from_reader(std::io::stdin())
        .map_err(|error| error.to_string())
        .and_then(|metadata: Value| crates::linked(&metadata, package))
        .map(|linked| crates::with_standard_library(linked, rust))
        .and_then(|linked| match mode.as_str() {
            "copyright" => copyright(&linked),
            "sbom" => Ok(sbom(&linked)),
            _ => Err(format!("{mode}: copyright or sbom is expected")),
        });
    match made {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("notices: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Lines of a text in a field of several lines: indented, empty ones as a dot.
fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let line = line.trim_end();
        // Writing to a string cannot fail.
        let _ = writeln!(out, " {}", if line.is_empty() { "." } else { line });
        out
    })
}

/// The lines that claim a copyright, each once.
fn claims(texts: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let line = line.trim();
        let claims = line.starts_with("Copyright (")
            || line.starts_with("Copyright ©")
            || line.starts_with("Copyright 2");
        // The model sentence of the Apache licence claims nothing.
        if claims
            && !line.contains("[yyyy]")
            && !line.contains("{yyyy}")
            && !found.iter().any(|known| known == line)
        {
            found.push(line.to_owned());
        }
    }
    found
}

/// The MIT licence behind its copyright line: some crates name it and ship no text.
const MIT: &str = "\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the \"Software\"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.";

/// The machine-readable form, with the text of each licence once; the first crate is the project's own.
fn copyright(linked: &[Crate]) -> Result<String, String> {
    let mut head = String::from(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: sage_intacct_fdw\n\
         Comment: The library is linked statically with the crates below; each stanza names one. Those that Rust's standard\n \
         library is made of are in COPYRIGHT-rust-library.html.gz beside this file.\n",
    );
    // Text, and the names that go by it.
    let mut bodies: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    for (number, known) in linked.iter().enumerate() {
        let texts = known.texts()?;
        let mut holders = claims(&texts);
        if holders.is_empty() {
            holders = known.authors.clone();
        }
        if holders.is_empty() {
            holders.push(format!("the authors of {}", known.name));
        }
        let body = match texts.is_empty() {
            false => texts.join("\n\n"),
            true if known.license.contains("MIT") => format!(
                "The crate ships no text of its licence ({}). Source: {}.\n\nMIT License\n\n{}\n\n{MIT}",
                known.license,
                known.source,
                holders
                    .iter()
                    .map(|holder| format!("Copyright (c) {holder}"))
                    .collect::<Vec<_>>()
                    .join("\n")
            ),
            // Debian has the texts of the common ones.
            true => format!(
                "The crate ships no text of its licence ({}). Source: {}.\nTexts of common licences are in \
                 /usr/share/common-licenses.",
                known.license, known.source
            ),
        };
        let count = bodies.len() + 1;
        let (id, names) = bodies.entry(body).or_insert_with(|| (count, Vec::new()));
        names.push(known.license.clone());
        let files = match number {
            0 => "*".to_owned(),
            _ => format!("crates/{}-{}/*", known.name, known.version),
        };
        let _ = write!(
            head,
            "\nFiles: {files}\nCopyright: {}\nLicense: {}\n",
            holders.join("\n           "),
            label(&known.license, *id)
        );
    }
    for (body, (id, names)) in &bodies {
        let mut names = names.clone();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let _ = write!(head, "\nLicense: {}\n{}", label(&name, *id), indented(body));
        }
    }
    Ok(head)
}

/// A name for the text `id` of a licence expression: the form's names hold no blanks.
fn label(license: &str, id: usize) -> String {
    let word = license
        .replace(" OR ", "-or-")
        .replace(" AND ", "-and-")
        .replace(" WITH ", "-with-");
    let word: String = word
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || ".-+".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    format!("{}-text-{id}", word.trim_matches('-'))
}

/// The components with versions, licences and checksums.
fn sbom(linked: &[Crate]) -> String {
    let component = |known: &Crate, kind: &str| {
        let mut component = json!({
            "type": kind,
            "bom-ref": format!("{}@{}", known.name, known.version),
            "name": known.name,
            "version": known.version,
            "licenses": [{ "expression": known.license }],
        });
        if known.is_from_registry {
            component["purl"] = json!(format!("pkg:cargo/{}@{}", known.name, known.version));
        }
        component
    };
    let dependencies: Vec<Value> = linked
        .iter()
        .map(|known| json!({ "ref": format!("{}@{}", known.name, known.version), "dependsOn": known.needs }))
        .collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": linked.first().map(|known| component(known, "application")) },
        "components": linked.iter().skip(1).map(|known| component(known, "library")).collect::<Vec<_>>(),
        "dependencies": dependencies,
    });
    format!("{document:#}\n")
}

/// Files of a crate's folder that hold a licence or a notice.
fn is_notice(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_uppercase())
        .unwrap_or_default();
    let begins = [
        "LICENSE",
        "LICENCE",
        "COPYING",
        "COPYRIGHT",
        "NOTICE",
        "UNLICENSE",
    ];
    path.is_file() && begins.iter().any(|word| name.starts_with(word)) && !name.ends_with(".RS")
}

#[cfg(test)]
mod tests {
    use super::{claims, copyright, indented, label, sbom};
    use crate::crates::{Crate, with_standard_library};

    fn krate(name: &str, license: &str) -> Crate {
        Crate {
            name: name.into(),
            version: "1.2.3".into(),
            license: license.into(),
            authors: vec!["Ada <ada@example.com>".into()],
            source: "https://example.com".into(),
            folder: std::path::PathBuf::from("/nonexistent"),
            is_from_registry: name != "own",
            needs: vec!["b@1.2.3".into()],
        }
    }

    #[test]
    fn a_field_of_several_lines_has_no_empty_line() {
        assert_eq!(indented("a\n\n  b  \n"), " a\n .\n   b\n");
    }

    #[test]
    fn claims_are_found_once_and_the_model_sentence_is_none() {
        let text = "Copyright (c) 2020 Ada\nCopyright [yyyy] [name]\n  Copyright (c) 2020 Ada\nCopyright law\nCopyright 2019 Bo";
        assert_eq!(
            claims(&[text.to_owned()]),
            ["Copyright (c) 2020 Ada", "Copyright 2019 Bo"]
        );
    }

    #[test]
    fn every_license_that_a_stanza_names_has_its_text() {
        let linked = [
            krate("own", "PostgreSQL"),
            krate("b", "MIT OR Apache-2.0"),
            krate("c", "(MIT) AND ISC"),
        ];
        let made = copyright(&linked).expect("folders without texts are no error");
        let named: Vec<&str> = made
            .lines()
            .filter_map(|line| line.strip_prefix("License: "))
            .collect();
        assert_eq!(named.len(), 6);
        for name in &named {
            assert_eq!(named.iter().filter(|other| *other == name).count(), 2, "{name}");
            assert!(!name.contains(' '), "{name}");
        }
        assert!(
            made.contains("Files: *\n") && made.contains("Files: crates/b-1.2.3/*\n"),
            "{made}"
        );
        assert_eq!(label("MIT OR Apache-2.0", 3), "MIT-or-Apache-2.0-text-3");
    }

    #[test]
    fn the_standard_library_is_linked_too() {
        let linked = with_standard_library(vec![krate("own", "PostgreSQL")], "1.95.0");
        let made = copyright(&linked).expect("a text");
        assert!(
            made.contains("Files: crates/std-1.95.0/*\nCopyright: The Rust Project Developers\nLicense: MIT-or-Apache-2.0-text-2\n"),
            "{made}"
        );
        let list: serde_json::Value = serde_json::from_str(&sbom(&linked)).expect("JSON");
        assert_eq!(list["components"][0]["name"], "std");
        assert!(list["components"][0]["purl"].is_null());
        assert_eq!(list["dependencies"][0]["dependsOn"][1], "std@1.95.0");
        assert_eq!(list["dependencies"][1]["ref"], "std@1.95.0");
    }

    #[test]
    fn the_list_of_components_names_registry_crates_by_their_url() {
        let list: serde_json::Value =
            serde_json::from_str(&sbom(&[krate("own", "PostgreSQL"), krate("b", "MIT")])).expect("JSON");
        assert_eq!(list["metadata"]["component"]["name"], "own");
        assert_eq!(list["components"][0]["purl"], "pkg:cargo/b@1.2.3");
        assert!(list["metadata"]["component"]["purl"].is_null());
        assert_eq!(list["dependencies"][0]["dependsOn"][0], "b@1.2.3");
    }
}
