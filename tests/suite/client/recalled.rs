//! Nodes that are run for every row outside (correlated subqueries, LATERAL, EXISTS): each distinct parameter is asked once, and
//! when that has cost as many calls as all rows, these are read once.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::sql::texts;
use sage_intacct_fdw_tests::tap::Answer;

/// Outer rows.
const INVOICES: u64 = 400;
/// Inner rows.
const CUSTOMERS: u64 = 300;

fn company(name: &str) -> (Company, Client) {
    let config = small().rows("ARINVOICE", INVOICES).rows("CUSTOMER", CUSTOMERS);
    let company = Company::start_with(name, config);
    company.import("arinvoice, customer");
    let mut client = company.connect();
    client
        .batch_execute(
            "SELECT whenmodified FROM arinvoice LIMIT 1;
             CREATE TABLE o AS SELECT recordno, customerid, termname, currency, totaldue, whendue, recordno % 7 AS n FROM arinvoice;
             CREATE TABLE c AS SELECT * FROM customer; ANALYZE o; ANALYZE c",
        )
        .expect("signed in, local copies");
    (company, client)
}

/// Statements that look up customers for each of 400 invoices; what decides a lookup; and calls that each takes.
const STATEMENTS: &[(&str, &str, usize)] = &[
    (
        "SELECT a.recordno, (SELECT count(*) FROM customer c WHERE c.termname = a.termname) FROM o a",
        "termname",
        2,
    ),
    (
        "SELECT a.recordno, (SELECT trim_scale(sum(c.totaldue)) FROM customer c WHERE c.termname = a.termname AND c.recordno > 5)
         FROM o a",
        "termname",
        2,
    ),
    (
        "SELECT a.recordno, (SELECT count(*) + min(c.totaldue) FROM customer c WHERE c.termname = a.currency) FROM o a",
        "currency",
        2,
    ),
    (
        "SELECT a.recordno, x.* FROM o a, LATERAL (SELECT c.status, count(*) AS n FROM customer c
         WHERE c.termname = a.termname GROUP BY c.status) x ORDER BY 1, 2",
        "termname",
        3,
    ),
    (
        "SELECT a.recordno, (SELECT trim_scale(sum(c.totaldue)) FROM customer c WHERE c.customerid = a.customerid) FROM o a",
        "customerid",
        2,
    ),
    (
        "SELECT a.recordno, (SELECT max(c.recordno) FROM customer c WHERE c.creditlimit < a.totaldue) FROM o a",
        "totaldue",
        2,
    ),
    (
        "SELECT a.recordno, (SELECT c.name FROM customer c WHERE c.customerid = a.customerid) FROM o a",
        "customerid",
        1,
    ),
    (
        "SELECT a.recordno, (SELECT c.name FROM customer c WHERE c.recordno = a.recordno % 90) FROM o a",
        "recordno % 90",
        1,
    ),
    (
        "SELECT a.recordno, (SELECT string_agg(c.customerid, ' ' ORDER BY c.recordno) FROM customer c
         WHERE c.creditlimit = a.n * 100) FROM o a",
        "n",
        1,
    ),
    (
        "SELECT a.recordno, x.* FROM o a, LATERAL (SELECT c.recordno, c.name FROM customer c WHERE c.termname = a.termname
         ORDER BY c.recordno DESC LIMIT 2) x",
        "termname",
        1,
    ),
    (
        "SELECT a.recordno, x.* FROM o a, LATERAL (SELECT c.recordno, c.name FROM customer c WHERE c.customerid = a.customerid
         ORDER BY c.recordno LIMIT 2) x",
        "customerid",
        1,
    ),
    (
        "SELECT a.recordno, x.* FROM o a, LATERAL (SELECT c.recordno FROM customer c WHERE c.termname = a.termname
         ORDER BY c.recordno OFFSET 2 LIMIT 3) x",
        "termname",
        1,
    ),
    (
        "SELECT a.recordno, x.* FROM o a, LATERAL (SELECT c.recordno FROM customer c WHERE c.recordno > a.recordno
         ORDER BY c.recordno LIMIT 1 OFFSET a.n) x",
        "(recordno, n)",
        1,
    ),
    (
        "SELECT a.recordno, x.* FROM o a, LATERAL (SELECT c.recordno, c.creditlimit FROM customer c
         WHERE c.termname = a.termname AND c.currency = a.currency ORDER BY c.creditlimit NULLS FIRST, c.recordno) x",
        "(termname, currency)",
        2,
    ),
    (
        "SELECT a.recordno FROM o a WHERE EXISTS (SELECT FROM customer c WHERE c.customerid = a.customerid
         AND c.recordno % 3 = a.recordno % 3) OR a.recordno < 0",
        "customerid",
        1,
    ),
    (
        "SELECT a.recordno, (SELECT c.recordno FROM customer c WHERE c.termname = a.termname AND c.recordno % 40 >= a.recordno % 40
         ORDER BY c.recordno LIMIT 1) FROM o a",
        "termname",
        4,
    ),
    (
        "SELECT a.recordno, (SELECT count(*) FROM (SELECT c.recordno FROM customer c WHERE c.creditlimit < a.totaldue OFFSET 0) x)
         FROM o a",
        "totaldue",
        1,
    ),
];

