//! Targets that Citus distributes. Debian has no Citus: what stands in for it here is what the extension looks for and calls,
//! and the rule that matters most: the distribution column is never assigned.

use super::company::{assert_equal, company, last_run, lines, mirror, refresh, run};
use serde_json::json;

/// As the superuser who could install the real one: an extension by name, and its function, which takes tables that are
/// empty and have a unique key with the column, and lets nobody assign it afterwards.
pub const STAND_IN: &str = r#"
    SET allow_system_table_mods = on;
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
        VALUES (16000, 'citus', 10, 'pg_catalog'::regnamespace, false, 'none');
    CREATE FUNCTION public.no_assignment() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE 'modifying the partition value of rows is not allowed';
    END $$;
    CREATE FUNCTION pg_catalog.create_distributed_table(target regclass, distribution_column text) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        filled boolean;
    BEGIN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', target) INTO filled;
        IF filled OR NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                                  WHERE i.indrelid = target AND i.indisprimary AND a.attname = distribution_column) THEN
            RAISE 'cannot distribute %', target;
        END IF;
        EXECUTE format('CREATE TRIGGER no_assignment BEFORE UPDATE OF %I ON %s EXECUTE FUNCTION public.no_assignment()',
                       distribution_column, target);
    END $$;
    SET allow_system_table_mods = off;"#;

#[test]
fn a_distributed_mirror_follows_its_rows_to_other_shards() {
    let (company, mut client) = company("mirror_distributed", "customer");
    run(&mut client, STAND_IN);
    mirror(&mut client, "customer", r#"{"distribute_by": "status"}"#);
    assert_equal(&mut client, "customer");
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(*) FROM pg_trigger WHERE tgname = 'no_assignment'"
        ),
        "1"
    );

    let active = lines(
        &mut client,
        "SELECT recordno FROM finance.customer WHERE status = 'active' ORDER BY recordno LIMIT 5",
    );
    let active: Vec<i64> = active.lines().map(|key| key.parse().expect("a key")).collect();
    let (moving, staying) = active.split_at(3);
    assert_eq!(staying.len(), 2);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": moving, "values": { "STATUS": "inactive", "NAME": "moved" } } },
        { "update": { "object": "CUSTOMER", "keys": staying, "values": { "NAME": "changed" } } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "NEW1", "NAME": "one", "STATUS": "active" } } },
    ]));
    refresh(&mut client, "customer");
    // A row in another shard is a change, not a row lost and another one gained.
    assert_eq!(last_run(&mut client, "customer"), "done 1 5 0");
    assert_equal(&mut client, "customer");
}

#[test]
fn what_cannot_be_distributed_is_refused() {
    let (_company, mut client) = company("mirror_undistributed", "customer");
    run(&mut client, STAND_IN);
    for (options, code, message) in [
        (
            r#"{"distribute_by": "status", "rescan": "all", "rescan_columns": "totaldue, status"}"#,
            "HV024",
            "option \"rescan_columns\" names the column \"status\", by which the target is distributed",
        ),
        (
            r#"{"distribute_by": "nonsense"}"#,
            "42703",
            "column \"nonsense\" named in key does not exist",
        ),
    ] {
        let sql =
            format!("CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{options}')");
        let error = client.batch_execute(&sql).expect_err(options);
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!((error.code().code(), error.message()), (code, message));
    }
    assert_eq!(lines(&mut client, "SELECT to_regclass('finance.customer')"), "-");
}
