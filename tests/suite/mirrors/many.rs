//! Many mirrors at once: those of a schema.

use super::company::{assert_equal, company, lines, refresh, run, sized_company};
use sage_intacct_fdw_tests::tap::Answer;
use serde_json::json;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[test]
fn the_mirrors_of_a_schema_are_made_at_once() {
    let (company, mut client) = sized_company(
        "mirror_many",
        "customer, arinvoice, apbill, apbillitem, class, department, gldetail, glaccountbalance, mca_attendee",
        &[("ARINVOICE", 900)],
    );
    // What is there already, with rows or as a mirror, is not in the way.
    run(
        &mut client,
        "CREATE TABLE finance.class (LIKE acme.class, PRIMARY KEY (recordno));
         INSERT INTO finance.class SELECT * FROM acme.class LIMIT 3",
    );
    run(
        &mut client,
        "CALL sage_intacct.create_mirror('acme.department', 'finance.department')",
    );
    run(
        &mut client,
        r#"CALL sage_intacct.create_mirrors('acme', 'finance', '{"page_rows": 400, "overlap": "20 minutes"}')"#,
    );
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(*), bool_and(complete), bool_and(last_outcome = 'done'), count(watermark),
                    bool_and(rows = (xpath('//n/text()', query_to_xml('SELECT count(*) AS n FROM ' || target, false, true, '')))[1]::text::bigint)
               FROM sage_intacct.mirrors"
        ),
        "9 t t 9 t"
    );
    // What is computed for the day is left out.
    for table in ["arinvoice", "apbill"] {
        assert_eq!(
            lines(
                &mut client,
                &format!(
                    "SELECT attname FROM pg_attribute WHERE attrelid = 'finance.{table}'::regclass AND attname = 'due_in_days'"
                )
            ),
            ""
        );
        run(
            &mut client,
            &format!("ALTER FOREIGN TABLE acme.{table} DROP due_in_days"),
        );
    }
    let tables = [
        "customer",
        "arinvoice",
        "apbill",
        "apbillitem",
        "class",
        "department",
        "gldetail",
        "glaccountbalance",
        "mca_attendee",
    ];
    for table in tables {
        assert_equal(&mut client, table);
    }
    // They go on as any mirror does.
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "where": "RECORDNO < 40", "values": { "NAME": "changed" } } },
        { "update": { "object": "GLDETAIL", "where": "true", "values": { "DESCRIPTION": "changed" } } },
        { "delete": { "object": "ARINVOICE", "where": "RECORDNO < 60" } },
        { "insert": { "object": "MCA_attendee", "values": { "name": "new" } } },
    ]));
    run(&mut client, "CALL sage_intacct.refresh_mirrors('finance')");
    for table in tables {
        assert_equal(&mut client, table);
    }
    // Nothing is left to do.
    run(&mut client, "CALL sage_intacct.create_mirrors('acme', 'finance')");
}

#[test]
fn small_mirrors_are_read_side_by_side() {
    let (company, mut client) = company(
        "mirror_side_by_side",
        "customer, vendor, class, department, glaccount, location",
    );
    run(&mut client, "ALTER SERVER acme OPTIONS (ADD max_concurrency '4')");
    // Three answers meet before any of them goes on: of the requests that count, and of those that read.
    let meeting = Arc::new((Mutex::new([0usize; 3]), Condvar::new()));
    let seen = Arc::clone(&meeting);
    company.gateway.tap.rule(move |xml| {
        if !xml.contains("<query>") {
            return Answer::Pass;
        }
        let kind = usize::from(!xml.contains("<pagesize>1</pagesize>"));
        let seen = Arc::clone(&seen);
        Answer::Edit(Box::new(move |body| {
            let (met, changed) = &*seen;
            let mut met = met.lock().expect("no test thread panics here");
            met[kind] += 1;
            changed.notify_all();
            let waited = changed.wait_timeout_while(met, Duration::from_secs(20), |met| met[kind] < 3);
            let (mut met, timeout) = waited.expect("no test thread panics here");
            if timeout.timed_out() {
                // Nobody came: the others need not wait as long.
                met[2] += 1;
                met[kind] += 3;
            }
            body
        }))
    });
    run(&mut client, "CALL sage_intacct.create_mirrors('acme', 'finance')");
    assert_eq!(
        meeting.0.lock().expect("no thread panicked")[2],
        0,
        "they did not meet"
    );
    company.gateway.tap.pass();
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(*), bool_and(complete) FROM sage_intacct.mirrors"
        ),
        "6 t"
    );
    for table in [
        "customer",
        "vendor",
        "class",
        "department",
        "glaccount",
        "location",
    ] {
        assert_equal(&mut client, table);
        refresh(&mut client, table);
        assert_equal(&mut client, table);
    }
}

#[test]
fn one_that_fails_does_not_keep_the_others_back() {
    let (company, mut client) = company("mirror_many_fail", "customer, class, department");
    run(
        &mut client,
        "CREATE FOREIGN TABLE acme.nameless (name text OPTIONS (type 'TEXT')) SERVER acme OPTIONS (object 'CUSTOMER');
         CREATE FOREIGN TABLE acme.absent (recordno bigint OPTIONS (type 'INTEGER') NOT NULL) SERVER acme OPTIONS (object 'NOSUCHOBJECT')",
    );
    let failed = client
        .batch_execute("CALL sage_intacct.create_mirrors('acme', 'finance')")
        .expect_err("two cannot be made");
    let error = failed.as_db_error().expect("an error of the server");
    assert_eq!(error.message(), "2 of the mirrors could not be created or loaded");
    let detail = error.detail().unwrap_or_default();
    assert!(detail.contains("acme.nameless cannot be mirrored"), "{detail}");
    assert!(detail.contains("finance.absent: "), "{detail}");
    assert_eq!(
        lines(
            &mut client,
            "SELECT target, complete FROM sage_intacct.mirrors WHERE last_outcome = 'done' ORDER BY 1"
        ),
        "finance.class t\nfinance.customer t\nfinance.department t"
    );
    drop(company);
}

#[test]
fn tables_outlive_the_extension() {
    let (company, mut client) = company("mirror_dropped_extension", "customer, gldetail");
    run(&mut client, "CALL sage_intacct.create_mirrors('acme', 'finance')");
    let before = lines(&mut client, "SELECT count(*) FROM finance.customer");
    run(
        &mut client,
        "DROP EXTENSION sage_intacct_fdw CASCADE; CREATE EXTENSION sage_intacct_fdw",
    );
    assert_eq!(
        lines(&mut client, "SELECT count(*) FROM finance.customer"),
        before
    );
    run(
        &mut client,
        &sage_intacct_fdw_tests::company::Company::server_statements(&company.gateway, ""),
    );
    run(
        &mut client,
        "IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, gldetail) FROM SERVER acme INTO acme",
    );
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "where": "RECORDNO < 40", "values": { "NAME": "changed" } } },
        { "update": { "object": "GLDETAIL", "where": "true", "values": { "DESCRIPTION": "changed" } } },
    ]));
    // They are taken as they are, and compared.
    run(&mut client, "CALL sage_intacct.create_mirrors('acme', 'finance')");
    for table in ["customer", "gldetail"] {
        assert_equal(&mut client, table);
    }
}
