//! What packages and releases say of themselves agrees with what is built.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::examples::examples;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The statements of README for a simulated company, which packages-test runs, are those that come with its package.
#[test]
fn the_first_rows_are_those_of_readme() {
    let readme = read("README.md");
    let (_, section) = readme
        .split_once("## A simulated company in a minute\n")
        .expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let told: Vec<String> = examples(section).into_iter().map(|example| example.sql).collect();
    let shipped =
        read("demo/first-rows.sql").replace(":'gateway'", "'http://127.0.0.1:8080/ia/xml/xmlgw.phtml'");
    let words = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("--"));
        lines
            .flat_map(str::split_whitespace)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(words(&told.join("\n")), words(&shipped));
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
    assert!(read("scripts/packages").contains("rooted 15 16 17 18)"));
    assert!(read("scripts/matrix").contains("rooted 16 17 18)"));
    assert_eq!(
        read(".github/workflows/packages.yml")
            .matches("version: [15, 16, 17, 18]\n")
            .count(),
        2,
        "packages and images"
    );
    assert!(read(".github/workflows/test.yml").contains("version: [16, 17, 18]\n"));
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

/// The files below a directory with their modes, sorted.
fn files(directory: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => {
                let mode = fs::metadata(&path).expect("a file").permissions().mode();
                found.push((path, mode & 0o7777));
            }
        }
    }
    found.sort_unstable();
    found
}

/// A directory that is removed with its files.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `make install` copies what is built below DESTDIR, with the debug lines beside the library, and `make uninstall` removes all
/// of it. The compiler is one that finds nothing to do.
#[test]
fn what_is_installed_below_a_directory_is_removed_from_there() {
    // Blanks in paths are nobody's mistake.
    let scratch = Scratch(std::env::temp_dir().join(format!("sage intacct {}", std::process::id())));
    let of = |directory: &str| {
        let directory = scratch.0.join(directory);
        fs::create_dir_all(&directory).expect("a directory");
        directory
    };
    let (home, target, place) = (of("home"), of("target"), scratch.0.join("a root"));
    let bin = of("home/.cargo/bin");
    fs::write(bin.join("cargo"), "#!/bin/sh\n").expect("a compiler");
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).expect("a program");
    let pg_config = cluster::program("pg_config");
    let pg_config = Path::new(pg_config.get_program());
    let directory = |option: &str| {
        let output = Command::new(pg_config)
            .arg(option)
            .output()
            .expect("pg_config runs");
        PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
    };
    let (libraries, shared) = (directory("--pkglibdir"), directory("--sharedir"));
    let built = of("target/dist").join("libsage_intacct_fdw.so");
    // Any program with debug lines does, such as this one.
    fs::copy(std::env::current_exe().expect("a program"), &built).expect("a library");
    let run = |arguments: &[&str]| {
        let output = Command::new(root().join("scripts/install-extension"))
            .args(arguments)
            .env("HOME", &home)
            .env("CARGO_TARGET_DIR", &target)
            .env("SAGE_RUN_DIR", scratch.0.join("run"))
            .env("PG_CONFIG", pg_config)
            .env("DESTDIR", &place)
            .output()
            .expect("the script runs");
        assert!(output.status.success(), "{output:?}");
    };
    let below = |path: &Path| place.join(path.strip_prefix("/").expect("an absolute path"));

    run(&["--build"]);
    assert!(!place.exists(), "nothing is installed by what only builds");
    run(&["--release"]);
    let library = below(&libraries).join("sage_intacct_fdw.so");
    let lines = below(&libraries).join(".debug/sage_intacct_fdw.so.debug");
    let mut expected = vec![
        (library.clone(), 0o755),
        (lines.clone(), 0o644),
        (below(&shared).join("extension/sage_intacct_fdw.control"), 0o644),
    ];
    for (script, _) in files(&root().join("sql/install")) {
        if script.extension().is_some_and(|ending| ending == "sql") {
            let name = script.file_name().expect("a name");
            expected.push((below(&shared).join("extension").join(name), 0o644));
        }
    }
    expected.sort_unstable();
    assert!(expected.len() >= 6, "{expected:?}");
    assert_eq!(files(&place), expected);
    let size = |path: &Path| fs::metadata(path).expect("a file").len();
    assert!(size(&library) < size(&built), "debug lines are apart");
    let bytes = fs::read(&library).expect("the library");
    let link = b".gnu_debuglink";
    assert!(bytes.windows(link.len()).any(|part| part == link), "and found");

    // A server that runs has the library mapped: the next one comes beside it, and never into it.
    let mut mapped = fs::File::open(&library).expect("the library");
    let inode = fs::metadata(&library).expect("the library").ino();
    run(&["--release"]);
    let mut still = Vec::new();
    mapped.read_to_end(&mut still).expect("the old library");
    assert!(still == bytes, "the old library has changed");
    assert_ne!(fs::metadata(&library).expect("the library").ino(), inode);
    assert_eq!(files(&place), expected);

    run(&["--uninstall"]);
    assert_eq!(files(&place), []);
    assert!(
        libraries.join("sage_intacct_fdw.so").exists(),
        "the server's own stays"
    );
}
