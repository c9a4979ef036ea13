//! Entries of the log, as read from its records: one entry for each function, with its outcome.

use super::frame;
use super::record::{LogHeader, LogRecord, Sent};
use intacct::write::{LoggedFunction, WriteOutcome};
use std::collections::HashMap;
use std::sync::Arc;

/// A function that was sent, or was about to be.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// The request that it first left in, of the tries that may have been executed.
    pub sent: Arc<Sent>,
    /// When it last left.
    pub last_sent: i64,
    /// The function.
    pub function: LoggedFunction,
    /// What became of it; none while nothing is known.
    pub outcome: Option<WriteOutcome>,
    /// Why.
    pub reason: String,
    /// When the outcome was known, in microseconds since 1970.
    pub outcome_at: Option<i64>,
    /// Whose log it is from.
    pub header: Arc<LogHeader>,
    /// It is of this cluster and database.
    pub is_own: bool,
}

impl LogEntry {
    /// Whether it is known what became of it.
    pub fn is_settled(&self) -> bool {
        matches!(self.outcome, Some(WriteOutcome::Stored | WriteOutcome::NotStored))
    }
}

/// The entries of a file, in the order in which they first left. Records that are torn or not understood are skipped.
pub fn read(bytes: &[u8], header: &LogHeader, is_own: bool) -> Vec<LogEntry> {
    let header = Arc::new(header.clone());
    let mut entries: Vec<LogEntry> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let (texts, _) = frame::records(bytes);
    for text in texts {
        match serde_json::from_str(text) {
            Ok(LogRecord::Sent(mut sent)) => {
                let functions = std::mem::take(&mut sent.functions);
                let sent: Arc<Sent> = Arc::from(sent);
                for function in functions {
                    match known.get(&function.control_id) {
                        Some(at) => leaves_again(&mut entries[*at], &sent),
                        None => {
                            known.insert(function.control_id.clone(), entries.len());
                            entries.push(LogEntry {
                                last_sent: sent.at,
                                sent: Arc::clone(&sent),
                                function,
                                outcome: None,
                                reason: String::new(),
                                outcome_at: None,
                                header: Arc::clone(&header),
                                is_own,
                            });
                        }
                    }
                }
            }
            Ok(LogRecord::Ended(ended)) => {
                for (id, outcome, reason) in ended.functions {
                    let Some(at) = known.get(&id) else { continue };
                    let entry = &mut entries[*at];
                    // What is settled does not come into doubt again.
                    if !(outcome == WriteOutcome::InDoubt && entry.is_settled()) {
                        entry.outcome = Some(outcome);
                        entry.reason = reason;
                        entry.outcome_at = Some(ended.at);
                    }
                }
            }
            Ok(LogRecord::Header(_)) | Err(_) => {}
        }
    }
    entries
}

fn leaves_again(entry: &mut LogEntry, sent: &Arc<Sent>) {
    if entry.is_settled() {
        // The tries before were not executed.
        entry.sent = Arc::clone(sent);
    }
    entry.last_sent = sent.at;
    entry.outcome = None;
    entry.reason.clear();
    entry.outcome_at = None;
}

#[cfg(test)]
mod tests {
    use super::super::record::Ended;
    use super::*;
    use WriteOutcome::{InDoubt, NotStored, Stored};

    fn sent(at: i64, ids: &[&str]) -> LogRecord {
        let functions = ids.iter().map(|id| LoggedFunction {
            control_id: (*id).into(),
            ..LoggedFunction::default()
        });
        LogRecord::Sent(Box::new(Sent {
            at,
            functions: functions.collect(),
            ..Sent::default()
        }))
    }

    fn ended(at: i64, id: &str, outcome: WriteOutcome) -> LogRecord {
        LogRecord::Ended(Ended {
            at,
            functions: vec![(id.into(), outcome, "why".into())],
        })
    }

    fn outcomes(records: &[LogRecord]) -> Vec<(i64, i64, Option<WriteOutcome>)> {
        let mut bytes = Vec::new();
        for record in records {
            frame::push(&mut bytes, &serde_json::to_string(record).expect("JSON"));
        }
        let header = LogHeader {
            version: 1,
            system_identifier: String::new(),
            timeline: 1,
            data_directory: String::new(),
            database_oid: 1,
            database: String::new(),
        };
        let entries = read(&bytes, &header, true);
        entries
            .iter()
            .map(|entry| (entry.sent.at, entry.last_sent, entry.outcome))
            .collect()
    }

    #[test]
    fn the_last_word_counts_and_doubt_does_not_undo_knowledge() {
        assert_eq!(outcomes(&[sent(1, &["a"])]), [(1, 1, None)]);
        assert_eq!(
            outcomes(&[
                sent(1, &["a", "b"]),
                ended(2, "a", Stored),
                ended(3, "a", InDoubt),
                ended(4, "x", Stored)
            ]),
            [(1, 1, Some(Stored)), (1, 1, None)]
        );
        assert_eq!(
            outcomes(&[sent(1, &["a"]), ended(2, "a", InDoubt), ended(3, "a", Stored)]),
            [(1, 1, Some(Stored))]
        );
        // Not executed, and sent again: in doubt since then.
        assert_eq!(
            outcomes(&[sent(1, &["a"]), ended(2, "a", NotStored), sent(3, &["a"])]),
            [(3, 3, None)]
        );
        // In doubt, and sent again: in doubt since the first time.
        assert_eq!(
            outcomes(&[sent(1, &["a"]), ended(2, "a", InDoubt), sent(3, &["a"])]),
            [(1, 3, None)]
        );
    }
}
