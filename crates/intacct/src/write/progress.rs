//! Progress of a write: what is known of it while it is under way, and whether its requests may still be sent.
//!
//! The thread that sends and the thread that waits agree here, under one lock, on whether a request left: either it
//! leaves before sending is closed and its rows are in doubt until the answer is judged, or sending is closed first and
//! nothing leaves any more. There is no moment in which both could hold.

use super::WriteFailure;
use super::logged::{LoggedFunction, LoggedRequest, WriteLog, WriteOutcome};
use crate::error::{Error, ErrorKind};
use crate::requests::{Departed, SendGuard};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A record of what a write did so far. Clones share it: keep one outside of the future that writes, and ask it when
/// the future was dropped.
#[derive(Debug, Clone, Default)]
pub struct WriteProgress(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    log: Option<Arc<dyn WriteLog>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

#[derive(Debug, Default)]
struct State {
    certain: Vec<usize>,
    /// Rows of the operation at hand that may be stored once it has left.
    current: Vec<usize>,
    transaction: bool,
    functions: Vec<LoggedFunction>,
    phase: Phase,
    /// Nothing leaves any more.
    closed: bool,
}

/// Where the current operation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Nothing of it may be executed without our knowing.
    #[default]
    Open,
    /// It left, and what became of it is not known.
    Sent,
}

/// A request that has left.
struct Departure<'a> {
    progress: &'a WriteProgress,
    before: Phase,
}

impl Departed for Departure<'_> {
    /// The gateway executed nothing of it, provably.
    fn not_run(&self) {
        self.progress.state().phase = self.before;
        if self.before == Phase::Open {
            self.progress
                .log(|_| (WriteOutcome::NotStored, "the gateway executed nothing"));
        }
    }
}

impl WriteProgress {
    /// An empty one; each write needs its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one that has a record written before each request leaves.
    pub fn with_log(log: Arc<dyn WriteLog>) -> Self {
        WriteProgress(Arc::new(Inner {
            state: Mutex::default(),
            log: Some(log),
        }))
    }

    /// Whether rows may be stored of which it is not known.
    pub fn is_uncertain(&self) -> bool {
        self.state().phase == Phase::Sent
    }

    /// From now on nothing leaves. What is known at this moment: `true` when a request is under way.
    pub fn close(&self) -> bool {
        let mut state = self.state();
        state.closed = true;
        state.phase == Phase::Sent
    }

    /// How many rows are stored, as far as it is known.
    pub fn certain(&self) -> usize {
        self.state().certain.len()
    }

    /// The failure of a write that ended here because of `error`, which may be the caller's own (a cancel, say). When
    /// rows may be stored of which it is not known, its kind becomes [`ErrorKind::OutcomeUnknown`].
    pub fn failure(&self, error: Error) -> WriteFailure {
        let state = self.state();
        let uncertain = state.phase == Phase::Sent;
        let (possible, control_ids) = match uncertain {
            true => (state.current.clone(), ids(&state.functions)),
            false => (Vec::new(), Vec::new()),
        };
        let certain = state.certain.clone();
        drop(state);
        if uncertain {
            self.log(|_| (WriteOutcome::InDoubt, "the answer was lost, or not waited for"));
        }
        let error = match (uncertain, error.kind()) {
            (true, kind) if *kind != ErrorKind::OutcomeUnknown => {
                let message = format!("the outcome of the write is not known: {error}");
                error.with_kind(ErrorKind::OutcomeUnknown).with_message(message)
            }
            _ => error,
        };
        WriteFailure {
            error,
            certain,
            possible,
            first_failing: None,
            control_ids,
        }
    }

    /// An operation is about to be sent.
    pub(super) fn begin(&self, rows: Range<usize>, transaction: bool, functions: Vec<LoggedFunction>) {
        let mut state = self.state();
        state.current = rows.collect();
        state.transaction = transaction;
        state.functions = functions;
        state.phase = Phase::Open;
    }

    /// These rows are stored; no others are in doubt.
    pub(super) fn stored(&self, rows: impl IntoIterator<Item = usize>) {
        let rows: Vec<usize> = rows.into_iter().collect();
        let mut state = self.state();
        let was = std::mem::replace(&mut state.phase, Phase::Open);
        state.certain.extend(&rows);
        drop(state);
        if was == Phase::Sent {
            self.log(
                |function| match function.rows.clone().all(|row| rows.contains(&row)) {
                    true => (WriteOutcome::Stored, ""),
                    false => (WriteOutcome::NotStored, "refused, or left out"),
                },
            );
        }
    }

    /// Of the current operation, executed function by function, these rows are stored, those are in doubt, and the others
    /// are not stored.
    pub(super) fn partly(&self, certain: &[usize], possible: &[usize]) {
        let in_doubt = |function: &LoggedFunction| function.rows.clone().any(|row| possible.contains(&row));
        self.log(|function| {
            if in_doubt(function) {
                (
                    WriteOutcome::InDoubt,
                    "neither the answers nor the records show it",
                )
            } else if function.rows.clone().all(|row| certain.contains(&row)) {
                (WriteOutcome::Stored, "")
            } else {
                (WriteOutcome::NotStored, "refused, or left out")
            }
        });
        let mut state = self.state();
        state.certain.extend(certain);
        state.current = possible.to_vec();
        state.functions.retain(in_doubt);
        state.phase = match possible.is_empty() {
            true => Phase::Open,
            false => Phase::Sent,
        };
    }

    fn log(&self, outcome: impl Fn(&LoggedFunction) -> (WriteOutcome, &'static str)) {
        let Some(log) = &self.0.log else { return };
        let functions = self.state().functions.clone();
        let outcomes: Vec<_> = functions
            .iter()
            .map(|function| {
                let (outcome, reason) = outcome(function);
                (function.control_id.as_str(), outcome, reason)
            })
            .collect();
        log.ended(&outcomes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SendGuard for WriteProgress {
    fn depart(&self, clock_offset: Option<i64>) -> Result<Box<dyn Departed + '_>, Error> {
        let unwanted = || Error::new(ErrorKind::Internal, "the write is not wanted any more");
        if let Some(log) = &self.0.log {
            let (functions, transaction) = {
                let state = self.state();
                if state.closed {
                    return Err(unwanted());
                }
                (state.functions.clone(), state.transaction)
            };
            log.sending(&LoggedRequest {
                functions: &functions,
                transaction,
                clock_offset,
            })?;
        }
        let mut state = self.state();
        if state.closed {
            let was = state.phase;
            drop(state);
            if was == Phase::Open {
                self.log(|_| (WriteOutcome::NotStored, "not sent"));
            }
            return Err(unwanted());
        }
        let before = std::mem::replace(&mut state.phase, Phase::Sent);
        Ok(Box::new(Departure {
            progress: self,
            before,
        }))
    }
}

fn ids(functions: &[LoggedFunction]) -> Vec<String> {
    functions
        .iter()
        .map(|function| function.control_id.clone())
        .collect()
}
