//! A session that works for long does not grow.

use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::process::{Resources, resources};
use std::time::{Duration, Instant};

/// What a session holds when its connections to the gateway are closed. The pool keeps up to `max_concurrency` of them open,
/// and how many of these were opened is chance.
fn settled(client: &mut postgres::Client, pid: i32, most: usize) -> Resources {
    client
        .batch_execute("SELECT sage_intacct.disconnect('acme')")
        .expect("disconnected");
    // They are closed by the thread for input and output.
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let now = resources(pid);
        if now.descriptors <= most || Instant::now() > patience {
            return now;
        }
        std::thread::yield_now();
    }
}

/// Bytes in all memory contexts of the session.
fn context_bytes(client: &mut postgres::Client) -> i64 {
    client
        .query_one(
            "SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts",
            &[],
        )
        .expect("the view answers")
        .get(0)
}

#[test]
fn ten_thousand_executions_of_a_generic_plan_do_not_grow() {
    let company = Company::start("growth_plan");
    company.import("customer");
    let mut client = company.connect();
    let pid = cluster::backend(&mut client);
    client
        .batch_execute(
            "SET plan_cache_mode = force_generic_plan;
             PREPARE s (text) AS SELECT recordno, name, creditlimit, whenmodified FROM customer WHERE customerid = $1",
        )
        .expect("prepared");
    let mut execute = |times: u32, most: usize| {
        for _ in 0..times {
            let messages = client.simple_query("EXECUTE s ('C-00002')").expect("rows");
            let rows = messages
                .iter()
                .filter(|m| matches!(m, postgres::SimpleQueryMessage::Row(_)))
                .count();
            assert_eq!(rows, 1);
        }
        (context_bytes(&mut client), settled(&mut client, pid, most))
    };
    let (contexts_before, before) = execute(1000, usize::MAX);
    let (contexts_after, after) = execute(9000, before.descriptors);
    assert!(after.descriptors <= before.descriptors, "{before:?} {after:?}");
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(
        after.memory_kib <= before.memory_kib + 1024,
        "{before:?} {after:?}"
    );
    assert!(
        contexts_after <= contexts_before + 65_536,
        "{contexts_before} {contexts_after}"
    );
}

#[test]
fn one_long_statement_does_not_grow_with_its_rescans() {
    let company = Company::start("growth_rescan");
    company.import("arterm");
    let mut client = company.connect();
    let pid = cluster::backend(&mut client);
    // The compiler of expressions takes memory by the estimated cost.
    client.batch_execute("SET jit = off").expect("a setting");
    let mut run = |times: i32, most: usize| {
        let row = client
            .query_one(
                "SELECT sum(n)::bigint, (SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts)
                 FROM generate_series(1, $1) g, LATERAL (SELECT count(*) AS n FROM arterm WHERE recordno > g - 1000000) x",
                &[&times],
            )
            .expect("rows");
        (
            row.get::<_, i64>(0),
            row.get::<_, i64>(1),
            settled(&mut client, pid, most),
        )
    };
    // What a session loads once is no growth.
    run(1, usize::MAX);
    let (_, contexts_before, before) = run(200, usize::MAX);
    let (rows, contexts_after, after) = run(1500, before.descriptors);
    assert_eq!(rows, 1500 * company.rows("ARTERM"));
    assert!(
        contexts_after <= contexts_before + 131_072,
        "{contexts_before} {contexts_after}"
    );
    assert!(after.descriptors <= before.descriptors, "{before:?} {after:?}");
    assert!(
        after.memory_kib <= before.memory_kib + 1024,
        "{before:?} {after:?}"
    );
    assert!(
        contexts_after <= contexts_before + 131_072,
        "{contexts_before} {contexts_after}"
    );
}

#[test]
fn failing_statements_do_not_grow() {
    let company = Company::start("growth_errors");
    let mut client = company.connect();
    client
        .batch_execute("CREATE FOREIGN TABLE wrong (recordno bigint, surname text) SERVER acme OPTIONS (object 'CUSTOMER')")
        .expect("a table");
    let pid = cluster::backend(&mut client);
    let mut run = |times: u32, most: usize| {
        for _ in 0..times {
            let error = client
                .simple_query("SELECT * FROM wrong")
                .expect_err("there is no such field");
            assert_eq!(error.code().map(postgres::error::SqlState::code), Some("42703"));
        }
        settled(&mut client, pid, most)
    };
    let before = run(50, usize::MAX);
    let after = run(300, before.descriptors);
    assert!(after.descriptors <= before.descriptors, "{before:?} {after:?}");
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(
        after.memory_kib <= before.memory_kib + 2048,
        "{before:?} {after:?}"
    );
}
