//! Records of the log, as JSON.

use intacct::write::{LoggedFunction, WriteOutcome};
use serde::{Deserialize, Serialize};

/// Version of the form; readers skip what they do not understand.
pub const VERSION: u32 = 1;

/// A record of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "r")]
pub enum LogRecord {
    /// The first one of a file.
    #[serde(rename = "header")]
    Header(LogHeader),
    /// A request is about to leave.
    #[serde(rename = "sent")]
    Sent(Box<Sent>),
    /// What became of functions.
    #[serde(rename = "ended")]
    Ended(Ended),
}

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHeader {
    /// Version of the form.
    pub version: u32,
    /// That of the cluster.
    pub system_identifier: String,
    /// It changes with every promotion.
    pub timeline: u32,
    /// Its place.
    pub data_directory: String,
    /// The database.
    pub database_oid: u32,
    /// Its name when the file was begun.
    pub database: String,
}

impl LogHeader {
    /// Whether two describe one database of one cluster; its name may change.
    pub fn is_same(&self, other: &LogHeader) -> bool {
        self.system_identifier == other.system_identifier
            && self.timeline == other.timeline
            && self.data_directory == other.data_directory
            && self.database_oid == other.database_oid
    }
}

/// A request that was about to leave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When, in microseconds since 1970, on this machine's clock.
    pub at: i64,
    /// The process.
    pub pid: u32,
    /// When its server was started: process ids come again.
    pub start: i64,
    /// The role that wrote.
    pub role: String,
    /// The same by number.
    pub role_oid: u32,
    /// The server.
    pub server: String,
    /// The same by number.
    pub server_oid: u32,
    /// Endpoint, company, user, entity and client: as whom it was written.
    pub connection: WriteConnection,
    /// Its functions are executed all or none.
    pub transaction: bool,
    /// What the gateway's clock was ahead, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<i64>,
    /// What was sent.
    pub functions: Vec<LoggedFunction>,
}

/// As whom requests are sent. No secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteConnection {
    /// Endpoint.
    pub url: String,
    /// Company.
    pub company: String,
    /// Web-services user.
    pub user: String,
    /// Entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Client company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

impl WriteConnection {
    /// That of a client.
    pub fn of(config: &intacct::Config) -> WriteConnection {
        WriteConnection {
            url: config.url.clone(),
            company: config.company_id.clone(),
            user: config.user_id.clone(),
            location: config.location_id.clone(),
            client: config.client_id.clone(),
        }
    }
}

/// What became of functions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ended {
    /// When it was known, in microseconds since 1970.
    pub at: i64,
    /// Control ids, what became of each, and why.
    pub functions: Vec<(String, WriteOutcome, String)>,
}

/// The time, in microseconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
