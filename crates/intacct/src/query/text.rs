//! What the gateway is asked about text: which constants are sent, and what the answer is worth. One rule for the planner
//! and for statements of the connector's syntax.
//!
//! It rests on unconfirmed facts (21 to 24, 29): the gateway may trim constants at their edges, may disregard blanks at
//! the end of values, has no escape in patterns, and may take letters beyond A to Z for cases of each other or not.
//! So a test that keeps rows may keep too many, which are rechecked; one that leaves rows out (a negative)
//! is only sent where blanks at the end of a value cannot change it.

use super::{CompareOp, Condition, Value};
use serde::{Deserialize, Serialize};

/// Whether upper and lower case differ in a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Letters {
    /// They do.
    Distinct,
    /// They do not, by the rules of the C locale: only A to Z have a partner.
    FoldedAscii,
    /// They do not, by the rules of some locale.
    Folded,
}

/// A test of text as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTest {
    /// What is sent.
    pub sent: Condition,
    /// It keeps no row that the test drops, unless values differ by nothing but blanks at their end.
    pub exact: bool,
    /// It holds letters, which may only be sent where case is disregarded in the whole request.
    pub cased: bool,
}

impl TextTest {
    fn exact(sent: Condition) -> TextTest {
        TextTest {
            sent,
            exact: true,
            cased: false,
        }
    }

    /// All that a negative can be: the rows that have a value.
    fn has_value(field: &str) -> TextTest {
        TextTest {
            exact: false,
            ..TextTest::exact(is_not_null(field))
        }
    }
}

/// Text that the gateway is known to compare as it stands: not empty (which it does not distinguish from null), nothing at
/// the edges that may be trimmed on the way, no control characters.
pub fn is_sendable(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && !text
            .chars()
            .any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// Whether a constant can be compared by the gateway; of a parameter that is known when it is bound.
pub fn is_sendable_value(value: &Value) -> bool {
    match value {
        Value::Text(text) => is_sendable(text),
        _ => true,
    }
}

/// `field = value` and `field <> value`; `None`: nothing can be sent. The values of an enumeration are listed by the
/// company, and no two of them differ by a blank.
pub fn compares(field: &str, equal: bool, value: &Value, is_enum: bool) -> Option<TextTest> {
    let compare = |op| Condition::Compare {
        field: field.to_owned(),
        op,
        value: value.clone(),
    };
    match equal {
        true => is_sendable_value(value).then(|| TextTest::exact(compare(CompareOp::Eq))),
        // What the gateway does with null under a negative is not known (fact 20): with an explicit test, it does not matter.
        false if is_enum && is_sendable_value(value) => Some(TextTest::exact(Condition::and(
            Some(compare(CompareOp::Ne)),
            is_not_null(field),
        ))),
        false => Some(TextTest::has_value(field)),
    }
}

/// `field in (values)` and `field not in (values)`; `None`: nothing can be sent.
pub fn lists(field: &str, member: bool, values: &[Value], is_enum: bool) -> Option<TextTest> {
    let sendable = !values.is_empty() && values.iter().all(is_sendable_value);
    let among = || Condition::In {
        field: field.to_owned(),
        values: values.to_vec(),
        negated: !member,
    };
    match member {
        true => sendable.then(|| TextTest::exact(among())),
        false if is_enum && sendable => {
            Some(TextTest::exact(Condition::and(Some(among()), is_not_null(field))))
        }
        false if values.is_empty() => None,
        false => Some(TextTest::has_value(field)),
    }
}

/// `field like pattern` and `field not like pattern`, for a pattern of SQL; `None`: nothing can be sent, or SQL calls the
/// pattern an error.
pub fn matches(field: &str, like: bool, sql: &str, letters: Letters, is_enum: bool) -> Option<TextTest> {
    pattern_test(field, like, coarse(sql, letters), letters, is_enum)
}

/// Text that starts, or does not start, with a prefix.
pub fn starts(field: &str, like: bool, prefix: &str, is_enum: bool) -> Option<TextTest> {
    pattern_test(field, like, starting_with(prefix), Letters::Distinct, is_enum)
}

fn pattern_test(
    field: &str,
    like: bool,
    coarse: Option<Coarse>,
    letters: Letters,
    is_enum: bool,
) -> Option<TextTest> {
    let test = |pattern: Coarse| Condition::Like {
        field: field.to_owned(),
        pattern: Value::Text(pattern.text),
        negated: !like,
    };
    let folds = |pattern: &Coarse| letters != Letters::Distinct && pattern.cased;
    if like {
        let pattern = coarse?;
        let (exact, cased) = (pattern.exact && !folds(&pattern), folds(&pattern));
        return Some(TextTest {
            sent: test(pattern),
            exact,
            cased,
        });
    }
    Some(match coarse {
        // Only what surely matches may be left out; and what disregards case leaves out no less than what does not.
        Some(pattern) if pattern.exact && (is_enum || pattern.is_open_ended()) => TextTest {
            exact: !folds(&pattern),
            ..TextTest::exact(Condition::and(Some(test(pattern)), is_not_null(field)))
        },
        _ => TextTest::has_value(field),
    })
}

/// The fields of text that a condition tests in a way which blanks at the edges of values may change: for these it may keep
/// more than SQL does. An exact test of text is one that keeps no more where there are no such blanks.
pub fn fields_in_doubt(condition: &Condition, is_free_text: impl Fn(&str) -> bool) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    condition.visit(&mut |part| {
        let (Condition::Compare { field, .. } | Condition::In { field, .. } | Condition::Like { field, .. }) =
            part
        else {
            return;
        };
        let certain = match part {
            // Of these only such are exact as blanks cannot change.
            Condition::Like { negated: true, .. } | Condition::In { negated: true, .. } => true,
            Condition::Compare { op, .. } => *op != CompareOp::Eq,
            Condition::Like {
                pattern: Value::Text(pattern),
                ..
            } => pattern.ends_with('%'),
            _ => false,
        };
        if !certain && is_free_text(field) && !fields.contains(field) {
            fields.push(field.clone());
        }
    });
    fields
}

