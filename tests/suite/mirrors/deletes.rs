//! A refresh deletes no row for which there is only one answer, and not more rows than anybody expects.

use super::company::{assert_equal, company, keys, last_run, lines, local_mirror, mirror, refresh, run};
use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers of `object` from the n-th on, so many of them, come from a replica that knows no row. Counted are those for rows.
fn lag(company: &Company, object: &str, nth: usize, times: usize) {
    company.gateway.clear_faults();
    company.gateway.faults(&format!(
        r#"{{"match": {{"function": "query", "object": "{object}", "nth": {nth}}}, "times": {times}, "action": "lagging"}}"#
    ));
}

fn deletes(client: &mut Client) -> String {
    lines(client, "SELECT count(*) FROM finance.fired")
}

const FIRED: &str = "CREATE TABLE finance.fired (key bigint);
    CREATE FUNCTION finance.fire() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO finance.fired VALUES (OLD.recordno); RETURN NULL; END $$;";

/// Wherever in a refresh one answer is empty, or a few in a row are: no row goes, and what the mirror says is true.
#[test]
fn empty_answers_delete_nothing() {
    let (company, mut client) = company("mirror_empty", "customer, apbillitem");
    run(&mut client, FIRED);
    for (table, object) in [("customer", "CUSTOMER"), ("apbillitem", "APBILLITEM")] {
        local_mirror(
            &mut client,
            table,
            r#"{"page_rows": 70, "sweep_interval": "0 seconds"}"#,
        );
        run(
            &mut client,
            &format!(
                "CREATE TRIGGER fire AFTER DELETE ON finance.{table} FOR EACH ROW EXECUTE FUNCTION finance.fire()"
            ),
        );
        for nth in 1..6 {
            // Half of them at each place: every kind is at an odd one or an even one.
            let kinds = [(1, false), (3, false), (2, true), (1000, nth % 4 == 1)];
            for (times, full) in kinds.into_iter().skip(nth % 2).step_by(2) {
                company.gateway.change(json!([
                    { "update": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 3), "values": { "NAME": format!("{nth} {times}") } } },
                ]));
                lag(&company, object, nth, times);
                let outcome = client.batch_execute(&format!(
                    "CALL sage_intacct.refresh_mirror('finance.{table}', full => {full})"
                ));
                company.gateway.clear_faults();
                let complete = lines(
                    &mut client,
                    &format!(
                        "SELECT complete FROM sage_intacct.mirrors WHERE target = 'finance.{table}'::regclass"
                    ),
                );
                if complete == "t" {
                    assert!(outcome.is_ok());
                    assert_equal(&mut client, table);
                }
                assert_eq!(
                    deletes(&mut client),
                    "0",
                    "{table} {nth} {times} {full}: {outcome:?}"
                );
                refresh(&mut client, table);
                assert_equal(&mut client, table);
            }
        }
    }
}

