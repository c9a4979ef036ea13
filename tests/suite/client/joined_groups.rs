//! Groups of the gateway that are joined with other relations: the rows are those of the same statement on local copies, and
//! the plans join groups where rows would be as many.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};

use super::partitionwise::{partitions, rows, sorted};

/// What a plan does.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    /// It joins groups.
    Groups,
    /// It joins rows.
    Rows,
    /// What is cheaper.
    Any,
}
use Shown::{Any, Groups, Rows};

/// Statements over `arinvoice`, `customer`, `territory` and the local tables `region` (of a customer, some twice, some not),
/// `rate` (of a currency).
const STATEMENTS: &[(&str, Shown)] = &[
    // A parent that may be missing.
    (
        "SELECT c.name, count(*), trim_scale(sum(i.totaldue)) FROM arinvoice i LEFT JOIN customer c USING (customerid) GROUP BY c.name",
        Groups,
    ),
    (
        "SELECT upper(c.name), count(*), count(c.recordno), max(i.whencreated) FROM arinvoice i LEFT JOIN customer c USING (customerid) GROUP BY 1",
        Groups,
    ),
    (
        "SELECT c.status, date_trunc('year', i.whencreated), trim_scale(sum(i.totaldue)) FROM arinvoice i LEFT JOIN customer c USING (customerid) GROUP BY 1, 2",
        Any,
    ),
    (
        "SELECT count(*), count(c.name), trim_scale(sum(i.totaldue)), trim_scale(sum(c.creditlimit)) FROM arinvoice i LEFT JOIN customer c USING (customerid)",
        Groups,
    ),
    (
        "SELECT c.status, count(*) FROM arinvoice i LEFT JOIN customer c ON c.customerid = i.customerid AND c.creditlimit > 50000 GROUP BY c.status",
        Groups,
    ),
    (
        "SELECT i.state, count(*) FROM arinvoice i LEFT JOIN customer c ON c.customerid = i.customerid AND i.state = 'Paid' WHERE c.name IS NULL GROUP BY i.state",
        Any,
    ),
    (
        "SELECT count(*), trim_scale(sum(i.totaldue)) FROM arinvoice i LEFT JOIN customer c USING (customerid) WHERE c.customerid IS NULL",
        Any,
    ),
    // Local tables: rows that match nothing, once, or twice.
    (
        "SELECT r.region, count(*), trim_scale(sum(i.totaldue)), min(i.totaldue) FROM arinvoice i JOIN region r USING (customerid) GROUP BY r.region",
        Groups,
    ),
    (
        "SELECT r.region, count(*), sum(coalesce(i.totaldue, 0)), sum(r.weight), sum(r.weight * 2) FROM arinvoice i LEFT JOIN region r USING (customerid) GROUP BY r.region",
        Groups,
    ),
    (
        "SELECT r.region, count(*) FILTER (WHERE i.state = 'Paid'), count(DISTINCT i.customerid), bool_or(r.weight > 2) FROM arinvoice i JOIN region r USING (customerid) GROUP BY 1 HAVING count(*) > 10",
        Any,
    ),
    (
        "SELECT i.state, trim_scale(sum(CASE WHEN r.weight > 1 THEN i.totaldue ELSE 0 END)) FROM arinvoice i JOIN region r ON r.customerid = i.customerid WHERE r.region <> 'south' GROUP BY i.state",
        Groups,
    ),
    (
        "SELECT DISTINCT r.region, i.state FROM arinvoice i JOIN region r USING (customerid)",
        Groups,
    ),
    (
        "SELECT region, state, GROUPING(region, state), count(*) FROM arinvoice JOIN region USING (customerid) GROUP BY CUBE (region, state)",
        Any,
    ),
    (
        "SELECT count(*), sum(weight) FROM arinvoice i JOIN region r ON r.customerid = i.customerid WHERE i.totaldue > 1e9",
        Any,
    ),
    (
        "SELECT count(*), trim_scale(sum(totaldue)) FROM arinvoice WHERE customerid IN (SELECT customerid FROM region)",
        Groups,
    ),
    (
        "SELECT state, count(*) FROM arinvoice i WHERE EXISTS (SELECT FROM region r WHERE r.customerid = i.customerid AND r.weight > 1) GROUP BY state",
        Groups,
    ),
    (
        "SELECT state, count(*), trim_scale(sum(totaldue)) FROM arinvoice i WHERE NOT EXISTS (SELECT FROM region r WHERE r.customerid = i.customerid) GROUP BY state",
        Groups,
    ),
    // Several.
    (
        "SELECT r.region, c.status, count(*), trim_scale(sum(i.totaldue)) FROM arinvoice i JOIN region r USING (customerid) LEFT JOIN customer c USING (customerid) GROUP BY 1, 2",
        Groups,
    ),
    (
        "SELECT t.name, count(*), trim_scale(sum(i.totaldue)) FROM arinvoice i LEFT JOIN customer c USING (customerid) LEFT JOIN territory t USING (territoryid) GROUP BY t.name",
        Groups,
    ),
    (
        "SELECT c.status, r.region, trim_scale(sum(i.totaldue * 1)) FROM arinvoice i JOIN customer c USING (customerid) JOIN region r USING (customerid) GROUP BY 1, 2",
        Any,
    ),
    (
        "SELECT r.region, trim_scale(sum(i.totaldue) * max(x.rate)) FROM arinvoice i JOIN region r USING (customerid) JOIN rate x ON x.currency = i.currency GROUP BY 1",
        Groups,
    ),
    (
        "SELECT a.region, count(*) FROM arinvoice i JOIN region a USING (customerid) JOIN region b ON b.customerid = i.customerid AND b.weight > a.weight GROUP BY 1",
        Any,
    ),
    (
        "SELECT r.weight % 3, count(*), count(c.name), max(c.status) FROM arinvoice i LEFT JOIN customer c USING (customerid) LEFT JOIN region r ON r.customerid = i.customerid WHERE c.customerid IS NULL GROUP BY 1",
        Any,
    ),
    (
        "SELECT r.region, count(*), count(c) FROM arinvoice i LEFT JOIN customer c USING (customerid) JOIN region r USING (customerid) WHERE r.weight > 1 OR c.name IS NULL GROUP BY 1",
        Any,
    ),
    (
        "SELECT r.region, count(*) > 0 FROM arinvoice i JOIN region r ON r.customerid = i.customerid AND random() >= 0 GROUP BY 1",
        Rows,
    ),
    // The other side keeps its rows, neither does, or the condition is none that groups are joined by.
    (
        "SELECT r.region, count(*), count(i.recordno), trim_scale(sum(i.totaldue)) FROM region r LEFT JOIN arinvoice i USING (customerid) GROUP BY 1",
        Rows,
    ),
    (
        "SELECT r.region, count(*), trim_scale(sum(i.totaldue)) FROM region r FULL JOIN arinvoice i USING (customerid) GROUP BY 1",
        Rows,
    ),
    (
        "SELECT r.region, count(*) FROM arinvoice i JOIN region r ON r.customerid > i.customerid GROUP BY 1",
        Any,
    ),
    (
        "SELECT r.region, count(*) FROM arinvoice i JOIN region r ON r.customerid = i.customerid AND r.weight < i.recordno GROUP BY 1",
        Rows,
    ),
    (
        "SELECT r.region, avg(i.totaldue) > 0 FROM arinvoice i JOIN region r USING (customerid) GROUP BY 1",
        Any,
    ),
    (
        "SELECT x, (SELECT count(*) FROM arinvoice i JOIN region r USING (customerid) WHERE r.weight > x AND i.totaldue > x) FROM generate_series(1, 4) x",
        Any,
    ),
    (
        "SELECT x, y.* FROM generate_series(0, 2) x, LATERAL (SELECT r.region, count(*) FROM arinvoice i LEFT JOIN region r ON r.customerid = i.customerid AND r.weight > x GROUP BY 1) y",
        Any,
    ),
    // Several companies.
    (
        "SELECT r.region, count(*), trim_scale(sum(i.totaldue)) FROM all_companies i JOIN region r USING (customerid) GROUP BY 1",
        Groups,
    ),
    (
        "SELECT i.company, r.region, count(*) FROM all_companies i LEFT JOIN region r USING (customerid) GROUP BY 1, 2",
        Groups,
    ),
    (
        "SELECT h.head, trim_scale(sum(i.totaldue)) FROM all_companies i JOIN heads h ON h.company = i.company GROUP BY 1",
        Groups,
    ),
];

