//! Every SQL example of README.md and `docs/` runs, and prints what is shown below it.
//!
//! The examples of a file run in its order, in one psql session, over simulated companies `acme` and `globex`, after
//! `tests/examples/FILE.sql`, which makes what the text takes for granted. A plain block directly below an example is its
//! output, ports and the like aside; an example without one must not fail. `<!-- before: SQL -->` before an example runs
//! first, unseen by readers; below `<!-- output: long lines are broken -->` only white space may differ;
//! `<!-- not run: WHY -->` leaves it out. With `SAGE_GOLDEN=rewrite` output that differs is written into the documents.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use intacct_simulator::Config;
use intacct_simulator::catalog::Catalog;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::examples::{Example, examples, rewritten, sql_elsewhere};
use sage_intacct_fdw_tests::psql::{self, Mask};

/// Makes a test of each document.
macro_rules! documents {
    ($($name:ident: $path:literal),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                run($path);
            }
        )+

        #[test]
        fn every_document_with_sql_is_a_test() {
            let mut tests = vec![$($path),+];
            tests.sort_unstable();
            assert_eq!(documents(), tests);
        }
    };
}

documents!(
    readme: "README.md",
    architecture: "docs/architecture.md",
    consolidation: "docs/consolidation.md",
    cookbook: "docs/cookbook.md",
    first_company: "docs/first-company.md",
    managed: "docs/managed.md",
    mirrors: "docs/mirrors.md",
    monitoring: "docs/monitoring.md",
    operations: "docs/operations.md",
    query_syntax: "docs/query-syntax.md",
    reference: "docs/reference.md",
    scale: "docs/scale.md",
    tools: "docs/tools.md",
    writes: "docs/writes.md",
);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents that hold SQL.
fn documents() -> Vec<String> {
    let mut found = all_documents();
    found.retain(|path| !examples(&fs::read_to_string(root().join(path)).expect("a text")).is_empty());
    found
}

fn all_documents() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).expect("the folder exists");
    let docs = docs.map(|entry| {
        let name = entry.expect("readable").file_name();
        format!("docs/{}", name.to_string_lossy())
    });
    let mut found: Vec<String> = docs
        .chain(["README.md".to_owned()])
        .filter(|path| path.ends_with(".md"))
        .collect();
    found.sort_unstable();
    found
}

/// SQL in a block of another kind would be run by no test.
#[test]
fn sql_stands_in_blocks_of_sql() {
    let mut found = Vec::new();
    for path in all_documents() {
        let text = fs::read_to_string(root().join(&path)).expect("a text");
        found.extend(sql_elsewhere(&text).iter().map(|line| format!("{path}:{line}")));
    }
    assert_eq!(found, [""; 0]);
}

/// What the reports of a finance team read.
const COOKBOOK: [&str; 9] = [
    "VENDOR",
    "APBILL",
    "ARPYMT",
    "APPYMT",
    "GLACCOUNT",
    "GLBATCH",
    "GLENTRY",
    "GLBUDGETITEM",
    "REPORTINGPERIOD",
];

/// As many invoices and customers as the demo has: what README.md shows is what `make demo` prints. The cookbook has
/// four companies, and more of what it reads.
fn sizes(stem: &str) -> Config {
    let builtin = Catalog::builtin();
    let (companies, more): (_, &[_]) = match stem {
        "cookbook" => (4, &COOKBOOK),
        // As the package's simulator is, which it tells to start.
        "README" => return Config::default(),
        _ => (2, &[]),
    };
    let config = Config { companies, ..small() };
    let large = ["CUSTOMER", "ARINVOICE"].iter().chain(more);
    large.fold(config, |config, name| {
        let object = builtin.object(name).expect("an object of the simulator");
        config.rows(name, object.rows)
    })
}

/// The line that psql prints before the output of an example.
fn mark(example: &Example) -> String {
    format!("@@ example of line {} @@", example.line)
}

