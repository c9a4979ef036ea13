//! Lookup joins: the answers are those of PostgreSQL's own joins, and the requests are lists of keys.

use postgres::Client;
use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::sql::texts;
use sage_intacct_fdw_tests::tap::Answer;
use std::thread;

/// A local table with keys that match, keys that do not, NULLs, and keys that come again.
const SETUP: &str = "
    CREATE TABLE l (id int PRIMARY KEY, k bigint, small int, t text, d date, num numeric, n numeric, g int);
    INSERT INTO l SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE i % 70 * 7 END, i % 60,
        CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN 'none' WHEN 2 THEN '' WHEN 3 THEN ' C-00002' ELSE 'C-' || lpad((i % 40)::text, 5, '0') END,
        date '2024-01-01' + i % 500, CASE WHEN i % 5 = 0 THEN i + 0.5 WHEN i % 11 = 0 THEN 'NaN' ELSE i % 80 END, i * 3, i % 4
        FROM generate_series(1, 150) i;
    ANALYZE l;
    SET sage_intacct.push_lookups = on;
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;";

/// A company, and a session in which joins are lookups wherever they can be.
fn company(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    company.import("arinvoice, customer, glbatch");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '40')")
        .expect("an option");
    client.batch_execute(SETUP).expect("a local table");
    (company, client)
}

/// Rows as text.
fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    texts(client, sql, "|", "NULL")
}

