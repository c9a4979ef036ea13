//! How soon a statement ends that waits for a gateway which does not answer.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use postgres::{Client, NoTls};
use std::thread;
use std::time::{Duration, Instant};

const TIMES: usize = 20;
const STALL: &str =
    r#"[{"match": {"function": "query"}, "times": 1000, "action": {"stall": {"ms": 300000}}}]"#;
const STATEMENT: &str = "SELECT count(*) FROM acme.customer";

/// Measures cancel, `statement_timeout` and terminate.
pub fn run(report: &mut Report) {
    let gateway = Gateway::start(&[]);
    let mut client = company::connect();
    company::import(&mut client, &gateway, "", "customer");
    gateway.control("POST", "faults", STALL);

    let cancels = (0..TIMES).map(|_| cancel(&mut client)).collect();
    report.bounded("cancel of a stalled request", cancels, Duration::from_millis(100));

    client
        .batch_execute("SET statement_timeout = '200ms'")
        .expect("SET");
    let timeouts = (0..TIMES)
        .map(|_| {
            let began = Instant::now();
            client
                .simple_query(STATEMENT)
                .expect_err("the statement times out");
            began.elapsed()
        })
        .collect();
    report.bounded(
        "statement_timeout = 200ms of a stalled request",
        timeouts,
        Duration::from_millis(300),
    );

    let terminations = (0..TIMES).map(|_| terminate(&mut client)).collect();
    report.bounded(
        "pg_terminate_backend of a stalled request",
        terminations,
        Duration::from_secs(1),
    );
}

/// Waits until a statement of the backend is waiting for the gateway, then runs `act`, and gives the time from there.
fn measure(
    mut victim: Client,
    pid: i32,
    watcher: &mut Client,
    act: impl FnOnce(&mut Client),
) -> (Client, Duration) {
    let running = thread::spawn(move || {
        victim
            .simple_query(STATEMENT)
            .expect_err("the statement ends with an error");
        (victim, Instant::now())
    });
    loop {
        let waiting = watcher
            .query_one(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND wait_event_type = 'Extension'",
                &[&pid],
            )
            .expect("pg_stat_activity")
            .get::<_, i64>(0);
        if waiting > 0 {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let began = Instant::now();
    act(watcher);
    let (victim, ended) = running.join().expect("the statement's thread");
    (victim, ended.saturating_duration_since(began))
}

fn pid(client: &mut Client) -> i32 {
    client
        .query_one("SELECT pg_backend_pid()", &[])
        .expect("a pid")
        .get(0)
}

fn cancel(watcher: &mut Client) -> Duration {
    let mut victim = company::connect();
    let (pid, token) = (pid(&mut victim), victim.cancel_token());
    measure(victim, pid, watcher, |_| {
        token.cancel_query(NoTls).expect("the cancel is sent")
    })
    .1
}

fn terminate(watcher: &mut Client) -> Duration {
    let mut victim = company::connect();
    let pid = pid(&mut victim);
    let began = Instant::now();
    let (_, ended) = measure(victim, pid, watcher, |watcher| {
        watcher
            .execute("SELECT pg_terminate_backend($1)", &[&pid])
            .expect("pg_terminate_backend");
    });
    // The client sees its connection close before the process is gone: wait for that too.
    loop {
        let alive = watcher
            .query_one("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", &[&pid])
            .expect("pg_stat_activity")
            .get::<_, i64>(0);
        if alive == 0 {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    ended.min(began.elapsed())
}
