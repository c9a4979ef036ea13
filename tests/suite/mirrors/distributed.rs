//! Targets that Citus distributes. Debian has no Citus: in the default run something stands in for it that has what the extension
//! looks for and calls, and that is as strict as Citus was seen to be: what it cannot refuse by itself, the plans of all
//! statements that ran show. `scripts/sql-tests --citus` runs these tests, and those that are ignored, on the real one.

use super::company::{assert_equal, company, last_run, lines, local_mirror, mirror, refresh, run};
use super::events::hide_field;
use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use serde_json::json;

/// As the superuser who could install the real one: an extension by name, its catalog of tables, and its functions, which take
/// tables that are empty and have a unique key with the column, let nobody assign it afterwards, and take no triggers.
pub const STAND_IN: &str = r#"
    SET allow_system_table_mods = on;
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
        VALUES (16000, 'citus', 10, 'pg_catalog'::regnamespace, false, 'none');
    CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char", partkey text, repmodel "char");
    CREATE FUNCTION pg_catalog.column_to_column_name(target regclass, partkey text) RETURNS text LANGUAGE sql AS 'SELECT partkey';
    CREATE FUNCTION public.no_assignment() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE 'modifying the partition value of rows is not allowed';
    END $$;
    CREATE FUNCTION pg_catalog.create_distributed_table(target regclass, distribution_column text, colocate_with text DEFAULT 'default',
        shard_count integer DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        filled boolean;
    BEGIN
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', target) INTO filled;
        IF filled OR NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                                  WHERE i.indrelid = target AND i.indisprimary AND a.attname = distribution_column) THEN
            RAISE 'cannot distribute %', target;
        END IF;
        EXECUTE format('CREATE TRIGGER no_assignment BEFORE UPDATE OF %I ON %s EXECUTE FUNCTION public.no_assignment()',
                       distribution_column, target);
        INSERT INTO pg_dist_partition VALUES (target, 'h', distribution_column, 's');
    END $$;
    GRANT SELECT, INSERT ON pg_catalog.pg_dist_partition TO PUBLIC;
    CREATE FUNCTION pg_catalog.create_reference_table(target regclass) RETURNS void LANGUAGE sql AS $$
        INSERT INTO pg_dist_partition VALUES (target, 'n', NULL, 't');
    $$;
    SET allow_system_table_mods = off;
    CREATE FUNCTION public.no_trigger() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM pg_trigger t JOIN pg_dist_partition p ON p.logicalrelid = t.tgrelid WHERE t.tgname <> 'no_assignment') THEN
            RAISE 'triggers are not supported on distributed tables';
        END IF;
    END $$;
    CREATE EVENT TRIGGER no_trigger ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION public.no_trigger();"#;

/// Makes the database one of Citus: by the stand-in, which then watches this session, unless the real one is there.
pub fn citus(client: &mut Client) {
    if cluster::citus_workers().is_empty() {
        run(client, STAND_IN);
        run(
            client,
            "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on",
        );
    }
}

/// What Citus refuses in a statement on the table `target`, by its text and its plan; `None` if nothing. Each rule is what version
/// 13.2 on PostgreSQL 17 answered.
fn refusal(target: &str, statement: &str) -> Option<&'static str> {
    let (_, name) = target.split_once('.').expect("schema and table");
    let (text, plan) = statement.split_once("\n\t").map_or((statement, ""), |_| {
        // The plan begins with the first line that tells costs.
        let at = statement.find("(cost=").unwrap_or(statement.len());
        let line = statement[..at].rfind('\n').unwrap_or(at);
        statement.split_at(line)
    });
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    if text
        .match_indices(&format!("SELECT FROM {target}"))
        .any(|(at, found)| ends(&text[at + found.len()..]))
    {
        return Some("42601: a column definition list is required");
    }
    let condition = text.split_once(" DO UPDATE ").map_or("", |(_, rest)| rest);
    if text.contains(&format!("INTO {target} ")) && condition.contains(" WHERE ") {
        return Some("ROW_COUNT: rows that the condition leaves as they are count too");
    }
    let scans = plan
        .lines()
        .filter(|line| line.contains("Scan") || line.trim_start().contains("-> "));
    let (mut own, mut local) = (false, false);
    for scan in scans.filter(|line| line.contains(" on ")) {
        let relation = scan.split(" on ").nth(1).unwrap_or_default();
        if scan.contains("Scan") {
            // The foreign table may bear the same name.
            let foreign = scan.contains("Foreign Scan");
            own |= !foreign
                && [name, target]
                    .iter()
                    .any(|own| relation.strip_prefix(own).is_some_and(ends));
            local |= foreign || relation.starts_with("sage_intacct_") || relation.starts_with("pg_temp.");
        }
    }
    // An INSERT that reads nothing of its target, and one that fills a temporary table from it alone, are no join.
    (own && local).then_some("0A000: direct joins between distributed and local tables are not supported")
}