fn plan(client: &mut Client, sql: &str) -> String {
    rows(client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n")
}

/// Each kind of join and of key. An answer in an order is compared in it.
const STATEMENTS: &[&str] = &[
    "SELECT l.id, a.recordid, a.totaldue FROM l JOIN arinvoice a ON a.recordno = l.k",
    "SELECT l.id, a FROM l JOIN arinvoice a ON a.recordno = l.k WHERE a.totaldue > 100",
    "SELECT l, c.name FROM l JOIN customer c ON c.customerid = l.t",
    "SELECT count(*), sum(a.totaldue) FROM l JOIN arinvoice a ON l.k = a.recordno AND a.totaldue > l.n",
    "SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.recordno = l.small",
    "SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.recordno = l.num",
    "SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.recordno = l.k + 1",
    "SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.customerid = l.t AND a.whendue = l.d",
    "SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.whendue = l.d",
    "SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.whenmodified::date = l.d",
    "SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.customerid = l.t",
    "SELECT l.id, a.recordid, a.recordno IS NULL FROM l LEFT JOIN arinvoice a ON a.recordno = l.k",
    "SELECT l.id, a FROM l LEFT JOIN arinvoice a ON a.recordno = l.k AND a.totaldue > l.n",
    "SELECT l.id, a.recordno FROM l LEFT JOIN arinvoice a ON a.recordno = l.k AND l.g = 2",
    "SELECT l.id, a.recordno FROM l LEFT JOIN arinvoice a ON a.recordno = l.k WHERE a.totaldue IS NULL OR a.totaldue < l.n",
    "SELECT l.id, a.recordid || '!' FROM l LEFT JOIN arinvoice a ON a.recordno = l.k WHERE coalesce(a.state, 'none') <> 'Paid'",
    "SELECT l.id, a.recordno, c.name FROM l LEFT JOIN arinvoice a ON a.recordno = l.k LEFT JOIN customer c ON c.customerid = a.customerid",
    "SELECT l.id, a.recordno, b.recordno FROM l LEFT JOIN (arinvoice a JOIN glbatch b ON b.recordno = a.recordno) ON a.recordno = l.k",
    "SELECT l.id, c.name, a.recordno FROM l LEFT JOIN customer c ON c.customerid = l.t LEFT JOIN arinvoice a ON a.recordno = l.k AND a.customerid = c.customerid",
    "SELECT l.id FROM l WHERE EXISTS (SELECT FROM arinvoice a WHERE a.recordno = l.k)",
    "SELECT l.id FROM l WHERE EXISTS (SELECT FROM arinvoice a WHERE a.recordno = l.k AND a.totaldue > l.n)",
    "SELECT l.id FROM l WHERE l.t IN (SELECT customerid FROM customer WHERE recordno > 5)",
    "SELECT l.id FROM l WHERE NOT EXISTS (SELECT FROM arinvoice a WHERE a.recordno = l.k)",
    "SELECT l.id FROM l WHERE NOT EXISTS (SELECT FROM arinvoice a WHERE a.recordno = l.k AND a.totaldue > l.n)",
    "SELECT l.id, c.name FROM l LEFT JOIN customer c ON c.customerid = l.t WHERE c.customerid IS NULL",
    "SELECT recordno, totaldue FROM arinvoice WHERE recordno IN (SELECT k FROM l)",
    "SELECT recordno FROM arinvoice WHERE customerid IN (SELECT t FROM l WHERE g < 3) AND recordno > 20",
    "SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.recordno = l.k ORDER BY l.id, a.recordno",
    "SELECT l.g, count(*), max(a.totaldue) FROM l JOIN arinvoice a ON a.recordno = l.k GROUP BY l.g",
    "SELECT i, a.recordid FROM generate_series(1, 50) i JOIN arinvoice a ON a.recordno = i",
    "WITH w AS MATERIALIZED (SELECT k, g FROM l WHERE id < 100) SELECT w.g, a.recordid FROM w JOIN arinvoice a ON a.recordno = w.k",
    "SELECT v.k, c.name FROM (VALUES ('C-00001'), ('C-00002'), (NULL), ('x')) v(k) LEFT JOIN customer c ON c.customerid = v.k",
    "SELECT c.name, b.recordno FROM customer c JOIN glbatch b ON b.recordno = c.recordno",
    "SELECT o.id, x.s FROM l o, LATERAL (SELECT sum(a.totaldue) AS s FROM l JOIN arinvoice a ON a.recordno = l.k WHERE l.g = o.g) x WHERE o.id < 9",
    "SELECT o.id, (SELECT count(*) FROM l JOIN arinvoice a ON a.recordno = l.k WHERE a.totaldue > o.n) FROM l o WHERE o.id < 6",
    "SELECT o.id, (SELECT count(*) FROM l JOIN arinvoice a ON a.recordno = l.k + o.id) FROM l o WHERE o.id < 5",
    "SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.recordno = l.k AND (SELECT max(id) FROM l) > a.recordno + l.id",
    "SELECT x.id, x.recordno, b.batchno FROM (SELECT l.id, a.recordno FROM l JOIN arinvoice a ON a.recordno = l.k) x JOIN glbatch b ON b.recordno = x.recordno",
];

/// Runs statements as lookups under some settings, and compares with PostgreSQL's own joins.
fn agree<'a>(client: &mut Client, settings: &str, statements: impl Iterator<Item = &'a &'static str>) {
    for sql in statements {
        client
            .batch_execute("BEGIN; SET LOCAL sage_intacct.push_lookups = off;")
            .expect("a setting");
        let mut expected = rows(client, sql);
        client
            .batch_execute(&format!("ROLLBACK; BEGIN; {settings}"))
            .expect("settings");
        let plan = plan(client, sql);
        assert!(plan.contains("Intacct Lookup Join"), "{sql}\n{plan}");
        let mut got = rows(client, sql);
        client.batch_execute("ROLLBACK").expect("an end");
        if !sql.contains("ORDER BY") {
            expected.sort();
            got.sort();
        }
        let missing: Vec<_> = expected.iter().filter(|row| !got.contains(row)).take(3).collect();
        let added: Vec<_> = got.iter().filter(|row| !expected.contains(row)).take(3).collect();
        let (many, wanted) = (got.len(), expected.len());
        assert!(
            got == expected,
            "{settings} {sql}\n{many} rows for {wanted}, missing {missing:?}, added {added:?}\n{plan}"
        );
    }
}

