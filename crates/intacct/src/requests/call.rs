//! A logical request: the functions that travel in one document.

use super::agreement::AskedPage;
use crate::config::DtdVersion;
use crate::error::Error;
use crate::response::{Extent, RowColumns};

/// Functions that travel in one request. The first is the one that the request is about.
pub(crate) struct Call<'a> {
    pub function: &'a str,
    pub object: Option<&'a str>,
    pub dtd_version: DtdVersion,
    pub functions: Vec<CallFunction<'a>>,
}

/// One of them.
pub(crate) struct CallFunction<'a> {
    /// The function element.
    pub body: String,
    /// The columns of its rows; `None` for an answer as a tree.
    pub columns: Option<RowColumns<'a>>,
    /// The page that it asks for, which the answer must agree with.
    pub page: Option<AskedPage<'a>>,
    /// How much it may answer.
    pub extent: Extent,
    /// What it counts for in a contract: one for a page or a definition, one for each record that it writes.
    pub calls: u64,
}

impl Call<'_> {
    /// Calls in the whole request.
    pub(super) fn calls(&self) -> u64 {
        self.functions.iter().map(|function| function.calls).sum()
    }
}

/// What makes a call one that writes.
pub(crate) struct Writing<'a> {
    /// All functions or none.
    pub transaction: bool,
    /// Records that it writes.
    pub records: usize,
    /// Control ids of the functions: the same in every try, so that the gateway can recognize a repetition.
    pub ids: &'a [String],
    /// What each try passes before it is sent, and which keeps whether the gateway may have executed the call.
    pub guard: &'a dyn SendGuard,
}

/// Decides whether a try of a call that writes is sent, and records what is known of it.
pub(crate) trait SendGuard: Sync {
    /// A try is about to be sent. `clock_offset` is what the gateway's clock is ahead of this machine's, in
    /// milliseconds, where it is known.
    ///
    /// # Errors
    /// The write is no longer needed, or the record that must be written before it cannot be.
    fn depart(&self, clock_offset: Option<i64>) -> Result<Box<dyn Departed + '_>, Error>;
}

/// A try that was sent.
pub(crate) trait Departed: Send + Sync {
    /// The gateway executed nothing of it, provably.
    fn not_run(&self);
}
