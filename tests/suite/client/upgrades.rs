//! From each released version there is a way to the newest one, with all that a database has made of it.

use std::path::PathBuf;

use crate::mirrors::company::{assert_equal, refresh};
use postgres::Client;
use sage_intacct_fdw_tests::cluster::{self, Database};
use sage_intacct_fdw_tests::company::{Company, Gateway};
use sage_intacct_fdw_tests::dumps::{dump, restore_all};
use sage_intacct_fdw_tests::sql::{run, run_each, texts};

const OBJECTS: &str = include_str!("../../objects.sql");
const NEWEST: &str = env!("CARGO_PKG_VERSION");

/// The directory of the installation scripts.
fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../sql/install")
}

/// The versions whose installation script is frozen.
fn released() -> Vec<String> {
    let frozen = std::fs::read_to_string(scripts().join("FROZEN")).expect("a list of checksums");
    let released: Vec<String> = frozen
        .lines()
        .map(|line| {
            line.split_once("  sage_intacct_fdw--")
                .and_then(|(_, name)| name.strip_suffix(".sql"))
                .unwrap_or_else(|| panic!("not a line of sha256sum: {line}"))
                .to_owned()
        })
        .filter(|version| version != NEWEST)
        .collect();
    assert!(released.contains(&"0.1.0".to_owned()), "{released:?}");
    released
}

fn one(client: &mut Client, sql: &str) -> String {
    texts(client, sql, "|", "-").join("\n")
}

fn objects(client: &mut Client) -> Vec<String> {
    client
        .query(OBJECTS, &[])
        .expect("the catalogs")
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[test]
fn frozen_scripts_are_as_they_were_shipped() {
    let output = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "FROZEN"])
        .current_dir(scripts())
        .output()
        .expect("sha256sum runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What is installed by each way is the same, to the comment.
#[test]
fn an_upgraded_database_has_what_a_new_one_has() {
    let fresh = Database::create_empty("upgrade_fresh");
    run(&mut fresh.connect(), "CREATE EXTENSION sage_intacct_fdw");
    let expected = objects(&mut fresh.connect());
    assert!(expected.len() > 300, "{}", expected.len());
    for version in released() {
        let old = Database::create_empty(&format!("upgrade_{}", version.replace('.', "_")));
        let mut client = old.connect();
        // Each symbol that the script names is looked up in the library of today.
        run(
            &mut client,
            &format!("CREATE EXTENSION sage_intacct_fdw VERSION '{version}'"),
        );
        run(&mut client, "ALTER EXTENSION sage_intacct_fdw UPDATE");
        let upgraded = objects(&mut client);
        let only = |these: &[String], those: &[String]| {
            let lines: Vec<&str> = these
                .iter()
                .filter(|line| !those.contains(line))
                .map(String::as_str)
                .collect();
            lines.join("\n")
        };
        assert_eq!(
            (only(&upgraded, &expected), only(&expected, &upgraded)),
            (String::new(), String::new()),
            "from {version}: on the left what the upgrade leaves or makes otherwise, on the right what it lacks"
        );
    }
}

/// A symbol of the library means the same to each version's functions: the library of today is called with what an old script has
/// declared, and fills in the rows that it promises. What changes its arguments or its result gets a symbol of its own.
#[test]
fn a_symbol_has_one_signature() {
    const SYMBOLS: &str = "
        SELECT prosrc, concat_ws(' ', prokind, proretset, proisstrict, pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid))
          FROM pg_proc p JOIN pg_language l ON l.oid = prolang AND lanname = 'c'
         WHERE pronamespace = 'sage_intacct'::regnamespace ORDER BY 1, 2";
    let signatures = |version: &str| {
        let database = Database::create_empty(&format!("symbols_{}", version.replace(['.', '-'], "_")));
        let mut client = database.connect();
        run(
            &mut client,
            &format!("CREATE EXTENSION sage_intacct_fdw VERSION '{version}'"),
        );
        let rows = client.query(SYMBOLS, &[]).expect("functions");
        rows.iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect::<Vec<(String, String)>>()
    };
    let now = signatures(NEWEST);
    assert!(now.len() > 30, "{now:?}");
    for version in released() {
        for (symbol, signature) in signatures(&version) {
            let others = now.iter().filter(|(known, _)| *known == symbol);
            for (_, other) in others {
                assert_eq!(*other, signature, "{symbol}: {NEWEST}, and {version}");
            }
        }
    }
}

