//! Whose mirror it is, and what a dump takes along.

use super::company::{company, lines, mirror, refresh, run};
use sage_intacct_fdw_tests::cluster::{self, Database};
use serde_json::json;
use std::process::Stdio;

/// The message of a statement that fails.
#[track_caller]
fn refused(client: &mut postgres::Client, sql: &str) -> String {
    let error = client.batch_execute(sql).expect_err(sql);
    error
        .as_db_error()
        .expect("an error of the server")
        .message()
        .to_owned()
}

#[test]
fn a_mirror_is_refreshed_by_its_owner() {
    let (company, mut admin) = company("mirror_owner", "customer");
    let database = company.database.name();
    run(
        &mut admin,
        &format!(
            "DROP ROLE IF EXISTS accountant; DROP ROLE IF EXISTS reader;
             CREATE ROLE accountant LOGIN; CREATE ROLE reader LOGIN;
             GRANT USAGE ON FOREIGN SERVER acme TO accountant; GRANT USAGE ON SCHEMA acme TO accountant;
             GRANT SELECT ON acme.customer TO accountant;
             GRANT CREATE, USAGE ON SCHEMA finance TO accountant; GRANT USAGE ON SCHEMA finance TO reader;
             GRANT TEMPORARY ON DATABASE {database} TO accountant;
             CREATE USER MAPPING FOR accountant SERVER acme OPTIONS (user_id 'east', password 'secret', sender_id 'sender1',
                 sender_password 'senderpw')"
        ),
    );
    let mut accountant = company.database.connect_as("accountant");
    company.gateway.tap.forget();
    mirror(&mut accountant, "customer", "{}");
    assert!(
        company
            .gateway
            .tap
            .requests()
            .iter()
            .any(|xml| xml.contains("<userid>east</userid>")),
        "its own mapping signs in"
    );
    refresh(&mut accountant, "customer");

    assert_eq!(
        refused(&mut admin, "CALL sage_intacct.refresh_mirror('finance.customer')"),
        "mirror finance.customer belongs to role accountant"
    );
    run(&mut admin, "SET ROLE accountant");
    refresh(&mut admin, "customer");
    run(&mut admin, "RESET ROLE");

    let mut reader = company.database.connect_as("reader");
    assert_eq!(
        lines(&mut reader, "SELECT count(*) FROM sage_intacct.mirrors"),
        "0"
    );
    assert_eq!(
        lines(&mut reader, "SELECT count(*) FROM sage_intacct.mirror"),
        "0"
    );
    assert_eq!(
        lines(&mut reader, "SELECT count(*) FROM sage_intacct.mirror_runs"),
        "0"
    );
    assert_eq!(
        refused(&mut reader, "SELECT FROM finance.customer"),
        "permission denied for table customer"
    );
    assert_eq!(
        refused(
            &mut reader,
            "CALL sage_intacct.refresh_mirror('finance.customer')"
        ),
        "finance.customer is not a mirror of yours"
    );
    // Neither may it register a table of somebody else.
    assert!(
        refused(
            &mut reader,
            "INSERT INTO sage_intacct.mirror (target, source, source_name, made, options)
             VALUES ('pg_class', 'pg_class', 'pg_class', true, '{}')"
        )
        .contains("row-level security")
    );
    run(&mut accountant, "GRANT SELECT ON finance.customer TO reader");
    assert_eq!(
        lines(&mut reader, "SELECT count(*) FROM finance.customer"),
        company.rows("CUSTOMER").to_string()
    );
    assert_eq!(
        lines(
            &mut reader,
            "SELECT target, complete, last_outcome FROM sage_intacct.mirrors"
        ),
        "finance.customer t done"
    );
    assert_eq!(
        lines(&mut reader, "SELECT count(*) FROM sage_intacct.mirror_runs"),
        "0"
    );
    run(
        &mut accountant,
        "CALL sage_intacct.drop_mirror('finance.customer')",
    );
    run(
        &mut admin,
        "DROP OWNED BY accountant, reader; DROP ROLE accountant, reader",
    );
}

#[test]
fn registrations_survive_a_dump() {
    let (company, mut client) = company("mirror_dump", "customer, arinvoice");
    mirror(&mut client, "customer", r#"{"on_drift": "add"}"#);
    mirror(&mut client, "arinvoice", "{}");
    let file = cluster::server_directory().join("mirrors.dump");
    let file = file.to_str().expect("UTF-8");
    let dumped = cluster::program("pg_dump")
        .args(["-Fc", "-f", file, "-d", company.database.name()])
        .output()
        .expect("pg_dump runs");
    assert!(
        dumped.status.success(),
        "{}",
        String::from_utf8_lossy(&dumped.stderr)
    );
    let copy = Database::create_empty("mirror_dump_copy");
    let restored = cluster::program("pg_restore")
        .args(["-e", "-d", copy.name(), file])
        .stdout(Stdio::null())
        .output()
        .expect("pg_restore runs");
    assert!(
        restored.status.success(),
        "{}",
        String::from_utf8_lossy(&restored.stderr)
    );

    let state =
        "SELECT target, source, rows, watermark, options FROM sage_intacct.mirrors ORDER BY target::text";
    let mut other = copy.connect();
    assert_eq!(lines(&mut other, state), lines(&mut client, state));
    company.gateway.change(json!([
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "N1", "NAME": "new" } } }
    ]));
    refresh(&mut other, "customer");
    assert_eq!(super::company::last_run(&mut other, "customer"), "done 1 0 0");
    super::company::assert_equal(&mut other, "customer");
    // Numbers go on where they were.
    run(
        &mut other,
        "CALL sage_intacct.create_mirror('acme.customer', 'other.customer')",
    );
    assert_eq!(lines(&mut other, "SELECT max(id) FROM sage_intacct.mirror"), "3");
}

#[test]
fn a_foreign_table_that_was_imported_anew_is_found_again() {
    let (company, mut client) = company("mirror_reimport", "customer");
    mirror(&mut client, "customer", "{}");
    run(
        &mut client,
        "DROP FOREIGN TABLE acme.customer; IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO acme",
    );
    company.gateway.change(json!([
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "N1", "NAME": "new" } } }
    ]));
    refresh(&mut client, "customer");
    super::company::assert_equal(&mut client, "customer");
    run(&mut client, "DROP FOREIGN TABLE acme.customer");
    assert_eq!(
        refused(
            &mut client,
            "CALL sage_intacct.refresh_mirror('finance.customer')"
        ),
        "the foreign table acme.customer of mirror finance.customer does not exist"
    );
}
