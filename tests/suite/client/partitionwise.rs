//! A table over several companies, grouped partition by partition: each company is asked for its groups, and the answers are those of
//! PostgreSQL.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::sql::texts;

/// Companies: servers of their own.
pub const COMPANIES: [&str; 4] = ["east", "north", "south", "west"];

/// A table of invoices over them, its partition key a constant column of each.
pub fn partitions(company: &Company, client: &mut Client) {
    let mut sql = String::new();
    for name in COMPANIES {
        let server = Company::another_server(&company.gateway, name, "apiuser", "");
        sql += &format!(
            "CREATE SCHEMA {name};
             {server}
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice) FROM SERVER {name} INTO {name};
             ALTER FOREIGN TABLE {name}.arinvoice ADD COLUMN company text OPTIONS (constant '{name}') NOT NULL;"
        );
        if name == COMPANIES[0] {
            sql += "CREATE TABLE all_companies (LIKE east.arinvoice) PARTITION BY LIST (company);";
        }
        sql += &format!(
            "ALTER TABLE all_companies ATTACH PARTITION {name}.arinvoice FOR VALUES IN ('{name}');
             DO $$ BEGIN PERFORM whenmodified FROM {name}.arinvoice LIMIT 1; END $$;"
        );
    }
    client.batch_execute(&sql).expect("partitions, signed in");
}

/// The rows of a statement, as text.
pub fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    texts(client, sql, "|", "NULL")
}

