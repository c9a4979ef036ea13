//! What became of an operation whose answer was lost or contradicts itself: found out by reading, and by one more try
//! under the same control ids, which the gateway executes at most once.

use super::attempt::{Attempt, Run};
use super::operation::Operation;
use super::readback::{Age, Seen, look, may_be_repeated};
use super::verdict::Ended;
use super::{RowWritten, Verb, WriteFailure};
use crate::error::{Error, ErrorKind};

/// Why it is not known what is stored.
pub(super) enum Doubt {
    /// No answer, or none that can be read.
    Lost(Error),
    /// A refusal that does not say that nothing was executed, and the row at fault.
    Disputed(Error, Option<usize>),
    /// The gateway says that these control ids were executed before: a proxy may have sent the request twice, or the
    /// gateway executed a try that it said was none.
    Executed(Error),
}

impl Doubt {
    pub(super) fn error(&self) -> &Error {
        match self {
            Doubt::Lost(error) | Doubt::Disputed(error, _) | Doubt::Executed(error) => error,
        }
    }
}

impl Run<'_> {
    /// An operation executed whole or not at all.
    pub(super) async fn find_out(&mut self, attempt: &Attempt<'_>, doubt: Doubt) -> Result<(), WriteFailure> {
        let operation = attempt.operation;
        let executed = matches!(doubt, Doubt::Executed(_));
        let repeatable = operation
            .rows
            .clone()
            .all(|row| may_be_repeated(&self.changes[row]));
        let lost = doubt.error().clone();
        // Where a second try can show it, it does so sooner than a replica that lags behind.
        let until_found = executed || !repeatable;
        let seen = match self.look(attempt, until_found, executed).await {
            Ok(seen) => seen,
            Err(unread) => return Err(self.unknown(lost, &format!("and reading it back failed: {unread}"))),
        };
        if let Some(rows) = all_done(&seen, executed) {
            return self.accept(operation, rows).await;
        }
        if executed {
            return Err(self.unknown(lost, "and the records are not there as they were sent"));
        }
        if !repeatable || seen.contains(&Seen::Unclear) {
            let untouched = seen.iter().all(|seen| *seen == Seen::Untouched);
            return Err(match doubt {
                Doubt::Disputed(error, row) if untouched => self.refuse(error, row),
                _ => self.unknown(lost, "and what is stored does not show it"),
            });
        }
        self.try_again(attempt, lost, seen).await
    }

    /// Sends an operation once more, under the control ids of the first try: should that have come through after all,
    /// this one is refused. When this answer is lost too and the records are there, the gateway is asked a third time
    /// whether they are ours. `before` is what was seen before.
    async fn try_again(
        &mut self,
        attempt: &Attempt<'_>,
        lost: Error,
        before: Vec<Seen>,
    ) -> Result<(), WriteFailure> {
        let operation = attempt.operation;
        let deletes = operation
            .rows
            .clone()
            .any(|row| self.changes[row].verb == Verb::Delete);
        let mut tries = 2;
        loop {
            tries -= 1;
            let ended = match self.send(operation, attempt.bodies).await {
                Ok(answers) => self.judge(operation, answers),
                Err(error) => Ended::Doubtful(error),
            };
            let executed = matches!(ended, Ended::Executed(_));
            let unanswered = matches!(ended, Ended::Doubtful(_));
            let (error, refused_row) = match ended {
                Ended::Stored(rows) => return self.accept(operation, rows).await,
                Ended::Refused { error, row } => (error, Some(row)),
                Ended::Disputed { error, .. } | Ended::Doubtful(error) | Ended::Executed(error) => {
                    (error, None)
                }
                Ended::Each(_) => (Error::new(ErrorKind::Internal, "answers one by one"), None),
            };
            let until_found = executed || (refused_row.is_some() && deletes);
            let mut seen = match self.look(attempt, until_found, executed).await {
                Ok(seen) => seen,
                Err(unread) => {
                    let also = format!("the second try failed ({error}), and reading it back too: {unread}");
                    return Err(self.unknown(lost, &also));
                }
            };
            if unanswered {
                // What was not there before this try, and is now as it was sent, came by it.
                for (seen, before) in seen.iter_mut().zip(&before) {
                    if let (Seen::Same(Age::Unknown, keys), Seen::Untouched) = (&*seen, before) {
                        *seen = Seen::Done(keys.clone());
                    }
                }
            }
            if let Some(rows) = all_done(&seen, executed) {
                return self.accept(operation, rows).await;
            }
            let is_there = seen
                .iter()
                .any(|seen| matches!(seen, Seen::Same(Age::Unknown, _)));
            if unanswered && is_there && tries > 0 {
                continue;
            }
            return match refused_row {
                Some(row) if self.would_refuse_both(operation, &error, &seen) => Err(self.refuse(error, row)),
                _ if executed => Err(self.unknown(lost, "and the records are not there as they were sent")),
                _ => Err(self.unknown(lost, &format!("and the second try failed: {error}"))),
            };
        }
    }

    /// Whether the refusal of the second try would have met the first as well: for what the records hold. A duplicate
    /// may be the record of the first.
    fn would_refuse_both(&self, operation: &Operation, error: &Error, seen: &[Seen]) -> bool {
        let deletes = operation
            .rows
            .clone()
            .any(|row| self.changes[row].verb == Verb::Delete);
        seen.iter().all(|seen| *seen == Seen::Untouched)
            && match error.kind() {
                ErrorKind::MissingRequired | ErrorKind::Permission | ErrorKind::UnknownObject => true,
                // The first try may have deleted what the second does not find.
                ErrorKind::BadReference | ErrorKind::Refused => !deletes,
                _ => false,
            }
    }

    /// Looks for the changes of an operation; when `until_found`, until they are there or a bounded time has passed: a
    /// replica may lag behind.
    pub(super) async fn look(
        &self,
        attempt: &Attempt<'_>,
        until_found: bool,
        executed: bool,
    ) -> Result<Vec<Seen>, Error> {
        let rows = || attempt.operation.rows.clone();
        let mut seen = look(self.client, self.changes, rows(), attempt.sent).await;
        let mut waits = self.client.requester().waits_of_read_back();
        if !until_found {
            return seen;
        }
        loop {
            // What cannot be looked for does not appear by waiting.
            let waits_for = |seen: &Seen| matches!(seen, Seen::Untouched);
            let lags = |seen: &Vec<Seen>| all_done(seen, executed).is_none() && seen.iter().any(waits_for);
            let wait = waits.next().filter(|_| seen.as_ref().map_or(true, lags));
            let Some(wait) = wait else { return seen };
            tokio::time::sleep(wait).await;
            seen = look(self.client, self.changes, rows(), attempt.sent).await;
        }
    }

    /// It is not known what is stored of the current operation.
    pub(super) fn unknown(&self, lost: Error, also: &str) -> WriteFailure {
        let message = format!("the outcome of the write is not known: {lost}, {also}");
        let error = lost.with_kind(ErrorKind::OutcomeUnknown).with_message(message);
        self.progress.failure(error)
    }
}

/// A row that is there as it was sent. `executed`: the gateway says that this very control id was executed, so that a
/// record that was not there before is ours.
pub(super) fn done(seen: &Seen, executed: bool) -> Option<RowWritten> {
    match seen {
        Seen::Done(keys) => Some(keys),
        Seen::Same(Age::After | Age::Unknown, keys) if executed => Some(keys),
        _ => None,
    }
    .map(|keys| RowWritten {
        stored: true,
        keys: keys.clone(),
    })
}

fn all_done(seen: &[Seen], executed: bool) -> Option<Vec<RowWritten>> {
    seen.iter().map(|seen| done(seen, executed)).collect()
}
