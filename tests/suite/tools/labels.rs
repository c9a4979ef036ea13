//! Labels become comments when tables are imported, for whoever imports, and hinder nothing.

use super::{lines, run};
use sage_intacct_fdw_tests::cluster::{self, Database};
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::dumps::dump;

const IMPORT: &str =
    "IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme INTO acme";

/// Columns of a schema whose comment is their label, and columns with a label.
const COMMENTED: &str = "
    SELECT count(*) FILTER (WHERE col_description(a.attrelid, a.attnum) = o.option_value), count(*)
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, pg_options_to_table(a.attfdwoptions) o
     WHERE c.relnamespace = 'acme'::regnamespace AND o.option_name = 'label'";

fn all_are_commented(found: &[String]) {
    let (commented, labelled) = found[0].split_once('|').expect("two numbers");
    assert_eq!(commented, labelled);
    assert!(labelled.parse::<i64>().expect("a number") > 30, "{labelled}");
}

#[test]
fn an_import_by_anybody_writes_labels_as_comments() {
    let company = Company::start("labels");
    let mut admin = company.connect();
    run(
        &mut admin,
        "DROP ROLE IF EXISTS labels_importer;
CREATE ROLE labels_importer LOGIN;
CREATE SCHEMA acme AUTHORIZATION labels_importer;
GRANT USAGE ON FOREIGN SERVER acme TO labels_importer;
CREATE USER MAPPING FOR labels_importer SERVER acme
    OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw')",
    );
    let mut client = company.database.connect_as("labels_importer");
    run(&mut client, IMPORT);
    all_are_commented(&lines(&mut client, COMMENTED));
    assert_eq!(
        lines(&mut client, "SELECT obj_description('acme.arinvoice'::regclass)"),
        ["AR Invoice (Sage Intacct ARINVOICE)"]
    );
    // What others make of the COMMENTs fails: the import does not.
    run(&mut client, "DROP FOREIGN TABLE acme.customer, acme.arinvoice");
    run(
        &mut admin,
        "CREATE FUNCTION public.stubborn() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no comments'; END $$;
CREATE EVENT TRIGGER stubborn ON ddl_command_start WHEN TAG IN ('COMMENT') EXECUTE FUNCTION public.stubborn()",
    );
    run(&mut client, IMPORT);
    assert_eq!(
        lines(&mut client, "SELECT count(*) FROM acme.customer WHERE false"),
        ["0"]
    );
    assert!(lines(&mut client, COMMENTED)[0].starts_with("0|"));
    run(&mut admin, "DROP EVENT TRIGGER stubborn");
    run(&mut client, "SELECT sage_intacct.apply_comments('acme')");
    all_are_commented(&lines(&mut client, COMMENTED));
    // In a transaction, and not when it is rolled back.
    run(&mut client, "DROP FOREIGN TABLE acme.customer, acme.arinvoice");
    run(&mut client, "BEGIN");
    run(&mut client, IMPORT);
    all_are_commented(&lines(&mut client, COMMENTED));
    run(&mut client, "ROLLBACK");
    assert_eq!(lines(&mut client, COMMENTED), ["0|0"]);
    run(
        &mut admin,
        "DROP OWNED BY labels_importer CASCADE;\nDROP ROLE labels_importer",
    );
}

#[test]
fn other_wrappers_and_tables_of_ones_own_are_left_alone() {
    let company = Company::start("labels_others");
    let mut client = company.connect();
    run(
        &mut client,
        &format!(
            "CREATE SCHEMA acme;
CREATE TABLE public.far (a int);
CREATE EXTENSION postgres_fdw;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{}', port '{}', dbname '{}');
CREATE USER MAPPING FOR CURRENT_USER SERVER loop OPTIONS (user 'postgres');
IMPORT FOREIGN SCHEMA public LIMIT TO (far) FROM SERVER loop INTO acme;
CREATE FOREIGN TABLE acme.own (recordno bigint OPTIONS (label 'Mine')) SERVER acme OPTIONS (object 'CUSTOMER', label 'Ours')",
            cluster::server_directory().display(),
            std::env::var("PGPORT").expect("a port"),
            company.database.name()
        ),
    );
    let comments =
        "SELECT count(*) FROM pg_description WHERE objoid IN ('acme.own'::regclass, 'acme.far'::regclass)";
    assert_eq!(lines(&mut client, comments), ["0"]);
    assert_eq!(
        lines(
            &mut client,
            "SELECT sage_intacct.apply_table_comments('acme.own'::regclass)"
        ),
        ["2"]
    );
    assert_eq!(lines(&mut client, comments), ["2"]);
    // The trigger is the extension's: it goes with it, and is in no dump.
    let dumped = dump(company.database.name(), &["--schema-only"]);
    let text = String::from_utf8_lossy(&dumped);
    assert!(text.contains("COMMENT ON COLUMN acme.own.recordno"));
    assert!(!text.contains("EVENT TRIGGER"), "{text}");
    let copy = Database::create_empty("labels_copy");
    let mut restored = copy.connect();
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with('\\'))
        .map(|line| format!("{line}\n"))
        .collect();
    restored.batch_execute(&body).expect("a restore");
    let triggers = "SELECT count(*) FROM pg_event_trigger";
    assert_eq!(lines(&mut restored, triggers), ["1"]);
    restored
        .batch_execute("DROP EXTENSION sage_intacct_fdw CASCADE")
        .expect("dropped");
    assert_eq!(lines(&mut restored, triggers), ["0"]);
}
