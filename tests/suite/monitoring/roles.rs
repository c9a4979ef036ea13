//! Who sees what: members of pg_monitor and pg_read_all_stats all of it, others their own; nobody what is secret.

use super::{SECRET_VALUE, Watched, run, stall_second_page, texts};
use crate::client::preloaded::Shared;
use sage_intacct_fdw_tests::cluster::{self, preloaded};
use std::thread;

/// Everything that a role can read of what is watched, as text.
const EVERYTHING: &[&str] = &[
    "SELECT m::text FROM sage_intacct.metrics m",
    "SELECT m::text FROM sage_intacct.mirrors m",
    "SELECT m::text FROM sage_intacct.mirror_runs m",
    "SELECT p::text FROM sage_intacct.progress p",
    "SELECT s::text FROM sage_intacct.request_stats() s",
    "SELECT t::text FROM sage_intacct.request_totals() t",
    "SELECT c::text FROM sage_intacct.write_counts() c",
    "SELECT f::text FROM sage_intacct.write_log_file(true) f",
    "SELECT l::text FROM sage_intacct.write_log() l",
];

#[test]
fn members_of_pg_monitor_see_all_and_others_their_own() {
    let watched = Watched::start("watched");
    let owner: Vec<String> = texts(
        &mut watched.company.connect(),
        "SELECT name || labels FROM sage_intacct.metrics ORDER BY 1",
    );
    let [mut monitor, mut stats, mut nobody] = watched.connect();
    for client in [&mut monitor, &mut stats] {
        let shown = texts(
            client,
            "SELECT name || labels FROM sage_intacct.metrics ORDER BY 1",
        );
        assert_eq!(shown, owner);
        assert_eq!(
            texts(
                client,
                "SELECT target::text || ' ' || last_outcome FROM sage_intacct.mirrors ORDER BY 1"
            ),
            ["finance.\"Odd name\" failed", "finance.customer done"]
        );
        assert_eq!(
            texts(
                client,
                "SELECT DISTINCT coalesce(last_error, 'hidden') FROM sage_intacct.mirrors"
            ),
            ["hidden"]
        );
        assert_eq!(
            texts(
                client,
                "SELECT outcome || ' ' || coalesce(error, 'hidden') FROM sage_intacct.mirror_runs ORDER BY 1"
            ),
            ["done hidden", "failed hidden"]
        );
        assert_eq!(
            texts(
                client,
                "SELECT outcome || ' ' || functions FROM sage_intacct.write_counts() ORDER BY 1"
            ),
            ["in doubt 1", "stored 1"]
        );
        let all: Vec<String> = EVERYTHING.iter().flat_map(|sql| texts(client, sql)).collect();
        assert!(all.len() > 40, "{all:?}");
        for hidden in [SECRET_VALUE, "KEY-1", "KEY-2", "secret", "senderpw", "XL03000099"] {
            let shown = all.iter().find(|text| text.contains(hidden));
            assert_eq!(shown, None, "{hidden}");
        }
        client
            .batch_execute("SELECT * FROM acme.customer")
            .expect_err("no right to the data");
    }
    let failed = "SELECT count(*)::text FROM sage_intacct.mirrors WHERE last_error LIKE '%XL03000099%'";
    assert_eq!(texts(&mut watched.company.connect(), failed), ["1"]);

    for sql in EVERYTHING {
        assert_eq!(texts(&mut nobody, sql), Vec::<String>::new(), "{sql}");
    }
    // With a right to the server, or to a mirror: that, and no more.
    let mut admin = watched.company.connect();
    let name = &watched.roles[2];
    run(
        &mut admin,
        &format!("GRANT USAGE ON SCHEMA finance TO {name};\nGRANT SELECT ON finance.customer TO {name}"),
    );
    assert_eq!(
        texts(
            &mut nobody,
            "SELECT DISTINCT labels ->> 'mirror' FROM sage_intacct.metrics"
        ),
        ["finance.customer"]
    );
    run(
        &mut admin,
        &format!("GRANT USAGE ON FOREIGN SERVER acme TO {name}"),
    );
    assert_eq!(
        texts(
            &mut nobody,
            "SELECT DISTINCT value::text FROM sage_intacct.metrics WHERE name = 'sage_intacct_writes'"
        ),
        ["0"]
    );
    assert_eq!(
        texts(
            &mut nobody,
            "SELECT (value > 0)::text FROM sage_intacct.metrics WHERE name = 'sage_intacct_requests_total'"
        ),
        ["true"]
    );
    run(
        &mut admin,
        &format!("REVOKE USAGE ON FOREIGN SERVER acme FROM {name};\nDROP OWNED BY {name}"),
    );
}

