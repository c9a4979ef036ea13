//! What a client needs to know of a gateway and of its user.

use crate::calls::CallLimit;
use crate::connections::Connections;
use crate::limiter::SharedLimiter;
use crate::observer::Observer;
use crate::proxy::Proxy;
use crate::secret::Secret;
use crate::share::SessionShare;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Version of the request schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DtdVersion {
    /// `2.1`: the legacy functions only.
    V2_1,
    /// `3.0`: generic and legacy functions.
    V3_0,
}

impl DtdVersion {
    /// As the control block names it.
    pub fn as_str(self) -> &'static str {
        match self {
            DtdVersion::V2_1 => "2.1",
            DtdVersion::V3_0 => "3.0",
        }
    }
}

/// Bounds on what a response may make us do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of a response after decompression. What is read from it may take as much once more.
    pub body_bytes: usize,
    /// Bytes of memory that the elements of an answer may take that holds neither rows nor records: definitions,
    /// sessions, what a write came to.
    pub tree_bytes: usize,
    /// Nesting of elements.
    pub depth: usize,
    /// Bytes of an element's name.
    pub name_bytes: usize,
    /// Child elements of one row.
    pub fields: usize,
    /// Attributes of one element.
    pub attributes: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Caps {
            body_bytes: 256 << 20,
            tree_bytes: 64 << 20,
            depth: 64,
            name_bytes: 256,
            fields: 4096,
            attributes: 64,
        }
    }
}

/// Everything about one gateway, one company and one user.
#[derive(Clone)]
pub struct Config {
    /// First endpoint; sessions may move to another host under the rule of the endpoint module.
    pub url: String,
    /// Company to sign in at.
    pub company_id: String,
    /// Web-services user.
    pub user_id: String,
    /// Password of the user.
    pub password: Secret,
    /// Web-services sender.
    pub sender_id: String,
    /// Password of the sender.
    pub sender_password: Secret,
    /// Entity to sign in at; none is the top level.
    pub location_id: Option<String>,
    /// Client company, for consoles.
    pub client_id: Option<String>,
    /// Schema of the requests that read rows.
    pub dtd_version: DtdVersion,
    /// Bound on one logical request that reads, its retries included.
    pub request_timeout: Duration,
    /// The same for one that writes. The gateway's own bound is 15 minutes: giving up earlier creates doubt.
    pub write_timeout: Duration,
    /// Bound on name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Repetitions of a failed read.
    pub max_retries: u32,
    /// Requests in flight at once.
    pub max_concurrency: usize,
    /// Zone of the gateway's timestamps; none takes the offset that `readUserFormatting` reports.
    pub time_zone: Option<jiff::tz::TimeZone>,
    /// Certificates (PEM) trusted beside the public roots.
    pub ca_pem: Option<Vec<u8>>,
    /// The HTTP proxy through which https is spoken; none connects directly.
    pub proxy: Option<Proxy>,
    /// Bounds on responses.
    pub caps: Caps,
    /// Observer of each request.
    pub observer: Option<Arc<dyn Observer>>,
    /// A limiter that other processes share, beside `max_concurrency`, which bounds this client.
    pub limiter: Option<Arc<dyn SharedLimiter>>,
    /// Who counts calls and bounds them.
    pub calls: Option<Arc<dyn CallLimit>>,
    /// Where a session is kept that others use too.
    pub share: Option<Arc<dyn SessionShare>>,
    /// The user's preferences are asked for even where another process has, with whom the session is shared.
    pub asks_formatting: bool,
    /// Connections that clients of other companies use too; none keeps them to this client.
    pub connections: Option<Connections>,
}

impl Config {
    /// The vendor's public endpoint.
    pub const PUBLIC_URL: &'static str = "https://api.intacct.com/ia/xml/xmlgw.phtml";

    /// The public endpoint with the documented defaults and the five credentials that are always needed.
    pub fn new(
        company_id: impl Into<String>,
        user_id: impl Into<String>,
        password: impl Into<Secret>,
        sender_id: impl Into<String>,
        sender_password: impl Into<Secret>,
    ) -> Self {
        Config {
            url: Self::PUBLIC_URL.to_owned(),
            company_id: company_id.into(),
            user_id: user_id.into(),
            password: password.into(),
            sender_id: sender_id.into(),
            sender_password: sender_password.into(),
            location_id: None,
            client_id: None,
            dtd_version: DtdVersion::V3_0,
            request_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(900),
            connect_timeout: Duration::from_secs(10),
            max_retries: 5,
            max_concurrency: 2,
            time_zone: None,
            ca_pem: None,
            proxy: None,
            caps: Caps::default(),
            observer: None,
            limiter: None,
            calls: None,
            share: None,
            asks_formatting: false,
            connections: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.url)
            .field("company_id", &self.company_id)
            .field("user_id", &self.user_id)
            .field("sender_id", &self.sender_id)
            .field("location_id", &self.location_id)
            .field("client_id", &self.client_id)
            .field("dtd_version", &self.dtd_version)
            .field("request_timeout", &self.request_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("max_retries", &self.max_retries)
            .field("max_concurrency", &self.max_concurrency)
            .field("time_zone", &self.time_zone)
            .field("proxy", &self.proxy)
            .field("caps", &self.caps)
            .finish_non_exhaustive()
    }
}
