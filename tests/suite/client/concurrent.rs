//! Scans below an Append are read at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use postgres::Client;
use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

/// Servers beside each other: for the extension each is a company of its own.
const SERVERS: usize = 4;

/// A company seen through four servers, each with tables `customer` and `vendor` in a schema of its name (`c1` …),
/// and `customer_all`, partitioned by company.
fn companies(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    let mut client = company.connect();
    let mut statements = String::from("SET statement_timeout = '120s';");
    for number in 1..=SERVERS {
        let server = Company::another_server(&company.gateway, &format!("c{number}"), "apiuser", "");
        statements += &format!(
            "{server}
             CREATE SCHEMA c{number};
             CREATE FOREIGN TABLE c{number}.customer
               (company text OPTIONS (constant 'c{number}') NOT NULL, recordno bigint OPTIONS (type 'INTEGER') NOT NULL,
                name text OPTIONS (type 'TEXT'))
               SERVER c{number} OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE c{number}.vendor (recordno bigint OPTIONS (type 'INTEGER'))
               SERVER c{number} OPTIONS (object 'VENDOR');"
        );
    }
    statements +=
        "CREATE TABLE customer_all (company text, recordno bigint, name text) PARTITION BY LIST (company);";
    for number in 1..=SERVERS {
        statements += &format!(
            "ALTER TABLE customer_all ATTACH PARTITION c{number}.customer FOR VALUES IN ('c{number}');"
        );
    }
    client.batch_execute(&statements).expect("four companies");
    (company, client)
}

