//! A many-to-one relation as a column option.

use std::fmt;

/// What the column points to: `PATH=OBJECT(FIELD)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// First part of the dotted fields of the parent (`CUSTOMER` in `CUSTOMER.NAME`).
    pub path: String,
    /// The parent object.
    pub object: String,
    /// The parent's unique field that the column equals.
    pub field: String,
}

impl Reference {
    /// Reads `PATH=OBJECT(FIELD)`; blanks around the parts do not matter.
    pub fn parse(text: &str) -> Option<Reference> {
        let (path, rest) = text.trim().split_once('=')?;
        let (object, rest) = rest.split_once('(')?;
        let field = rest.strip_suffix(')')?;
        let part = |text: &str| {
            let text = text.trim();
            let plain =
                |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '=' | '(' | ')' | '"' | '\'');
            (!text.is_empty() && text.chars().all(plain)).then(|| text.to_owned())
        };
        Some(Reference {
            path: part(path)?,
            object: part(object)?,
            field: part(field)?,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}({})", self.path, self.object, self.field)
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn reads_what_it_writes() {
        let text = "PROJECT.CUSTOMER=CUSTOMER(CUSTOMERID)";
        let reference = Reference::parse(text).expect("a reference");
        assert_eq!(reference.path, "PROJECT.CUSTOMER");
        assert_eq!(reference.to_string(), text);
        assert_eq!(
            Reference::parse(" PROJECT.CUSTOMER = CUSTOMER ( CUSTOMERID )"),
            Some(reference)
        );
    }

    #[test]
    fn refuses_what_is_not_a_reference() {
        for text in [
            "",
            "A",
            "A=B",
            "A=B(C",
            "A=B(C)x",
            "A=B(C(D))",
            "A B=C(D)",
            "=B(C)",
        ] {
            assert_eq!(Reference::parse(text), None, "{text:?}");
        }
    }
}
