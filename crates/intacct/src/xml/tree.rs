//! Small parts of responses as trees: everything but rows.

use super::parse_error::ParseError;
use super::scanner::{BLOCK, Scanner, Token, push_cleaned};
#[cfg(test)]
use crate::config::Caps;
use quick_xml::events::BytesStart;

/// An element with what is inside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// Character data directly inside, without that of children.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name; case does not matter.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children
            .iter()
            .find(|child| child.name.eq_ignore_ascii_case(name))
    }

    /// The children of this name; case does not matter.
    pub(crate) fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children
            .iter()
            .filter(move |child| child.name.eq_ignore_ascii_case(name))
    }

    /// Trimmed text of the first child of this name; empty when there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.text.trim())
    }

    /// An attribute; case does not matter.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The element of a start tag; counts what it takes.
pub(crate) fn opened(scanner: &mut Scanner<'_>, start: &BytesStart<'_>) -> Result<Element, ParseError> {
    let name = start.name();
    scanner
        .allowance
        .take(size_of::<Element>() + BLOCK + name.as_ref().len())?;
    Ok(Element {
        name: name.as_ref().to_owned(),
        attributes: scanner.attributes(start)?,
        ..Element::default()
    })
}

/// Reads the element whose start tag was just taken, up to its end.
pub(crate) fn read_element(scanner: &mut Scanner<'_>, start: &BytesStart<'_>) -> Result<Element, ParseError> {
    let mut open = vec![opened(scanner, start)?];
    let mut text: Vec<Vec<u8>> = vec![Vec::new()];
    loop {
        match scanner.next()? {
            Token::Start(start) => {
                open.push(opened(scanner, &start)?);
                text.push(Vec::new());
            }
            Token::Empty(start) => {
                let element = opened(scanner, &start)?;
                if let Some(parent) = open.last_mut() {
                    parent.children.push(element);
                }
            }
            Token::Text(part) => {
                scanner.take_text(&part)?;
                if let Some(text) = text.last_mut() {
                    push_cleaned(text, &part);
                }
            }
            Token::Char(c) => {
                scanner.allowance.take(BLOCK + c.len_utf8())?;
                if let Some(text) = text.last_mut() {
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            Token::End => {
                let (Some(mut closed), Some(text)) = (open.pop(), text.pop()) else {
                    return Err(ParseError::malformed("an end tag without a start tag"));
                };
                closed.text = String::from_utf8_lossy(&text).into_owned();
                // A list that grew by doubling would hold more than was counted.
                closed.children.shrink_to_fit();
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None => return Ok(closed),
                }
            }
            Token::Eof => return Err(ParseError::Truncated("ends inside an element".into())),
        }
    }
}

/// Reads a whole document.
#[cfg(test)]
pub(crate) fn parse(body: &[u8], caps: &Caps) -> Result<Element, ParseError> {
    let mut scanner = Scanner::new(body, caps);
    loop {
        match scanner.next()? {
            Token::Start(start) => return read_element(&mut scanner, &start),
            Token::Empty(start) => return opened(&mut scanner, &start),
            Token::Text(_) | Token::Char(_) | Token::End => {}
            Token::Eof => return Err(ParseError::Truncated("holds no element".into())),
        }
    }
}
