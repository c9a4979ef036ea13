//! The values that options take: what is allowed, and how it is read.

use super::reference::Reference;
use crate::error::interruptible;
use intacct::Condition;
use jiff::tz::{Offset, TimeZone};
use url::{Host, Url};

/// Which values an option takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptionKind {
    /// Any text but the empty one.
    Text,
    /// Any text.
    OptionalText,
    /// Any text but the empty one; never shown.
    Secret,
    /// Absolute path of a file on the server.
    File,
    /// A truth value.
    Boolean,
    /// A whole number, bounds included.
    Integer {
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
    },
    /// Seconds, possibly with a fraction, bounds included.
    Seconds {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// A number from zero.
    Cost,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `https://…`, or `http://…` for a loopback host.
    Url,
    /// `http://host:port` or `https://host:port`.
    Proxy,
    /// Name of a time zone, or a fixed offset.
    TimeZone,
    /// A condition in connector syntax.
    Condition,
    /// A DATATYPE of the gateway.
    DataType,
    /// `PATH=OBJECT(FIELD)`
    Reference,
}

impl OptionKind {
    /// Whether a role needs the right to read files of the server to set the option: it decides what the server reads
    /// or where it connects to.
    pub fn needs_file_right(self) -> bool {
        matches!(self, OptionKind::File | OptionKind::Proxy)
    }

    /// Whether a value must not be shown: it is a secret, or an address that holds one.
    pub fn hides(self, value: &str) -> bool {
        match self {
            OptionKind::Secret => true,
            OptionKind::Url | OptionKind::Proxy => value.contains('@'),
            _ => false,
        }
    }

    /// What is allowed, to complete "the value must be …".
    pub fn allowed(self) -> String {
        match self {
            OptionKind::Text | OptionKind::Secret => "a text that is not empty".to_owned(),
            OptionKind::OptionalText => "a text".to_owned(),
            OptionKind::File => "the absolute path of a file on the database server".to_owned(),
            OptionKind::Boolean => "on or off (or true, false, yes, no, 1, 0)".to_owned(),
            OptionKind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            OptionKind::Seconds { min, max } => format!("a number of seconds from {min} to {max}"),
            OptionKind::Cost => "a number that is not negative".to_owned(),
            OptionKind::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", quoted.join(", "))
            }
            OptionKind::Url => {
                "an https:// URL (http:// only for a loopback host) without user name, password or \
                          fragment"
                    .to_owned()
            }
            OptionKind::Proxy => {
                "an http:// or https:// URL of host and port, without user name and password".to_owned()
            }
            OptionKind::TimeZone => "a time zone's name (Europe/Berlin) or an offset (+01:00)".to_owned(),
            OptionKind::Condition => "a condition in connector syntax, such as STATUS = active".to_owned(),
            OptionKind::DataType => "a data type of Intacct, such as TEXT, INTEGER, DATE".to_owned(),
            OptionKind::Reference => {
                "of the form PATH=OBJECT(FIELD), such as CUSTOMER=CUSTOMER(CUSTOMERID)".to_owned()
            }
        }
    }

    /// Whether the value is allowed. The error has more detail than [`OptionKind::allowed`] does, or nothing.
    pub fn check(self, value: &str) -> Result<(), Option<String>> {
        let fine = |ok: bool| if ok { Ok(()) } else { Err(None) };
        match self {
            OptionKind::OptionalText => Ok(()),
            OptionKind::Text | OptionKind::Secret => fine(!value.trim().is_empty()),
            OptionKind::File => fine(std::path::Path::new(value).is_absolute()),
            OptionKind::Boolean => fine(boolean(value).is_some()),
            OptionKind::Integer { min, max } => {
                fine(integer(value).is_some_and(|n| (min..=max).contains(&n)))
            }
            OptionKind::Seconds { min, max } => fine(number(value).is_some_and(|n| (min..=max).contains(&n))),
            OptionKind::Cost => fine(number(value).is_some_and(|n| n >= 0.0)),
            OptionKind::Choice(words) => fine(choice(words, value).is_some()),
            OptionKind::Url => check_url(value).map_err(Some),
            OptionKind::Proxy => intacct::Proxy::new(value)
                .map(|_| ())
                .map_err(|error| Some(format!("{error}."))),
            OptionKind::TimeZone => fine(time_zone(value).is_some()),
            OptionKind::Condition => Condition::parse_watched(value, &interruptible)
                .map(|_| ())
                .map_err(|error| Some(error.to_string())),
            OptionKind::DataType => fine(
                !value.is_empty()
                    && value
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            ),
            OptionKind::Reference => fine(Reference::parse(value).is_some()),
        }
    }
}

