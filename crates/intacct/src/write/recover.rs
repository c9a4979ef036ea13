//! What became of an operation whose answer was lost or contradicts itself: found out by reading, and by one more try.

use super::operation::Operation;
use super::readback::{Seen, look};
use super::run::Run;
use super::verdict::Ended;
use super::{RowWritten, Verb, WriteFailure};
use crate::error::{Error, ErrorKind};
use std::sync::atomic::AtomicBool;

impl Run<'_> {
    /// A refusal beside which something is said to be stored: was all of it rolled back?
    pub(super) async fn settle_dispute(
        &mut self,
        operation: &Operation,
        error: Error,
        row: Option<usize>,
    ) -> WriteFailure {
        match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen) if seen.iter().all(|seen| *seen == Seen::Untouched) => {
                self.refuse(error, row, Vec::new())
            }
            _ => self.unknown(error, "though the gateway names records as stored"),
        }
    }

    /// An operation whose answer was lost, executed whole or not at all.
    pub(super) async fn find_out(
        &mut self,
        operation: &Operation,
        bodies: &[String],
        lost: Error,
    ) -> Result<(), WriteFailure> {
        let seen = match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen) => seen,
            Err(unread) => return Err(self.unknown(lost, &format!("and reading it back failed: {unread}"))),
        };
        if let Some(rows) = all_done(&seen) {
            return self.accept(operation, rows).await;
        }
        if !self.is_untouched(operation, &seen) {
            return Err(self.unknown(lost, "and what is stored does not tell"));
        }
        // The control ids of the first try: should it have come through after all, this one is refused.
        let uncertain = AtomicBool::new(false);
        let ended = match self.send(operation, bodies, &uncertain).await {
            Ok(answers) => self.judge(operation, answers),
            Err(error) => Ended::Doubtful(error),
        };
        let (error, refused_row) = match ended {
            Ended::Stored(rows) => return self.accept(operation, rows).await,
            Ended::Refused { error, row, .. } => (error, Some(row)),
            Ended::Disputed { error, .. } | Ended::Doubtful(error) => (error, None),
        };
        let seen = match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen) => seen,
            Err(unread) => {
                let also = format!("the second try failed ({error}), and reading it back too: {unread}");
                return Err(self.unknown(lost, &also));
            }
        };
        if let Some(rows) = all_done(&seen) {
            return self.accept(operation, rows).await;
        }
        // A refusal for what the records hold would have met the first try as well.
        let of_content = matches!(
            error.kind(),
            ErrorKind::MissingRequired
                | ErrorKind::BadReference
                | ErrorKind::Permission
                | ErrorKind::UnknownObject
        );
        match refused_row {
            Some(row) if of_content && self.is_untouched(operation, &seen) => {
                Err(self.refuse(error, row, Vec::new()))
            }
            _ => Err(self.unknown(lost, &format!("and the second try failed: {error}"))),
        }
    }

    /// Whether everything is as if the operation had never been executed, so that it may be sent again. Updates may be
    /// there already: they set the same values again.
    fn is_untouched(&self, operation: &Operation, seen: &[Seen]) -> bool {
        operation.rows.clone().zip(seen).all(|(row, seen)| match seen {
            Seen::Untouched => true,
            Seen::Done(_) => self.changes[row].verb == Verb::Update,
            Seen::Other | Seen::Unclear => false,
        })
    }

    /// Functions executed each for itself whose answer was lost.
    pub(super) async fn find_out_each(
        &mut self,
        operation: &Operation,
        bodies: &[String],
        lost: Error,
    ) -> Result<(), WriteFailure> {
        let seen = match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen) => seen,
            Err(unread) => return Err(self.unknown(lost, &format!("and reading it back failed: {unread}"))),
        };
        if seen.contains(&Seen::Unclear) {
            return Err(self.unknown(lost, "and what is stored does not tell"));
        }
        let mut rows: Vec<RowWritten> = seen.iter().map(row_seen).collect();
        let missing: Vec<usize> = (0..seen.len())
            .filter(|at| seen[*at] == Seen::Untouched)
            .collect();
        if missing.is_empty() {
            return self.accept(operation, rows).await;
        }
        let again = Operation {
            rows: operation.rows.clone(),
            functions: missing
                .iter()
                .map(|at| operation.functions[*at].clone())
                .collect(),
        };
        let bodies: Vec<String> = missing.iter().map(|at| bodies[*at].clone()).collect();
        let uncertain = AtomicBool::new(false);
        let ended = match self.send(&again, &bodies, &uncertain).await {
            Ok(answers) => self.judge(&again, answers),
            Err(error) => Ended::Doubtful(error),
        };
        let error = match ended {
            Ended::Stored(stored) => {
                let all = stored.iter().all(|row| row.stored);
                for (at, row) in missing.into_iter().zip(stored) {
                    rows[at] = row;
                }
                if all {
                    return self.accept(operation, rows).await;
                }
                None
            }
            Ended::Refused { error, .. } | Ended::Disputed { error, .. } | Ended::Doubtful(error) => {
                Some(error)
            }
        };
        // A duplicate may be the record of the first try, which came through after all.
        match look(self.client, self.changes, operation.rows.clone()).await {
            Ok(seen)
                if !seen
                    .iter()
                    .any(|seen| matches!(seen, Seen::Untouched | Seen::Unclear)) =>
            {
                self.accept(operation, seen.iter().map(row_seen).collect()).await
            }
            Ok(_) => {
                let why = error.map_or_else(String::new, |error| format!(": {error}"));
                Err(self.unknown(lost, &format!("and the second try does not tell{why}")))
            }
            Err(unread) => Err(self.unknown(lost, &format!("and reading it back failed: {unread}"))),
        }
    }

    /// Nobody knows what is stored of the current operation.
    fn unknown(&self, lost: Error, also: &str) -> WriteFailure {
        let message = format!("the outcome of the write is not known: {lost}, {also}");
        let error = lost.with_kind(ErrorKind::OutcomeUnknown).with_message(message);
        self.journal.failure(error)
    }
}

fn row_seen(seen: &Seen) -> RowWritten {
    match seen {
        Seen::Done(keys) => RowWritten {
            stored: true,
            keys: keys.clone(),
        },
        _ => RowWritten::default(),
    }
}

fn all_done(seen: &[Seen]) -> Option<Vec<RowWritten>> {
    let done = seen.iter().all(|seen| matches!(seen, Seen::Done(_)));
    done.then(|| seen.iter().map(row_seen).collect())
}
