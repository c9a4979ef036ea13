//! What groupings cost that the gateway cannot compute as they stand: the calls of each, by the simulator's log, as a table in
//! `tests/expected/groupings.txt`, and that the rows are those of local copies. `make golden` rewrites it.
//!
//! Two calls are the groups and the number of rows that they must add up to. More are said beside the statement: the pages
//! of the groups beyond the first; the texts that are counted (one call where the company lists them, else two); rows of
//! the other side of a join.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::sql::texts;

use super::budget_table::{folded, line};
use super::partitionwise;
use crate::golden;

/// Rows of the table that is grouped, which are ten pages and a rest.
const ROWS: u64 = 20_000;

/// What is grouped, its statement, and the calls that it may take.
const STATEMENTS: &[(&str, &str, usize)] = &[
    (
        "months of days of three years",
        "SELECT date_trunc('month', whencreated), trim_scale(sum(totaldue)) FROM arinvoice WHERE whencreated >= '2022-01-01' GROUP BY 1",
        2,
    ),
    (
        "years of days of which there are two pages",
        "SELECT extract(year FROM whencreated), count(*) FROM arinvoice GROUP BY 1",
        3,
    ),
    (
        "coalesce of a text",
        "SELECT coalesce(currency, '?'), trim_scale(sum(totaldue)) FROM arinvoice GROUP BY 1",
        4,
    ),
    (
        "lower of a listed text",
        "SELECT lower(state), count(*) FROM arinvoice GROUP BY 1",
        3,
    ),
    (
        "a cast of a text",
        "SELECT customerid::varchar(20), count(*) FROM arinvoice GROUP BY 1",
        4,
    ),
    (
        "CASE as a key",
        "SELECT CASE WHEN state = 'Paid' THEN 1 ELSE 2 END, count(*) FROM arinvoice GROUP BY 1",
        3,
    ),
    (
        "CASE in a sum",
        "SELECT trim_scale(sum(CASE WHEN state = 'Paid' THEN totaldue ELSE 0 END)) FROM arinvoice",
        3,
    ),
    (
        "count(DISTINCT) of days",
        "SELECT count(DISTINCT whencreated) FROM arinvoice WHERE whencreated >= '2022-01-01'",
        2,
    ),
    (
        "rows of a DISTINCT",
        "SELECT count(*) FROM (SELECT DISTINCT whencreated FROM arinvoice WHERE whencreated >= '2022-01-01') d",
        2,
    ),
    ("a sum of a constant", "SELECT sum(1), count(*) FROM arinvoice", 1),
    (
        "the same with values counted",
        "SELECT sum(1), count(whenpaid), trim_scale(sum(totaldue)) FROM arinvoice",
        3,
    ),
    (
        "ROLLUP",
        "SELECT whencreated, trim_scale(sum(totaldue)) FROM arinvoice WHERE whencreated >= '2022-01-01' GROUP BY ROLLUP (whencreated)",
        2,
    ),
    (
        "FILTER of each aggregate",
        "SELECT count(*) FILTER (WHERE whencreated < '2023-01-01'), max(totaldue) FROM arinvoice WHERE whencreated >= '2022-01-01'",
        2,
    ),
    (
        "HAVING",
        "SELECT date_trunc('month', whencreated), count(*) FROM arinvoice WHERE whencreated >= '2022-01-01' GROUP BY 1 HAVING count(*) > 100",
        2,
    ),
    (
        "values and averages of each group: their rows are counted",
        "SELECT state, count(whenpaid), round(avg(totaldue), 2) FROM arinvoice GROUP BY state",
        5,
    ),
    (
        "the average of each month: its values are counted",
        "SELECT date_trunc('month', whencreated), round(avg(totaldue), 2) FROM arinvoice
          WHERE whencreated >= '2022-01-01' AND (totaldue IS NULL OR totaldue BETWEEN 0 AND 100000) GROUP BY 1",
        3,
    ),
    (
        "the same of values that it cannot be without",
        "SELECT date_trunc('month', whencreated), round(avg(totaldue), 2) FROM arinvoice WHERE whencreated >= '2022-01-01' AND totaldue BETWEEN 0 AND 100000 GROUP BY 1",
        2,
    ),
    (
        "few values are grouped by",
        "SELECT date_trunc('year', whencreated), count(currency) FROM arinvoice WHERE whencreated >= '2024-01-01' GROUP BY 1",
        3,
    ),
    (
        "totals of four companies: two calls of each",
        "SELECT count(*), trim_scale(sum(totaldue)) FROM all_companies",
        8,
    ),
    (
        "a count of their rows: one of each",
        "SELECT count(*) FROM all_companies",
        4,
    ),
    (
        "a count of their values: one more of each",
        "SELECT count(*), count(whenpaid), max(totaldue) FROM all_companies",
        12,
    ),
    (
        "months of all of them",
        "SELECT date_trunc('month', whencreated), trim_scale(sum(totaldue)) FROM all_companies WHERE whencreated >= '2022-01-01' GROUP BY 1",
        8,
    ),
    (
        "by company and month",
        "SELECT company, date_trunc('month', whencreated), count(*) FROM all_companies WHERE whencreated >= '2022-01-01' GROUP BY 1, 2",
        8,
    ),
    (
        "by a listed text: three of each",
        "SELECT state, count(*), trim_scale(sum(totaldue)) FROM all_companies GROUP BY 1",
        12,
    ),
    (
        "totals of a UNION ALL of two",
        "SELECT count(*), trim_scale(sum(totaldue)) FROM (SELECT * FROM east.arinvoice UNION ALL SELECT * FROM west.arinvoice) u",
        4,
    ),
    (
        "groups of a UNION ALL that names its branches",
        "SELECT c, date_trunc('year', whencreated), count(*) FROM (SELECT 'east' AS c, whencreated FROM east.arinvoice
           UNION ALL SELECT 'west', whencreated FROM west.arinvoice) u WHERE whencreated >= '2022-01-01' GROUP BY 1, 2",
        4,
    ),
    (
        "different days of all of them",
        "SELECT count(DISTINCT whencreated) FROM all_companies WHERE whencreated >= '2022-01-01'",
        8,
    ),
    (
        "groups by a local calendar, of two pages of days",
        "SELECT p.period, trim_scale(sum(i.totaldue)) FROM arinvoice i JOIN shared.period p ON p.day = i.whencreated GROUP BY 1",
        3,
    ),
    (
        "the same, of days that it may not have",
        "SELECT p.period, count(*) FROM arinvoice i LEFT JOIN shared.period p ON p.day = i.whencreated WHERE i.whencreated >= '2022-01-01' GROUP BY 1",
        2,
    ),
    (
        "groups by a local table of customers: the texts are counted",
        "SELECT r.region, count(*), trim_scale(sum(i.totaldue)) FROM arinvoice i JOIN shared.region r USING (customerid) GROUP BY 1",
        3,
    ),
    (
        "a parent that may be missing: its rows too",
        "SELECT c.status, count(*), trim_scale(sum(i.totaldue)) FROM arinvoice i LEFT JOIN customer c USING (customerid) GROUP BY 1",
        4,
    ),
    (
        "rows of whose parent there is none",
        "SELECT count(*) FROM arinvoice i WHERE NOT EXISTS (SELECT FROM customer c WHERE c.customerid = i.customerid)",
        4,
    ),
    (
        "all companies by the same calendar",
        "SELECT p.period, trim_scale(sum(i.totaldue)) FROM all_companies i JOIN shared.period p ON p.day = i.whencreated GROUP BY 1",
        12,
    ),
];

