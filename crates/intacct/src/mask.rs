//! Takes secrets out of texts that come from outside, in whatever form they come back: as they are, escaped for a URL,
//! for XML or JSON, in base64, in hexadecimal, and in forms of forms.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use std::ops::Range;
use zeroize::Zeroizing;

/// What stands in the place of a secret.
const MASK: &str = "…";
/// A shorter text would be found in every other word.
const MIN_BYTES: usize = 4;
/// What is kept of a longer text: looking through all of it takes many times its memory, and no error is that long.
const MAX_KEPT: usize = 256 << 10;
/// Bytes that a byte of a secret takes at most in the forms that are looked for, about.
const LONGEST_FORM: usize = 64;
/// Escapes within escapes that are looked through.
const MAX_DEPTH: usize = 3;

/// The secrets of a client.
pub(crate) struct Mask {
    /// In small letters: host names come back that way.
    plain: Vec<Zeroizing<Vec<u8>>>,
    /// Hexadecimal digits, in small letters.
    hex: Vec<Zeroizing<Vec<u8>>>,
    /// What all texts in base64 have in common in which the secret begins at a given byte.
    base64: Vec<Zeroizing<Vec<u8>>>,
}

impl Mask {
    /// For these secrets; those of fewer than four bytes are not looked for.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Mask {
        let mut mask = Mask {
            plain: Vec::new(),
            hex: Vec::new(),
            base64: Vec::new(),
        };
        for secret in secrets.into_iter().filter(|secret| secret.len() >= MIN_BYTES) {
            let bytes = secret.as_bytes();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            mask.plain.push(Zeroizing::new(bytes.to_ascii_lowercase()));
            mask.hex.push(Zeroizing::new(hex.into_bytes()));
            mask.base64
                .extend((0..3).flat_map(|before| common_base64(bytes, before)));
        }
        mask
    }

    /// The text without the secrets, and without its end if it is very long.
    pub(crate) fn apply(&self, text: String) -> String {
        self.beginning(text, MAX_KEPT)
    }

    /// At most the first `kept` bytes of the text, without the secrets.
    fn beginning(&self, mut text: String, kept: usize) -> String {
        let kept = text.floor_char_boundary(kept);
        if kept == text.len() {
            return self.replace(text, kept);
        }
        // A secret that the cut goes through is not known any more: so behind what is kept, there is room for one.
        let longest = self.plain.iter().map(|secret| secret.len()).max().unwrap_or(0);
        text.truncate(text.floor_char_boundary(kept + LONGEST_FORM * longest));
        self.replace(text, kept) + MASK
    }

    /// The first `kept` bytes of the text without the secrets.
    fn replace(&self, text: String, kept: usize) -> String {
        let mut found = Vec::new();
        self.search(&Layer::of(&text), MAX_DEPTH, &mut found);
        found.retain(|range| range.start < kept);
        if found.is_empty() && kept == text.len() {
            return text;
        }
        let text = Zeroizing::new(text);
        found.sort_unstable_by_key(|range| range.start);
        let (mut masked, mut done) = (String::with_capacity(kept), 0);
        for range in found {
            if range.start >= done {
                masked.push_str(&String::from_utf8_lossy(&text.as_bytes()[done..range.start]));
                masked.push_str(MASK);
            }
            done = done.max(range.end);
        }
        masked.push_str(&String::from_utf8_lossy(&text.as_bytes()[done.min(kept)..kept]));
        masked
    }

    fn search(&self, layer: &Layer, depth: usize, found: &mut Vec<Range<usize>>) {
        let small = Zeroizing::new(layer.bytes.to_ascii_lowercase());
        for secret in self.plain.iter().chain(&self.hex) {
            let places = memmem::find_iter(&small, secret.as_slice());
            found.extend(places.map(|place| layer.source(place, place + secret.len())));
        }
        for whole in [layer, &layer.without_spaces()] {
            for secret in &self.base64 {
                for place in memmem::find_iter(&whole.bytes, secret.as_slice()) {
                    // The digits at both ends hold bits of the secret too.
                    let is_digit = |index: usize| whole.bytes.get(index).is_some_and(|byte| is_base64(*byte));
                    let start = place - usize::from(place > 0 && is_digit(place - 1));
                    let end = place + secret.len();
                    found.push(whole.source(start, end + usize::from(is_digit(end))));
                }
            }
        }
        if depth > 0 {
            for form in Form::ALL {
                if let Some(decoded) = layer.decode(form) {
                    self.search(&decoded, depth - 1, found);
                }
            }
        }
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// The digits in base64 that depend on the secret alone when it follows `before` other bytes, in both alphabets.
fn common_base64(secret: &[u8], before: usize) -> Vec<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; before]);
    bytes.extend_from_slice(secret);
    let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    let mut forms: Vec<_> = [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)]
        .into_iter()
        .map(|text| Zeroizing::new(text.as_bytes()[first..end].to_vec()))
        .collect();
    forms.dedup();
    forms
}

