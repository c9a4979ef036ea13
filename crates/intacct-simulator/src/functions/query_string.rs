//! The query language of `readByQuery`: `VENDORNAME = 'Erin\'s' AND NOT (TOTALDUE < 5 OR STATE in ('A', 'D'))`.

use crate::catalog::{DataType, Object};
use crate::error::Fault;
use crate::query::{Condition, Operator};

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(String),
    Sign(&'static str),
}

/// Parses a query string; empty means all rows.
///
/// # Errors
/// The generic database error: the gateway says no more.
pub fn parse(object: &Object, text: &str) -> Result<Condition, Fault> {
    if text.trim().is_empty() {
        return Ok(Condition::And(Vec::new()));
    }
    let mut parser = Parser {
        object,
        tokens: tokens(text).ok_or_else(Fault::database)?,
        at: 0,
    };
    let condition = parser.or().ok_or_else(Fault::database)?;
    if parser.at < parser.tokens.len() {
        Err(Fault::database())
    } else {
        Ok(condition)
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let used = match c {
            '\'' => {
                let (value, used) = quoted(rest)?;
                out.push(Token::Text(value));
                used
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || "_.#".contains(c)))
                    .unwrap_or(rest.len());
                out.push(Token::Word(rest[..end].into()));
                end
            }
            c if c.is_ascii_digit() || "-.".contains(c) => {
                let end = rest[1..]
                    .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                    .map_or(rest.len(), |i| i + 1);
                out.push(Token::Number(rest[..end].into()));
                end
            }
            _ => {
                let sign = ["<=", ">=", "<>", "!=", "<", ">", "=", "(", ")", ","]
                    .into_iter()
                    .find(|s| rest.starts_with(s))?;
                out.push(Token::Sign(sign));
                sign.len()
            }
        };
        rest = rest[used..].trim_start();
    }
    Some(out)
}

/// A quoted text at the start, with `\'` and `\\` inside, and its length in the source.
fn quoted(source: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = source.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '\'' => return Some((value, i + 1)),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

struct Parser<'a> {
    object: &'a Object,
    tokens: Vec<Token>,
    at: usize,
}

