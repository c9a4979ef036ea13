//! Texts that differ by blanks at their edges, under conditions that nobody looks at again: where rows are counted, summed,
//! joined or skipped by a gateway that may disregard blanks when it compares.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::sql::sorted as rows;
use serde_json::json;

/// A company with the text `quay` in two of four invoices and a customer's name, and with blanks around it in others.
fn company(name: &str) -> (Company, Client) {
    let company = Company::start_with(name, small().rows("ARINVOICE", 240));
    company.import("arinvoice, customer");
    for (text, rest) in [("quay", 0), ("quay ", 1), ("  quay", 2), ("quay", 3)] {
        company.gateway.change(json!([
            { "update": { "object": "ARINVOICE", "where": format!("RECORDNO % 4 = {rest}"), "values": { "Region_Code": text }, "silent": true } },
            { "update": { "object": "CUSTOMER", "where": format!("RECORDNO % 4 = {rest}"), "values": { "NAME": text }, "silent": true } }
        ]));
    }
    let mut client = company.connect();
    client
        .batch_execute(
            "SET client_min_messages = error; ALTER SERVER acme OPTIONS (ADD push_left_joins 'on');
             SELECT whenmodified FROM arinvoice LIMIT 1",
        )
        .expect("signed in");
    (company, client)
}

const STATEMENTS: &[&str] = &[
    "SELECT count(*) FROM arinvoice WHERE region_code = 'quay'",
    "SELECT count(region_code) FROM arinvoice WHERE region_code IN ('quay', 'pier')",
    "SELECT count(*) FROM arinvoice WHERE region_code LIKE '%uay'",
    "SELECT count(*) FROM arinvoice WHERE region_code LIKE 'quay%'",
    "SELECT count(*) FROM arinvoice WHERE region_code = 'quay' OR recordno = 1",
    "SELECT count(*) FROM arinvoice WHERE region_code = 'nowhere'",
    "SELECT count(*), trim_scale(sum(totaldue)), min(recordno) FROM arinvoice WHERE region_code = 'quay'",
    "SELECT count(*), trim_scale(sum(totaldue)) FROM arinvoice WHERE region_code = 'nowhere'",
    "SELECT max(recordno) FROM arinvoice WHERE region_code = 'quay' AND totalentered > 10",
    "SELECT state, count(*) FROM arinvoice WHERE region_code = 'quay' GROUP BY 1",
    "SELECT state, count(*) FROM arinvoice WHERE region_code = 'nowhere' GROUP BY 1",
    "SELECT docnumber, count(*) FROM arinvoice WHERE region_code = 'quay' GROUP BY 1",
    "SELECT DISTINCT whencreated FROM arinvoice WHERE region_code = ANY (ARRAY['quay', 'x'])",
    "SELECT count(*) FILTER (WHERE region_code = 'quay') FROM arinvoice",
    "SELECT a.recordno FROM arinvoice a JOIN customer c USING (customerid) WHERE c.name = 'quay'",
    "SELECT a.recordno FROM arinvoice a JOIN customer c USING (customerid) WHERE a.region_code = 'quay'",
    "SELECT a.recordno FROM arinvoice a LEFT JOIN customer c USING (customerid) WHERE a.region_code = 'quay'",
    "SELECT a.recordno FROM arinvoice a WHERE EXISTS (SELECT FROM customer c WHERE c.customerid = a.customerid AND c.name = 'quay')",
    "SELECT count(*) FROM arinvoice a JOIN customer c USING (customerid) WHERE c.name = 'quay'",
    "SELECT c.status, count(*) FROM arinvoice a JOIN customer c USING (customerid) WHERE c.name = 'quay' GROUP BY 1",
    "SELECT c.recordno, (SELECT count(*) FROM arinvoice a WHERE a.region_code = c.name) FROM customer c WHERE c.recordno < 6",
    "SELECT recordno FROM arinvoice WHERE region_code = 'quay' ORDER BY recordno LIMIT 4 OFFSET 50",
];

fn switch(client: &mut Client, to: &str) {
    let classes = ["where", "order", "limit", "aggregates", "joins"];
    let set = classes.map(|class| format!("SET sage_intacct.push_{class} = {to};"));
    client.batch_execute(&set.concat()).expect("switches");
}