/// A truth value in the spellings that PostgreSQL takes.
pub fn boolean(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "t" | "y" | "1" => Some(true),
        "off" | "false" | "no" | "f" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number.
pub fn integer(value: &str) -> Option<u32> {
    value.trim().parse().ok()
}

/// A finite number.
pub fn number(value: &str) -> Option<f64> {
    value
        .trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

/// The word as the list spells it; case does not matter.
pub fn choice(words: &[&'static str], value: &str) -> Option<&'static str> {
    words
        .iter()
        .copied()
        .find(|word| word.eq_ignore_ascii_case(value.trim()))
}

/// A zone by its name in the tz database, or a fixed offset such as `+01:00`.
pub fn time_zone(value: &str) -> Option<TimeZone> {
    let value = value.trim();
    let Some(rest) = value.strip_prefix(['+', '-']) else {
        return (!value.is_empty()).then(|| TimeZone::get(value).ok()).flatten();
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..=15).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    let signed = if value.starts_with('-') { -seconds } else { seconds };
    Some(TimeZone::fixed(Offset::from_seconds(signed).ok()?))
}

/// Passwords must not travel in the clear: plain HTTP is for a gateway on this machine.
fn check_url(value: &str) -> Result<(), String> {
    let url = Url::parse(value).map_err(|error| format!("It does not parse: {error}."))?;
    let loopback = match url.host() {
        None => return Err("It names no host.".to_owned()),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("Credentials belong into the user mapping.".to_owned());
    }
    if url.fragment().is_some() {
        return Err("A fragment (after #) has no meaning here.".to_owned());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => Err("Passwords would travel unencrypted to another host.".to_owned()),
        other => Err(format!("The scheme \"{other}\" is not https.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(kind: OptionKind, values: &[&str]) {
        for value in values {
            assert_eq!(kind.check(value), Ok(()), "{kind:?} {value:?}");
        }
    }

    fn refuses(kind: OptionKind, values: &[&str]) {
        for value in values {
            assert!(kind.check(value).is_err(), "{kind:?} {value:?}");
        }
    }

    #[test]
    fn booleans_read_as_postgres_reads_them() {
        for (text, expected) in [
            ("on", true),
            ("TRUE", true),
            ("1", true),
            ("Off", false),
            ("no", false),
        ] {
            assert_eq!(boolean(text), Some(expected), "{text}");
        }
        refuses(OptionKind::Boolean, &["", "maybe", "2"]);
    }

    #[test]
    fn numbers_keep_their_bounds() {
        let page = OptionKind::Integer { min: 1, max: 2000 };
        accepts(page, &["1", "2000", " 7 "]);
        refuses(page, &["0", "2001", "-1", "1.5", "", "many"]);
        let seconds = OptionKind::Seconds {
            min: 0.001,
            max: 60.0,
        };
        accepts(seconds, &["0.2", "60"]);
        refuses(seconds, &["0", "61", "NaN", "inf", "soon"]);
        accepts(OptionKind::Cost, &["0", "0.2"]);
        refuses(OptionKind::Cost, &["-1", "inf"]);
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        accepts(
            OptionKind::Url,
            &[
                "https://api.intacct.com/ia/xml/xmlgw.phtml",
                "http://localhost:8080/x",
                "http://127.0.0.1:1/x",
                "http://[::1]:80/",
            ],
        );
        refuses(
            OptionKind::Url,
            &[
                "http://api.intacct.com/",
                "http://localhost.evil.example/",
                "http://10.0.0.1/",
                "https://user:pw@api.intacct.com/",
                "https://api.intacct.com/#x",
                "ftp://localhost/",
                "api.intacct.com",
                "",
            ],
        );
    }

    #[test]
    fn zones_have_names_or_offsets() {
        accepts(
            OptionKind::TimeZone,
            &["UTC", "Europe/Berlin", "+01:00", "-05:30", "+2"],
        );
        refuses(OptionKind::TimeZone, &["", "Mars/Olympus", "+25:00", "+01:99"]);
        let offset = time_zone("-05:30").and_then(|zone| zone.to_fixed_offset().ok());
        assert_eq!(offset.map(Offset::seconds), Some(-(5 * 3600 + 30 * 60)));
    }

    #[test]
    fn words_are_matched_without_case_and_files_are_absolute() {
        let words = &["query", "readByQuery"];
        assert_eq!(choice(words, "READBYQUERY"), Some("readByQuery"));
        refuses(OptionKind::Choice(words), &["read", ""]);
        accepts(OptionKind::File, &["/etc/ssl/ca.pem"]);
        refuses(OptionKind::File, &["ca.pem", ""]);
        refuses(OptionKind::Secret, &["", "  "]);
        accepts(OptionKind::Reference, &["CUSTOMER=CUSTOMER(CUSTOMERID)"]);
        refuses(OptionKind::Reference, &["CUSTOMER", "=X(Y)", "A=B()"]);
        accepts(OptionKind::DataType, &["TEXT", "SOMETHING_NEW"]);
        refuses(OptionKind::DataType, &["", "a b"]);
    }
}