/// Rows as text, in their order.
fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    texts(client, sql, "|", "NULL")
}

/// The same statement on the copies.
fn on_copies(sql: &str) -> String {
    sql.replace("FROM customer c", "FROM c")
}

/// Calls for customers since the last time.
fn calls(company: &Company) -> usize {
    let log = company.gateway.log();
    log.iter()
        .filter(|entry| entry.object == "CUSTOMER")
        .map(|entry| entry.functions.len())
        .sum()
}

#[test]
fn a_lookup_is_asked_once_and_never_costs_more_than_all_rows_twice() {
    let (company, mut client) = company("recalled");
    let customers = company.rows("CUSTOMER") as usize;
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '2000')")
        .expect("an option");
    for (page, memory) in [(2000, "4MB"), (37, "64kB"), (9, "4MB"), (9, "64kB")] {
        client
            .batch_execute(&format!("ALTER SERVER acme OPTIONS (SET page_size '{page}')"))
            .expect("an option");
        client
            .batch_execute(&format!("SET work_mem = '{memory}'"))
            .expect("a setting");
        // Ranges that are read side by side may each end with a page that is not full.
        calls(&company);
        rows(&mut client, "SELECT recordno, name FROM customer");
        let pages = calls(&company);
        assert!(
            (customers.div_ceil(page)..customers.div_ceil(page) + 5).contains(&pages),
            "{pages}"
        );
        for (sql, decides, each) in STATEMENTS {
            let distinct = format!("SELECT count(DISTINCT {decides}) FROM o");
            let distinct: i64 = client.query_one(&distinct, &[]).expect("a count").get(0);
            let expected = rows(&mut client, &on_copies(sql));
            calls(&company);
            assert_eq!(rows(&mut client, sql), expected, "{memory} {page}: {sql}");
            let calls = calls(&company);
            let lookups = each * usize::try_from(distinct).expect("a number");
            // Those that take several pages of a result are in the way of the first bound.
            let several = usize::from(page < 2000) * pages;
            let most = (2 * (lookups + several).min(pages) + 3).min(lookups + several + 1 + pages);
            assert!(
                calls <= most,
                "{calls} calls for {distinct} values, {pages} pages, at most {most}: {sql}"
            );
        }
    }
}

fn explain(client: &mut Client, sql: &str) -> String {
    let sql = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}");
    rows(client, &sql).join("\n")
}

#[test]
fn explain_shows_what_was_recalled() {
    let (_company, mut client) = company("recalled_explain");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '9')")
        .expect("an option");
    let mut count = |sql: &str| -> i64 { client.query_one(sql, &[]).expect("a count").get(0) };
    let outer = count("SELECT count(termname) FROM o");
    let distinct = count("SELECT count(DISTINCT termname) FROM o");
    assert!((3..20).contains(&distinct), "{distinct}");
    let limited = "SELECT a.recordno, x.* FROM o a, LATERAL (SELECT c.recordno FROM customer c WHERE c.termname = a.termname LIMIT 1) x";
    client
        .batch_execute("SET enable_memoize = off")
        .expect("a setting");
    let plan = explain(&mut client, limited);
    // A count travels with the third lookup.
    let expected = format!(
        "Intacct Lookups: {} calls, {} from memory",
        distinct + 1,
        outer - distinct
    );
    assert!(
        plan.lines().any(|line| line.trim() == expected),
        "{expected}\n{plan}"
    );
    let plan = explain(&mut client, STATEMENTS[6].0);
    assert!(plan.contains("from memory, read whole after "), "{plan}");
    // The aggregate, and the scan of its local plan.
    let plan = explain(&mut client, STATEMENTS[4].0);
    assert_eq!(plan.matches(", read whole after ").count(), 2, "{plan}");
}

