//! What a refusal of the gateway means.
//!
//! One error number stands for several things, so the level and the texts decide before the number does
//! (table of errors in the protocol reference, with the sources of each text).

use super::{Error, ErrorKind, GatewayError};
use crate::xml::response::Level;

/// Whether a read that failed may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// No: it would fail again.
    Never,
    /// Yes, after a while.
    Transient,
    /// Once: it is trouble of the database or a condition that it does not take, and the number does not tell which.
    Once,
    /// Yes, slower.
    Slower,
    /// Yes, with a new session, once.
    SignIn,
}

/// Makes an error of what the gateway said.
pub(crate) fn refusal(level: Level, function: &str, errors: Vec<GatewayError>) -> (Error, Retry) {
    let (kind, retry) = classify(level, function, &errors);
    let writes = is_write(function);
    let what = match (level, &kind) {
        (_, ErrorKind::RateLimited) => "the gateway limits the rate of requests",
        (_, ErrorKind::GatewayTimeout) => "the gateway is not available",
        (_, ErrorKind::SenderRefused) => "the gateway refused the sender",
        (_, ErrorKind::SenderNotAuthorized) => "the sender is not authorized in the company",
        (_, ErrorKind::SignInRefused) => "the gateway refused the sign-in",
        (_, ErrorKind::CompanyUnavailable) => "the company is not available",
        (_, ErrorKind::InvalidSession) => "the gateway does not accept the session",
        (_, ErrorKind::Permission) if writes => "no permission to write the object",
        (_, ErrorKind::Permission) => "no permission to read the object",
        (_, ErrorKind::Duplicate) => "the record exists already",
        (_, ErrorKind::MissingRequired) => "a required field is missing",
        (_, ErrorKind::BadReference) => "a reference is not valid",
        (_, ErrorKind::UnknownObject) => "the object does not exist",
        (_, ErrorKind::UnknownFields(_)) => "fields cannot be queried",
        (_, ErrorKind::InvalidRequest) => "the gateway does not accept the request",
        _ => "the gateway refused the function",
    };
    let text = errors
        .first()
        .map_or("the gateway gives no reason", GatewayError::text);
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (
        Error::new(kind, format!("{what}: {one_line}")).with_gateway_errors(errors),
        retry,
    )
}