/// Groups by the company, by it and what the gateway groups by, of no rows, and of rows without a value; `FROM` stands for the table.
const STATEMENTS: &[&str] = &[
    "SELECT company, count(*), trim_scale(sum(totaldue)) FROM ONLY_HERE GROUP BY company",
    "SELECT company, count(*) FROM ONLY_HERE GROUP BY company",
    "SELECT count(*), company FROM ONLY_HERE WHERE totaldue > 100 GROUP BY company",
    "SELECT company, count(*) FROM ONLY_HERE WHERE recordno < -5 GROUP BY company",
    "SELECT company, trim_scale(sum(totaldue)) FROM ONLY_HERE WHERE recordno < -5 GROUP BY company",
    "SELECT company, count(whenpaid) FROM ONLY_HERE GROUP BY company",
    "SELECT company, count(whenpaid) FROM ONLY_HERE WHERE whenpaid IS NULL GROUP BY company",
    "SELECT company, count(whenpaid), count(*), max(whenpaid) FROM ONLY_HERE WHERE state <> 'Paid' GROUP BY company",
    "SELECT company, count(*) FILTER (WHERE totaldue > 1e9) FROM ONLY_HERE GROUP BY company",
    "SELECT company, min(whencreated), max(whencreated), round(avg(totaldue), 2) FROM ONLY_HERE GROUP BY company",
    "SELECT company, max(totaldue) FROM ONLY_HERE WHERE recordno < -5 GROUP BY company",
    "SELECT company, state, count(*), trim_scale(sum(totaldue)) FROM ONLY_HERE GROUP BY company, state",
    "SELECT state, company, count(*) FROM ONLY_HERE WHERE totaldue > 50 GROUP BY state, company HAVING count(*) > 3",
    "SELECT upper(company), count(*) + 1 FROM ONLY_HERE GROUP BY company HAVING company <> 'north' AND count(*) > 1",
    "SELECT company, count(*) FROM ONLY_HERE WHERE company IN ('east', 'west') GROUP BY company",
    "SELECT company, count(*) FROM ONLY_HERE WHERE company = 'east' GROUP BY company",
    "SELECT state, count(*) FROM ONLY_HERE GROUP BY state",
    "SELECT DISTINCT company, state FROM ONLY_HERE",
    "SELECT DISTINCT company FROM ONLY_HERE WHERE recordno < -5",
    "SELECT x, (SELECT sum(n) FROM (SELECT company, count(*) AS n FROM ONLY_HERE WHERE recordno > x GROUP BY company) y) FROM generate_series(1, 5) x",
    "SELECT company, count(*) FROM ONLY_HERE GROUP BY company ORDER BY company DESC LIMIT 3",
    // Of all companies together.
    "SELECT count(*), trim_scale(sum(totaldue)) FROM ONLY_HERE",
    "SELECT count(*) FROM ONLY_HERE WHERE company <> 'north'",
    "SELECT count(*), count(whenpaid), count(totaldue), max(totaldue), min(whencreated) FROM ONLY_HERE",
    "SELECT count(*), count(whenpaid), sum(totaldue), sum(coalesce(totaldue, 0)), sum(1), max(whenpaid) FROM ONLY_HERE WHERE recordno < -5",
    "SELECT date_trunc('month', whencreated), count(*), trim_scale(sum(totaldue)) FROM ONLY_HERE GROUP BY 1",
    "SELECT company, date_trunc('year', whencreated), max(totaldue) FROM ONLY_HERE WHERE totaldue > 10 GROUP BY 1, 2",
    "SELECT upper(company) || state, count(*) FROM ONLY_HERE GROUP BY 1 HAVING count(*) > 5",
    "SELECT count(DISTINCT state), count(DISTINCT company), count(DISTINCT whencreated) FROM ONLY_HERE",
    "SELECT state, count(DISTINCT company), count(*) FROM ONLY_HERE GROUP BY state",
    "SELECT state, company, GROUPING(state, company), count(*) FROM ONLY_HERE GROUP BY ROLLUP (state, company)",
    "SELECT count(*), sum(recordno) FROM ONLY_HERE WHERE totaldue > 1e9 GROUP BY GROUPING SETS ((state), ())",
    "SELECT trim_scale(sum(CASE WHEN company = 'east' THEN totaldue WHEN state = 'Paid' THEN 1 ELSE 0 END)) FROM ONLY_HERE",
    "SELECT count(*) FILTER (WHERE company <> 'north'), trim_scale(sum(totaldue) FILTER (WHERE state = 'Paid')) FROM ONLY_HERE",
    "SELECT customerid, max(company), min(upper(state)) FROM ONLY_HERE GROUP BY customerid HAVING max(company) > 'n'",
    "SELECT DISTINCT state FROM ONLY_HERE",
    "SELECT DISTINCT upper(company), currency FROM ONLY_HERE WHERE totaldue > 100",
    "SELECT count(*) FROM (SELECT DISTINCT customerid FROM ONLY_HERE) d",
    "SELECT company, 1, count(*) FROM ONLY_HERE WHERE company > 'f' AND recordno < -5 GROUP BY company",
    "SELECT x, (SELECT count(*) FROM ONLY_HERE WHERE recordno > x), (SELECT sum(recordno) FROM ONLY_HERE WHERE recordno = x AND company > 'f') FROM generate_series(1, 5) x",
    "SELECT x, y.* FROM unnest('{Paid,Posted,none}'::text[]) x, LATERAL (SELECT customerid, count(*) FROM ONLY_HERE WHERE state = x GROUP BY customerid) y",
    "SELECT state, count(*) FROM ONLY_HERE GROUP BY state ORDER BY state LIMIT 2",
    "SELECT state, sum(count(*)) OVER (ORDER BY state) FROM ONLY_HERE GROUP BY state",
    "SELECT max(n) FROM (SELECT whencreated, count(*) AS n FROM ONLY_HERE GROUP BY whencreated) d",
];

/// What is sorted by the statement itself keeps its order.
pub fn sorted(mut rows: Vec<String>, sql: &str) -> Vec<String> {
    if !sql.contains("ORDER BY") {
        rows.sort();
    }
    rows
}