/// The rows in which one of the fields has a blank at an edge, and perhaps more: a gateway that disregards blanks may
/// take the patterns for such as match everything. If there is none, no comparison of these fields took a text for another.
pub fn with_blank_edges<'f>(fields: impl IntoIterator<Item = &'f str>) -> Option<Condition> {
    let mut parts = Vec::new();
    for field in fields {
        for pattern in ["% ", " %"] {
            parts.push(Condition::Like {
                field: field.to_owned(),
                pattern: Value::Text(pattern.to_owned()),
                negated: false,
            });
        }
    }
    (!parts.is_empty()).then_some(Condition::Or(parts))
}

/// The other way round: rows in which none of the fields has a blank at an edge, and perhaps not all of them.
pub fn without_blank_edges<'f>(fields: impl IntoIterator<Item = &'f str>) -> Option<Condition> {
    let without = fields.into_iter().map(|field| {
        let edges = ["% ", " %"].map(|pattern| Condition::Like {
            field: field.to_owned(),
            pattern: Value::Text(pattern.to_owned()),
            negated: true,
        });
        let none = Condition::IsNull {
            field: field.to_owned(),
            negated: false,
        };
        Condition::Or(vec![Condition::And(edges.to_vec()), none])
    });
    without.reduce(|all, next| Condition::and(Some(all), next))
}

fn is_not_null(field: &str) -> Condition {
    Condition::IsNull {
        field: field.to_owned(),
        negated: true,
    }
}

/// A pattern for the gateway's LIKE, which knows `%` and `_` but no escape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coarse {
    /// The pattern; its only wildcard is `%`.
    pub text: String,
    /// It matches just what was asked for (with case disregarded, if that was asked for).
    pub exact: bool,
    /// It holds letters that have another case.
    pub cased: bool,
}

impl Coarse {
    /// Whether blanks at the end of a value cannot change that it matches.
    fn is_open_ended(&self) -> bool {
        self.text.ends_with('%')
    }
}

