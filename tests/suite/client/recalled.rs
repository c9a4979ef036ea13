//! Aggregates that are computed for every row outside: each distinct parameter is asked once.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::sql::sorted as rows;

fn company(name: &str) -> (Company, Client) {
    let company = Company::start_with(name, small().rows("ARINVOICE", 400));
    company.import("arinvoice, customer");
    let mut client = company.connect();
    client
        .batch_execute("SELECT whenmodified FROM arinvoice LIMIT 1")
        .expect("signed in");
    (company, client)
}

/// Statements with an aggregate of customers for each of 400 invoices, and the column that decides it.
const STATEMENTS: &[(&str, &str)] = &[
    (
        "SELECT a.recordno, (SELECT count(*) FROM customer c WHERE c.termname = a.termname) FROM arinvoice a",
        "termname",
    ),
    (
        "SELECT a.recordno, (SELECT trim_scale(sum(c.totaldue)) FROM customer c WHERE c.termname = a.termname AND c.recordno > 5)
         FROM arinvoice a",
        "termname",
    ),
    (
        "SELECT a.recordno, (SELECT count(*) + min(c.totaldue) FROM customer c WHERE c.termname = a.currency) FROM arinvoice a",
        "currency",
    ),
    (
        "SELECT a.recordno, x.* FROM arinvoice a, LATERAL (SELECT c.status, count(*) AS n FROM customer c
         WHERE c.termname = a.termname GROUP BY c.status) x",
        "termname",
    ),
];

#[test]
fn a_parameter_that_was_answered_is_not_asked_again() {
    let (company, mut client) = company("recalled");
    for (sql, column) in STATEMENTS {
        let distinct = format!("SELECT count(DISTINCT {column}) FROM arinvoice");
        let distinct: i64 = client.query_one(&distinct, &[]).expect("a count").get(0);
        assert!((1..20).contains(&distinct), "{column}: {distinct}");
        client
            .batch_execute("SET sage_intacct.push_aggregates = off")
            .expect("a switch");
        let expected = rows(&mut client, sql);
        client
            .batch_execute("RESET sage_intacct.push_aggregates")
            .expect("a switch");
        for work_mem in ["4MB", "64kB"] {
            client
                .batch_execute(&format!("SET work_mem = '{work_mem}'"))
                .expect("a setting");
            company.gateway.log();
            assert_eq!(rows(&mut client, sql), expected, "{work_mem}: {sql}");
            let calls: usize = company
                .gateway
                .log()
                .iter()
                .map(|entry| entry.functions.len())
                .sum();
            // Two for each value, a third where groups have text for a key, and the rows outside.
            let each = if sql.contains("GROUP BY") { 3 } else { 2 };
            let most = each * usize::try_from(distinct).expect("a number") + 3;
            assert!(calls <= most, "{calls} calls for {distinct} values: {sql}");
        }
    }
}

#[test]
fn explain_shows_what_was_recalled() {
    let (_company, mut client) = company("recalled_explain");
    let sql = format!(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {}",
        STATEMENTS[0].0
    );
    let plan: Vec<String> = client
        .query(&sql, &[])
        .expect("a plan")
        .iter()
        .map(|row| row.get(0))
        .collect();
    let count =
        |sql: &str, client: &mut Client| -> i64 { client.query_one(sql, &[]).expect("a count").get(0) };
    let rows = count("SELECT count(termname) FROM arinvoice", &mut client);
    let distinct = count("SELECT count(DISTINCT termname) FROM arinvoice", &mut client);
    let expected = format!(
        "Intacct Lookups: {distinct} asked, {} from memory",
        rows - distinct
    );
    assert!(
        plan.iter().any(|line| line.trim() == expected),
        "{expected}\n{}",
        plan.join("\n")
    );
}
