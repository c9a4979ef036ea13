//! State of a [`SharedLimiter`](crate::SharedLimiter) in memory that several processes map: slots for requests in
//! flight, and the queue for them.
//!
//! Only atomics, no lock: a process that dies at any point blocks no other. Zeroed memory is the empty state.
//! Times are milliseconds of a clock that all processes share and that never goes back.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// Requests in flight at once, at most: the largest `max` that can be asked for.
pub const SLOTS: usize = 32;
/// Requests that wait for a slot in turn; those beyond still get one, but in no order.
const QUEUE: usize = 64;
/// A waiter that has not asked for a slot in this time has lost its turn.
const TURN_TIMEOUT: u64 = 10_000;
/// How often holders are checked for processes that no longer exist.
const AUDIT: u64 = 250;
/// Requests that went well after which one more is allowed at once.
const SUCCESSES_TO_GROW: u32 = 20;

/// Slots and queue of one limiter.
#[derive(Debug)]
#[repr(C)]
pub struct Slots {
    tickets: AtomicU32,
    /// Slots that may be used now; 0: as many as the caller says.
    limit: AtomicU32,
    successes: AtomicU32,
    /// No request is admitted before.
    held_until: AtomicU64,
    /// When the limit was halved last.
    halved: AtomicU64,
    audited: AtomicU64,
    /// The tickets of requests in flight.
    slots: [AtomicU64; SLOTS],
    queue: [Waiter; QUEUE],
}

#[derive(Debug, Default)]
#[repr(C)]
struct Waiter {
    ticket: AtomicU64,
    /// When it last asked for a slot.
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

impl Default for Slots {
    fn default() -> Self {
        Slots {
            tickets: AtomicU32::default(),
            limit: AtomicU32::default(),
            successes: AtomicU32::default(),
            held_until: AtomicU64::default(),
            halved: AtomicU64::default(),
            audited: AtomicU64::default(),
            slots: Default::default(),
            queue: std::array::from_fn(|_| Waiter::default()),
        }
    }
}

impl Slots {
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
            // Before the ticket, so that it is never seen with the time of another.
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

    /// Takes a slot if one of `max` is free and no earlier ticket waits for it. `is_alive`: whether a process still
    /// exists.
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
        let taken = self.slots.iter().filter(|slot| slot.load(SeqCst) != 0).count();
        if taken + earlier >= limit {
            self.audit(now, is_alive);
            return false;
        }
        let entered = self.slots[..limit]
            .iter()
            .any(|slot| slot.compare_exchange(0, ticket, SeqCst, SeqCst).is_ok());
        if entered {
            self.leave_queue(ticket);
        }
        entered
    }

