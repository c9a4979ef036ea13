//! Left-out words of the glossary: phrases, an allow list for literal uses.

use std::collections::BTreeMap;

use crate::text::{files, read};

/// A use that is meant literally: the phrase, where, and a text of the line.
struct Allowed {
    phrase: String,
    path: String,
    text: String,
}

/// Uses of left-out phrases, as `(path, phrase)` with their lines.
pub fn check(
    base: &str,
    roots: &[&str],
    phrases: &str,
    allowed: &str,
) -> BTreeMap<(String, String), Vec<usize>> {
    let phrases: Vec<&str> = lines(phrases).collect();
    let allowed: Vec<Allowed> = lines(allowed)
        .filter_map(|line| {
            let mut parts = line.split('|').map(|part| part.trim().to_owned());
            Some(Allowed {
                phrase: parts.next()?,
                path: parts.next()?,
                text: parts.next().unwrap_or_default(),
            })
        })
        .collect();
    let mut found: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for root in roots {
        for file in files(base, root, "rs,md,sql") {
            let text = read(base, &file.path);
            let shown: Vec<&str> = text.lines().collect();
            for (phrase, line) in uses(&text, &phrases) {
                let literal = allowed.iter().any(|entry| {
                    (entry.phrase == phrase || entry.phrase == "*")
                        && file.path.starts_with(&entry.path)
                        && shown[line - 1].contains(&entry.text)
                });
                if !literal {
                    found
                        .entry((file.path.clone(), phrase.to_owned()))
                        .or_default()
                        .push(line);
                }
            }
        }
    }
    found
}

pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Phrases and the lines where they start. Words are compared without case and across the ends of lines; a `*` at the end
/// of a phrase's word stands for any ending.
fn uses<'a>(text: &str, phrases: &[&'a str]) -> Vec<(&'a str, usize)> {
    let mut words = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for word in line
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            words.push((word.to_lowercase(), at + 1));
        }
    }
    let mut found = Vec::new();
    for phrase in phrases {
        let parts: Vec<&str> = phrase.split_whitespace().collect();
        for window in words.windows(parts.len()) {
            let fits = window
                .iter()
                .zip(&parts)
                .all(|((word, _), part)| match part.strip_suffix('*') {
                    Some(start) => word.starts_with(start),
                    None => word == part,
                });
            if fits {
                found.push((*phrase, window[0].1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_across_lines_and_cases() {
        let text = "// It is handed\n// to them. HANDED_TO, handed over to; vouches\n";
        assert_eq!(
            uses(text, &["handed to", "vouch*"]),
            [("handed to", 1), ("handed to", 2), ("vouch*", 2)]
        );
    }
}
