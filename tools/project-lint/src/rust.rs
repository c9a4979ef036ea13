//! Rust sources, as far as imports need them: text without comments, literals and tests; paths in it.

/// The source without comments, string and character literals, and items under `#[cfg(test)]`.
pub fn code(source: &str) -> String {
    without_tests(&without_literals(source))
}

fn without_literals(source: &str) -> String {
    let bytes: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let next = bytes.get(at + 1).copied();
        match bytes[at] {
            '/' if next == Some('/') => {
                while at < bytes.len() && bytes[at] != '\n' {
                    at += 1;
                }
            }
            '/' if next == Some('*') => {
                at += 2;
                while at < bytes.len() && !(bytes[at - 1] == '*' && bytes[at] == '/') {
                    at += 1;
                }
                at += 1;
            }
            'r' if matches!(next, Some('"' | '#')) && !out.ends_with(is_word) => {
                let hashes = bytes[at + 1..].iter().take_while(|c| **c == '#').count();
                if bytes.get(at + 1 + hashes) != Some(&'"') {
                    out.push('r');
                    at += 1;
                    continue;
                }
                at += hashes + 2;
                while at < bytes.len() {
                    let closes = bytes[at] == '"'
                        && bytes[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
                    at += 1;
                    if closes {
                        at += hashes;
                        break;
                    }
                }
                out.push_str("\"\"");
            }
            '"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != '"' {
                    at += if bytes[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
                out.push_str("\"\"");
            }
            // A character, or a lifetime, which has no second quote.
            '\'' if next == Some('\\') => {
                at += 3;
                while at < bytes.len() && bytes[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            '\'' if bytes.get(at + 2) == Some(&'\'') => at += 3,
            c => {
                out.push(c);
                at += 1;
            }
        }
    }
    out
}

fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(['{', ';']).unwrap_or(rest.len() - 1);
        let length = if rest[end..].starts_with('{') {
            end + braces(&rest[end..])
        } else {
            end + 1
        };
        rest = &rest[length.min(rest.len())..];
    }
    out.push_str(rest);
    out
}

/// Length of the text from an opening brace to the one that closes it.
fn braces(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// One leaf of a `use` declaration.
#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    /// The path that is imported; its last part is `*` for all names.
    pub path: Vec<String>,
    /// The name in the file.
    pub name: String,
    /// `pub use` in some form: a face shows it, and does not use it.
    pub public: bool,
}

/// The leaves of all `use` declarations, and the code without them.
pub fn uses(code: &str) -> (Vec<Use>, String) {
    let mut found = Vec::new();
    let mut rest = String::with_capacity(code.len());
    let mut at = 0;
    while let Some(start) = code[at..].find("use ").map(|start| start + at) {
        let before = code[..start].trim_end();
        let statement =
            before.is_empty() || before.ends_with(['{', '}', ';', ']', ')']) || before.ends_with("pub");
        let end = code[start..].find(';').map(|end| start + end);
        let (true, Some(end)) = (statement && !code[..start].ends_with(is_word), end) else {
            rest.push_str(&code[at..start + 4]);
            at = start + 4;
            continue;
        };
        rest.push_str(&code[at..start]);
        let line = before.rsplit(['\n', ';', '}']).next().unwrap_or_default().trim();
        let public = line.starts_with("pub");
        leaves(&code[start + 4..end], &[], public, &mut found);
        at = end + 1;
    }
    rest.push_str(&code[at..]);
    (found, rest)
}

fn leaves(tree: &str, prefix: &[String], public: bool, found: &mut Vec<Use>) {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let mut path = prefix.to_vec();
        path.extend(parts(tree[..open].trim().trim_end_matches("::")));
        let inner = tree[open + 1..].trim_end().trim_end_matches('}');
        let (mut depth, mut start) = (0, 0);
        for (at, c) in tree[open + 1..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    let part = &tree[open + 1 + start..open + 1 + at];
                    if !part.trim().is_empty() {
                        leaves(part, &path, public, found);
                    }
                    start = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                _ => {}
            }
        }
        if inner.len() > start {
            leaves(&inner[start..], &path, public, found);
        }
        return;
    }
    let (path, name) = match tree.split_once(" as ") {
        Some((path, name)) => (path.trim(), Some(name.trim().to_owned())),
        None => (tree, None),
    };
    let mut full = prefix.to_vec();
    full.extend(parts(path));
    if full.len() > 1 && full.last().is_some_and(|last| last == "self") {
        full.pop();
    }
    if let Some(last) = full.last().cloned() {
        found.push(Use {
            path: full,
            name: name.unwrap_or(last),
            public,
        });
    }
}

fn parts(path: &str) -> Vec<String> {
    path.split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// All paths of two or more parts that code names outside of `use`.
pub fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut chars = code.chars().peekable();
    let mut joined = false;
    while let Some(c) = chars.next() {
        if is_word(c) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            if !joined && !path.is_empty() {
                finish(&mut path, &mut found);
            }
            path.push(std::mem::take(&mut word));
        }
        if c == ':' && chars.peek() == Some(&':') {
            chars.next();
            joined = !path.is_empty();
        } else {
            finish(&mut path, &mut found);
            joined = false;
        }
    }
    finish(&mut path, &mut found);
    found
}

fn finish(path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if path.len() > 1 {
        found.push(path.clone());
    }
    path.clear();
}

/// Whether code defines an item of this name at any level.
pub fn defines(code: &str, name: &str) -> bool {
    [
        "fn", "struct", "enum", "trait", "type", "const", "static", "union", "mod",
    ]
    .iter()
    .any(|kind| {
        let item = format!("{kind} {name}");
        code.match_indices(&item)
            .any(|(at, _)| !code[..at].ends_with(is_word) && !code[at + item.len()..].starts_with(is_word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_tests_are_no_code() {
        let code = code(
            "use a::b; // crate::x\nlet s = \"crate::y \\\" \"; let c = '\"'; r#\"crate::z\"#;\n#[cfg(test)]\nmod t { use super::*; fn f() {} }\nfn g<'a>() {}",
        );
        assert!(!code.contains("crate"), "{code}");
        assert!(!code.contains("super") && code.contains("fn g"), "{code}");
    }

    #[test]
    fn trees_have_leaves() {
        let (found, rest) =
            uses("pub(crate) use a::{b::{C, self}, d as e};\nuse crate::f::*; fn g() { use h::I; x::y() }");
        let shown: Vec<String> = found
            .iter()
            .map(|u| {
                format!(
                    "{}{}={}",
                    if u.public { "pub " } else { "" },
                    u.name,
                    u.path.join("::")
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "pub C=a::b::C",
                "pub b=a::b",
                "pub e=a::d",
                "*=crate::f::*",
                "I=h::I"
            ]
        );
        assert_eq!(paths(&rest), [["x", "y"]]);
    }
}
