//! A table over several companies, grouped partition by partition: each company is asked for its groups, and the answers are those of
//! PostgreSQL.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::sql::texts;

/// Companies: servers of their own.
pub const COMPANIES: [&str; 4] = ["east", "north", "south", "west"];

/// A table of invoices over them, its partition key a constant column of each.
pub fn partitions(company: &Company, client: &mut Client) {
    let url = company.gateway.url();
    let mut sql = String::new();
    for name in COMPANIES {
        sql += &format!(
            "CREATE SCHEMA {name};
             CREATE SERVER {name} FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', url '{url}');
             CREATE USER MAPPING FOR CURRENT_USER SERVER {name}
               OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
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
