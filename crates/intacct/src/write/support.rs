//! Which function writes which object.

use super::verb::Verb;
use crate::error::{Error, ErrorKind};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Objects of one call of `create` or `update`, and keys of `delete` (fact 73; documented for the first two).
pub(super) const MAX_OBJECTS: usize = 100;

/// The table, in the words of the file.
const TABLE: &str = include_str!("objects.txt");

static OBJECTS: LazyLock<HashMap<&'static str, Entry>> = LazyLock::new(|| {
    let lines = TABLE.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(entry)
        .collect()
});

enum Entry {
    Functions {
        create: Option<&'static str>,
        update: Option<&'static str>,
        delete: Option<&'static str>,
        unique: Option<&'static str>,
    },
    /// A line of this object.
    With(&'static str),
    Never,
}

fn entry(line: &'static str) -> Option<(&'static str, Entry)> {
    let mut words = line.split_whitespace();
    let object = words.next()?;
    let mut word = || words.next().filter(|word| *word != "-");
    let create = word();
    let entry = match create {
        Some("never") => Entry::Never,
        Some(owner) if owner.starts_with("with:") => Entry::With(owner.trim_start_matches("with:")),
        create => Entry::Functions {
            create,
            update: word(),
            delete: word(),
            unique: word(),
        },
    };
    Some((object, entry))
}

fn find(object: &str) -> Option<&'static Entry> {
    OBJECTS.get(object.to_ascii_uppercase().as_str())
}

/// The field that the gateway keeps unique, where it is known.
pub(super) fn unique_key(object: &str) -> Option<&'static str> {
    match find(object)? {
        Entry::Functions { unique, .. } => *unique,
        Entry::With(_) | Entry::Never => None,
    }
}

/// The gateway function that writes records of an object: `create`, `update`, `delete` or a legacy one. Objects that
/// are not listed in this module, custom ones among them, are written by the generic functions.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where there is none, with what to do instead as the hint.
pub fn function(object: &str, verb: Verb) -> Result<&'static str, Error> {
    let refuse = |why: String, hint: String| {
        let error = Error::new(ErrorKind::Unsupported, format!("{object} cannot be {why}"));
        Err(error.with_hint(hint).of_object(object))
    };
    let done = match verb {
        Verb::Create => "created",
        Verb::Update => "updated",
        Verb::Delete => "deleted",
    };
    match find(object) {
        None => Ok(verb.generic()),
        Some(Entry::Never) => refuse(
            format!("{done} through the gateway's functions"),
            "Change it in Intacct; the gateway has no function for it that takes a row.".into(),
        ),
        Some(Entry::With(owner)) => refuse(
            format!("{done} by itself: its rows are lines of {owner}"),
            format!(
                "Write the lines together with their {owner}, in a jsonb column (import option import_lines)."
            ),
        ),
        Some(Entry::Functions {
            create,
            update,
            delete,
            ..
        }) => {
            let function = match verb {
                Verb::Create => create,
                Verb::Update => update,
                Verb::Delete => delete,
            };
            match function {
                Some(function) => Ok(function),
                None => refuse(
                    format!("{done}: the gateway has no function for it"),
                    "Create a new record instead, or change it in Intacct.".into(),
                ),
            }
        }
    }
}

/// Records that one function of a request can carry.
pub fn rows_per_function(object: &str, verb: Verb) -> usize {
    match function(object, verb) {
        Ok(name) if name == verb.generic() => MAX_OBJECTS,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = TABLE
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        assert_eq!(OBJECTS.len(), lines.count());
        assert_eq!(unique_key("customer"), Some("CUSTOMERID"));
        assert_eq!(unique_key("ARINVOICE"), None);
        assert_eq!(unique_key("MCA_attendee"), None);
    }

    #[test]
    fn functions_and_reasons() {
        let name = |object, verb| function(object, verb).map_err(|error| error.to_string());
        assert_eq!(name("CUSTOMER", Verb::Update), Ok("update"));
        assert_eq!(name("MCA_attendee", Verb::Create), Ok("create"));
        assert_eq!(name("ARINVOICE", Verb::Create), Ok("create_invoice"));
        assert_eq!(name("ARINVOICE", Verb::Delete), Ok("delete"));
        assert_eq!(
            name("GLENTRY", Verb::Create),
            Err("GLENTRY cannot be created by itself: its rows are lines of GLBATCH".into())
        );
        assert_eq!(
            name("GLDETAIL", Verb::Delete),
            Err("GLDETAIL cannot be deleted through the gateway's functions".into())
        );
        assert!(name("EXCHANGERATE", Verb::Update).is_err());
        assert_eq!(rows_per_function("CUSTOMER", Verb::Create), 100);
        assert_eq!(rows_per_function("ARINVOICE", Verb::Create), 1);
        assert_eq!(rows_per_function("ARINVOICE", Verb::Delete), 100);
    }
}
