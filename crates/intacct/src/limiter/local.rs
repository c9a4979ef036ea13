//! How many requests are in flight at once.

use super::shared::SharedLimiter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Successful requests after which one more is allowed at once.
const SUCCESSES_TO_GROW: u32 = 20;

/// How often a shared limiter is asked for a slot: another process that gives one back cannot wake this one. Beside a
/// request the wait is short.
const ASK_AGAIN: Duration = Duration::from_millis(4);

/// A limit that halves when the gateway reports a rate limit and recovers with successful requests. Behind it there may
/// be a limiter that other processes share.
pub(crate) struct Limiter {
    state: Mutex<State>,
    freed: Notify,
    max: usize,
    shared: Option<Arc<dyn SharedLimiter>>,
}

struct State {
    in_flight: usize,
    limit: usize,
    successes: u32,
    /// No request is admitted before.
    held_until: Option<Instant>,
    /// When the limit was halved last.
    halved: Option<Instant>,
}

/// Permission for one request; given back when dropped.
pub(crate) struct Permit<'a> {
    // The slot of the shared limiter goes first.
    _shared: Option<SharedPermit<'a>>,
    _local: LocalPermit<'a>,
}

/// A permit within the limit of this client.
struct LocalPermit<'a>(&'a Limiter);

/// A slot of the shared limiter, or a place in its queue.
struct SharedPermit<'a> {
    limiter: &'a dyn SharedLimiter,
    ticket: u64,
}

impl Limiter {
    pub(crate) fn new(max: usize, shared: Option<Arc<dyn SharedLimiter>>) -> Self {
        let max = max.max(1);
        Limiter {
            state: Mutex::new(State {
                in_flight: 0,
                limit: max,
                successes: 0,
                held_until: None,
                halved: None,
            }),
            freed: Notify::new(),
            max,
            shared,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    pub(crate) async fn enter(&self) -> Permit<'_> {
        let turn = self.turn().await;
        while let Some(until) = self.held_until() {
            tokio::time::sleep_until(until).await;
        }
        let Some(shared) = self.shared.as_deref() else {
            return Permit {
                _shared: None,
                _local: turn,
            };
        };
        let permit = SharedPermit {
            ticket: shared.join(),
            limiter: shared,
        };
        while !shared.try_enter(permit.ticket) {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Permit {
            _shared: Some(permit),
            _local: turn,
        }
    }

    /// Waits for a permit within the limit of this client.
    async fn turn(&self) -> LocalPermit<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.in_flight < state.limit {
                    state.in_flight += 1;
                    if state.in_flight < state.limit {
                        // Two permits freed at once leave one notice only: pass it on.
                        self.freed.notify_one();
                    }
                    return LocalPermit(self);
                }
            }
            freed.await;
        }
    }

    fn held_until(&self) -> Option<Instant> {
        self.state().held_until.filter(|until| Instant::now() < *until)
    }

    /// The gateway asked to slow down, in answer to a request that was sent at this time. Of a burst of refusals the
    /// first halves the limit: the others were sent before it was known.
    pub(crate) fn slow_down(&self, sent: Instant) {
        let now = Instant::now();
        let mut state = self.state();
        state.successes = 0;
        if state.halved.is_none_or(|halved| halved <= sent) {
            state.limit = (state.limit / 2).max(1);
            state.halved = Some(now);
        }
        drop(state);
        if let Some(shared) = &self.shared {
            shared.slow_down(now - sent);
        }
    }

    /// Admits no request until `time` is over.
    pub(crate) fn hold(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        state.held_until = state.held_until.max(Some(until));
        drop(state);
        if let Some(shared) = &self.shared {
            shared.hold(time);
        }
    }

    /// A request went well.
    pub(crate) fn went_well(&self) {
        if let Some(shared) = &self.shared {
            shared.went_well();
        }
        let mut state = self.state();
        if state.limit == self.max {
            return;
        }
        state.successes += 1;
        if state.successes >= SUCCESSES_TO_GROW {
            state.successes = 0;
            state.limit += 1;
            self.freed.notify_one();
        }
    }
}

