//! One HTTP exchange: a document goes out, a whole body comes back.

use crate::config::Config;
use crate::connections::{self, chain};
use crate::error::classify::Retry;
use crate::error::{ConnectStage, Error, ErrorKind};
use crate::mask::Mask;
use crate::retry::Failed;
use flate2::write::MultiGzDecoder;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{StatusCode, Url};
use std::error::Error as StdError;
use std::io::{self, Write};
use std::time::Duration;

/// Bodies up to this size are allotted at once when their length is announced.
const MAX_RESERVE: u64 = 16 << 20;

/// A response that arrived whole.
pub(crate) struct Received {
    pub status: StatusCode,
    pub is_xml: bool,
    pub retry_after: Option<Duration>,
    /// Decompressed.
    pub body: Vec<u8>,
    pub wire_bytes: u64,
}

/// The HTTP client.
pub(crate) struct Transport {
    http: reqwest::Client,
    max_body: usize,
    /// The proxy between, for messages.
    proxy: Option<String>,
}

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let kind = connections::Kind {
            ca_pem: config.ca_pem.clone(),
            proxy: config.proxy.clone(),
            connect_timeout: config.connect_timeout,
        };
        let http = match &config.connections {
            Some(connections) => connections.client(kind)?,
            None => kind.client(config.max_concurrency)?,
        };
        Ok(Transport {
            http,
            max_body: config.caps.body_bytes,
            proxy: config.proxy.as_ref().map(|proxy| proxy.address().to_owned()),
        })
    }

    /// Sends a request document and waits for the end of the response. `mask` is for what is quoted of it in part.
    pub(crate) async fn post(&self, url: &Url, document: String, mask: &Mask) -> Result<Received, Failed> {
        let request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, "application/xml")
            .header(ACCEPT_ENCODING, "gzip")
            .body(document);
        let proxy = self.proxy.as_deref().filter(|_| url.scheme() == "https");
        let failure = |error| failure(error, proxy);
        let mut response = request.send().await.map_err(failure)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Failed::finally(redirected(response.headers(), mask)));
        }
        let headers = response.headers();
        let is_xml = text(headers, CONTENT_TYPE.as_str()).is_some_and(|value| value.contains("xml"));
        let retry_after = text(headers, RETRY_AFTER.as_str()).and_then(|value| retry_after(&value));
        let mut body = match text(headers, CONTENT_ENCODING.as_str()).as_deref() {
            None | Some("" | "identity") => {
                let announced = response.content_length().unwrap_or(0).min(MAX_RESERVE);
                Body::plain(self.max_body, usize::try_from(announced).unwrap_or(0))
            }
            Some("gzip" | "x-gzip") => Body::gzip(self.max_body),
            Some(other) => {
                let message = format!("the response is encoded as {other}, which was not asked for");
                return Err(Failed::finally(Error::new(ErrorKind::Malformed, message)));
            }
        };
        let mut wire_bytes = 0;
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            wire_bytes += chunk.len() as u64;
            body.push(&chunk)?;
        }
        Ok(Received {
            status,
            is_xml,
            retry_after,
            body: body.finish()?,
            wire_bytes,
        })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .map(|value| value.trim().to_ascii_lowercase())
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    (at - jiff::Timestamp::now()).try_into().ok()
}

fn redirected(headers: &HeaderMap, mask: &Mask) -> Error {
    let target = headers
        .get(LOCATION)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    // Before it is cut, lest a part of a secret is left.
    let target: String = mask
        .apply(String::from_utf8_lossy(target).into_owned())
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    let message = format!("the gateway redirects to \"{target}\": redirects are not followed");
    Error::new(ErrorKind::EndpointRefused, message)
}

/// What a failure of the HTTP client means; `proxy` is the one that the request went through.
fn failure(error: reqwest::Error, proxy: Option<&str>) -> Failed {
    let error = error.without_url();
    let why = chain(&error);
    let (kind, retry) = if error.is_builder() {
        (ErrorKind::Internal, Retry::Never)
    } else if is_exhausted(&error) {
        (ErrorKind::Resources, Retry::Never)
    } else if !error.is_connect() {
        (ErrorKind::ConnectionLost, Retry::Transient)
    } else if error.is_dns() {
        (ErrorKind::Connect(ConnectStage::Dns), Retry::Once)
    } else if is_tls(&error) {
        (ErrorKind::Connect(ConnectStage::Tls), Retry::Never)
    } else {
        (ErrorKind::Connect(ConnectStage::Tcp), Retry::Once)
    };
    let what = match (&kind, proxy) {
        // Behind a proxy, names are the proxy's affair, but for its own.
        (ErrorKind::Connect(ConnectStage::Dns), Some(proxy)) => {
            format!("the host name of proxy {proxy} cannot be resolved")
        }
        (ErrorKind::Connect(ConnectStage::Tcp), Some(proxy)) => {
            format!("no connection to the gateway through proxy {proxy}")
        }
        (ErrorKind::Connect(ConnectStage::Tls), Some(proxy)) => {
            format!("no trusted TLS connection to the gateway through proxy {proxy}")
        }
        (ErrorKind::Connect(ConnectStage::Dns), None) => {
            "the gateway's host name cannot be resolved".to_owned()
        }
        (ErrorKind::Connect(ConnectStage::Tls), None) => {
            "no trusted TLS connection to the gateway".to_owned()
        }
        (ErrorKind::Connect(ConnectStage::Tcp), None) => "no connection to the gateway".to_owned(),
        (ErrorKind::ConnectionLost, _) => "the connection to the gateway was lost".to_owned(),
        (ErrorKind::Resources, _) => {
            "this process has no resources left for a connection to the gateway".to_owned()
        }
        _ => "the request could not be sent".to_owned(),
    };
    let lost = kind == ErrorKind::ConnectionLost;
    let through_proxy =
        proxy.is_some() && matches!(kind, ErrorKind::Connect(ConnectStage::Dns | ConnectStage::Tcp));
    let mut error = Error::new(kind, format!("{what}: {why}"));
    if through_proxy {
        error = error.with_hint(
            "Check the server option proxy, the options proxy_user and proxy_password of the user mapping, and whether \
             the proxy lets this machine reach the host in the url.",
        );
    }
    let failed = Failed::new(error, retry);
    // Without a connection nothing was sent.
    if lost { failed } else { failed.not_run() }
}