/// No row of the mirror bears a time that the refresh asks for, since the newest one was deleted: whether an empty answer is true
/// cannot be seen from them. Several such answers in a row, the count among them, hide no change.
#[test]
fn empty_answers_hide_no_change_behind_a_deleted_row() {
    let (company, mut client) = company("mirror_empty_end", "customer, apbillitem");
    run(
        &mut client,
        "CREATE FOREIGN TABLE acme.named (customerid text OPTIONS (type 'TEXT') NOT NULL, name text OPTIONS (type 'TEXT'),
             whenmodified timestamptz OPTIONS (type 'TIMESTAMP'))
         SERVER acme OPTIONS (object 'CUSTOMER', row_key 'CUSTOMERID')",
    );
    let mut hours = 0;
    for (table, object, rows, link, changed) in [
        ("customer", "CUSTOMER", "CUSTOMER", "RECORDNO", "NAME"),
        ("named", "CUSTOMER", "CUSTOMER", "RECORDNO", "NAME"),
        ("apbillitem", "APBILL", "APBILLITEM", "RECORDKEY", "ACCOUNTTITLE"),
    ] {
        mirror(&mut client, table, "{}");
        for (nth, times) in [(1, 2), (1, 4), (2, 3), (3, 2)] {
            let keys = keys(&company, object, 4);
            let context = format!("{table}: {times} from the {nth}th");
            let update = |keys: &[i64]| {
                let list: Vec<String> = keys.iter().map(i64::to_string).collect();
                json!([
                    { "update": { "object": object, "keys": keys, "values": {} } },
                    { "update": { "object": rows, "where": format!("{link} IN ({})", list.join(", ")), "values": { changed: context } } },
                ])
            };
            // An hour lies between the times of each two changes.
            for operations in [
                update(&keys[..1]),
                json!([{ "delete": { "object": object, "keys": keys[..1] } }]),
                update(&keys[1..]),
            ] {
                refresh(&mut client, table);
                assert_equal(&mut client, table);
                hours += 1;
                company.gateway.set("clock_skew", &(hours * 3600).to_string());
                run(
                    &mut client,
                    "UPDATE sage_intacct.mirror SET late_at = late_at + interval '1 hour'",
                );
                company.gateway.change(operations);
            }
            lag(&company, object, nth, times);
            let outcome =
                client.batch_execute(&format!("CALL sage_intacct.refresh_mirror('finance.{table}')"));
            company.gateway.clear_faults();
            let complete = lines(
                &mut client,
                &format!(
                    "SELECT complete FROM sage_intacct.mirrors WHERE target = 'finance.{table}'::regclass"
                ),
            );
            if outcome.is_ok() && complete == "t" {
                assert_equal(&mut client, table);
            }
            refresh(&mut client, table);
            assert_equal(&mut client, table);
        }
        let newest = keys(&company, object, 4)[1..].to_vec();
        company
            .gateway
            .change(json!([{ "delete": { "object": object, "keys": newest } }]));
        refresh(&mut client, table);
        refresh(&mut client, table);
        let requests: u64 = lines(
            &mut client,
            &format!("SELECT requests FROM sage_intacct.mirrors WHERE target = 'finance.{table}'::regclass"),
        )
        .parse()
        .expect("a number");
        let most = if object == rows { 4 } else { 5 };
        assert!(
            requests <= most,
            "{table}: {requests} requests where nothing has changed"
        );
    }
}

#[test]
fn many_deletes_wait_until_they_are_accepted() {
    let (company, mut client) = company("mirror_brake", "customer");
    mirror(
        &mut client,
        "customer",
        r#"{"page_rows": 20, "max_delete": "10%, 30"}"#,
    );
    let rows = company.rows("CUSTOMER");
    company.gateway.change(json!([
        { "delete": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 40), "silent": true } },
    ]));
    // Page by page, and refresh by refresh: what was deleted already counts.
    for _ in 0..3 {
        let error = client
            .batch_execute("CALL sage_intacct.refresh_mirror('finance.customer', full => true)")
            .expect_err("too many");
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!(error.code().code(), "55000", "{error:?}");
        assert!(
            error.message().starts_with("the refresh would delete ")
                && error
                    .message()
                    .ends_with(&format!(" of {rows} rows of mirror finance.customer")),
            "{error:?}"
        );
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("accept_deletes => true"))
        );
    }
    let left: i64 = lines(&mut client, "SELECT count(*) FROM finance.customer")
        .parse()
        .expect("a number");
    assert!(left >= rows - 30, "{left} of {rows}");
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer', accept_deletes => true)",
    );
    assert_equal(&mut client, "customer");
    assert_eq!(
        lines(&mut client, "SELECT complete FROM sage_intacct.mirrors"),
        "t"
    );
    // The next refresh has its own to spend, whether the trail tells of the rows or the check finds them.
    for silent in [true, false] {
        company.gateway.change(json!([
            { "delete": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 15), "silent": silent } },
        ]));
        refresh(&mut client, "customer");
        assert_eq!(last_run(&mut client, "customer"), "done 0 0 15");
    }
    company.gateway.change(json!([
        { "delete": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 31) } },
    ]));
    client
        .batch_execute("CALL sage_intacct.refresh_mirror('finance.customer')")
        .expect_err("too many");
    run(
        &mut client,
        "CALL sage_intacct.alter_mirror('finance.customer', '{\"max_delete\": \"off\"}')",
    );
    refresh(&mut client, "customer");
    assert_equal(&mut client, "customer");
}

