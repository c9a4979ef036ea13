//! Two tables over several companies, joined partition by partition: each company joins its own, and the rows are those of the same
//! statement on local tables with the same partitions.

use std::sync::mpsc;
use std::thread;

use postgres::Client;
use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::tap::Answer;

use super::partitionwise::{COMPANIES, partitions, rows, sorted};

/// Tables over the same companies beside that of invoices.
const OTHERS: [(&str, &str); 2] = [("customer", "all_customers"), ("territory", "all_territories")];

/// Makes them.
pub fn other_partitions(client: &mut Client) {
    let mut sql = String::new();
    for name in COMPANIES {
        sql += &format!(
            "IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, territory) FROM SERVER {name} INTO {name};
             ALTER SERVER {name} OPTIONS (ADD push_left_joins 'on');"
        );
        for (object, whole) in OTHERS {
            sql += &format!(
                "ALTER FOREIGN TABLE {name}.{object} ADD COLUMN company text OPTIONS (constant '{name}') NOT NULL;"
            );
            if name == COMPANIES[0] {
                sql += &format!("CREATE TABLE {whole} (LIKE {name}.{object}) PARTITION BY LIST (company);");
            }
            sql += &format!(
                "ALTER TABLE {whole} ATTACH PARTITION {name}.{object} FOR VALUES IN ('{name}');
                 DO $$ BEGIN PERFORM recordno FROM {name}.{object} LIMIT 1; END $$;"
            );
        }
    }
    client.batch_execute(&sql).expect("more tables");
}

/// Local copies of all three, with partitions of their own: `i`, `c` and `t`.
fn copies(client: &mut Client) {
    let mut sql = String::new();
    for (copy, whole) in [
        ("i", "all_companies"),
        ("c", "all_customers"),
        ("t", "all_territories"),
    ] {
        sql += &format!("CREATE TABLE {copy} (LIKE {whole}) PARTITION BY LIST (company);");
        for name in COMPANIES {
            sql += &format!("CREATE TABLE {copy}_{name} PARTITION OF {copy} FOR VALUES IN ('{name}');");
        }
        sql += &format!("INSERT INTO {copy} SELECT * FROM {whole}; ANALYZE {copy};");
    }
    client.batch_execute(&sql).expect("copies");
}

/// The statement, of the foreign tables.
fn of_companies(statement: &str) -> String {
    let mut sql = statement.to_owned();
    for (copy, whole) in [
        ("i", "all_companies"),
        ("c", "all_customers"),
        ("t", "all_territories"),
    ] {
        for word in ["FROM", "JOIN", "UPDATE", "USING"] {
            sql = sql
                .replace(&format!("{word} {copy} AS "), &format!("{word} {whole} AS "))
                .replace(&format!("{word} {copy} "), &format!("{word} {whole} {copy} "));
        }
    }
    sql
}

/// What a plan shows.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    /// Companies join.
    Joined,
    /// They do not.
    Apart,
    /// Either: what is cheaper.
    Any,
}
use Shown::{Any, Apart, Joined};

