//! The gateway's clock: what a refresh reads when that clock is set back, and when the times of rows do not go with it.

use super::company::{assert_equal, company, keys, last_run, lines, mirror, refresh, run};
use postgres::{Client, NoTls};
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const REFRESH: &str = "CALL sage_intacct.refresh_mirrors('finance')";

/// The gateway's clock is so many seconds ahead of this machine's.
fn set_clock(company: &Company, skew: i64) {
    company.gateway.set("clock_skew", &skew.to_string());
}

/// Changes the names of customers, and the lines of bills along with the bills.
fn change(company: &Company, customers: &[i64], bills: &[i64], word: &str) {
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": customers, "values": { "NAME": word } } },
    ]));
    for bill in bills {
        company.gateway.change(json!([
            { "update": { "object": "APBILLITEM", "silent": true, "values": { "ACCOUNTTITLE": word },
                          "where": format!("RECORDKEY = {bill}") } },
            { "update": { "object": "APBILL", "keys": [bill], "values": {} } },
        ]));
    }
}

/// Both mirrors call themselves complete, and are.
#[track_caller]
fn assert_true(client: &mut Client) {
    assert_eq!(
        lines(client, "SELECT bool_and(complete) FROM sage_intacct.mirrors"),
        "t"
    );
    assert_equal(client, "customer");
    assert_equal(client, "apbillitem");
}

