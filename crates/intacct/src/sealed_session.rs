//! A session that several processes use: one signs in, the others take what it left for them.
//!
//! What it leaves is sealed: encrypted under a key that is made of all credentials and of everything else that decides
//! where and as whom requests are sent. Who would sign in with other credentials, or under altered options, cannot open
//! it and signs in anew; nor can it be read where it is kept.

use crate::config::Config;
use crate::secret::Secret;
use crate::session::Session;
use crate::share::SessionShare;
use reqwest::Url;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a session may be used for which the gateway reports no end.
const ENDLESS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Inside<'a> {
    // Borrowed from memory that is wiped: an id holds nothing that JSON would escape.
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    company: Option<String>,
    entity: Option<String>,
    /// What the gateway's clock was ahead at the sign-in, in milliseconds.
    clock: Option<i64>,
}

/// A session that was opened, and what the gateway's clock was ahead at its sign-in.
pub(crate) type Opened = (Session, Option<i64>);

/// The session that was left, if it can be opened.
pub(crate) fn take(share: &dyn SessionShare, config: &Config) -> Option<Opened> {
    let sealed = share.load()?;
    let (nonce, rest) = sealed.bytes.split_first_chunk::<NONCE_LEN>()?;
    let mut rest = Zeroizing::new(rest.to_vec());
    let place = share.place();
    let text = key(config)?
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(place.as_bytes()),
            &mut rest,
        )
        .ok()?;
    let inside: Inside<'_> = serde_json::from_slice(text).ok()?;
    let of = (inside.company, inside.entity);
    let session = Session::shared(
        Secret::new(&*inside.id),
        Url::parse(&inside.url).ok()?,
        of,
        sealed.number,
        sealed.life,
    );
    Some((session, inside.clock))
}

/// Leaves a session for others.
pub(crate) fn leave(
    share: &dyn SessionShare,
    config: &Config,
    session: &Session,
    clock: Option<i64>,
) -> Option<u64> {
    let inside = Inside {
        id: session.id.expose().into(),
        url: session.url.as_str().into(),
        company: session.company.clone(),
        entity: session.entity.clone(),
        clock,
    };
    let mut text = Zeroizing::new(serde_json::to_vec(&inside).ok()?);
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    let place = share.place();
    let tag = key(config)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place.as_bytes()),
            &mut text,
        )
        .ok()?;
    let sealed = [&nonce[..], &text, tag.as_ref()].concat();
    share.leave(&sealed, session.life_left().unwrap_or(ENDLESS))
}

/// The key of a configuration: equal for those that lead to the same company as the same user in the same way.
fn key(config: &Config) -> Option<LessSafeKey> {
    let mut context = Context::new(&SHA256);
    let mut add = |part: Option<&[u8]>| {
        // Lengths keep the parts apart.
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        context.update(&length.to_le_bytes());
        context.update(part.unwrap_or_default());
    };
    let text = |text: &Option<String>| text.as_ref().map(String::as_bytes).map(<[u8]>::to_vec);
    add(Some(b"sage_intacct session 1"));
    for part in [
        &config.url,
        &config.company_id,
        &config.user_id,
        config.password.expose(),
        &config.sender_id,
        config.sender_password.expose(),
    ] {
        add(Some(part.as_bytes()));
    }
    for part in [&config.location_id, &config.client_id] {
        add(text(part).as_deref());
    }
    add(config.ca_pem.as_deref());
    let proxy = config.proxy.as_ref();
    let address = proxy.map(|proxy| format!("{proxy:?}"));
    add(address.as_deref().map(str::as_bytes));
    let password = proxy.and_then(crate::proxy::Proxy::password);
    add(password.map(|password| password.expose().as_bytes()));
    let hash = context.finish();
    UnboundKey::new(&CHACHA20_POLY1305, hash.as_ref())
        .ok()
        .map(LessSafeKey::new)
}

/// The right to sign in, given back when dropped.
pub(crate) struct Claim<'a>(&'a dyn SessionShare);

impl<'a> Claim<'a> {
    pub(crate) fn of(share: &'a dyn SessionShare) -> Option<Claim<'a>> {
        share.claim().then_some(Claim(share))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(test)]
#[path = "sealed_session/tests.rs"]
mod tests;
