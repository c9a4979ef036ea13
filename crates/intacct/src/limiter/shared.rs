//! A budget of requests that reaches beyond one client: several processes that use one company may share it.

use std::time::Duration;

/// Says who may send a request now. Called from the tasks that send: no method may block.
///
/// The places and the queue must survive a holder that vanishes without leaving.
pub trait SharedLimiter: Send + Sync {
    /// Joins the queue for one request. What is returned identifies it until [`leave`](SharedLimiter::leave).
    fn join(&self) -> u64;

    /// Takes a place, if one is free, it is this ticket's turn, and the gateway has not asked to wait.
    fn try_enter(&self, ticket: u64) -> bool;

    /// Gives the place back, or leaves the queue.
    fn leave(&self, ticket: u64);

    /// A request was answered: in the long run there may be more at a time again.
    fn went_well(&self);

    /// The gateway asked to slow down: there may be fewer requests at a time. The request that it refused was sent
    /// `age` ago; where the number was lowered since then, it says nothing new.
    fn slow_down(&self, age: Duration);

    /// Nobody may enter until this time is over.
    fn hold(&self, time: Duration);
}