/// A library that is older than the script of an upgrade is named by it: what the server says of a function that is not in the
/// library does not lead there.
#[test]
fn an_upgrade_says_that_the_loaded_library_is_old() {
    for version in released() {
        let old = Database::create_empty(&format!("loaded_{}", version.replace('.', "_")));
        let update = |said_by_library: Option<&str>| {
            let mut client = old.connect();
            run(
                &mut client,
                &format!(
                    "DROP EXTENSION IF EXISTS sage_intacct_fdw; CREATE EXTENSION sage_intacct_fdw VERSION '{version}'"
                ),
            );
            if let Some(said) = said_by_library {
                run(
                    &mut client,
                    &format!(
                        "CREATE OR REPLACE FUNCTION sage_intacct.version() RETURNS text LANGUAGE sql AS $$SELECT '{said}'$$"
                    ),
                );
            }
            let output = cluster::program("psql")
                .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", old.name()])
                .args(["-c", "ALTER EXTENSION sage_intacct_fdw UPDATE"])
                .output()
                .expect("psql runs");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        assert_eq!(update(None), "");
        assert_eq!(update(Some("99.0.0")), "");
        let said = update(Some(&version));
        assert!(
            said.contains("WARNING") && said.contains(&version) && said.contains("restart the server"),
            "{said}"
        );
    }
}

/// pg_dump names no version: what an old one wrote is restored into the newest, tables and mirrors too.
#[test]
fn a_dump_of_an_old_version_is_restored_into_the_newest() {
    for version in released() {
        let (company, mut client) = company_of("dumped", &version);
        run(
            &mut client,
            "CREATE SCHEMA acme; CREATE SCHEMA finance; IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO acme",
        );
        run(
            &mut client,
            "CALL sage_intacct.create_mirror('acme.customer', 'finance.customer')",
        );
        run(
            &mut client,
            "CALL sage_intacct.refresh_mirror('finance.customer')",
        );
        let dumped = dump(company.database.name(), &[]);
        let copy = Database::create_empty(&format!("restored_{}", version.replace('.', "_")));
        restore_all(copy.name(), &dumped);
        let mut new = copy.connect();
        assert_eq!(
            one(
                &mut new,
                "SELECT extversion FROM pg_extension WHERE extname = 'sage_intacct_fdw'"
            ),
            NEWEST
        );
        refresh(&mut new, "customer");
        assert_equal(&mut new, "customer");
    }
}

/// Starts a company whose extension is of an old version.
fn company_of(name: &str, version: &str) -> (Company, Client) {
    let company = Company {
        database: Database::create_empty(&format!("{name}_{}", version.replace('.', "_"))),
        gateway: Gateway::start(),
    };
    let mut client = company.connect();
    run(
        &mut client,
        &format!("CREATE EXTENSION sage_intacct_fdw VERSION '{version}'"),
    );
    run(&mut client, &Company::server_statements(&company.gateway, ""));
    (company, client)
}

const MIRRORS: [&str; 3] = ["customer", "arinvoice", "gldetail"];

/// Refreshes the mirrors; each holds then what the foreign table shows.
fn refresh_and_compare(client: &mut Client) {
    for table in MIRRORS {
        refresh(client, table);
        assert_equal(client, table);
    }
}

#[test]
fn what_an_old_version_made_goes_on_working() {
    for version in released() {
        let (company, mut client) = company_of("life", &version);
        run(
            &mut client,
            "CREATE SCHEMA acme; CREATE SCHEMA finance; CREATE ROLE upgrade_reader;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, gldetail, glbatch) FROM SERVER acme INTO acme",
        );
        run_each(
            &mut client,
            r#"CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{"page_rows": 50, "outbox": "finance.changes"}');
CALL sage_intacct.create_mirror('acme.arinvoice', 'finance.arinvoice', '{"sweep_interval": "1 hour"}');
CALL sage_intacct.create_mirror('acme.gldetail', 'finance.gldetail');
GRANT SELECT ON sage_intacct.mirrors TO upgrade_reader;
CREATE VIEW finance.state AS SELECT target, last_outcome, complete FROM sage_intacct.mirrors;
INSERT INTO acme.customer (customerid, name) VALUES ('OLD1', 'x'), ('OLD2', 'y')"#,
        );
        let refused = client
            .batch_execute("INSERT INTO acme.customer (customerid, name) VALUES ('OLD1', 'again')")
            .expect_err("a customer of that name is there");
        assert!(refused.as_db_error().is_some(), "{refused:?}");
        client = company.in_doubt(
            client,
            "INSERT INTO acme.customer (customerid, name) VALUES ('DOUBT', 'x')",
            true,
        );
        let log = "SELECT object, function, rows, keys, outcome FROM sage_intacct.write_log() ORDER BY sent, keys::text";
        let written = one(&mut client, log);
        assert_eq!(written.lines().count(), 3, "{written}");
        assert!(written.contains("in doubt"), "{written}");
        let state =
            "SELECT target::text, last_outcome, inserted, updated, deleted, rows, complete, gone::text
                       FROM sage_intacct.mirrors ORDER BY 1";
        let mirrors = one(&mut client, state);
        assert_eq!(mirrors.lines().count(), MIRRORS.len(), "{mirrors}");
        let runs = one(&mut client, "SELECT count(*) FROM sage_intacct.mirror_runs");

        // A session that has used the old objects, and one of its own that updates.
        run(&mut company.connect(), "ALTER EXTENSION sage_intacct_fdw UPDATE");
        let now = "SELECT extversion = sage_intacct.version() AND extversion = $$NEWEST$$ FROM pg_extension
                    WHERE extname = 'sage_intacct_fdw'";
        assert_eq!(one(&mut client, &now.replace("NEWEST", NEWEST)), "t");
        assert_eq!(one(&mut client, log), written);
        assert_eq!(one(&mut client, state), mirrors);
        assert_eq!(
            one(&mut client, "SELECT count(*) FROM sage_intacct.mirror_runs"),
            runs
        );
        assert_eq!(one(&mut client, "SELECT count(*) FROM finance.state"), "3");
        assert_eq!(
            one(
                &mut client,
                "SELECT has_table_privilege('upgrade_reader', 'sage_intacct.mirrors', 'SELECT')"
            ),
            "t"
        );

        let mut new = company.connect();
        for session in [&mut client, &mut new] {
            refresh_and_compare(session);
        }
        assert_eq!(
            one(
                &mut new,
                "SELECT customerid FROM finance.customer WHERE customerid IN ('OLD1', 'OLD2', 'DOUBT') ORDER BY 1"
            ),
            "DOUBT\nOLD1\nOLD2"
        );
        assert!(one(&mut new, "SELECT count(*) > 0 FROM finance.changes") == "t");
        // The entry of the old version is settled by the new one, and a new one is written.
        assert_eq!(
            one(
                &mut new,
                "SELECT outcome, count(*) FROM sage_intacct.resolve_writes('acme') GROUP BY 1"
            ),
            "stored|1"
        );
        run(
            &mut new,
            "UPDATE acme.customer SET name = 'after' WHERE customerid = 'OLD1'",
        );
        assert_eq!(
            one(
                &mut new,
                "SELECT outcome, count(*) FROM sage_intacct.write_log() GROUP BY 1 ORDER BY 1"
            ),
            "not stored|1\nstored|3"
        );
        refresh_and_compare(&mut new);
        assert_eq!(
            one(
                &mut new,
                "SELECT name FROM finance.customer WHERE customerid = 'OLD1'"
            ),
            "after"
        );
        run(
            &mut new,
            "SELECT * FROM sage_intacct.check('acme'); SELECT * FROM sage_intacct.metrics;
             SELECT * FROM sage_intacct.request_stats();
             CREATE SCHEMA later; IMPORT FOREIGN SCHEMA intacct LIMIT TO (vendor) FROM SERVER acme INTO later",
        );
        run(&mut new, "CALL sage_intacct.drop_mirror('finance.gldetail')");
        dump(company.database.name(), &[]);
        run(
            &mut new,
            "DROP EXTENSION sage_intacct_fdw CASCADE; DROP SCHEMA finance CASCADE; DROP ROLE upgrade_reader",
        );
    }
}
