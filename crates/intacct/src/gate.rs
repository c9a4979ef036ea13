//! How many requests are in flight at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Successful requests after which one more is allowed at once.
const SUCCESSES_TO_GROW: u32 = 20;

/// A limit that halves when the gateway asks to slow down and grows back by and by.
pub(crate) struct Gate {
    state: Mutex<State>,
    freed: Notify,
    max: usize,
}

struct State {
    in_flight: usize,
    limit: usize,
    successes: u32,
}

/// The right to one request; given back when dropped.
pub(crate) struct Pass<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new(max: usize) -> Self {
        let max = max.max(1);
        Gate {
            state: Mutex::new(State {
                in_flight: 0,
                limit: max,
                successes: 0,
            }),
            freed: Notify::new(),
            max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    pub(crate) async fn enter(&self) -> Pass<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.in_flight < state.limit {
                    state.in_flight += 1;
                    if state.in_flight < state.limit {
                        // Two places freed at once leave one notice only: pass it on.
                        self.freed.notify_one();
                    }
                    return Pass(self);
                }
            }
            freed.await;
        }
    }

    /// The gateway asked to slow down.
    pub(crate) fn slow_down(&self) {
        let mut state = self.state();
        state.limit = (state.limit / 2).max(1);
        state.successes = 0;
    }

    /// A request went well.
    pub(crate) fn went_well(&self) {
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

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_limit_holds_and_a_waiter_gets_the_place() {
        let gate = Gate::new(2);
        let Poll::Ready(first) = poll(pin!(gate.enter())) else {
            panic!("first must enter")
        };
        let Poll::Ready(_second) = poll(pin!(gate.enter())) else {
            panic!("second must enter")
        };
        let mut third = pin!(gate.enter());
        assert!(poll(third.as_mut()).is_pending());
        drop(first);
        assert!(poll(third).is_ready());
    }

    #[test]
    fn a_waiter_that_gives_up_passes_its_turn_on() {
        let gate = Gate::new(1);
        let Poll::Ready(first) = poll(pin!(gate.enter())) else {
            panic!("first must enter")
        };
        let mut second = Box::pin(gate.enter());
        let mut third = pin!(gate.enter());
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        drop(first);
        drop(second);
        assert!(poll(third).is_ready());
    }

    #[test]
    fn it_halves_and_grows_back() {
        let gate = Gate::new(4);
        gate.slow_down();
        assert_eq!(gate.state().limit, 2);
        gate.slow_down();
        gate.slow_down();
        assert_eq!(gate.state().limit, 1);
        for _ in 0..SUCCESSES_TO_GROW * 5 {
            gate.went_well();
        }
        assert_eq!(gate.state().limit, 4);
    }
}