#[test]
fn values_are_what_they_say() {
    let watched = Watched::start("metered");
    let mut admin = watched.company.connect();
    let values = "SELECT concat_ws(' ', name, labels ->> 'mirror', labels ->> 'kind', labels ->> 'outcome', labels ->> 'sqlstate', value)
                    FROM sage_intacct.metrics
                   WHERE name ~ 'mirror_(rows|complete|failing|unfinished|gone_columns)$|running|writes|errors|throttled|max_calls' ORDER BY 1";
    let rows = watched.company.rows("CUSTOMER");
    let found = texts(&mut admin, values);
    for expected in [
        format!("sage_intacct_mirror_rows finance.customer {}", rows - 2),
        "sage_intacct_mirror_complete finance.customer 1".to_owned(),
        "sage_intacct_mirror_failing finance.customer 0".to_owned(),
        "sage_intacct_mirror_failing finance.\"Odd name\" 1".to_owned(),
        "sage_intacct_mirror_unfinished finance.customer 0".to_owned(),
        "sage_intacct_mirror_gone_columns finance.customer 1".to_owned(),
        "sage_intacct_mirror_gone_columns finance.\"Odd name\" 0".to_owned(),
        "sage_intacct_running scan 0".to_owned(),
        "sage_intacct_running refresh 0".to_owned(),
        "sage_intacct_writes stored 1".to_owned(),
        "sage_intacct_writes not stored 0".to_owned(),
        "sage_intacct_writes in doubt 1".to_owned(),
        "sage_intacct_throttled_total 0".to_owned(),
        "sage_intacct_max_calls_per_day NaN".to_owned(),
    ] {
        assert!(found.contains(&expected), "{expected}: {found:#?}");
    }
    let failed = "sage_intacct_errors_total HV000 ";
    assert!(found.iter().any(|text| text.starts_with(failed)), "{found:#?}");
    // What was never refreshed is older than any limit.
    let lags = "SELECT concat_ws(' ', labels ->> 'mirror', value > 1e9) FROM sage_intacct.metrics
                 WHERE name = 'sage_intacct_mirror_lag_seconds' ORDER BY 1";
    assert_eq!(
        texts(&mut admin, lags),
        ["finance.\"Odd name\" t", "finance.customer f"]
    );
    // Too many requests.
    watched.company.gateway.faults(
        r#"{"match": {"function": "query", "object": "CUSTOMER"}, "times": 1, "action": {"status": {"code": 429, "retry_after": 0}}}"#,
    );
    let mut reader = watched.company.connect();
    run(&mut reader, "SELECT count(*) FROM acme.customer");
    let throttled =
        "SELECT value::text FROM sage_intacct.metrics WHERE name = 'sage_intacct_throttled_total'";
    assert_eq!(texts(&mut reader, throttled), ["1"]);
    // A server that is dropped is forgotten, its writes are not.
    run(&mut reader, "DROP SCHEMA acme CASCADE;\nDROP SERVER acme CASCADE");
    assert_eq!(
        texts(
            &mut reader,
            "SELECT name FROM sage_intacct.metrics WHERE name LIKE '%total'"
        ),
        Vec::<String>::new()
    );
    let left = "SELECT concat_ws(' ', labels ->> 'outcome', value) FROM sage_intacct.metrics
                 WHERE name = 'sage_intacct_writes' ORDER BY 1";
    assert_eq!(
        texts(&mut reader, left),
        ["in doubt 1", "not stored 0", "stored 1", "under way 0"]
    );
}

#[test]
fn the_scans_and_counters_of_all_are_shown_to_members_of_pg_monitor() {
    let shared = Shared::start("monitored", ", page_size '50', max_concurrency '1'");
    let mut scanner = shared.connect();
    run(
        &mut scanner,
        "DROP ROLE IF EXISTS watching, watching_nothing;
         CREATE ROLE watching LOGIN IN ROLE pg_monitor;
         CREATE ROLE watching_nothing LOGIN",
    );
    let pid = cluster::backend(&mut scanner);
    stall_second_page(&shared.gateway);
    let scan = thread::spawn(move || scanner.simple_query("SELECT * FROM customer").is_err());
    shared.gateway.tap.wait_for_stalled(1);
    let [mut monitor, mut nobody] =
        ["watching", "watching_nothing"].map(|role| preloaded().connect_as(&shared.database, role));
    let progress = format!("SELECT object || ' ' || rows_total FROM sage_intacct.progress WHERE pid = {pid}");
    let stats = "SELECT scope || ' ' || (requests > 1) FROM sage_intacct.request_stats()";
    let running = "SELECT value::text FROM sage_intacct.metrics
                    WHERE name = 'sage_intacct_running' AND labels ->> 'kind' = 'scan'";
    super::until(|| texts(&mut monitor, &progress) == [format!("CUSTOMER {}", shared.customers())]);
    assert_eq!(texts(&mut monitor, stats), ["all backends true"]);
    assert_eq!(texts(&mut monitor, running), ["1"]);
    let calls = "SELECT (value BETWEEN 1 AND 9)::text FROM sage_intacct.metrics WHERE name = 'sage_intacct_calls_today'";
    assert_eq!(texts(&mut monitor, calls), ["true"]);
    for sql in [progress.as_str(), stats, running, calls] {
        assert_eq!(texts(&mut nobody, sql), Vec::<String>::new(), "{sql}");
    }
    let mut watcher = shared.connect();
    run(&mut watcher, &format!("SELECT pg_cancel_backend({pid})"));
    assert!(scan.join().expect("it ends"));
    shared.gateway.tap.pass();
    drop((monitor, nobody));
    run(&mut watcher, "DROP ROLE watching, watching_nothing");
}