#[test]
fn lookups_answer_as_other_joins_do() {
    let (_company, mut client) = company("lookups");
    agree(&mut client, "", STATEMENTS.iter());
}

#[test]
fn lookups_by_small_lists_in_little_memory_answer_as_other_joins_do() {
    let (_company, mut client) = company("lookups_small");
    let settings = "SET LOCAL sage_intacct.lookup_batch = 3; SET LOCAL work_mem = '64kB'";
    agree(&mut client, settings, STATEMENTS.iter().step_by(2));
    let settings = "SET LOCAL sage_intacct.lookup_batch = 1; SET LOCAL work_mem = '64kB'";
    agree(&mut client, settings, STATEMENTS.iter().skip(1).step_by(4));
}

/// Requests since the last call.
fn requests(company: &Company) -> usize {
    let count = company.gateway.tap.requests().len();
    company.gateway.tap.forget();
    count
}

#[test]
fn lists_are_asked_until_they_cost_as_much_as_the_table() {
    let (company, mut client) = company("lookups_whole");
    // Signed in.
    rows(&mut client, "SELECT recordno FROM arinvoice LIMIT 1");
    let pages = (company.rows("ARINVOICE") as usize).div_ceil(40);
    assert!((6..20).contains(&pages), "{pages}");
    requests(&company);
    let sql = "SELECT count(*), count(a.recordno) FROM generate_series(1, 2000) i LEFT JOIN arinvoice a ON a.recordno = i";
    // One list, and the pages of what it brings.
    let all = rows(&mut client, sql);
    let bound = 2 + 2 * pages;
    assert!(requests(&company) <= bound);
    // 2,000 lists, were it not for the count that travels with the third.
    client
        .batch_execute("SET sage_intacct.lookup_batch = 1")
        .expect("a setting");
    assert_eq!(rows(&mut client, sql), all);
    let asked = requests(&company);
    assert!(
        (pages..=2 * pages + 3).contains(&asked),
        "{asked} for {pages} pages"
    );
}

#[test]
fn a_limit_sizes_the_first_list() {
    let (company, mut client) = company("lookups_limit");
    rows(&mut client, "SELECT recordno FROM arinvoice LIMIT 1");
    requests(&company);
    let sql = "FROM (SELECT recordno AS k FROM arinvoice WHERE recordno > 0 OFFSET 0) l JOIN arinvoice a ON a.recordno = l.k LIMIT 5";
    client
        .batch_execute("CREATE TABLE keys AS SELECT recordno AS k FROM arinvoice; ANALYZE keys")
        .expect("a local table");
    requests(&company);
    let sql = sql.replace(
        "(SELECT recordno AS k FROM arinvoice WHERE recordno > 0 OFFSET 0) l",
        "keys l",
    );
    assert_eq!(rows(&mut client, &format!("SELECT a.recordid {sql}")).len(), 5);
    let asked = company.gateway.tap.requests();
    assert_eq!(requests(&company), 1);
    assert_eq!(asked[0].matches("<value>").count(), 5, "{}", asked[0]);
    // A row that the join drops makes the next list ten times as long.
    let none = sql.replace("l.k LIMIT", "l.k AND a.recordid = 'none' LIMIT");
    assert_eq!(rows(&mut client, &format!("SELECT a.recordid {none}")).len(), 0);
    let asked = requests(&company);
    assert!((2..=4).contains(&asked), "{asked}");
    // The limit of a prepared statement is known when it runs.
    let prepared = sql.replace("LIMIT 5", "LIMIT $1");
    client
        .batch_execute(&format!(
            "SET plan_cache_mode = force_generic_plan; PREPARE s (int) AS SELECT a.recordid {prepared}"
        ))
        .expect("a plan");
    for wanted in [1, 3, 7] {
        assert_eq!(rows(&mut client, &format!("EXECUTE s ({wanted})")).len(), wanted);
        let asked = company.gateway.tap.requests();
        assert_eq!(requests(&company), 1);
        let keys = asked[0].matches("<value>").count();
        assert_eq!(keys, wanted, "{}", asked[0]);
    }
}