fn mirrored(name: &str) -> (Company, Client) {
    let (company, mut client) = company(name, "customer, apbillitem");
    mirror(&mut client, "customer", r#"{"page_rows": 7}"#);
    mirror(&mut client, "apbillitem", r#"{"page_rows": 9}"#);
    (company, client)
}

/// A pass that reads no row, or none with a time that may be, tells nothing about where the times of rows are. (A watermark
/// taken from the gateway's clock hid every later change where a zone was declared that is not the gateway's.)
#[test]
fn a_pass_without_times_moves_no_watermark() {
    for (zone, ahead) in [
        (None, 0),
        (None, 100_000),
        (Some("Asia/Tokyo"), 0),
        (Some("Asia/Tokyo"), 131_500),
        (Some("America/New_York"), 0),
        (Some("-08:00"), 131_500),
    ] {
        let (company, mut client) = mirrored("mirror_no_times");
        set_clock(&company, ahead);
        if let Some(zone) = zone {
            run(
                &mut client,
                &format!("ALTER SERVER acme OPTIONS (ADD time_zone '{zone}')"),
            );
        }
        let (customers, bills) = (keys(&company, "CUSTOMER", 9), keys(&company, "APBILL", 4));
        change(&company, &customers[..3], &bills[..1], "newest");
        run(&mut client, REFRESH);
        // The rows that made the watermark are gone, and none is left behind it.
        company.gateway.change(json!([
            { "delete": { "object": "CUSTOMER", "keys": customers[..3] } },
            { "delete": { "object": "APBILLITEM", "where": format!("RECORDKEY = {}", bills[0]) } },
            { "delete": { "object": "APBILL", "keys": bills[..1] } },
        ]));
        for _ in 0..2 {
            run(&mut client, REFRESH);
            assert_true(&mut client);
        }
        for (customer, bill) in [(3, 1), (4, 2)] {
            change(
                &company,
                &customers[customer..=customer],
                &bills[bill..=bill],
                "later",
            );
            run(&mut client, REFRESH);
            assert_eq!(
                last_run(&mut client, "customer"),
                "done 0 1 0",
                "{zone:?}, {ahead} s"
            );
            assert_true(&mut client);
        }
    }
}

/// Changes after the clock was set back bear times that the last refresh had passed.
#[test]
fn a_clock_that_is_set_back_hides_nothing() {
    let (company, mut client) = mirrored("mirror_set_back");
    // No request comes before that for the changes.
    run(
        &mut client,
        r#"CALL sage_intacct.create_mirror('acme.customer', 'other.customer', '{"audit_key": "", "overlap": "0 seconds"}')"#,
    );
    let (customers, bills) = (keys(&company, "CUSTOMER", 9), keys(&company, "APBILL", 4));
    for (number, back) in [60, 300, 900, 7_200, 100_000].into_iter().enumerate() {
        // What the clock shows first may be what is wrong.
        for right in [0, back].into_iter().skip(number % 2) {
            set_clock(&company, right);
            change(&company, &customers[..2], &bills[..1], &format!("before {back}"));
            run(&mut client, REFRESH);
            refresh_other(&mut client);
            set_clock(&company, right - back);
            for (row, word) in ["one", "two"].into_iter().enumerate() {
                change(
                    &company,
                    &customers[row + 2..row + 4],
                    &bills[row..row + 2],
                    &format!("{word} {back}"),
                );
                run(&mut client, REFRESH);
                assert_eq!(last_run(&mut client, "customer"), "done 0 2 0", "{back} s");
                assert_true(&mut client);
                refresh_other(&mut client);
            }
        }
    }
}

fn refresh_other(client: &mut Client) {
    run(client, "CALL sage_intacct.refresh_mirrors('other')");
    assert_eq!(
        lines(
            client,
            "WITH there AS MATERIALIZED (SELECT * FROM acme.customer)
             SELECT count(*) FROM (SELECT * FROM there EXCEPT ALL SELECT * FROM other.customer) t"
        ),
        "0"
    );
}

/// What a refresh leaves that does not come to its end was begun by another clock.
#[test]
fn a_clock_that_is_set_back_around_a_broken_refresh_hides_nothing() {
    let (company, mut client) = mirrored("mirror_broken_clock");
    let (customers, bills) = (keys(&company, "CUSTOMER", 30), keys(&company, "APBILL", 4));
    let breaks = [
        (1, "cancel"),
        (2, "terminate"),
        (3, "cancel"),
        (4, "terminate"),
        (5, "cancel"),
    ];
    for (number, back) in [60, 300, 900, 7_200].into_iter().enumerate() {
        for (nth, how) in breaks.into_iter().filter(|(nth, _)| (nth + number) % 5 < 3) {
            let earlier = (number + nth) % 2 == 0;
            let story = format!("{back} s, {how} at {nth}, set back before it: {earlier}");
            set_clock(&company, 0);
            run(&mut client, REFRESH);
            change(&company, &customers[..20], &bills, &story);
            if earlier {
                set_clock(&company, -back);
                change(
                    &company,
                    &customers[2..9],
                    &bills[1..2],
                    &format!("{story}, again"),
                );
            }
            broken_refresh(&company, nth, how);
            set_clock(&company, -back);
            // On a page that was read, on one that was not, and behind all.
            for row in [0, 15, 25] {
                change(
                    &company,
                    &customers[row..row + 2],
                    &bills[..2],
                    &format!("{story}, later"),
                );
            }
            run(&mut client, REFRESH);
            assert_true(&mut client);
            change(
                &company,
                &customers[5..6],
                &bills[3..],
                &format!("{story}, at last"),
            );
            refresh(&mut client, "customer");
            assert_eq!(last_run(&mut client, "customer"), "done 0 1 0", "{story}");
            refresh(&mut client, "apbillitem");
            assert_true(&mut client);
        }
    }
}

/// A refresh that is cancelled, or whose session is lost, while it waits for its n-th answer.
fn broken_refresh(company: &Company, nth: usize, how: &str) {
    let seen = AtomicUsize::new(0);
    company.gateway.tap.rule(move |xml| {
        if xml.contains("<query>") && seen.fetch_add(1, Ordering::Relaxed) + 1 == nth {
            Answer::Stall
        } else {
            Answer::Pass
        }
    });
    let mut client = company.connect();
    let pid = cluster::backend(&mut client);
    let token = client.cancel_token();
    let refresh = thread::spawn(move || client.batch_execute(REFRESH));
    company.gateway.tap.wait_for_stalled(1);
    match how {
        "cancel" => token
            .cancel_query(NoTls)
            .expect("the cancel request is delivered"),
        _ => {
            company
                .connect()
                .execute("SELECT pg_terminate_backend($1::integer, 5000)", &[&pid])
                .expect("terminated");
        }
    }
    refresh
        .join()
        .expect("the thread ends")
        .expect_err("it was interrupted");
    company.gateway.tap.pass();
}