fn plan(client: &mut Client, sql: &str) -> String {
    client
        .query(&format!("EXPLAIN (COSTS OFF) {sql}"), &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .iter()
        .map(|row| format!("{}\n", row.get::<_, &str>(0)))
        .collect()
}

#[track_caller]
fn number(client: &mut Client, sql: &str) -> i64 {
    client
        .query_one(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .get(0)
}

fn asynchronous(plan: &str) -> usize {
    plan.matches("Async Foreign Scan").count()
}

#[test]
fn four_companies_are_asked_at_the_same_time() {
    let (company, mut client) = companies("concurrent_four");
    // Nobody is answered before all four have asked: read one after another, they would wait for ever.
    let all_four = Arc::new(Barrier::new(SERVERS));
    company.gateway.tap.rule(move |xml| {
        if xml.contains("<query>") {
            all_four.wait();
        }
        Answer::Pass
    });
    let counts = client
        .query(
            "SELECT company, count(*) FROM customer_all GROUP BY company ORDER BY company",
            &[],
        )
        .expect("rows");
    let expected = company.rows("CUSTOMER");
    assert_eq!(counts.len(), SERVERS);
    for row in counts {
        assert_eq!(row.get::<_, i64>(1), expected);
    }
}

#[test]
fn plans_say_which_scans_are_asynchronous() {
    let (_company, mut client) = companies("concurrent_plans");
    let mut shown = |sql: &str| asynchronous(&plan(&mut client, sql));
    assert_eq!(shown("SELECT * FROM customer_all"), SERVERS);
    assert_eq!(shown("SELECT * FROM customer_all WHERE recordno > 7"), SERVERS);
    assert_eq!(shown("SELECT sum(recordno) FROM customer_all"), SERVERS);
    assert_eq!(
        shown("SELECT * FROM customer_all WHERE company IN ('c1', 'c2')"),
        2
    );
    assert_eq!(
        shown("SELECT recordno FROM c1.customer UNION ALL SELECT recordno FROM c1.vendor"),
        2,
        "two objects of one server"
    );
    // All companies are read for the first ten in an order that the partitions do not promise together.
    assert_eq!(
        shown("SELECT * FROM customer_all ORDER BY name LIMIT 10"),
        SERVERS
    );
    // One page of the first company may well be enough.
    assert_eq!(shown("SELECT * FROM customer_all LIMIT 10"), 0);
    assert_eq!(shown("SELECT EXISTS (SELECT FROM customer_all)"), 0);
    assert_eq!(shown("SELECT * FROM customer_all LIMIT 100000"), SERVERS);
    assert_eq!(
        shown("SELECT * FROM customer_all WHERE company = 'c1'"),
        0,
        "one is no Append"
    );
    assert_eq!(shown("SELECT * FROM c1.customer"), 0);
}

#[test]
fn options_switch_it_off() {
    let (_company, mut client) = companies("concurrent_off");
    client
        .batch_execute(
            "ALTER SERVER c1 OPTIONS (ADD async_capable 'off');
             ALTER SERVER c2 OPTIONS (ADD async_capable 'off');
             ALTER FOREIGN TABLE c2.customer OPTIONS (ADD async_capable 'on');
             ALTER FOREIGN TABLE c3.customer OPTIONS (ADD async_capable 'off')",
        )
        .expect("options");
    let all = plan(&mut client, "SELECT * FROM customer_all");
    assert_eq!(asynchronous(&all), 2, "{all}");
    let async_of = |table: &str| all.contains(&format!("Async Foreign Scan on {table}"));
    assert!(
        async_of("customer customer_all_2") && async_of("customer customer_all_4"),
        "{all}"
    );
    client
        .batch_execute("SET enable_async_append = off")
        .expect("SET");
    let all = plan(&mut client, "SELECT * FROM customer_all");
    assert_eq!(asynchronous(&all), 0, "{all}");
}

#[test]
fn scans_by_join_keys_are_read_one_after_another() {
    let (company, mut client) = companies("concurrent_keys");
    client
        .batch_execute(
            "CREATE TABLE wanted (recordno bigint); INSERT INTO wanted VALUES (3), (5); ANALYZE wanted;
             SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off",
        )
        .expect("a table of two rows");
    let sql = "SELECT count(*) FROM wanted JOIN customer_all USING (recordno)";
    let keyed = plan(&mut client, sql);
    assert!(
        keyed.contains("Nested Loop") && keyed.contains("RECORDNO = $1"),
        "{keyed}"
    );
    assert_eq!(asynchronous(&keyed), 0, "{keyed}");
    let matching = company
        .gateway
        .truth("SELECT RECORDNO FROM CUSTOMER WHERE RECORDNO IN (3, 5) AND MEGAENTITYKEY IS NULL");
    assert_eq!(
        number(&mut client, sql),
        (matching.len() * SERVERS) as i64,
        "{keyed}"
    );
}

#[test]
fn children_of_one_server_share_its_concurrency() {
    let (company, mut client) = companies("concurrent_budget");
    client
        .batch_execute("ALTER SERVER c1 OPTIONS (ADD max_concurrency '1', ADD page_size '10')")
        .expect("options");
    let inside = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (entering, highest) = (inside, most.clone());
    company.gateway.tap.rule(move |_| {
        // The answer is edited (not at all) on its way out, so this request is inside until then.
        let now = entering.fetch_add(1, Ordering::SeqCst) + 1;
        highest.fetch_max(now, Ordering::SeqCst);
        let leaving = entering.clone();
        Answer::Edit(Box::new(move |body| {
            leaving.fetch_sub(1, Ordering::SeqCst);
            body
        }))
    });
    let sql = "SELECT count(*) FROM (SELECT recordno FROM c1.customer UNION ALL SELECT recordno FROM c1.vendor) AS s";
    assert_eq!(asynchronous(&plan(&mut client, sql)), 2);
    assert_eq!(
        number(&mut client, sql),
        company.rows("CUSTOMER") + company.rows("VENDOR")
    );
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[test]
fn many_pages_and_local_conditions_and_local_partitions() {
    let (company, mut client) = companies("concurrent_pages");
    client
        .batch_execute(
            "ALTER SERVER c1 OPTIONS (ADD page_size '7');
             ALTER SERVER c2 OPTIONS (ADD page_size '50');
             CREATE TABLE here PARTITION OF customer_all FOR VALUES IN ('here');
             INSERT INTO here SELECT 'here', n, 'local ' || n FROM generate_series(1, 1000) AS n",
        )
        .expect("pages of several sizes, and a table of our own");
    let sql = "SELECT * FROM customer_all WHERE recordno % 10 = 3";
    let shown = plan(&mut client, sql);
    assert!(
        asynchronous(&shown) == SERVERS && shown.contains("Seq Scan on here"),
        "{shown}"
    );
    let matching = company
        .gateway
        .truth("SELECT 1 FROM CUSTOMER WHERE RECORDNO % 10 = 3 AND MEGAENTITYKEY IS NULL")
        .len();
    assert!(matching > 0);
    assert_eq!(
        number(&mut client, &format!("SELECT count(*) FROM ({sql}) AS s")),
        (matching * SERVERS) as i64 + 100
    );
    let distinct = "SELECT count(DISTINCT (company, recordno)) FROM customer_all WHERE company <> 'here'";
    assert_eq!(
        number(&mut client, distinct),
        company.rows("CUSTOMER") * SERVERS as i64
    );
}

#[test]
fn rescans_start_over() {
    let (company, mut client) = companies("concurrent_rescan");
    client
        .batch_execute(
            "ALTER SERVER c1 OPTIONS (ADD page_size '7');
             SET enable_material = off; SET enable_memoize = off; SET enable_hashjoin = off; SET enable_mergejoin = off",
        )
        .expect("settings");
    let rows = company.rows("CUSTOMER") * SERVERS as i64;
    // The same rows three times.
    let same = "SELECT count(*) FROM generate_series(1, 3) AS g,
                LATERAL (SELECT * FROM customer_all OFFSET 0) AS s";
    assert_eq!(asynchronous(&plan(&mut client, same)), SERVERS);
    assert_eq!(number(&mut client, same), 3 * rows);
    // Other rows each time.
    let other = "SELECT g, (SELECT count(*) FROM customer_all WHERE recordno <= g) FROM generate_series(5, 15, 5) AS g";
    assert_eq!(asynchronous(&plan(&mut client, other)), SERVERS);
    for row in client.query(other, &[]).expect("counts") {
        let bound: i32 = row.get(0);
        let matching = company.gateway.truth(&format!(
            "SELECT 1 FROM CUSTOMER WHERE RECORDNO <= {bound} AND MEGAENTITYKEY IS NULL"
        ));
        assert_eq!(
            row.get::<_, i64>(1),
            (matching.len() * SERVERS) as i64,
            "up to {bound}"
        );
    }
    // One that was left in the middle.
    let limited = "SELECT count(*) FROM generate_series(1, 3) AS g, LATERAL (SELECT * FROM customer_all OFFSET 2 LIMIT 2100) AS s";
    assert_eq!(number(&mut client, limited), 3 * (rows - 2).min(2100));
}

#[test]
fn a_limit_above_ends_all_of_them() {
    let (company, mut client) = companies("concurrent_limit");
    client
        .batch_execute(
            "ALTER SERVER c1 OPTIONS (ADD page_size '5'); ALTER SERVER c2 OPTIONS (ADD page_size '5');
             ALTER SERVER c3 OPTIONS (ADD page_size '5'); ALTER SERVER c4 OPTIONS (ADD page_size '5')",
        )
        .expect("options");
    let sql = "SELECT count(*) FROM (SELECT * FROM customer_all LIMIT 23) AS s";
    let shown = plan(&mut client, sql);
    assert_eq!(asynchronous(&shown), SERVERS, "{shown}");
    for _ in 0..20 {
        assert_eq!(number(&mut client, sql), 23);
    }
    client
        .batch_execute(
            "BEGIN; DECLARE c CURSOR FOR SELECT * FROM customer_all; FETCH 9 FROM c; CLOSE c; COMMIT",
        )
        .expect("a cursor that is left");
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM customer_all"),
        company.rows("CUSTOMER") * SERVERS as i64
    );
}

#[test]
fn an_error_of_one_ends_the_statement_and_nothing_else() {
    let (company, mut client) = companies("concurrent_error");
    client
        .batch_execute(
            "ALTER FOREIGN TABLE c3.customer ALTER COLUMN name OPTIONS (ADD field 'NO_SUCH_FIELD')",
        )
        .expect("an option");
    let error = client
        .query("SELECT * FROM customer_all", &[])
        .expect_err("one company has no such field");
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_COLUMN), "{error:?}");
    // In a subtransaction, with the others still under way.
    client
        .batch_execute(
            "DO $$ BEGIN PERFORM * FROM customer_all; EXCEPTION WHEN undefined_column THEN NULL; END $$",
        )
        .expect("the exception is caught");
    assert_eq!(
        number(&mut client, "SELECT count(recordno) FROM customer_all"),
        company.rows("CUSTOMER") * SERVERS as i64
    );
}

