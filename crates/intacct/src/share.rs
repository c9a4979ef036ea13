//! Where several processes keep the session that one of them opened.

use std::time::Duration;

/// Keeps one sealed session for several processes. Called from the tasks that send: no method may block.
pub trait SessionShare: Send + Sync {
    /// For whom the session is kept: what is sealed for one place cannot be opened for another.
    fn place(&self) -> String;

    /// The session that was left last, unless its time is over or it was refused.
    fn load(&self) -> Option<Sealed>;

    /// Whether this process may sign in; `false` while another one does.
    fn claim(&self) -> bool;

    /// The sign-in is over, however it ended. Does nothing without a claim.
    fn release(&self);

    /// Leaves a session, to be used so long; says its number. Only with a claim; `None` when it cannot be kept.
    fn leave(&self, sealed: &[u8], life: Duration) -> Option<u64>;

    /// The session of this number was used: it lives so long from now.
    fn used(&self, number: u64, life: Duration);

    /// The gateway does not take the session of this number any more.
    fn forget(&self, number: u64);

    /// Keeps something sealed beside the session of this number, so long at most; nothing where another session was left
    /// meanwhile.
    fn leave_beside(&self, number: u64, sealed: &[u8], life: Duration);

    /// What is kept beside the session of this number.
    fn beside(&self, number: u64) -> Option<Vec<u8>>;
}

/// A session as it is kept.
#[derive(Clone)]
pub struct Sealed {
    /// Distinguishes it from those before.
    pub number: u64,
    /// What [`SessionShare::leave`] was given.
    pub bytes: Vec<u8>,
    /// How long it may be used.
    pub life: Duration,
}
