//! Records that are left out when they are there already: each is a function of its own, executed for itself.

use super::attempt::{Attempt, Run};
use super::fetch::{fetch, fetch_folded};
use super::operation::Operation;
use super::readback::{Age, Seen, looked_for, may_be_repeated};
use super::recover::done;
use super::verdict::{Ended, Judged, folded, words};
use super::{Change, RowWritten, WriteFailure, WriteTarget};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use std::collections::HashMap;

/// What is known of a row.
enum Row {
    /// Stored, or left out because its own key was found.
    Settled(RowWritten),
    Refused(Error),
    Doubtful(Error),
}

impl Run<'_> {
    /// The answers to the first try came.
    pub(super) async fn settle_each(
        &mut self,
        attempt: &Attempt<'_>,
        judged: Vec<Judged>,
    ) -> Result<(), WriteFailure> {
        let left_out = match self.keys_found(attempt.operation, &judged).await {
            Ok(found) => found,
            Err(unread) => {
                let also = format!("and whether refused rows are there already cannot be read: {unread}");
                return Err(self.end_each(attempt, self.without_look(judged, &also)));
            }
        };
        let in_doubt = |judged: &Judged| matches!(judged, Judged::Executed(_) | Judged::Disputed(_));
        let seen = match judged.iter().any(in_doubt) {
            true => self.look(attempt, true, true).await.unwrap_or_default(),
            false => Vec::new(),
        };
        let rows = judged.into_iter().enumerate().map(|(at, judged)| match judged {
            Judged::Stored(row) => Row::Settled(row),
            Judged::Refused(_) if left_out[at] => Row::Settled(RowWritten::default()),
            Judged::Refused(error) => Row::Refused(error),
            Judged::Executed(error) => match seen.get(at).and_then(|seen| done(seen, true)) {
                Some(row) => Row::Settled(row),
                None => Row::Doubtful(error),
            },
            Judged::Disputed(error) => match seen.get(at) {
                Some(Seen::Done(keys)) => Row::Settled(stored(keys)),
                Some(Seen::Untouched) => Row::Refused(error),
                Some(Seen::Same(Age::Before, _) | Seen::Other(Age::Before)) => {
                    Row::Settled(RowWritten::default())
                }
                _ => Row::Doubtful(error),
            },
        });
        let rows: Vec<Row> = rows.collect();
        self.close_each(attempt, rows).await
    }

    /// The answer was lost.
    pub(super) async fn find_out_each(
        &mut self,
        attempt: &Attempt<'_>,
        lost: Error,
    ) -> Result<(), WriteFailure> {
        let operation = attempt.operation;
        let seen = match self.look(attempt, false, false).await {
            Ok(seen) => seen,
            Err(unread) => return Err(self.unknown(lost, &format!("and reading it back failed: {unread}"))),
        };
        let mut rows: Vec<Row> = seen
            .iter()
            .map(|seen| match seen {
                Seen::Done(keys) => Row::Settled(stored(keys)),
                Seen::Same(Age::Before, _) | Seen::Other(Age::Before) => Row::Settled(RowWritten::default()),
                _ => Row::Doubtful(lost.clone()),
            })
            .collect();
        let again: Vec<usize> = (0..rows.len())
            .filter(|at| matches!(rows[*at], Row::Doubtful(_)) && seen[*at] != Seen::Unclear)
            .filter(|at| may_be_repeated(&self.changes[operation.rows.start + at]))
            .collect();
        if again.is_empty() {
            return self.close_each(attempt, rows).await;
        }
        // Under the control ids of the first try: what came through after all is refused.
        let second = Operation {
            rows: operation.rows.clone(),
            functions: again.iter().map(|at| operation.functions[*at].clone()).collect(),
        };
        let bodies: Vec<String> = again.iter().map(|at| attempt.bodies[*at].clone()).collect();
        let judged: Vec<Judged> = match self.send(&second, &bodies).await {
            Ok(answers) => match self.judge(&second, answers) {
                Ended::Each(judged) => judged,
                _ => Vec::new(),
            },
            Err(_) => Vec::new(),
        };
        let executed = judged.iter().any(|judged| matches!(judged, Judged::Executed(_)));
        let seen = match self.look(attempt, executed, executed).await {
            Ok(seen) => seen,
            Err(unread) => return Err(self.unknown(lost, &format!("and reading it back failed: {unread}"))),
        };
        let mut judged = judged.into_iter();
        for at in again {
            let seen = &seen[at];
            rows[at] = match judged.next() {
                Some(Judged::Stored(row)) => Row::Settled(row),
                Some(Judged::Executed(error)) => match done(seen, true) {
                    Some(row) => Row::Settled(row),
                    None => Row::Doubtful(error),
                },
                refused => match (seen, refused) {
                    (Seen::Done(keys), _) => Row::Settled(stored(keys)),
                    (Seen::Same(Age::Before, _) | Seen::Other(Age::Before), _) => {
                        Row::Settled(RowWritten::default())
                    }
                    // It would have met the first try as well.
                    (Seen::Untouched, Some(Judged::Refused(error))) if of_content(&error) => {
                        Row::Refused(error)
                    }
                    (_, Some(Judged::Refused(error) | Judged::Disputed(error))) => Row::Doubtful(error),
                    _ => Row::Doubtful(lost.clone()),
                },
            };
        }
        self.close_each(attempt, rows).await
    }

    async fn close_each(&mut self, attempt: &Attempt<'_>, rows: Vec<Row>) -> Result<(), WriteFailure> {
        if rows.iter().all(|row| matches!(row, Row::Settled(_))) {
            let rows = rows.into_iter().filter_map(|row| match row {
                Row::Settled(row) => Some(row),
                _ => None,
            });
            return self.accept(attempt.operation, rows.collect()).await;
        }
        Err(self.end_each(attempt, rows))
    }

    /// The failure of rows of which some are refused or in doubt.
    fn end_each(&mut self, attempt: &Attempt<'_>, rows: Vec<Row>) -> WriteFailure {
        let first = attempt.operation.rows.start;
        let (mut certain, mut possible) = (Vec::new(), Vec::new());
        let (mut refused, mut doubtful) = (None, None);
        for (at, row) in rows.into_iter().enumerate() {
            match row {
                Row::Settled(row) if row.stored => certain.push(first + at),
                Row::Settled(_) => {}
                Row::Refused(error) => refused = refused.or(Some((error, first + at))),
                Row::Doubtful(error) => {
                    possible.push(first + at);
                    doubtful = doubtful.or(Some(error));
                }
            }
        }
        self.progress.partly(&certain, &possible);
        match (doubtful, refused) {
            (Some(error), _) => {
                let message = format!("the outcome of the write is not known: {error}");
                let error = error.with_kind(ErrorKind::OutcomeUnknown).with_message(message);
                self.progress.failure(error)
            }
            (None, Some((error, row))) => self.refuse(error, Some(row)),
            (None, None) => self
                .progress
                .failure(Error::new(ErrorKind::Internal, "no row failed")),
        }
    }

    /// What the answers show when nothing can be read.
    fn without_look(&self, judged: Vec<Judged>, also: &str) -> Vec<Row> {
        let rows = judged.into_iter().map(|judged| match judged {
            Judged::Stored(row) => Row::Settled(row),
            Judged::Refused(error) => {
                let message = format!("{error}, {also}");
                Row::Refused(error.with_message(message))
            }
            Judged::Disputed(error) | Judged::Executed(error) => Row::Doubtful(error),
        });
        rows.collect()
    }

    /// Which refused rows are there by their own keys: whatever the number of the refusal, only then is a row left out.
    async fn keys_found(&self, operation: &Operation, judged: &[Judged]) -> Result<Vec<bool>, Error> {
        let mut found = vec![false; judged.len()];
        let refused: Vec<(usize, &Error)> = judged
            .iter()
            .enumerate()
            .filter_map(|(at, judged)| match judged {
                Judged::Refused(error) if of_record(error) => Some((at, error)),
                _ => None,
            })
            .collect();
        // A replica may lag behind a record of a moment ago.
        let mut waits = self.client.requester().waits_of_read_back();
        loop {
            let missing: Vec<(usize, &Error)> =
                refused.iter().copied().filter(|(at, _)| !found[*at]).collect();
            let changes: Vec<(&Change, &Error)> = missing
                .iter()
                .map(|(at, error)| (&self.changes[operation.rows.start + at], *error))
                .collect();
            for ((at, _), is_there) in missing.iter().zip(own_keys(self.client, &changes).await?) {
                found[*at] = is_there;
            }
            let lags = refused
                .iter()
                .any(|(at, error)| !found[*at] && *error.kind() == ErrorKind::Duplicate);
            let wait = waits.next().filter(|_| lags);
            let Some(wait) = wait else { return Ok(found) };
            tokio::time::sleep(wait).await;
        }
    }
}

