//! Text into request documents, and HTML-escaped texts out of responses.

/// A character that XML 1.0 has no way to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IllegalCharacter(pub char);

/// Whether XML 1.0 allows the character (production `Char` of the recommendation).
pub(crate) fn is_xml_char(c: char) -> bool {
    !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

/// Appends text so that a parser reads it back unchanged.
pub(crate) fn push_text(out: &mut String, text: &str) -> Result<(), IllegalCharacter> {
    out.reserve(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A bare carriage return is read back as a line feed.
            '\r' => out.push_str("&#13;"),
            c if is_xml_char(c) => out.push(c),
            c => return Err(IllegalCharacter(c)),
        }
    }
    Ok(())
}

/// Appends `<name>text</name>`, or `<name/>` for empty text.
pub(crate) fn push_element(out: &mut String, name: &str, text: &str) -> Result<(), IllegalCharacter> {
    out.push('<');
    out.push_str(name);
    if text.is_empty() {
        out.push_str("/>");
        return Ok(());
    }
    out.push('>');
    push_text(out, text)?;
    out.push_str("</");
    out.push_str(name);
    out.push('>');
    Ok(())
}

/// Undoes the HTML escaping that the gateway applies to its error texts before it escapes them for XML.
/// What is not a known reference stays as it is.
pub(crate) fn unescape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let reference = rest
            .find(';')
            .and_then(|end| html_reference(&rest[1..end]).map(|c| (c, end)));
        match reference {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn html_reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let code = name.strip_prefix('#')?;
            let code = match code.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => code.parse().ok()?,
            };
            char::from_u32(code).filter(|c| is_xml_char(*c))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn html_is_unescaped_once() {
        assert_eq!(
            unescape_html("isn&#039;t &lt;b&gt; &amp;amp; &x; & &#x41;"),
            "isn't <b> &amp; &x; & A"
        );
        assert_eq!(unescape_html("R&D; é &#0;"), "R&D; é &#0;");
    }

    #[test]
    fn control_characters_are_refused() {
        assert_eq!(
            push_text(&mut String::new(), "a\u{1}b"),
            Err(IllegalCharacter('\u{1}'))
        );
    }

    proptest! {
        #[test]
        fn text_survives_a_document(text in "\\PC{0,40}|[&<>\"'\r\n\t \\]]{0,10}") {
            let mut document = String::new();
            prop_assume!(text.chars().all(is_xml_char) && !text.is_empty());
            push_element(&mut document, "v", &text).expect("legal");
            let tree = super::super::tree::parse(document.as_bytes(), &crate::config::Caps::default());
            prop_assert_eq!(tree.expect("well-formed").text, text);
        }
    }
}
