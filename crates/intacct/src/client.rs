//! The client: one company, one user, one session.

use crate::config::Config;
use crate::dialect::{DialectKind, PageRequest};
use crate::error::{Error, ErrorKind};
use crate::formatting::UserFormatting;
use crate::query::Query;
use crate::schema::{ObjectDefinition, ObjectName};
use crate::stats::RequestStats;
use crate::xml::rows::Page;
use std::sync::Arc;

/// What may be told of a session; never its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Host that serves the session.
    pub endpoint_host: String,
    /// When it ends unless it is used, where the gateway tells.
    pub expires: Option<jiff::Timestamp>,
    /// Entity signed in at; none is the top level.
    pub entity: Option<String>,
}

/// A company seen by a user. Cheap to clone; clones share the session and the limits.
///
/// Made to be used on one current-thread runtime. Every future can be dropped at any await.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
}

fn not_built<T>() -> Result<T, Error> {
    Err(Error::new(ErrorKind::Internal, "not built yet"))
}

impl Client {
    /// Checks the configuration; contacts nobody.
    pub fn new(config: Config) -> Result<Client, Error> {
        Ok(Client {
            inner: Arc::new(Inner { config }),
        })
    }

    /// What the client was made from.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Opens a session unless one is alive; concurrent callers share one login.
    pub async fn sign_in(&self) -> Result<SessionInfo, Error> {
        not_built()
    }

    /// The live session, if any.
    pub fn session_info(&self) -> Option<SessionInfo> {
        None
    }

    /// The user's formatting preferences: asked once, then remembered.
    pub async fn formatting(&self) -> Result<UserFormatting, Error> {
        not_built()
    }

    /// The user's formatting preferences, when already asked.
    pub fn known_formatting(&self) -> Option<UserFormatting> {
        None
    }

    /// One page of the answer. With `need_formatting`, the preferences are asked in the same request when they are
    /// not known yet, and checked.
    pub async fn page(
        &self,
        _query: &Query,
        _kind: DialectKind,
        _page: &PageRequest,
        _need_formatting: bool,
    ) -> Result<Page, Error> {
        not_built()
    }

    /// Fields and relations of an object.
    pub async fn lookup(&self, _object: &str, _docparid: Option<&str>) -> Result<ObjectDefinition, Error> {
        not_built()
    }

    /// Every object type of the company.
    pub async fn inspect_all(&self) -> Result<Vec<ObjectName>, Error> {
        not_built()
    }

    /// Lets go of the session and of what was learnt under it.
    pub async fn forget_session(&self) {}

    /// What this client did so far.
    pub fn stats(&self) -> RequestStats {
        RequestStats::default()
    }
}
