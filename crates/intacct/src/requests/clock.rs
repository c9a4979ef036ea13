//! The gateway's clock beside this machine's.

use std::sync::{Mutex, PoisonError};

/// What the gateway's clock is ahead of this machine's, from the last sign-in.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Option<i64>>);

impl Clock {
    /// The gateway has just said that it is this time there.
    pub(super) fn compare(&self, there: jiff::Timestamp) {
        let offset = there.as_millisecond() - jiff::Timestamp::now().as_millisecond();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset);
    }

    /// Another process has compared.
    pub(super) fn set(&self, offset: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset);
    }

    /// In milliseconds; short by the second that the gateway cuts off and by the time that its answer took.
    pub(super) fn offset(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
