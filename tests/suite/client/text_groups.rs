//! Groups by text at a gateway that takes texts for one which SQL does not: they add up, and are found out all the same.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::sql::sorted as rows;
use serde_json::json;

/// A company whose invoices have texts that differ by case and by blanks, and nothing else.
fn company(name: &str) -> (Company, Client) {
    let company = Company::start_with(name, small().rows("ARINVOICE", 2600));
    company.import("arinvoice, customer, mca_attendee");
    for (rest, text) in [
        (0, "harbour"),
        (1, "Harbour"),
        (2, "HARBOUR"),
        (3, "pier"),
        (4, "Pier"),
        (5, ""),
        (6, ""),
    ] {
        company.gateway.change(json!([
            { "update": { "object": "ARINVOICE", "where": format!("RECORDNO % 7 = {rest}"), "values": { "Region_Code": text }, "silent": true } }
        ]));
    }
    let mut client = company.connect();
    client
        .batch_execute("SELECT whenmodified FROM arinvoice LIMIT 1")
        .expect("signed in");
    (company, client)
}

const STATEMENTS: &[&str] = &[
    "SELECT DISTINCT region_code FROM arinvoice",
    "SELECT region_code, count(*), trim_scale(sum(totaldue)) FROM arinvoice GROUP BY 1",
    "SELECT region_code, currency, count(*) FROM arinvoice GROUP BY 1, 2",
    "SELECT region_code, whencreated, is_export, count(*) FROM arinvoice WHERE recordno < 900 GROUP BY 1, 2, 3",
    "SELECT docnumber, min(whendue), round(avg(totalentered), 2) FROM arinvoice WHERE totalentered > 0 GROUP BY 1",
    "SELECT region_code, page_count FROM arinvoice GROUP BY 1, 2",
    "SELECT recordid, count(*) FROM arinvoice GROUP BY 1",
    "SELECT recordid, region_code FROM arinvoice GROUP BY 1, 2",
    "SELECT state, count(*) FROM arinvoice GROUP BY 1",
    "SELECT a.region_code, c.status, count(*) FROM arinvoice a JOIN customer c USING (customerid) GROUP BY 1, 2",
    "SELECT c.region_code, count(*) FROM arinvoice a JOIN customer c USING (customerid) GROUP BY 1",
    "SELECT name, count(*) FROM customer GROUP BY 1",
    "SELECT name FROM mca_attendee GROUP BY 1",
];

#[test]
fn groups_are_those_of_sql_whatever_the_gateway_takes_for_one() {
    let (company, mut client) = company("text_groups");
    client
        .batch_execute("SET client_min_messages = error; SET sage_intacct.push_aggregates = off")
        .expect("switches");
    let expected: Vec<_> = STATEMENTS
        .iter()
        .map(|sql| (*sql, rows(&mut client, sql)))
        .collect();
    client
        .batch_execute("RESET sage_intacct.push_aggregates")
        .expect("a switch");
    for reading in ["exact", "case", "blanks", "case_and_blanks"] {
        for blanks in ["significant", "ignored"] {
            company.gateway.set("text_groups", reading);
            company.gateway.set("trailing_blanks", blanks);
            for (sql, expected) in &expected {
                let got = rows(&mut client, sql);
                assert!(
                    got == *expected,
                    "{reading} {blanks}: {sql}: {} groups, not {}",
                    got.len(),
                    expected.len()
                );
            }
        }
    }
}

/// Texts that differ by blanks alone.
#[test]
fn blanks_at_the_edges_are_no_groups_of_their_own() {
    let (company, mut client) = company("blank_groups");
    for (text, rest) in [("quay", 0), ("quay ", 1), ("quay  ", 2), (" quay", 3)] {
        company.gateway.change(json!([
            { "update": { "object": "ARINVOICE", "where": format!("RECORDNO % 4 = {rest}"), "values": { "Region_Code": text }, "silent": true } }
        ]));
    }
    let sql = "SELECT region_code, count(*) FROM arinvoice GROUP BY 1";
    client
        .batch_execute("SET client_min_messages = error; SET sage_intacct.push_aggregates = off")
        .expect("switches");
    let expected = rows(&mut client, sql);
    assert_eq!(expected.len(), 4);
    client
        .batch_execute("RESET sage_intacct.push_aggregates")
        .expect("a switch");
    for reading in ["exact", "blanks", "case_and_blanks"] {
        for blanks in ["significant", "ignored"] {
            company.gateway.set("text_groups", reading);
            company.gateway.set("trailing_blanks", blanks);
            assert_eq!(rows(&mut client, sql), expected, "{reading} {blanks}");
        }
    }
}

