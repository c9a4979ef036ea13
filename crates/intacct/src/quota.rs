//! The books of a [`Budget`](crate::Budget) in memory that several processes map: places for requests in flight, and
//! the queue for them.
//!
//! Only atomics, no lock: whoever dies in the middle of something blocks nobody. Zeroed memory is an empty book.
//! Times are milliseconds of a clock that all processes share and that never goes back.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// Requests in flight at once, at most: the largest `max` that can be asked for.
pub const PLACES: usize = 32;
/// Requests that wait for a place in turn; those beyond still get one, but in no order.
const QUEUE: usize = 64;
/// Who waits and has not asked for a place in this time has lost its turn.
const PATIENCE: u64 = 10_000;
/// How often it is looked for holders that are no more.
const AUDIT: u64 = 250;
/// Requests that went well after which one more is allowed at once.
const SUCCESSES_TO_GROW: u32 = 20;

/// Places and queue of one budget.
#[derive(Debug)]
#[repr(C)]
pub struct Quota {
    tickets: AtomicU32,
    /// Places that may be used now; 0: as many as the caller says.
    limit: AtomicU32,
    successes: AtomicU32,
    /// Nobody may enter before.
    held_until: AtomicU64,
    /// When the limit was halved last.
    halved: AtomicU64,
    audited: AtomicU64,
    /// The tickets of requests in flight.
    places: [AtomicU64; PLACES],
    queue: [Waiter; QUEUE],
}

#[derive(Debug, Default)]
#[repr(C)]
struct Waiter {
    ticket: AtomicU64,
    /// When it last asked for a place.
    asked: AtomicU64,
}

/// A ticket: its holder in the upper half, a running number in the lower one.
fn number(ticket: u64) -> u32 {
    ticket as u32
}

fn holder(ticket: u64) -> u32 {
    (ticket >> 32) as u32
}

/// Whether ticket `a` was drawn before `b`. Numbers start over after four thousand million.
fn is_before(a: u64, b: u64) -> bool {
    (number(a).wrapping_sub(number(b)) as i32) < 0
}

impl Default for Quota {
    fn default() -> Self {
        Quota {
            tickets: AtomicU32::default(),
            limit: AtomicU32::default(),
            successes: AtomicU32::default(),
            held_until: AtomicU64::default(),
            halved: AtomicU64::default(),
            audited: AtomicU64::default(),
            places: Default::default(),
            queue: std::array::from_fn(|_| Waiter::default()),
        }
    }
}

impl Quota {
    /// Draws a ticket for process `process` (not 0) and queues it.
    pub fn join(&self, process: u32, now: u64) -> u64 {
        let number = self.tickets.fetch_add(1, SeqCst).wrapping_add(1);
        let ticket = u64::from(process) << 32 | u64::from(number);
        self.queue_up(ticket, now);
        ticket
    }

    fn queue_up(&self, ticket: u64, now: u64) {
        for waiter in &self.queue {
            let other = waiter.ticket.load(SeqCst);
            if other != 0 && !waiter.has_given_up(now) {
                continue;
            }
            // Before the ticket, so that nobody sees it with the time of another.
            waiter.asked.fetch_max(now, SeqCst);
            if waiter
                .ticket
                .compare_exchange(other, ticket, SeqCst, SeqCst)
                .is_ok()
            {
                return;
            }
        }
    }

    /// Takes a place if one of `max` is free and nobody who came earlier waits for it. `is_alive` tells whether a
    /// process still exists.
    pub fn try_enter(&self, ticket: u64, max: u32, now: u64, is_alive: impl Fn(u32) -> bool) -> bool {
        let mut queued = false;
        let mut earlier = 0;
        for waiter in &self.queue {
            match waiter.ticket.load(SeqCst) {
                0 => {}
                own if own == ticket => {
                    queued = true;
                    waiter.asked.fetch_max(now, SeqCst);
                }
                other => earlier += usize::from(is_before(other, ticket) && !waiter.has_given_up(now)),
            }
        }
        if !queued {
            self.queue_up(ticket, now);
        }
        if now < self.held_until.load(SeqCst) {
            return false;
        }
        let limit = self.limit(max) as usize;
        // Those beyond a limit that has shrunk count too.
        let taken = self.places.iter().filter(|place| place.load(SeqCst) != 0).count();
        if taken + earlier >= limit {
            self.audit(now, is_alive);
            return false;
        }
        let entered = self.places[..limit]
            .iter()
            .any(|place| place.compare_exchange(0, ticket, SeqCst, SeqCst).is_ok());
        if entered {
            self.leave_queue(ticket);
        }
        entered
    }

