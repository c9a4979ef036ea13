//! The registry of mirrors belongs to all roles together: what one of them writes, locks or spoils must not touch the others.

use super::company::{company, lines, mirror, refresh, run, run_each};
use super::ownership::{drop_roles, refused, roles};
use sage_intacct_fdw_tests::dumps::dump;

#[test]
fn others_cannot_stop_a_mirror() {
    let (company, mut admin) = company("mirror_stopped", "customer");
    roles(&mut admin, &company, &["reg_mallory"]);
    mirror(&mut admin, "customer", "{}");
    run(&mut admin, "GRANT SELECT ON finance.customer TO reg_mallory");
    let mut mallory = company.database.connect_as("reg_mallory");

    for id in ["1", "2", "-1", "2147483647"] {
        assert_eq!(
            refused(
                &mut mallory,
                &format!("SELECT sage_intacct.mirror_try_lock({id})")
            ),
            format!("mirror {id} is not a mirror of yours")
        );
    }
    // Advisory locks are anybody's; rows and relations of the registry are not.
    run(
        &mut mallory,
        "SELECT pg_advisory_lock(727021357, 1), pg_advisory_lock_shared(727021357, 1);
         BEGIN; SELECT count(*) FROM sage_intacct.mirror",
    );
    for statement in [
        "LOCK TABLE sage_intacct.mirror",
        "LOCK TABLE sage_intacct.mirror IN ROW EXCLUSIVE MODE",
        "LOCK TABLE sage_intacct.mirrors",
        "LOCK TABLE sage_intacct.mirror_run",
        "LOCK TABLE sage_intacct.mirror_registration",
        "LOCK TABLE sage_intacct.mirror_registry IN ACCESS SHARE MODE",
        "LOCK TABLE sage_intacct.mirror_history IN ACCESS SHARE MODE",
        "SELECT FROM sage_intacct.mirrors FOR UPDATE",
        "DELETE FROM sage_intacct.mirror",
        "TRUNCATE sage_intacct.mirror_history",
        "SELECT nextval('sage_intacct.mirror_registry_id_seq')",
        "SELECT setval('sage_intacct.mirror_registry_id_seq', 2147483647)",
    ] {
        run(&mut mallory, "SAVEPOINT s");
        let message = refused(&mut mallory, statement);
        assert!(
            message.starts_with("permission denied") || message.contains("FOR UPDATE"),
            "{statement}: {message}"
        );
        run(&mut mallory, "ROLLBACK TO s");
    }
    // Her own rows, and what is left of a table of hers, in a transaction that stays open.
    run_each(
        &mut mallory,
        "COMMIT;
CALL sage_intacct.create_mirror('acme.customer', 'finance.hers', '{\"load\": \"off\"}');
DROP TABLE finance.hers;
BEGIN; UPDATE sage_intacct.mirror SET rows = 7; SELECT FROM sage_intacct.mirror FOR UPDATE",
    );
    run(&mut admin, "SET statement_timeout = '120s'");
    refresh(&mut admin, "customer");
    run(
        &mut admin,
        "CALL sage_intacct.create_mirror('acme.customer', 'other.customer', '{\"load\": \"off\"}')",
    );
    run(&mut admin, "CALL sage_intacct.drop_mirror('other.customer')");
    run(&mut mallory, "COMMIT; SELECT pg_advisory_unlock_all()");
    drop_roles(&mut admin, &["reg_mallory"]);
}