impl Drop for LocalPermit<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.freed.notify_one();
    }
}

impl Drop for SharedPermit<'_> {
    fn drop(&mut self) {
        self.limiter.leave(self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_limit_holds_and_a_waiter_gets_the_permit() {
        let limiter = Limiter::new(2, None);
        let Poll::Ready(first) = poll(pin!(limiter.enter())) else {
            panic!("first must enter")
        };
        let Poll::Ready(_second) = poll(pin!(limiter.enter())) else {
            panic!("second must enter")
        };
        let mut third = pin!(limiter.enter());
        assert!(poll(third.as_mut()).is_pending());
        drop(first);
        assert!(poll(third).is_ready());
    }

    #[test]
    fn a_waiter_that_gives_up_passes_its_turn_on() {
        let limiter = Limiter::new(1, None);
        let Poll::Ready(first) = poll(pin!(limiter.enter())) else {
            panic!("first must enter")
        };
        let mut second = Box::pin(limiter.enter());
        let mut third = pin!(limiter.enter());
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        drop(first);
        drop(second);
        assert!(poll(third).is_ready());
    }

    #[test]
    fn it_halves_and_recovers() {
        let limiter = Limiter::new(4, None);
        let burst = Instant::now();
        limiter.slow_down(burst);
        limiter.slow_down(burst);
        limiter.slow_down(burst);
        assert_eq!(limiter.state().limit, 2, "a burst counts once");
        limiter.slow_down(Instant::now());
        limiter.slow_down(Instant::now());
        assert_eq!(limiter.state().limit, 1);
        for _ in 0..SUCCESSES_TO_GROW * 5 {
            limiter.went_well();
        }
        assert_eq!(limiter.state().limit, 4);
    }

    #[tokio::test]
    async fn no_request_is_admitted_while_it_is_held() {
        let limiter = Limiter::new(4, None);
        let start = Instant::now();
        limiter.hold(Duration::from_millis(60));
        limiter.hold(Duration::from_millis(5));
        drop(limiter.enter().await);
        assert!(start.elapsed() >= Duration::from_millis(60));
        assert!(poll(pin!(limiter.enter())).is_ready());
    }

    /// One slot, which the ticket in it holds.
    #[derive(Default)]
    struct OneSlot {
        last: AtomicU64,
        holder: AtomicU64,
        left: AtomicU64,
    }

    impl SharedLimiter for OneSlot {
        fn join(&self) -> u64 {
            self.last.fetch_add(1, Ordering::SeqCst) + 1
        }

        fn try_enter(&self, ticket: u64) -> bool {
            self.holder
                .compare_exchange(0, ticket, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        }

        fn leave(&self, ticket: u64) {
            self.left.fetch_add(1, Ordering::SeqCst);
            let _ = self
                .holder
                .compare_exchange(ticket, 0, Ordering::SeqCst, Ordering::SeqCst);
        }

        fn went_well(&self) {}
        fn slow_down(&self, _age: Duration) {}
        fn hold(&self, _time: Duration) {}
    }

    #[tokio::test]
    async fn two_clients_share_a_limiter() {
        let shared = Arc::new(OneSlot::default());
        let limiters = [(); 2].map(|()| Limiter::new(4, Some(shared.clone())));
        let first = limiters[0].enter().await;
        {
            let mut gives_up = pin!(limiters[0].enter());
            assert!(poll(gives_up.as_mut()).is_pending());
        }
        assert_eq!(
            shared.left.load(Ordering::SeqCst),
            1,
            "a waiter that gives up leaves the queue"
        );
        let mut second = pin!(limiters[1].enter());
        assert!(
            tokio::time::timeout(ASK_AGAIN * 3, second.as_mut())
                .await
                .is_err(),
            "the only slot is taken"
        );
        drop(first);
        drop(second.await);
        assert_eq!(shared.left.load(Ordering::SeqCst), 3);
    }
}