    /// Gives the slot back, or leaves the queue. Does nothing when the ticket has neither (any more).
    pub fn leave(&self, ticket: u64) {
        for slot in &self.slots {
            let _ = slot.compare_exchange(ticket, 0, SeqCst, SeqCst);
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
        for entry in self.slots.iter().chain(queued) {
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

    /// Slots that may be used now, of `max`.
    pub fn limit(&self, max: u32) -> u32 {
        let max = max.clamp(1, SLOTS as u32);
        match self.limit.load(SeqCst) {
            0 => max,
            limit => limit.min(max),
        }
    }

    /// Half as many slots, but one: the gateway refused a request that was sent at this time. Nothing changes where
    /// they were halved since then.
    pub fn slow_down(&self, max: u32, now: u64, sent: u64) {
        self.successes.store(0, SeqCst);
        let halved = self.halved.load(SeqCst);
        let first = halved <= sent && self.halved.compare_exchange(halved, now, SeqCst, SeqCst).is_ok();
        if first {
            self.limit.store((self.limit(max) / 2).max(1), SeqCst);
        }
    }

    /// After some requests that went well, one slot more.
    pub fn went_well(&self, max: u32) {
        let limit = self.limit.load(SeqCst);
        if limit == 0 || self.successes.fetch_add(1, SeqCst) + 1 < SUCCESSES_TO_GROW {
            return;
        }
        self.successes.store(0, SeqCst);
        let grown = if limit + 1 >= max { 0 } else { limit + 1 };
        let _ = self.limit.compare_exchange(limit, grown, SeqCst, SeqCst);
    }

    /// Admits no request before `until`.
    pub fn hold(&self, until: u64) {
        self.held_until.fetch_max(until, SeqCst);
    }
}

impl Waiter {
    fn has_given_up(&self, now: u64) -> bool {
        now > self.asked.load(SeqCst).saturating_add(TURN_TIMEOUT)
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
        let slots = Slots::default();
        let [a, b, c] = [1, 2, 3].map(|process| slots.join(process, 0));
        assert!(!slots.try_enter(b, 1, 0, ALIVE), "a came first");
        assert!(slots.try_enter(a, 1, 0, ALIVE));
        assert!(!slots.try_enter(b, 1, 0, ALIVE) && !slots.try_enter(c, 1, 0, ALIVE));
        slots.leave(a);
        assert!(!slots.try_enter(c, 1, 0, ALIVE), "b came first");
        assert!(slots.try_enter(b, 1, 0, ALIVE));
        assert!(slots.try_enter(c, 2, 0, ALIVE), "with two slots, c has one");
    }

    #[test]
    fn a_waiter_that_gives_up_or_falls_silent_blocks_no_other() {
        let slots = Slots::default();
        let [gone, silent, waiting_on] = [1, 2, 3].map(|process| slots.join(process, 0));
        slots.leave(gone);
        assert!(
            !slots.try_enter(waiting_on, 1, 1, ALIVE),
            "the silent one came first"
        );
        assert!(!slots.try_enter(waiting_on, 1, TURN_TIMEOUT, ALIVE));
        assert!(slots.try_enter(waiting_on, 1, TURN_TIMEOUT + 1, ALIVE));
        slots.leave(waiting_on);
        assert!(
            slots.try_enter(silent, 1, TURN_TIMEOUT + 2, ALIVE),
            "and may come back"
        );
    }

    #[test]
    fn the_place_of_a_dead_process_is_taken_back() {
        let slots = Slots::default();
        let dead = slots.join(7, 0);
        assert!(slots.try_enter(dead, 1, 0, ALIVE));
        let next = slots.join(8, AUDIT);
        assert!(!slots.try_enter(next, 1, AUDIT, ALIVE), "it lives");
        assert!(!slots.try_enter(next, 1, 2 * AUDIT, |process| process != 7));
        assert!(slots.try_enter(next, 1, 2 * AUDIT, |process| process != 7));
        slots.leave(dead);
        let third = slots.join(9, 2 * AUDIT);
        assert!(
            !slots.try_enter(third, 1, 2 * AUDIT, ALIVE),
            "a late leave takes no other ticket's slot"
        );
        slots.release(8);
        assert!(slots.try_enter(third, 1, 2 * AUDIT, ALIVE));
    }

    #[test]
    fn it_halves_recovers_and_holds() {
        let slots = Slots::default();
        assert_eq!(slots.limit(4), 4);
        slots.slow_down(4, 7, 5);
        slots.slow_down(4, 8, 5);
        slots.slow_down(4, 9, 6);
        assert_eq!(slots.limit(4), 2, "a burst counts once");
        slots.slow_down(4, 20, 10);
        slots.slow_down(4, 40, 30);
        assert_eq!(slots.limit(4), 1);
        for _ in 0..SUCCESSES_TO_GROW * 5 {
            slots.went_well(4);
        }
        assert_eq!(slots.limit(4), 4);
        let ticket = slots.join(1, 0);
        slots.hold(100);
        slots.hold(50);
        assert!(!slots.try_enter(ticket, 4, 99, ALIVE));
        assert!(slots.try_enter(ticket, 4, 100, ALIVE));
    }

    #[test]
    fn a_limit_that_shrinks_counts_those_inside() {
        let slots = Slots::default();
        let inside: Vec<u64> = (1..=4).map(|process| slots.join(process, 0)).collect();
        assert!(inside.iter().all(|ticket| slots.try_enter(*ticket, 4, 0, ALIVE)));
        slots.slow_down(4, 1, 1);
        let next = slots.join(5, 0);
        slots.leave(inside[0]);
        slots.leave(inside[1]);
        assert!(!slots.try_enter(next, 4, 0, ALIVE), "two are inside, two may be");
        slots.leave(inside[2]);
        assert!(slots.try_enter(next, 4, 0, ALIVE));
    }

    #[test]
    fn more_waiters_than_the_queue_holds_get_in_too() {
        let slots = Slots::default();
        let mut waiting: Vec<u64> = (0..QUEUE as u32 + 10).map(|n| slots.join(n + 1, 0)).collect();
        for _ in 0..waiting.len() {
            let next = waiting
                .iter()
                .position(|ticket| slots.try_enter(*ticket, 1, 0, ALIVE));
            slots.leave(waiting.remove(next.expect("one of them enters")));
        }
    }

    #[test]
    fn never_more_inside_than_allowed() {
        const MAX: usize = 3;
        let slots = Arc::new(Slots::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (1..=8)
            .map(|process| {
                let (slots, inside) = (slots.clone(), inside.clone());
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        let ticket = slots.join(process, 0);
                        while !slots.try_enter(ticket, MAX as u32, 0, ALIVE) {
                            std::thread::yield_now();
                        }
                        assert!(inside.fetch_add(1, SeqCst) < MAX);
                        std::thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                        slots.leave(ticket);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("never too many inside");
        }
        assert!(
            slots.slots.iter().all(|slot| slot.load(SeqCst) == 0)
                && slots.queue.iter().all(|waiter| waiter.ticket.load(SeqCst) == 0)
        );
    }
}