#[test]
fn what_is_wrong_does_not_come_in() {
    let (company, mut admin) = company("mirror_entries", "customer");
    roles(&mut admin, &company, &["reg_eve"]);
    mirror(&mut admin, "customer", r#"{"load": "off"}"#);
    let mut eve = company.database.connect_as("reg_eve");
    run(
        &mut eve,
        "CREATE TABLE finance.hers (recordno bigint PRIMARY KEY)",
    );

    let entry = |relation: &str, columns: &str, values: &str| {
        format!(
            "INSERT INTO sage_intacct.{relation} (target, source, source_name, made, options{columns})
             VALUES ({values})"
        )
    };
    let hers = "'finance.hers', 'acme.customer', 'acme.customer', true, '{}'";
    for (statement, message) in [
        // Numbers are given.
        (
            entry("mirror_registration", ", id", &format!("{hers}, 2")),
            "into column \"id\"",
        ),
        (
            entry("mirror_registration", ", id", &format!("{hers}, 2"))
                .replace("VALUES", "OVERRIDING SYSTEM VALUE VALUES"),
            "permission denied",
        ),
        (
            entry("mirror", ", id", &format!("{hers}, 2"))
                .replace("VALUES", "OVERRIDING SYSTEM VALUE VALUES"),
            "permission denied",
        ),
        (entry("mirror_registry", "", hers), "permission denied"),
        // In her own name only, over her own tables only.
        (
            entry("mirror_registration", ", owner", &format!("{hers}, 'postgres'")),
            "permission denied",
        ),
        (
            entry(
                "mirror_registration",
                "",
                &hers.replace("finance.hers", "pg_class"),
            ),
            "new row violates check option",
        ),
        (
            entry(
                "mirror_registration",
                "",
                &hers.replace("finance.hers", "finance.customer"),
            ),
            "duplicate key",
        ),
        (
            entry(
                "mirror_registration",
                "",
                &hers.replace("'finance.hers'", "'999999'"),
            ),
            "new row violates check option",
        ),
        // With options that can be used.
        (
            entry(
                "mirror_registration",
                "",
                &hers.replace("{}", r#"{"sweep_interval": "boom"}"#),
            ),
            "invalid value \"boom\"",
        ),
        (
            entry(
                "mirror_registration",
                "",
                &hers.replace("{}", r#"{"rescan_interval": "9999999 years"}"#),
            ),
            "invalid value",
        ),
        (
            entry("mirror_registration", "", &hers.replace("{}", "[]")),
            "the options of a mirror",
        ),
        (
            entry(
                "mirror_registration",
                "",
                &hers.replace("{}", r#"{"nonsense": "1"}"#),
            ),
            "unknown option",
        ),
    ] {
        let said = refused(&mut eve, &statement);
        assert!(said.contains(message), "{statement}\n{said}");
    }
    run(&mut eve, &entry("mirror_registration", "", hers));
    for (change, message) in [
        ("options = '{\"history\": \"boom\"}'", "invalid value \"boom\""),
        (
            "options = '{\"late_window\": \"-1 day\"}'",
            "invalid value \"-1 day\"",
        ),
        ("refreshed_at = '-infinity'", "violates check constraint"),
        ("sweep_at = 'infinity'", "violates check constraint"),
        ("loaded_at = '290000-01-01'", "violates check constraint"),
        ("todo = '{}'", "violates check constraint"),
        ("owner = 'postgres'", "permission denied"),
        ("target = 'finance.customer'", "permission denied"),
        ("id = 1", "can only be updated to DEFAULT"),
    ] {
        let said = refused(&mut eve, &format!("UPDATE sage_intacct.mirror SET {change}"));
        assert!(said.contains(message), "{change}: {said}");
    }
    assert!(
        refused(
            &mut eve,
            "INSERT INTO sage_intacct.mirror_run (mirror, task) VALUES (1, 'x')"
        )
        .contains("check option")
    );
    // The next number is free.
    run(
        &mut admin,
        "CALL sage_intacct.create_mirror('acme.customer', 'other.customer', '{\"load\": \"off\"}')",
    );
    drop_roles(&mut admin, &["reg_eve"]);
}

/// A row that is not valid, however it came to be there, hides no other one, and can be seen, put right and dropped.
#[test]
fn a_bad_row_is_shown_with_the_others() {
    let (_company, mut admin) = company("mirror_bad_rows", "customer");
    let options = [
        r#"{"sweep_interval": "boom"}"#,
        r#"{"rescan": "1 day", "rescan_interval": "boom"}"#,
        r#"{"sweep_interval": "300000 years"}"#,
        r#"{"history": "9999999999999 days", "rescan": "x"}"#,
        r#"[1, 2]"#,
        r#""text""#,
        "null",
    ];
    for number in 0..=options.len() {
        run(
            &mut admin,
            &format!("CALL sage_intacct.create_mirror('acme.customer', 'finance.m{number}')"),
        );
    }
    run(&mut admin, "SET session_replication_role = replica");
    for (number, bad) in options.iter().enumerate() {
        run(
            &mut admin,
            &format!(
                "UPDATE sage_intacct.mirror SET options = '{bad}' WHERE target = 'finance.m{number}'::regclass"
            ),
        );
    }
    run(&mut admin, "RESET session_replication_role");
    // A guess of when it will be done that no calendar holds.
    run(
        &mut admin,
        "UPDATE sage_intacct.mirror_run SET outcome = 'running', ended = NULL, read = 1, expected = 9223372036854775807;
         SELECT sage_intacct.mirror_try_lock(id) FROM sage_intacct.mirror",
    );
    for view in ["mirrors", "mirror_runs", "progress", "mirror", "mirror_run"] {
        let seen = lines(
            &mut admin,
            &format!("SELECT count(*) FROM (SELECT t::text FROM sage_intacct.{view} t) v"),
        );
        assert_eq!(seen, (options.len() + 1).to_string(), "{view}");
    }
    assert_eq!(
        lines(
            &mut admin,
            "SELECT count(last_run), count(lag), count(next_sweep) FROM sage_intacct.mirrors"
        ),
        "8 8 0"
    );
    run(
        &mut admin,
        "SELECT sage_intacct.mirror_unlock(id) FROM sage_intacct.mirror",
    );
    assert!(refused(&mut admin, "CALL sage_intacct.refresh_mirror('finance.m0')").contains("boom"));
    refresh(&mut admin, "m7");
    run(
        &mut admin,
        "CALL sage_intacct.alter_mirror('finance.m0', '{\"sweep_interval\": null}')",
    );
    refresh(&mut admin, "m0");
    for number in 0..=options.len() {
        run(
            &mut admin,
            &format!("CALL sage_intacct.drop_mirror('finance.m{number}')"),
        );
    }
    assert_eq!(
        lines(&mut admin, "SELECT count(*) FROM sage_intacct.mirror_registry"),
        "0"
    );
}

/// A view's rows are chosen before a reader's own functions see them.
#[test]
fn views_show_no_more_to_functions_of_the_reader() {
    let (company, mut admin) = company("mirror_leaks", "customer");
    roles(&mut admin, &company, &["reg_spy"]);
    mirror(&mut admin, "customer", "{}");
    run(
        &mut admin,
        "CALL sage_intacct.alter_mirror('finance.customer', '{\"header\": \"SECRET\", \"link\": \"recordno\"}')",
    );
    let mut spy = company.database.connect_as("reg_spy");
    run(
        &mut spy,
        "CREATE TABLE finance.seen (what text);
         CREATE FUNCTION finance.peek(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
         BEGIN INSERT INTO finance.seen VALUES ($1::text); RETURN true; END $$",
    );
    for (view, column) in [
        ("mirrors", "options"),
        ("mirror", "options"),
        ("mirror_run", "task"),
        ("mirror_runs", "error"),
        ("progress", "relation"),
        ("mirror_registration", "options"),
    ] {
        // What may not be read at all shows nothing either.
        let _ = spy.batch_execute(&format!(
            "SELECT FROM sage_intacct.{view} WHERE finance.peek({column})"
        ));
    }
    assert_eq!(lines(&mut spy, "SELECT count(*) FROM finance.seen"), "0");
    drop_roles(&mut admin, &["reg_spy"]);
}

#[test]
fn a_role_that_reads_all_data_can_dump() {
    let (company, mut admin) = company("mirror_dumped_by_reader", "customer");
    roles(&mut admin, &company, &["reg_backup"]);
    run(&mut admin, "GRANT pg_read_all_data TO reg_backup");
    mirror(&mut admin, "customer", "{}");
    assert_eq!(
        lines(
            &mut admin,
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'sage_intacct'::regnamespace AND (relrowsecurity OR relforcerowsecurity)"
        ),
        "0"
    );
    let dumped = dump(company.database.name(), &["-U", "reg_backup"]);
    let text = String::from_utf8_lossy(&dumped);
    assert!(
        text.contains("COPY sage_intacct.mirror_registry (id, target,"),
        "the registry is in it"
    );
    assert!(
        text.contains("finance.customer\t\tacme.customer\tacme.customer\tpostgres\tt\t"),
        "and its row"
    );
    assert!(
        text.contains("setval('sage_intacct.mirror_registry_id_seq', 1"),
        "and its numbers"
    );
    drop_roles(&mut admin, &["reg_backup"]);
}
