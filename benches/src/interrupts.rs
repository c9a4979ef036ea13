//! How soon a statement ends that waits for a gateway which does not answer, and that nothing is left of it.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use crate::resources::Resources;
use postgres::error::SqlState;
use postgres::{Client, NoTls};
use std::thread;
use std::time::{Duration, Instant};

const TIMES: usize = 100;
/// Rounds before the first look at what a backend holds.
const WARM_UP: usize = 10;
const STALL: &str =
    r#"[{"match": {"function": "query"}, "times": 1000000, "action": {"stall": {"ms": 300000}}}]"#;
const STATEMENT: &str = "SELECT name FROM acme.customer";

/// Measures cancel, `statement_timeout` and terminate.
pub fn run(report: &mut Report) {
    let gateway = Gateway::start(&[]);
    let mut watcher = company::connect();
    company::import(&mut watcher, &gateway, "", "customer");
    gateway.control("POST", "faults", STALL);

    let mut victim = company::connect();
    let pid = pid(&mut victim);
    let mut before = None;
    let mut cancels = Vec::new();
    for round in 0..WARM_UP + TIMES {
        if round == WARM_UP {
            before = Some(Resources::settled(pid));
        }
        let (returned, time) = cancel(victim, pid, &mut watcher);
        victim = returned;
        if round >= WARM_UP {
            cancels.push(time);
        }
    }
    report.bounded("cancel of a stalled request", cancels, Duration::from_millis(100));
    report.leak(
        "100 cancels",
        before.expect("a first look"),
        Resources::settled(pid),
    );

    victim
        .batch_execute("SET statement_timeout = '200ms'")
        .expect("SET");
    let before = Resources::settled(pid);
    let timeouts = (0..TIMES).map(|_| time_out(&mut victim)).collect();
    report.bounded(
        "statement_timeout = 200ms of a stalled request",
        timeouts,
        Duration::from_millis(300),
    );
    report.leak("100 time-outs", before, Resources::settled(pid));

    let terminations = (0..TIMES).map(|_| terminate(&mut watcher)).collect();
    report.bounded(
        "pg_terminate_backend of a stalled request",
        terminations,
        Duration::from_secs(1),
    );
}

/// Waits until a statement of the backend is waiting for the gateway, then runs `act`, and gives the time from there;
/// none if the statement ended before.
fn measure(
    mut victim: Client,
    pid: i32,
    watcher: &mut Client,
    act: impl FnOnce(&mut Client),
) -> (Client, Option<Duration>) {
    let running = thread::spawn(move || {
        let error = victim
            .simple_query(STATEMENT)
            .expect_err("the statement ends with an error");
        let expected = [SqlState::QUERY_CANCELED, SqlState::ADMIN_SHUTDOWN];
        assert!(
            error.code().is_none_or(|code| expected.contains(code)),
            "{error:?}"
        );
        (victim, Instant::now())
    });
    let mut began = None;
    while !running.is_finished() {
        let waiting = watcher
            .query_one(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE pid = $1 AND state = 'active' AND wait_event_type = 'Extension'",
                &[&pid],
            )
            .expect("pg_stat_activity")
            .get::<_, i64>(0);
        if waiting > 0 {
            began = Some(Instant::now());
            act(watcher);
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    let (victim, ended) = running.join().expect("the statement's thread");
    (victim, began.map(|began| ended.saturating_duration_since(began)))
}

fn pid(client: &mut Client) -> i32 {
    client
        .query_one("SELECT pg_backend_pid()", &[])
        .expect("a pid")
        .get(0)
}

fn cancel(mut victim: Client, pid: i32, watcher: &mut Client) -> (Client, Duration) {
    loop {
        let token = victim.cancel_token();
        let (returned, time) = measure(victim, pid, watcher, |_| {
            token.cancel_query(NoTls).expect("the cancel is sent");
        });
        victim = returned;
        // The server signals a backend twice, itself and its process group: the second signal of the round before may
        // hit the statement of this one before it waits.
        if let Some(time) = time {
            return (victim, time);
        }
    }
}

fn time_out(victim: &mut Client) -> Duration {
    let began = Instant::now();
    let error = victim
        .simple_query(STATEMENT)
        .expect_err("the statement times out");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    began.elapsed()
}

/// Until the process is gone: the client sees its connection close before that.
fn terminate(watcher: &mut Client) -> Duration {
    let mut victim = company::connect();
    let pid = pid(&mut victim);
    let mut ended = Duration::ZERO;
    measure(victim, pid, watcher, |watcher| {
        let began = Instant::now();
        watcher
            .execute("SELECT pg_terminate_backend($1)", &[&pid])
            .expect("pg_terminate_backend");
        while std::path::Path::new(&format!("/proc/{pid}")).exists() {
            thread::sleep(Duration::from_millis(1));
        }
        ended = began.elapsed();
    });
    ended
}
