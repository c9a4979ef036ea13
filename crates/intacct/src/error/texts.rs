//! Texts of the gateway, with what the user may have written masked.
//!
//! A refusal repeats values of the request and of records: `Invalid Project 'rate limit exceeded' specified`. So a text
//! is never searched as a whole. Only its beginning and its end count, up to the first and from the last value in it.

/// Nouns after `invalid` that name the form of a value, not a record that is referred to.
const FORMS: [&str; 12] = [
    "date",
    "time",
    "amount",
    "number",
    "value",
    "format",
    "email",
    "status",
    "type",
    "request",
    "character",
    "operation",
];

/// A text in lower case, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Masked {
    /// Up to the first value.
    head: String,
    /// From the last value on.
    tail: String,
    /// Whether there is a value between the two; else they are the same.
    has_value: bool,
}

impl Masked {
    /// `sent` are values of the request.
    pub(super) fn new(text: &str, sent: &[&str]) -> Masked {
        let text = plain(text);
        let (mut first, mut last) = (text.len(), 0);
        let mut cover = |from: usize, to: usize| {
            first = first.min(from);
            last = last.max(to);
        };
        // Shorter ones are words of the texts themselves.
        for value in sent.iter().filter(|value| value.len() > 2) {
            for (from, to) in occurrences(&text, &plain_value(value)) {
                cover(from, to);
            }
        }
        for quote in ['\'', '"'] {
            if let Some((from, to)) = quoted(&text, quote) {
                cover(from, to);
            }
        }
        let has_value = first < last;
        let (head, tail) = match has_value {
            true => (&text[..first], &text[last..]),
            false => (text.as_str(), text.as_str()),
        };
        Masked {
            head: head.trim().to_owned(),
            tail: tail.trim().to_owned(),
            has_value,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.has_value && self.head.is_empty()
    }

    /// Whether the text begins with one of these.
    pub(super) fn starts(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| {
            self.head
                .strip_prefix(text)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        })
    }

    /// Whether the text ends with one of these.
    pub(super) fn ends(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| {
            self.tail
                .strip_suffix(text)
                .is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric()))
        })
    }

    /// Whether one of these is the whole text, or its first sentence.
    pub(super) fn is(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| {
            self.head
                .strip_prefix(text)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '!', ':', ';', ',']))
        })
    }

    /// Whether one of these stands before the first value or after the last one. For texts that are known to hold
    /// nothing of the user's beside values that are masked.
    pub(super) fn mentions(&self, texts: &[&str]) -> bool {
        texts
            .iter()
            .any(|text| self.head.contains(text) || self.tail.contains(text))
    }

    /// Whether the text says that the company itself is not available, and not merely something in it: with its name
    /// between or without.
    pub(super) fn is_of_company(&self) -> bool {
        const STATES: [&str; 10] = [
            "inactive",
            "not active",
            "no longer active",
            "suspended",
            "disabled",
            "deactivated",
            "expired",
            "closed",
            "locked",
            "terminated",
        ];
        let is_state = |text: &str| {
            let verbs = ["is ", "is now ", "is currently ", "was ", "has ", "has been "];
            let mut rest = verbs.iter().filter_map(|verb| text.strip_prefix(verb));
            rest.any(|rest| STATES.iter().any(|state| rest.starts_with(state)))
        };
        let subject = ["company", "the company", "your company", "this company"]
            .iter()
            .find_map(|subject| self.head.strip_prefix(subject));
        let Some(rest) = subject.map(str::trim_start) else {
            let phrases = [
                "inactive company",
                "suspended company",
                "disabled company",
                "expired company",
            ];
            return phrases.iter().any(|phrase| self.head.starts_with(phrase));
        };
        match self.has_value {
            true => rest.is_empty() && is_state(&self.tail),
            false => is_state(rest) || rest.split_once(' ').is_some_and(|(_, rest)| is_state(rest)),
        }
    }

    /// `Invalid Project '…' specified`: the noun names a record, not the form of a value.
    pub(super) fn names_no_record(&self) -> bool {
        let noun = |rest: &str| {
            let last = rest.split_whitespace().next_back();
            last.is_some_and(|noun| !FORMS.contains(&noun))
        };
        let invalid = self.head.strip_prefix("invalid ").is_some_and(noun);
        let not_valid = self.tail.strip_prefix("is not a valid ").is_some_and(noun);
        self.has_value && (invalid && self.tail == "specified" || not_valid)
    }

    /// `Customer ID is required`: a field, not a period, a permission or the like.
    pub(super) fn names_missing_field(&self) -> bool {
        const OTHERS: [&str; 12] = [
            "period",
            "permission",
            "subscription",
            "license",
            "approval",
            "module",
            "authorization",
            "access",
            "book",
            "closed",
            "open",
            "role",
        ];
        let ends = [
            "is required",
            "are required",
            "is missing",
            "is missing a value",
            "cannot be blank",
        ];
        let subject = ends.iter().find_map(|end| self.tail.strip_suffix(end));
        let Some(subject) = subject else { return false };
        let subject = if self.has_value { &self.head } else { subject };
        let words: Vec<&str> = subject.split_whitespace().collect();
        words.len() <= 5 && !words.iter().any(|word| OTHERS.contains(word))
    }
}

/// In lower case, blanks folded, without the marks at the end and the support's number.
fn plain(text: &str) -> String {
    let folded = plain_value(text);
    let cut = match folded.rfind("[support id:") {
        Some(at) if folded.ends_with(']') => &folded[..at],
        _ => folded.as_str(),
    };
    cut.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '!'))
        .to_owned()
}

fn plain_value(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

/// Where a value stands by itself in a text.
fn occurrences(text: &str, value: &str) -> Vec<(usize, usize)> {
    if value.is_empty() {
        return Vec::new();
    }
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(value)
        .map(|(from, value)| (from, from + value.len()))
        .filter(|(from, to)| {
            !inside(text[..*from].chars().next_back()) && !inside(text[*to..].chars().next())
        })
        .collect()
}

/// From the first opening quote to the last closing one; apostrophes inside of words are neither.
fn quoted(text: &str, quote: char) -> Option<(usize, usize)> {
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut marks = text.match_indices(quote).map(|(at, _)| at);
    let opens = marks.find(|at| !inside(text[..*at].chars().next_back()))?;
    let closes = text
        .match_indices(quote)
        .map(|(at, _)| at)
        .rfind(|at| *at > opens && !inside(text[at + 1..].chars().next()));
    // What is opened and not closed was cut.
    Some((opens, closes.map_or(text.len(), |at| at + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked() {
        for (text, sent, head, tail) in [
            (
                "Invalid Project '10064' specified. [Support ID: a%b]",
                &[][..],
                "invalid project",
                "specified",
            ),
            (
                "Cannot find term with key 'O'Brien is required'",
                &[],
                "cannot find term with key",
                "",
            ),
            (
                "We can't create it, don't try",
                &[],
                "we can't create it, don't try",
                "we can't create it, don't try",
            ),
            (
                "Another Customer with A 1 already exists",
                &["A 1"],
                "another customer with",
                "already exists",
            ),
            (
                "Another Customer with A 1 already exists",
                &["tom", "A"],
                "another customer with a 1 already exists",
                "another customer with a 1 already exists",
            ),
            (
                "Rate limit  exceeded is no term!",
                &["rate limit exceeded"],
                "",
                "is no term",
            ),
            ("Term 'cut here", &[], "term", ""),
        ] {
            let masked = Masked::new(text, sent);
            assert_eq!(
                (masked.head.as_str(), masked.tail.as_str()),
                (head, tail),
                "{text}"
            );
        }
    }
}
