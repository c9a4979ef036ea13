//! What the statements that tools write cost, as docs/tools.md says: requests over a foreign table, none over a mirror.

use super::{lines, run};
use sage_intacct_fdw_tests::company::{Company, small};

/// What a tool does, the statement that it writes over `{}`, and its requests in a session that has signed in. The table has
/// 300 rows, a page of the server has 100: what reads all of it takes three.
const STATEMENTS: &[(&str, &str, usize)] = &[
    (
        "asks for the columns of a query",
        "SELECT * FROM (SELECT * FROM {}) t LIMIT 0",
        0,
    ),
    (
        "asks for the columns of a query, otherwise",
        "SELECT * FROM {} WHERE 1 = 0",
        0,
    ),
    ("opens a table", "SELECT * FROM {} LIMIT 50", 1),
    ("counts its rows", "SELECT count(*) FROM {}", 1),
    (
        "filters",
        "SELECT recordno, totaldue FROM {} WHERE state = 'Paid' AND totaldue > 100 LIMIT 50",
        1,
    ),
    (
        "filters by time",
        "SELECT count(*) FROM {} WHERE whendue BETWEEN '2024-01-01' AND '2024-12-31'",
        1,
    ),
    (
        "looks for a range",
        "SELECT min(whendue), max(whendue) FROM {}",
        1,
    ),
    (
        "samples a table",
        "SELECT recordno, state, totaldue FROM {} LIMIT 10000",
        3,
    ),
];

#[test]
fn statements_of_tools_cost_what_is_written() {
    let company = Company::start("tool_costs");
    let mut client = company.connect();
    run(
        &mut client,
        "ALTER SERVER acme OPTIONS (ADD page_size '100');
CREATE SCHEMA acme;
CREATE SCHEMA finance;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice) FROM SERVER acme INTO acme;
CALL sage_intacct.create_mirror('acme.arinvoice', 'finance.arinvoice')",
    );
    let mut wrong = Vec::new();
    for (what, statement, expected) in STATEMENTS {
        for (table, expected) in [("acme.arinvoice", *expected), ("finance.arinvoice", 0)] {
            company.gateway.tap.forget();
            lines(&mut client, &statement.replace("{}", table));
            let found = company.gateway.tap.requests().len();
            if found != expected {
                wrong.push(format!(
                    "{what}: {found} requests instead of {expected} over {table}"
                ));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_mirror_has_the_key_that_tools_look_for() {
    let company = Company::start("tool_keys");
    let mut client = company.connect();
    run(
        &mut client,
        "CREATE SCHEMA acme;
CREATE SCHEMA finance;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoiceitem) FROM SERVER acme INTO acme;
CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{\"columns\": \"recordno, customerid, name\"}');
CALL sage_intacct.create_mirror('acme.arinvoiceitem', 'finance.arinvoiceitem', '{\"load\": \"off\"}')",
    );
    let keys = "SELECT tc.table_name, string_agg(k.column_name, ',')
                  FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name)
                 WHERE tc.table_schema = 'finance' AND tc.constraint_type = 'PRIMARY KEY' GROUP BY 1 ORDER BY 1";
    assert_eq!(
        lines(&mut client, keys),
        ["arinvoiceitem|recordno", "customer|recordno"]
    );
    let labels =
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'finance.customer'::regclass AND attnum > 0
                     AND col_description(attrelid, attnum) IS NULL";
    assert_eq!(lines(&mut client, labels), ["0"]);
}

/// Statements of reports and dashboards over `{}`, and what each may cost: calls, round trips. The table has 20,000 rows.
const GROUPINGS: &[(&str, usize, usize)] = &[
    (
        "SELECT date_trunc('month', whencreated), trim_scale(sum(totaldue)) FROM {} WHERE whencreated >= '2022-01-01' GROUP BY 1",
        2,
        1,
    ),
    // The days of more than five years are two pages.
    (
        "SELECT date_trunc('month', whencreated), count(*) FROM {} GROUP BY 1",
        3,
        2,
    ),
    (
        "SELECT extract(year FROM whencreated), count(*) FROM {} GROUP BY 1",
        3,
        2,
    ),
    (
        "SELECT date_trunc('quarter', whendue), max(totaldue) FROM {} GROUP BY 1",
        3,
        2,
    ),
    (
        "SELECT whencreated, trim_scale(sum(totaldue)) FROM {} GROUP BY ROLLUP (whencreated)",
        3,
        2,
    ),
    ("SELECT count(DISTINCT whencreated) FROM {}", 3, 2),
    (
        "SELECT count(*) FROM (SELECT DISTINCT whencreated FROM {}) d",
        3,
        2,
    ),
    (
        "SELECT count(*) FILTER (WHERE whendue < '2023-01-01'), count(*) FROM {}",
        3,
        2,
    ),
    (
        "SELECT trim_scale(sum(CASE WHEN whendue < '2023-01-01' THEN totaldue ELSE 0 END)) FROM {}",
        3,
        2,
    ),
    ("SELECT sum(1), count(*) FROM {}", 1, 1),
    // The rows are counted under the texts received: one call more for a list of known values, two for other texts.
    (
        "SELECT trim_scale(sum(CASE WHEN state = 'Paid' THEN totaldue ELSE 0 END)) FROM {}",
        3,
        2,
    ),
    (
        "SELECT lower(state), count(*) FILTER (WHERE state = 'Paid') FROM {} GROUP BY 1",
        3,
        2,
    ),
    // A key that a condition makes constant is sorted by nowhere.
    (
        "SELECT state, count(DISTINCT whencreated) FROM {} WHERE state = 'Paid' AND whencreated >= '2023-01-01' GROUP BY state",
        3,
        2,
    ),
    (
        "SELECT coalesce(currency, '?'), trim_scale(sum(totaldue)) FROM {} GROUP BY 1",
        4,
        2,
    ),
    (
        "SELECT customerid::varchar(20), count(*) FROM {} GROUP BY 1",
        4,
        2,
    ),
];

#[test]
fn groupings_cost_no_row() {
    let company = Company::start_with("tool_groupings", small().rows("ARINVOICE", 20_000));
    let mut client = company.connect();
    run(
        &mut client,
        "CREATE SCHEMA acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice) FROM SERVER acme INTO acme;
CREATE TABLE here AS SELECT * FROM acme.arinvoice;
ANALYZE acme.arinvoice",
    );
    let version: u32 = lines(&mut client, "SHOW server_version_num")[0]
        .parse()
        .expect("a number");
    let mut wrong = Vec::new();
    for (statement, calls, trips) in GROUPINGS {
        let sorted = format!("SELECT t::text FROM ({statement}) t ORDER BY 1");
        company.gateway.tap.forget();
        let there = lines(&mut client, &sorted.replace("{}", "acme.arinvoice"));
        let requests = company.gateway.tap.requests();
        let functions: usize = requests
            .iter()
            .map(|request| request.matches("<function ").count())
            .sum();
        // PostgreSQL 18 keeps grouping sets local.
        let stays_local = statement.contains("ROLLUP") && version >= 180_000;
        if (functions > *calls || requests.len() > *trips) && !stays_local {
            wrong.push(format!(
                "{functions} calls, {} round trips: {statement}",
                requests.len()
            ));
        }
        if there != lines(&mut client, &sorted.replace("{}", "here")) {
            let here = lines(&mut client, &sorted.replace("{}", "here"));
            let differ: Vec<_> = there.iter().filter(|line| !here.contains(line)).collect();
            wrong.push(format!("other rows: {statement}: {differ:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
