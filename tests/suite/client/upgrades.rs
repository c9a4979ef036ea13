//! From each released version there is a way to the newest one, with all that a database has made of it.

use std::path::PathBuf;

use crate::mirrors::company::{assert_equal, refresh};
use postgres::Client;
use sage_intacct_fdw_tests::cluster::{self, Database};
use sage_intacct_fdw_tests::company::{Company, Gateway};
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

/// Starts a company whose extension is of an old version.
fn company_of(version: &str) -> (Company, Client) {
    let company = Company {
        database: Database::create_empty(&format!("life_{}", version.replace('.', "_"))),
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
        let (company, mut client) = company_of(&version);
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
        let dump = cluster::program("pg_dump")
            .args(["--no-password", "-d", company.database.name()])
            .output()
            .expect("pg_dump runs");
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        run(
            &mut new,
            "DROP EXTENSION sage_intacct_fdw CASCADE; DROP SCHEMA finance CASCADE; DROP ROLE upgrade_reader",
        );
    }
}
