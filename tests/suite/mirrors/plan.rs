//! What a refresh has to do does not grow with those that failed before it, and comes to its end in runs that may do little.

use super::company::{assert_equal, company, keys, last_run, lines, mirror, refresh, run};
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests that the next refresh sends in a session that has signed in.
fn cost(company: &Company, client: &mut postgres::Client, table: &str) -> usize {
    company.gateway.tap.forget();
    refresh(client, table);
    company.gateway.tap.requests().len()
}

/// Lets `pass` requests for rows through and refuses the rest.
fn refuse_after(company: &Company, pass: usize) {
    let seen = AtomicUsize::new(0);
    company.gateway.tap.rule(move |xml| {
        if xml.contains("<query>") && seen.fetch_add(1, Ordering::Relaxed) >= pass {
            Answer::Raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec())
        } else {
            Answer::Pass
        }
    });
}

#[test]
fn failed_refreshes_do_not_pile_up() {
    let (company, mut client) = company("mirror_pile", "customer, arinvoice, apbillitem");
    run(&mut client, "ALTER SERVER acme OPTIONS (ADD max_retries '0')");
    let tables = [
        ("customer", r#"{"page_rows": 40}"#),
        // A sweep that is due each time.
        ("arinvoice", r#"{"page_rows": 90, "sweep_interval": "0 seconds"}"#),
        ("apbillitem", "{}"),
    ];
    for (table, options) in tables {
        mirror(&mut client, table, options);
        let usual = cost(&company, &mut client, table);
        for fails in 0..20 {
            company.gateway.change(json!([
                { "update": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 100), "values": { "NAME": format!("{fails}") } } },
            ]));
            refuse_after(&company, fails % 4);
            client
                .batch_execute(&format!("CALL sage_intacct.refresh_mirror('finance.{table}')"))
                .expect_err("the gateway is not there");
            company.gateway.tap.pass();
        }
        let after = cost(&company, &mut client, table);
        // Three pages of changes more, one of them once again where it was begun.
        assert!(after <= usual + 4, "{table}: {usual} before, {after} after");
        assert_equal(&mut client, table);
        assert!(cost(&company, &mut client, table) <= usual + 3, "{table}");
    }
}

#[test]
fn a_run_of_one_request_makes_progress() {
    let (company, mut client) = company("mirror_little", "customer");
    mirror(
        &mut client,
        "customer",
        r#"{"max_requests_per_run": "1", "page_rows": 40, "load": "off"}"#,
    );
    let until_done = |client: &mut postgres::Client, company: &Company| {
        for runs in 1..40 {
            // A session of its own, which has to sign in, as a job has.
            let mut job = company.connect();
            refresh(&mut job, "customer");
            if last_run(client, "customer").starts_with("done") {
                return runs;
            }
            assert!(last_run(client, "customer").starts_with("budget"));
        }
        panic!(
            "it comes to no end: {}",
            lines(client, "SELECT todo FROM sage_intacct.mirror")
        );
    };
    until_done(&mut client, &company);
    assert_equal(&mut client, "customer");
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 100), "values": { "NAME": "changed" } } },
        { "delete": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 3), "silent": true } },
    ]));
    assert!(until_done(&mut client, &company) > 3);
    assert_equal(&mut client, "customer");
    assert_eq!(
        lines(
            &mut client,
            "SELECT complete, todo FROM sage_intacct.mirrors JOIN sage_intacct.mirror m USING (target)"
                .replace("complete", "mirrors.complete")
                .as_str()
        ),
        "t []"
    );
}

#[test]
fn a_first_load_that_failed_can_be_repeated() {
    let (company, mut client) = company("mirror_again", "customer");
    run(&mut client, "ALTER SERVER acme OPTIONS (ADD max_retries '0')");
    let create = "CALL sage_intacct.create_mirror('acme.customer', 'finance.customer')";
    for pass in [0, 3] {
        refuse_after(&company, pass);
        client
            .batch_execute(create)
            .expect_err("the gateway is not there");
        company.gateway.tap.pass();
    }
    run(&mut client, create);
    assert_equal(&mut client, "customer");
    let error = client.batch_execute(create).expect_err("it is a mirror by now");
    assert_eq!(error.code().map(|code| code.code()), Some("42710"));
}
