//! Rows that are written as the row before: compared as bytes, without going through tokens.
//!
//! The rows of a page differ in their texts only, so a row that was read token by token shows what stands between the
//! texts of the next. A row that differs in anything else (an attribute, a comment, a reference such as `&amp;`, bytes
//! that are not UTF-8) is left to the tokens: the template accepts nothing that they refuse, and finds the same cells.

use super::columns::{Columns, Target};
use super::page::Page;
use super::parse_error::ParseError;
use super::scanner::Scanner;
use memchr::{memchr, memchr2, memmem};

/// How often the rows of a page are taken as a template: where each has another form, little is won.
const ATTEMPTS: usize = 16;

/// The template of a page, made anew when a row with more fields comes.
pub(super) struct Templates<'a> {
    columns: &'a Columns,
    current: Option<Template>,
    /// The next row read by tokens is to be looked at.
    is_wanted: bool,
    attempts: usize,
}

impl<'a> Templates<'a> {
    /// None so far. Where an element's column depends on what else the row holds (aggregates), or the text of the page
    /// needs a closer look, there will be none.
    pub(super) fn new(columns: &'a Columns, is_possible: bool) -> Self {
        let is_possible = is_possible && columns.is_plain();
        Templates {
            columns,
            current: None,
            is_wanted: is_possible,
            attempts: if is_possible { ATTEMPTS } else { 0 },
        }
    }

    /// Learns from a row that was read by tokens: its bytes with the white space before.
    pub(super) fn learn(&mut self, row: &[u8]) {
        if !self.is_wanted || self.attempts == 0 {
            return;
        }
        self.attempts -= 1;
        let fields = |template: &Template| template.fields.len();
        let known = self.current.as_ref().map_or(0, fields);
        if let Some(template) = Template::of(row, self.columns).filter(|new| fields(new) >= known) {
            self.current = Some(template);
        }
    }

    /// Adds the rows that follow to the page, as long as they are of the known form.
    pub(super) fn read_rows(&mut self, scanner: &mut Scanner<'_>, page: &mut Page) -> Result<(), ParseError> {
        let Some(template) = &self.current else {
            return Ok(());
        };
        self.is_wanted = loop {
            match template.read(scanner.rest(), self.columns, page)? {
                Verdict::Row(length) => scanner.skip(length),
                Verdict::Text => break false,
                Verdict::Form => break true,
            }
        };
        Ok(())
    }
}

/// A field of the template.
#[derive(Debug)]
struct Field {
    /// White space and the start tag without its end: `<NAME`.
    start: Box<[u8]>,
    /// `</NAME>`.
    end: Box<[u8]>,
    /// Where its text goes; `None` where it was not asked for.
    column: Option<usize>,
}

/// What stands between the texts of a row.
#[derive(Debug)]
struct Template {
    start: Box<[u8]>,
    fields: Vec<Field>,
    end: Box<[u8]>,
}

/// What a template makes of the bytes that follow.
enum Verdict {
    /// A row of so many bytes; it was added.
    Row(usize),
    /// Perhaps a row of this form, with a text that needs a closer look.
    Text,
    /// Something else.
    Form,
}

impl Template {
    /// Of a row that was read and accepted. `None` where its form is too rich.
    fn of(row: &[u8], columns: &Columns) -> Option<Template> {
        let (start, mut rest) = take_tag(row)?;
        let name = tag_name(start)?;
        let mut template = Template {
            start: start.into(),
            fields: Vec::new(),
            end: [].into(),
        };
        let mut expected = 0;
        loop {
            let (tag, after) = take_tag(rest)?;
            let markup = tag.trim_ascii_start();
            if markup.starts_with(b"</") {
                let ours = markup[2..].strip_suffix(b">")? == name;
                template.end = tag.into();
                return (ours && after.is_empty()).then_some(template);
            }
            let name = tag_name(tag)?;
            let column = match columns.find(std::str::from_utf8(name).ok()?, expected) {
                None => None,
                Some(Target::Column(column)) => Some(column),
                Some(Target::Fallback(_) | Target::Ambiguous) => return None,
            };
            expected = column.map_or(expected, |column| column + 1);
            let until = tag.len() - markup.len() + 1 + name.len();
            let end = [b"</", name, b">"].concat();
            rest = match markup.ends_with(b"/>") {
                true => after,
                false => after[memchr(b'<', after)?..].strip_prefix(end.as_slice())?,
            };
            template.fields.push(Field {
                start: tag[..until].into(),
                end: end.into(),
                column,
            });
        }
    }

