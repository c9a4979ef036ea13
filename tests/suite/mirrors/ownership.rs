//! Whose mirror it is, and what a dump takes along.

use super::company::{company, lines, mirror, refresh, run, run_each};
use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster::{self, Database};
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::dumps::dump;
use serde_json::json;
use std::process::Stdio;

/// The message of a statement that fails.
#[track_caller]
pub fn refused(client: &mut postgres::Client, sql: &str) -> String {
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
        .contains("permission denied")
    );
    assert!(
        refused(
            &mut reader,
            "INSERT INTO sage_intacct.mirror_registration (target, source, source_name, made, options)
             VALUES ('pg_class', 'pg_class', 'pg_class', true, '{}')"
        )
        .contains("violates check option")
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
    let (company, mut client) = company("mirror_dump", "customer, arinvoice, gldetail, glaccountbalance");
    mirror(&mut client, "customer", r#"{"on_drift": "add"}"#);
    mirror(&mut client, "arinvoice", "{}");
    // Nothing identifies their rows: batches and periods are what they know.
    mirror(&mut client, "gldetail", r#"{"slice_rows": 300}"#);
    mirror(&mut client, "glaccountbalance", "{}");
    let file = cluster::server_directory().join("mirrors.dump");
    let file = file.to_str().expect("UTF-8");
    dump(company.database.name(), &["-Fc", "-f", file]);
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
    let batch = "(SELECT min(BATCHKEY) FROM t_GLDETAIL WHERE BATCHKEY IN (SELECT RECORDNO FROM t_GLBATCH WHERE MEGAENTITYKEY IS NULL))";
    company.gateway.change(json!([
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "N1", "NAME": "new" } } },
        { "update": { "object": "GLDETAIL", "where": format!("BATCHKEY = {batch}"), "values": { "DESCRIPTION": "changed" }, "silent": true } },
        { "delete": { "object": "GLDETAIL", "where": format!("_ROW = (SELECT min(_ROW) FROM t_GLDETAIL WHERE BATCHKEY = {batch})"),
                      "silent": true } },
        { "update": { "object": "GLBATCH", "where": format!("RECORDNO = {batch}"), "values": { "BATCH_TITLE": "changed" } } },
        { "delete": { "object": "GLACCOUNTBALANCE", "where": "_ROW = (SELECT min(_ROW) FROM t_GLACCOUNTBALANCE)", "silent": true } },
    ]));
    for (table, outcome) in [
        ("customer", Some("done 1 0 0")),
        ("gldetail", None),
        ("glaccountbalance", Some("done 0 0 1")),
    ] {
        refresh(&mut other, table);
        if let Some(outcome) = outcome {
            assert_eq!(super::company::last_run(&mut other, table), outcome);
        }
        super::company::assert_equal(&mut other, table);
    }
    assert_eq!(
        lines(
            &mut other,
            "SELECT bool_and(complete), count(*) FILTER (WHERE last_outcome = 'done') FROM sage_intacct.mirrors"
        ),
        "t 3"
    );
    // Numbers go on where they were.
    run(
        &mut other,
        "CALL sage_intacct.create_mirror('acme.customer', 'other.customer')",
    );
    assert_eq!(lines(&mut other, "SELECT max(id) FROM sage_intacct.mirror"), "5");
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

/// Roles for a test, whose names no other test uses.
pub fn roles(admin: &mut postgres::Client, company: &Company, names: &[&str]) {
    for name in names {
        run(
            admin,
            &format!(
                "DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN; GRANT USAGE ON FOREIGN SERVER acme TO {name};
                 GRANT USAGE ON SCHEMA acme TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA acme TO {name};
                 GRANT CREATE, USAGE ON SCHEMA finance TO {name}; GRANT TEMPORARY ON DATABASE {} TO {name};
                 CREATE USER MAPPING FOR {name} SERVER acme OPTIONS (user_id 'east', password 'secret', sender_id 'sender1',
                     sender_password 'senderpw')",
                company.database.name()
            ),
        );
    }
}

pub fn drop_roles(admin: &mut postgres::Client, names: &[&str]) {
    let names = names.join(", ");
    run(
        admin,
        &format!("DROP OWNED BY {names} CASCADE; DROP ROLE {names}"),
    );
}

/// A trigger of mallory's that would make her a superuser.
const TRIGGER: &str = "
    CREATE OR REPLACE FUNCTION finance.rise() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_user <> 'own_mallory' THEN
            RAISE 'runs as %', current_user;
        END IF;
        RETURN NULL;
    END $$;";