#[test]
fn keys_are_asked_once() {
    let (company, mut client) = company("lookups_known");
    rows(&mut client, "SELECT recordno FROM arinvoice LIMIT 1");
    requests(&company);
    let sql = "SELECT i, a.recordid FROM generate_series(1, 20000) i LEFT JOIN arinvoice a ON a.recordno = i % 10 * 5";
    assert_eq!(rows(&mut client, sql).len(), 20_000);
    assert_eq!(requests(&company), 1);
    // Again and again by rescans, as long as the inner side reads the same.
    let sql = "SELECT o, x.n FROM generate_series(1, 20) o,
               LATERAL (SELECT count(*) AS n FROM l JOIN arinvoice a ON a.recordno = l.small WHERE l.id > o) x";
    assert!(plan(&mut client, sql).contains("Intacct Lookup Join"));
    assert_eq!(rows(&mut client, sql).len(), 20);
    assert!(requests(&company) <= 2);
    let plan = rows(
        &mut client,
        &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}"),
    )
    .join("\n");
    assert!(plan.contains("Intacct Lookup Lists: 1"), "{plan}");
    assert!(plan.contains("Intacct Lookup Rows from Memory: "), "{plan}");
}

/// Empty texts, texts that the gateway may trim, numbers that no row has: none of them reads the table.
#[test]
fn unrepresentable_keys_cost_no_full_read() {
    let (company, mut client) = company("lookups_odd");
    rows(&mut client, "SELECT recordno FROM arinvoice LIMIT 1");
    requests(&company);
    for (sql, asked) in [
        (
            "SELECT c.name FROM (VALUES (''), (NULL)) v(k) JOIN customer c ON c.customerid = v.k",
            0,
        ),
        (
            "SELECT c.name FROM (VALUES ('C-00002 '), (' C-00003'), (E'C\t1'), ('C-00004')) v(k) JOIN customer c ON c.customerid = v.k",
            1,
        ),
        (
            "SELECT a.recordid FROM (VALUES ('NaN'::numeric), (2.5), (1e30)) v(k) JOIN arinvoice a ON a.recordno = v.k",
            0,
        ),
    ] {
        assert!(plan(&mut client, sql).contains("Intacct Lookup Join"), "{sql}");
        let got = rows(&mut client, sql);
        assert_eq!(requests(&company), asked, "{sql}");
        client
            .batch_execute("SET sage_intacct.push_lookups = off")
            .expect("a setting");
        assert_eq!(rows(&mut client, sql), got, "{sql}");
        client
            .batch_execute("SET sage_intacct.push_lookups = on")
            .expect("a setting");
        requests(&company);
    }
}

