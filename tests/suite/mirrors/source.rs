//! A mirror knows where its rows come from: rows of two sources never meet in it.

use super::company::{assert_equal, company, keys, last_run, lines, mirror, refresh, run};
use postgres::Client;
use sage_intacct_fdw_tests::tap::Answer;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

const REFRESH: &str = "CALL sage_intacct.refresh_mirror('finance.customer')";
const FULL: &str = "CALL sage_intacct.refresh_mirror('finance.customer', full => true)";

const OTHER_COMPANY: &str = "ALTER SERVER acme OPTIONS (SET company_id 'globex');
     ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'secret2')";

/// Fails unless a refresh stops and names a difference; what the mirror holds stays.
#[track_caller]
fn assert_stops(client: &mut Client, difference: &str) {
    let rows = "SELECT md5(string_agg(c::text, '' ORDER BY recordno)) FROM finance.customer c";
    let before = lines(client, rows);
    let error = client.batch_execute(REFRESH).expect_err(difference);
    let error = error.as_db_error().expect("an error of the server");
    assert_eq!(
        (error.code().code(), error.message()),
        ("55000", "the source of mirror finance.customer has changed")
    );
    assert!(
        error.detail().is_some_and(|detail| detail.contains(difference)),
        "{error:?}"
    );
    assert!(
        error.hint().is_some_and(|hint| hint.contains("full => true")),
        "{error:?}"
    );
    assert_eq!(lines(client, rows), before);
    assert_eq!(
        lines(
            client,
            "SELECT last_outcome, complete, last_error ~ 'has changed' FROM sage_intacct.mirrors"
        ),
        "failed - t"
    );
}

#[test]
fn another_source_stops_a_refresh() {
    let (company, mut client) = company("mirror_source", "customer, vendor");
    mirror(&mut client, "customer", "{}");
    let entity = company
        .gateway
        .truth("SELECT LOCATIONID AS id FROM LOCATIONENTITY ORDER BY 1")[0]["id"]
        .as_str()
        .expect("an entity")
        .to_owned();
    let changes = [
        (
            OTHER_COMPANY.to_owned(),
            "company: \"acme\" when the mirror was read, \"globex\" now".to_owned(),
            "ALTER SERVER acme OPTIONS (SET company_id 'acme');
             ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'secret')",
        ),
        (
            format!("ALTER SERVER acme OPTIONS (ADD location_id '{entity}')"),
            format!("entity: \"\" when the mirror was read, \"{entity}\" now"),
            "ALTER SERVER acme OPTIONS (DROP location_id)",
        ),
        (
            format!("ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (ADD location_id '{entity}')"),
            format!("entity: \"\" when the mirror was read, \"{entity}\" now"),
            "ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (DROP location_id)",
        ),
        (
            "ALTER FOREIGN TABLE acme.customer OPTIONS (SET object 'VENDOR')".to_owned(),
            "object: \"CUSTOMER\" when the mirror was read, \"VENDOR\" now".to_owned(),
            "ALTER FOREIGN TABLE acme.customer OPTIONS (SET object 'CUSTOMER')",
        ),
        (
            "ALTER FOREIGN TABLE acme.customer OPTIONS (ADD filter 'STATUS = active')".to_owned(),
            "filter: \"\" when the mirror was read, \"STATUS = active\" now".to_owned(),
            "ALTER FOREIGN TABLE acme.customer OPTIONS (DROP filter)",
        ),
        (
            "ALTER FOREIGN TABLE acme.customer OPTIONS (ADD show_private 'on')".to_owned(),
            "private: \"false\" when the mirror was read, \"true\" now".to_owned(),
            "ALTER FOREIGN TABLE acme.customer OPTIONS (DROP show_private)",
        ),
        // Customers become vendors.
        (
            "ALTER FOREIGN TABLE acme.customer RENAME TO kept;
             CREATE FOREIGN TABLE acme.customer (recordno bigint OPTIONS (type 'INTEGER') NOT NULL, name text OPTIONS (type 'TEXT'),
                 whenmodified timestamptz OPTIONS (type 'TIMESTAMP')) SERVER acme OPTIONS (object 'VENDOR');
             UPDATE sage_intacct.mirror SET source = 'acme.customer'::regclass"
                .to_owned(),
            "object: \"CUSTOMER\" when the mirror was read, \"VENDOR\" now".to_owned(),
            "DROP FOREIGN TABLE acme.customer; ALTER FOREIGN TABLE acme.kept RENAME TO customer;
             UPDATE sage_intacct.mirror SET source = 'acme.customer'::regclass",
        ),
    ];
    for (change, difference, back) in &changes {
        run(&mut client, change);
        assert_stops(&mut client, difference);
        run(&mut client, back);
        refresh(&mut client, "customer");
        assert_eq!(last_run(&mut client, "customer"), "done 0 0 0", "{change}");
    }
    // Where it is wanted, every row is compared, and the new source is the one that is known.
    for (change, ..) in &changes[..2] {
        run(&mut client, change);
        run(&mut client, FULL);
        assert_equal(&mut client, "customer");
        refresh(&mut client, "customer");
        assert_eq!(last_run(&mut client, "customer"), "done 0 0 0");
    }
}