/// Joins at the gateway for each of 300 rows, and whether their rows can be told apart among all.
const JOINS: &[(&str, bool)] = &[
    (
        "SELECT a.recordno, (SELECT c.name FROM arinvoice i JOIN customer c USING (customerid) WHERE i.recordno = a.recordno) FROM a",
        true,
    ),
    (
        "SELECT a.recordno, (SELECT string_agg(i.recordno::text, ' ' ORDER BY i.recordno) FROM arinvoice i JOIN customer c USING (customerid)
         WHERE c.termname = a.termname AND i.totaldue = a.totaldue) FROM a",
        true,
    ),
    (
        "SELECT a.recordno, x.* FROM a, LATERAL (SELECT i.recordno, c.name FROM arinvoice i JOIN customer c USING (customerid)
         WHERE c.customerid = a.customerid AND i.state <> 'Paid' ORDER BY i.recordno DESC LIMIT 2) x",
        true,
    ),
    (
        "SELECT a.recordno, (SELECT count(*) FROM (SELECT i.recordno FROM arinvoice i JOIN customer c USING (customerid)
         WHERE i.whendue = a.whendue OFFSET 0) x) FROM a",
        true,
    ),
    (
        "SELECT a.recordno, (SELECT c.name FROM arinvoice i JOIN customer c USING (customerid) WHERE i.recordno > a.recordno
         ORDER BY i.recordno LIMIT 1) FROM a",
        false,
    ),
];

#[test]
fn joins_at_the_gateway_are_read_whole_where_keys_alone_find_their_rows() {
    let (company, mut client) = company("recalled_joins");
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD page_size '30');
             CREATE TABLE i AS SELECT * FROM arinvoice; CREATE TABLE a AS SELECT * FROM o WHERE recordno % 4 > 0; ANALYZE a",
        )
        .expect("copies");
    for (sql, is_found) in JOINS {
        let copies = sql.replace("arinvoice i JOIN customer c", "i JOIN c");
        let expected = rows(&mut client, &copies);
        for memory in ["4MB", "64kB"] {
            client
                .batch_execute(&format!("SET work_mem = '{memory}'"))
                .expect("a setting");
            company.gateway.log();
            assert_eq!(rows(&mut client, sql), expected, "{memory}: {sql}");
            let calls: usize = company
                .gateway
                .log()
                .iter()
                .map(|entry| entry.functions.len())
                .sum();
            // 14 pages, what proves the join beside each of them at most; the customers' names are asked for once.
            assert_eq!(calls < 120, *is_found, "{calls} calls: {sql}");
        }
        let plan = explain(&mut client, sql);
        assert_eq!(plan.contains(", read whole after "), *is_found, "{plan}");
        let mut lines = plan.lines().map(|line| line.trim().trim_start_matches("->  "));
        assert!(
            lines.any(|line| line.starts_with("Foreign Scan (")),
            "not joined at the gateway: {plan}"
        );
    }
}

#[test]
fn null_costs_no_request() {
    let (company, mut client) = company("recalled_null");
    calls(&company);
    for inner in [
        "(SELECT c.name FROM customer c WHERE c.customerid = v.k)",
        "(SELECT count(*) FROM customer c WHERE c.customerid = v.k)",
    ] {
        let sql = format!("SELECT {inner} FROM (VALUES (NULL), (NULL::text)) v(k)");
        rows(&mut client, &sql);
        assert_eq!(calls(&company), 0, "{sql}");
    }
}

