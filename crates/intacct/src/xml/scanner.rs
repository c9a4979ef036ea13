//! Reads tokens of an untrusted document, within the caps.

use super::allowance::Allowance;
use super::parse_error::ParseError;
use crate::config::Caps;
use quick_xml::Reader;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::events::{BytesStart, Event};
use std::borrow::Cow;

/// What an allocation costs at least, beside the bytes of a text in it.
pub(crate) const BLOCK: usize = 32;

/// One token. Comments, processing instructions and the declaration are passed over.
pub(crate) enum Token<'a> {
    Start(BytesStart<'a>),
    Empty(BytesStart<'a>),
    End,
    /// Character data as it stands in the document, from text or a CDATA section.
    Text(Cow<'a, str>),
    /// A character that stood as a reference.
    Char(char),
    /// The document ended with every element closed.
    Eof,
}

/// A reader that refuses what a gateway has no reason to send.
pub(crate) struct Scanner<'a> {
    reader: Reader<&'a [u8]>,
    length: u64,
    /// Bytes passed over beside the reader, which does not count them.
    skipped: u64,
    depth: usize,
    max_depth: usize,
    max_name: usize,
    max_attributes: usize,
    /// What is left for what is read from the body.
    pub(crate) allowance: Allowance,
    /// The body holds control characters, so that text needs a closer look.
    pub(crate) has_controls: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(body: &'a [u8], caps: &Caps) -> Self {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        // Branch-free so that it is vectorised: it runs over every byte.
        let odd = |b: &u8| (*b < 0x20) & (*b != b'\n') & (*b != b'\t');
        let has_controls = body
            .chunks(4096)
            .any(|chunk| chunk.iter().fold(false, |found, b| found | odd(b)));
        Scanner {
            reader: Reader::from_reader(body),
            length: body.len() as u64,
            skipped: 0,
            depth: 0,
            max_depth: caps.depth,
            max_name: caps.name_bytes,
            max_attributes: caps.attributes,
            allowance: Allowance::new(caps.body_bytes),
            has_controls,
        }
    }

    /// The next token. Inlined where it is called, so that no token is ever put into memory.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Token<'a>, ParseError> {
        loop {
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => return Err(self.broken(&error)),
            };
            return Ok(match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > self.max_depth {
                        return Err(self.too_deep());
                    }
                    self.check_name(&start)?;
                    Token::Start(start)
                }
                Event::Empty(start) => {
                    self.check_name(&start)?;
                    Token::Empty(start)
                }
                Event::End(_) => {
                    self.depth -= 1;
                    Token::End
                }
                Event::Text(text) => Token::Text(text.into_inner()),
                Event::CData(text) => Token::Text(text.into_inner()),
                Event::GeneralRef(reference) => Token::Char(self.resolve(&reference)?),
                Event::DocType(_) => {
                    return Err(ParseError::malformed(
                        "a document type declaration is not accepted",
                    ));
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
                Event::Eof if self.depth == 0 => Token::Eof,
                Event::Eof => {
                    return Err(ParseError::Truncated(format!(
                        "ends inside {} open elements",
                        self.depth
                    )));
                }
            });
        }
    }

    /// What was not read so far. Right behind a tag it begins with what follows the tag.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.reader.get_ref()
    }

    /// Passes over bytes right behind a tag. They must be whole elements.
    pub(super) fn skip(&mut self, bytes: usize) {
        let rest = self.reader.get_mut();
        *rest = &rest[bytes..];
        self.skipped += bytes as u64;
    }

    #[cold]
    fn too_deep(&self) -> ParseError {
        ParseError::TooLarge(format!("elements nest deeper than {}", self.max_depth))
    }

    /// The attributes of a tag, unescaped.
    pub(crate) fn attributes(&mut self, start: &BytesStart<'_>) -> Result<Vec<(String, String)>, ParseError> {
        let mut found = Vec::new();
        for attribute in start.attributes() {
            // Each is compared with those before it, so their number is bounded for the time that it takes, too.
            if found.len() == self.max_attributes {
                let message = format!("an element has more than {} attributes", self.max_attributes);
                return Err(ParseError::TooLarge(message));
            }
            let attribute =
                attribute.map_err(|error| ParseError::malformed(format!("an attribute: {error}")))?;
            self.take_text(&attribute.value)?;
            self.allowance
                .take(size_of::<(String, String)>() + 3 * BLOCK + attribute.key.as_ref().len())?;
            let value = quick_xml::escape::unescape(&attribute.value)
                .map_err(|error| ParseError::malformed(format!("an attribute: {error}")))?;
            let mut cleaned = Vec::new();
            push_cleaned(&mut cleaned, &value);
            found.push((
                attribute.key.as_ref().to_owned(),
                String::from_utf8_lossy(&cleaned).into_owned(),
            ));
        }
        // A list that grew by doubling would hold more than was counted.
        found.shrink_to_fit();
        Ok(found)
    }

    /// Counts text that is about to be kept.
    pub(crate) fn take_text(&mut self, text: &str) -> Result<(), ParseError> {
        self.allowance.take(BLOCK + self.cleaned_length(text))
    }

    /// Bytes of a text at most, once it is cleaned: a control character becomes U+FFFD, which has three.
    #[inline]
    pub(crate) fn cleaned_length(&self, text: &str) -> usize {
        if self.has_controls {
            text.len().saturating_mul(3)
        } else {
            text.len()
        }
    }

    /// Passes over everything up to the end of the element that was just started.
    pub(crate) fn skip_element(&mut self) -> Result<(), ParseError> {
        let outside = self.depth - 1;
        while self.depth > outside {
            self.next()?;
        }
        Ok(())
    }

    #[inline]
    fn check_name(&self, start: &BytesStart<'_>) -> Result<(), ParseError> {
        if start.name().as_ref().len() > self.max_name {
            return Err(ParseError::TooLarge(format!(
                "an element name is longer than {} bytes",
                self.max_name
            )));
        }
        Ok(())
    }

    /// Numbers and the five names of XML; a character that XML does not allow becomes U+FFFD.
    fn resolve(&self, name: &str) -> Result<char, ParseError> {
        let Some(code) = name.strip_prefix('#') else {
            return match name {
                "amp" => Ok('&'),
                "lt" => Ok('<'),
                "gt" => Ok('>'),
                "quot" => Ok('"'),
                "apos" => Ok('\''),
                _ => Err(ParseError::malformed(
                    "an entity that is not of XML itself is not accepted",
                )),
            };
        };
        let code = match code.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => code.parse(),
        };
        let code = code.map_err(|_| ParseError::malformed("a character reference is not a number"))?;
        Ok(char::from_u32(code)
            .filter(|c| super::escape::is_xml_char(*c))
            .unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    #[cold]
    fn broken(&self, error: &quick_xml::Error) -> ParseError {
        let at_end = self.reader.buffer_position() + self.skipped >= self.length;
        let what = format!("{error} (byte {})", self.reader.error_position() + self.skipped);
        match error {
            quick_xml::Error::Syntax(syntax) if !matches!(syntax, SyntaxError::InvalidBangMarkup) => {
                ParseError::Truncated(what)
            }
            quick_xml::Error::Syntax(_) if at_end => ParseError::Truncated(what),
            quick_xml::Error::IllFormed(IllFormedError::UnclosedReference) if at_end => {
                ParseError::Truncated(what)
            }
            quick_xml::Error::Encoding(_) if at_end => ParseError::Truncated(what),
            _ => ParseError::Malformed(what),
        }
    }
}

/// Appends text of a document: line ends become `\n` as XML demands, characters that XML does not allow U+FFFD.
pub(crate) fn push_cleaned(out: &mut Vec<u8>, text: &str) {
    let mut chars = text.chars().peekable();
    let mut buffer = [0; 4];
    while let Some(c) = chars.next() {
        let c = match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                '\n'
            }
            c if super::escape::is_xml_char(c) => c,
            _ => char::REPLACEMENT_CHARACTER,
        };
        out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
}
