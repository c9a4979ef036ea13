//! Which hosts may see credentials.
//!
//! A session comes with the address of the endpoint that serves it. The address is a claim of the gateway: it is
//! followed only to the host of the configured url itself, or by https to the same registrable domain (public suffix
//! list), so that no answer can lead credentials elsewhere.

use crate::error::{Error, ErrorKind};
use crate::mask::Mask;
use reqwest::Url;
use std::net::IpAddr;

/// Checks the configured url: https, or http to a loopback host.
pub(crate) fn configured(url: &str) -> Result<Url, Error> {
    let refuse = |why: &str| Error::new(ErrorKind::EndpointRefused, format!("the url {why}"));
    let url = Url::parse(url).map_err(|error| refuse(&format!("cannot be read: {error}")))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refuse("names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("must not hold credentials"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(refuse(
            "must start with https:// (http:// is for loopback hosts only)",
        )),
        other => Err(refuse(&format!("has the scheme {other}; it must be https"))),
    }
}

/// The endpoint that a session names, if it may be used by a client configured with `base`.
pub(crate) fn for_session(base: &Url, endpoint: &str, mask: &Mask) -> Result<Url, Error> {
    let refuse = |why: &str| {
        // Before it is cut, lest a part of a secret is left.
        let shown = mask.apply(endpoint.to_owned());
        let shown: String = shown.chars().filter(|c| !c.is_control()).take(200).collect();
        let message = format!("the gateway named the endpoint \"{shown}\", which is not used: {why}");
        Err(Error::new(ErrorKind::EndpointRefused, message))
    };
    let Ok(url) = Url::parse(endpoint) else {
        return refuse("it is not an address");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it holds credentials");
    }
    let same_host = host(&url).is_some() && host(&url) == host(base);
    match url.scheme() {
        "https" if same_host || same_domain(base, &url) => Ok(url),
        "http" if same_host && base.scheme() == "http" && is_loopback(base) => Ok(url),
        "http" => refuse("it is not https"),
        "https" => refuse("it is outside the domain of the configured url"),
        _ => refuse("it is not https"),
    }
}

/// Host name in lower case without the dot of the root.
fn host(url: &Url) -> Option<&str> {
    url.host_str()
        .map(|host| host.strip_suffix('.').unwrap_or(host))
        .filter(|host| !host.is_empty())
}

fn same_domain(base: &Url, url: &Url) -> bool {
    if base.domain().is_none() || url.domain().is_none() {
        return false;
    }
    let registrable = |url| host(url).and_then(psl::domain_str);
    registrable(base).is_some() && registrable(base) == registrable(url)
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = host(url) else { return false };
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || literal
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_url_must_keep_credentials_safe() {
        for url in [
            "https://api.intacct.com/x",
            "http://127.0.0.1:80/x",
            "http://localhost/x",
            "http://[::1]:8/",
        ] {
            assert!(configured(url).is_ok(), "{url}");
        }
        for url in [
            "http://api.intacct.com/",
            "ftp://x/",
            "https://u:p@x.com/",
            "nonsense",
            "http://10.0.0.1/",
        ] {
            assert!(configured(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_session_stays_in_the_domain() {
        let intacct = "https://api.intacct.com/ia/xml/xmlgw.phtml";
        for (base, endpoint, used) in [
            (intacct, "https://na12.intacct.com/ia/xml/xmlgw.phtml", true),
            (intacct, "https://www-p5.intacct.com./x", true),
            (intacct, "https://api.intacct.com:8443/x", true),
            (intacct, "http://na12.intacct.com/x", false),
            (intacct, "https://intacct.com.evil.example/x", false),
            (intacct, "https://evilintacct.com/x", false),
            (intacct, "https://u:p@na12.intacct.com/x", false),
            (intacct, "https://127.0.0.1/x", false),
            (intacct, "", false),
            ("https://gw.acme.co.uk/", "https://gw.evil.co.uk/", false),
            ("https://a.github.io/", "https://b.github.io/", false),
            ("https://10.1.2.3/", "https://9.1.2.3/", false),
            ("https://10.1.2.3/", "https://10.1.2.3/x", true),
            ("http://127.0.0.1:81/", "http://127.0.0.1:82/x", true),
            ("http://127.0.0.1:81/", "https://127.0.0.1:82/x", true),
            ("http://127.0.0.1:81/", "http://127.0.0.2:81/x", false),
            ("http://localhost:81/", "http://localhost:81/x", true),
            ("http://localhost:81/", "http://127.0.0.1:81/x", false),
            ("https://localhost:81/", "http://localhost:81/x", false),
        ] {
            let base = configured(base).expect("base");
            assert_eq!(
                for_session(&base, endpoint, &Mask::new([])).is_ok(),
                used,
                "{base} -> {endpoint}"
            );
        }
    }
}
