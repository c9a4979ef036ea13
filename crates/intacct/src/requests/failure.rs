//! Answers that are none: pages of a front end, bare statuses, broken documents.

use crate::error::classify::Retry;
use crate::error::{Error, ErrorKind};
use crate::retry::{Failed, Fate};
use crate::xml::scanner::ParseError;
use std::time::Duration;

/// Front ends answer in HTML when they cut a connection off.
pub(super) fn looks_like_html(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    let head = start.get(..14).unwrap_or(start).to_ascii_lowercase();
    head.starts_with(b"<!doctype html") || head.starts_with(b"<html")
}

/// A failure of HTTP without a document that explains it.
pub(super) fn http_failure(status: u16, retry_after: Option<Duration>) -> Failed {
    let (kind, retry) = match status {
        429 => (ErrorKind::RateLimited, Retry::Slower),
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

/// A body that is not a complete, well-formed response. One that ends early is worth another try.
pub(super) fn unreadable(error: ParseError) -> Failed {
    let (kind, retry, what) = match error {
        ParseError::Truncated(what) => (ErrorKind::Malformed, Retry::Transient, what),
        ParseError::Malformed(what) => (ErrorKind::Malformed, Retry::Never, what),
        ParseError::TooLarge(what) => (ErrorKind::TooLarge, Retry::Never, what),
    };
    Failed::new(
        Error::new(kind, format!("the response is not acceptable: {what}")),
        retry,
    )
}
