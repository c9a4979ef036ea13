//! Walks over the text of a query: words, names, numbers and literals.

use super::syntax_error::SyntaxError;
use crate::query::Value;

/// Words that cannot be a name without quotes where they would end a literal or start a clause.
const RESERVED: [&str; 18] = [
    "select", "from", "where", "and", "or", "not", "in", "like", "between", "is", "null", "order_by",
    "order", "limit", "offset", "options", "docparid", "by",
];

/// Words that a name without quotes is never taken for.
const NEVER_A_NAME: [&str; 6] = ["select", "from", "where", "and", "or", "not"];

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '#' | '-')
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')' | ',' | ';')
}

/// Whether a name must stand between double quotes to be read back.
pub(crate) fn needs_quotes(name: &str) -> bool {
    !name.starts_with(is_name_start)
        || !name.chars().all(is_name_part)
        || RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name))
}

/// A position in the text.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Cursor { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// What stands here, after blanks.
    pub(super) fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.rest().chars().next()
    }

    /// The error that something else was expected here.
    pub(super) fn expected(&mut self, what: &str) -> SyntaxError {
        self.skip_space();
        self.expected_at(self.at, what)
    }

    fn expected_at(&self, at: usize, what: &str) -> SyntaxError {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = &self.text[at..];
        let found = match rest.chars().next() {
            None => "the end".to_owned(),
            Some(first) if ends_word(first) => format!("\"{first}\""),
            Some(_) => {
                let word: String = rest.chars().take_while(|c| !ends_word(*c)).take(40).collect();
                format!("\"{word}\"")
            }
        };
        SyntaxError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            expected: what.to_owned(),
            found,
        }
    }

    /// Takes this punctuation if it stands here.
    pub(super) fn take(&mut self, symbol: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    pub(super) fn require(&mut self, symbol: &str) -> Result<(), SyntaxError> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.expected(&format!("\"{symbol}\"")))
        }
    }

    /// Whether this keyword stands here, after blanks.
    pub(super) fn sees_word(&mut self, word: &str) -> bool {
        self.skip_space();
        word_at(self.rest(), word)
    }

    /// Takes this keyword if it stands here.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.sees_word(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes `order_by` or `order by` if it stands here.
    pub(super) fn take_order_by(&mut self) -> bool {
        if self.take_word("order_by") {
            return true;
        }
        let start = self.at;
        if self.take_word("order") && self.take_word("by") {
            return true;
        }
        self.at = start;
        false
    }

    /// A name: a field path or an object.
    pub(super) fn name(&mut self, what: &str) -> Result<String, SyntaxError> {
        self.skip_space();
        if self.rest().starts_with('"') {
            return self.quoted_name();
        }
        let rest = self.rest();
        let end = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        if !name.starts_with(is_name_start) || NEVER_A_NAME.iter().any(|w| w.eq_ignore_ascii_case(name)) {
            return Err(self.expected(what));
        }
        self.at += end;
        Ok(name.to_owned())
    }

    /// A name between double quotes; a quote inside is doubled.
    pub(super) fn quoted_name(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let mut name = String::new();
        loop {
            let Some(quote) = self.rest().find('"') else {
                return Err(self.expected_at(start, "a closing double quote"));
            };
            name.push_str(&self.rest()[..quote]);
            self.at += quote + 1;
            if !self.rest().starts_with('"') {
                return Ok(name);
            }
            name.push('"');
            self.at += 1;
        }
    }

    /// Digits, with an optional `$` before them: `(is a parameter, number)`.
    pub(super) fn count(&mut self) -> Result<(bool, u64), SyntaxError> {
        self.skip_space();
        let length = count_length(self.rest()).ok_or_else(|| self.expected("a number or a parameter"))?;
        let word = &self.rest()[..length];
        let is_param = word.starts_with('$');
        let number = word.trim_start_matches('$').parse();
        let number = number.map_err(|_| self.expected("a smaller number"))?;
        if is_param && u32::try_from(number).is_err() {
            return Err(self.expected("a smaller parameter number"));
        }
        self.at += length;
        Ok((is_param, number))
    }

    /// Text between single quotes; inside, `''` and `\'` are a quote and `\\` a backslash.
    pub(super) fn quoted_text(&mut self) -> Result<String, SyntaxError> {
        self.skip_space();
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((i, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            match (c, next) {
                ('\'', Some('\'')) | ('\\', Some('\'' | '\\')) => {
                    text.extend(next);
                    chars.next();
                }
                ('\'', _) => {
                    self.at += i + 1;
                    return Ok(text);
                }
                _ => text.push(c),
            }
        }
        Err(self.expected_at(start, "a closing quote"))
    }

    /// A literal: quoted, or bare up to the next keyword, bracket or comma.
    pub(super) fn literal(&mut self) -> Result<Value, SyntaxError> {
        if self.peek() == Some('\'') {
            return self.quoted_text().map(Value::Text);
        }
        let bare = self.bare()?;
        Ok(Value::from_bare(bare))
    }

    /// The text of a bare literal. A backslash at its end is dropped: the vendor's documentation prints one.
    pub(super) fn bare(&mut self) -> Result<&'a str, SyntaxError> {
        self.skip_space();
        let rest = self.rest();
        let mut end = rest.len();
        let mut after_space = true;
        for (i, c) in rest.char_indices() {
            if matches!(c, '[' | ']' | '(' | ')' | ',' | ';') || (after_space && clause_starts(&rest[i..])) {
                end = i;
                break;
            }
            after_space = c.is_whitespace();
        }
        let literal = rest[..end].trim_end();
        let literal = literal.strip_suffix('\\').unwrap_or(literal).trim_end();
        if literal.is_empty() {
            return Err(self.expected("a value"));
        }
        // `==`, or a comparison whose `and` was forgotten: neither is meant to be text.
        if let Some(at) = literal.find(['=', '<', '>']) {
            let at = self.at + if literal[..at].ends_with('!') { at - 1 } else { at };
            return Err(self.expected_at(at, "a value (one with an operator in it stands between quotes)"));
        }
        self.at += end;
        Ok(literal)
    }
}

/// Whether `text` starts with this keyword as a whole word.
fn word_at(text: &str, word: &str) -> bool {
    text.get(..word.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(word))
        && text[word.len()..]
            .chars()
            .next()
            .is_none_or(|c| ends_word(c) || c == '\'' || c == '"')
}

/// Length of `123` or `$1` at the start of `text`, if a whole word.
fn count_length(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('$').unwrap_or(text);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits[count..].chars().next().is_none_or(ends_word);
    (count > 0 && whole).then_some(text.len() - digits.len() + count)
}

/// Whether a keyword that ends a bare literal stands at the start of `text`.
fn clause_starts(text: &str) -> bool {
    let after = |word: &str| word_at(text, word).then(|| text[word.len()..].trim_start());
    word_at(text, "and")
        || word_at(text, "or")
        || word_at(text, "order_by")
        || after("order").is_some_and(|rest| word_at(rest, "by"))
        || ["limit", "offset"]
            .iter()
            .any(|w| after(w).is_some_and(|rest| count_length(rest).is_some()))
        || after("options").is_some_and(|rest| rest.starts_with('('))
}