/// Whether a function changes data.
pub(crate) fn is_write(function: &str) -> bool {
    ["create", "update", "delete"].iter().any(|verb| {
        function
            .strip_prefix(verb)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

/// What the gateway has against a record; numbers and texts are those of the protocol reference §2.5.
fn refused_record(lower: &str, numbered: &dyn Fn(&str) -> bool) -> Option<ErrorKind> {
    let says = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    // A control id that was used before is no duplicate record.
    if says(&["control id", "controlid"]) {
        return None;
    }
    if numbered("BL34000061") || says(&["already exists", "duplicate"]) {
        return Some(ErrorKind::Duplicate);
    }
    if says(&["missing required", "required field", "is required", "is missing"]) {
        return Some(ErrorKind::MissingRequired);
    }
    let referred = [
        "cannot find",
        "does not exist",
        "invalid reference",
        "used by",
        "is in use",
    ];
    says(&referred).then_some(ErrorKind::BadReference)
}

fn classify(level: Level, function: &str, errors: &[GatewayError]) -> (ErrorKind, Retry) {
    let texts = errors
        .iter()
        .flat_map(|e| [e.errorno.as_str(), &e.description, &e.description2, &e.correction])
        .collect::<Vec<_>>()
        .join("\n");
    let lower = texts.to_lowercase();
    let says = |text: &str| lower.contains(text);
    let numbered = |number: &str| {
        errors
            .iter()
            .any(|e| e.errorno.trim().eq_ignore_ascii_case(number))
    };

    if says("rate limit exceeded") || numbered("GW-0010") {
        return (ErrorKind::RateLimited, Retry::Slower);
    }
    let gateway_trouble = errors.iter().any(|e| {
        let digits = e.errorno.trim().strip_prefix("GW-000");
        digits.is_some_and(|rest| rest.len() == 1 && rest != "0")
    });
    if gateway_trouble || says("temporarily off-line") || says("please try again later") {
        return (ErrorKind::GatewayTimeout, Retry::Transient);
    }
    if says("web services authorization") {
        return (ErrorKind::SenderNotAuthorized, Retry::Never);
    }
    let session_ended = || {
        ["invalid", "expired", "timed out", "ended"]
            .iter()
            .any(|word| says(word))
    };
    if says("invalid session") || (level == Level::Authentication && says("session") && session_ended()) {
        return (ErrorKind::InvalidSession, Retry::SignIn);
    }
    if numbered("PL04000055")
        || (says("company")
            && (says("inactive") || says("not active") || says("suspended") || says("disabled")))
    {
        return (ErrorKind::CompanyUnavailable, Retry::Never);
    }
    if level == Level::Function
        && is_write(function)
        && let Some(kind) = refused_record(&lower, &numbered)
    {
        return (kind, Retry::Never);
    }
    let kind = match level {
        _ if numbered("XL03000003") => ErrorKind::InvalidRequest,
        Level::Control if says("partner id") || says("sender") => ErrorKind::SenderRefused,
        Level::Control if numbered("GW-0011") || says("policy") => ErrorKind::InvalidRequest,
        Level::Control if numbered("XL03000006") => ErrorKind::SenderRefused,
        Level::Control => ErrorKind::Refused,
        Level::Authentication => ErrorKind::SignInRefused,
        Level::Function if function == "getAPISession" => ErrorKind::SignInRefused,
        Level::Function if says("cannot be queried") || says("invalid fields list") => {
            ErrorKind::UnknownFields(fields_named(&texts))
        }
        Level::Function if says("object definition") && says("not found") => ErrorKind::UnknownObject,
        Level::Function if numbered("PL04000005") || says("permission") || says("subscri") => {
            ErrorKind::Permission
        }
        Level::Function if numbered("DL02000001") => return (ErrorKind::Refused, Retry::Once),
        Level::Function => ErrorKind::Refused,
    };
    (kind, Retry::Never)
}

/// The names in `The following fields cannot be queried: [ apbill: [A, B] ]`: the lists without lists inside.
fn fields_named(texts: &str) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    let mut open = None;
    for (at, c) in texts.char_indices() {
        match c {
            '[' => open = Some(at + 1),
            ']' => {
                let list = open.take().map_or("", |start| &texts[start..at]);
                // "[Support ID: …]" follows many texts.
                if !list.contains(':') {
                    fields.extend(
                        list.split(',')
                            .map(|f| f.trim().to_owned())
                            .filter(|f| !f.is_empty()),
                    );
                }
            }
            _ => {}
        }
    }
    let mut seen = std::collections::HashSet::new();
    fields.retain(|field| seen.insert(field.clone()));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(errorno: &str, text: &str) -> Vec<GatewayError> {
        vec![GatewayError {
            errorno: errorno.into(),
            description2: text.into(),
            ..GatewayError::default()
        }]
    }

    fn kind(level: Level, errorno: &str, text: &str) -> (ErrorKind, Retry) {
        let (error, retry) = refusal(level, "query", errors(errorno, text));
        (error.kind().clone(), retry)
    }

    #[test]
    fn one_number_means_many_things() {
        use Level::{Authentication, Control, Function};
        for (level, text, expected) in [
            (
                Control,
                "Incorrect Intacct XML Partner ID or password.",
                (ErrorKind::SenderRefused, Retry::Never),
            ),
            (
                Control,
                "x is not a valid transport policy",
                (ErrorKind::InvalidRequest, Retry::Never),
            ),
            (
                Authentication,
                "Sign-in information is incorrect",
                (ErrorKind::SignInRefused, Retry::Never),
            ),
            (
                Authentication,
                "Invalid Web Services Authorization",
                (ErrorKind::SenderNotAuthorized, Retry::Never),
            ),
            (
                Authentication,
                "Invalid session (expired)",
                (ErrorKind::InvalidSession, Retry::SignIn),
            ),
            (
                Function,
                "The following fields cannot be queried: [ apbill: [A, B.C] ] [Support ID: x%20y]",
                (
                    ErrorKind::UnknownFields(vec!["A".into(), "B.C".into()]),
                    Retry::Never,
                ),
            ),
        ] {
            assert_eq!(kind(level, "XL03000006", text), expected, "{text}");
        }
    }

    #[test]
    fn other_numbers_and_texts() {
        use Level::{Control, Function};
        for (level, number, text, expected) in [
            (
                Control,
                "XL03000003",
                "Element 'orderby' is not expected",
                (ErrorKind::InvalidRequest, Retry::Never),
            ),
            (
                Control,
                "PL04000055",
                "expired",
                (ErrorKind::CompanyUnavailable, Retry::Never),
            ),
            (Function, "PL04000005", "", (ErrorKind::Permission, Retry::Never)),
            (
                Function,
                "",
                "You do not have permission to view audit history",
                (ErrorKind::Permission, Retry::Never),
            ),
            (
                Function,
                "Query Failed",
                "Object definition X not found",
                (ErrorKind::UnknownObject, Retry::Never),
            ),
            (
                Function,
                "DL02000001",
                "There was an error",
                (ErrorKind::Refused, Retry::Once),
            ),
            (
                Function,
                "XX",
                "API rate limit exceeded",
                (ErrorKind::RateLimited, Retry::Slower),
            ),
            (Control, "GW-0010", "", (ErrorKind::RateLimited, Retry::Slower)),
            (
                Control,
                "GW-0003",
                "",
                (ErrorKind::GatewayTimeout, Retry::Transient),
            ),
            (Control, "GW-0011", "", (ErrorKind::InvalidRequest, Retry::Never)),
            (
                Function,
                "",
                "The Service is Temporarily Off-line",
                (ErrorKind::GatewayTimeout, Retry::Transient),
            ),
            (
                Function,
                "BL03000018",
                "illegal format",
                (ErrorKind::Refused, Retry::Never),
            ),
        ] {
            assert_eq!(kind(level, number, text), expected, "{number} {text}");
        }
    }

    #[test]
    fn every_text_is_shown() {
        let mut all = errors("A1", "first\ntext");
        all.extend(errors("B2", "second"));
        let (error, _) = refusal(Level::Function, "query", all);
        assert_eq!(error.to_string(), "the gateway refused the function: first text");
        let error = error.at("acme", Some("APBILL"), "query", "c-1");
        assert_eq!(
            error.detail(),
            "Company: acme\nObject: APBILL\nFunction: query\nControl id: c-1\nGateway error A1: first\ntext\n\
             Gateway error B2: second"
        );
    }
}
