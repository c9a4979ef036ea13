//! The gateway's front door: method, size, concurrency, scripted faults, compression, log.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, header};

use super::body::{Body, dripping, repeated, reply, truncated};
use super::gzip::{gzip, gzip_around};
use crate::company::Company;
use crate::envelope::Authentication;
use crate::error::Fault;
use crate::faults::{Action, Seen};
use crate::gateway::{Answer, Gateway, Parsed, object_of};
use crate::log::{CallEntry, Entry};

/// Largest request that is read.
const MAX_REQUEST: usize = 64 << 20;
const XML: &str = "application/xml; charset=UTF-8";

/// Serves one request at the gateway's address.
///
/// # Errors
/// The connection is closed without an answer.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    if request.method() != Method::POST {
        let mut response = reply(
            405,
            "text/html",
            "<html><body>405 Method Not Allowed</body></html>",
        );
        response
            .headers_mut()
            .insert(header::ALLOW, header::HeaderValue::from_static("POST"));
        return Ok(response);
    }
    let text = |name: header::HeaderName| {
        request
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_lowercase()
    };
    let compress = text(header::ACCEPT_ENCODING).contains("gzip");
    let content_type = text(header::CONTENT_TYPE);
    let is_xml = ["application/xml", "text/xml", "x-intacct-xml-request"]
        .iter()
        .any(|t| content_type.starts_with(t));
    let body = match Limited::new(request.into_body(), MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return Ok(reply(
                413,
                "text/html",
                "<html><body>413 Payload Too Large</body></html>",
            ));
        }
    };
    let started = Instant::now();
    let mut entry = Entry {
        time: crate::data::value::iso_time(unix_seconds()).replace(' ', "T") + "Z",
        request_bytes: body.len(),
        ..Entry::default()
    };
    if !is_xml || body.is_empty() {
        let answer = Answer::gateway(
            400,
            "GW-0011",
            "The request is not valid: an XML document is expected.",
        );
        return Ok(finish(&gateway, entry, answer, compress, started));
    }
    let parsed = gateway.parse(&body);
    describe(&mut entry, &parsed);
    let mut action = gateway.faults.next(&seen(&parsed));
    entry.fault = action.as_ref().map(Action::name);
    if matches!(action, Some(Action::ExpireSession)) {
        expire(&gateway, &parsed);
        action = None;
    }
    if let Some(Action::Late { ms }) = action {
        gateway.log.add(Entry {
            duration_ms: milliseconds(started),
            ..entry
        });
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            // The answer is lost.
            let _ = tokio::task::spawn_blocking(move || gateway.execute(&parsed, None)).await;
        });
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    if let Some(response) = before(&gateway, &action, &entry, started).await? {
        return Ok(response);
    }
    let settings = gateway.settings();
    let company = gateway.companies.get(&parsed.company).cloned();
    let queue = Duration::from_millis(settings.queue_ms);
    let Some(_turn) = Turn::take(company, settings.concurrency, queue).await else {
        let answer = Answer::gateway(
            429,
            "GW-0010",
            "Too many requests: the concurrency limit of the company is reached.",
        );
        let mut response = finish(&gateway, entry, answer, compress, started);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        return Ok(response);
    };
    if settings.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(settings.latency_ms)).await;
    }
    let forced = match &action {
        Some(Action::FunctionError {
            errorno,
            description2,
        }) => Some(Fault::new(errorno.as_str(), description2.as_str())),
        _ => None,
    };
    let worker = gateway.clone();
    let twice = matches!(action, Some(Action::Replayed));
    let execute = move || {
        if twice {
            worker.execute(&parsed, forced.as_ref());
        }
        worker.execute(&parsed, forced.as_ref())
    };
    let answer = tokio::task::spawn_blocking(execute)
        .await
        .map_err(io::Error::other)?;
    if let Some(Action::Delay { ms }) = action {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    after(&gateway, action, entry, answer, compress, started)
}