/// Whether each record to be created is there by its own key.
async fn own_keys(client: &Client, changes: &[(&Change, &Error)]) -> Result<Vec<bool>, Error> {
    let mut found = vec![false; changes.len()];
    let mut by_key: HashMap<(&WriteTarget, &str), Vec<(usize, &str)>> = HashMap::new();
    for (at, (change, _)) in changes.iter().enumerate() {
        if let Some((field, key)) = looked_for(change) {
            by_key
                .entry((&*change.target, field))
                .or_default()
                .push((at, key));
        }
    }
    for ((target, field), rows) in by_key {
        let keys: Vec<&str> = rows.iter().map(|(_, key)| *key).collect();
        let there = fetch(client, target, field, &keys, &[], false).await?;
        let missing: Vec<&str> = keys.iter().copied().filter(|key| there.is_missing(key)).collect();
        let others = match missing.is_empty() {
            true => None,
            false => Some(fetch_folded(client, target, field, &missing, &[]).await?),
        };
        for (at, key) in rows {
            let stored = others.iter().flat_map(|others| others.all());
            let mut stored = stored.filter_map(|record| record[0].as_deref());
            found[at] =
                !there.is_missing(key) || stored.any(|stored| is_same_key(key, stored, changes[at].1));
        }
    }
    Ok(found)
}

/// Whether the gateway made `stored` of a key: trimmed, in another case, or cut. Where it cut it, the refusal names it.
fn is_same_key(key: &str, stored: &str, refusal: &Error) -> bool {
    let (sent, kept) = (folded(key), folded(stored));
    let names_it = || {
        let mut errors = refusal.gateway_errors().iter();
        errors.any(|error| {
            let text = folded(error.text());
            words(&text).contains(kept.as_str()) || text.contains(&format!("'{kept}'"))
        })
    };
    let is_cut = !kept.is_empty() && kept.len() < sent.len() && sent.starts_with(&kept);
    sent == kept || (is_cut && *refusal.kind() == ErrorKind::Duplicate && names_it())
}

/// Whether a refusal may be for the record: not for who asks or how often.
fn of_record(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Duplicate | ErrorKind::MissingRequired | ErrorKind::BadReference | ErrorKind::Refused
    )
}

fn of_content(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::MissingRequired
            | ErrorKind::BadReference
            | ErrorKind::Permission
            | ErrorKind::UnknownObject
            | ErrorKind::Refused
    )
}

fn stored(keys: &[(String, String)]) -> RowWritten {
    RowWritten {
        stored: true,
        keys: keys.to_vec(),
    }
}
