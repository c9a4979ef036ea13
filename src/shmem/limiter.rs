//! The limiter of a server: the client library's shared limit of requests in flight.

use super::region::{Region, ServerSlot, clock, is_alive, with};
use intacct::SharedLimiter;
use std::time::Duration;

/// The slots and the queue of a server, shared by all backends.
pub struct ServerLimiter {
    slot: ServerSlot,
    /// `max_concurrency`
    max: u32,
}

impl ServerLimiter {
    /// The limiter of the server at `slot`.
    pub fn new(slot: ServerSlot, max: usize) -> Self {
        ServerLimiter {
            slot,
            max: u32::try_from(max).unwrap_or(u32::MAX),
        }
    }

    /// `None`: this backend exits, and its requests are dropped.
    fn with<T>(&self, work: impl FnOnce(&intacct::limiter::Slots) -> T) -> Option<T> {
        with(|region: &Region| work(&region.servers[self.slot.0].limiter))
    }
}

impl SharedLimiter for ServerLimiter {
    fn join(&self) -> u64 {
        self.with(|slots| slots.join(std::process::id(), clock()))
            .unwrap_or(0)
    }

    fn try_enter(&self, ticket: u64) -> bool {
        self.with(|slots| slots.try_enter(ticket, self.max, clock(), is_alive))
            .unwrap_or(false)
    }

    fn leave(&self, ticket: u64) {
        self.with(|slots| slots.leave(ticket));
    }

    fn went_well(&self) {
        self.with(|slots| slots.went_well(self.max));
    }

    fn slow_down(&self, age: Duration) {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let now = clock();
        self.with(|slots| slots.slow_down(self.max, now, now.saturating_sub(age)));
    }

    fn hold(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.with(|slots| slots.hold(clock().saturating_add(time)));
    }
}