/// Joins of invoices `i`, customers `c` and territories `t`, and whether companies answer them.
const JOINS: &[(&str, Shown)] = &[
    // INNER, with the constant selected, compared, or within an expression.
    (
        "SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid)",
        Joined,
    ),
    (
        "SELECT i.recordid, c.company, c.name FROM i JOIN c ON c.company = i.company AND c.customerid = i.customerid",
        Joined,
    ),
    (
        "SELECT i.recordid, c.name FROM i JOIN c USING (company, customerid) WHERE i.totaldue > 100 AND c.status = 'active'",
        Joined,
    ),
    (
        "SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid) WHERE company IN ('north', 'west')",
        Joined,
    ),
    (
        "SELECT upper(i.company), i.recordid FROM i JOIN c USING (company, customerid) WHERE c.creditlimit > 50000",
        Joined,
    ),
    (
        "SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid) WHERE c.recordno < -1",
        Joined,
    ),
    (
        "SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid) WHERE c.customerid = 'C-00003'",
        Joined,
    ),
    (
        "SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid) WHERE i.company = 'east'",
        Any,
    ),
    // Several tables.
    (
        "SELECT i.recordid, t.name, t.company FROM i JOIN c USING (company, customerid) JOIN t USING (company, territoryid)",
        Joined,
    ),
    (
        "SELECT c.customerid, t.name FROM c JOIN t USING (company, territoryid) WHERE c.creditlimit > 100",
        Joined,
    ),
    // The same table twice.
    (
        "SELECT a.territoryid, b.territoryid FROM t AS a JOIN t AS b ON b.company = a.company AND b.recordno = a.parentkey",
        Any,
    ),
    (
        "SELECT a.recordid, b.recordid FROM i AS a JOIN i AS b USING (company, recordno) WHERE a.totaldue > 500",
        Apart,
    ),
    // LEFT, SEMI, ANTI.
    (
        "SELECT i.company, i.recordid, c.name FROM i LEFT JOIN c USING (company, customerid)",
        Joined,
    ),
    (
        "SELECT i.recordid, c.company FROM i LEFT JOIN c USING (company, customerid)",
        Apart,
    ),
    (
        "SELECT c.customerid, t.name FROM c LEFT JOIN t USING (company, territoryid)",
        Joined,
    ),
    (
        "SELECT c.customerid, t.company, t.name FROM c LEFT JOIN t USING (company, territoryid)",
        Apart,
    ),
    (
        "SELECT c.customerid, t.name FROM c LEFT JOIN t ON t.company = c.company AND t.territoryid = c.territoryid AND t.status = 'active'",
        Apart,
    ),
    (
        "SELECT c.customerid, t.name FROM c LEFT JOIN t USING (company, territoryid) WHERE t.name IS NULL",
        Any,
    ),
    (
        "SELECT i.recordid, c.name FROM i LEFT JOIN c ON c.customerid = i.customerid AND c.company = i.company WHERE c.company = i.company",
        Joined,
    ),
    (
        "SELECT c.customerid, t.name, i.recordid FROM c LEFT JOIN t USING (company, territoryid) LEFT JOIN i ON i.company = t.company AND i.customerid = c.customerid",
        Any,
    ),
    (
        "SELECT i.recordid FROM i WHERE EXISTS (SELECT FROM c WHERE c.company = i.company AND c.customerid = i.customerid)",
        Joined,
    ),
    (
        "SELECT i.recordid FROM i WHERE (company, customerid) IN (SELECT company, customerid FROM c WHERE c.creditlimit > 50000)",
        Joined,
    ),
    (
        "SELECT c.company, c.customerid FROM c WHERE NOT EXISTS (SELECT FROM i WHERE c.company = i.company AND c.customerid = i.customerid)",
        Any,
    ),
    (
        "SELECT c.customerid, t.territoryid FROM c FULL JOIN t USING (company, territoryid)",
        Apart,
    ),
    // LIMIT and ORDER BY.
    (
        "SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid) ORDER BY i.company, i.recordno LIMIT 7",
        Any,
    ),
    (
        "SELECT i.recordno, i.company, c.name FROM i JOIN c USING (company, customerid) ORDER BY i.recordno, i.company OFFSET 5 LIMIT 9",
        Any,
    ),
    (
        "SELECT i.recordno, i.company, c.name FROM i LEFT JOIN c USING (company, customerid) ORDER BY i.recordno DESC, i.company",
        Any,
    ),
    (
        "SELECT count(*) FROM (SELECT i.recordid, c.name FROM i JOIN c USING (company, customerid) LIMIT 11) x",
        Any,
    ),
    // Groups above.
    (
        "SELECT i.company, count(*), min(c.name) FROM i JOIN c USING (company, customerid) GROUP BY i.company",
        Joined,
    ),
    (
        "SELECT c.company, count(*), trim_scale(sum(i.totaldue)) FROM i JOIN c USING (company, customerid) GROUP BY c.company",
        Any,
    ),
    (
        "SELECT i.company, c.status, count(*), trim_scale(sum(i.totaldue)) FROM i JOIN c USING (company, customerid) GROUP BY i.company, c.status HAVING count(*) > 2",
        Any,
    ),
    (
        "SELECT c.territoryid, count(*) FROM i JOIN c USING (company, customerid) GROUP BY c.territoryid",
        Any,
    ),
    (
        "SELECT t.company, count(*), count(t.name) FROM c LEFT JOIN t USING (company, territoryid) GROUP BY t.company",
        Any,
    ),
    (
        "SELECT c.company, count(*), count(t.name) FROM c LEFT JOIN t USING (company, territoryid) GROUP BY c.company",
        Any,
    ),
    (
        "SELECT DISTINCT i.company, c.status FROM i JOIN c USING (company, customerid)",
        Any,
    ),
    (
        "SELECT i.company, count(*) FROM i JOIN c USING (company, customerid) WHERE c.recordno < -1 GROUP BY i.company",
        Any,
    ),
    // What no company can answer, or what must not be taken for the join of a company.
    (
        "SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid) WHERE i.totaldue > c.creditlimit",
        Apart,
    ),
    (
        "SELECT i.company, i.recordid, c.company FROM i JOIN c USING (customerid) WHERE i.recordno < 9",
        Apart,
    ),
    (
        "SELECT i.recordid, c.name FROM i JOIN c ON c.company > i.company AND c.customerid = i.customerid WHERE i.recordno < 9",
        Apart,
    ),
    (
        "SELECT i.recordid, c.name FROM i JOIN c ON c.company || '' = i.company AND c.customerid = i.customerid WHERE i.recordno < 9",
        Apart,
    ),
    (
        "SELECT i, c.name FROM i JOIN c USING (company, customerid) WHERE i.recordno < 3",
        Apart,
    ),
    // A pruned partition, while planning and by a value of the executor.
    (
        "SELECT x, (SELECT count(*) FROM i JOIN c USING (company, customerid) WHERE i.company = x) FROM unnest('{east,none,west}'::text[]) x",
        Any,
    ),
    (
        "SELECT x, y.* FROM generate_series(1, 3) x, LATERAL (SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid) WHERE i.recordno = x) y",
        Any,
    ),
];