/// A way of writing a text within another one.
#[derive(Clone, Copy)]
enum Form {
    /// `%41`
    Url,
    /// The same, and `+` for a blank.
    Submitted,
    /// `&amp;`, `&#65;`, `&#x41;`
    Xml,
    /// `\"`, `\u0041`
    Json,
}

impl Form {
    const ALL: [Form; 4] = [Form::Url, Form::Submitted, Form::Xml, Form::Json];

    /// The character at the beginning of the text, and how many bytes it takes; none where it stands for itself.
    fn decode(self, text: &[u8]) -> Option<(char, usize)> {
        match (self, text.first()?) {
            (Form::Url | Form::Submitted, b'%') => {
                let byte = number(text.get(1..3)?, 16)?;
                // Bytes, not characters: those of one character follow each other.
                Some((char::from_u32(byte)?, 3))
            }
            (Form::Submitted, b'+') => Some((' ', 1)),
            (Form::Xml, b'&') => {
                let end = text.iter().take(12).position(|byte| *byte == b';')?;
                let character = match &text[1..end] {
                    b"amp" => '&',
                    b"lt" => '<',
                    b"gt" => '>',
                    b"quot" => '"',
                    b"apos" => '\'',
                    [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
                    [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
                    _ => return None,
                };
                Some((character, end + 1))
            }
            (Form::Json, b'\\') => match text.get(1)? {
                b'u' => Some((char::from_u32(number(text.get(2..6)?, 16)?)?, 6)),
                b'x' => Some((char::from_u32(number(text.get(2..4)?, 16)?)?, 4)),
                b'n' => Some(('\n', 2)),
                b'r' => Some(('\r', 2)),
                b't' => Some(('\t', 2)),
                mark if mark.is_ascii_punctuation() => Some((char::from(*mark), 2)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u32::from_str_radix(text, radix).ok())
        .flatten()
}

/// A text, and where each of its bytes stands in the text that it was made from.
struct Layer {
    bytes: Zeroizing<Vec<u8>>,
    places: Vec<Range<usize>>,
}

impl Layer {
    fn of(text: &str) -> Layer {
        Layer {
            bytes: Zeroizing::new(text.as_bytes().to_vec()),
            places: (0..text.len()).map(|place| place..place + 1).collect(),
        }
    }

    /// The place of a part in the first text.
    fn source(&self, start: usize, end: usize) -> Range<usize> {
        self.places[start].start..self.places[end - 1].end
    }

    /// The text behind a form of writing; none if nothing in it is of that form.
    fn decode(&self, form: Form) -> Option<Layer> {
        let (mut bytes, mut places) = (Zeroizing::new(Vec::new()), Vec::new());
        let (mut at, mut changed) = (0, false);
        while at < self.bytes.len() {
            let (length, decoded) = match form.decode(&self.bytes[at..]) {
                Some((character, length)) => {
                    changed = true;
                    (length, Some(character))
                }
                None => (1, None),
            };
            let place = self.source(at, at + length);
            let mut push = |byte: u8| {
                bytes.push(byte);
                places.push(place.clone());
            };
            match (form, decoded) {
                (_, None) => push(self.bytes[at]),
                // A byte as it is.
                (Form::Url | Form::Submitted, Some(character)) => push(u32::from(character) as u8),
                (_, Some(character)) => {
                    let mut utf8 = [0; 4];
                    character.encode_utf8(&mut utf8).bytes().for_each(&mut push);
                }
            }
            at += length;
        }
        changed.then_some(Layer { bytes, places })
    }

    /// The text in one line, as base64 is before it is wrapped.
    fn without_spaces(&self) -> Layer {
        let kept: Vec<usize> = (0..self.bytes.len())
            .filter(|place| !self.bytes[*place].is_ascii_whitespace())
            .collect();
        Layer {
            bytes: Zeroizing::new(kept.iter().map(|place| self.bytes[*place]).collect()),
            places: kept.iter().map(|place| self.places[*place].clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_long_texts_the_beginning_is_kept_and_no_part_of_a_secret() {
        let mask = Mask::new(["Secret-123"]);
        let kept = 200;
        let short = "ü".repeat(kept / 2);
        assert_eq!(mask.beginning(short.clone(), kept), short);
        let forms = [
            "Secret-123".to_owned(),
            url("Secret-123", true),
            STANDARD_NO_PAD.encode("xSecret-123x"),
        ];
        for form in &forms {
            for before in kept - 40..kept + 8 {
                // Masks before it make the text shorter.
                for first in ["", "Secret-123 Secret-123 "] {
                    let text = format!(
                        "{first}{}{form}{}",
                        ".".repeat(before - first.len()),
                        "ü".repeat(2000)
                    );
                    let masked = mask.beginning(text, kept);
                    assert!(masked.len() <= kept + 2 * MASK.len(), "{}", masked.len());
                    let bad = ["Se", "%53", "NlY3"].iter().find(|part| masked.contains(**part));
                    assert_eq!(bad, None, "{before}: {masked}");
                }
            }
        }
    }

    fn url(text: &str, all: bool) -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' if !all => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    }

    fn xml(text: &str) -> String {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;")
    }

    fn json(text: &str) -> String {
        let quoted = serde_json::to_string(text).expect("JSON");
        quoted[1..quoted.len() - 1].to_owned()
    }

    fn numbered(text: &str) -> String {
        text.chars()
            .map(|letter| format!("&#x{:x};", u32::from(letter)))
            .collect()
    }

    /// The forms in which a text may come back.
    fn forms(text: &str) -> Vec<String> {
        let mut forms = vec![
            text.to_owned(),
            text.to_ascii_lowercase(),
            text.to_ascii_uppercase(),
            url(text, false),
            url(text, false).to_ascii_lowercase(),
            url(text, true),
            url(text, false).replace("%20", "+"),
            xml(text),
            numbered(text),
            json(text),
            xml(&xml(text)),
            url(&xml(text), false),
            xml(&json(text)),
            json(&url(text, false)),
            text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ];
        for before in ["", "u:", "ab:", "abc:", "someone@example.com:"] {
            for after in ["", "!", "\n"] {
                let basic = format!("{before}{text}{after}");
                let plain = base64::engine::general_purpose::STANDARD.encode(&basic);
                forms.push(URL_SAFE_NO_PAD.encode(&basic));
                forms.push(
                    plain
                        .as_bytes()
                        .chunks(7)
                        .map(|part| String::from_utf8_lossy(part).into_owned())
                        .collect::<Vec<_>>()
                        .join("\r\n "),
                );
                forms.push(url(&plain, false));
                forms.push(plain);
            }
        }
        forms
    }

    #[test]
    fn secrets_are_found_in_every_form() {
        for secret in [
            "hunter2",
            "p&ss <w>rd",
            "Ä\"ö'ü\\%41+ =",
            "%26amp;x",
            "a b+c",
            "5€/Tag?",
            "1234",
        ] {
            let mask = Mask::new([secret, "another one"]);
            for form in forms(secret) {
                let masked = mask.apply(format!("before [{form}] after"));
                assert!(masked.starts_with("before ["), "{form}: {masked}");
                assert!(masked.ends_with("] after"), "{form}: {masked}");
                assert!(masked.contains(MASK), "{form}: {masked}");
                assert!(!masked.contains(&form), "{form}: {masked}");
            }
        }
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        let mask = Mask::new(["hunter2", "abc", ""]);
        for text in [
            "abc: the object &lt;CUSTOMER&gt; is 100%25 wrong \\u0041 SGVsbG8sIHdvcmxk",
            "hunter",
            "unter2 &amp; %zz &#xZZ; \\q \\",
            "€ % & \\",
            "",
        ] {
            assert_eq!(mask.apply(text.to_owned()), text);
        }
    }

    proptest! {
        #[test]
        fn nothing_of_a_secret_is_left(secret in "[ -~äß€]{4,20}", at in 0usize..40) {
            let forms = forms(&secret);
            let form = &forms[at % forms.len()];
            let masked = Mask::new([secret.as_str()]).apply(format!("<{form}>"));
            prop_assert!(masked.contains(MASK), "{}", masked);
        }

        #[test]
        fn any_text_can_be_looked_at(text in "\\PC*", secret in "\\PC{4,8}") {
            let _ = Mask::new([secret.as_str()]).apply(text);
        }
    }
}