impl Parser<'_> {
    fn word(&mut self, word: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }

    fn sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Sign(s)) if *s == sign);
        self.at += usize::from(is);
        is
    }

    fn or(&mut self) -> Option<Condition> {
        let mut parts = vec![self.and()?];
        while self.word("or") {
            parts.push(self.and()?);
        }
        Some(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Condition::Or(parts)
        })
    }

    fn and(&mut self) -> Option<Condition> {
        let mut parts = vec![self.not()?];
        while self.word("and") {
            parts.push(self.not()?);
        }
        Some(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Condition::And(parts)
        })
    }

    fn not(&mut self) -> Option<Condition> {
        if self.word("not") {
            return Some(Condition::Not(Box::new(self.not()?)));
        }
        if self.sign("(") {
            let inner = self.or()?;
            return self.sign(")").then_some(inner);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Option<Condition> {
        let Some(Token::Word(path)) = self.tokens.get(self.at).cloned() else {
            return None;
        };
        self.at += 1;
        // No field that is a join by foreign key: only the object's own.
        self.object.field(&path).filter(|f| f.queryable)?;
        if self.word("is") {
            let operator = if self.word("not") {
                Operator::IsNotNull
            } else {
                Operator::IsNull
            };
            return self.word("null").then_some(Condition::Compare {
                operator,
                path,
                values: Vec::new(),
            });
        }
        let negated = self.word("not");
        if self.word("in") {
            let operator = if negated { Operator::NotIn } else { Operator::In };
            return self.list(operator, path);
        }
        if self.word("like") {
            let operator = if negated {
                Operator::NotLike
            } else {
                Operator::Like
            };
            let value = self.literal()?;
            return Some(self.compare(operator, path, vec![value]));
        }
        let sign = match self.tokens.get(self.at)? {
            Token::Sign(s) if !negated => *s,
            _ => return None,
        };
        self.at += 1;
        let operator = match sign {
            "=" => Operator::EqualTo,
            "<>" | "!=" => Operator::NotEqualTo,
            "<" => Operator::LessThan,
            "<=" => Operator::LessThanOrEqualTo,
            ">" => Operator::GreaterThan,
            ">=" => Operator::GreaterThanOrEqualTo,
            _ => return None,
        };
        let value = self.literal()?;
        Some(self.compare(operator, path, vec![value]))
    }

    fn list(&mut self, operator: Operator, path: String) -> Option<Condition> {
        if !self.sign("(") {
            return None;
        }
        let mut values = vec![self.literal()?];
        while self.sign(",") {
            values.push(self.literal()?);
        }
        (self.sign(")") && values.len() <= 1000).then(|| self.compare(operator, path, values))
    }

    fn literal(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        (!matches!(token, Token::Sign(_))).then_some(token)
    }

    /// Database codes become labels, `'T'` and `'F'` booleans; what cannot match matches nothing.
    fn compare(&self, operator: Operator, path: String, literals: Vec<Token>) -> Condition {
        let never = Condition::Or(Vec::new());
        let Some(field) = self.object.field(&path) else {
            return never;
        };
        let mut values = Vec::new();
        for literal in literals {
            let value = match (field.data_type, literal) {
                // Unquoted text silently matches nothing (intacct-sdk-php#90).
                (t, Token::Word(_) | Token::Number(_)) if t.is_text() => continue,
                (DataType::Boolean, Token::Text(t)) => match t.as_str() {
                    "T" => "true".to_string(),
                    "F" => "false".to_string(),
                    _ => continue,
                },
                (DataType::Boolean, _) => continue,
                (_, Token::Text(t))
                    if !field.values.is_empty()
                        && !matches!(operator, Operator::Like | Operator::NotLike) =>
                {
                    match field.values.iter().find(|(_, code)| *code == t) {
                        Some((label, _)) => label.clone(),
                        None => continue,
                    }
                }
                (_, Token::Text(t) | Token::Word(t) | Token::Number(t)) => t,
                (_, Token::Sign(_)) => continue,
            };
            values.push(value);
        }
        match (values.is_empty(), operator) {
            (true, Operator::NotEqualTo | Operator::NotIn) => Condition::Compare {
                operator: Operator::IsNotNull,
                path,
                values,
            },
            (true, _) => never,
            (false, _) => Condition::Compare {
                operator,
                path,
                values,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn parsed(text: &str) -> Result<Condition, Fault> {
        parse(Catalog::builtin().object("APBILL").unwrap(), text)
    }

    #[test]
    fn documented_forms_parse() {
        for good in [
            "",
            "VENDORNAME = 'Erin\\'s' AND WHENMODIFIED >= '04/19/2021 12:00:00'",
            "NOT (TOTALDUE < 5 OR STATE in ('A', 'D')) and DESCRIPTION IS NOT NULL",
            "vendorid not like 'V%' or recordno <> -3.5",
        ] {
            assert!(parsed(good).is_ok(), "{good}");
        }
        for bad in [
            "VENDORID",
            "VENDORID =",
            "= 3",
            "NOFIELD = 1",
            "VENDOR.NAME = 'x'",
            "RECORDNO = 1 ORDER BY RECORDNO",
            "VENDORID = 'open",
        ] {
            assert_eq!(parsed(bad), Err(Fault::database()), "{bad}");
        }
    }

    #[test]
    fn codes_become_labels_and_labels_match_nothing() {
        let Ok(Condition::Compare { values, .. }) = parsed("STATE = 'A'") else {
            panic!()
        };
        assert_eq!(values, ["Posted"]);
        assert_eq!(parsed("STATE = 'Posted'").unwrap(), Condition::Or(Vec::new()));
        assert_eq!(parsed("VENDORID = V1").unwrap(), Condition::Or(Vec::new()));
        let Ok(Condition::Compare { values, .. }) = parsed("ONHOLD = 'T'") else {
            panic!()
        };
        assert_eq!(values, ["true"]);
    }
}