/// Faults that strike instead of execution.
async fn before(
    gateway: &Gateway,
    action: &Option<Action>,
    entry: &Entry,
    started: Instant,
) -> io::Result<Option<Response<Body>>> {
    let closed = |entry: Entry| {
        gateway.log.add(Entry {
            duration_ms: milliseconds(started),
            ..entry
        });
        Err(io::ErrorKind::ConnectionReset.into())
    };
    let said = |status: u16, content_type: &str, body: Bytes| {
        let entry = Entry {
            status,
            bytes: body.len(),
            duration_ms: milliseconds(started),
            ..entry.clone()
        };
        gateway.log.add(entry);
        reply(status, content_type, body)
    };
    Ok(Some(match action {
        Some(Action::Stall { ms }) => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            return closed(entry.clone());
        }
        Some(Action::Reset) => return closed(entry.clone()),
        Some(Action::Status {
            code,
            body,
            content_type,
            retry_after,
        }) => {
            let kind = content_type.as_deref().unwrap_or("text/html");
            let mut response = said(*code, kind, body.clone().into());
            if let Some(seconds) = retry_after {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, (*seconds).into());
            }
            response
        }
        Some(Action::Body { text, content_type }) => {
            said(200, content_type.as_deref().unwrap_or(XML), text.clone().into())
        }
        Some(Action::RateLimitIn200) => {
            let body = crate::respond::gateway_failure("GW-0010", "API rate limit exceeded");
            said(200, XML, body.into())
        }
        Some(Action::Garbage) => {
            let mut bytes = vec![0u8; 4096];
            let _ = getrandom::fill(&mut bytes);
            said(200, XML, bytes.into())
        }
        Some(Action::EntityBomb) => said(200, XML, entity_bomb().into()),
        Some(Action::DeepNesting) => {
            let deep = 200_000;
            let body = format!(
                "<response>{}{}</response>",
                "<a>".repeat(deep),
                "</a>".repeat(deep)
            );
            said(200, XML, body.into())
        }
        Some(Action::Oversized { mb }) => {
            let mut response = said(200, XML, Bytes::new());
            let start = "<response><control><status>success</status></control><operation><authentication><status>success</status></authentication><result><status>success</status><function>query</function><controlid>x</controlid><data listtype=\"X\" totalcount=\"1\" offset=\"0\" count=\"1\" numremaining=\"0\"><X><NAME>";
            let filler = Bytes::from(vec![b'x'; 1 << 20]);
            let end = "</NAME></X></data></result></operation></response>";
            *response.body_mut() = repeated(start.into(), filler, *mb, end.into());
            response
        }
        _ => return Ok(None),
    }))
}

/// Faults that strike after execution, and the ordinary answer.
fn after(
    gateway: &Gateway,
    action: Option<Action>,
    entry: Entry,
    answer: Answer,
    compress: bool,
    started: Instant,
) -> io::Result<Response<Body>> {
    match action {
        Some(Action::ResetAfterExecution) => {
            let entry = Entry {
                calls: answer.calls,
                error: answer.error,
                ..entry
            };
            gateway.log.add(Entry {
                duration_ms: milliseconds(started),
                ..entry
            });
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(Action::Empty) => Ok(finish(
            gateway,
            entry,
            Answer {
                body: Vec::new(),
                rows: None,
                ..answer
            },
            false,
            started,
        )),
        Some(Action::Html524) => {
            let page = "<!DOCTYPE html><html><head><title>524: A timeout occurred</title></head><body><div id=\"cf-wrapper\"><div id=\"cf-error-details\">The origin web server timed out responding to this request.</div></div></body></html>";
            let answer = Answer {
                status: 524,
                content_type: "text/html; charset=UTF-8",
                body: page.into(),
                rows: None,
                ..answer
            };
            Ok(finish(gateway, entry, answer, false, started))
        }
        Some(Action::StatusAfterExecution {
            code,
            body,
            content_type,
        }) => {
            let answer = Answer {
                status: code,
                content_type: match content_type {
                    Some(kind) if kind.contains("xml") => XML,
                    _ => "text/html",
                },
                body: body.into(),
                rows: None,
                ..answer
            };
            Ok(finish(gateway, entry, answer, false, started))
        }
        Some(Action::Lagging) => {
            let answer = Answer {
                body: without_rows(answer.body),
                rows: None,
                ..answer
            };
            Ok(finish(gateway, entry, answer, compress, started))
        }
        Some(Action::Truncate { bytes }) => {
            let (response, body) = prepare(gateway, entry, answer, compress, started);
            let mut response = response;
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, body.len().into());
            *response.body_mut() = truncated(&body, bytes);
            Ok(response)
        }
        Some(Action::Dripfeed { bytes_per_sec }) => {
            let (mut response, body) = prepare(gateway, entry, answer, compress, started);
            *response.body_mut() = dripping(body, bytes_per_sec);
            Ok(response)
        }
        _ => Ok(finish(gateway, entry, answer, compress, started)),
    }
}

/// An answer to a query as if it had found nothing.
fn without_rows(body: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&body);
    let (Some(from), Some(to)) = (text.find("<data listtype=\""), text.find("</data>")) else {
        return body;
    };
    let object = text[from..].split('"').nth(1).unwrap_or_default();
    let none = format!(
        "<data listtype=\"{object}\" totalcount=\"0\" offset=\"0\" count=\"0\" numremaining=\"0\"></data>"
    );
    [&text[..from], &none, &text[to + "</data>".len()..]]
        .concat()
        .into_bytes()
}

