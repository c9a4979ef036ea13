//! The SQL in Markdown files, and the output that stands below it.

/// An example: a fenced block of SQL, and where its output stands if it is shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Example {
    /// Line of the first statement, from 1.
    pub line: usize,
    /// What is typed.
    pub sql: String,
    /// The lines of the plain block that follows at once, as a range of the file's lines from 0.
    pub shown: Option<std::ops::Range<usize>>,
    /// Spaces before each line, which belong to a list.
    pub indent: usize,
    /// Why it cannot run in a test: from a comment `<!-- not run: WHY -->` before it.
    pub not_run: Option<String>,
    /// What a reader would have or undo before it: from comments `<!-- before: SQL -->`.
    pub before: Vec<String>,
    /// The output has lines too long to be shown in one: from a comment `<!-- output: WHY -->`.
    pub broken: bool,
}

/// The fenced blocks of a text.
struct Blocks {
    /// Those of SQL.
    examples: Vec<Example>,
    /// The others that are no output, with the line that follows the fence, from 1.
    others: Vec<(usize, String)>,
}

/// The examples of a Markdown text, in its order.
///
/// # Panics
/// If a fence is not closed.
pub fn examples(text: &str) -> Vec<Example> {
    blocks(text).examples
}

/// Lines that look like SQL in blocks that no test runs, from 1.
///
/// # Panics
/// If a fence is not closed.
pub fn sql_elsewhere(text: &str) -> Vec<usize> {
    const VERBS: [&str; 14] = [
        "SELECT ", "INSERT ", "UPDATE ", "DELETE ", "MERGE ", "CREATE ", "ALTER ", "DROP ", "IMPORT ",
        "CALL ", "COPY ", "GRANT ", "SET ", "EXPLAIN ",
    ];
    let blocks = blocks(text);
    let lines = blocks.others.iter().flat_map(|(first, text)| {
        text.lines().enumerate().filter_map(move |(at, line)| {
            let line = line.trim_start();
            let typed = line
                .split_once("=> ")
                .or(line.split_once("=# "))
                .map_or(line, |(_, typed)| typed);
            VERBS
                .iter()
                .any(|verb| typed.starts_with(verb))
                .then_some(first + at)
        })
    });
    lines.collect()
}

fn blocks(text: &str) -> Blocks {
    let lines: Vec<&str> = text.lines().collect();
    let closing = |from: usize| {
        (from..lines.len())
            .find(|&at| lines[at].trim() == "```")
            .unwrap_or_else(|| panic!("the fence before line {} is not closed", from + 1))
    };
    let mut found = Blocks {
        examples: Vec::new(),
        others: Vec::new(),
    };
    let mut at = 0;
    while at < lines.len() {
        let fence = lines[at].trim();
        if !fence.starts_with("```") {
            at += 1;
            continue;
        }
        let end = closing(at + 1);
        let indent = lines[at].len() - lines[at].trim_start().len();
        let inside: Vec<&str> = lines[at + 1..end]
            .iter()
            .map(|line| without(line, indent))
            .collect();
        if fence == "```sql" {
            let below = lines.get(end + 1).map(|line| line.trim());
            let shown = (below == Some("```")).then(|| end + 2..closing(end + 2));
            found.examples.push(Example {
                line: at + 2,
                sql: inside.join("\n"),
                shown: shown.clone(),
                indent,
                not_run: comments(&lines[..at], "not run").pop(),
                before: comments(&lines[..at], "before"),
                broken: !comments(&lines[..at], "output").is_empty(),
            });
            at = shown.map_or(end, |range| range.end) + 1;
        } else {
            found.others.push((at + 2, inside.join("\n")));
            at = end + 1;
        }
    }
    found
}

/// A line without the spaces of its list.
fn without(line: &str, indent: usize) -> &str {
    let blanks = line.len() - line.trim_start_matches(' ').len();
    &line[blanks.min(indent)..]
}

impl Example {
    /// The output that the text shows, as psql prints it.
    pub fn output(&self, text: &str) -> Option<String> {
        let range = self.shown.clone()?;
        let lines = text.lines().skip(range.start).take(range.len());
        Some(
            lines
                .map(|line| without(line, self.indent))
                .collect::<Vec<_>>()
                .join("\n"),
        )
    }
}

/// What the comments of a name say that stand before a fence, empty lines between them allowed, in their order.
fn comments(before: &[&str], name: &str) -> Vec<String> {
    let mut said: Vec<String> = before
        .iter()
        .rev()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty())
        .map_while(|line| line.strip_prefix("<!-- ")?.strip_suffix(" -->")?.split_once(": "))
        .filter(|(which, _)| *which == name)
        .map(|(_, said)| said.to_owned())
        .collect();
    said.reverse();
    said
}

/// The text with other output below examples; these in ascending order, each of them with output.
pub fn rewritten(text: &str, outputs: &[(&Example, String)]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut result = String::new();
    let mut push = |line: &str, indent: usize| {
        let blanks = if line.is_empty() { 0 } else { indent };
        result.extend(std::iter::repeat_n(' ', blanks));
        result.push_str(line);
        result.push('\n');
    };
    let mut at = 0;
    for (example, output) in outputs {
        let Some(range) = &example.shown else { continue };
        lines[at..range.start].iter().for_each(|line| push(line, 0));
        output.lines().for_each(|line| push(line, example.indent));
        at = range.end;
    }
    lines[at..].iter().for_each(|line| push(line, 0));
    result
}