#[test]
fn cancel_ends_the_wait_of_an_append() {
    let (company, mut client) = companies("concurrent_cancel");
    assert!(
        number(&mut client, "SELECT count(*) FROM customer_all") > 0,
        "signed in everywhere"
    );
    company.gateway.tap.rule(|xml| {
        if xml.contains("<query>") {
            Answer::Stall
        } else {
            Answer::Pass
        }
    });
    let pid = cluster::backend(&mut client);
    let running = std::thread::spawn(move || {
        let code = client
            .simple_query("SELECT count(*) FROM customer_all")
            .err()
            .and_then(|error| error.code().cloned());
        (client, code)
    });
    company.gateway.tap.wait_for_stalled(SERVERS);
    company.cancel(pid);
    let (mut client, code) = running.join().expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
    // Nobody waits for the answers any more.
    company.gateway.tap.wait_for_stalled(0);
    company.gateway.tap.pass();
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM customer_all"),
        company.rows("CUSTOMER") * SERVERS as i64
    );
}

#[test]
fn explain_analyze_counts_each_scan() {
    let (company, mut client) = companies("concurrent_explain");
    let shown: String = client
        .query("EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM customer_all", &[])
        .expect("a plan")
        .iter()
        .map(|row| format!("{}\n", row.get::<_, &str>(0)))
        .collect();
    let rows = company.rows("CUSTOMER");
    assert_eq!(
        shown.matches(&format!("Intacct Rows Received: {rows}\n")).count(),
        SERVERS,
        "{shown}"
    );
    assert_eq!(shown.matches("Intacct Pages: 1\n").count(), SERVERS, "{shown}");
    assert_eq!(
        shown.matches("Intacct Wait Time: 0.000 ms").count(),
        0,
        "the time without rows is shown: {shown}"
    );
}

