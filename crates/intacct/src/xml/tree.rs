//! Small parts of responses as trees: everything but rows.

use super::scanner::{ParseError, Scanner, Token, push_cleaned};
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

    fn opened(start: &BytesStart<'_>) -> Result<Element, ParseError> {
        Ok(Element {
            name: start.name().as_ref().to_owned(),
            attributes: attributes(start)?,
            ..Element::default()
        })
    }
}

/// The attributes of a tag, unescaped.
pub(crate) fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>, ParseError> {
    let mut found = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| ParseError::malformed(format!("an attribute: {error}")))?;
        let value = quick_xml::escape::unescape(&attribute.value)
            .map_err(|error| ParseError::malformed(format!("an attribute: {error}")))?;
        let mut cleaned = Vec::new();
        push_cleaned(&mut cleaned, &value);
        found.push((
            attribute.key.as_ref().to_owned(),
            String::from_utf8_lossy(&cleaned).into_owned(),
        ));
    }
    Ok(found)
}

/// Reads the element whose start tag was just taken, up to its end.
pub(crate) fn read_element(scanner: &mut Scanner<'_>, start: &BytesStart<'_>) -> Result<Element, ParseError> {
    let mut open = vec![Element::opened(start)?];
    let mut text: Vec<Vec<u8>> = vec![Vec::new()];
    loop {
        match scanner.next()? {
            Token::Start(start) => {
                open.push(Element::opened(&start)?);
                text.push(Vec::new());
            }
            Token::Empty(start) => {
                if let Some(parent) = open.last_mut() {
                    parent.children.push(Element::opened(&start)?);
                }
            }
            Token::Text(part) => {
                if let Some(text) = text.last_mut() {
                    push_cleaned(text, &part);
                }
            }
            Token::Char(c) => {
                if let Some(text) = text.last_mut() {
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            Token::End => {
                let (Some(mut closed), Some(text)) = (open.pop(), text.pop()) else {
                    return Err(ParseError::malformed("an end tag without a start tag"));
                };
                closed.text = String::from_utf8_lossy(&text).into_owned();
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
            Token::Empty(start) => return Element::opened(&start),
            Token::Text(_) | Token::Char(_) | Token::End => {}
            Token::Eof => return Err(ParseError::Truncated("holds no element".into())),
        }
    }
}
