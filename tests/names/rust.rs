//! String literals of Rust, without those in comments, tests and messages.

use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};

/// A string literal.
pub struct Text {
    /// Its value.
    pub text: String,
    /// Whether it is part of the installation script.
    pub is_script: bool,
}

/// Calls whose strings are for people, in which SQL is an example.
const MESSAGES: &[&str] = &["hint", "detail", "expect", "panic", "assert", "doc"];
/// Attributes and macros whose strings go into the installation script.
const SCRIPTS: &[&str] = &["extension_sql", "pg_extern"];

/// The literals with the lines in which they begin.
pub fn literals(source: &str) -> Vec<(usize, Text)> {
    let stream: TokenStream = source.parse().expect("Rust");
    let mut found = Vec::new();
    collect(stream, false, &mut found);
    found
}

fn collect(stream: TokenStream, is_script: bool, found: &mut Vec<(usize, Text)>) {
    // The word before a group says what it is: a call, a macro, an attribute.
    let mut word = String::new();
    let mut is_test = false;
    for token in stream {
        match token {
            TokenTree::Ident(ident) => word = ident.to_string(),
            TokenTree::Punct(punct) if punct.as_char() == '!' => {}
            TokenTree::Group(group) => {
                let text = group.to_string();
                if group.delimiter() == Delimiter::Bracket && text.starts_with("[cfg (test") {
                    is_test = true;
                } else if group.delimiter() == Delimiter::Bracket && text.starts_with("[doc") {
                } else if is_test && group.delimiter() == Delimiter::Brace {
                    is_test = false;
                } else if !(group.delimiter() == Delimiter::Parenthesis && MESSAGES.contains(&word.as_str()))
                {
                    let script = is_script
                        || SCRIPTS.contains(&word.as_str())
                        || (group.delimiter() == Delimiter::Bracket && text.starts_with("[pg_extern"));
                    collect(group.stream(), script, found);
                }
                word.clear();
            }
            TokenTree::Punct(_) => word.clear(),
            TokenTree::Literal(literal) => {
                if let Some(text) = value(&literal) {
                    found.push((literal.span().start().line, Text { text, is_script }));
                }
                word.clear();
            }
        }
    }
}

/// The value of a string literal.
fn value(literal: &Literal) -> Option<String> {
    let text = literal.to_string();
    let text = text.trim_start_matches('c');
    if let Some(raw) = text.strip_prefix('r') {
        return Some(raw.trim_matches('#').trim_matches('"').to_owned());
    }
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    // A backslash at the end of a line joins it with the next one, without the blanks there.
    let mut value = String::new();
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some('\n')) => while characters.next_if(|next| next.is_whitespace()).is_some() {},
            ('\\', Some('n')) => {
                characters.next();
                value.push('\n');
            }
            ('\\', Some(&escaped)) => {
                characters.next();
                value.push(escaped);
            }
            _ => value.push(character),
        }
    }
    Some(value)
}
