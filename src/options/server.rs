//! Options of a server.

use super::error::OptionError;
use super::values::OptionValues;
use intacct::DtdVersion;
use std::time::Duration;

/// Whose word counts on the gateway's order of text and NULLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// Only orders that are known to be PostgreSQL's are pushed.
    Proven,
    /// The user assumes: text in C order, NULLs last ascending and first descending.
    Binary,
}

/// When writes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// With the statement.
    Immediate,
    /// With the commit.
    OnCommit,
}

/// Which classes of work are pushed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushSwitches {
    /// Conditions.
    pub where_: bool,
    /// Orders.
    pub order: bool,
    /// LIMIT and OFFSET.
    pub limit: bool,
    /// Aggregates and grouping.
    pub aggregates: bool,
    /// Joins.
    pub joins: bool,
    /// Joins with what is not at the gateway, by lists of keys.
    pub lookups: bool,
}

/// Options of a server, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::struct_excessive_bools)]
pub struct ServerOptions {
    /// Company to sign in at.
    pub company_id: String,
    /// First endpoint.
    pub url: String,
    /// Version of the request schema.
    pub dtd_version: DtdVersion,
    /// Entity to sign in at.
    pub location_id: Option<String>,
    /// Client company of a console.
    pub client_id: Option<String>,
    /// Rows of a page.
    pub page_size: u32,
    /// Requests in flight at once.
    pub max_concurrency: usize,
    /// Bound on one request that reads, its retries included.
    pub request_timeout: Duration,
    /// The same for one that writes.
    pub write_timeout: Duration,
    /// Bound on name resolution, TCP and TLS.
    pub connect_timeout: Duration,
    /// Repetitions of a failed read.
    pub max_retries: u32,
    /// Backends share a session.
    pub share_sessions: bool,
    /// Zone of the gateway's timestamps; none takes the user's offset.
    pub time_zone: Option<String>,
    /// Whose word counts on the gateway's order.
    pub ordering: Ordering,
    /// What is pushed down.
    pub push: PushSwitches,
    /// LEFT joins along dotted paths too.
    pub push_left_joins: bool,
    /// Rows private to an entity too.
    pub show_private: bool,
    /// The server's option is off: no table asks for them.
    pub hides_private: bool,
    /// Check pushed groups against the row count.
    pub verify_aggregates: bool,
    /// Tables may be written.
    pub updatable: bool,
    /// When writes are sent.
    pub write_mode: WriteMode,
    /// Rows of one create, update or delete.
    pub batch_size: u32,
    /// Rows that one statement may write; 0 is no bound.
    pub max_rows_per_statement: u32,
    /// Calls of a day; 0 is no bound.
    pub max_calls_per_day: u32,
    /// Rows that were modified since they were read are not written.
    pub match_unmodified: bool,
    /// Siblings are read at the same time.
    pub async_capable: bool,
    /// Ask for row counts while planning.
    pub use_remote_estimate: bool,
    /// Planner's cost of starting a scan.
    pub fdw_startup_cost: f64,
    /// Planner's cost of a row.
    pub fdw_tuple_cost: f64,
    /// Certificates trusted beside the public roots.
    pub ca_file: Option<String>,
    /// Proxy on the way to the gateway.
    pub proxy: Option<String>,
}

impl ServerOptions {
    /// Reads the options.
    ///
    /// # Errors
    /// A missing company, or a value that the validator would refuse.
    pub fn read(values: &OptionValues) -> Result<ServerOptions, OptionError> {
        Ok(ServerOptions {
            company_id: values.required("company_id")?,
            url: values.defaulted_text("url")?,
            dtd_version: match values.word("dtd_version")? {
                Some("2.1") => DtdVersion::V2_1,
                _ => DtdVersion::V3_0,
            },
            location_id: values.text("location_id"),
            client_id: values.text("client_id"),
            page_size: values.integer("page_size")?,
            max_concurrency: values.integer("max_concurrency")? as usize,
            request_timeout: values.seconds("request_timeout")?,
            write_timeout: values.seconds("write_timeout")?,
            connect_timeout: values.seconds("connect_timeout")?,
            max_retries: values.integer("max_retries")?,
            share_sessions: values.boolean("share_sessions")?,
            time_zone: values.text("time_zone"),
            ordering: match values.word("ordering")? {
                Some("binary") => Ordering::Binary,
                _ => Ordering::Proven,
            },
            push: PushSwitches {
                where_: values.boolean("push_where")?,
                order: values.boolean("push_order")?,
                limit: values.boolean("push_limit")?,
                aggregates: values.boolean("push_aggregates")?,
                joins: values.boolean("push_joins")?,
                lookups: values.boolean("push_lookups")?,
            },
            push_left_joins: values.boolean("push_left_joins")?,
            show_private: values.boolean("show_private")?,
            hides_private: values.get("show_private").is_some() && !values.boolean("show_private")?,
            verify_aggregates: values.boolean("verify_aggregates")?,
            updatable: values.boolean("updatable")?,
            write_mode: match values.word("write_mode")? {
                Some("on_commit") => WriteMode::OnCommit,
                _ => WriteMode::Immediate,
            },
            batch_size: values.integer("batch_size")?,
            max_rows_per_statement: values.integer("max_rows_per_statement")?,
            max_calls_per_day: values.integer("max_calls_per_day")?,
            match_unmodified: values.boolean("match_unmodified")?,
            async_capable: values.boolean("async_capable")?,
            use_remote_estimate: values.boolean("use_remote_estimate")?,
            fdw_startup_cost: values.number("fdw_startup_cost")?,
            fdw_tuple_cost: values.number("fdw_tuple_cost")?,
            ca_file: values.text("ca_file"),
            proxy: values.text("proxy"),
        })
    }
}
