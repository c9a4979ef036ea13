//! Limits of requests in flight beyond one client: several processes that use one company may share one limiter.

use std::time::Duration;

/// Decides which request may be sent now. Called from the tasks that send: no method may block.
///
/// Slots and queue must survive a holder that ends without leaving.
pub trait SharedLimiter: Send + Sync {
    /// Joins the queue for one request. What is returned identifies it until [`leave`](SharedLimiter::leave).
    fn join(&self) -> u64;

    /// Takes a slot, if one is free, it is this ticket's turn, and the gateway has not asked to wait.
    fn try_enter(&self, ticket: u64) -> bool;

    /// Gives the slot back, or leaves the queue.
    fn leave(&self, ticket: u64);

    /// A request was answered: in the long run there may be more at a time again.
    fn went_well(&self);

    /// The gateway asked to slow down: there may be fewer requests at a time. The request that it refused was sent
    /// `age` ago; where the number was lowered since then, it says nothing new.
    fn slow_down(&self, age: Duration);

    /// No request is admitted until this time is over.
    fn hold(&self, time: Duration);
}
