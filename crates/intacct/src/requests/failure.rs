//! Answers that are none: pages of a front end, bare statuses, broken documents.

use crate::error::classify::{Retry, refusal};
use crate::error::{Error, ErrorKind, Level};
use crate::response::Answer;
use crate::retry::{Failed, Fate};
use crate::xml::parse_error::ParseError;
use std::time::Duration;

/// How far into a body its kind is looked for.
const HEAD_BYTES: usize = 1024;

fn head(body: &[u8]) -> Vec<u8> {
    let start = body
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(body)
        .trim_ascii_start();
    start[..start.len().min(HEAD_BYTES)].to_ascii_lowercase()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Front ends answer in HTML when they cut a connection off or turn a request away, whatever they call it.
pub(super) fn looks_like_html(body: &[u8]) -> bool {
    let head = head(body);
    let page = find(&head, b"<html").or_else(|| find(&head, b"<!doctype html"));
    page.is_some_and(|at| find(&head[..at], b"<response").is_none())
}

/// Whether a body is a document of the gateway, whatever its content type is called.
pub(super) fn looks_like_response(body: &[u8]) -> bool {
    let head = head(body);
    (head.starts_with(b"<?xml") || head.starts_with(b"<response")) && !looks_like_html(body)
}

/// A page of a front end, where an answer of the gateway should be. It mostly passes, and does not show how far the
/// request came.
pub(super) fn web_page(status: u16, retry_after: Option<Duration>) -> Failed {
    // Pages that say what is wrong with the request or the address.
    if (400..500).contains(&status) && !matches!(status, 403 | 408) {
        return http_failure(status, retry_after);
    }
    let message = match status {
        200 => "the gateway's front end answered with a web page".to_owned(),
        status => format!("the gateway's front end answered with a web page, HTTP status {status}"),
    };
    let hint = match status {
        403 => {
            "Something in front of the gateway turns requests of this machine away: try again later; if it goes on, check \
             whether a proxy, a firewall or a list of allowed addresses is in the way."
        }
        _ => {
            "The front end could not reach the gateway or gave up waiting: try again later, or ask for fewer rows or \
             fewer columns at once."
        }
    };
    Failed {
        error: Error::new(ErrorKind::GatewayTimeout, message).with_hint(hint),
        retry: Retry::Transient,
        retry_after,
        fate: Fate::Unknown,
    }
}

/// A failure of HTTP without a document that explains it.
pub(super) fn http_failure(status: u16, retry_after: Option<Duration>) -> Failed {
    let (kind, retry) = match status {
        429 => (ErrorKind::RateLimited, Retry::Slower),
        401 => (ErrorKind::SignInRefused, Retry::Never),
        // The gateway explains its own refusals: this one comes from something before it.
        403 => return web_page(status, retry_after),
        408 | 500.. => (ErrorKind::GatewayTimeout, Retry::Transient),
        404 | 405 => (ErrorKind::Malformed, Retry::Never),
        _ => (ErrorKind::Refused, Retry::Never),
    };
    let message = format!("the gateway answered with HTTP status {status}");
    let fate = match status {
        // The limit of requests is looked at before one is taken in.
        429 => Fate::NotRun,
        // A front end puts its page in the place of an answer as well.
        _ => Fate::Unknown,
    };
    Failed {
        error: Error::new(kind, message),
        retry,
        retry_after,
        fate,
    }
}

/// The status outweighs texts that say nothing of passing trouble.
pub(super) fn by_status(status: u16, mut failed: Failed) -> Failed {
    let kind = match status {
        401 if *failed.error.kind() == ErrorKind::Refused => {
            failed.error = failed.error.with_kind(ErrorKind::SignInRefused);
            return failed;
        }
        429 => ErrorKind::RateLimited,
        500.. => ErrorKind::GatewayTimeout,
        _ => return failed,
    };
    if failed.retry == Retry::Never {
        failed.retry = if status == 429 {
            Retry::Slower
        } else {
            Retry::Transient
        };
        failed.error = failed.error.with_kind(kind);
    }
    failed
}

/// Trouble of one of several functions that read, and that passes: the request is one round trip, so all of them are
/// asked again.
pub(super) fn passing(function: &str, answers: &[Answer]) -> Option<Failed> {
    answers.iter().find_map(|answer| {
        let (Answer::Failure(errors) | Answer::Partial(errors)) = answer else {
            return None;
        };
        let (error, retry) = refusal(Level::Function, function, errors.clone());
        matches!(retry, Retry::Transient | Retry::Slower | Retry::SignIn).then(|| Failed::new(error, retry))
    })
}

/// A body that is not a complete, well-formed response. One that ends early is worth another try.
pub(super) fn unreadable(error: ParseError) -> Failed {
    let (kind, retry, what) = match error {
        ParseError::Truncated(what) => (ErrorKind::Malformed, Retry::Transient, what),
        ParseError::Malformed(what) | ParseError::Foreign(what) => (ErrorKind::Malformed, Retry::Never, what),
        ParseError::TooLarge(what) => (ErrorKind::TooLarge, Retry::Never, what),
    };
    Failed::new(
        Error::new(kind, format!("the response is not acceptable: {what}")),
        retry,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_documents_are_distinguished() {
        for page in [
            "<!DOCTYPE html><html>",
            "\u{feff}\n<!-- front --><HTML lang=\"en\">",
            "<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"x\"><html xmlns=\"y\">",
            "<head></head><html>",
        ] {
            assert!(looks_like_html(page.as_bytes()), "{page}");
            assert!(!looks_like_response(page.as_bytes()), "{page}");
        }
        for document in [
            "<?xml version=\"1.0\"?><response><control/>",
            " <response><data><NOTE><![CDATA[<html>]]></NOTE></data></response>",
        ] {
            assert!(!looks_like_html(document.as_bytes()), "{document}");
            assert!(looks_like_response(document.as_bytes()), "{document}");
        }
        assert!(!looks_like_response(b"busy") && !looks_like_html(b"busy"));
    }

    #[test]
    fn a_page_of_a_front_end_passes() {
        for status in [200, 403, 502, 520, 522, 524, 530, 534] {
            let failed = web_page(status, None);
            assert_eq!(*failed.error.kind(), ErrorKind::GatewayTimeout, "{status}");
            assert_eq!(
                (failed.retry, failed.fate),
                (Retry::Transient, Fate::Unknown),
                "{status}"
            );
            assert!(failed.error.hint().contains("try again later"), "{status}");
        }
        assert_eq!(*web_page(404, None).error.kind(), ErrorKind::Malformed);
        assert_eq!(*web_page(429, None).error.kind(), ErrorKind::RateLimited);
        assert_eq!(*http_failure(401, None).error.kind(), ErrorKind::SignInRefused);
        assert_eq!(*http_failure(403, None).error.kind(), ErrorKind::GatewayTimeout);
    }
}