fn start(name: &str) -> (Company, Client) {
    let config = small()
        .rows("ARINVOICE", 400)
        .rows("CUSTOMER", 40)
        .rows("TERRITORY", 12);
    let company = Company::start_with(name, config);
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE SCHEMA there; CREATE SCHEMA here; CREATE SCHEMA shared;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice, customer, territory) FROM SERVER acme INTO there;
             SET search_path = there",
        )
        .expect("tables");
    partitions(&company, &mut client);
    client
        .batch_execute(
            "CREATE TABLE here.arinvoice AS SELECT * FROM arinvoice; CREATE TABLE here.customer AS SELECT * FROM customer;
             CREATE TABLE here.territory AS SELECT * FROM territory; CREATE TABLE here.all_companies AS SELECT * FROM all_companies;
             CREATE TABLE shared.region AS
               SELECT customerid, (ARRAY['north', 'south', 'east'])[1 + n % 3] AS region, n AS weight
               FROM (SELECT customerid, row_number() OVER (ORDER BY customerid) AS n FROM customer) c WHERE n % 5 <> 0
               UNION ALL SELECT customerid, 'twice', 2 FROM (SELECT customerid FROM customer ORDER BY customerid LIMIT 9) c
               UNION ALL VALUES (NULL, 'none', 1), ('nobody', 'none', 3);
             CREATE TABLE shared.rate AS SELECT * FROM (VALUES ('USD', 1), ('EUR', 2), (NULL, 3)) v(currency, rate);
             CREATE TABLE shared.heads AS SELECT * FROM (VALUES ('east', 'Ann'), ('west', 'Bob'), ('none', 'Cy')) v(company, head);
             ANALYZE shared.region; ANALYZE shared.rate; ANALYZE shared.heads; ANALYZE there.arinvoice; ANALYZE there.customer; ANALYZE there.territory;
             ANALYZE here.arinvoice; ANALYZE here.customer; ANALYZE here.territory; ANALYZE here.all_companies",
        )
        .expect("copies");
    // Rows travel in pages of a hundred: what reads all invoices takes five calls.
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '100')")
        .expect("an option");
    for name in super::partitionwise::COMPANIES {
        client
            .batch_execute(&format!(
                "ALTER SERVER {name} OPTIONS (ADD page_size '100'); ANALYZE {name}.arinvoice"
            ))
            .expect("an option");
    }
    (company, client)
}

