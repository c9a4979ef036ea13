//! Writer of the log: the I/O thread before each request and after each outcome.

use super::directory::is_disk_full;
use super::file::LogFile;
use super::record::{Ended, LogRecord, Sent, WriteConnection, now};
use crate::options::{role_name, server_name};
use intacct::write::{LoggedRequest, WriteLog, WriteOutcome};
use intacct::{Config, Error, ErrorKind};
use pgrx::pg_sys;
use std::io;

/// Writes the records of one write.
pub struct Writer {
    file: LogFile,
    /// What all requests of the write have in common.
    sent: Sent,
}

impl Writer {
    /// The writer for requests to a server. Main thread only.
    pub fn new(server: pg_sys::Oid, config: &Config) -> Writer {
        // SAFETY: main thread; reads what was set when the server and the session started.
        let (role, start) = unsafe { (pg_sys::GetUserId(), pg_sys::PgStartTime) };
        Writer {
            file: super::log_file(),
            sent: Sent {
                pid: std::process::id(),
                start,
                role: role_name(role),
                role_oid: role.to_u32(),
                server: server_name(server),
                server_oid: server.to_u32(),
                connection: WriteConnection::of(config),
                ..Sent::default()
            },
        }
    }
}

impl WriteLog for Writer {
    fn sending(&self, request: &LoggedRequest<'_>) -> Result<(), Error> {
        let sent = Sent {
            at: now(),
            transaction: request.transaction,
            clock: request.clock_offset,
            functions: request.functions.to_vec(),
            ..self.sent.clone()
        };
        self.file
            .append(&LogRecord::Sent(Box::new(sent)), true)
            .map_err(|error| {
                let disk_full = is_disk_full(&error);
                Error::new(
                    ErrorKind::NotLogged { disk_full },
                    format!(
                        "could not write to the write log \"{}\": {error}",
                        self.file.path().display()
                    ),
                )
            })
    }

    fn ended(&self, outcomes: &[(&str, WriteOutcome, &'static str)]) {
        let functions = outcomes
            .iter()
            .map(|(id, outcome, reason)| ((*id).to_owned(), *outcome, (*reason).to_owned()));
        // A record that is lost leaves its entry in doubt, which a look-up settles.
        let _ = end(&self.file, functions.collect());
    }
}

fn end(file: &LogFile, functions: Vec<(String, WriteOutcome, String)>) -> io::Result<()> {
    file.append(&LogRecord::Ended(Ended { at: now(), functions }), false)
}

/// Writes down what look-ups have settled. Main thread only.
///
/// # Errors
/// Of the file system.
pub fn settle(functions: Vec<(String, WriteOutcome, String)>) -> io::Result<()> {
    end(&super::log_file(), functions)
}