#[test]
fn triggers_of_others_do_not_run() {
    let (company, mut admin) = company("mirror_triggers_of_others", "customer");
    roles(&mut admin, &company, &["own_mallory", "own_ann"]);
    let mut mallory = company.database.connect_as("own_mallory");
    let mut ann = company.database.connect_as("own_ann");
    let trigger = |table: &str| {
        format!(
            "{TRIGGER} CREATE TRIGGER rise AFTER INSERT OR UPDATE OR DELETE ON {table} EXECUTE FUNCTION finance.rise()"
        )
    };
    let columns = "recordno bigint PRIMARY KEY, customerid text, name text, whenmodified timestamptz, whencreated timestamptz";
    let adopt = "CALL sage_intacct.create_mirror('acme.customer', 'finance.theirs')";
    let belongs = "belongs to role own_mallory, not to the owner of the mirror";

    // A table of mallory's is adopted by others.
    run(
        &mut mallory,
        &format!(
            "CREATE TABLE finance.theirs ({columns}); {}",
            trigger("finance.theirs")
        ),
    );
    run(&mut mallory, "GRANT ALL ON finance.theirs TO own_ann");
    for client in [&mut admin, &mut ann] {
        let message = refused(client, adopt);
        assert_eq!(message, format!("table finance.theirs {belongs}"));
    }
    // Her own she may.
    run(&mut mallory, adopt);
    // Neither superuser nor member of her role refreshes it.
    run(&mut admin, "GRANT own_mallory TO own_ann");
    let error = admin
        .batch_execute("CALL sage_intacct.refresh_mirror('finance.theirs')")
        .expect_err("another's");
    let error = error.as_db_error().expect("an error of the server");
    let hint = error.hint().expect("a hint");
    assert!(
        hint.contains("own_mallory") && !hint.to_lowercase().contains("set role"),
        "{hint}"
    );
    assert_eq!(
        refused(&mut ann, "CALL sage_intacct.refresh_mirror('finance.theirs')"),
        "mirror finance.theirs belongs to role own_mallory"
    );
    run(&mut admin, "REVOKE own_mallory FROM own_ann");

    // A mirror is given away, after it has been made: also a partition of it, or a table that inherits from it.
    run(
        &mut admin,
        "CALL sage_intacct.create_mirror('acme.customer', 'finance.given')",
    );
    run_each(
        &mut admin,
        &format!(
            "CREATE TABLE finance.parted ({columns}) PARTITION BY RANGE (recordno);
CREATE TABLE finance.part PARTITION OF finance.parted FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
CALL sage_intacct.create_mirror('acme.customer', 'finance.parted');
CALL sage_intacct.create_mirror('acme.customer', 'finance.parent');
CREATE TABLE finance.child () INHERITS (finance.parent);
CALL sage_intacct.create_mirror('acme.customer', 'finance.referred');
CREATE TABLE finance.referring (recordno bigint REFERENCES finance.referred ON DELETE CASCADE);
CREATE TABLE finance.harmless (recordno bigint REFERENCES finance.referred)"
        ),
    );
    for (mirror, table) in [
        ("given", "given"),
        ("parted", "part"),
        ("parent", "child"),
        ("referred", "referring"),
    ] {
        let refresh = format!("CALL sage_intacct.refresh_mirror('finance.{mirror}', true)");
        run(&mut admin, &refresh);
        run(
            &mut admin,
            &format!("ALTER TABLE finance.{table} OWNER TO own_mallory"),
        );
        run(&mut mallory, &trigger(&format!("finance.{table}")));
        let message = refused(&mut admin, &refresh);
        assert!(
            message.contains("belongs to role own_mallory"),
            "{mirror}: {message}"
        );
        // A job's log is not the only place to see it.
        assert_eq!(
            lines(
                &mut admin,
                &format!(
                    "SELECT last_outcome, last_error LIKE '%belongs to role own_mallory%' FROM sage_intacct.mirrors
                      WHERE target = 'finance.{mirror}'::regclass"
                )
            ),
            "failed t"
        );
    }
    // What happens while a refresh runs is noticed with the next page.
    run(
        &mut admin,
        "ALTER TABLE finance.given OWNER TO postgres; DROP TRIGGER rise ON finance.given",
    );
    run(
        &mut admin,
        "CALL sage_intacct.refresh_mirror('finance.given', true)",
    );
    run(&mut admin, "ALTER TABLE finance.given OWNER TO own_mallory");
    let apply = "SELECT sage_intacct.mirror_apply(m, 0, '{\"put\": true}', 0) FROM sage_intacct.mirror m
                  WHERE target = 'finance.given'::regclass";
    assert_eq!(
        refused(&mut admin, apply),
        format!("table finance.given {belongs}")
    );
    // Its former owner ends the mirror, and the table stays.
    run(
        &mut admin,
        "CALL sage_intacct.drop_mirror('finance.given', keep => true)",
    );
    run(
        &mut mallory,
        "CALL sage_intacct.create_mirror('acme.customer', 'finance.given')",
    );
    drop_roles(&mut admin, &["own_mallory", "own_ann"]);
}

