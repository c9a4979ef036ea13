//! One table over 400 companies, in one backend: descriptors and memory stay within bounds, and no row is lost.

use std::slice;

use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::process::resources;
use sage_intacct_fdw_tests::sql::texts;

/// Companies.
const COMPANIES: usize = 400;
/// Rows of each, on two pages.
const ROWS: usize = 7;
/// Descriptors of a backend while it reads them: 32 streams of their own, as many requests under way, connections kept for the
/// next request, and what a backend has anyway.
const MOST_DESCRIPTORS: usize = 130;
/// Memory that reading them may add to a backend, in KiB.
const MOST_MEMORY: u64 = 128 << 10;

fn companies(name: &str) -> (Company, Client) {
    let company = Company::start_with(name, small().rows("ARINVOICE", ROWS as u64));
    let mut client = company.connect();
    let url = company.gateway.url();
    let sql = format!(
        "CREATE TABLE everything (company int NOT NULL, recordno bigint NOT NULL, recordid text, totaldue numeric)
           PARTITION BY LIST (company);
         DO $do$ BEGIN FOR n IN 1 .. {COMPANIES} LOOP
           EXECUTE format($$
             CREATE SERVER s%1$s FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', url '{url}', page_size '5');
             CREATE USER MAPPING FOR CURRENT_USER SERVER s%1$s
               OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
             CREATE FOREIGN TABLE p%1$s (company int OPTIONS (constant '%1$s') NOT NULL,
               recordno bigint OPTIONS (type 'INTEGER') NOT NULL, recordid text OPTIONS (type 'TEXT'),
               totaldue numeric OPTIONS (type 'DECIMAL')) SERVER s%1$s OPTIONS (object 'ARINVOICE');
             ALTER TABLE everything ATTACH PARTITION p%1$s FOR VALUES IN (%1$s)$$, n);
         END LOOP; END $do$"
    );
    client.batch_execute(&sql).expect("partitions");
    // Expressions of each scan would be compiled: the cost of requests makes PostgreSQL think that it is worth it.
    let jit = format!("ALTER DATABASE {} SET jit = off", company.database.name());
    client.batch_execute(&jit).expect("a setting");
    let client = company.connect();
    (company, client)
}

fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    texts(client, sql, "|", "NULL")
}

#[track_caller]
fn within_bounds(pid: i32, what: &str) {
    let open = resources(pid).descriptors;
    assert!(open <= MOST_DESCRIPTORS, "{what}: {open} descriptors");
}

#[test]
fn hundreds_of_companies_take_no_descriptor_each() {
    let (company, mut client) = companies("hundreds");
    let pid = cluster::backend(&mut client);
    rows(&mut client, "SELECT count(recordid) FROM p1");
    let (before, mut most) = (resources(pid).memory_kib, 0);
    let all = COMPANIES * ROWS;
    for (settings, node, sql) in [
        (
            "SET enable_async_append = on",
            "Async Foreign Scan",
            "SELECT company, recordno FROM everything",
        ),
        (
            "SET enable_async_append = off",
            "Append",
            "SELECT company, recordno FROM everything",
        ),
        (
            "RESET ALL",
            "Merge Append",
            "SELECT company, recordno FROM everything ORDER BY recordno",
        ),
    ] {
        client.batch_execute(settings).expect("a setting");
        let plan = rows(&mut client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
        assert!(plan.contains(node), "{plan}");
        client
            .batch_execute(&format!("BEGIN; DECLARE c CURSOR FOR {sql}"))
            .expect("a cursor");
        let mut got = Vec::new();
        for fetch in ["FETCH 1 FROM c", "FETCH 400 FROM c", "FETCH ALL FROM c"] {
            got.extend(rows(&mut client, fetch));
            within_bounds(pid, &format!("{settings}: {fetch}"));
            most = most.max(resources(pid).memory_kib);
        }
        client.batch_execute("CLOSE c; COMMIT").expect("an end");
        if node == "Merge Append" {
            let keys: Vec<i64> = got
                .iter()
                .map(|row| {
                    row.split_once('|')
                        .expect("two columns")
                        .1
                        .parse()
                        .expect("a number")
                })
                .collect();
            assert!(keys.is_sorted(), "the order");
        }
        assert_eq!(got.len(), all, "{settings}");
        got.sort();
        got.dedup();
        assert_eq!(got.len(), all, "{settings}: rows that came twice");
        company.gateway.forget_requests();
    }
    let added = most.saturating_sub(before);
    assert!(added <= MOST_MEMORY, "{} MiB", added >> 10);
}

#[test]
fn appends_beside_others_find_a_way() {
    let (company, mut client) = companies("hundreds_beside");
    let pid = cluster::backend(&mut client);
    // One that has taken all places, and does not go on.
    client
        .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT company, recordno FROM everything; FETCH 1 FROM c")
        .expect("a cursor");
    let expected = (COMPANIES * ROWS).to_string();
    assert_eq!(
        rows(&mut client, "SELECT count(recordid) FROM everything"),
        slice::from_ref(&expected)
    );
    within_bounds(pid, "two");
    // Two in one statement.
    let sql = "SELECT count(*) FROM (SELECT recordno FROM everything WHERE company < 60 OFFSET 0) a
               JOIN (SELECT recordno FROM everything WHERE company > 340 OFFSET 0) b USING (recordno)";
    assert_eq!(rows(&mut client, sql), [(59 * 60 * ROWS).to_string()]);
    assert_eq!(rows(&mut client, "FETCH ALL FROM c").len(), COMPANIES * ROWS - 1);
    client.batch_execute("COMMIT").expect("an end");
    // Groups, each of a request of its own.
    client
        .batch_execute("SET enable_partitionwise_aggregate = on")
        .expect("a setting");
    company.gateway.log();
    let groups = rows(
        &mut client,
        "SELECT company, count(*) FROM everything GROUP BY company",
    );
    assert_eq!(groups.len(), COMPANIES);
    assert!(groups.iter().all(|group| group.ends_with(&format!("|{ROWS}"))));
    assert_eq!(company.gateway.log().len(), COMPANIES, "round trips");
    // A statement that fails or is left gives everything back.
    client
        .batch_execute("SELECT 1 / (company - 200) FROM everything")
        .expect_err("a division");
    let first = rows(&mut client, "SELECT recordno FROM everything LIMIT 1");
    assert_eq!(first.len(), 1);
    within_bounds(pid, "afterwards");
    assert_eq!(
        rows(&mut client, "SELECT count(recordid) FROM everything"),
        [expected]
    );
}