/// Whether this process, or this machine, has no descriptor or memory left.
fn is_exhausted(error: &(dyn StdError + 'static)) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let io = error.downcast_ref::<io::Error>();
    io.and_then(io::Error::raw_os_error)
        .is_some_and(|code| matches!(code, ENOMEM | ENFILE | EMFILE))
        || io
            .and_then(io::Error::get_ref)
            .is_some_and(|wrapped| is_exhausted(wrapped))
        || error.source().is_some_and(is_exhausted)
}

/// Whether TLS is the cause.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    // An I/O error hides what it wraps from `source`.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|wrapped| is_tls(wrapped))
        || error.source().is_some_and(is_tls)
}

/// Collects a body, decompressing while it arrives, up to the cap.
enum Body {
    Plain(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

struct Capped {
    bytes: Vec<u8>,
    max: usize,
}

impl Write for Capped {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if part.len() > self.max - self.bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Body {
    fn plain(max: usize, reserve: usize) -> Self {
        Body::Plain(Capped {
            bytes: Vec::with_capacity(reserve),
            max,
        })
    }

    fn gzip(max: usize) -> Self {
        Body::Gzip(Box::new(MultiGzDecoder::new(Capped {
            bytes: Vec::new(),
            max,
        })))
    }

    fn push(&mut self, part: &[u8]) -> Result<(), Failed> {
        let written = match self {
            Body::Plain(sink) => sink.write_all(part),
            Body::Gzip(decoder) => decoder.write_all(part),
        };
        written.map_err(|error| self.broken(&error))
    }

    fn finish(self) -> Result<Vec<u8>, Failed> {
        match self {
            Body::Plain(sink) => Ok(sink.bytes),
            Body::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().bytes)),
                Err(error) => Err(Body::Gzip(decoder).broken(&error)),
            },
        }
    }

    fn broken(&self, error: &io::Error) -> Failed {
        if error.kind() == io::ErrorKind::FileTooLarge {
            let max = match self {
                Body::Plain(sink) => sink.max,
                Body::Gzip(decoder) => decoder.get_ref().max,
            };
            let message = format!("the response is larger than {max} bytes");
            return Failed::finally(Error::new(ErrorKind::TooLarge, message));
        }
        let message = format!("the response cannot be decompressed: {error}");
        Failed::new(Error::new(ErrorKind::Malformed, message), Retry::Transient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn gunzip(bytes: &[u8], max: usize) -> Result<Vec<u8>, ErrorKind> {
        let mut body = Body::gzip(max);
        for part in bytes.chunks(7) {
            body.push(part).map_err(|failed| failed.error.kind().clone())?;
        }
        body.finish().map_err(|failed| failed.error.kind().clone())
    }

    #[test]
    fn compressed_bodies_are_capped_and_complete() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b'x'; 1 << 20]).expect("in memory");
        let packed = encoder.finish().expect("in memory");
        assert_eq!(gunzip(&packed, 1 << 20).map(|body| body.len()), Ok(1 << 20));
        assert_eq!(gunzip(&packed, (1 << 20) - 1), Err(ErrorKind::TooLarge));
        for length in 1..packed.len() {
            assert_eq!(
                gunzip(&packed[..length], 1 << 20),
                Err(ErrorKind::Malformed),
                "{length}"
            );
        }
        assert_eq!(gunzip(b"not gzip at all", 1 << 20), Err(ErrorKind::Malformed));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("17"), Some(Duration::from_secs(17)));
        assert!(retry_after("fri, 31 dec 2100 23:59:59 gmt").is_some_and(|wait| wait.as_secs() > 1000));
        assert_eq!(retry_after("fri, 31 dec 1999 23:59:59 gmt"), None);
        assert_eq!(retry_after("soon"), None);
    }
}
