//! Mirrors of objects whose rows are told apart by a text, by several columns, or by nothing.

use super::company::{assert_equal, company, keys, last_run, lines, mirror, refresh, run, sized_company};
use serde_json::json;

#[test]
fn a_text_tells_rows_apart() {
    let (company, mut client) = company("mirror_text_key", "customer");
    // Of the collations that equal bytes alone make equal, and of one that has its own opinion.
    run(
        &mut client,
        r"CREATE COLLATION unmindful (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
          CREATE FOREIGN TABLE acme.named (customerid text OPTIONS (type 'TEXT') NOT NULL, name text OPTIONS (type 'TEXT'),
              totaldue numeric OPTIONS (type 'CURRENCY'), whencreated timestamptz OPTIONS (type 'TIMESTAMP'),
              whenmodified timestamptz OPTIONS (type 'TIMESTAMP')) SERVER acme OPTIONS (object 'CUSTOMER', row_key 'CUSTOMERID');
          CREATE TABLE finance.named (LIKE acme.named, mine int);
          ALTER TABLE finance.named ALTER customerid TYPE text COLLATE unmindful;
          CREATE UNIQUE INDEX ON finance.named (customerid COLLATE pg_catalog.C)"
            .replace("pg_catalog.C)", r#""C")"#)
            .as_str(),
    );
    run(
        &mut client,
        "CREATE FOREIGN TABLE acme.plain (customerid text OPTIONS (type 'TEXT') NOT NULL, name text OPTIONS (type 'TEXT'),
              whencreated timestamptz OPTIONS (type 'TIMESTAMP'), whenmodified timestamptz OPTIONS (type 'TIMESTAMP'))
              SERVER acme OPTIONS (object 'CUSTOMER', row_key 'CUSTOMERID')",
    );
    mirror(&mut client, "plain", "{}");
    run(
        &mut client,
        "CALL sage_intacct.create_mirror('acme.named', 'finance.named')",
    );
    assert_eq!(
        lines(&mut client, "SELECT complete FROM sage_intacct.mirrors"),
        "t\nt"
    );
    let keys = keys(&company, "CUSTOMER", 40);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": keys[..3], "values": { "NAME": "changed" } } },
        { "delete": { "object": "CUSTOMER", "keys": [keys[5]] } },
        { "delete": { "object": "CUSTOMER", "keys": [keys[30]], "silent": true } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "Zoë", "NAME": "one" } } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "zOË", "NAME": "two" } } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": " zoë", "NAME": "three" } } },
    ]));
    for table in ["plain", "named"] {
        refresh(&mut client, table);
        assert_eq!(last_run(&mut client, table), "done 3 3 2", "{table}");
    }
    assert_equal(&mut client, "plain");
    run(&mut client, "ALTER TABLE finance.named DROP mine");
    assert_equal(&mut client, "named");
    for table in ["plain", "named"] {
        run(
            &mut client,
            &format!("CALL sage_intacct.refresh_mirror('finance.{table}', full => true)"),
        );
        assert_eq!(last_run(&mut client, table), "done 0 0 0", "{table}");
    }
}

#[test]
fn several_columns_tell_rows_apart() {
    let (company, mut client) = sized_company(
        "mirror_wide_key",
        "apbillitem",
        &[("APBILLITEM", 200), ("APBILL", 60)],
    );
    mirror(&mut client, "apbillitem", r#"{"key": "recordkey, line_no"}"#);
    assert_eq!(
        lines(
            &mut client,
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'finance.apbillitem'::regclass AND contype = 'p'"
        ),
        "PRIMARY KEY (recordkey, line_no)"
    );
    let rows = company.gateway.truth(
        "SELECT RECORDNO AS line, RECORDKEY AS header FROM APBILLITEM
          WHERE RECORDKEY IN (SELECT RECORDNO FROM APBILL WHERE MEGAENTITYKEY IS NULL) ORDER BY RECORDNO LIMIT 9",
    );
    let at = |row: usize, name: &str| rows[row][name].as_i64().expect("a key");
    company.gateway.change(json!([
        { "delete": { "object": "APBILLITEM", "keys": [at(0, "line")], "silent": true } },
        { "insert": { "object": "APBILLITEM", "values": { "RECORDKEY": at(1, "header"), "LINE_NO": 77 } } },
        { "update": { "object": "APBILL", "keys": [at(0, "header"), at(1, "header")], "values": {} } },
        { "update": { "object": "APBILLITEM", "keys": [at(4, "line")], "values": { "ACCOUNTTITLE": "changed" } } },
        { "delete": { "object": "APBILL", "keys": [at(8, "header")] } },
    ]));
    refresh(&mut client, "apbillitem");
    assert_equal(&mut client, "apbillitem");
    assert_eq!(
        lines(&mut client, "SELECT complete FROM sage_intacct.mirrors"),
        "t"
    );
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.apbillitem', full => true)",
    );
    assert_eq!(last_run(&mut client, "apbillitem"), "done 0 0 0");
}

