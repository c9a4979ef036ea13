//! Runs SQL files through psql and makes their output comparable from run to run.

use std::path::Path;
use std::process::Stdio;

use regex::Regex;

use crate::cluster;

/// Runs a file as psql prints it (statements echoed, results aligned), errors included, and returns the output.
///
/// `variables` become psql variables. The output still holds ports and names of this run: see [`Mask`].
///
/// # Panics
/// If psql cannot be started or the connection is lost.
pub fn run_file(database: &str, file: &Path, variables: &[(&str, &str)]) -> String {
    run(database, file, variables, &["-a", "-P", "null=NULL"])
}

/// The same without the statements, and with psql's own null, which is empty.
///
/// # Panics
/// As [`run_file`].
pub fn run_quietly(database: &str, file: &Path, variables: &[(&str, &str)]) -> String {
    run(database, file, variables, &[])
}

fn run(database: &str, file: &Path, variables: &[(&str, &str)], options: &[&str]) -> String {
    let mut command = cluster::program("psql");
    command.args(["-X", "-q", "-d", database, "-P", "pager=off"]);
    command.args(options);
    for (name, value) in variables {
        command.arg("-v").arg(format!("{name}={value}"));
    }
    // One stream, so that an error stands below the statement that caused it.
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    command.arg("-f").arg(file).stdin(Stdio::null());
    command
        .stdout(writer.try_clone().expect("a second end"))
        .stderr(writer);
    let mut child = command.spawn().expect("psql starts");
    // Our own ends of the pipe close with the command.
    drop(command);
    let mut output = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut output).expect("psql's output is readable");
    let status = child.wait().expect("psql ends");
    let output = String::from_utf8(output).expect("psql prints UTF-8");
    assert!(status.success(), "psql ended with {status}:\n{output}");
    output
}

/// Replaces what differs between runs by fixed words.
#[derive(Debug, Default)]
pub struct Mask {
    rules: Vec<(Regex, String)>,
}

impl Mask {
    /// The rules for places in files, which move with every edit.
    pub fn of_places() -> Self {
        Self::default()
            // psql prefixes messages with the file's path and line.
            .rule(r"(?m)^psql:[^ ]+:\d+: ", "")
            // Places in source files, shown by VERBOSITY verbose.
            .rule(r"(?m)^LOCATION: .*\n", "")
    }

    /// The rules that fit every file: psql's own positions, and numbers that are made up anew each time.
    pub fn new() -> Self {
        Self::of_places()
            // Since PostgreSQL 18 `\d+` lists them, although the column says it.
            .rule(r"(?m)^Not-null constraints:\n(?:    .*\n)+", "")
            .rule(
                r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
                "########-####-####-####-############",
            )
            // As wide as what it replaces, so that tables keep their shape.
            .rule(r"127\.0\.0\.1:\d{5}\b", "127.0.0.1:PORT_")
            .rule(
                r"expires \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
                "expires YYYY-MM-DDThh:mm:ssZ",
            )
    }

    /// Adds a rule: every match of `pattern` becomes `replacement` (with `$1` for groups).
    pub fn rule(mut self, pattern: &str, replacement: &str) -> Self {
        self.rules.push((
            Regex::new(pattern).expect("a valid pattern"),
            replacement.to_owned(),
        ));
        self
    }

    /// Adds a rule for a literal text.
    pub fn text(self, text: &str, replacement: &str) -> Self {
        let pattern = regex::escape(text);
        self.rule(&pattern, replacement)
    }

    /// Applies the rules in the order in which they were added.
    pub fn apply(&self, output: &str) -> String {
        self.rules
            .iter()
            .fold(output.to_owned(), |text, (pattern, replacement)| {
                pattern.replace_all(&text, replacement.as_str()).into_owned()
            })
    }
}
