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
    /// Why it cannot run in a test: from a comment `<!-- not run: WHY -->` before it.
    pub not_run: Option<String>,
    /// What a reader would have or undo before it: from comments `<!-- before: SQL -->`.
    pub before: Vec<String>,
}

/// The examples of a Markdown text, in its order.
///
/// # Panics
/// If a fence is not closed.
pub fn examples(text: &str) -> Vec<Example> {
    let lines: Vec<&str> = text.lines().collect();
    let closing = |from: usize| {
        (from..lines.len())
            .find(|&at| lines[at].trim_end() == "```")
            .unwrap_or_else(|| panic!("the fence before line {} is not closed", from + 1))
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let fence = lines[at].trim_end();
        if !fence.starts_with("```") {
            at += 1;
            continue;
        }
        let end = closing(at + 1);
        if fence == "```sql" {
            let below = lines.get(end + 1).map(|line| line.trim_end());
            let shown = (below == Some("```")).then(|| end + 2..closing(end + 2));
            found.push(Example {
                line: at + 2,
                sql: lines[at + 1..end].join("\n"),
                shown: shown.clone(),
                not_run: comments(&lines[..at], "not run").pop(),
                before: comments(&lines[..at], "before"),
            });
            at = shown.map_or(end, |range| range.end) + 1;
        } else {
            at = end + 1;
        }
    }
    found
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

/// The text with other output in the places that `shown` names; the ranges in ascending order.
pub fn rewritten(text: &str, outputs: &[(std::ops::Range<usize>, String)]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut result = Vec::new();
    let mut at = 0;
    for (range, output) in outputs {
        result.extend_from_slice(&lines[at..range.start]);
        result.extend(output.lines());
        at = range.end;
    }
    result.extend_from_slice(&lines[at..]);
    result.join("\n") + "\n"
}
