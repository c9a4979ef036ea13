//! How many calls some work may take, whatever number of requests and clients it uses.

use crate::calls::is_exempt;
use crate::error::{Error, ErrorKind};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A bound on the calls of some work. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct CallBound {
    spent: Arc<AtomicU64>,
    most: Option<u64>,
}

tokio::task_local! {
    static LIMIT: CallBound;
}

impl CallBound {
    /// The same count under another bound; without one, calls are counted only.
    pub fn at_most(&self, most: Option<u64>) -> CallBound {
        CallBound {
            spent: self.spent.clone(),
            most,
        }
    }

    /// Runs `work`: a request that would exceed the bound is not sent, and fails with [`ErrorKind::TooManyCalls`]. What looks
    /// up a write that was sent is counted, and never refused.
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        LIMIT.scope(self, work).await
    }

    /// Calls sent so far, repetitions included.
    pub fn spent(&self) -> u64 {
        self.spent.load(SeqCst)
    }

    fn spend(&self, calls: u64) -> Result<(), Error> {
        let most = self.most.unwrap_or(u64::MAX);
        let free = calls == 0 || is_exempt();
        let fits = |spent: u64| spent.checked_add(calls).filter(|sum| free || *sum <= most);
        match self.spent.fetch_update(SeqCst, SeqCst, fits) {
            Ok(_) => Ok(()),
            Err(spent) => {
                let message = match calls {
                    1 => format!("the statement takes more than {most} calls: {spent} were sent"),
                    _ => format!(
                        "the statement takes more than {most} calls: {spent} were sent, and the next request holds {calls}"
                    ),
                };
                Err(Error::new(ErrorKind::TooManyCalls, message))
            }
        }
    }
}

/// Counts the calls of a request that is about to be sent.
///
/// # Errors
/// Of kind [`ErrorKind::TooManyCalls`]: they are more than the current work may take.
pub(crate) fn spend(calls: u64) -> Result<(), Error> {
    LIMIT.try_with(|limit| limit.spend(calls)).unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_fits_whole_or_not_at_all() {
        let count = CallBound::default();
        let work = async || (spend(2), spend(2), spend(1), spend(0), spend(1));
        let (two, four, three, none, one_more) = count.at_most(Some(3)).run(work()).await;
        assert!(two.is_ok() && three.is_ok() && none.is_ok());
        for refused in [four, one_more] {
            assert_eq!(*refused.expect_err("too many").kind(), ErrorKind::TooManyCalls);
        }
        assert_eq!(count.spent(), 3);
        assert!(count.at_most(None).run(async { spend(7) }).await.is_ok());
        assert_eq!(count.spent(), 10);
        assert!(spend(1_000_000).is_ok(), "outside of any bound");
    }
}