/// `sage_intacct.query()` lets the gateway group as well.
#[test]
fn connector_statements_group_as_sql_does() {
    let (company, mut client) = company("query_groups");
    client
        .batch_execute("SET client_min_messages = error")
        .expect("a setting");
    let statements = [
        "select Region_Code, count(RECORDNO) from ARINVOICE",
        "select Region_Code, CURRENCY, count(RECORDNO) from ARINVOICE where TOTALENTERED > 10",
    ];
    let answer = |client: &mut Client, statement: &str| {
        let sql =
            format!("SELECT jsonb::text FROM sage_intacct.query('acme', '{statement}') jsonb ORDER BY 1");
        let rows = client
            .query(&sql, &[])
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let exact = statements.map(|statement| answer(&mut client, statement));
    assert!(exact[0].len() >= 6, "{exact:?}");
    company.gateway.set("text_groups", "case");
    for (statement, exact) in statements.iter().zip(&exact) {
        assert_eq!(answer(&mut client, statement), *exact, "{statement}");
    }
}

#[test]
fn keys_that_were_received_are_counted_in_one_more_round_trip() {
    let (company, mut client) = company("counted_keys");
    let mut cost = |sql: &str| company.gateway.cost(&mut client, sql);
    // The groups, the number of rows, and the rows with the keys received and without a blank at an edge. These texts differ by
    // case: each time anew.
    let regions = "SELECT region_code, count(*) FROM arinvoice GROUP BY 1";
    assert_eq!(cost(regions), (2, 3));
    assert_eq!(cost(regions), (2, 3));
    // Nothing can be taken for one of these: the second time they are expected.
    let states = "SELECT state, count(*) FROM arinvoice GROUP BY 1";
    assert_eq!(cost(states), (2, 3));
    assert_eq!(cost(states), (1, 2));
    assert_eq!(
        cost("SELECT state, sum(totaldue) FROM arinvoice WHERE recordno < 900 GROUP BY 1"),
        (1, 2)
    );
    // Numbers and days are equal or not.
    assert_eq!(
        cost("SELECT page_count, whencreated, count(*) FROM arinvoice WHERE recordno < 300 GROUP BY 1, 2"),
        (1, 2)
    );
}

/// Texts that groups had before are tried first. Whatever has become of them since shows.
#[test]
fn texts_that_are_expected_are_proven() {
    let (company, mut client) = company("expected_texts");
    let write = |filter: &str, text: &str| {
        company.gateway.change(json!([
            { "update": { "object": "ARINVOICE", "where": filter, "values": { "Region_Code": text }, "silent": true } }
        ]));
    };
    let sql = "SELECT region_code, state, count(*), trim_scale(sum(totaldue)) FROM arinvoice WHERE recordno > 0 GROUP BY 1, 2";
    let check = |client: &mut Client, what: &str| {
        let switch = |client: &mut Client, to: &str| {
            let sql = format!("SET client_min_messages = error; SET sage_intacct.push_aggregates = {to}");
            client.batch_execute(&sql).expect("a switch");
        };
        switch(client, "off");
        let expected = rows(client, sql);
        switch(client, "default");
        assert_eq!(rows(client, sql), expected, "{what}");
    };
    for (groups, blanks) in [
        ("exact", "significant"),
        ("case", "significant"),
        ("blanks", "ignored"),
        ("case_and_blanks", "ignored"),
    ] {
        company.gateway.set("text_groups", groups);
        company.gateway.set("trailing_blanks", blanks);
        for (filter, text) in [
            ("RECORDNO > 0", "north"),
            ("RECORDNO % 3 = 0", "south"),
            ("RECORDNO % 5 = 0", ""),
        ] {
            write(filter, text);
        }
        check(&mut client, groups);
        // A gateway that disregards blanks in patterns too shows nothing about them: the rows are read.
        if blanks == "significant" {
            assert_eq!(company.gateway.cost(&mut client, sql), (1, 2), "{groups}");
        }
        for (filter, text) in [
            ("RECORDNO % 7 = 0", "NORTH"),
            ("RECORDNO % 7 = 0", "north "),
            ("RECORDNO % 7 = 0", "west"),
            ("RECORDNO % 7 < 2", "west-1"),
            ("RECORDNO > 0", ""),
            ("RECORDNO > 0", "East"),
        ] {
            write(filter, text);
            check(&mut client, &format!("{groups} {text:?}"));
        }
    }
    // What ANALYZE has found is a first guess, right or wrong.
    company.gateway.set("text_groups", "exact");
    company.gateway.set("trailing_blanks", "significant");
    write("RECORDNO > 0", "north");
    write("RECORDNO % 3 = 0", "south");
    client.batch_execute("ANALYZE arinvoice").expect("statistics");
    let mut fresh = company.connect();
    fresh
        .batch_execute("SELECT whenmodified FROM arinvoice LIMIT 1")
        .expect("signed in");
    assert_eq!(company.gateway.cost(&mut fresh, sql), (1, 2));
    write("RECORDNO % 11 = 0", "South");
    let mut fresh = company.connect();
    check(&mut fresh, "after ANALYZE");
}
