//! Network I/O of a backend: one thread with its own runtime, and the one place where the backend waits for it.
//!
//! Rules (see `docs/architecture.md`): the I/O thread never calls PostgreSQL, only owned data crosses the boundary, and
//! every wait of the backend goes through [`wait`], which obeys cancel, `statement_timeout` and terminate. Only a write
//! decides for itself what an interrupt means: what has left cannot be taken back ([`run_or`]).

mod log;
mod notifier;
mod signals;
mod stream;
mod thread;
mod wait;

pub use log::{log_line, report as report_lines};
pub use notifier::{has_place, streams};
pub use stream::{Emitter, Ready, Stream, stream};
pub use thread::generation;

use std::future::Future;

/// Runs one future on the I/O thread and waits, interruptibly, for its result.
///
/// `make` is called on the I/O thread, so the future itself need not be `Send`.
///
/// # Errors
/// The future's own error, or [`intacct::ErrorKind::Internal`] when the I/O thread died under it. A cancel, a
/// statement timeout or a terminate does not return: it unwinds, and dropping the stream cancels the future.
pub fn run<T, F>(make: impl FnOnce() -> F + Send + 'static) -> Result<T, intacct::Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, intacct::Error>> + 'static,
{
    let mut results = stream(1, move |emitter: Emitter<T>| async move {
        let value = make().await?;
        emitter.send(value).await;
        Ok(())
    })?;
    results
        .next()?
        .ok_or_else(|| stream::vanished("it ended without a result"))
}

/// The same, but what becomes of interrupts is up to `interrupts`: it ends the wait with what it returns, and the future
/// is cancelled.
///
/// # Errors
/// As [`run`].
pub fn run_or<T, F, S>(
    make: impl FnOnce() -> F + Send + 'static,
    interrupts: impl FnMut() -> Option<S>,
) -> Result<Result<T, S>, intacct::Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, intacct::Error>> + 'static,
{
    let mut results = stream(1, move |emitter: Emitter<T>| async move {
        let value = make().await?;
        emitter.send(value).await;
        Ok(())
    })?;
    match results.next_or(interrupts)? {
        Ok(Some(value)) => Ok(Ok(value)),
        Ok(None) => Err(stream::vanished("it ended without a result")),
        Err(stopped) => Ok(Err(stopped)),
    }
}