    /// Gives the place back, or leaves the queue. Does nothing when the ticket has neither (any more).
    pub fn leave(&self, ticket: u64) {
        for place in &self.places {
            let _ = place.compare_exchange(ticket, 0, SeqCst, SeqCst);
        }
        self.leave_queue(ticket);
    }

    fn leave_queue(&self, ticket: u64) {
        for waiter in &self.queue {
            let _ = waiter.ticket.compare_exchange(ticket, 0, SeqCst, SeqCst);
        }
    }

    /// Takes everything back that a process holds.
    pub fn release(&self, process: u32) {
        self.release_if(|other| other == process);
    }

    fn release_if(&self, gone: impl Fn(u32) -> bool) {
        let queued = self.queue.iter().map(|waiter| &waiter.ticket);
        for entry in self.places.iter().chain(queued) {
            let ticket = entry.load(SeqCst);
            if ticket != 0 && gone(holder(ticket)) {
                let _ = entry.compare_exchange(ticket, 0, SeqCst, SeqCst);
            }
        }
    }

    /// Takes back, now and then, what processes hold that are no more.
    fn audit(&self, now: u64, is_alive: impl Fn(u32) -> bool) {
        let last = self.audited.load(SeqCst);
        let due = now >= last.saturating_add(AUDIT);
        if due && self.audited.compare_exchange(last, now, SeqCst, SeqCst).is_ok() {
            self.release_if(|process| !is_alive(process));
        }
    }

    /// Places that may be used now, of `max`.
    pub fn limit(&self, max: u32) -> u32 {
        let max = max.clamp(1, PLACES as u32);
        match self.limit.load(SeqCst) {
            0 => max,
            limit => limit.min(max),
        }
    }

    /// Half as many places, but one: the gateway refused a request that was sent at this time. Nothing changes where
    /// they were halved since then.
    pub fn slow_down(&self, max: u32, now: u64, sent: u64) {
        self.successes.store(0, SeqCst);
        let halved = self.halved.load(SeqCst);
        let first = halved <= sent && self.halved.compare_exchange(halved, now, SeqCst, SeqCst).is_ok();
        if first {
            self.limit.store((self.limit(max) / 2).max(1), SeqCst);
        }
    }

    /// After some requests that went well, one place more.
    pub fn went_well(&self, max: u32) {
        let limit = self.limit.load(SeqCst);
        if limit == 0 || self.successes.fetch_add(1, SeqCst) + 1 < SUCCESSES_TO_GROW {
            return;
        }
        self.successes.store(0, SeqCst);
        let grown = if limit + 1 >= max { 0 } else { limit + 1 };
        let _ = self.limit.compare_exchange(limit, grown, SeqCst, SeqCst);
    }

    /// Lets nobody in before `until`.
    pub fn hold(&self, until: u64) {
        self.held_until.fetch_max(until, SeqCst);
    }
}

