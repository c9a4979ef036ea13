//! The session of a client: opened once, shared, renewed before it ends.

use crate::error::Error;
use crate::secret::Secret;
use reqwest::Url;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A session is renewed when this much of its life is left, or a tenth of it if that is less.
const MARGIN: Duration = Duration::from_secs(60);

/// A session that the gateway granted.
pub(crate) struct Session {
    pub id: Secret,
    pub url: Url,
    pub entity: Option<String>,
    life: Mutex<Life>,
}

#[derive(Clone, Copy, Default)]
struct Life {
    /// On our clock; `None` while the gateway tells no end.
    renew_at: Option<Instant>,
    /// On the gateway's clock.
    expires: Option<jiff::Timestamp>,
}

impl Session {
    pub(crate) fn new(id: Secret, url: Url, entity: Option<String>) -> Self {
        Session {
            id,
            url,
            entity,
            life: Mutex::default(),
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every use moves the end. Both times are of the gateway's clock: only their distance counts here.
    pub(crate) fn used(&self, at: Option<jiff::Timestamp>, until: Option<jiff::Timestamp>) {
        let (Some(at), Some(until)) = (at, until) else {
            return;
        };
        let left = Duration::try_from(until - at).unwrap_or(Duration::ZERO);
        let margin = MARGIN.min(left / 10);
        *self.life() = Life {
            renew_at: Some(Instant::now() + (left - margin)),
            expires: Some(until),
        };
    }

    pub(crate) fn is_live(&self) -> bool {
        self.life().renew_at.is_none_or(|at| Instant::now() < at)
    }

    pub(crate) fn expires(&self) -> Option<jiff::Timestamp> {
        self.life().expires
    }
}

/// The one session of a client.
#[derive(Default)]
pub(crate) struct SessionSlot {
    current: Mutex<Option<Arc<Session>>>,
    /// Held while signing in.
    turn: tokio::sync::Mutex<()>,
    /// How many sign-ins ended in failure, and how the last one did.
    failures: Mutex<(u64, Option<Error>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SessionSlot {
    /// The session, if it is alive.
    pub(crate) fn live(&self) -> Option<Arc<Session>> {
        lock(&self.current).clone().filter(|session| session.is_live())
    }

    /// Lets go of this session; a newer one stays.
    pub(crate) fn drop_session(&self, session: &Arc<Session>) {
        let mut current = lock(&self.current);
        if current.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, session)) {
            *current = None;
        }
    }

    /// Lets go of the session, whichever it is.
    pub(crate) fn clear(&self) {
        *lock(&self.current) = None;
    }

    /// The live session, or the one that `sign_in` opens. Callers that come together share one sign-in, its failure
    /// included: a wrong password is tried once, not once per caller.
    pub(crate) async fn get_or<F>(&self, sign_in: F) -> Result<Arc<Session>, Error>
    where
        F: Future<Output = Result<Session, Error>>,
    {
        if let Some(session) = self.live() {
            return Ok(session);
        }
        let failures_before = lock(&self.failures).0;
        let _turn = self.turn.lock().await;
        if let Some(session) = self.live() {
            return Ok(session);
        }
        if let (count, Some(error)) = &*lock(&self.failures)
            && *count > failures_before
        {
            return Err(error.clone());
        }
        match sign_in.await {
            Ok(session) => {
                let session = Arc::new(session);
                *lock(&self.current) = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(error) => {
                let mut failures = lock(&self.failures);
                *failures = (failures.0 + 1, Some(error.clone()));
                Err(error)
            }
        }
    }
}
