//! What packages and releases say of themselves agrees with what is built.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// META.json meets PGXN's specification 1.0.0: what it requires is there, in the forms that it names.
#[test]
fn the_metadata_for_pgxn_is_valid() {
    let meta: Value = serde_json::from_str(&read("META.json")).expect("JSON");
    let text = |pointer: &str| {
        let value = meta.pointer(pointer).and_then(Value::as_str);
        value
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| panic!("{pointer} is a text"))
            .to_owned()
    };
    let is_semantic = |version: &str| {
        let (numbers, before) = version.split_once('-').unwrap_or((version, "none"));
        let parts: Vec<&str> = numbers.split('.').collect();
        parts.len() == 3
            && !before.is_empty()
            && before.chars().all(|letter| letter.is_ascii_alphanumeric())
            && parts.iter().all(|part| {
                part.parse::<u32>()
                    .is_ok_and(|number| number.to_string() == *part)
            })
    };
    for required in [
        "/name",
        "/abstract",
        "/maintainer",
        "/license",
        "/version",
        "/meta-spec/version",
    ] {
        text(required);
    }
    let name = text("/name");
    assert!(name.len() > 1 && !name.contains(['/', '\\', ' ']), "{name}");
    // The licences that PGXN names by a word.
    let licenses = [
        "agpl_3",
        "apache_1_1",
        "apache_2_0",
        "artistic_1",
        "artistic_2",
        "bsd",
        "freebsd",
        "gfdl_1_2",
        "gfdl_1_3",
        "gpl_1",
        "gpl_2",
        "gpl_3",
        "lgpl_2_1",
        "lgpl_3_0",
        "mit",
        "mozilla_1_0",
        "mozilla_1_1",
        "openssl",
        "perl_5",
        "postgresql",
        "qpl_1_0",
        "ssleay",
        "sun",
        "zlib",
        "open_source",
        "restricted",
        "unrestricted",
        "unknown",
    ];
    assert!(licenses.contains(&text("/license").as_str()));
    assert!(["stable", "testing", "unstable"].contains(&text("/release_status").as_str()));
    assert_eq!(text("/meta-spec/version"), "1.0.0");
    assert!(is_semantic(&text("/version")));
    let provides = meta["provides"].as_object().expect("what it provides");
    assert!(!provides.is_empty());
    for (extension, about) in provides {
        let version = about["version"].as_str().expect("a version");
        assert!(is_semantic(version), "{extension} {version}");
        for key in ["file", "docfile"] {
            let path = about[key].as_str().expect("a path");
            assert!(root().join(path).is_file(), "{path} is there");
        }
    }
    for (package, version) in meta["prereqs"]["runtime"]["requires"]
        .as_object()
        .expect("requirements")
    {
        assert!(version.as_str().is_some_and(is_semantic), "{package} {version}");
    }
    for tag in meta["tags"].as_array().expect("tags") {
        assert!(
            tag.as_str()
                .is_some_and(|tag| tag.len() < 256 && !tag.contains(['/', '\\'])),
            "{tag}"
        );
    }
}

/// One version: Cargo's, the control file's, PGXN's, and that of the newest installation script.
#[test]
fn every_file_names_the_same_version() {
    let manifest = read("Cargo.toml");
    let version = manifest
        .split_once("\nversion = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .expect("a version")
        .0;
    let control = read("sage_intacct_fdw.control");
    assert!(
        control.contains(&format!("default_version = '{version}'")),
        "{control}"
    );
    assert!(
        root()
            .join(format!("sql/install/sage_intacct_fdw--{version}.sql"))
            .is_file()
    );
    let meta: Value = serde_json::from_str(&read("META.json")).expect("JSON");
    assert_eq!(meta["version"], version);
    assert_eq!(meta["provides"]["sage_intacct_fdw"]["version"], version);
    assert!(
        read("CHANGELOG.md").contains(&format!("\n## {version}")),
        "the changelog has the version"
    );
}

/// The versions that scripts, workflows, packages and README speak of are those that can be built.
#[test]
fn the_supported_versions_are_the_same_everywhere() {
    let manifest = read("Cargo.toml");
    let features: Vec<&str> = manifest
        .lines()
        .filter_map(|line| {
            line.strip_prefix("pg")?
                .split_once(" = [\"pgrx/pg")
                .map(|(version, _)| version)
        })
        .collect();
    assert_eq!(features, ["15", "16", "17", "18"]);
    let readme = read("README.md");
    for version in &features {
        assert!(
            readme.contains(&format!("\n| {version} | ")),
            "README's matrix lacks {version}"
        );
    }
    assert!(read("scripts/packages").contains("set -- 15 17 18"));
    assert!(read(".github/workflows/packages.yml").contains("version: [15, 17, 18]"));
    assert!(read(".github/workflows/test.yml").contains("version: [17, 18]"));
    // A workflow runs what is there.
    for workflow in ["test", "packages", "site"] {
        let text = read(&format!(".github/workflows/{workflow}.yml"));
        for command in text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("- run: "))
        {
            let target = command
                .strip_prefix("make ")
                .and_then(|rest| rest.split_whitespace().next());
            if let Some(target) = target {
                assert!(
                    read("Makefile").contains(&format!("\n{target}: ")),
                    "make {target}"
                );
            }
            for word in command
                .split_whitespace()
                .filter(|word| word.starts_with("scripts/"))
            {
                assert!(root().join(word).is_file(), "{word}");
            }
        }
    }
}