    /// Adds the row that `bytes` begin with to the page, if it is of this form. Fields may be missing, which is noted.
    #[inline]
    fn read(&self, bytes: &[u8], columns: &Columns, page: &mut Page) -> Result<Verdict, ParseError> {
        if !bytes.starts_with(&self.start) {
            return Ok(Verdict::Form);
        }
        let mark = page.begin_row()?;
        match self.read_fields(bytes, columns, page)? {
            Ok(length) if std::str::from_utf8(&bytes[..length]).is_ok() => {
                page.repeat_cells(columns);
                Ok(Verdict::Row(length))
            }
            Ok(_) => {
                page.undo_row(mark);
                Ok(Verdict::Text)
            }
            Err(verdict) => {
                page.undo_row(mark);
                Ok(verdict)
            }
        }
    }

    /// Notes the columns for which a row of this form has no element.
    #[cold]
    fn note_missing(&self, row: &[u8], columns: &Columns, page: &mut Page) {
        let has_element = |column: usize| {
            self.fields.iter().any(|field| {
                field.column == Some(column)
                    && memmem::find_iter(row, &*field.start)
                        .any(|at| matches!(row.get(at + field.start.len()), Some(b'>' | b'/')))
            })
        };
        for column in (0..columns.len()).filter(|column| !columns.is_repeat(*column)) {
            if !has_element(column) {
                page.note_missing(column);
            }
        }
    }

    /// The length of the row, or why it is none of ours.
    #[inline]
    fn read_fields(
        &self,
        bytes: &[u8],
        columns: &Columns,
        page: &mut Page,
    ) -> Result<Result<usize, Verdict>, ParseError> {
        let mut found = 0;
        let mut at = self.start.len();
        let mut fields = self.fields.iter();
        loop {
            let rest = &bytes[at..];
            let Some(field) = fields.find(|field| {
                rest.starts_with(&field.start) && matches!(rest.get(field.start.len()), Some(b'>' | b'/'))
            }) else {
                if !rest.starts_with(&self.end) {
                    return Ok(Err(Verdict::Form));
                }
                if found < columns.elements() {
                    self.note_missing(&bytes[..at], columns, page);
                }
                return Ok(Ok(at + self.end.len()));
            };
            found += usize::from(field.column.is_some());
            at += field.start.len() + 1;
            let rest = &bytes[at..];
            if bytes[at - 1] == b'/' {
                if rest.first() != Some(&b'>') {
                    return Ok(Err(Verdict::Form));
                }
                at += 1;
                continue;
            }
            let Some(length) = memchr2(b'<', b'&', rest) else {
                return Ok(Err(Verdict::Text));
            };
            let (text, after) = rest.split_at(length);
            if !after.starts_with(&field.end) {
                return Ok(Err(Verdict::Text));
            }
            at += length + field.end.len();
            if let Some(column) = field.column {
                page.append(column, text)?;
            }
        }
    }
}

/// The bytes up to the end of the first tag, where nothing but white space stands before it.
fn take_tag(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'>', bytes)? + 1;
    let (tag, rest) = bytes.split_at(end);
    tag.trim_ascii_start().starts_with(b"<").then_some((tag, rest))
}

/// The name in a start tag that has no attributes, and is no comment or the like.
fn tag_name(tag: &[u8]) -> Option<&[u8]> {
    let inside = tag.trim_ascii_start().strip_prefix(b"<")?.strip_suffix(b">")?;
    let name = inside.strip_suffix(b"/").unwrap_or(inside);
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b':' | 0x80..);
    (!name.is_empty() && name.iter().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests;