#[test]
fn a_key_that_is_none_is_refused() {
    let (_company, mut client) = company("mirror_no_key", "customer");
    let failed = client
        .batch_execute(
            "CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{\"key\": \"status\"}')",
        )
        .expect_err("the status is not unique");
    let message = failed.as_db_error().expect("an error").message().to_owned();
    assert!(message.contains("unique"), "{message}");
    // It can be tried again.
    run(&mut client, "CALL sage_intacct.drop_mirror('finance.customer')");
    mirror(&mut client, "customer", r#"{"key": "customerid"}"#);
    assert_equal(&mut client, "customer");
}

/// Of a view: nothing is unique, nothing bears a time, nothing is a period.
#[test]
fn rows_without_a_key_are_compared_as_a_multiset() {
    let (company, mut client) = company("mirror_multiset", "customer");
    run(
        &mut client,
        "CREATE FOREIGN TABLE acme.bag (status text OPTIONS (type 'TEXT'), termname text OPTIONS (type 'TEXT'),
             creditlimit numeric OPTIONS (type 'CURRENCY'))
             SERVER acme OPTIONS (object 'CUSTOMER', row_key '')",
    );
    mirror(&mut client, "bag", "{}");
    assert_equal(&mut client, "bag");
    let keys = keys(&company, "CUSTOMER", 60);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": keys[..20], "values": { "TERMNAME": "same", "CREDITLIMIT": 5, "STATUS": "active" } } },
        { "delete": { "object": "CUSTOMER", "keys": keys[30..33], "silent": true } },
    ]));
    run(
        &mut client,
        "CREATE TABLE before AS SELECT ctid AS place, xmin AS version FROM finance.bag",
    );
    refresh(&mut client, "bag");
    assert_equal(&mut client, "bag");
    // Rows that are alike are kept, however often they come.
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(*) FROM before b JOIN finance.bag t ON t.ctid = b.place AND t.xmin = b.version
             HAVING count(*) < (SELECT count(*) FROM finance.bag) - 20"
        ),
        ""
    );
    assert_eq!(last_run(&mut client, "bag"), "done 20 0 23");
    company.gateway.change(json!([
        { "delete": { "object": "CUSTOMER", "keys": keys[..7], "silent": true } },
    ]));
    refresh(&mut client, "bag");
    assert_eq!(last_run(&mut client, "bag"), "done 0 0 7");
    assert_equal(&mut client, "bag");
}

/// Rows of 2.1 are told apart by a text, its function does not count, and shows no trail: deletes are found by the sweep.
#[test]
fn objects_of_version_2_1_are_mirrored() {
    let (company, mut client) = company("mirror_legacy", "class");
    run(
        &mut client,
        "ALTER SERVER acme OPTIONS (ADD dtd_version '2.1'); DROP FOREIGN TABLE acme.class",
    );
    run(
        &mut client,
        "IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, department) FROM SERVER acme INTO acme",
    );
    for table in ["customer", "department"] {
        mirror(&mut client, table, "{}");
        refresh(&mut client, table);
        assert_equal(&mut client, table);
    }
    let keys = keys(&company, "CUSTOMER", 9);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": keys[..3], "values": { "NAME": "changed" } } },
        { "delete": { "object": "CUSTOMER", "keys": keys[5..7] } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "new", "NAME": "new" } } },
        { "update": { "object": "DEPARTMENT", "where": "RECORDNO < 9", "values": { "TITLE": "changed" } } },
    ]));
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 1 3 0");
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(complete), count(next_sweep) FROM sage_intacct.mirrors"
        ),
        "0 2"
    );
    run(
        &mut client,
        "UPDATE sage_intacct.mirror SET sweep_at = sweep_at - interval '1 day'",
    );
    for table in ["customer", "department"] {
        refresh(&mut client, table);
        assert_equal(&mut client, table);
    }
}

#[test]
fn balances_are_replaced_by_period() {
    let (company, mut client) = sized_company(
        "mirror_balances",
        "glaccountbalance",
        &[("GLACCOUNTBALANCE", 800), ("REPORTINGPERIOD", 40)],
    );
    mirror(&mut client, "glaccountbalance", "{}");
    assert_equal(&mut client, "glaccountbalance");
    assert_eq!(
        lines(&mut client, "SELECT complete FROM sage_intacct.mirrors"),
        "t"
    );
    let rows = super::ledger::rows(&company, "GLACCOUNTBALANCE");
    company.gateway.change(json!([
        { "update": { "object": "GLACCOUNTBALANCE", "where": format!("_ROW IN ({}, {})", rows[3], rows[400]), "values": { "ENDBAL": 12.5 }, "silent": true } },
        { "delete": { "object": "GLACCOUNTBALANCE", "where": format!("_ROW = {}", rows[77]), "silent": true } },
        { "update": { "object": "GLACCOUNTBALANCE", "where": format!("_ROW IN ({}, {})", rows[500], rows[501]), "values": { "ACCOUNTTITLE": "changed" } } },
    ]));
    refresh(&mut client, "glaccountbalance");
    assert_equal(&mut client, "glaccountbalance");
    assert_eq!(last_run(&mut client, "glaccountbalance"), "done 4 0 5");
    // All rows of a period go, and a new period comes.
    company.gateway.change(json!([
        { "delete": { "object": "GLACCOUNTBALANCE", "where": "PERIOD = (SELECT PERIOD FROM t_GLACCOUNTBALANCE LIMIT 1)", "silent": true } },
        { "update": { "object": "GLACCOUNTBALANCE", "where": format!("_ROW = {}", rows[600]), "values": { "PERIOD": "Another" }, "silent": true } },
    ]));
    refresh(&mut client, "glaccountbalance");
    assert_equal(&mut client, "glaccountbalance");
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.glaccountbalance', full => true)",
    );
    assert_eq!(last_run(&mut client, "glaccountbalance"), "done 0 0 0");
}