fn run(path: &str) {
    let file = root().join(path);
    let text = fs::read_to_string(&file).expect("a text");
    let (left_out, runs): (Vec<_>, Vec<_>) = examples(&text)
        .into_iter()
        .partition(|example| example.not_run.is_some());
    let stem = Path::new(path)
        .file_stem()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let company = Company::start_with(
        &format!("examples_{}", stem.replace('-', "_").to_lowercase()),
        sizes(&stem),
    );
    if stem == "cookbook" {
        // The amounts of 14 digits that tests need are in nobody's books; the store holds cents.
        let ordinary = ["ARINVOICE", "APBILL", "ARPYMT", "APPYMT"].map(|object| {
            serde_json::json!({ "delete": { "object": object, "where": "abs(TOTALENTERED) > 100000000" } })
        });
        company.gateway.change(serde_json::json!(ordinary));
    }
    let script = script(&stem, &runs);
    let script_file = std::env::temp_dir().join(format!("examples-{stem}-{}.sql", std::process::id()));
    fs::write(&script_file, script).expect("a script");
    let output = psql::run_quietly(
        company.database.name(),
        &script_file,
        &[("gateway", &company.gateway.url())],
    );
    fs::remove_file(&script_file).expect("the script goes");
    let output = Mask::of_places()
        .text(company.database.name(), "postgres")
        .apply(&output);
    let mut rest = output.as_str();
    let mut outputs = Vec::new();
    for example in &runs {
        let (before, after) = rest
            .split_once(&(mark(example) + "\n"))
            .unwrap_or_else(|| panic!("{path}: no example of line {} in:\n{output}", example.line));
        outputs.push(before);
        rest = after;
    }
    outputs.push(rest);
    let mut problems = String::new();
    assert!(
        !outputs[0].contains("ERROR:"),
        "{path}: its preparation: {}",
        outputs[0]
    );
    // What differs from run to run.
    let mask = Mask::new()
        .rule(r"\b127\.0\.0\.1:\d{4,5}\b", "127.0.0.1:PORT_")
        .rule(r"\b\d+\.\d times what one brings", "N times what one brings")
        .rule(r"Bytes on the Wire: \d+", "Bytes on the Wire: N")
        // PostgreSQL 18 shows fractions of rows.
        .rule(r"(actual rows=\d+)\.00", "$1");
    let mut written = Vec::new();
    for (example, output) in runs.iter().zip(&outputs[1..]) {
        let output = trimmed(output);
        let Some(shown) = example.output(&text) else {
            if output.contains("ERROR:") {
                writeln!(problems, "line {}: {output}", example.line).expect("a string");
            }
            continue;
        };
        let same = |text: &str| match example.broken {
            true => words(&mask.apply(text)),
            false => trimmed(&mask.apply(text)),
        };
        if same(&output) == same(&shown) {
            continue;
        }
        writeln!(problems, "line {} prints\n{output}", example.line).expect("a string");
        written.push((example, output));
    }
    if std::env::var("SAGE_GOLDEN").as_deref() == Ok("rewrite") {
        fs::write(&file, rewritten(&text, &written)).expect("the document can be written");
    } else {
        assert!(problems.is_empty(), "{path}: {problems}");
    }
    // Not through the harness, which keeps what a passing test prints.
    let reasons: Vec<_> = left_out
        .iter()
        .filter_map(|example| example.not_run.as_deref())
        .collect();
    let _ = writeln!(
        std::io::stderr(),
        "{path}: {} examples run, {} with their output; not run: {} {reasons:?}",
        runs.len(),
        runs.iter().filter(|example| example.shown.is_some()).count(),
        left_out.len(),
    );
}

/// What psql reads: the preparation, then each example behind its mark.
fn script(stem: &str, runs: &[Example]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let prepared = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let mut script = prepared("all.sql") + &prepared(&format!("{stem}.sql"));
    for example in runs {
        // An example's settings are its own.
        write!(
            script,
            "\nRESET ALL;\nSET client_min_messages = warning;\n{}\n\\echo '{}'\n{}\n",
            example.before.join("\n"),
            mark(example),
            example.sql
        )
        .expect("a string");
    }
    script
}

/// The words of an output, without the line of dashes that is as long as its longest line.
fn words(text: &str) -> String {
    let is_rule = |word: &&str| word.len() > 20 && word.chars().all(|c| c == '-');
    let words = text.split_whitespace().filter(|word| !is_rule(word));
    words.collect::<Vec<_>>().join(" ")
}

/// Without spaces at the ends of lines, and without empty lines around it.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// A document with three examples, one of them in a list.
const TEXT: &str = "Text\n\n<!-- before: A; -->\n<!-- before: B; -->\n\n```sql\nSELECT 1;\nSELECT 2;\n```\n```\n1\n```\n\n\
                    ```\n=> SELECT nothing\n```\n<!-- not run: why -->\n```sql\nSELECT 3;\n```\n- Item:\n\n  \
                    ```sql\n  SELECT 4,\n    5;\n  ```\n  ```\n  4 | 5\n\n  6\n  ```\nEnd\n";

#[test]
fn blocks_of_sql_are_found_with_their_output() {
    let found = examples(TEXT);
    assert_eq!(found.len(), 3);
    assert_eq!(
        (found[0].line, found[0].sql.as_str()),
        (7, "SELECT 1;\nSELECT 2;")
    );
    assert_eq!(found[0].before, ["A;", "B;"]);
    assert_eq!((found[0].shown.clone(), &found[0].not_run), (Some(10..11), &None));
    assert_eq!(
        (found[1].shown.clone(), found[1].not_run.as_deref()),
        (None, Some("why"))
    );
    assert_eq!(found[2].sql, "SELECT 4,\n  5;");
    assert_eq!(found[2].output(TEXT).as_deref(), Some("4 | 5\n\n6"));
    assert_eq!(sql_elsewhere(TEXT), [15]);
    let new = rewritten(
        TEXT,
        &[(&found[0], "2\n3".to_owned()), (&found[2], "7".to_owned())],
    );
    let expected = TEXT
        .replace("```\n1\n```", "```\n2\n3\n```")
        .replace("  4 | 5\n\n  6\n", "  7\n");
    assert_eq!(new, expected);
}
