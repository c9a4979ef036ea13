//! Errors in options, with a hint at the valid form.

use super::nearest;
use super::spec::{OptionLevel, OptionSpec};
use crate::error::Report;
use pgrx::PgSqlErrorCode;

/// What kind of mistake; each has its own SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionErrorKind {
    /// No option of this name at this level.
    UnknownName,
    /// A value that is not allowed.
    InvalidValue,
    /// A required option is not given.
    Missing,
    /// The user has no mapping for the server.
    NoUserMapping,
    /// The role may not read files of the server.
    NotPermitted,
    /// A file that an option names cannot be read.
    File,
}

/// A mistake in options. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OptionError {
    /// What kind of mistake.
    pub kind: OptionErrorKind,
    /// One line, lower case.
    pub message: String,
    /// More of it; may be empty.
    pub detail: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl OptionError {
    fn new(kind: OptionErrorKind, message: String) -> Self {
        OptionError {
            kind,
            message,
            detail: String::new(),
            hint: String::new(),
        }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// A name that is not supported at this level.
    pub fn unknown(level: OptionLevel, name: &str) -> Self {
        let names: Vec<&str> = level.specs().map(|spec| spec.name).collect();
        let elsewhere = super::spec::SPECS
            .iter()
            .find(|spec| spec.level != level && spec.name == name);
        let mut hint = match (nearest(name, names.iter().copied()), elsewhere) {
            (_, Some(spec)) => format!("It is an option of a {}. ", spec.level.name()),
            (Some(close), None) => format!("Did you mean \"{close}\"? "),
            (None, None) => String::new(),
        };
        if names.is_empty() {
            hint.push_str(&format!("A {} takes no options.", level.name()));
        } else {
            hint.push_str(&format!(
                "Valid options in this context are: {}.",
                names.join(", ")
            ));
        }
        OptionError::new(
            OptionErrorKind::UnknownName,
            format!("invalid option \"{name}\" for {}", level.name()),
        )
        .hint(hint)
    }

    /// A value that the option does not take; `why` adds to what is allowed.
    pub fn value(spec: &OptionSpec, value: &str, why: Option<String>) -> Self {
        let shown = if spec.kind.hides(value) {
            String::new()
        } else {
            format!(": \"{}\"", value.escape_debug())
        };
        OptionError::new(
            OptionErrorKind::InvalidValue,
            format!("invalid value for option \"{}\"{shown}", spec.name),
        )
        .detail(why.unwrap_or_default())
        .hint(format!("The value must be {}.", spec.kind.allowed()))
    }

    /// The same option twice.
    pub fn repeated(name: &str) -> Self {
        OptionError::new(
            OptionErrorKind::InvalidValue,
            format!("option \"{name}\" is given more than once"),
        )
        .hint("Keep one of them.")
    }

    /// Two options of which only one makes sense.
    pub fn exclusive(one: &str, other: &str) -> Self {
        OptionError::new(
            OptionErrorKind::InvalidValue,
            format!("options \"{one}\" and \"{other}\" exclude each other"),
        )
        .hint("Keep one of them.")
    }

    /// The gateway function has no way to show rows that are private to an entity.
    pub fn shows_no_private_rows(function: &str) -> Self {
        OptionError::new(
            OptionErrorKind::InvalidValue,
            format!("{function} cannot show rows that are private to an entity"),
        )
        .hint("Set show_private 'off' on the table to read it without them.")
    }

    /// The table asks for rows that its server withholds.
    pub fn private_rows_denied() -> Self {
        OptionError::new(
            OptionErrorKind::NotPermitted,
            "the server does not show rows that are private to an entity".to_owned(),
        )
        .detail(
            "Option show_private of the server is off; an option of a foreign table does not override that."
                .to_owned(),
        )
        .hint(
            "Set show_private 'off' on the table to read it without them, or drop the option from the server to leave \
             it to the tables.",
        )
    }

    /// An option that must be there is not.
    pub fn missing(level: OptionLevel, name: &str) -> Self {
        let statement = match level {
            // Only reported when a mapping is used: it may be completed in steps.
            OptionLevel::UserMapping => "ALTER USER MAPPING ... OPTIONS (ADD ",
            _ => "OPTIONS (",
        };
        OptionError::new(
            OptionErrorKind::Missing,
            format!("option \"{name}\" is required for a {}", level.name()),
        )
        .hint(format!("Give it with {statement}{name} '...')."))
    }

    /// Neither a password nor a file with it.
    pub fn missing_secret(name: &str) -> Self {
        OptionError::new(
            OptionErrorKind::Missing,
            format!("the user mapping has neither option \"{name}\" nor \"{name}_file\""),
        )
        .hint(format!(
            "Give one with ALTER USER MAPPING ... OPTIONS (ADD {name} '...')."
        ))
    }

    /// The user has no mapping, and there is none for PUBLIC.
    pub fn no_user_mapping(user: &str, server: &str) -> Self {
        OptionError::new(
            OptionErrorKind::NoUserMapping,
            format!("user mapping not found for user \"{user}\" and server \"{server}\""),
        )
        .hint(format!(
            "Create one with CREATE USER MAPPING FOR {} SERVER {} OPTIONS (user_id '...', password '...', sender_id \
             '...', sender_password '...').",
            identifier(user),
            identifier(server)
        ))
    }

    /// The proxy cannot be used with these options.
    pub fn proxy(error: &intacct::Error) -> Self {
        OptionError::new(OptionErrorKind::InvalidValue, error.to_string()).hint(error.hint())
    }

    /// The role may not set an option that reads a file or leads elsewhere.
    pub fn may_not_set(name: &str) -> Self {
        OptionError::new(
            OptionErrorKind::NotPermitted,
            format!("permission denied to set option \"{name}\""),
        )
        .detail("Only roles that may read files of the database server may set it.")
        .hint("Ask a superuser, or for membership in pg_read_server_files.")
    }

    /// The owner of the server may not lead its connections elsewhere any more.
    pub fn may_not_use(name: &str, why: String) -> Self {
        OptionError::new(
            OptionErrorKind::NotPermitted,
            format!("permission denied to use option \"{name}\""),
        )
        .detail(why)
        .hint("Grant pg_read_server_files, or let a role that has it own the server.")
    }

    /// Neither the owner nor the user may read files any more.
    pub fn may_not_read(name: &str, why: String) -> Self {
        OptionError::new(
            OptionErrorKind::NotPermitted,
            format!("permission denied to read the file of option \"{name}\""),
        )
        .detail(why)
        .hint("Grant pg_read_server_files, or let a role that has it own the server.")
    }

    /// The file of an option cannot be read; `path` is none where it must not be shown.
    pub fn file(name: &str, path: Option<&str>, why: &str) -> Self {
        match path {
            Some(path) => OptionError::new(
                OptionErrorKind::File,
                format!("could not read file \"{path}\" of option \"{name}\": {why}"),
            )
            .hint("The operating system user that runs PostgreSQL must be able to read it."),
            None => OptionError::new(
                OptionErrorKind::File,
                format!("could not read the file of option \"{name}\": {why}"),
            )
            .hint("Ask the owner of the server, who can see the option."),
        }
    }
}

/// A name as it can be pasted into a statement; quoted rather than not when in doubt.
fn identifier(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

impl From<OptionError> for Report {
    fn from(error: OptionError) -> Report {
        let code = match error.kind {
            OptionErrorKind::UnknownName => PgSqlErrorCode::ERRCODE_FDW_INVALID_OPTION_NAME,
            OptionErrorKind::InvalidValue => PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
            OptionErrorKind::Missing => PgSqlErrorCode::ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
            OptionErrorKind::NoUserMapping => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            OptionErrorKind::NotPermitted => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            OptionErrorKind::File => PgSqlErrorCode::ERRCODE_IO_ERROR,
        };
        Report::new(code, error.message)
            .detail(error.detail)
            .hint(error.hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_names_the_valid_ones_and_the_nearest() {
        let error = OptionError::unknown(OptionLevel::Server, "compny_id");
        assert_eq!(error.message, "invalid option \"compny_id\" for server");
        assert!(
            error.hint.starts_with(
                "Did you mean \"company_id\"? Valid options in this context are: company_id, url,"
            ),
            "{}",
            error.hint
        );
    }

    #[test]
    fn an_option_of_another_level_is_sent_there() {
        let error = OptionError::unknown(OptionLevel::Server, "password");
        assert!(
            error.hint.starts_with("It is an option of a user mapping."),
            "{}",
            error.hint
        );
        let error = OptionError::unknown(OptionLevel::Wrapper, "x");
        assert_eq!(error.hint, "A foreign-data wrapper takes no options.");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let spec = OptionLevel::UserMapping.spec("password").expect("the option");
        let error = OptionError::value(spec, "hunter2", None);
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn mistakes_in_options_have_their_own_states() {
        let unknown = Report::from(OptionError::unknown(OptionLevel::Server, "x"));
        assert_eq!(unknown.sqlstate(), "HV00D");
        let missing = Report::from(OptionError::missing(OptionLevel::Server, "company_id"));
        assert_eq!(missing.sqlstate(), "HV00J");
        let missing_mapping = Report::from(OptionError::no_user_mapping("bob", "acme"));
        assert_eq!(missing_mapping.sqlstate(), "42704");
    }
}
