//! Lookup joins as nodes of a plan: permissions, rows that change meanwhile, cursors, prepared statements, interrupts.

use std::sync::mpsc;
use std::thread;

use postgres::Client;
use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::sql::{texts, try_texts};
use sage_intacct_fdw_tests::tap::Answer;

const SETUP: &str = "
    CREATE TABLE l (id int PRIMARY KEY, k bigint, g int);
    INSERT INTO l SELECT i, i * 5, i % 4 FROM generate_series(1, 40) i;
    ANALYZE l;";

const FORCED: &str = "SET sage_intacct.push_lookups = on;
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;";

const JOIN: &str = "SELECT l.id, a.recordid FROM l JOIN arinvoice a ON a.recordno = l.k";

fn company(name: &str) -> Company {
    let company = Company::start(name);
    company.import("arinvoice, customer");
    company.connect().batch_execute(SETUP).expect("a local table");
    company
}

fn forced(company: &Company) -> Client {
    let mut client = company.connect();
    client.batch_execute(FORCED).expect("settings");
    client
}

fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    texts(client, sql, "|", "NULL")
}

#[track_caller]
fn fails(client: &mut Client, sql: &str) -> SqlState {
    let error = client.simple_query(sql).map(drop).expect_err(sql);
    error.code().cloned().unwrap_or_else(|| panic!("{error:?}"))
}

#[track_caller]
fn is_lookup(client: &mut Client, sql: &str) {
    let plan = rows(client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n");
    assert!(plan.contains("Intacct Lookup Join"), "{plan}");
}

#[test]
fn the_owner_of_a_view_is_asked_for_permission() {
    let company = company("lookup_roles");
    let mut owner = company.connect();
    owner
        .batch_execute(&format!(
            "CREATE ROLE lookup_reader LOGIN; GRANT SELECT ON l TO lookup_reader;
             CREATE VIEW v AS {JOIN}; GRANT SELECT ON v TO lookup_reader"
        ))
        .expect("a role");
    let mut reader = company.database.connect_as("lookup_reader");
    reader.batch_execute(FORCED).expect("settings");
    assert_eq!(fails(&mut reader, JOIN), SqlState::INSUFFICIENT_PRIVILEGE);
    is_lookup(&mut reader, "SELECT * FROM v");
    // The reader has no user mapping: it is the owner's that is used.
    let expected = rows(&mut owner, JOIN);
    assert!(!expected.is_empty());
    assert_eq!(rows(&mut reader, "SELECT * FROM v").len(), expected.len());
    drop(reader);
    owner
        .batch_execute("DROP OWNED BY lookup_reader; DROP ROLE lookup_reader")
        .expect("a role to drop");
}

#[test]
fn plans_are_copied_and_written_down() {
    let company = company("lookup_plans");
    let mut client = forced(&company);
    let expected = rows(&mut client, &format!("{JOIN} WHERE l.id < 20"));
    client
        .batch_execute(&format!(
            "SET plan_cache_mode = force_generic_plan; SET debug_print_plan = on; SET debug_print_rewritten = on;
             PREPARE s (int) AS {JOIN} WHERE l.id < $1"
        ))
        .expect("a plan");
    is_lookup(&mut client, "EXECUTE s (20)");
    for _ in 0..3 {
        assert_eq!(rows(&mut client, "EXECUTE s (20)"), expected);
    }
    // Options that the plan depends on make a new one.
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '7')")
        .expect("an option");
    assert_eq!(rows(&mut client, "EXECUTE s (20)"), expected);
    assert!(rows(&mut client, "EXECUTE s (0)").is_empty());
    let function = format!(
        "CREATE FUNCTION f(n int) RETURNS bigint LANGUAGE plpgsql AS
         $$ DECLARE c bigint; BEGIN SELECT count(*) INTO c FROM ({JOIN} WHERE l.id < n) x; RETURN c; END $$"
    );
    client.batch_execute(&function).expect("a function");
    let counts = rows(&mut client, "SELECT f(20), f(0), f(20)");
    assert_eq!(counts, [format!("{0}|0|{0}", expected.len())]);
}

