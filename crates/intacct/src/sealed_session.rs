//! A session that several processes use: one signs in, the others take what it left for them.
//!
//! What it leaves is sealed: encrypted under a key that is made of all credentials and of everything else that decides
//! where and as whom requests are sent. Who would sign in with other credentials, or under altered options, cannot open
//! it and signs in anew; nor can it be read where it is kept. The user's formatting preferences lie beside it, for a few
//! minutes, sealed in the same way.

use crate::config::Config;
use crate::formatting::UserFormatting;
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

/// How long preferences are taken from others, which the user may change meanwhile.
const FORMATTING_LIFE: Duration = Duration::from_secs(300);

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
    let text = open(config, &share.place(), &sealed.bytes)?;
    let inside: Inside<'_> = serde_json::from_slice(&text).ok()?;
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
    let text = Zeroizing::new(serde_json::to_vec(&inside).ok()?);
    let sealed = seal(config, &share.place(), text)?;
    share.leave(&sealed, session.life_left().unwrap_or(ENDLESS))
}

/// The user's preferences that were left beside the session of this number, if they can be opened.
pub(crate) fn take_formatting(
    share: &dyn SessionShare,
    config: &Config,
    number: u64,
) -> Option<UserFormatting> {
    let text = open(config, &place_beside(share, number), &share.beside(number)?)?;
    serde_json::from_slice(&text).ok()
}

/// Leaves the user's preferences beside the session of this number.
pub(crate) fn leave_formatting(
    share: &dyn SessionShare,
    config: &Config,
    number: u64,
    formatting: &UserFormatting,
) {
    let text = serde_json::to_vec(formatting).ok().map(Zeroizing::new);
    if let Some(sealed) = text.and_then(|text| seal(config, &place_beside(share, number), text)) {
        share.leave_beside(number, &sealed, FORMATTING_LIFE);
    }
}

/// What preferences are sealed for: those of one session cannot be opened as those of another, nor as a session.
fn place_beside(share: &dyn SessionShare, number: u64) -> String {
    format!("{} formatting {number}", share.place())
}

/// Encrypts a text for a place.
fn seal(config: &Config, place: &str, mut text: Zeroizing<Vec<u8>>) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    let tag = key(config)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place.as_bytes()),
            &mut text,
        )
        .ok()?;
    Some([&nonce[..], &text, tag.as_ref()].concat())
}

/// The text that was sealed for a place, under the same configuration.
fn open(config: &Config, place: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut rest = Zeroizing::new(rest.to_vec());
    let length = key(config)?
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(place.as_bytes()),
            &mut rest,
        )
        .ok()?
        .len();
    rest.truncate(length);
    Some(rest)
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
