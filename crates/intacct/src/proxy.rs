//! The HTTP proxy between this machine and the gateway.
//!
//! It is asked for a tunnel (CONNECT) to the gateway's host, in which TLS is spoken with the gateway itself: it sees
//! neither credentials nor data. Plain HTTP, which is for a gateway on this machine, does not go through it.

use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
use reqwest::Url;
use reqwest::header::HeaderValue;
use std::fmt;
use std::net::IpAddr;

/// A proxy, and who asks it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    address: String,
    login: Option<(String, Secret)>,
}

impl Proxy {
    /// The proxy at `http://host:port` or `https://host:port`.
    ///
    /// # Errors
    /// Another kind of address, or one that holds credentials: addresses are shown.
    pub fn new(address: &str) -> Result<Proxy, Error> {
        // Without the address: it may hold what must not be shown.
        let refuse = |why: &str| {
            Error::new(
                ErrorKind::EndpointRefused,
                format!("the address of the proxy {why}"),
            )
        };
        let url = Url::parse(address).map_err(|error| refuse(&format!("cannot be read: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("must start with http:// or https://"));
        }
        // An @ after the host is in a path, where a login is not expected.
        if !url.username().is_empty() || url.password().is_some() || address.contains('@') {
            return Err(refuse("must not hold credentials"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse("names no host"));
        }
        if url.path().len() > 1 || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("must end after host and port"));
        }
        Ok(Proxy {
            address: url.as_str().trim_end_matches('/').to_owned(),
            login: None,
        })
    }

    /// The same with credentials (Basic).
    ///
    /// # Errors
    /// They would travel in the clear: only a proxy that is reached by TLS, or on this machine, gets them.
    pub fn with_login(
        mut self,
        user: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Result<Proxy, Error> {
        if !self.keeps_secrets() {
            return Err(Error::new(
                ErrorKind::EndpointRefused,
                "the proxy's password would travel unencrypted to another host",
            )
            .with_hint("Use a proxy that is reached by https://, or one that lets this machine pass without a password."));
        }
        self.login = Some((user.into(), password.into()));
        Ok(self)
    }

    /// Scheme, host and port; no credentials.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The password.
    pub(crate) fn password(&self) -> Option<&Secret> {
        self.login.as_ref().map(|(_, password)| password)
    }

    fn keeps_secrets(&self) -> bool {
        let Ok(url) = Url::parse(&self.address) else {
            return false;
        };
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        url.scheme() == "https"
            || host.eq_ignore_ascii_case("localhost")
            || literal
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// For the HTTP client.
    pub(crate) fn for_https(&self) -> Result<reqwest::Proxy, Error> {
        let internal = |why: String| Error::new(ErrorKind::Internal, format!("no proxy: {why}"));
        let mut proxy = reqwest::Proxy::https(&self.address).map_err(|error| internal(error.to_string()))?;
        if let Some((user, password)) = &self.login {
            use base64::Engine;
            let pair = zeroize::Zeroizing::new(format!("{user}:{}", password.expose()));
            let engine = base64::engine::general_purpose::STANDARD;
            let text = zeroize::Zeroizing::new(format!("Basic {}", engine.encode(pair.as_bytes())));
            let mut header = HeaderValue::from_str(&text).map_err(|error| internal(error.to_string()))?;
            header.set_sensitive(true);
            proxy = proxy.custom_http_auth(header);
        }
        Ok(proxy)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .field("user", &self.login.as_ref().map(|(user, _)| user))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port_and_nothing_else() {
        for address in [
            "http://proxy.example:3128",
            "https://proxy.example",
            "http://127.0.0.1:1/",
            "http://[::1]:8080",
        ] {
            assert!(Proxy::new(address).is_ok(), "{address}");
        }
        for address in [
            "proxy.example:3128",
            "socks5://proxy.example",
            "http://user:hunter2@proxy.example:3128",
            "http://hunter2@proxy.example",
            "http://user:@proxy.example",
            "http://proxy.example/user:hunter2@x",
            "http://proxy.example/?password=hunter2",
            "http://proxy.example/#hunter2",
            "http://:hunter2@/",
            "http://",
            "",
        ] {
            let error = Proxy::new(address).expect_err(address);
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_password_is_sent_only_where_it_cannot_be_overheard() {
        for (address, sent) in [
            ("https://proxy.example:3128", true),
            ("http://localhost:3128", true),
            ("http://127.0.0.7:3128", true),
            ("http://[::1]:3128", true),
            ("http://proxy.example:3128", false),
            ("http://10.0.0.1:3128", false),
            ("http://localhost.example:3128", false),
        ] {
            let proxy = Proxy::new(address).and_then(|proxy| proxy.with_login("user", "hunter2"));
            assert_eq!(proxy.is_ok(), sent, "{address}");
            assert!(!format!("{proxy:?}").contains("hunter2"), "{proxy:?}");
        }
    }
}
