//! The SQL functions of schema `sage_intacct`, and the foreign-data wrapper that the extension makes.

mod access;
mod check;
mod comments;
mod mirrors;
mod objects;
mod options;
mod progress;
mod query;
mod report;
mod request_stats;
mod schema_diff;
mod sessions;
mod upsert;

use pgrx::prelude::*;

extension_sql!(
    r"
CREATE FOREIGN DATA WRAPPER sage_intacct_fdw
    HANDLER sage_intacct_fdw_handler
    VALIDATOR sage_intacct_fdw_validator;

-- Whoever may use a server may call its functions; each of them checks the right on the server.
GRANT USAGE ON SCHEMA @extschema@ TO PUBLIC;
",
    name = "foreign_data_wrapper",
    requires = [sage_intacct_fdw_handler, sage_intacct_fdw_validator]
);

/// Version of the extension's library, which may be newer than the installed SQL.
#[pg_extern(stable, parallel_safe)]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