#[test]
fn parallel_plans_leave_the_node_to_the_leader() {
    let company = company("lookup_parallel");
    let mut client = forced(&company);
    let expected = rows(&mut client, &format!("{JOIN} ORDER BY 1"));
    client
        .batch_execute(
            "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
             SET max_parallel_workers_per_gather = 2",
        )
        .expect("settings");
    let plan = rows(&mut client, &format!("EXPLAIN (COSTS OFF) {JOIN} ORDER BY 1")).join("\n");
    let (node, gather) = (plan.find("Intacct Lookup Join"), plan.find("Gather"));
    assert!(node.is_some(), "{plan}");
    assert!(gather.is_none() || gather > node, "{plan}");
    assert_eq!(rows(&mut client, &format!("{JOIN} ORDER BY 1")), expected);
}

#[test]
fn cursors_stop_early_and_start_over() {
    let company = company("lookup_cursors");
    let mut client = forced(&company);
    client
        .batch_execute("SET sage_intacct.lookup_batch = 5")
        .expect("a setting");
    let expected = rows(&mut client, JOIN);
    assert!(expected.len() > 5);
    client
        .batch_execute(&format!("BEGIN; DECLARE c CURSOR FOR {JOIN}"))
        .expect("a cursor");
    assert_eq!(rows(&mut client, "FETCH 2 FROM c"), expected[..2]);
    client.batch_execute("SAVEPOINT s").expect("a savepoint");
    assert_eq!(rows(&mut client, "FETCH 1 FROM c"), expected[2..3]);
    client.batch_execute("ROLLBACK TO s").expect("the savepoint");
    client.batch_execute("CLOSE c").expect("a cursor");
    client
        .batch_execute(&format!("DECLARE d SCROLL CURSOR FOR {JOIN}"))
        .expect("a cursor");
    assert_eq!(rows(&mut client, "FETCH ALL FROM d"), expected);
    assert_eq!(rows(&mut client, "FETCH FIRST FROM d"), expected[..1]);
    client
        .batch_execute(&format!("DECLARE h CURSOR WITH HOLD FOR {JOIN}; COMMIT"))
        .expect("a cursor");
    assert_eq!(rows(&mut client, "FETCH ALL FROM h"), expected);
    client.batch_execute("CLOSE h").expect("a cursor");
    // A transaction that ends while a list is under way.
    client
        .batch_execute(&format!(
            "BEGIN; DECLARE c CURSOR FOR {JOIN}; FETCH 1 FROM c; ROLLBACK"
        ))
        .expect("an end");
    assert_eq!(rows(&mut client, JOIN), expected);
}

#[test]
fn an_error_in_the_middle_ends_the_statement_and_nothing_else() {
    let company = company("lookup_errors");
    let mut client = forced(&company);
    client
        .batch_execute("SET sage_intacct.lookup_batch = 5")
        .expect("a setting");
    let expected = rows(&mut client, JOIN);
    client.batch_execute("BEGIN; SAVEPOINT s").expect("a savepoint");
    company.gateway.tap.forget();
    // The third request is refused for good.
    let count = std::sync::atomic::AtomicUsize::new(0);
    company.gateway.tap.rule(
        move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 | 1 => Answer::Pass,
            _ => Answer::Body(b"<html>no gateway</html>".to_vec()),
        },
    );
    client
        .batch_execute("SET LOCAL work_mem = '64kB'")
        .expect("a setting");
    fails(&mut client, JOIN);
    company.gateway.tap.pass();
    client.batch_execute("ROLLBACK TO s").expect("the savepoint");
    assert_eq!(rows(&mut client, JOIN), expected);
    // And one of the statement's own.
    let last = expected[expected.len() - 1].split('|').next().expect("an id");
    let divided = JOIN.replace("l.id,", &format!("1 / (l.id - {last}),"));
    fails(&mut client, &divided);
    client.batch_execute("ROLLBACK TO s").expect("the savepoint");
    assert_eq!(rows(&mut client, JOIN), expected);
    client.batch_execute("ROLLBACK").expect("an end");
}

#[test]
fn a_cancel_ends_the_wait_for_a_list() {
    let company = company("lookup_cancel");
    let mut client = forced(&company);
    let expected = rows(&mut client, JOIN);
    client
        .batch_execute("SET sage_intacct.lookup_batch = 5")
        .expect("a setting");
    let pid = cluster::backend(&mut client);
    let count = std::sync::atomic::AtomicUsize::new(0);
    company.gateway.tap.rule(
        move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::Pass,
            _ => Answer::Stall,
        },
    );
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let code = client
            .simple_query(JOIN)
            .err()
            .and_then(|error| error.code().cloned());
        let _ = sender.send((client, code));
    });
    company.gateway.tap.wait_for_stalled(1);
    company.cancel(pid);
    let (mut client, code) = receiver.recv().expect("the statement ends");
    assert_eq!(code, Some(SqlState::QUERY_CANCELED));
    company.gateway.tap.wait_for_stalled(0);
    company.gateway.tap.pass();
    assert_eq!(rows(&mut client, JOIN), expected);
}

