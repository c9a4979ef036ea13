//! The client: one company, one user, one session.

mod definitions;
mod metadata;
mod page;
mod remembered;
mod removed;
mod survey;

pub(crate) use remembered::KnownForm;
pub use remembered::OwnedRows;
pub use survey::{Readable, concerns_one_object};

use crate::config::{Config, DtdVersion};
use crate::error::{Error, ErrorKind};
use crate::formatting::{GatewayZone, UserFormatting};
use crate::requests::{Call, CallFunction, Requester};
use crate::response::{Answer, Extent};
use crate::retry::Backoff;
use crate::session::Session;
use crate::stats::RequestStats;
use crate::xml::tree::Element;
use remembered::{KnownObjects, KnownOwned, KnownTexts};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// What may be shown of a session; never its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Host that serves the session.
    pub endpoint_host: String,
    /// When it ends unless it is used; none where the gateway does not report it.
    pub expires: Option<jiff::Timestamp>,
    /// Company in whose name the gateway answered the sign-in; none where it names none.
    pub company: Option<String>,
    /// Entity signed in at; none is the top level.
    pub entity: Option<String>,
}

impl SessionInfo {
    fn of(session: &Session) -> Self {
        SessionInfo {
            endpoint_host: session.url.host_str().unwrap_or_default().to_owned(),
            expires: session.expires(),
            company: session.company.clone(),
            entity: session.entity.clone(),
        }
    }
}

/// A company seen by a user. Cheap to clone; clones share the session and the limits.
///
/// Made to be used on one current-thread runtime with time and I/O enabled. Every future can be dropped at any await.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    requester: Requester,
    formatting: Mutex<Option<UserFormatting>>,
    objects: KnownObjects,
    owned: KnownOwned,
    texts: KnownTexts,
}

impl Client {
    /// Checks the configuration; sends no request.
    ///
    /// # Errors
    /// [`ErrorKind::Option`](crate::ErrorKind::Option) for a URL, certificates or a proxy that cannot be used.
    pub fn new(config: Config) -> Result<Client, Error> {
        Client::with_backoff(config, Backoff::default())
    }

    /// As [`Client::new`], with other waits between the tries of a request.
    ///
    /// # Errors
    /// Those of [`Client::new`].
    pub fn with_backoff(config: Config, backoff: Backoff) -> Result<Client, Error> {
        let requester = Requester::new(config, backoff)?;
        Ok(Client {
            inner: Arc::new(Inner {
                requester,
                formatting: Mutex::new(None),
                objects: KnownObjects::default(),
                owned: KnownOwned::default(),
                texts: KnownTexts::default(),
            }),
        })
    }

    /// What the client was made from.
    pub fn config(&self) -> &Config {
        &self.inner.requester.config
    }

    /// Opens a session unless one is alive; concurrent callers share one login.
    ///
    /// # Errors
    /// What the gateway refuses, and what keeps its answer from arriving: see [`ErrorKind`](crate::ErrorKind).
    pub async fn sign_in(&self) -> Result<SessionInfo, Error> {
        Ok(SessionInfo::of(&*self.inner.requester.session().await?))
    }

    /// The live session, if any.
    pub fn session_info(&self) -> Option<SessionInfo> {
        self.inner
            .requester
            .session
            .live()
            .map(|session| SessionInfo::of(&session))
    }

    /// The earliest time that the gateway's clock can show now, by what its last answer in the live session showed. Sends
    /// no request.
    pub fn gateway_time(&self) -> Option<jiff::Timestamp> {
        let session = self.inner.requester.session.live()?;
        let (earliest, _) = session.clock()?.at(Instant::now());
        jiff::Timestamp::from_microsecond(earliest).ok()
    }

    /// The user's formatting preferences, when already asked.
    pub fn known_formatting(&self) -> Option<UserFormatting> {
        self.inner
            .formatting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The clock that timestamps without an offset are readings of, as far as it is known by now.
    pub fn zone(&self) -> GatewayZone {
        GatewayZone::new(self.config().time_zone.as_ref(), self.known_formatting().as_ref())
    }

    /// Lets go of the session and of what was learnt under it.
    pub async fn forget_session(&self) {
        self.inner.requester.session.clear();
        self.inner.objects.forget();
        self.inner.owned.forget();
        self.inner.texts.forget();
        *self
            .inner
            .formatting
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What this client did so far.
    pub fn stats(&self) -> RequestStats {
        self.inner.requester.counters.snapshot()
    }

    pub(crate) fn requester(&self) -> &Requester {
        &self.inner.requester
    }

    pub(crate) fn known_objects(&self) -> &KnownObjects {
        &self.inner.objects
    }

    pub(crate) fn known_owned(&self) -> &KnownOwned {
        &self.inner.owned
    }

    pub(crate) fn known_texts(&self) -> &KnownTexts {
        &self.inner.texts
    }

    pub(crate) fn place(&self, error: Error, object: Option<&str>, function: &str) -> Error {
        error.at(&self.config().company_id, object, function, "")
    }

    /// Calls one function of 3.0 whose answer is small.
    pub(super) async fn tree(
        &self,
        function: &str,
        object: Option<&str>,
        body: String,
    ) -> Result<Option<Answer>, Error> {
        self.tree_of(DtdVersion::V3_0, function, object, body).await
    }

    async fn tree_of(
        &self,
        dtd_version: DtdVersion,
        function: &str,
        object: Option<&str>,
        body: String,
    ) -> Result<Option<Answer>, Error> {
        let functions = vec![CallFunction {
            body,
            columns: None,
            page: None,
            extent: Extent::of_tree(function),
            calls: 1,
        }];
        let call = Call {
            function,
            object,
            dtd_version,
            functions,
        };
        Ok(self.inner.requester.call(&call).await?.into_iter().next())
    }

    /// The data that a function of 2.1 answers.
    pub(crate) async fn legacy_data(
        &self,
        function: &str,
        object: &str,
        body: String,
    ) -> Result<Element, Error> {
        match self
            .tree_of(DtdVersion::V2_1, function, Some(object), body)
            .await?
        {
            Some(Answer::Tree(data)) => Ok(data.unwrap_or_default()),
            _ => Err(self.place(
                Error::new(ErrorKind::Malformed, "the answer holds no data"),
                Some(object),
                function,
            )),
        }
    }

    pub(crate) async fn data(
        &self,
        function: &str,
        object: Option<&str>,
        body: String,
    ) -> Result<Element, Error> {
        match self.tree(function, object, body).await? {
            Some(Answer::Tree(Some(data))) => Ok(data),
            _ => Err(self.place(
                Error::new(ErrorKind::Malformed, "the answer holds no data"),
                object,
                function,
            )),
        }
    }
}
