//! A request document as a tree. Requests are small; rows never come this way.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

/// Elements deeper than this are refused.
const MAX_DEPTH: usize = 512;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Tag name.
    pub name: String,
    /// Attributes in document order.
    pub attributes: Vec<(String, String)>,
    /// Child elements in document order.
    pub children: Vec<Node>,
    /// All character data directly inside.
    pub text: String,
}

impl Node {
    /// Parses a whole document; the text of the error says what is wrong with it.
    ///
    /// # Errors
    /// A document that is not well-formed, has a DTD, or is too deep.
    pub fn parse(document: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(document);
        let mut open: Vec<Node> = Vec::new();
        let mut root = None;
        loop {
            match reader.read_event().map_err(|e| e.to_string())? {
                Event::Start(start) => {
                    if open.len() >= MAX_DEPTH {
                        return Err(format!("Excessive depth in document: {MAX_DEPTH}"));
                    }
                    if open.is_empty() && root.is_some() {
                        return Err("Extra content at the end of the document".into());
                    }
                    open.push(element(&start)?);
                }
                Event::Empty(start) => {
                    let node = element(&start)?;
                    close(node, &mut open, &mut root)?;
                }
                Event::End(_) => {
                    let node = open.pop().ok_or("Unexpected end tag")?;
                    close(node, &mut open, &mut root)?;
                }
                Event::Text(text) => append(&text.xml10_content(), &mut open)?,
                Event::CData(text) => append(&text.xml10_content(), &mut open)?,
                Event::GeneralRef(reference) => {
                    let text = match reference.resolve_char_ref().map_err(|e| e.to_string())? {
                        Some(c) if legal(c) => c.to_string(),
                        Some(c) => {
                            return Err(format!("xmlParseCharRef: invalid xmlChar value {}", c as u32));
                        }
                        None => {
                            let name: &str = &reference;
                            resolve_xml_entity(name)
                                .ok_or_else(|| format!("Entity '{name}' not defined"))?
                                .to_string()
                        }
                    };
                    append(&text, &mut open)?;
                }
                Event::DocType(_) => return Err("Document type declarations are not allowed".into()),
                Event::Eof if !open.is_empty() => return Err("Premature end of data".into()),
                Event::Eof => return root.ok_or_else(|| "Start tag expected, '<' not found".into()),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            }
        }
    }

    /// First child of that name.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|c| c.name == name)
    }

    /// Trimmed text of the first child of that name.
    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|c| c.text.trim())
    }

    /// Attribute value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Writes the element as XML, without white space between elements.
    pub fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.push_str(&format!(
                " {name}=\"{}\"",
                quick_xml::escape::escape(value.as_str())
            ));
        }
        out.push('>');
        if self.children.is_empty() {
            out.push_str(&quick_xml::escape::escape(self.text.as_str()));
        }
        for child in &self.children {
            child.write(out);
        }
        out.push_str(&format!("</{}>", self.name));
    }
}

/// Whether XML 1.0 allows the character.
pub fn legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn element(start: &BytesStart<'_>) -> Result<Node, String> {
    let mut node = Node {
        name: start.name().as_ref().to_string(),
        ..Node::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let value = quick_xml::escape::unescape(&attribute.value)
            .map_err(|e| e.to_string())?
            .into_owned();
        node.attributes.push((attribute.key.as_ref().to_string(), value));
    }
    Ok(node)
}

fn close(node: Node, open: &mut [Node], root: &mut Option<Node>) -> Result<(), String> {
    match open.last_mut() {
        Some(parent) => parent.children.push(node),
        None if root.is_some() => return Err("Extra content at the end of the document".into()),
        None => *root = Some(node),
    }
    Ok(())
}

fn append(text: &str, open: &mut [Node]) -> Result<(), String> {
    if let Some(c) = text.chars().find(|c| !legal(*c)) {
        return Err(format!("PCDATA invalid Char value {}", c as u32));
    }
    match open.last_mut() {
        Some(node) => node.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("Start tag expected, '<' not found".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_entities_and_cdata_are_joined() {
        let node = Node::parse("<a x='1&amp;2'>p &lt; <![CDATA[<q>]]>&#228;<b/></a>").unwrap();
        assert_eq!(node.text, "p < <q>ä");
        assert_eq!(node.attribute("x"), Some("1&2"));
        assert!(node.child("b").is_some());
    }

    #[test]
    fn broken_documents_are_refused() {
        for bad in [
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "x<a/>",
            "<!DOCTYPE a><a/>",
            "<a>&x;</a>",
            "<a>&#1;</a>",
        ] {
            assert!(Node::parse(bad).is_err(), "{bad}");
        }
        let deep = format!("{}{}", "<a>".repeat(600), "</a>".repeat(600));
        assert!(Node::parse(&deep).is_err());
    }
}