#[test]
fn no_text_counts_for_another_whatever_blanks_are_to_the_gateway() {
    let (company, mut client) = company("blank_edges");
    switch(&mut client, "off");
    let expected: Vec<_> = STATEMENTS.iter().map(|sql| rows(&mut client, sql)).collect();
    assert!(
        expected[0] != expected[3],
        "values differ by blanks: {expected:?}"
    );
    switch(&mut client, "on");
    for verify in ["on", "off"] {
        let verified = format!("ALTER SERVER acme OPTIONS (ADD verify_aggregates '{verify}')");
        client.batch_execute(&verified).expect("an option");
        for (blanks, groups) in [
            ("significant", "kept"),
            ("ignored", "kept"),
            ("ignored", "dropped"),
        ] {
            company.gateway.set("trailing_blanks", blanks);
            company.gateway.set("null_groups", groups);
            for (sql, expected) in STATEMENTS.iter().zip(&expected) {
                assert_eq!(
                    rows(&mut client, sql),
                    *expected,
                    "{blanks} {groups}, verified {verify}: {sql}"
                );
            }
        }
        client
            .batch_execute("ALTER SERVER acme OPTIONS (DROP verify_aggregates)")
            .expect("an option");
    }
}

#[test]
fn connector_statements_count_no_text_for_another() {
    let (company, mut client) = company("blank_query");
    let statements = [
        "select count(RECORDNO) from ARINVOICE where Region_Code = ''quay''",
        "select STATE, count(RECORDNO), sum(TOTALDUE) from ARINVOICE where Region_Code in (''quay'', ''x'')",
        "select STATE, count(RECORDNO) from ARINVOICE where Region_Code = ''nowhere''",
        "select RECORDNO from ARINVOICE where Region_Code = ''quay'' order_by RECORDNO limit 3 offset 70",
    ];
    let mut answers = || {
        statements.map(|statement| {
            let sql =
                format!("SELECT jsonb::text FROM sage_intacct.query('acme', '{statement}') jsonb ORDER BY 1");
            let rows = client
                .query(&sql, &[])
                .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
            rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
        })
    };
    let exact = answers();
    let count = company
        .gateway
        .truth("SELECT count(*) AS n FROM ARINVOICE WHERE Region_Code = 'quay'");
    assert_eq!(exact[0], [format!("{{\"count(RECORDNO)\": {}}}", count[0]["n"])]);
    company.gateway.set("trailing_blanks", "ignored");
    assert_eq!(answers(), exact);
}

#[test]
fn one_small_call_proves_it_in_the_request_of_the_rows() {
    let (company, mut client) = company("blank_costs");
    // Nothing has a blank at an edge.
    company.gateway.change(json!([
        { "update": { "object": "ARINVOICE", "where": "RECORDNO % 4 IN (1, 2)", "values": { "Region_Code": "pier" }, "silent": true } },
        { "update": { "object": "CUSTOMER", "where": "RECORDNO % 4 IN (1, 2)", "values": { "NAME": "pier" }, "silent": true } }
    ]));
    let mut cost = |sql: &str| company.gateway.cost(&mut client, sql);
    assert_eq!(
        cost("SELECT count(*) FROM arinvoice WHERE region_code = 'quay'"),
        (1, 2)
    );
    // What verifies the numbers settles it by the way.
    let sum = "SELECT sum(totaldue) FROM arinvoice WHERE region_code = 'quay'";
    assert_eq!(cost(sum).1, 2);
    let groups = "SELECT whencreated, count(*) FROM arinvoice WHERE region_code = 'quay' GROUP BY 1";
    assert_eq!(cost(groups).1, 2);
    // Rows are looked at, labels of an enumeration are listed, and what follows a prefix does not matter.
    assert_eq!(
        cost("SELECT recordno FROM arinvoice WHERE region_code = 'quay'"),
        (1, 1)
    );
    assert_eq!(
        cost("SELECT count(*) FROM arinvoice WHERE state = 'Paid'"),
        (1, 1)
    );
    assert_eq!(
        cost("SELECT count(*) FROM arinvoice WHERE region_code LIKE 'qu%'"),
        (1, 1)
    );
}
