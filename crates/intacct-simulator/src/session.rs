//! Sessions: bearer secrets with a sliding timeout.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Who a session belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Company id.
    pub company: String,
    /// Login id.
    pub user: String,
    /// Entity; `None` at top level.
    pub location: Option<String>,
}

struct Session {
    identity: Identity,
    expires: SystemTime,
}

/// All open sessions.
#[derive(Default)]
pub struct Sessions {
    inner: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session and returns its id.
    pub fn open(&self, identity: Identity, lifetime: Duration) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bytes = [0u8; 48];
        getrandom::fill(&mut bytes).expect("the system has random bytes");
        let mut id: String = bytes
            .iter()
            .map(|b| LETTERS[usize::from(*b) % 64] as char)
            .collect();
        id.push_str("..");
        self.lock().insert(
            id.clone(),
            Session {
                identity,
                expires: SystemTime::now() + lifetime,
            },
        );
        id
    }

    /// Whom a live session belongs to; its timeout moves.
    pub fn use_it(&self, id: &str, lifetime: Duration) -> Option<Identity> {
        let mut sessions = self.lock();
        let session = sessions.get_mut(id)?;
        if session.expires <= SystemTime::now() {
            sessions.remove(id);
            return None;
        }
        session.expires = SystemTime::now() + lifetime;
        Some(session.identity.clone())
    }

    /// Whom a session belongs to, without using it.
    pub fn peek(&self, id: &str) -> Option<Identity> {
        self.lock().get(id).map(|s| s.identity.clone())
    }

    /// Ends a session.
    pub fn close(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Ends all sessions; returns how many there were.
    pub fn close_all(&self) -> usize {
        let mut sessions = self.lock();
        let count = sessions.len();
        sessions.clear();
        count
    }

    /// Number of open sessions.
    pub fn count(&self) -> usize {
        self.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_expire_and_close() {
        let sessions = Sessions::default();
        let identity = Identity {
            company: "c".into(),
            user: "u".into(),
            location: None,
        };
        let live = sessions.open(identity.clone(), Duration::from_secs(60));
        let dead = sessions.open(identity.clone(), Duration::ZERO);
        assert!(sessions.use_it(&live, Duration::from_secs(60)) == Some(identity));
        assert!(sessions.use_it(&dead, Duration::from_secs(60)).is_none());
        assert_eq!(sessions.close_all(), 1);
        assert!(sessions.use_it(&live, Duration::from_secs(60)).is_none());
    }
}