#[test]
fn constraints_of_others_do_not_run() {
    let (company, mut admin) = company("mirror_domains_of_others", "customer");
    roles(&mut admin, &company, &["dom_mallory"]);
    run(
        &mut admin,
        "CREATE DOMAIN finance.harmless AS text; CREATE DOMAIN finance.checked AS text CHECK (VALUE <> '');
         CREATE DOMAIN finance.evil AS text CHECK (VALUE <> ''); CREATE DOMAIN finance.outer AS finance.evil;
         CREATE TYPE finance.span AS RANGE (subtype = finance.evil);
         ALTER DOMAIN finance.harmless OWNER TO dom_mallory; ALTER DOMAIN finance.evil OWNER TO dom_mallory",
    );
    for (domain, allowed) in [
        ("checked", true),
        // Its owner may add a constraint while rows are read.
        ("harmless", false),
        ("evil", false),
        ("span", false),
        ("span_multirange", false),
        ("outer", false),
        ("evil[]", false),
    ] {
        let create =
            "CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{\"load\": \"off\"}')";
        run(
            &mut admin,
            &format!("ALTER FOREIGN TABLE acme.customer ALTER name TYPE finance.{domain}"),
        );
        if allowed {
            run(&mut admin, create);
            run(&mut admin, "CALL sage_intacct.drop_mirror('finance.customer')");
        } else {
            let message = refused(&mut admin, create);
            assert!(
                message.ends_with("belongs to role dom_mallory"),
                "{domain}: {message}"
            );
        }
    }
    // It came later.
    run(
        &mut admin,
        "ALTER FOREIGN TABLE acme.customer ALTER name TYPE text; CREATE SCHEMA later",
    );
    mirror(&mut admin, "customer", "{}");
    run(
        &mut admin,
        "ALTER FOREIGN TABLE acme.customer ALTER name TYPE finance.evil",
    );
    let message = refused(&mut admin, "CALL sage_intacct.refresh_mirror('finance.customer')");
    assert!(message.ends_with("belongs to role dom_mallory"), "{message}");
    drop_roles(&mut admin, &["dom_mallory"]);
}