#[test]
fn groups_of_companies_are_those_of_postgresql() {
    let company = Company::start_with("partitionwise", small().rows("ARINVOICE", 300));
    let mut client = company.connect();
    partitions(&company, &mut client);
    client
        .batch_execute("CREATE TABLE copy AS SELECT * FROM all_companies; ANALYZE copy")
        .expect("a copy");
    for settings in [
        "SET enable_partitionwise_aggregate = on",
        "SET enable_async_append = off",
        "SET enable_hashagg = off",
        "RESET enable_hashagg; SET enable_sort = off",
        "RESET ALL",
    ] {
        client.batch_execute(settings).expect("settings");
        for from in ["all_companies", "east.arinvoice"] {
            for statement in STATEMENTS {
                let copied = match from {
                    "all_companies" => "copy",
                    _ => "(SELECT * FROM copy WHERE company = 'east') c",
                };
                let expected = rows(&mut client, &statement.replace("ONLY_HERE", copied));
                let sql = statement.replace("ONLY_HERE", from);
                let got = rows(&mut client, &sql);
                let plan = rows(&mut client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
                assert_eq!(
                    sorted(got, &sql),
                    sorted(expected, &sql),
                    "{settings}\n{sql}\n{plan}"
                );
            }
        }
    }
}

/// Statements over branches of a UNION ALL, as they are planned beside each other or not, and whether each gateway groups. `EAST`,
/// `WEST` stand for two companies' tables.
const BRANCHES: &[(&str, bool)] = &[
    (
        "SELECT count(*), trim_scale(sum(totaldue)) FROM (SELECT * FROM EAST UNION ALL SELECT * FROM WEST) u",
        true,
    ),
    (
        "SELECT c, state, count(*), trim_scale(sum(totaldue)) FROM (SELECT 'e' AS c, state, totaldue FROM EAST UNION ALL SELECT 'w', state, totaldue FROM WEST) u GROUP BY 1, 2",
        true,
    ),
    // A branch of constants has no group where it has no row.
    (
        "SELECT c, count(*) FROM (SELECT 'e' AS c, recordno FROM EAST UNION ALL SELECT 'w', recordno - 1000 FROM WEST) u WHERE recordno > 0 GROUP BY c",
        true,
    ),
    (
        "SELECT c, count(*) FROM (SELECT 'e' AS c, recordno, state FROM EAST UNION ALL SELECT 'w', recordno, state FROM WEST) u WHERE recordno < 0 GROUP BY c",
        true,
    ),
    (
        "SELECT s, count(*), max(c) FROM (SELECT 'e' AS c, upper(state) AS s FROM EAST UNION ALL SELECT currency, 'none' FROM WEST) u GROUP BY s",
        true,
    ),
    (
        "SELECT s, trim_scale(sum(n)), count(n) FROM (SELECT state AS s, totaldue AS n FROM EAST UNION ALL SELECT currency, 1.5 FROM WEST UNION ALL SELECT state, NULL FROM EAST) u GROUP BY s",
        true,
    ),
    // A list of values of a page each.
    (
        "SELECT DISTINCT s FROM (SELECT state AS s FROM EAST UNION ALL SELECT currency FROM WEST) u",
        false,
    ),
    (
        "SELECT count(*) FROM (SELECT state FROM EAST WHERE totaldue > 100 UNION ALL SELECT state FROM WEST) u",
        true,
    ),
    (
        "SELECT s, count(*) FROM (SELECT state AS s FROM EAST UNION ALL SELECT x FROM unnest('{Paid,new}'::text[]) x) u GROUP BY s",
        true,
    ),
    (
        "SELECT s, count(*) FROM (SELECT state AS s FROM EAST UNION ALL (SELECT state FROM WEST UNION ALL SELECT currency FROM WEST)) u GROUP BY s",
        true,
    ),
    (
        "SELECT s, count(*) FROM (SELECT state AS s, 1 AS n FROM EAST UNION ALL SELECT state, 2 FROM WEST) u WHERE n = 2 GROUP BY s",
        true,
    ),
    (
        "SELECT s, count(*) FROM (SELECT state AS s FROM EAST UNION SELECT state FROM WEST) u GROUP BY s",
        false,
    ),
];

#[test]
fn branches_are_grouped_by_their_gateways() {
    let company = Company::start_with("union_groups", small().rows("ARINVOICE", 300));
    let mut client = company.connect();
    partitions(&company, &mut client);
    client
        .batch_execute(
            "CREATE TABLE copy_east AS SELECT * FROM east.arinvoice; CREATE TABLE copy_west AS SELECT * FROM west.arinvoice;
             ANALYZE copy_east; ANALYZE copy_west",
        )
        .expect("copies");
    let mut wrong = Vec::new();
    for settings in [
        "RESET ALL",
        "SET enable_hashagg = off",
        "SET enable_async_append = off",
    ] {
        client.batch_execute(settings).expect("settings");
        for (statement, grouped) in BRANCHES {
            let of = |east: &str, west: &str| statement.replace("EAST", east).replace("WEST", west);
            let sql = of("east.arinvoice", "west.arinvoice");
            let expected = rows(&mut client, &of("copy_east", "copy_west"));
            let plan = rows(&mut client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
            let got = rows(&mut client, &sql);
            assert_eq!(sorted(got, ""), sorted(expected, ""), "{settings}\n{sql}\n{plan}");
            let combines = plan.contains("Intacct Combined Groups");
            if combines != *grouped && settings == "RESET ALL" {
                wrong.push(format!("{sql}\n{plan}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_company_that_is_kept_here_is_grouped_here() {
    let company = Company::start_with("partitionwise_kept_here", small().rows("ARINVOICE", 300));
    let mut client = company.connect();
    partitions(&company, &mut client);
    client
        .batch_execute(
            "CREATE TABLE copy AS SELECT * FROM all_companies; ANALYZE copy;
             ALTER TABLE all_companies DETACH PARTITION south.arinvoice;
             CREATE TABLE south_here (LIKE all_companies);
             INSERT INTO south_here SELECT * FROM copy WHERE company = 'south';
             ALTER TABLE all_companies ATTACH PARTITION south_here FOR VALUES IN ('south'); ANALYZE south_here;
             ALTER FOREIGN TABLE north.arinvoice OPTIONS (ADD function 'readByQuery')",
        )
        .expect("other partitions");
    for settings in [
        "RESET ALL",
        "SET enable_partitionwise_aggregate = on",
        "SET enable_hashagg = off",
    ] {
        client.batch_execute(settings).expect("settings");
        for statement in STATEMENTS {
            let expected = rows(&mut client, &statement.replace("ONLY_HERE", "copy"));
            let sql = statement.replace("ONLY_HERE", "all_companies");
            let got = rows(&mut client, &sql);
            let plan = rows(&mut client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
            assert_eq!(
                sorted(got, &sql),
                sorted(expected, &sql),
                "{settings}\n{sql}\n{plan}"
            );
        }
    }
    client.batch_execute("RESET ALL").expect("settings");
    company.gateway.log();
    rows(&mut client, "SELECT count(*), sum(totaldue) FROM all_companies");
    let log = company.gateway.log();
    let mut calls: Vec<usize> = log.iter().map(|entry| entry.functions.len()).collect();
    calls.sort_unstable();
    // Two are asked for totals, and one, by a function that computes none, for its rows.
    assert_eq!(calls, [1, 2, 2], "{log:?}");
}

#[test]
fn each_company_is_asked_for_its_groups() {
    let company = Company::start_with("partitionwise_calls", small().rows("ARINVOICE", 300));
    let mut client = company.connect();
    partitions(&company, &mut client);
    client
        .batch_execute("SET enable_partitionwise_aggregate = on")
        .expect("a setting");
    company.gateway.log();
    let sql = "SELECT company, count(*), sum(totaldue) FROM all_companies GROUP BY company";
    assert_eq!(rows(&mut client, sql).len(), 4);
    let log = company.gateway.log();
    let calls: usize = log.iter().map(|entry| entry.functions.len()).sum();
    assert_eq!((calls, log.len()), (8, 4), "calls, round trips");
    let plan = rows(&mut client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
    assert_eq!(plan.matches("Async Foreign Scan").count(), 4, "{plan}");
}