/// The same tables in two schemas: of the company, and copies; and a schema for each of four companies.
fn prepare(company: &Company, client: &mut Client) {
    client
        .batch_execute(
            "CREATE SCHEMA there; CREATE SCHEMA here;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice, customer) FROM SERVER acme INTO there;
             SET search_path = there",
        )
        .expect("tables");
    partitionwise::partitions(company, client);
    let mut sql = String::from(
        "CREATE TABLE here.arinvoice AS SELECT * FROM arinvoice;
         CREATE TABLE here.customer AS SELECT * FROM customer;
         CREATE TABLE here.all_companies (LIKE all_companies) PARTITION BY LIST (company);
         CREATE SCHEMA shared;
         CREATE TABLE shared.period AS SELECT d::date AS day, to_char(d, 'YYYY\"Q\"Q') AS period
           FROM generate_series(timestamp '2022-01-01', '2024-06-30', '1 day') d;
         CREATE TABLE shared.region AS SELECT customerid, substr(customerid, 7, 1) AS region FROM here.customer;
         ANALYZE shared.period; ANALYZE shared.region;
         ANALYZE arinvoice; ANALYZE customer;",
    );
    for name in partitionwise::COMPANIES {
        sql += &format!(
            "CREATE TABLE here.{name} PARTITION OF here.all_companies FOR VALUES IN ('{name}');
             INSERT INTO here.{name} SELECT *, '{name}' FROM here.arinvoice; ANALYZE {name}.arinvoice;"
        );
    }
    sql += "ANALYZE here.arinvoice; ANALYZE here.customer; ANALYZE here.all_companies;";
    client.batch_execute(&sql).expect("copies");
}

#[test]
fn what_groupings_cost() {
    let company = Company::start_with("groupings_table", small().rows("ARINVOICE", ROWS));
    let mut client = company.connect();
    prepare(&company, &mut client);
    let version: u32 = texts(&mut client, "SHOW server_version_num", "", "")[0]
        .parse()
        .expect("a number");
    let mut table = String::from("Calls  Round trips  Statement\n");
    let mut wrong = Vec::new();
    for (what, statement, most) in STATEMENTS {
        let mut rows = |path: &str, sql: &str| {
            client
                .batch_execute(&format!("SET search_path = {path}"))
                .expect("a path");
            let mut rows = texts(&mut client, sql, "|", "NULL");
            rows.sort();
            rows
        };
        let copied = partitionwise::COMPANIES
            .iter()
            .fold((*statement).to_owned(), |sql, name| {
                sql.replace(&format!("{name}.arinvoice"), &format!("here.{name}"))
            });
        let expected = rows("here", &copied);
        company.gateway.log();
        let found = rows("there", statement);
        let log = company.gateway.log();
        let calls: usize = log.iter().map(|entry| entry.functions.len()).sum();
        // PostgreSQL 18 keeps grouping sets local.
        if calls > *most && !(statement.contains("ROLLUP") && version >= 180_000) {
            wrong.push(format!("{calls} calls, at most {most}: {statement}"));
        }
        if found != expected {
            wrong.push(format!("other rows: {statement}\n{found:?}\n{expected:?}"));
        }
        let mut lines: Vec<_> = log.iter().map(line).collect();
        lines.sort();
        let lines = folded(&lines);
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        table += &format!(
            "{calls:>5}  {:>11}  {what} [at most {most}]\n    {statement}\n    rows: {}\n{lines}",
            log.len(),
            found.len()
        );
    }
    assert!(wrong.is_empty(), "{}\n{table}", wrong.join("\n"));
    golden::check_file(
        &golden::folder("expected").join("groupings.txt"),
        "groupings",
        &table,
    );
}