/// What a cursor has not fetched is not kept as if it were all.
#[test]
fn cursors_that_stop_early_and_errors_in_the_middle_leave_nothing_wrong() {
    let (company, mut client) = company("recalled_cursor");
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD page_size '9', ADD max_retries '0'); SET work_mem = '64kB'",
        )
        .expect("an option");
    for (sql, ..) in STATEMENTS.iter().skip(4) {
        let expected = rows(&mut client, &on_copies(sql));
        client
            .batch_execute(&format!("BEGIN; DECLARE p NO SCROLL CURSOR FOR {sql}"))
            .expect("a cursor");
        assert_eq!(rows(&mut client, "FETCH 5 FROM p"), expected[..5], "{sql}");
        client.batch_execute("SAVEPOINT s").expect("a savepoint");
        assert_eq!(rows(&mut client, "FETCH 60 FROM p"), expected[5..65], "{sql}");
        client.batch_execute("ROLLBACK TO s").expect("the savepoint");
        assert_eq!(rows(&mut client, "FETCH ALL FROM p"), expected[65..], "{sql}");
        client
            .batch_execute(&format!(
                "CLOSE p; DECLARE p CURSOR FOR {sql}; FETCH 100 FROM p; ROLLBACK"
            ))
            .expect("an end");
    }
    let sql = STATEMENTS[6].0;
    let expected = rows(&mut client, &on_copies(sql));
    for good in [1, 3, 8, 20] {
        let count = std::sync::atomic::AtomicUsize::new(0);
        company.gateway.tap.rule(move |_| {
            match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < good {
                true => Answer::Pass,
                false => Answer::Body(b"<html>no gateway</html>".to_vec()),
            }
        });
        client.simple_query(sql).expect_err("no gateway");
        company.gateway.tap.pass();
        assert_eq!(rows(&mut client, sql), expected);
    }
}

/// Rescans with the same parameters, and parameters of a statement that stay what they are.
#[test]
fn constant_parameters_narrow_what_is_read() {
    let (company, mut client) = company("recalled_constant");
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD page_size '9'); SET plan_cache_mode = force_generic_plan;
             PREPARE s (bigint) AS SELECT a.recordno, (SELECT c.name FROM customer c WHERE c.customerid = a.customerid
               AND c.recordno < $1) FROM o a;
             PREPARE l (bigint) AS SELECT a.recordno, (SELECT c.name FROM c WHERE c.customerid = a.customerid
               AND c.recordno < $1) FROM o a",
        )
        .expect("plans");
    for (most, pages) in [(30, 4), (100, 12), (0, 1)] {
        calls(&company);
        let got = rows(&mut client, &format!("EXECUTE s ({most})"));
        let spent = calls(&company);
        assert_eq!(got, rows(&mut client, &format!("EXECUTE l ({most})")));
        assert!(spent <= 2 * pages + 3, "{spent} calls for {pages} pages");
    }
}

/// An answer that is wanted in larger and larger parts is read on behind its last row, in each part of an order.
#[test]
fn what_is_wanted_in_larger_parts_comes_once() {
    let (company, mut client) = company("recalled_parts");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '9'); SET enable_memoize = off")
        .expect("an option");
    let key = "(SELECT termname AS t FROM c GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1) k";
    let of_key: i64 = client
        .query_one(
            &format!("SELECT count(*) FROM c, {key} WHERE c.termname = t"),
            &[],
        )
        .expect("a count")
        .get(0);
    for (order, memory) in [
        ("c.recordno", "4MB"),
        ("c.recordno DESC", "64kB"),
        ("c.creditlimit, c.recordno", "64kB"),
        ("c.creditlimit DESC, c.recordno DESC", "4MB"),
    ] {
        client
            .batch_execute(&format!("SET work_mem = '{memory}'"))
            .expect("a setting");
        let sql = format!(
            "SELECT n, (SELECT string_agg(x.recordno::text, ' ') FROM (SELECT c.recordno FROM customer c WHERE c.termname = t
             AND c.recordno % 7 <> n % 7 ORDER BY {order} LIMIT n) x) FROM {key}, generate_series(1, {of_key}) n"
        );
        let expected = rows(&mut client, &on_copies(&sql));
        company.gateway.log();
        assert_eq!(rows(&mut client, &sql), expected, "{sql}");
        let log = company.gateway.log();
        let customers = log.iter().filter(|entry| entry.object == "CUSTOMER");
        let received: usize = customers.map(|entry| entry.rows).sum();
        // One more shows how many there are in all.
        assert!(
            received <= of_key as usize + 1,
            "{received} rows of {of_key}: {sql}"
        );
    }
}
