//! The session of a client: opened once, shared, renewed before it ends.

use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
use reqwest::Url;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A session is renewed when this much of its life is left, or a tenth of it if that is less.
const MARGIN: Duration = Duration::from_secs(60);

/// A session that the gateway granted.
pub(crate) struct Session {
    pub id: Secret,
    pub url: Url,
    /// The company in whose name the sign-in was answered, where the gateway names it.
    pub company: Option<String>,
    pub entity: Option<String>,
    life: Mutex<Life>,
    /// Its number where others use it too; 0: it is this process's own.
    number: AtomicU64,
}

#[derive(Clone, Copy, Default)]
struct Life {
    /// On our clock; `None` while the gateway reports no end.
    renew_at: Option<Instant>,
    /// On the gateway's clock.
    expires: Option<jiff::Timestamp>,
    clock: Option<GatewayClock>,
}

/// The gateway's clock, as an answer showed it: a whole second between the moments at which its request was sent and it
/// came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GatewayClock {
    shown: jiff::Timestamp,
    sent: Instant,
    came: Instant,
}

impl GatewayClock {
    /// The earliest and the latest time that the gateway's clock can have shown at a moment of ours, in microseconds
    /// since 1970.
    pub(crate) fn at(&self, moment: Instant) -> (i64, i64) {
        let distance = |from: Instant| {
            let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
            match moment.checked_duration_since(from) {
                Some(after) => micros(after),
                None => -micros(from.duration_since(moment)),
            }
        };
        let shown = self.shown.as_microsecond();
        let latest = shown
            .saturating_add(1_000_000)
            .saturating_add(distance(self.sent));
        (shown.saturating_add(distance(self.came)), latest)
    }
}

impl Session {
    pub(crate) fn new(id: Secret, url: Url, company: Option<String>, entity: Option<String>) -> Self {
        Session {
            id,
            url,
            company,
            entity,
            life: Mutex::default(),
            number: AtomicU64::new(0),
        }
    }

    /// One that another process has opened, to be used so long.
    pub(crate) fn shared(
        id: Secret,
        url: Url,
        (company, entity): (Option<String>, Option<String>),
        number: u64,
        life: Duration,
    ) -> Self {
        let session = Session::new(id, url, company, entity);
        session.life().renew_at = Instant::now().checked_add(life);
        session.number.store(number, SeqCst);
        session
    }

    /// Others use it too, under this number.
    pub(crate) fn set_number(&self, number: u64) {
        self.number.store(number, SeqCst);
    }

    /// Its number where others use it too.
    pub(crate) fn number(&self) -> Option<u64> {
        Some(self.number.load(SeqCst)).filter(|number| *number > 0)
    }

    /// How long it may be used from now; none while the gateway reports no end.
    pub(crate) fn life_left(&self) -> Option<Duration> {
        let at = self.life().renew_at?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every use moves the end. Both times are of the gateway's clock: only their distance counts here.
    /// `sent` is when the request went out.
    pub(crate) fn used(&self, at: Option<jiff::Timestamp>, until: Option<jiff::Timestamp>, sent: Instant) {
        let clock = at.map(|shown| GatewayClock {
            shown,
            sent,
            came: Instant::now(),
        });
        let (Some(at), Some(until)) = (at, until) else {
            self.life().clock = clock;
            return;
        };
        let left = Duration::try_from(until - at).unwrap_or(Duration::ZERO);
        let margin = MARGIN.min(left / 10);
        *self.life() = Life {
            renew_at: Some(Instant::now() + (left - margin)),
            expires: Some(until),
            clock,
        };
    }

    /// The gateway's clock, where its last answer showed it.
    pub(crate) fn clock(&self) -> Option<GatewayClock> {
        self.life().clock
    }

    pub(crate) fn is_live(&self) -> bool {
        self.life().renew_at.is_none_or(|at| Instant::now() < at)
    }

    pub(crate) fn expires(&self) -> Option<jiff::Timestamp> {
        self.life().expires
    }
}

/// Whether the gateway has refused the session itself, or everything that it stands for.
pub(crate) fn ends_session(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidSession
            | ErrorKind::SignInRefused
            | ErrorKind::SenderNotAuthorized
            | ErrorKind::CompanyUnavailable
    )
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
