//! Patterns for the gateway's LIKE, which knows `%` and `_` but no escape: the coarsest that keep every match.

use super::outward::sayable;
use crate::plan::qual::shape::Letters;

/// A pattern for the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coarse {
    /// The pattern; its only wildcard is `%`.
    pub text: String,
    /// It matches just what was asked for (with case disregarded, if that was asked for).
    pub exact: bool,
    /// It holds letters that have another case.
    pub cased: bool,
}

/// The pattern that keeps whatever this SQL pattern matches. `None`: nothing is left to match on, or SQL would call
/// the pattern an error, which must be raised here.
pub fn coarse(sql: &str, letters: Letters) -> Option<Coarse> {
    let mut writer = Writer::new(letters);
    let mut characters = sql.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' => writer.wildcard(),
            '_' => writer.blur(),
            '\\' => match characters.next()? {
                // Whether a doubled backslash is one to the gateway is not documented.
                '\\' => writer.blur(),
                escaped => writer.literal(escaped),
            },
            other => writer.literal(other),
        }
    }
    writer.finish()
}

/// The pattern that keeps this very text.
pub fn literal(text: &str, letters: Letters) -> Option<Coarse> {
    let mut writer = Writer::new(letters);
    text.chars().for_each(|character| writer.literal(character));
    writer.finish()
}

/// The pattern that keeps text which starts like this.
pub fn starting_with(text: &str) -> Option<Coarse> {
    let mut writer = Writer::new(Letters::Distinct);
    text.chars().for_each(|character| writer.literal(character));
    writer.wildcard();
    writer.finish()
}

struct Writer {
    letters: Letters,
    made: Coarse,
}

impl Writer {
    fn new(letters: Letters) -> Writer {
        Writer {
            letters,
            made: Coarse {
                text: String::new(),
                exact: true,
                cased: false,
            },
        }
    }

    fn wildcard(&mut self) {
        if !self.made.text.ends_with('%') {
            self.made.text.push('%');
        }
    }

    /// Anything may stand here.
    fn blur(&mut self) {
        self.made.exact = false;
        self.wildcard();
    }

    fn literal(&mut self, character: char) {
        let doubtful = match character {
            '%' | '_' | '\\' => true,
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => true,
            // Somewhere, dotted İ and dotless ı are cases of I, and the Kelvin sign is one of K; what the gateway
            // does with letters beyond A to Z nobody has said.
            'i' | 'I' | 'k' | 'K' => self.letters == Letters::Folded,
            c => self.letters != Letters::Distinct && !c.is_ascii(),
        };
        if doubtful {
            self.blur();
        } else {
            self.made.cased |= character.is_ascii_alphabetic();
            self.made.text.push(character);
        }
    }

    /// Blanks at the edges may be trimmed on the way: anything may stand there.
    fn finish(mut self) -> Option<Coarse> {
        let trimmed = self.made.text.trim();
        if trimmed.len() != self.made.text.len() {
            let (head, tail) = (
                self.made.text.starts_with(char::is_whitespace),
                self.made.text.ends_with(char::is_whitespace),
            );
            let mut text = trimmed.to_owned();
            if head && !text.starts_with('%') {
                text.insert(0, '%');
            }
            if tail && !text.ends_with('%') {
                text.push('%');
            }
            self.made.exact = false;
            self.made.text = text;
        }
        (self.made.text != "%" && sayable(&self.made.text)).then_some(self.made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(sql: &str, letters: Letters) -> Option<(String, bool)> {
        coarse(sql, letters).map(|coarse| (coarse.text, coarse.exact))
    }

    #[test]
    fn what_the_gateway_lacks_becomes_a_wildcard() {
        let made = |sql| made(sql, Letters::Distinct);
        assert_eq!(made("abc%"), Some(("abc%".into(), true)));
        assert_eq!(made("a_c"), Some(("a%c".into(), false)));
        assert_eq!(made("50\\% off%"), Some(("50% off%".into(), false)));
        assert_eq!(made("a\\bc"), Some(("abc".into(), true)));
        assert_eq!(made("a\\\\c"), Some(("a%c".into(), false)));
        assert_eq!(made(" abc"), Some(("%abc".into(), false)));
        assert_eq!(made("abc %"), Some(("abc %".into(), true)));
        assert_eq!(made("a%%_c"), Some(("a%c".into(), false)));
        assert_eq!(made("%"), None);
        assert_eq!(made("_"), None);
        assert_eq!(made(""), None);
        assert_eq!(made("abc\\"), None);
        let prefix = |text| starting_with(text).map(|coarse| (coarse.text, coarse.exact));
        assert_eq!(prefix("ab "), Some(("ab %".into(), true)));
        assert_eq!(prefix("a%"), Some(("a%".into(), false)));
        assert_eq!(prefix(""), None);
    }

    #[test]
    fn letters_with_partners_elsewhere_are_not_relied_on() {
        assert_eq!(made("Kit%", Letters::Folded), Some(("%t%".into(), false)));
        assert_eq!(made("Kit%", Letters::FoldedAscii), Some(("Kit%".into(), true)));
        assert_eq!(made("Zoë", Letters::FoldedAscii), Some(("Zo%".into(), false)));
        assert_eq!(made("Zoë", Letters::Distinct), Some(("Zoë".into(), true)));
        assert!(!coarse("12-3%", Letters::Folded).expect("a pattern").cased);
    }
}