#[test]
fn expressions_in_foreign_tables_of_others_do_not_run() {
    let (company, mut admin) = company("mirror_source_of_others", "customer");
    roles(&mut admin, &company, &["src_mallory"]);
    let trap = |result: &str, value: &str| {
        format!(
            "LANGUAGE plpgsql IMMUTABLE AS
             $$ BEGIN IF current_user = 'postgres' THEN RAISE 'a trap fired'; END IF; RETURN {value}; END $$;
             ALTER FUNCTION finance.{result} OWNER TO src_mallory;"
        )
    };
    run(
        &mut admin,
        &format!(
            "CREATE FUNCTION finance.label(text) RETURNS text {} CREATE FUNCTION finance.holds(int) RETURNS boolean {}
             GRANT CREATE, USAGE ON SCHEMA acme TO src_mallory; SET constraint_exclusion = on",
            trap("label(text)", "$1"),
            trap("holds(int)", "true"),
        ),
    );
    let mut mallory = company.database.connect_as("src_mallory");
    let kinds = [
        (
            "generated columns",
            "label text GENERATED ALWAYS AS (finance.label(name)) STORED",
            "",
        ),
        ("check constraints", "CHECK (finance.holds(1))", ""),
        ("check constraints", "CHECK (name <> '' OR finance.holds(2))", ""),
        (
            "extended statistics",
            "",
            "CREATE STATISTICS acme.held ON (name = '' AND finance.holds(3)), name FROM acme.of_others",
        ),
        (
            "child tables",
            "",
            "CREATE TABLE acme.child (CHECK (finance.holds(4))) INHERITS (acme.of_others)",
        ),
    ];
    for (number, (kind, column, more)) in kinds.iter().enumerate() {
        let comma = if column.is_empty() { "" } else { ", " };
        run(
            &mut mallory,
            &format!(
                "CREATE FOREIGN TABLE acme.of_others (recordno bigint, name text, whenmodified timestamptz{comma}{column})
                     SERVER acme OPTIONS (object 'CUSTOMER'); {more}"
            ),
        );
        run(
            &mut admin,
            &format!(
                "CREATE TABLE finance.taken{number} (recordno bigint PRIMARY KEY, name text, label text)"
            ),
        );
        for target in ["made", &format!("taken{number}")] {
            assert_eq!(
                refused(
                    &mut admin,
                    &format!("CALL sage_intacct.create_mirror('acme.of_others', 'finance.{target}')")
                ),
                format!("foreign table acme.of_others has {kind} and belongs to role src_mallory")
            );
        }
        run(&mut mallory, "DROP FOREIGN TABLE acme.of_others CASCADE");
    }
    // A plain one may be mirrored, until it gets some; one's own and a superuser's too, with all of these.
    run(
        &mut mallory,
        "CREATE FOREIGN TABLE acme.of_others (recordno bigint, name text, whenmodified timestamptz) SERVER acme OPTIONS (object 'CUSTOMER')",
    );
    run(
        &mut admin,
        "CALL sage_intacct.create_mirror('acme.of_others', 'finance.plain')",
    );
    run(
        &mut mallory,
        "ALTER FOREIGN TABLE acme.of_others ADD CHECK (finance.holds(5))",
    );
    assert_eq!(
        refused(&mut admin, "CALL sage_intacct.refresh_mirror('finance.plain')"),
        "foreign table acme.of_others has check constraints and belongs to role src_mallory"
    );
    run(
        &mut mallory,
        "CALL sage_intacct.create_mirror('acme.of_others', 'finance.own', '{\"load\": \"off\"}')",
    );
    run(
        &mut admin,
        "CALL sage_intacct.drop_mirror('finance.plain');
         CREATE FOREIGN TABLE acme.of_superuser (recordno bigint, name text CHECK (name <> ''), whenmodified timestamptz)
             SERVER acme OPTIONS (object 'CUSTOMER');
         GRANT SELECT ON acme.of_superuser TO src_mallory",
    );
    run(
        &mut mallory,
        "CALL sage_intacct.create_mirror('acme.of_superuser', 'finance.of_superuser', '{\"load\": \"off\"}')",
    );
    // Who may not read it cannot lock it.
    run(&mut admin, "REVOKE SELECT ON acme.of_superuser FROM src_mallory");
    assert_eq!(
        refused(
            &mut mallory,
            "SELECT sage_intacct.mirror_lock_source('acme.of_superuser'::regclass)"
        ),
        "permission denied for foreign table of_superuser"
    );
    drop_roles(&mut admin, &["src_mallory"]);
}

#[test]
fn what_is_no_foreign_table_is_refused_without_an_internal_error() {
    let (company, mut admin) = company("mirror_no_source", "customer");
    let mut nobody = company.database.connect();
    let none = [
        "NULL",
        "0",
        "4294967295",
        "'pg_class'::regclass",
        "'pg_class_oid_index'::regclass",
    ];
    for client in [&mut admin, &mut nobody] {
        for source in none {
            for call in [
                format!("SELECT * FROM sage_intacct.mirror_totals({source}, NULL, 7)"),
                format!("SELECT sage_intacct.mirror_requests(coalesce({source}, 0))"),
            ] {
                let error = client.simple_query(&call).map(drop).expect_err(&call);
                assert_eq!(
                    error.code(),
                    Some(&SqlState::INSUFFICIENT_PRIVILEGE),
                    "{call}: {error:?}"
                );
            }
        }
    }
}

/// Names that read as another role's, unless they are quoted.
#[test]
fn an_owner_is_told_by_its_exact_name() {
    let (company, mut admin) = company("mirror_owner_names", "customer");
    let names = ["own_name", "\"Own_Name\"", "\"own name\"", "\"123456\""];
    roles(&mut admin, &company, &names);
    for (number, name) in names.iter().enumerate() {
        let mut client = company.database.connect_as(name.trim_matches('"'));
        run(
            &mut client,
            &format!(
                "CALL sage_intacct.create_mirror('acme.customer', 'finance.m{number}', '{{\"load\": \"off\"}}')"
            ),
        );
        assert_eq!(
            lines(&mut client, "SELECT target, owner FROM sage_intacct.mirrors"),
            format!("finance.m{number} {name}")
        );
        run(
            &mut client,
            &format!("CALL sage_intacct.refresh_mirror('finance.m{number}')"),
        );
        for other in (0..number).map(|other| format!("finance.m{other}")) {
            assert_eq!(
                refused(
                    &mut client,
                    &format!("CALL sage_intacct.refresh_mirror('{other}')")
                ),
                format!("{other} is not a mirror of yours")
            );
        }
    }
    drop_roles(&mut admin, &names);
}
