//! Elements of a request that writes, before they are text.

use crate::error::{Error, ErrorKind};
use crate::xml::escape::{IllegalCharacter, push_element};

/// An element. Those that come by dotted paths are folded into one another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Element {
    pub name: String,
    pub content: Content,
}

/// What stands in an element.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Text(String),
    Elements(Vec<Element>),
}

impl Element {
    pub(super) fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Element {
            name: name.into(),
            content: Content::Text(text.into()),
        }
    }

    pub(super) fn of(name: impl Into<String>, elements: Vec<Element>) -> Self {
        Element {
            name: name.into(),
            content: Content::Elements(elements),
        }
    }

    /// Appends the element as XML.
    pub(super) fn render(&self, out: &mut String) -> Result<(), Error> {
        match &self.content {
            Content::Text(text) => {
                push_element(out, &self.name, text).map_err(|IllegalCharacter(c)| illegal(&self.name, c))
            }
            Content::Elements(inner) if inner.is_empty() => {
                push_element(out, &self.name, "").map_err(|IllegalCharacter(c)| illegal(&self.name, c))
            }
            Content::Elements(inner) => {
                out.push('<');
                out.push_str(&self.name);
                out.push('>');
                inner.iter().try_for_each(|element| element.render(out))?;
                out.push_str("</");
                out.push_str(&self.name);
                out.push('>');
                Ok(())
            }
        }
    }
}

fn illegal(name: &str, c: char) -> Error {
    let message = format!(
        "the value of {name} holds the control character U+{:04X}, which XML cannot carry",
        u32::from(c)
    );
    Error::new(ErrorKind::Unsupported, message).with_hint("Take the character out of the value.")
}

/// Puts an element where its path says, beside those that are there under the same parents.
pub(super) fn put(elements: &mut Vec<Element>, path: &str, content: Content) -> Result<(), Error> {
    let Some((parent, rest)) = path.split_once('.') else {
        elements.push(Element {
            name: checked(path)?.to_owned(),
            content,
        });
        return Ok(());
    };
    let name = checked(parent)?;
    let found = elements
        .iter_mut()
        .find_map(|element| match &mut element.content {
            Content::Elements(inner) if element.name == name => Some(inner),
            _ => None,
        });
    match found {
        Some(inner) => put(inner, rest, content),
        None => {
            let mut inner = Vec::new();
            put(&mut inner, rest, content)?;
            elements.push(Element::of(name, inner));
            Ok(())
        }
    }
}

/// A name that may be one of an element: field names come from options of columns.
fn checked(name: &str) -> Result<&str, Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Ok(name);
    }
    let message = format!("\"{name}\" cannot be the name of a field that is written");
    Err(Error::new(ErrorKind::Unsupported, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(paths: &[(&str, &str)]) -> Result<String, Error> {
        let mut elements = Vec::new();
        for (path, text) in paths {
            put(&mut elements, path, Content::Text((*text).into()))?;
        }
        let mut out = String::new();
        Element::of("C", elements).render(&mut out)?;
        Ok(out)
    }

    #[test]
    fn dotted_paths_are_folded() {
        let paths = [
            ("N", "a & b"),
            ("D.E", "x"),
            ("D.M.CITY", "y"),
            ("Z", ""),
            ("D.M.ZIP", "1"),
        ];
        assert_eq!(
            rendered(&paths).expect("legal"),
            "<C><N>a &amp; b</N><D><E>x</E><M><CITY>y</CITY><ZIP>1</ZIP></M></D><Z/></C>"
        );
    }

    #[test]
    fn names_and_characters_are_checked() {
        for (path, text) in [
            ("A><B", "x"),
            ("", "x"),
            ("A..B", "x"),
            ("1A", "x"),
            ("A", "x\u{1}"),
        ] {
            assert!(rendered(&[(path, text)]).is_err(), "{path}");
        }
    }
}