/// What was read before the change is not applied after it.
#[test]
fn a_source_that_changes_under_a_refresh_stops_it() {
    for (name, change) in [
        ("company", OTHER_COMPANY),
        ("zone", "ALTER SERVER acme OPTIONS (ADD time_zone 'Asia/Tokyo')"),
    ] {
        let (company, mut client) = company(&format!("mirror_moved_{name}"), "customer");
        mirror(&mut client, "customer", "{}");
        company.gateway.change(json!([
            { "update": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 5), "values": { "NAME": "changed" } } },
        ]));
        let mut other = company.connect();
        let done = Arc::new(AtomicBool::new(false));
        let changed = Arc::clone(&done);
        let (sender, receiver) = channel();
        let sender = Mutex::new(sender);
        // While the answer with the changes is on its way.
        company.gateway.tap.rule(move |xml| {
            let first = xml.contains("<object>CUSTOMER</object>") && xml.contains("WHENMODIFIED</field>");
            if first && !changed.swap(true, Ordering::SeqCst) {
                let (ready, wait) = channel::<()>();
                sender
                    .lock()
                    .expect("one at a time")
                    .send(ready)
                    .expect("the test listens");
                // Until the option is altered.
                let _ = wait.recv();
            }
            Answer::Pass
        });
        let altered = thread::spawn(move || {
            let ready = receiver.recv().expect("the request comes");
            run(&mut other, change);
            drop(ready);
        });
        let error = client
            .batch_execute(REFRESH)
            .expect_err("its source is another one");
        assert_eq!(error.code().map(|code| code.code()), Some("55000"), "{error:?}");
        altered.join().expect("altered");
        company.gateway.tap.pass();
        assert_eq!(
            lines(
                &mut client,
                "SELECT count(*) FROM finance.customer WHERE name = 'changed'"
            ),
            "0",
            "{change}"
        );
    }
}

#[test]
fn a_corrected_clock_is_read_again() {
    let (company, mut client) = company("mirror_clock", "customer");
    mirror(&mut client, "customer", "{}");
    // What was declared was eight hours off: the watermark lay there.
    for zone in [
        "ADD time_zone 'Asia/Singapore'",
        "SET time_zone 'America/Los_Angeles'",
        "DROP time_zone",
    ] {
        run(&mut client, &format!("ALTER SERVER acme OPTIONS ({zone})"));
        refresh(&mut client, "customer");
        assert_equal(&mut client, "customer");
        let key = keys(&company, "CUSTOMER", 1)[0];
        company.gateway.change(json!([
            { "update": { "object": "CUSTOMER", "keys": [key], "values": { "NAME": zone } } }
        ]));
        refresh(&mut client, "customer");
        assert_eq!(last_run(&mut client, "customer"), "done 0 1 0", "{zone}");
        assert_equal(&mut client, "customer");
        assert_eq!(
            lines(&mut client, "SELECT complete FROM sage_intacct.mirrors"),
            "t"
        );
    }
    // Another way to the same clock is the same.
    run(&mut client, "ALTER SERVER acme OPTIONS (ADD time_zone '+00:00')");
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 0 0 0");
    assert_eq!(
        lines(
            &mut client,
            "SELECT watermark IS NOT NULL FROM sage_intacct.mirror"
        ),
        "t"
    );
}

#[test]
fn a_stamp_from_the_future_hides_nothing() {
    let (company, mut client) = company("mirror_future", "customer");
    mirror(&mut client, "customer", "{\"overlap\": \"0 seconds\"}");
    let all = keys(&company, "CUSTOMER", 3);
    for (row, ahead) in ["+20 hours", "+30 minutes"].into_iter().enumerate() {
        let stamp = company
            .gateway
            .truth(&format!("SELECT datetime('now', '{ahead}') AS at"))[0]["at"]
            .clone();
        company.gateway.change(json!([
            { "update": { "object": "CUSTOMER", "keys": [all[0]], "values": { "NAME": ahead, "WHENMODIFIED": stamp } } }
        ]));
        refresh(&mut client, "customer");
        assert_eq!(last_run(&mut client, "customer"), "done 0 1 0", "{ahead}");
        company.gateway.change(json!([
            { "update": { "object": "CUSTOMER", "keys": [all[row + 1]], "values": { "NAME": "after" } } }
        ]));
        refresh(&mut client, "customer");
        assert_eq!(last_run(&mut client, "customer"), "done 0 1 0", "{ahead}");
        assert_equal(&mut client, "customer");
    }
}

/// A registration of an older version knows nothing of its source.
#[test]
fn an_old_registration_learns_its_source() {
    let (_company, mut client) = company("mirror_learns", "customer");
    mirror(&mut client, "customer", "{}");
    run(
        &mut client,
        "UPDATE sage_intacct.mirror SET identity = NULL, mapping = NULL",
    );
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 0 0 0");
    assert_eq!(
        lines(
            &mut client,
            "SELECT identity ->> 'company', identity ->> 'object', identity ->> 'row_key', identity ->> 'zone', identity ->> 'zone_source',
                    mapping #>> '{name,field}' FROM sage_intacct.mirror"
        ),
        "acme CUSTOMER RECORDNO +00 reported NAME"
    );
    run(&mut client, OTHER_COMPANY);
    assert_stops(&mut client, "company: \"acme\"");
}
