//! The SQL functions of schema `sage_intacct`, and the foreign-data wrapper that the extension makes.

mod access;
mod check;
mod comments;
mod metrics;
mod mirrors;
mod objects;
mod options;
mod progress;
mod query;
mod report;
mod request_stats;
mod schema_diff;
mod sessions;
mod tools;
mod upsert;
mod writes;

use pgrx::prelude::*;

// Names in what follows are looked up in pg_catalog first and in the extension's schema second: an operator that another role
// has put there could be taken for a coarser match of the first. A schema that the extension makes itself is empty.
extension_sql!(
    r"
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_depend d
                WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
                  AND d.refobjid OPERATOR(pg_catalog.=) 'sage_intacct'::pg_catalog.regnamespace
                  AND d.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass)
        OR EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) n.nspowner
                    WHERE n.nspname OPERATOR(pg_catalog.=) 'sage_intacct'
                      AND (NOT o.rolsuper
                           OR EXISTS (SELECT FROM pg_catalog.aclexplode(n.nspacl) a
                                       WHERE a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
                                         AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner))) THEN
        RAISE 'schema sage_intacct is not empty, or others may create objects in it'
            USING ERRCODE := 'object_not_in_prerequisite_state',
                HINT := 'DROP SCHEMA sage_intacct lets the extension make its own.';
    END IF;
END
$$;
",
    name = "trusted_schema",
    bootstrap
);

extension_sql!(
    r"
CREATE FOREIGN DATA WRAPPER sage_intacct_fdw
    HANDLER sage_intacct_fdw_handler
    VALIDATOR sage_intacct_fdw_validator;

-- Roles that may use a server may call its functions; each of them checks the right on the server.
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
