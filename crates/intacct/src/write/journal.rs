//! What is known of a write while it is under way, for when it is cut short.

use super::WriteFailure;
use crate::error::{Error, ErrorKind};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A record of what a write did so far. Clones share it: keep one outside of the future that writes, and ask it when
/// the future was dropped.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The operation in `current` may have been executed without our knowing.
    uncertain: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    certain: Vec<usize>,
    current: Range<usize>,
    ids: Vec<String>,
}

impl Journal {
    /// An empty one; each write needs its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether rows may be stored of which it is not known.
    pub fn is_uncertain(&self) -> bool {
        self.0.uncertain.load(Ordering::Relaxed)
    }

    /// The failure of a write that ended here because of `error`, which may be the caller's own (a cancel, say). When
    /// rows may be stored of which it is not known, its kind becomes [`ErrorKind::OutcomeUnknown`].
    pub fn failure(&self, error: Error) -> WriteFailure {
        let state = self.state();
        let uncertain = self.is_uncertain();
        let (possible, control_ids) = match uncertain {
            true => (state.current.clone().collect(), state.ids.clone()),
            false => (Vec::new(), Vec::new()),
        };
        let error = match (uncertain, error.kind()) {
            (true, kind) if *kind != ErrorKind::OutcomeUnknown => {
                let message = format!("the outcome of the write is not known: {error}");
                error.with_kind(ErrorKind::OutcomeUnknown).with_message(message)
            }
            _ => error,
        };
        WriteFailure {
            error,
            certain: state.certain.clone(),
            possible,
            first_failing: None,
            control_ids,
        }
    }

    /// An operation is about to be sent.
    pub(super) fn begin(&self, rows: Range<usize>, ids: &[String]) {
        let mut state = self.state();
        state.current = rows;
        state.ids = ids.to_vec();
        self.settle();
    }

    /// Nothing is in doubt any more.
    pub(super) fn settle(&self) {
        self.0.uncertain.store(false, Ordering::Relaxed);
    }

    /// These rows are stored; no others are in doubt.
    pub(super) fn stored(&self, rows: impl IntoIterator<Item = usize>) {
        self.state().certain.extend(rows);
        self.settle();
    }

    pub(super) fn uncertain(&self) -> &AtomicBool {
        &self.0.uncertain
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