/// Keys, and rows, that outgrow `work_mem` are in a temporary file: they are asked for once all the same, and a table of any size
/// is read when lists have cost as much.
#[test]
fn keys_that_outgrow_the_memory_are_asked_once() {
    let config = small().rows("ARINVOICE", 3000);
    let company = Company::start_with("lookups_outgrown", config);
    company.import("arinvoice");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD page_size '50');
             CREATE TABLE c AS SELECT recordno, recordid, totaldue FROM arinvoice; ANALYZE c;
             CREATE TABLE k AS SELECT i, i % 4000 AS n, 'INV-' || i % 4000 AS absent, recordid
               FROM generate_series(1, 12000) i LEFT JOIN c ON recordno = i % 4000; ANALYZE k;
             SET work_mem = '64kB'; SET sage_intacct.push_lookups = on; SET jit = off;
             SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off",
        )
        .expect("tables");
    let pages = 3000 / 50;
    for (on, matches, keys) in [
        ("a.recordno = k.n", 2999, 4000),
        ("a.recordid = k.recordid", 2999, 2999),
        ("a.recordid = k.absent AND a.recordno > 0", 0, 4000),
        ("a.recordno = k.n AND a.recordid = k.recordid", 2999, 2999),
    ] {
        for (join, shown) in [("LEFT JOIN", ", a.recordid"), ("JOIN", ", a.totaldue")] {
            for batch in [1000, 20] {
                client
                    .batch_execute(&format!("SET sage_intacct.lookup_batch = {batch}"))
                    .expect("a setting");
                let sql = format!("SELECT k.i{shown} FROM k {join} arinvoice a ON {on} ORDER BY 1, 2");
                let shows = plan(&mut client, &sql);
                assert!(shows.contains("Intacct Lookup Join"), "{shows}");
                let local = sql.replace("arinvoice a", "c a");
                client.batch_execute("RESET enable_hashjoin").expect("a setting");
                let expected = rows(&mut client, &local);
                client
                    .batch_execute("SET enable_hashjoin = off")
                    .expect("a setting");
                requests(&company);
                assert!(rows(&mut client, &sql) == expected, "{batch} {sql}");
                let asked = requests(&company);
                let lists = usize::div_ceil(keys, batch);
                // A page repeats the last row of the one before it.
                let most = 2 * (lists + usize::div_ceil(matches, 49)).min(pages + 2) + 3;
                assert!(asked <= most, "{asked} requests, at most {most}: {batch} {sql}");
            }
        }
    }
}

/// Lists of keys travel side by side, as many as the server takes requests, and as soon as a table turns out small they stop.
#[test]
fn lists_travel_side_by_side() {
    let company = Company::start_with("lookups_at_once", small().rows("ARINVOICE", 3000));
    company.import("arinvoice");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD max_concurrency '4', ADD page_size '30'); ANALYZE arinvoice;
             CREATE TABLE c AS SELECT recordno, recordid FROM arinvoice;
             CREATE TABLE k AS SELECT i, recordno, recordid FROM generate_series(1, 300) i JOIN c ON recordno = i * 7; ANALYZE k;
             SET sage_intacct.push_lookups = on; SET sage_intacct.lookup_batch = 25; SET jit = off;
             SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off",
        )
        .expect("tables");
    // Signed in, with the user's preferences known.
    rows(&mut client, "SELECT totaldue FROM arinvoice WHERE recordno = 1");
    for (sql, at_once) in [
        // Three lists, and the count that travels with the third.
        (
            "SELECT k.i, a.recordid FROM k JOIN arinvoice a ON a.recordno = k.recordno ORDER BY 1",
            4,
        ),
        (
            "SELECT k.i, a.recordno FROM k LEFT JOIN arinvoice a ON a.recordid = k.recordid ORDER BY 1",
            4,
        ),
        (
            "SELECT k.i FROM k WHERE NOT EXISTS (SELECT FROM arinvoice a WHERE a.recordno = k.recordno + 1) ORDER BY 1",
            4,
        ),
        // The first may be enough.
        (
            "SELECT k.i, a.recordid FROM k JOIN arinvoice a ON a.recordno = k.recordno LIMIT 290",
            1,
        ),
    ] {
        assert!(plan(&mut client, sql).contains("Intacct Lookup Join"), "{sql}");
        company.gateway.tap.rule(|_| Answer::Stall);
        let pid = cluster::backend(&mut client);
        let running = thread::spawn(move || {
            let code = client
                .simple_query(sql)
                .err()
                .and_then(|error| error.code().cloned());
            (client, code)
        });
        company.gateway.tap.wait_for_stalled(at_once);
        company.cancel(pid);
        let (back, code) = running.join().expect("it ends");
        client = back;
        assert_eq!(code, Some(SqlState::QUERY_CANCELED));
        company.gateway.tap.wait_for_stalled(0);
        company.gateway.tap.pass();
        let expected = rows(&mut client, &sql.replace("arinvoice a", "c a"));
        let got = rows(&mut client, sql);
        match sql.contains("LIMIT") {
            true => assert_eq!(got.len(), expected.len()),
            false => assert!(got == expected, "{sql}"),
        }
    }
}
