//! The rows of `data`, read token by token or as the row before.

use super::columns::{Columns, Target};
use super::page::{Bounds, Page, offset};
use super::parse_error::ParseError;
use super::scanner::{Scanner, Token, push_cleaned};
use super::template::Templates;

impl Page {
    /// Reads the children of `data`, whose start tag was just taken, up to its end.
    pub(crate) fn read(
        scanner: &mut Scanner<'_>,
        attributes: &[(String, String)],
        columns: &Columns,
        max_fields: usize,
        size_hint: usize,
        bounds: Bounds,
    ) -> Result<Page, ParseError> {
        let mut page = Page {
            columns: columns.len(),
            bounds: Bounds {
                bytes: bounds.bytes.min(scanner.allowance.left()),
                ..bounds
            },
            ..Page::default()
        };
        page.bytes.reserve(size_hint / 2);
        let mut reader = RowReader {
            columns,
            seen: vec![0; columns.len()],
            max_fields,
        };
        let mut templates = Templates::new(columns, !scanner.has_controls);
        let mut row = scanner.rest();
        loop {
            match scanner.next()? {
                Token::Start(_) => {
                    page.begin_row()?;
                    reader.read_row(scanner, &mut page)?;
                    templates.learn(&row[..row.len() - scanner.rest().len()]);
                    templates.read_rows(scanner, &mut page)?;
                    row = scanner.rest();
                }
                Token::Empty(_) => {
                    page.begin_row()?;
                    reader.finish_row(&mut page)?;
                    row = scanner.rest();
                }
                Token::End => break,
                Token::Text(text) if text.bytes().all(|b| b.is_ascii_whitespace()) => {}
                Token::Text(_) | Token::Char(_) => {
                    return Err(ParseError::malformed("text between the rows"));
                }
                Token::Eof => return Err(ParseError::Truncated("ends between the rows".into())),
            }
        }
        page.check_bytes()?;
        scanner.allowance.take(page.held_bytes())?;
        page.bytes.shrink_to_fit();
        page.cells.shrink_to_fit();
        page.take_counts(attributes)?;
        Ok(page)
    }

    /// A page without rows, from an empty `data` element.
    pub(crate) fn empty(attributes: &[(String, String)], columns: &Columns) -> Result<Page, ParseError> {
        let mut page = Page {
            columns: columns.len(),
            ..Page::default()
        };
        page.take_counts(attributes)?;
        Ok(page)
    }

    fn take_counts(&mut self, attributes: &[(String, String)]) -> Result<(), ParseError> {
        let mut count = None;
        for (name, value) in attributes {
            let number = || {
                let number = value.trim().parse::<u64>();
                number.map_err(|_| ParseError::malformed(format!("attribute {name} of data is not a number")))
            };
            match name.to_ascii_lowercase().as_str() {
                "totalcount" => self.total_count = Some(number()?),
                "offset" => {
                    self.offset = number()?;
                    self.offset_reported = true;
                }
                "count" => count = Some(number()?),
                "numremaining" => self.remaining = Some(number()?),
                "resultid" => self.result_id = (!value.is_empty()).then(|| value.clone()),
                _ => {}
            }
        }
        self.count = self.rows as u64;
        match count {
            Some(count) if count != self.count => Err(ParseError::Truncated(format!(
                "announces {count} rows and holds {}",
                self.count
            ))),
            _ => Ok(()),
        }
    }
}

struct RowReader<'a> {
    columns: &'a Columns,
    /// Number of the last row in which each column had an element.
    seen: Vec<usize>,
    max_fields: usize,
}

impl RowReader<'_> {
    fn read_row(&mut self, scanner: &mut Scanner<'_>, page: &mut Page) -> Result<(), ParseError> {
        let mut expected = 0;
        let mut fields = 0;
        loop {
            let (target, filled) = match scanner.next()? {
                Token::Start(field) => (self.columns.find(field.name().as_ref(), expected), true),
                Token::Empty(field) => (self.columns.find(field.name().as_ref(), expected), false),
                Token::End => return self.finish_row(page),
                Token::Text(text) if text.bytes().all(|b| b.is_ascii_whitespace()) => continue,
                Token::Text(_) | Token::Char(_) => {
                    return Err(ParseError::malformed("text between the fields of a row"));
                }
                Token::Eof => return Err(ParseError::Truncated("ends inside a row".into())),
            };
            fields += 1;
            if fields > self.max_fields {
                return Err(ParseError::TooLarge(format!(
                    "a row has more than {} fields",
                    self.max_fields
                )));
            }
            match target {
                None if filled => scanner.skip_element()?,
                None => {}
                Some(Target::Ambiguous) => {
                    return Err(ParseError::malformed(
                        "several aggregates over one field come back under the field's own name",
                    ));
                }
                Some(Target::Column(column)) => {
                    expected = column + 1;
                    let again = std::mem::replace(&mut self.seen[column], page.rows) == page.rows;
                    if again && !self.columns.has_fallback(column) {
                        return Err(ParseError::malformed("a field comes twice in a row"));
                    }
                    let cell = if filled { read_cell(scanner, page)? } else { (0, 0) };
                    page.set(column, cell);
                }
                Some(Target::Fallback(column)) => {
                    expected = column + 1;
                    let taken = self.seen[column] == page.rows;
                    self.seen[column] = page.rows;
                    let cell = if filled { read_cell(scanner, page)? } else { (0, 0) };
                    if !taken {
                        page.set(column, cell);
                    }
                }
            }
        }
    }

    fn finish_row(&self, page: &mut Page) -> Result<(), ParseError> {
        page.repeat_cells(self.columns);
        for (column, seen) in self.seen.iter().enumerate() {
            if *seen != page.rows && !self.columns.is_repeat(column) {
                page.note_missing(column);
            }
        }
        match self
            .columns
            .must_be_named
            .iter()
            .any(|column| self.seen[*column] != page.rows)
        {
            true => Err(ParseError::malformed(
                "an aggregate is missing, or comes back under the name of a field",
            )),
            false => Ok(()),
        }
    }
}

/// Appends the text of the element that was just started. An element with elements inside (owned lines) has none.
#[inline]
fn read_cell(scanner: &mut Scanner<'_>, page: &mut Page) -> Result<(u32, u32), ParseError> {
    let most = page.bounds.bytes;
    let bytes = &mut page.bytes;
    let start = bytes.len();
    let mut nested = false;
    loop {
        match scanner.next()? {
            Token::Text(text) if scanner.has_controls => {
                if scanner.cleaned_length(&text) > most.saturating_sub(bytes.len()) {
                    return Err(ParseError::TooLarge(format!(
                        "the rows take more than {most} bytes of memory"
                    )));
                }
                push_cleaned(bytes, &text);
            }
            Token::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Token::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Token::End => break,
            Token::Start(_) => {
                nested = true;
                scanner.skip_element()?;
            }
            Token::Empty(_) => nested = true,
            Token::Eof => return Err(ParseError::Truncated("ends inside a field".into())),
        }
    }
    if nested {
        bytes.truncate(start);
    }
    Ok((offset(start)?, offset(bytes.len())?))
}