impl Waiter {
    fn has_given_up(&self, now: u64) -> bool {
        now > self.asked.load(SeqCst).saturating_add(PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    const ALIVE: fn(u32) -> bool = |_| true;

    #[test]
    fn places_are_given_in_the_order_of_tickets() {
        let quota = Quota::default();
        let [a, b, c] = [1, 2, 3].map(|process| quota.join(process, 0));
        assert!(!quota.try_enter(b, 1, 0, ALIVE), "a came first");
        assert!(quota.try_enter(a, 1, 0, ALIVE));
        assert!(!quota.try_enter(b, 1, 0, ALIVE) && !quota.try_enter(c, 1, 0, ALIVE));
        quota.leave(a);
        assert!(!quota.try_enter(c, 1, 0, ALIVE), "b came first");
        assert!(quota.try_enter(b, 1, 0, ALIVE));
        assert!(quota.try_enter(c, 2, 0, ALIVE), "with two places, c has one");
    }

    #[test]
    fn who_gives_up_or_falls_silent_holds_nobody_up() {
        let quota = Quota::default();
        let [gone, silent, patient] = [1, 2, 3].map(|process| quota.join(process, 0));
        quota.leave(gone);
        assert!(
            !quota.try_enter(patient, 1, 1, ALIVE),
            "the silent one came first"
        );
        assert!(!quota.try_enter(patient, 1, PATIENCE, ALIVE));
        assert!(quota.try_enter(patient, 1, PATIENCE + 1, ALIVE));
        quota.leave(patient);
        assert!(
            quota.try_enter(silent, 1, PATIENCE + 2, ALIVE),
            "and may come back"
        );
    }

    #[test]
    fn the_place_of_a_dead_process_is_taken_back() {
        let quota = Quota::default();
        let dead = quota.join(7, 0);
        assert!(quota.try_enter(dead, 1, 0, ALIVE));
        let next = quota.join(8, AUDIT);
        assert!(!quota.try_enter(next, 1, AUDIT, ALIVE), "it lives");
        assert!(!quota.try_enter(next, 1, 2 * AUDIT, |process| process != 7));
        assert!(quota.try_enter(next, 1, 2 * AUDIT, |process| process != 7));
        quota.leave(dead);
        let third = quota.join(9, 2 * AUDIT);
        assert!(
            !quota.try_enter(third, 1, 2 * AUDIT, ALIVE),
            "a late leave takes nobody's place"
        );
        quota.release(8);
        assert!(quota.try_enter(third, 1, 2 * AUDIT, ALIVE));
    }

    #[test]
    fn it_halves_grows_back_and_holds() {
        let quota = Quota::default();
        assert_eq!(quota.limit(4), 4);
        quota.slow_down(4, 7, 5);
        quota.slow_down(4, 8, 5);
        quota.slow_down(4, 9, 6);
        assert_eq!(quota.limit(4), 2, "a burst counts once");
        quota.slow_down(4, 20, 10);
        quota.slow_down(4, 40, 30);
        assert_eq!(quota.limit(4), 1);
        for _ in 0..SUCCESSES_TO_GROW * 5 {
            quota.went_well(4);
        }
        assert_eq!(quota.limit(4), 4);
        let ticket = quota.join(1, 0);
        quota.hold(100);
        quota.hold(50);
        assert!(!quota.try_enter(ticket, 4, 99, ALIVE));
        assert!(quota.try_enter(ticket, 4, 100, ALIVE));
    }

    #[test]
    fn a_limit_that_shrinks_counts_those_inside() {
        let quota = Quota::default();
        let inside: Vec<u64> = (1..=4).map(|process| quota.join(process, 0)).collect();
        assert!(inside.iter().all(|ticket| quota.try_enter(*ticket, 4, 0, ALIVE)));
        quota.slow_down(4, 1, 1);
        let next = quota.join(5, 0);
        quota.leave(inside[0]);
        quota.leave(inside[1]);
        assert!(!quota.try_enter(next, 4, 0, ALIVE), "two are inside, two may be");
        quota.leave(inside[2]);
        assert!(quota.try_enter(next, 4, 0, ALIVE));
    }

    #[test]
    fn more_waiters_than_the_queue_holds_get_in_too() {
        let quota = Quota::default();
        let mut waiting: Vec<u64> = (0..QUEUE as u32 + 10).map(|n| quota.join(n + 1, 0)).collect();
        for _ in 0..waiting.len() {
            let next = waiting
                .iter()
                .position(|ticket| quota.try_enter(*ticket, 1, 0, ALIVE));
            quota.leave(waiting.remove(next.expect("somebody gets in")));
        }
    }

    #[test]
    fn never_more_inside_than_allowed() {
        const MAX: usize = 3;
        let quota = Arc::new(Quota::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (1..=8)
            .map(|process| {
                let (quota, inside) = (quota.clone(), inside.clone());
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        let ticket = quota.join(process, 0);
                        while !quota.try_enter(ticket, MAX as u32, 0, ALIVE) {
                            std::thread::yield_now();
                        }
                        assert!(inside.fetch_add(1, SeqCst) < MAX);
                        std::thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                        quota.leave(ticket);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("never too many inside");
        }
        assert!(
            quota.places.iter().all(|place| place.load(SeqCst) == 0)
                && quota.queue.iter().all(|waiter| waiter.ticket.load(SeqCst) == 0)
        );
    }
}