/// The pattern that keeps whatever this SQL pattern matches. `None`: nothing is left to match on, or SQL would call
/// the pattern an error, which must be raised where it is evaluated.
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
            // does with letters beyond A to Z is not documented.
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

    /// Blanks at the edges may be trimmed on the way: anything may stand there. Those before a wildcard at the end may be
    /// the last of a value, which the gateway may not see either.
    fn finish(mut self) -> Option<Coarse> {
        let made = &mut self.made;
        let tail = made
            .text
            .trim_end_matches(|c: char| c == '%' || c.is_whitespace())
            .len();
        if made.text[tail..].contains(char::is_whitespace) {
            made.text.truncate(tail);
            made.text.push('%');
            made.exact = false;
        }
        let head = made.text.trim_start();
        if head.len() != made.text.len() {
            made.text = match head.starts_with('%') {
                true => head.to_owned(),
                false => format!("%{head}"),
            };
            made.exact = false;
        }
        (self.made.text != "%" && is_sendable(&self.made.text)).then_some(self.made)
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
        assert_eq!(made("a%%_c"), Some(("a%c".into(), false)));
        assert_eq!(made("%"), None);
        assert_eq!(made("_"), None);
        assert_eq!(made(""), None);
        assert_eq!(made("abc\\"), None);
        let prefix = |text| starting_with(text).map(|coarse| (coarse.text, coarse.exact));
        assert_eq!(prefix("a%"), Some(("a%".into(), false)));
        assert_eq!(prefix(""), None);
    }

    #[test]
    fn blanks_that_may_be_the_last_of_a_value_are_not_relied_on() {
        for (sql, expected) in [
            ("abc %", Some("abc%")),
            ("abc %%", Some("abc%")),
            ("abc %_", Some("abc%")),
            ("abc % %", Some("abc%")),
            ("abc ", Some("abc%")),
            ("abc\t_", Some("abc%")),
            ("% ", None),
            ("a% b", Some("a% b")),
            ("%  %b", Some("%  %b")),
        ] {
            let made = coarse(sql, Letters::Distinct);
            assert_eq!(made.as_ref().map(|made| made.text.as_str()), expected, "{sql:?}");
            let kept = made.is_none_or(|made| made.text == sql);
            assert!(!kept || expected.is_none_or(|text| text == sql), "{sql:?}");
        }
        assert_eq!(
            starting_with("ab ").map(|made| (made.text, made.exact)),
            Some(("ab%".into(), false))
        );
    }

    #[test]
    fn letters_with_partners_elsewhere_are_not_relied_on() {
        assert_eq!(made("Kit%", Letters::Folded), Some(("%t%".into(), false)));
        assert_eq!(made("Kit%", Letters::FoldedAscii), Some(("Kit%".into(), true)));
        assert_eq!(made("Zoë", Letters::FoldedAscii), Some(("Zo%".into(), false)));
        assert_eq!(made("Zoë", Letters::Distinct), Some(("Zoë".into(), true)));
        assert!(!coarse("12-3%", Letters::Folded).expect("a pattern").cased);
    }

    fn shown(test: Option<TextTest>) -> Option<(String, bool)> {
        test.map(|test| (test.sent.to_string(), test.exact))
    }

    #[test]
    fn negatives_leave_out_nothing_that_blanks_could_save() {
        let text = |text: &str| Value::Text(text.into());
        let has_value = Some(("T is not null".to_owned(), false));
        assert_eq!(shown(compares("T", false, &text("abc"), false)), has_value);
        assert_eq!(shown(lists("T", false, &[text("abc")], false)), has_value);
        for pattern in ["abc", "%abc", "a%c", "a_c", "abc %", "abc_", "%"] {
            let test = matches("T", false, pattern, Letters::Distinct, false);
            assert_eq!(shown(test), has_value, "{pattern}");
        }
        assert_eq!(
            shown(matches("T", false, "ab%", Letters::Distinct, false)),
            Some(("T not like 'ab%' and T is not null".into(), true))
        );
        assert_eq!(
            shown(matches("T", false, "ab%", Letters::FoldedAscii, false)),
            Some(("T not like 'ab%' and T is not null".into(), false))
        );
        assert_eq!(
            shown(matches("T", false, "ab", Letters::FoldedAscii, false)),
            has_value
        );
        assert_eq!(shown(starts("T", false, "ab ", false)), has_value);
        assert_eq!(shown(starts("T", false, "a%b", false)), has_value);
        // No two labels of an enumeration differ by a blank.
        assert_eq!(
            shown(matches("T", false, "abc", Letters::Distinct, true)),
            Some(("T not like 'abc' and T is not null".into(), true))
        );
        assert_eq!(
            shown(compares("T", false, &text("abc"), true)),
            Some(("T <> 'abc' and T is not null".into(), true))
        );
    }

    #[test]
    fn constants_are_sent_as_they_stand_or_not_at_all() {
        for constant in ["", " abc", "abc ", "a\u{1}b", "\u{a0}abc"] {
            assert!(!is_sendable(constant), "{constant:?}");
            let value = Value::Text(constant.into());
            assert_eq!(compares("T", true, &value, false), None, "{constant:?}");
            let values = [Value::Text("x".into()), value];
            assert_eq!(lists("T", true, &values, false), None, "{constant:?}");
        }
        let test = compares("T", true, &Value::Text("a b".into()), false);
        assert_eq!(shown(test), Some(("T = 'a b'".into(), true)));
    }

    #[test]
    fn tests_that_blanks_may_change_are_in_doubt() {
        let in_doubt = |text: &str| {
            let condition = text.parse().expect("a condition");
            fields_in_doubt(&condition, |field| !field.starts_with('N')).join(", ")
        };
        assert_eq!(
            in_doubt("A = 'x' and N = 5 or B in ('y', 'z') and A = 'w'"),
            "A, B"
        );
        assert_eq!(
            in_doubt("A like 'x%' and B like '%x' and C like '%x%' and D like 'x'"),
            "B, D"
        );
        assert_eq!(
            in_doubt("A <> 'x' and A not in ('y') and A not like 'z%' and A is not null and A > 'b'"),
            ""
        );
        assert_eq!(in_doubt("A = $1"), "A");
        let edges = with_blank_edges(["A", "P.B"]).expect("two fields").to_string();
        assert_eq!(
            edges,
            "A like '% ' or A like ' %' or P.B like '% ' or P.B like ' %'"
        );
        assert_eq!(with_blank_edges([]), None);
        let none = without_blank_edges(["A", "B"]).expect("two fields").to_string();
        assert_eq!(
            none,
            "[[A not like '% ' and A not like ' %'] or A is null] and [[B not like '% ' and B not like ' %'] or B is null]"
        );
    }
}