#[test]
fn joined_groups_are_those_of_postgresql() {
    let (_company, mut client) = start("joined_groups");
    for settings in [
        "RESET ALL",
        "SET sage_intacct.push_joins = off",
        "SET sage_intacct.push_lookups = off; SET enable_mergejoin = off; SET enable_nestloop = off",
        "SET enable_hashagg = off",
        "SET join_collapse_limit = 1; SET from_collapse_limit = 1",
    ] {
        let mut wrong = Vec::new();
        for (statement, shown) in STATEMENTS {
            let mut of = |path: &str, sql: &str| {
                client
                    .batch_execute(&format!("{settings}; SET search_path = {path}, shared"))
                    .expect("settings");
                rows(&mut client, sql)
            };
            let expected = of("here", statement);
            let got = of("there", statement);
            let plan = of("there", &format!("EXPLAIN (COSTS OFF) {statement}")).join("\n");
            if sorted(got.clone(), "") != sorted(expected.clone(), "") {
                wrong.push(format!("{statement}\n{got:?}\n{expected:?}\n{plan}"));
            }
            let joins = plan.contains("Intacct Combined Groups");
            if settings == "RESET ALL" && *shown != Any && joins != (*shown == Groups) {
                wrong.push(format!("{statement}\n{plan}"));
            }
        }
        assert!(wrong.is_empty(), "{settings}\n{}", wrong.join("\n\n"));
    }
}

/// Keys that are the same in every row: where there is no row, there is no group.
#[test]
fn without_rows_there_is_no_group_of_a_constant() {
    let (_company, mut client) = start("constant_groups");
    const NONE: &str = "i.recordno < 0 AND i.state = 'Paid'";
    let mut statements: Vec<String> = [
        "SELECT 'x'::text, count(*), count(i.totaldue) FROM arinvoice i WHERE {} GROUP BY 1",
        "SELECT lower('X'), count(DISTINCT i.whencreated), sum(1) FROM arinvoice i WHERE {} GROUP BY 1",
        "SELECT v.k, count(*), sum(coalesce(i.totaldue, 0)) FROM (VALUES (1, 'a')) v(n, k), arinvoice i WHERE {} GROUP BY v.k",
        "SELECT v.k, count(*) FROM (VALUES ('C-00002'::text)) v(k) LEFT JOIN arinvoice i ON i.customerid = v.k WHERE {} GROUP BY v.k",
        "SELECT DISTINCT 'x'::text FROM arinvoice i WHERE {}",
        "SELECT 1, count(*) FROM arinvoice i WHERE {} GROUP BY ROLLUP (1)",
        "SELECT count(*) FROM arinvoice i WHERE {} GROUP BY ()",
        "SELECT 'x'::text, count(*) FROM arinvoice i WHERE {} GROUP BY GROUPING SETS ((1), ())",
        "SELECT 'x'::text, count(*) FILTER (WHERE i.state = 'Paid') FROM arinvoice i WHERE {} GROUP BY 1 HAVING count(*) >= 0",
        "SELECT r.region, count(*) FROM arinvoice i CROSS JOIN region r WHERE {} GROUP BY r.region",
        "SELECT count(*), trim_scale(sum(i.totaldue)) FROM arinvoice i CROSS JOIN region r WHERE {}",
        "SELECT 'x'::text, count(*) FROM (SELECT * FROM arinvoice UNION ALL SELECT * FROM arinvoice) i WHERE {} GROUP BY 1",
    ]
    .map(|statement| statement.replace("{}", NONE))
    .into();
    // With rows there is one.
    for number in 0..statements.len() {
        statements.push(statements[number].replace("< 0", "> 0"));
    }
    for statement in statements {
        for settings in [
            "RESET ALL",
            "SET enable_hashjoin = off; SET enable_mergejoin = off",
            "SET enable_hashagg = off",
        ] {
            let mut of = |path: &str| {
                client
                    .batch_execute(&format!("{settings}; SET search_path = {path}, shared"))
                    .expect("settings");
                sorted(rows(&mut client, &statement), "")
            };
            assert_eq!(of("there"), of("here"), "{settings}\n{statement}");
        }
    }
}
