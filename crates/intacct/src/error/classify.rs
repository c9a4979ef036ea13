//! What a refusal of the gateway means.
//!
//! Numbers that mean one thing decide first. Others stand for several things: then the level decides, and texts by their
//! beginning or end (facts 2 to 6). What the user wrote, and
//! the gateway may repeat, is masked before; the correction decides nothing.

use super::texts::Masked;
use super::{Error, ErrorKind, GatewayError, Level};

/// Whether a read that failed may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// No: it would fail again.
    Never,
    /// Yes, after a while.
    Transient,
    /// Once: it is trouble of the database or a condition that it does not take, and the number does not show which.
    Once,
    /// Yes, slower.
    Slower,
    /// Yes, with a new session, once.
    SignIn,
}

/// Makes an error of what the gateway said.
pub(crate) fn refusal(level: Level, function: &str, errors: Vec<GatewayError>) -> (Error, Retry) {
    refusal_of(level, function, errors, &[])
}

/// The same; `sent` are values of the request, which the texts may repeat.
pub(crate) fn refusal_of(
    level: Level,
    function: &str,
    errors: Vec<GatewayError>,
    sent: &[&str],
) -> (Error, Retry) {
    let said: Vec<Said<'_>> = errors.iter().map(|error| Said::new(error, sent)).collect();
    let (kind, retry) = classify(level, function, &said);
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
    let hint = hint(writes, &kind, &said);
    // Of several errors, the one that decided is shown.
    let decides = |said: &Said<'_>| writes && refused_record(function, said).as_ref() == Some(&kind);
    let shown = said.iter().position(decides).unwrap_or(0);
    let text = errors
        .get(shown)
        .map_or("the gateway gives no reason", GatewayError::text);
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let error = Error::new(kind, format!("{what}: {one_line}"))
        .with_gateway_errors(errors)
        .with_sender_accepted(level != Level::Control);
    (
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        },
        retry,
    )
}