#[test]
fn aggregates_of_several_companies_are_asked_at_the_same_time() {
    let (company, mut client) = companies("concurrent_aggregates");
    let branch = |number: usize| {
        format!(
            "SELECT 'c{number}' AS company, count(*) AS n, max(recordno) AS last FROM c{number}.customer WHERE recordno > 0"
        )
    };
    let sql = [1, 2, 3, 4].map(branch).join(" UNION ALL ");
    let shown = plan(&mut client, &sql);
    assert!(
        asynchronous(&shown) == SERVERS && shown.matches("max(RECORDNO)").count() == SERVERS,
        "{shown}"
    );
    // Each asks for its groups and for their number of rows, both at once.
    let all = Arc::new(Barrier::new(SERVERS));
    company.gateway.tap.rule(move |xml| {
        if xml.contains("<max>") {
            all.wait();
        }
        Answer::Pass
    });
    let expected = company.rows("CUSTOMER");
    let rows = client.query(&sql, &[]).expect("groups");
    assert_eq!(rows.len(), SERVERS);
    for row in rows {
        assert_eq!(row.get::<_, i64>(1), expected);
        assert!(row.get::<_, i64>(2) >= expected);
    }
    company.gateway.tap.pass();
    client
        .batch_execute("ALTER SERVER c1 OPTIONS (ADD async_capable 'off')")
        .expect("an option");
    assert_eq!(asynchronous(&plan(&mut client, &sql)), SERVERS - 1);
}