/// Compresses, logs, and makes the response.
fn finish(
    gateway: &Gateway,
    entry: Entry,
    answer: Answer,
    compress: bool,
    started: Instant,
) -> Response<Body> {
    let (mut response, body) = prepare(gateway, entry, answer, compress, started);
    *response.body_mut() = super::body::full(body);
    response
}

fn prepare(
    gateway: &Gateway,
    mut entry: Entry,
    answer: Answer,
    compress: bool,
    started: Instant,
) -> (Response<Body>, Bytes) {
    let compress = compress && answer.body.len() > 512;
    let body = Bytes::from(match &answer.rows {
        _ if !compress => answer.body,
        None => gzip(&answer.body),
        Some((at, rows)) => {
            let (before, after) = (&answer.body[..*at], &answer.body[at + rows.body.len()..]);
            gzip_around(before, rows.deflated(), after)
        }
    });
    let mut response = reply(answer.status, answer.content_type, Bytes::new());
    if compress {
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    if !answer.calls.is_empty() {
        entry.calls = answer.calls;
    }
    entry.rows = entry.calls.iter().map(|c| c.rows).sum();
    entry.error = answer.error;
    entry.status = answer.status;
    entry.bytes = body.len();
    entry.duration_ms = milliseconds(started);
    gateway.log.add(entry);
    (response, body)
}

/// A place among the requests in process; given back when dropped.
struct Turn(Option<Arc<Company>>);

impl Turn {
    /// Waits for a place, at most `queue`; `None` when there is none.
    async fn take(company: Option<Arc<Company>>, limit: usize, queue: Duration) -> Option<Self> {
        let Some(company) = company.filter(|_| limit > 0) else {
            return Some(Self(None));
        };
        let deadline = tokio::time::Instant::now() + queue;
        loop {
            let freed = company.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut running = company.running.lock().unwrap_or_else(PoisonError::into_inner);
                if *running < limit {
                    *running += 1;
                    return Some(Self(Some(company.clone())));
                }
            }
            tokio::time::timeout_at(deadline, freed).await.ok()?;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(company) = &self.0 {
            *company.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
            company.freed.notify_one();
        }
    }
}

/// Fills in what is known before execution.
fn describe(entry: &mut Entry, parsed: &Parsed) {
    entry.company.clone_from(&parsed.company);
    entry.user.clone_from(&parsed.user);
    entry.location.clone_from(&parsed.location);
    let Ok(request) = &parsed.request else { return };
    entry.auth = match request.operations.first().map(|o| &o.authentication) {
        Some(Authentication::Login { .. }) => "login".into(),
        Some(Authentication::Session(_)) => "session".into(),
        _ => String::new(),
    };
    entry.uniqueid = request.control.unique_id;
    for call in request.calls() {
        let mut xml = String::new();
        call.node.write(&mut xml);
        let number = |name| call.node.child_text(name).and_then(|t: &str| t.parse().ok());
        entry.functions.push(call.node.name.clone());
        entry.controlids.push(call.control_id.clone());
        entry.pagesize = entry.pagesize.or(number("pagesize"));
        entry.offset = entry.offset.or(number("offset"));
        let object = object_of(&call.node);
        if entry.object.is_empty() {
            entry.object.clone_from(&object);
        }
        if entry.query.is_empty() {
            entry.query.clone_from(&xml);
        }
        entry.calls.push(CallEntry {
            function: call.node.name.clone(),
            object,
            controlid: call.control_id.clone(),
            xml,
            pagesize: number("pagesize"),
            offset: number("offset"),
            ..CallEntry::default()
        });
    }
}

fn seen(parsed: &Parsed) -> Seen<'_> {
    let calls = parsed
        .request
        .as_ref()
        .map(|r| r.calls().collect::<Vec<_>>())
        .unwrap_or_default();
    let calls = calls
        .into_iter()
        .map(|c| {
            let object = match c.node.name.as_str() {
                "create" | "update" => c.node.children.first().map_or("", |n| n.name.as_str()),
                _ => c.node.child_text("object").unwrap_or_default(),
            };
            (c.node.name.as_str(), object)
        })
        .collect();
    Seen {
        company: &parsed.company,
        user: &parsed.user,
        calls,
    }
}

fn expire(gateway: &Gateway, parsed: &Parsed) {
    let Ok(request) = &parsed.request else { return };
    for operation in &request.operations {
        if let Authentication::Session(id) = &operation.authentication {
            gateway.sessions.close(id);
        }
    }
}

fn entity_bomb() -> String {
    let mut dtd = String::from("<?xml version=\"1.0\"?><!DOCTYPE response [<!ENTITY a0 \"lol\">");
    for i in 1..10 {
        dtd.push_str(&format!(
            "<!ENTITY a{i} \"{}\">",
            format!("&a{};", i - 1).repeat(10)
        ));
    }
    dtd.push_str("]><response><control><status>&a9;</status></control></response>");
    dtd
}

fn milliseconds(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64)
}