/// What Citus would refuse in what the extension has installed: functions that explain a statement, after which it does not find
/// temporary tables (42P01), and views with a LEFT JOIN to a catalog that the planner may remove (XX000).
fn refused_objects(client: &mut Client) -> String {
    lines(
        client,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'sage_intacct'::regnamespace AND prosrc ~ '''EXPLAIN '
         UNION ALL
         SELECT relname FROM pg_class WHERE relnamespace = 'sage_intacct'::regnamespace AND relkind = 'v'
            AND pg_get_viewdef(oid) ~ 'LEFT JOIN pg_'",
    )
}

/// Whether a table was analyzed in the transaction that wrote a row of it: Citus refuses that for reference tables (XX000).
fn analyzed_with_rows(client: &mut Client, target: &str) -> bool {
    let sql = format!(
        "SELECT count(*) > 0 FROM pg_statistic s
          WHERE s.starelid = '{target}'::regclass AND s.xmin::text IN (SELECT t.xmin::text FROM {target} t)"
    );
    lines(client, &sql) == "t"
}

/// What this session has run under the stand-in, with plans.
fn own_statements(client: &mut Client) -> Vec<String> {
    let process = format!("[{}]", cluster::backend(client));
    let log = cluster::server_log();
    let mut statements: Vec<String> = Vec::new();
    for line in log.lines() {
        if line.starts_with('\t') {
            if let Some(last) = statements.last_mut() {
                last.push('\n');
                last.push_str(line);
            }
        } else {
            statements.push(line.to_owned());
        }
    }
    // What the test itself compares is no statement of the extension.
    statements.retain(|statement| {
        statement.contains(&process)
            && statement.contains("Query Text:")
            && !statement.contains("Query Text: WITH there AS")
    });
    statements
}

/// Fails if a statement of this session would have been refused by Citus.
#[track_caller]
fn assert_nothing_refused(client: &mut Client, target: &str) {
    if !cluster::citus_workers().is_empty() {
        return;
    }
    let own = own_statements(client);
    assert!(
        own.iter().any(|statement| statement.contains(target)),
        "no plan was logged"
    );
    for statement in own {
        assert_eq!(refusal(target, &statement), None, "{statement}");
    }
    assert_eq!(refused_objects(client), "");
}

#[test]
fn a_distributed_mirror_follows_its_rows_to_other_shards() {
    let (company, mut client) = company("mirror_distributed", "customer");
    citus(&mut client);
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.customer ALTER COLUMN status SET NOT NULL",
    );
    mirror(&mut client, "customer", r#"{"distribute_by": "status"}"#);
    assert_equal(&mut client, "customer");
    assert_eq!(
        lines(
            &mut client,
            "SELECT partmethod FROM pg_dist_partition WHERE logicalrelid = 'finance.customer'::regclass"
        ),
        "h"
    );

    let active = lines(
        &mut client,
        "SELECT recordno FROM finance.customer WHERE status = 'active' ORDER BY recordno LIMIT 8",
    );
    let active: Vec<i64> = active.lines().map(|key| key.parse().expect("a key")).collect();
    let (moving, rest) = active.split_at(3);
    let (staying, going) = rest.split_at(2);
    assert_eq!(going.len(), 3);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": moving, "values": { "STATUS": "inactive", "NAME": "moved" } } },
        { "update": { "object": "CUSTOMER", "keys": staying, "values": { "NAME": "changed" } } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "NEW1", "NAME": "one", "STATUS": "active" } } },
        { "delete": { "object": "CUSTOMER", "keys": going, "silent": true } },
    ]));
    refresh(&mut client, "customer");
    // A row in another shard is a change, not a row lost and another one gained.
    assert_eq!(last_run(&mut client, "customer"), "done 1 5 3");
    assert_equal(&mut client, "customer");
    assert_eq!(
        lines(&mut client, "SELECT count(*) FROM sage_intacct.mirrors"),
        "1"
    );

    // Nothing differs: nothing is written. What others did is put right.
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer', full => true)",
    );
    assert_eq!(last_run(&mut client, "customer"), "done 0 0 0");
    run(
        &mut client,
        &format!(
            "DELETE FROM finance.customer WHERE recordno = {}; UPDATE finance.customer SET name = 'mine' WHERE recordno = {}",
            staying[0], staying[1]
        ),
    );
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer', full => true)",
    );
    assert_eq!(last_run(&mut client, "customer"), "done 1 1 0");
    assert_equal(&mut client, "customer");
    assert_nothing_refused(&mut client, "finance.customer");
    run(&mut client, "CALL sage_intacct.drop_mirror('finance.customer')");
    assert_eq!(lines(&mut client, "SELECT to_regclass('finance.customer')"), "-");
}

#[test]
fn a_reference_table_and_one_that_is_there_are_mirrors_too() {
    let (company, mut client) = company("mirror_reference", "customer, vendor");
    citus(&mut client);
    mirror(&mut client, "customer", r#"{"reference": true}"#);
    if cluster::citus_workers().is_empty() {
        assert!(!analyzed_with_rows(&mut client, "finance.customer"));
        assert_ne!(
            lines(
                &mut client,
                "SELECT count(*) FROM pg_stats WHERE tablename = 'customer'"
            ),
            "0"
        );
    }
    // Distributed by somebody else, without the option.
    run(
        &mut client,
        "CREATE TABLE finance.vendor (LIKE acme.vendor, PRIMARY KEY (recordno));
         SELECT create_distributed_table('finance.vendor', 'recordno')",
    );
    run(
        &mut client,
        "CALL sage_intacct.create_mirror('acme.vendor', 'finance.vendor')",
    );
    for (table, object) in [("customer", "CUSTOMER"), ("vendor", "VENDOR")] {
        assert_equal(&mut client, table);
        let keys = super::company::keys(&company, object, 6);
        company.gateway.change(json!([
            { "update": { "object": object, "keys": keys[..2], "values": { "NAME": "changed" } } },
            { "delete": { "object": object, "keys": keys[2..5] } },
            { "insert": { "object": object, "values": { "NAME": "one", (format!("{object}ID")): "N-1" } } },
        ]));
        refresh(&mut client, table);
        assert_eq!(last_run(&mut client, table), "done 1 2 3");
        assert_equal(&mut client, table);
        run(
            &mut client,
            &format!("CALL sage_intacct.refresh_mirror('finance.{table}', full => true)"),
        );
        assert_eq!(last_run(&mut client, table), "done 0 0 0");
        assert_nothing_refused(&mut client, &format!("finance.{table}"));
    }
}

/// Fields that come later, runs that end after so many requests, and an outbox, on each kind of target.
#[test]
fn new_fields_budgets_and_outboxes_work_on_each_kind_of_target() {
    for (name, kind) in [
        ("mirror_all_distributed", r#""distribute_by": "recordno""#),
        ("mirror_all_reference", r#""reference": true"#),
    ] {
        let company = Company::start(name);
        let mut client = company.connect();
        citus(&mut client);
        hide_field(&company, "Region_Code");
        run(
            &mut client,
            "CREATE SCHEMA acme; CREATE SCHEMA finance;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO acme",
        );
        let options = format!(
            r#"{{{kind}, "outbox": "changes", "page_rows": 20, "on_drift": "add", "drift_interval": "0 seconds"}}"#
        );
        mirror(&mut client, "customer", &options);
        company.gateway.tap.pass();
        refresh(&mut client, "customer");
        assert_equal(&mut client, "customer");
        let filled = "SELECT count(region_code) > 0 FROM finance.customer";
        assert_eq!(lines(&mut client, filled), "t", "{kind}");

        let keys = super::company::keys(&company, "CUSTOMER", 50);
        company.gateway.change(json!([
            { "update": { "object": "CUSTOMER", "keys": keys[..45], "values": { "NAME": "changed" } } },
            { "delete": { "object": "CUSTOMER", "keys": keys[46..48] } },
            { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "N1", "NAME": "new" } } },
        ]));
        run(
            &mut client,
            "TRUNCATE finance.changes; CALL sage_intacct.alter_mirror('finance.customer', '{\"max_requests_per_run\": 1}')",
        );
        let mut outcomes = Vec::new();
        while outcomes.last().is_none_or(|last| last != "done") {
            assert!(outcomes.len() < 50, "{kind}: {outcomes:?}");
            refresh(&mut client, "customer");
            outcomes.push(lines(
                &mut client,
                "SELECT last_outcome FROM sage_intacct.mirrors",
            ));
        }
        assert!(
            outcomes.len() > 3 && outcomes.iter().rev().skip(1).all(|outcome| outcome == "budget"),
            "{kind}: {outcomes:?}"
        );
        assert_equal(&mut client, "customer");
        assert_eq!(
            lines(
                &mut client,
                "SELECT op, count(*), count(old), count(new) FROM finance.changes GROUP BY op ORDER BY op"
            ),
            "delete 2 2 0\ninsert 1 0 1\nupdate 45 45 45",
            "{kind}"
        );
        assert_nothing_refused(&mut client, "finance.customer");
    }
}

/// Statements of the time before: the stand-in would let them pass, were it not for their plans.
#[test]
fn the_stand_in_refuses_what_citus_refuses() {
    if cluster::skipped_on_citus("the stand-in is tested") {
        return;
    }
    let (_company, mut client) = company("mirror_strict", "customer");
    citus(&mut client);
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.customer ALTER COLUMN status SET NOT NULL",
    );
    mirror(&mut client, "customer", r#"{"distribute_by": "status"}"#);
    run(
        &mut client,
        "DROP TABLE pg_temp.sage_intacct_page; CREATE TEMP TABLE sage_intacct_page AS SELECT * FROM finance.customer;
         CREATE TEMP TABLE IF NOT EXISTS sage_intacct_gone AS SELECT recordno FROM finance.customer LIMIT 3;
         CREATE TEMP TABLE IF NOT EXISTS sage_intacct_seen AS SELECT recordno FROM finance.customer LIMIT 3",
    );
    for (statement, code) in [
        ("SELECT EXISTS (SELECT FROM finance.customer)", "42601"),
        (
            "INSERT INTO finance.customer SELECT * FROM pg_temp.sage_intacct_page s WHERE NOT EXISTS (SELECT FROM finance.customer t WHERE t.recordno = s.recordno)",
            "42601",
        ),
        (
            "INSERT INTO finance.customer SELECT * FROM pg_temp.sage_intacct_page s WHERE NOT EXISTS (SELECT 1 FROM finance.customer t WHERE t.recordno = s.recordno)",
            "0A000",
        ),
        (
            "DELETE FROM finance.customer t WHERE NOT EXISTS (SELECT FROM pg_temp.sage_intacct_page s WHERE t.recordno = s.recordno)",
            "0A000",
        ),
        (
            "DELETE FROM finance.customer t WHERE EXISTS (SELECT FROM pg_temp.sage_intacct_gone s WHERE t.recordno = s.recordno)",
            "0A000",
        ),
        (
            "DELETE FROM finance.customer t USING pg_temp.sage_intacct_page s WHERE t.recordno = s.recordno AND t.status <> s.status",
            "0A000",
        ),
        (
            "INSERT INTO pg_temp.sage_intacct_gone SELECT recordno FROM finance.customer t
             WHERE NOT EXISTS (SELECT FROM pg_temp.sage_intacct_seen s WHERE t.recordno = s.recordno)",
            "0A000",
        ),
        (
            "SELECT nullif(count(*) = 2, false)::integer * 2 FROM (SELECT FROM finance.customer LIMIT 3) t",
            "42601",
        ),
        // Citus runs it, and sends the page to every shard.
        (
            "UPDATE finance.customer t SET (name) = ROW(s.name) FROM pg_temp.sage_intacct_page s WHERE t.recordno = s.recordno AND t.name <> s.name",
            "0A000",
        ),
        (
            "INSERT INTO finance.customer AS t SELECT * FROM pg_temp.sage_intacct_page ON CONFLICT (status, recordno)
             DO UPDATE SET name = excluded.name WHERE t.name IS DISTINCT FROM excluded.name",
            "ROW_COUNT",
        ),
    ] {
        let plan = lines(&mut client, &format!("EXPLAIN {statement}"));
        let logged = format!("LOG:  plan:\n\tQuery Text: {statement}\n{plan}");
        assert!(
            refusal("finance.customer", &logged).is_some_and(|refused| refused.starts_with(code)),
            "{logged}"
        );
    }
    // What was installed before.
    assert_eq!(refused_objects(&mut client), "");
    run(
        &mut client,
        "CREATE VIEW sage_intacct.old_mirrors AS
             SELECT m.target, coalesce(f.oid::regclass::text, m.source_name) AS source
               FROM sage_intacct.mirror_registry m LEFT JOIN pg_class f ON f.oid = m.source;
         CREATE FUNCTION sage_intacct.old_sorts_remotely(source regclass, key name) RETURNS boolean LANGUAGE plpgsql AS $$
         DECLARE
             plan json;
         BEGIN
             EXECUTE format('EXPLAIN (FORMAT JSON, COSTS OFF) SELECT %1$I FROM %2$s ORDER BY %1$I LIMIT 10', key, source) INTO plan;
             RETURN plan::text !~ '\"Node Type\": \"(Incremental )?Sort\"';
         END
         $$",
    );
    assert_eq!(refused_objects(&mut client), "old_sorts_remotely\nold_mirrors");
    // Statistics in the transaction of the load.
    run(
        &mut client,
        "CREATE TABLE finance.old (a integer); BEGIN; INSERT INTO finance.old VALUES (1); ANALYZE finance.old; COMMIT",
    );
    assert!(analyzed_with_rows(&mut client, "finance.old"));
    // Rows without a value there, another value there, a key without the column.
    for statement in [
        "INSERT INTO finance.customer (recordno) VALUES (-1)",
        "UPDATE finance.customer SET status = 'none'",
        "CREATE TABLE finance.wrong (a integer PRIMARY KEY, b integer); SELECT create_distributed_table('finance.wrong', 'b')",
    ] {
        assert!(client.batch_execute(statement).is_err(), "{statement}");
    }
    let error = client
        .batch_execute(
            "CREATE TRIGGER mine BEFORE INSERT ON finance.customer FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        )
        .expect_err("a trigger");
    assert!(error.to_string().contains("db error"), "{error:?}");
}

#[test]
fn what_cannot_be_distributed_is_refused() {
    let (_company, mut client) = company("mirror_undistributed", "customer");
    citus(&mut client);
    for (options, code, message) in [
        (
            r#"{"distribute_by": "status", "rescan": "all", "rescan_columns": "totaldue, status"}"#,
            "HV024",
            "option \"rescan_columns\" names the column \"status\", by which the target is distributed",
        ),
        (
            r#"{"distribute_by": "nonsense"}"#,
            "42703",
            "option \"distribute_by\" names the column \"nonsense\", which the mirror does not have",
        ),
        (
            r#"{"distribute_by": "status"}"#,
            "23502",
            "column \"status\" of acme.customer may be null: it cannot distribute a mirror",
        ),
        (
            r#"{"distribute_by": "recordno", "reference": true}"#,
            "HV024",
            "options \"distribute_by\" and \"reference\" exclude each other",
        ),
        (
            r#"{"shard_count": 4}"#,
            "HV024",
            "option \"shard_count\" needs option \"distribute_by\"",
        ),
    ] {
        let sql =
            format!("CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{options}')");
        let error = client.batch_execute(&sql).expect_err(options);
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!((error.code().code(), error.message()), (code, message));
    }
    assert_eq!(lines(&mut client, "SELECT to_regclass('finance.customer')"), "-");
    // A table that is there, and is not what the options say.
    run(
        &mut client,
        "CREATE TABLE finance.customer (LIKE acme.customer, PRIMARY KEY (recordno))",
    );
    for (option, hint) in [
        (r#"{"distribute_by": "recordno"}"#, "create_distributed_table"),
        (r#"{"reference": "on"}"#, "create_reference_table"),
    ] {
        let sql = format!("CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{option}')");
        let error = client.batch_execute(&sql).expect_err(option);
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!(error.code().code(), "55000");
        assert!(error.hint().unwrap_or_default().contains(hint), "{error:?}");
    }
}

/// A worker that is lost when a row of `finance.customer` is updated: the error can be caught, but then nothing can be committed
/// in that transaction any more. A session lock that bears its number remembers which one it was, since it outlives the rollback
/// to where the error was caught.
const LOST_WORKER: &str = r#"
    CREATE FUNCTION public.lost() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_lock(18, pg_current_xact_id()::text::bigint::integer);
        RAISE 'connection to the remote node failed' USING ERRCODE = 'XX000';
    END $$;
    CREATE TRIGGER lost BEFORE UPDATE ON finance.customer FOR EACH ROW EXECUTE FUNCTION public.lost();
    CREATE FUNCTION public.essential() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND classid = 18
                      AND objid = pg_current_xact_id()::text::bigint::oid) THEN
            RAISE 'failure on connection marked as essential' USING ERRCODE = 'XX000';
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER essential AFTER INSERT OR UPDATE ON sage_intacct.mirror_history
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.essential();"#;

/// After an error of a worker's, Citus lets nothing be committed in the transaction: a refresh rolls back, records the error, and
/// the other mirrors are refreshed.
#[test]
fn a_failure_is_rolled_back_before_it_is_recorded() {
    if cluster::skipped_on_citus(
        "triggers play the lost worker; a_lost_worker_keeps_no_other_mirror_back loses one",
    ) {
        return;
    }
    let (company, mut client) = company("mirror_rolled_back", "customer, vendor");
    for table in ["customer", "vendor"] {
        run(
            &mut client,
            &format!("CALL sage_intacct.create_mirror('acme.{table}', 'finance.{table}')"),
        );
    }
    run(&mut client, LOST_WORKER);
    // How a refresh went on before.
    run(
        &mut client,
        "CREATE PROCEDURE public.old_refresh() LANGUAGE plpgsql AS $$
         BEGIN
             BEGIN
                 UPDATE finance.customer SET name = 'changed';
             EXCEPTION WHEN OTHERS THEN
                 NULL;
             END;
             UPDATE sage_intacct.mirror_history SET outcome = outcome;
             COMMIT;
         END $$",
    );
    let error = client
        .batch_execute("CALL public.old_refresh()")
        .expect_err("the worker is lost");
    let error = error.as_db_error().expect("an error of the server");
    assert_eq!(error.message(), "failure on connection marked as essential");
    for object in ["CUSTOMER", "VENDOR"] {
        company.gateway.change(json!([{ "update": { "object": object, "where": "RECORDNO < 20", "values": { "NAME": "changed" } } }]));
    }
    let rollbacks = |client: &mut Client| -> i64 {
        run(client, "SELECT pg_stat_force_next_flush()");
        lines(
            client,
            "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()",
        )
        .parse()
        .expect("a number")
    };
    let before = rollbacks(&mut client);
    client
        .batch_execute("CALL sage_intacct.refresh_mirrors('finance')")
        .expect_err("one of them fails");
    // The transaction of the page, and at the end the statement.
    assert_eq!(rollbacks(&mut client) - before, 2);
    assert_eq!(
        lines(
            &mut client,
            "SELECT last_outcome, last_error FROM sage_intacct.mirrors ORDER BY target::text"
        ),
        "failed connection to the remote node failed\ndone -"
    );
    assert_equal(&mut client, "vendor");
    run(&mut client, "DROP TRIGGER lost ON finance.customer");
    refresh(&mut client, "customer");
    assert_equal(&mut client, "customer");
}

/// The example of docs/mirrors.md for tables that take no triggers.
#[test]
fn a_paid_invoice_starts_a_workflow_on_a_distributed_table() {
    let (company, mut client) = company("mirror_workflow", "arinvoice");
    citus(&mut client);
    run(
        &mut client,
        "CREATE TABLE finance.outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, happened timestamptz DEFAULT now(), event jsonb NOT NULL);
         CREATE FUNCTION finance.invoice_changed(mirror regclass, changes jsonb) RETURNS void LANGUAGE sql AS $$
         INSERT INTO finance.outbox (event)
         SELECT jsonb_build_object('paid', c #>> '{new,recordid}', 'customer', c #>> '{new,customerid}')
           FROM jsonb_array_elements(changes) c
          WHERE c ->> 'op' = 'update' AND c #>> '{new,state}' = 'Paid' AND c #>> '{old,state}' IS DISTINCT FROM 'Paid'
         $$",
    );
    mirror(
        &mut client,
        "arinvoice",
        r#"{"distribute_by": "recordno", "on_change": "invoice_changed", "outbox": "changes"}"#,
    );
    let unpaid = company.gateway.truth(
        "SELECT RECORDNO AS k, RECORDID AS id FROM ARINVOICE WHERE MEGAENTITYKEY IS NULL AND STATE <> 'Paid' ORDER BY 1 LIMIT 3",
    );
    company.gateway.change(json!([
        { "update": { "object": "ARINVOICE", "keys": [unpaid[0]["k"]], "values": { "STATE": "Paid", "TOTALDUE": 0 } } },
        { "update": { "object": "ARINVOICE", "keys": [unpaid[1]["k"]], "values": { "DESCRIPTION": "not yet" } } },
        { "delete": { "object": "ARINVOICE", "keys": [unpaid[2]["k"]] } },
    ]));
    for _ in 0..2 {
        refresh(&mut client, "arinvoice");
    }
    // What has not changed is not read from the workers.
    let own = own_statements(&mut client);
    let near = |statement: &&String| statement.contains("CREATE TEMP TABLE sage_intacct_near AS");
    assert_eq!(
        own.iter().any(|statement| near(&statement)),
        cluster::citus_workers().is_empty()
    );
    for statement in own.iter().filter(near) {
        let all = |line: &str| line.ends_with(" t WHERE true AND true");
        assert!(!statement.lines().any(all), "{statement}");
    }
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.arinvoice', full => true)",
    );
    assert_equal(&mut client, "arinvoice");
    assert_eq!(
        lines(&mut client, "SELECT event ->> 'paid' FROM finance.outbox"),
        unpaid[0]["id"].as_str().expect("an id")
    );
    assert_eq!(
        lines(
            &mut client,
            "SELECT op, key ->> 'recordno' FROM finance.changes ORDER BY op, (key ->> 'recordno')::bigint"
        ),
        format!(
            "delete {}\nupdate {}\nupdate {}",
            unpaid[2]["k"], unpaid[0]["k"], unpaid[1]["k"]
        )
    );
    assert_nothing_refused(&mut client, "finance.arinvoice");
}

/// Whether the coordinator joins or sorts rows by itself, in what EXPLAIN shows above the tasks.
fn coordinator_part(plan: &str) -> &str {
    plan.split("Task Count").next().unwrap_or(plan)
}

#[test]
#[ignore = "needs Citus: scripts/sql-tests --citus"]
fn joins_and_groups_run_on_the_workers() {
    let (_company, mut client) = company("mirror_colocated", "arinvoice, arinvoiceitem, customer");
    citus(&mut client);
    for (table, by) in [
        ("arinvoice", "recordno"),
        ("arinvoiceitem", "recordkey"),
        ("customer", ""),
    ] {
        let options = match by {
            "" => r#"{"reference": true}"#.to_owned(),
            _ => format!(r#"{{"distribute_by": "{by}"}}"#),
        };
        if by == "recordkey" {
            run(
                &mut client,
                "ALTER FOREIGN TABLE acme.arinvoiceitem ALTER COLUMN recordkey SET NOT NULL",
            );
        }
        mirror(&mut client, table, &options);
    }
    let groups = |schema: &str| {
        format!(
            "SELECT c.customerid, count(*), sum(l.amount) FROM {schema}.arinvoice h JOIN {schema}.arinvoiceitem l ON l.recordkey = h.recordno
               LEFT JOIN {schema}.customer c ON c.customerid = h.customerid GROUP BY c.customerid ORDER BY c.customerid"
        )
    };
    let plan = lines(&mut client, &format!("EXPLAIN {}", groups("finance")));
    assert!(
        plan.contains("Task Count") && !coordinator_part(&plan).contains("Join"),
        "{plan}"
    );
    let (here, there) = (
        lines(&mut client, &groups("finance")),
        lines(&mut client, &groups("acme")),
    );
    assert_eq!(here, there);
}

/// A worker that takes no connections any more, and comes back.
#[test]
#[ignore = "needs Citus: scripts/sql-tests --citus"]
fn a_lost_worker_keeps_no_other_mirror_back() {
    let (company, mut client) = company("mirror_worker_lost", "customer, vendor");
    citus(&mut client);
    mirror(&mut client, "customer", r#"{"distribute_by": "recordno"}"#);
    // Local: no worker is in its way.
    run(
        &mut client,
        "CALL sage_intacct.create_mirror('acme.vendor', 'finance.vendor')",
    );
    for worker in cluster::citus_workers() {
        for object in ["CUSTOMER", "VENDOR"] {
            company.gateway.change(json!([
                { "update": { "object": object, "where": "RECORDNO < 30", "values": { "NAME": format!("changed {worker}") } } },
                { "delete": { "object": object, "where": format!("RECORDNO = {}", worker % 7 + 8) } },
            ]));
        }
        company.database.lose_worker(worker, true);
        client
            .batch_execute("CALL sage_intacct.refresh_mirrors('finance')")
            .expect_err("a worker is lost");
        assert_eq!(
            lines(
                &mut client,
                "SELECT target, last_outcome, last_error IS NOT NULL FROM sage_intacct.mirrors ORDER BY target::text"
            ),
            "finance.customer failed t\nfinance.vendor done f"
        );
        assert_equal(&mut client, "vendor");
        company.database.lose_worker(worker, false);
        run(&mut client, "CALL sage_intacct.refresh_mirrors('finance')");
        assert_equal(&mut client, "customer");
    }
}

/// A worker that is lost when everything has been written and nothing is committed: a function that is told of the changes waits
/// there for this session.
#[test]
#[ignore = "needs Citus: scripts/sql-tests --citus"]
fn a_worker_that_is_lost_before_the_commit_is_an_error_like_others() {
    let (company, mut client) = company("mirror_commit_lost", "customer, vendor");
    citus(&mut client);
    run(
        &mut client,
        "CREATE FUNCTION finance.wait(mirror regclass, changes jsonb) RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock(4)'",
    );
    mirror(
        &mut client,
        "customer",
        r#"{"distribute_by": "recordno", "on_change": "wait"}"#,
    );
    local_mirror(&mut client, "vendor", "{}");
    for worker in cluster::citus_workers() {
        for object in ["CUSTOMER", "VENDOR"] {
            company.gateway.change(json!([
                { "update": { "object": object, "where": "RECORDNO < 30", "values": { "NAME": format!("changed {worker}") } } },
            ]));
        }
        run(&mut client, "SELECT pg_advisory_lock(4)");
        let mut other = company.connect();
        let refresh =
            std::thread::spawn(move || other.batch_execute("CALL sage_intacct.refresh_mirrors('finance')"));
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4";
        while lines(&mut client, waits) == "0" {
            assert!(!refresh.is_finished(), "it did not wait");
            std::thread::yield_now();
        }
        company.database.lose_worker(worker, true);
        run(&mut client, "SELECT pg_advisory_unlock(4)");
        let error = refresh
            .join()
            .expect("the thread ends")
            .expect_err("a worker is lost");
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!(error.message(), "1 of 2 mirrors could not be refreshed");
        assert_eq!(
            lines(
                &mut client,
                "SELECT target, last_outcome, last_error IS NOT NULL FROM sage_intacct.mirrors ORDER BY target::text"
            ),
            "finance.customer failed t\nfinance.vendor done f"
        );
        assert_equal(&mut client, "vendor");
        company.database.lose_worker(worker, false);
        // This session had a connection to it, and would see that it is gone.
        client = company.connect();
        run(&mut client, "CALL sage_intacct.refresh_mirrors('finance')");
        assert_equal(&mut client, "customer");
    }
}

/// What a distributed mirror costs beside a local one of the same rows (`SAGE_CITUS_ROWS`) at a gateway that takes its time
/// (`SAGE_CITUS_LATENCY`, milliseconds), for docs/performance.md: the shortest of several runs of each, taken in turns. Nothing is
/// asserted of times.
#[test]
#[ignore = "needs Citus: scripts/sql-tests --citus"]
fn ratios_to_a_local_mirror_are_printed() {
    let rows = sage_intacct_fdw_tests::environment::number("SAGE_CITUS_ROWS").unwrap_or(5000);
    let (company, mut client) =
        super::company::sized_company("mirror_ratios", "arinvoice", &[("ARINVOICE", rows)]);
    let latency = sage_intacct_fdw_tests::environment::number("SAGE_CITUS_LATENCY").unwrap_or(0);
    company.gateway.set("latency_ms", &latency.to_string());
    citus(&mut client);
    let tables = [("alone", "{}"), ("spread", r#"{"distribute_by": "recordno"}"#)];
    let mut time = |what: &str, statements: [String; 2], repeat: usize, change: bool| {
        let mut best = [f64::INFINITY; 2];
        for round in 0..repeat {
            if change {
                let values = json!({ "DESCRIPTION": format!("{what} {round}") });
                company.gateway.change(json!([{ "update": { "object": "ARINVOICE", "where": "RECORDNO IN (SELECT RECORDNO FROM t_ARINVOICE LIMIT 10)", "values": values } }]));
            }
            for (best, statement) in best.iter_mut().zip(&statements) {
                let began = std::time::Instant::now();
                run(&mut client, statement);
                *best = best.min(began.elapsed().as_secs_f64());
            }
        }
        let [local, distributed] = best;
        println!(
            "{what}: local {:.0} ms, distributed {:.0} ms, ratio {:.2}",
            local * 1000.0,
            distributed * 1000.0,
            distributed / local
        );
    };
    time(
        "first load",
        tables.map(|(table, options)| {
            format!("CALL sage_intacct.create_mirror('acme.arinvoice', 'finance.{table}', '{options}')")
        }),
        1,
        false,
    );
    let refresh = |full: bool| {
        tables
            .map(|(table, _)| format!("CALL sage_intacct.refresh_mirror('finance.{table}', full => {full})"))
    };
    time("nothing changed", refresh(false), 12, false);
    time("ten changes", refresh(false), 12, true);
    time("full refresh", refresh(true), 2, false);
}