/// Runs all of [`JOINS`] on both, and checks the plan where `all` companies have all tables.
fn compare(client: &mut Client, settings: &str, all: bool) {
    client.batch_execute(settings).expect("settings");
    for (statement, shown) in JOINS {
        let expected = rows(client, statement);
        let sql = of_companies(statement);
        let plan = rows(client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
        let got = rows(client, &sql);
        assert_eq!(
            sorted(got, &sql),
            sorted(expected, &sql),
            "{settings}\n{sql}\n{plan}"
        );
        let by_path = |line: &str| {
            line.contains("Intacct Query: select")
                && (line.contains("CUSTOMER.") || line.contains("TERRITORY."))
        };
        let joined = plan.lines().any(by_path);
        let possible = settings.contains("partitionwise_join") || settings.contains("async");
        match shown {
            Joined if all => assert_eq!(joined, possible, "{settings}\n{sql}\n{plan}"),
            Apart => assert!(!joined, "{settings}\n{sql}\n{plan}"),
            _ => {}
        }
    }
}

fn start(name: &str) -> (Company, Client) {
    let config = small()
        .rows("ARINVOICE", 120)
        .rows("CUSTOMER", 40)
        .rows("TERRITORY", 12);
    let company = Company::start_with(name, config);
    let mut client = company.connect();
    partitions(&company, &mut client);
    other_partitions(&mut client);
    copies(&mut client);
    (company, client)
}

#[test]
fn joins_of_companies_are_those_of_postgresql() {
    let (_company, mut client) = start("partitionwise_joins");
    for settings in [
        "SET enable_partitionwise_join = on",
        "SET enable_async_append = off",
        "RESET enable_async_append; SET enable_partitionwise_aggregate = on",
        "SET enable_hashjoin = off; SET enable_hashagg = off",
        "SET sage_intacct.push_lookups = off; SET enable_mergejoin = off",
        "RESET ALL",
    ] {
        let all =
            settings.contains("async") || settings.contains("partitionwise_join") || settings == "RESET ALL";
        compare(&mut client, settings, all);
    }
}

#[test]
fn companies_that_lack_a_table_are_joined_here() {
    let (_company, mut client) = start("partitionwise_lacking");
    // One has its customers here, another has none.
    client
        .batch_execute(
            "ALTER TABLE all_customers DETACH PARTITION west.customer;
             CREATE TABLE customers_of_west (LIKE all_customers);
             INSERT INTO customers_of_west SELECT * FROM c_west;
             ALTER TABLE all_customers ATTACH PARTITION customers_of_west FOR VALUES IN ('west');
             ALTER TABLE all_customers DETACH PARTITION south.customer;
             DELETE FROM c WHERE company = 'south'",
        )
        .expect("other partitions");
    for settings in [
        "SET enable_partitionwise_join = on; SET enable_partitionwise_aggregate = on",
        "SET enable_hashjoin = off; SET sage_intacct.push_lookups = off",
    ] {
        compare(&mut client, settings, false);
    }
}

#[test]
fn kept_plans_and_writes_see_the_same_rows() {
    let (_company, mut client) = start("partitionwise_kept");
    client
        .batch_execute("SET enable_partitionwise_join = on; SET plan_cache_mode = force_generic_plan")
        .expect("settings");
    for (number, statement) in [
        "SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid) WHERE i.company = $1 AND i.totaldue > $2",
        "SELECT i.recordid, c.name FROM i LEFT JOIN c USING (company, customerid) WHERE i.company <> $1 AND i.totaldue > $2",
        "SELECT i.recordid, c.name FROM i JOIN c USING (company, customerid) WHERE c.name > $1 AND c.creditlimit > $2",
    ]
    .iter()
    .enumerate()
    {
        let sql = of_companies(statement);
        let prepare = format!(
            "PREPARE here{number} (text, numeric) AS {statement}; PREPARE there{number} (text, numeric) AS {sql}"
        );
        client.batch_execute(&prepare).expect("prepared");
        for values in ["'east', 100", "'west', 0", "'nowhere', 0", "NULL, 5", "'north', NULL", "'A', 50000"] {
            let expected = rows(&mut client, &format!("EXECUTE here{number} ({values})"));
            let got = rows(&mut client, &format!("EXECUTE there{number} ({values})"));
            assert_eq!(sorted(got, ""), sorted(expected, ""), "{sql}, {values}");
        }
    }
    // Cursors that stop early, and rows that are locked.
    for sql in [
        "SELECT i.company, i.recordid FROM i JOIN c USING (company, customerid) FOR UPDATE OF i",
        "SELECT i.company, c.customerid FROM i JOIN c USING (company, customerid) FOR SHARE",
    ] {
        let expected = rows(&mut client, sql);
        let got = rows(&mut client, &of_companies(sql));
        assert_eq!(sorted(got, ""), sorted(expected, ""), "{sql}");
    }
    client
        .batch_execute(&of_companies(
            "BEGIN; DECLARE few CURSOR FOR SELECT i.company, c.name FROM i JOIN c USING (company, customerid) ORDER BY i.recordno",
        ))
        .expect("a cursor");
    assert_eq!(rows(&mut client, "FETCH 3 FROM few").len(), 3);
    client.batch_execute("CLOSE few; COMMIT").expect("closed");
    for sql in [
        "UPDATE c SET name = i.recordid FROM i WHERE i.company = c.company AND i.customerid = c.customerid AND i.recordno = 5 AND c.company = 'east' RETURNING c.company, c.customerid, i.recordid",
        "UPDATE i SET description = c.name FROM c WHERE i.company = c.company AND i.customerid = c.customerid AND i.recordno IN (4, 6) AND c.company IN ('east', 'west') RETURNING i.company, i.recordno, c.name",
        "DELETE FROM i USING c WHERE i.company = c.company AND i.customerid = c.customerid AND i.recordno = -7 RETURNING i.company, c.name",
    ] {
        let expected = rows(&mut client, sql);
        let got = rows(&mut client, &of_companies(sql));
        assert_eq!(sorted(got, ""), sorted(expected, ""), "{sql}");
    }
}

#[test]
fn each_company_joins_its_tables_beside_the_others() {
    let (company, mut client) = start("partitionwise_join_calls");
    client
        .batch_execute("SET enable_partitionwise_join = on; SET enable_partitionwise_aggregate = on")
        .expect("settings");
    let sql = "SELECT i.company, i.recordid, c.name FROM all_companies i JOIN all_customers c USING (company, customerid)";
    let plan = rows(&mut client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
    assert_eq!(plan.matches("Async Foreign Scan").count(), 4, "{plan}");
    // All four are asked before the first is answered.
    company.gateway.tap.forget();
    company.gateway.tap.rule(|_| Answer::Stall);
    let pid = cluster::backend(&mut client);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let code = client
            .simple_query(sql)
            .err()
            .and_then(|error| error.code().cloned());
        let _ = sender.send((client, code));
    });
    company.gateway.tap.wait_for_stalled(4);
    company.cancel(pid);
    let (mut client, code) = receiver.recv().expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
    company.gateway.tap.wait_for_stalled(0);
    company.gateway.tap.pass();
    company.gateway.log();
    let expected = rows(
        &mut client,
        "SELECT i.company, i.recordid, c.name FROM i JOIN c USING (company, customerid)",
    );
    assert_eq!(rows(&mut client, sql).len(), expected.len());
    let bought = |company: &Company| {
        let log = company.gateway.log();
        assert!(log.iter().all(|entry| entry.object == "ARINVOICE"), "{log:?}");
        let calls: usize = log.iter().map(|entry| entry.functions.len()).sum();
        (calls, log.len())
    };
    // A page of the join, and what proves it beside: as four joins of one company.
    assert_eq!(bought(&company), (8, 4), "calls, round trips");
    // The first company may be enough.
    rows(&mut client, &format!("{sql} LIMIT 5"));
    assert_eq!(bought(&company).1, 1, "round trips");
    // Groups over the join, of each company.
    let sql = "SELECT i.company, count(*), sum(i.totaldue) FROM all_companies i JOIN all_customers c USING (company, customerid) GROUP BY i.company";
    let plan = rows(&mut client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
    assert_eq!(plan.matches("count(RECORDNO)").count(), 4, "{plan}");
    assert_eq!(rows(&mut client, sql).len(), 4);
    assert_eq!(bought(&company).1, 4, "round trips");
}