#[test]
fn the_bound_of_deletes_is_an_option() {
    let (_company, mut client) = company("mirror_share", "customer");
    mirror(&mut client, "customer", r#"{"load": "off"}"#);
    for (value, taken) in [
        ("10%, 100", true),
        ("2.5 %", true),
        ("500", true),
        ("off", true),
        ("", false),
        ("10%%", false),
        ("many", false),
        ("-1", false),
    ] {
        let sql =
            format!("CALL sage_intacct.alter_mirror('finance.customer', '{{\"max_delete\": \"{value}\"}}')");
        match client.batch_execute(&sql) {
            Ok(()) => assert!(taken, "{value}"),
            Err(error) => {
                assert!(!taken, "{value}: {error:?}");
                assert_eq!(error.code().map(|code| code.code()), Some("HV024"), "{value}");
            }
        }
    }
}

/// A row that one answer of a refresh shows is not deleted by the next one.
#[test]
fn a_row_seen_in_the_same_refresh_stays() {
    let (company, mut client) = company("mirror_seen", "customer");
    mirror(&mut client, "customer", r#"{"sweep_interval": "0 seconds"}"#);
    let key = keys(&company, "CUSTOMER", 1)[0];
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [key], "values": { "NAME": "changed" } } },
    ]));
    // The sweep, and each look behind it, come without the row.
    let id = format!("<RECORDNO>{key}</RECORDNO>");
    let changes = AtomicUsize::new(0);
    company.gateway.tap.rule(move |xml| {
        let rows = xml.contains("<object>CUSTOMER</object>");
        if !rows || xml.contains("<field>NAME</field>") && changes.fetch_add(1, Ordering::Relaxed) == 0 {
            return Answer::Pass;
        }
        let id = id.clone();
        Answer::Edit(Box::new(move |body| without_row(body, &id)))
    });
    let outcome = client.batch_execute("CALL sage_intacct.refresh_mirror('finance.customer')");
    company.gateway.tap.pass();
    assert_eq!(
        lines(
            &mut client,
            &format!("SELECT name FROM finance.customer WHERE recordno = {key}")
        ),
        "changed",
        "{outcome:?}"
    );
    refresh(&mut client, "customer");
    assert_equal(&mut client, "customer");
}

/// A page without the row that holds `id`, with counts that fit.
fn without_row(body: String, id: &str) -> String {
    let Some(at) = body.find(id) else { return body };
    let start = body[..at].rfind("<CUSTOMER>").expect("its start");
    let end = at + body[at..].find("</CUSTOMER>").expect("its end") + "</CUSTOMER>".len();
    let mut page = format!("{}{}", &body[..start], &body[end..]);
    for name in ["count", "totalcount"] {
        let marker = format!(" {name}=\"");
        let from = page.find(&marker).expect(name) + marker.len();
        let to = from + page[from..].find('"').expect("its end");
        let less = page[from..to].parse::<u64>().expect("a number") - 1;
        page.replace_range(from..to, &less.to_string());
    }
    page
}

/// The lines of a changed header are missing in an answer, or in several: they are there all the same, and have changed.
#[test]
fn lines_that_an_answer_leaves_out_are_read_again() {
    let (company, mut client) = company("mirror_lines_left_out", "apbillitem");
    mirror(&mut client, "apbillitem", "{}");
    for (times, bill) in (1..=4).zip(keys(&company, "APBILL", 4)) {
        company.gateway.change(json!([
            { "update": { "object": "APBILLITEM", "silent": true, "where": format!("RECORDKEY = {bill}"),
                          "values": { "ACCOUNTTITLE": format!("changed {times}") } } },
            { "update": { "object": "APBILL", "keys": [bill], "values": {} } },
        ]));
        company.gateway.faults(&format!(
            r#"{{"match": {{"function": "query", "object": "APBILLITEM"}}, "times": {times}, "action": "lagging"}}"#
        ));
        let outcome = client.batch_execute("CALL sage_intacct.refresh_mirror('finance.apbillitem')");
        company.gateway.clear_faults();
        // So many wrong answers in a row may stop it.
        if outcome.is_ok() {
            assert_equal(&mut client, "apbillitem");
        } else {
            assert!(times > 2, "{times}: {outcome:?}");
            refresh(&mut client, "apbillitem");
            assert_equal(&mut client, "apbillitem");
        }
    }
}
