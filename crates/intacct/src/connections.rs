//! HTTP connections that clients of several companies share: most companies are at the same host, and each connection that a
//! client keeps for its next request is a descriptor of the process.

use crate::error::{Error, ErrorKind};
use crate::proxy::Proxy;
use crate::tls;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Connections to one host that wait for their next request, of all clients together.
const MOST_IDLE: usize = 16;

/// How long they wait for it.
const IDLE: Duration = Duration::from_secs(60);

/// Kinds of connections that are remembered: with more, the oldest is forgotten, and lives on in its clients.
const MOST_KINDS: usize = 16;

/// Connections of all clients whose configuration has this value. They belong to the runtime in which the clients are used: it
/// must be one and the same.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<Vec<(Kind, reqwest::Client)>>>);

/// What a connection depends on, beside its host.
#[derive(PartialEq)]
pub(crate) struct Kind {
    pub ca_pem: Option<Vec<u8>>,
    pub proxy: Option<Proxy>,
    pub connect_timeout: Duration,
}

impl Connections {
    /// The HTTP client for connections of a kind.
    pub(crate) fn client(&self, kind: Kind) -> Result<reqwest::Client, Error> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = known.iter().find(|(other, _)| *other == kind) {
            return Ok(client.clone());
        }
        let client = kind.client(MOST_IDLE)?;
        if known.len() >= MOST_KINDS {
            known.remove(0);
        }
        known.push((kind, client.clone()));
        Ok(client)
    }
}

impl Kind {
    /// An HTTP client that keeps so many connections to a host for their next request.
    pub(crate) fn client(&self, most_idle: usize) -> Result<reqwest::Client, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(self.ca_pem.as_deref())?)
            .user_agent(concat!("sage_intacct_fdw/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(most_idle);
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.for_https()?);
        }
        builder.build().map_err(|error| {
            let message = format!("no HTTP client: {}", chain(&error));
            Error::new(ErrorKind::Internal, message)
        })
    }
}

/// The last cause: the texts above it repeat what `failure` says.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