/// Runs a statement that comes to wait for a row that another transaction is changing, which then commits.
fn raced(
    company: &Company,
    mut client: Client,
    statement: &str,
    change: &str,
) -> (Client, Result<Vec<String>, SqlState>) {
    let mut other = company.connect();
    let pid = cluster::backend(&mut client);
    other
        .batch_execute(&format!("BEGIN; {change}"))
        .unwrap_or_else(|error| panic!("{change}: {error:?}"));
    let (sender, receiver) = mpsc::channel();
    let sql = statement.to_owned();
    thread::spawn(move || {
        let outcome = try_texts(&mut client, &sql, "|", "NULL").map_err(|error| {
            let code = error.code().cloned();
            code.unwrap_or_else(|| panic!("{sql}: {error:?}"))
        });
        let _ = sender.send((client, outcome));
    });
    let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
    let mut watcher = company.connect();
    while rows(&mut watcher, &waits) != ["1"] {
        if let Ok((_, outcome)) = receiver.try_recv() {
            panic!("{statement} did not wait for {change}: {outcome:?}");
        }
        thread::yield_now();
    }
    other.batch_execute("COMMIT").expect("the change");
    receiver.recv().expect("an answer")
}

/// Statements that lock rows of `l` or change them, joined with `A`, and in which rows come of its rows that have no match.
const LOCKING: [(&str, bool); 9] = [
    (
        "SELECT l.id, a.recordid FROM l JOIN A a ON a.recordno = l.k ORDER BY l.id FOR UPDATE OF l",
        false,
    ),
    (
        "SELECT l.id, a.recordid FROM l LEFT JOIN A a ON a.recordno = l.k WHERE l.g >= 0 ORDER BY l.id FOR UPDATE OF l",
        true,
    ),
    (
        "SELECT l.id FROM l WHERE l.k IN (SELECT recordno FROM A) ORDER BY l.id FOR UPDATE OF l",
        false,
    ),
    (
        "SELECT l.id FROM l WHERE EXISTS (SELECT FROM A a WHERE a.recordno = l.k AND a.totaldue > l.g - 100) ORDER BY l.id FOR NO KEY UPDATE OF l",
        false,
    ),
    (
        "SELECT l.id FROM l WHERE NOT EXISTS (SELECT FROM A a WHERE a.recordno = l.k) ORDER BY l.id FOR UPDATE OF l",
        true,
    ),
    (
        "UPDATE l SET g = 100 FROM A a WHERE a.recordno = l.k RETURNING l.id, a.recordid",
        false,
    ),
    (
        "UPDATE l SET g = 100 WHERE NOT EXISTS (SELECT FROM A a WHERE a.recordno = l.k) RETURNING l.id",
        true,
    ),
    (
        "DELETE FROM l USING A a WHERE a.recordno = l.k RETURNING l.id, a.recordid",
        false,
    ),
    (
        "DELETE FROM l WHERE l.k IN (SELECT recordno FROM A a WHERE a.totaldue IS NOT NULL) RETURNING l.id",
        false,
    ),
];