/// What to do about it, where the usual advice of the kind does not fit.
fn hint(writes: bool, kind: &ErrorKind, said: &[Said<'_>]) -> Option<&'static str> {
    let at_entity = |text: &Masked| text.mentions(&["entity level", "at the entity", "in an entity"]);
    if writes && said.iter().any(|said| said.texts.iter().any(at_entity)) {
        return Some(
            "Set location_id, of the server or of the user mapping, to the entity in which the record belongs: the \
             gateway creates it only when signed in there.",
        );
    }
    (writes && *kind == ErrorKind::Permission).then_some(
        "Ask the company's administrator to give the web-services user a role with permission to add, edit or delete \
         records of the object, and check that the company subscribes to its application.",
    )
}

/// Whether a refusal of a whole request precedes the execution of any function, provably: sender, user and the form of
/// the request are checked before. Trouble of the gateway and texts that are not known prove nothing.
pub(crate) fn precedes_execution(level: Level, error: &Error) -> bool {
    if level == Level::Function || reports_executed(error.gateway_errors(), &[], &[]) {
        return false;
    }
    let limited = |error: &GatewayError| error.errorno.trim().eq_ignore_ascii_case("GW-0010");
    match error.kind() {
        ErrorKind::RateLimited => error.gateway_errors().iter().any(limited),
        ErrorKind::GatewayTimeout => false,
        ErrorKind::SenderRefused
        | ErrorKind::SenderNotAuthorized
        | ErrorKind::CompanyUnavailable
        | ErrorKind::InvalidSession
        | ErrorKind::InvalidRequest
        | ErrorKind::SignInRefused => true,
        _ => level == Level::Authentication,
    }
}

/// Whether a function that failed so was not executed, by the word of the gateway: it says what it has against the
/// record, or rolled it back. A number of the gateway's front with a text that is not known may as well mean that the
/// control id was used before.
pub(crate) fn proves_failure(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Duplicate
        | ErrorKind::MissingRequired
        | ErrorKind::BadReference
        | ErrorKind::Permission
        | ErrorKind::UnknownObject
        | ErrorKind::UnknownFields(_)
        | ErrorKind::InvalidRequest => true,
        ErrorKind::GatewayTimeout | ErrorKind::RateLimited => false,
        _ => {
            let mut errors = error.gateway_errors().iter();
            errors.any(|error| is_of_execution(error) || error.errorno.trim() == ROLLED_BACK)
        }
    }
}

/// Whether an error has a number that functions give while they are executed, not the gateway before them.
fn is_of_execution(error: &GatewayError) -> bool {
    let number = error.errorno.trim().to_ascii_uppercase();
    ["BL", "PL", "DL"].iter().any(|prefix| number.starts_with(prefix))
}

/// What every sibling of a failure in a transaction says.
pub(crate) const ROLLED_BACK: &str = "XL03000009";

/// Whether the gateway says that functions with these control ids were executed before.
pub(crate) fn reports_executed(errors: &[GatewayError], control_ids: &[String], sent: &[&str]) -> bool {
    errors.iter().any(|error| {
        let texts = [&error.errorno, &error.description, &error.description2];
        let names_one = |text: &&&String| {
            control_ids
                .iter()
                .any(|id| !id.is_empty() && text.contains(id.as_str()))
        };
        if texts.iter().any(|text| names_one(&text)) {
            return true;
        }
        let masked = Said::new(error, sent);
        // A number of the functions themselves says such things of a record: a payment was processed already.
        let of_gateway = !is_of_execution(error);
        masked.texts.iter().any(|text| {
            text.mentions(&["control id", "controlid"])
                || text.ends(&[
                    "already executed",
                    "already been executed",
                    "already executed and completed",
                    "already been executed and completed",
                ])
                || (of_gateway
                    && text.ends(&[
                        "already been processed",
                        "already completed",
                        "already been completed",
                    ]))
        })
    })
}

/// Whether a function changes data.
pub(crate) fn is_write(function: &str) -> bool {
    ["create", "update", "delete"].iter().any(|verb| {
        function
            .strip_prefix(verb)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

/// One error: its number, and its two descriptions with the values masked. The correction is advice, which decides
/// nothing.
struct Said<'a> {
    number: String,
    texts: Vec<Masked>,
    error: &'a GatewayError,
}

impl<'a> Said<'a> {
    fn new(error: &'a GatewayError, sent: &[&str]) -> Self {
        let number = error.errorno.trim();
        // Some functions put a text in the number's place.
        let is_text = number.contains(' ');
        let texts = [
            error.description2.as_str(),
            &error.description,
            if is_text { number } else { "" },
        ];
        let texts = texts.iter().map(|text| Masked::new(text, sent));
        Said {
            number: number.to_ascii_uppercase(),
            texts: texts.filter(|text| !text.is_empty()).collect(),
            error,
        }
    }

    fn numbered(&self, numbers: &[&str]) -> bool {
        numbers.contains(&self.number.as_str())
    }

    fn any(&self, test: impl Fn(&Masked) -> bool) -> bool {
        self.texts.iter().any(test)
    }
}

fn classify(level: Level, function: &str, said: &[Said<'_>]) -> (ErrorKind, Retry) {
    let numbered = |numbers: &[&str]| said.iter().any(|said| said.numbered(numbers));
    let any = |test: &dyn Fn(&Masked) -> bool| said.iter().any(|said| said.any(test));
    // Numbers that mean one thing.
    if numbered(&["GW-0010"]) {
        return (ErrorKind::RateLimited, Retry::Slower);
    }
    let gateway_trouble = |said: &Said<'_>| {
        let digit = said.number.strip_prefix("GW-000");
        digit.is_some_and(|rest| rest.len() == 1 && rest != "0")
    };
    if said.iter().any(gateway_trouble) {
        return (ErrorKind::GatewayTimeout, Retry::Transient);
    }
    // What sender, user and company are refused for, only the levels above functions say.
    if level != Level::Function && numbered(&["PL04000055"]) {
        return (ErrorKind::CompanyUnavailable, Retry::Never);
    }
    if numbered(&["XMLGW_JPP0002"]) {
        return (ErrorKind::SignInRefused, Retry::Never);
    }
    if numbered(&["XL03000003"]) {
        return (ErrorKind::InvalidRequest, Retry::Never);
    }
    if level == Level::Function
        && is_write(function)
        && let Some(kind) = said.iter().find_map(|said| refused_record(function, said))
    {
        return (kind, Retry::Never);
    }
    if level == Level::Function && numbered(&["PL04000005"]) {
        return (ErrorKind::Permission, Retry::Never);
    }
    // Texts that say the whole by themselves.
    if any(&|text| {
        text.is(&[
            "api rate limit exceeded",
            "rate limit exceeded",
            "too many requests",
        ])
    }) {
        return (ErrorKind::RateLimited, Retry::Slower);
    }
    let offline = [
        "the service is temporarily off-line",
        "the service is temporarily offline",
    ];
    if any(&|text| text.is(&offline) || text.is(&["please try again later"])) {
        return (ErrorKind::GatewayTimeout, Retry::Transient);
    }
    if level != Level::Function || function == "getAPISession" {
        return (of_sign_in(level, said), retry_of_sign_in(level, said));
    }
    if any(&|text| text.starts(&["invalid session"])) {
        return (ErrorKind::InvalidSession, Retry::SignIn);
    }
    let kind = of_function(said);
    let once = kind == ErrorKind::Refused && numbered(&[DATABASE]);
    (kind, if once { Retry::Once } else { Retry::Never })
}

/// Number of an error of the database, which names no cause.
pub(crate) const DATABASE: &str = "DL02000001";

fn session_ended(level: Level, said: &[Said<'_>]) -> bool {
    said.iter().any(|said| {
        said.any(|text| {
            text.starts(&["invalid session"])
                || (level == Level::Authentication
                    && text.starts(&["session", "the session", "your session"])
                    && text.mentions(&["invalid", "expired", "timed out", "ended"]))
        })
    })
}

fn retry_of_sign_in(level: Level, said: &[Said<'_>]) -> Retry {
    match session_ended(level, said) {
        true => Retry::SignIn,
        false => Retry::Never,
    }
}

/// What is refused before any function: the texts hold nothing but names of options.
fn of_sign_in(level: Level, said: &[Said<'_>]) -> ErrorKind {
    let numbered = |numbers: &[&str]| said.iter().any(|said| said.numbered(numbers));
    let any = |test: &dyn Fn(&Masked) -> bool| said.iter().any(|said| said.any(test));
    if any(&|text| text.starts(&["invalid web services authorization"])) {
        return ErrorKind::SenderNotAuthorized;
    }
    if session_ended(level, said) {
        return ErrorKind::InvalidSession;
    }
    if level != Level::Function && any(&Masked::is_of_company) {
        return ErrorKind::CompanyUnavailable;
    }
    if any(&|text| text.starts(&["sign-in information", "login information"])) {
        return ErrorKind::SignInRefused;
    }
    match level {
        Level::Control if any(&|text| text.mentions(&["partner id", "sender"])) => ErrorKind::SenderRefused,
        Level::Control if numbered(&["GW-0011"]) || any(&|text| text.mentions(&["transport policy"])) => {
            ErrorKind::InvalidRequest
        }
        Level::Control if numbered(&["XL03000006"]) => ErrorKind::SenderRefused,
        Level::Control => ErrorKind::Refused,
        Level::Authentication | Level::Function => ErrorKind::SignInRefused,
    }
}

fn of_function(said: &[Said<'_>]) -> ErrorKind {
    let any = |test: &dyn Fn(&Masked) -> bool| said.iter().any(|said| said.any(test));
    let fields = |said: &&Said<'_>| {
        said.any(|text| {
            text.starts(&["the following fields cannot be queried", "invalid fields list"])
                || text.starts(&["fields cannot be queried"])
        })
    };
    if let Some(said) = said.iter().find(fields) {
        let error = said.error;
        let texts = [error.errorno.as_str(), &error.description, &error.description2].join("\n");
        return ErrorKind::UnknownFields(fields_named(&texts));
    }
    if any(&|text| text.starts(&["object definition"]) && text.ends(&["not found"])) {
        return ErrorKind::UnknownObject;
    }
    if any(&is_permission) {
        return ErrorKind::Permission;
    }
    ErrorKind::Refused
}

fn is_permission(text: &Masked) -> bool {
    let starts = [
        "you do not have permission",
        "you don't have permission",
        "the user does not have permission",
        "user does not have permission",
        "you are not authorized",
        "permission denied",
        "no permission",
        "insufficient permission",
        "insufficient permissions",
        "the company has not subscribed",
        "your company has not subscribed",
    ];
    let ends = ["is not subscribed", "not subscribed to", "has no subscription"];
    text.starts(&starts) || text.ends(&ends)
}

/// What the gateway has against a record; none where the error says nothing of it, such as
/// that the record could not be stored.
fn refused_record(function: &str, said: &Said<'_>) -> Option<ErrorKind> {
    if said.numbered(&["BL34000061", "PL05000104", "BL01001762"]) {
        return Some(ErrorKind::Duplicate);
    }
    if said.numbered(&["PL04000005"]) {
        return Some(ErrorKind::Permission);
    }
    if said.numbered(&["PL01000127"]) {
        return Some(ErrorKind::MissingRequired);
    }
    // A control id that was used before is no record.
    if said.any(|text| text.mentions(&["control id", "controlid"])) {
        return None;
    }
    if said.any(|text| text.starts(&["object definition"]) && text.ends(&["not found"])) {
        return Some(ErrorKind::UnknownObject);
    }
    if said.any(is_permission) {
        return Some(ErrorKind::Permission);
    }
    if said.any(is_duplicate) {
        return Some(ErrorKind::Duplicate);
    }
    if said.any(is_missing) {
        return Some(ErrorKind::MissingRequired);
    }
    let deletes = function.starts_with("delete");
    said.any(|text| is_reference(text) || (deletes && is_in_use(text)))
        .then_some(ErrorKind::BadReference)
}

fn is_duplicate(text: &Masked) -> bool {
    let starts = [
        "duplicate key",
        "duplicate value",
        "duplicate record",
        "duplicate entry",
    ];
    let ends = [
        "already exists",
        "already exist",
        "is already in use",
        "is already used",
        "has already been used",
        "must be unique",
        "is not unique",
        "is a duplicate",
    ];
    text.starts(&starts) || text.ends(&ends)
}

fn is_missing(text: &Masked) -> bool {
    let starts = [
        "missing required field",
        "missing required fields",
        "required field",
        "missing value for",
    ];
    let enter = ["enter a", "enter an", "enter the"];
    text.starts(&starts)
        || (text.starts(&enter) && text.ends(&["and try again", "and then try again"]))
        || text.names_missing_field()
}

fn is_reference(text: &Masked) -> bool {
    let starts = [
        "cannot find",
        "can't find",
        "could not find",
        "couldn't find",
        "unable to find",
        "invalid reference",
        "there is no",
        "no such",
    ];
    let ends = [
        "does not exist",
        "doesn't exist",
        "do not exist",
        "was not found",
        "not found",
    ];
    text.starts(&starts) || text.ends(&ends) || text.names_no_record()
}

/// Why a record cannot be deleted. Such a request holds keys only.
fn is_in_use(text: &Masked) -> bool {
    let refers = [
        "used by",
        "in use",
        "is used",
        "being used",
        "referenced",
        "is referred to",
        "associated with",
    ];
    text.mentions(&refers)
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
mod tests;