/// Rows that another transaction changes while they are waited for are joined once more, with the same row of the other side: what
/// comes of it is what comes of it with a local table.
#[test]
fn locked_rows_are_checked_again() {
    let company = company("lookup_recheck");
    let mut client = company.connect();
    client
        .batch_execute("CREATE TABLE copied AS SELECT * FROM arinvoice; ANALYZE copied; CREATE TABLE before AS SELECT * FROM l")
        .expect("copies");
    let [matched, unmatched] = ["", "NOT"].map(|not| {
        let sql =
            format!("SELECT min(id) FROM l WHERE {not} EXISTS (SELECT FROM copied a WHERE a.recordno = l.k)");
        rows(&mut client, &sql)[0].clone()
    });
    let other_key = rows(
        &mut client,
        "SELECT max(a.recordno) FROM copied a, l WHERE l.k = a.recordno",
    )[0]
    .clone();
    for (statement, of_unmatched) in LOCKING {
        // A change that keeps the match, ends it, and makes it another; and the end of the row.
        for change in [
            "UPDATE l SET g = g + 10 WHERE id = ID",
            "UPDATE l SET k = -1 WHERE id = ID",
            "UPDATE l SET k = OTHER WHERE id = ID",
            "DELETE FROM l WHERE id = ID",
        ] {
            for id in [&matched, &unmatched] {
                if id == &unmatched && !of_unmatched || id == &matched && statement.contains("NOT EXISTS") {
                    continue;
                }
                let change = change.replace("ID", id).replace("OTHER", &other_key);
                let mut outcomes = ["copied", "arinvoice"].map(|table| {
                    client
                        .batch_execute("TRUNCATE l; INSERT INTO l SELECT * FROM before; ANALYZE l")
                        .expect("as before");
                    let sql = statement
                        .replace("JOIN A ", &format!("JOIN {table} "))
                        .replace("FROM A ", &format!("FROM {table} "))
                        .replace("FROM A)", &format!("FROM {table})"))
                        .replace("USING A ", &format!("USING {table} "));
                    let mut session = forced(&company);
                    if table == "arinvoice" {
                        is_lookup(&mut session, &sql);
                    }
                    let (_, outcome) = raced(&company, session, &sql, &change);
                    let mut got = outcome.unwrap_or_else(|code| panic!("{sql}: {code:?}"));
                    got.sort();
                    (got, rows(&mut client, "SELECT * FROM l ORDER BY id"))
                });
                let [here, there] = &mut outcomes;
                assert_eq!(there, here, "{statement}\n{change}");
            }
        }
    }
}

/// Under REPEATABLE READ nothing is checked again: the statement fails, and can be run once more in a new transaction.
#[test]
fn changed_rows_fail_where_a_snapshot_is_kept() {
    let company = company("lookup_snapshot");
    let mut client = company.connect();
    let [matched, unmatched] = ["", "NOT"].map(|not| {
        let key = "(SELECT recordno FROM arinvoice)";
        let sql = format!("SELECT min(id) FROM l WHERE {not} coalesce(k IN {key}, false)");
        rows(&mut client, &sql)[0].clone()
    });
    for (statement, id) in [
        (
            "SELECT l.id FROM l JOIN arinvoice a ON a.recordno = l.k ORDER BY l.id FOR UPDATE OF l",
            &matched,
        ),
        (
            "SELECT l.id FROM l LEFT JOIN arinvoice a ON a.recordno = l.k WHERE l.g >= 0 ORDER BY l.id FOR UPDATE OF l",
            &matched,
        ),
        (
            "SELECT l.id FROM l WHERE l.k IN (SELECT recordno FROM arinvoice) ORDER BY l.id FOR UPDATE OF l",
            &matched,
        ),
        (
            "SELECT l.id FROM l WHERE NOT EXISTS (SELECT FROM arinvoice a WHERE a.recordno = l.k) ORDER BY l.id FOR UPDATE OF l",
            &unmatched,
        ),
        (
            "UPDATE l SET g = 100 FROM arinvoice a WHERE a.recordno = l.k RETURNING l.id",
            &matched,
        ),
        (
            "UPDATE l SET g = 100 WHERE NOT EXISTS (SELECT FROM arinvoice a WHERE a.recordno = l.k) RETURNING l.id",
            &unmatched,
        ),
        (
            "DELETE FROM l USING arinvoice a WHERE a.recordno = l.k RETURNING l.id",
            &matched,
        ),
        (
            "DELETE FROM l WHERE NOT EXISTS (SELECT FROM arinvoice a WHERE a.recordno = l.k) RETURNING l.id",
            &unmatched,
        ),
    ] {
        for level in ["REPEATABLE READ", "SERIALIZABLE"] {
            let mut session = forced(&company);
            is_lookup(&mut session, statement);
            let expected = rows(&mut session, &format!("BEGIN; {statement}"));
            session
                .batch_execute(&format!(
                    "ROLLBACK; BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM l"
                ))
                .expect("a snapshot");
            let change = format!("UPDATE l SET g = g + 10 WHERE id = {id}");
            let (mut session, outcome) = raced(&company, session, statement, &change);
            assert_eq!(outcome, Err(SqlState::T_R_SERIALIZATION_FAILURE), "{statement}");
            session
                .batch_execute(&format!("ROLLBACK; BEGIN ISOLATION LEVEL {level}"))
                .expect("a new snapshot");
            assert_eq!(rows(&mut session, statement), expected, "{statement}");
            session.batch_execute("ROLLBACK").expect("an end");
        }
    }
}
