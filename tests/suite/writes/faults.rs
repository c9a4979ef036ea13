//! Statements of several batches, while the gateway resets connections, loses answers, limits the rate, ends sessions,
//! or is cancelled. Afterwards each row is stored once and the statement went well, or it failed and the rows that its
//! DETAIL calls certain and possible bracket the truth.
//!
//! `SAGE_FUZZ_WRITES` sets the number of statements, `SAGE_FUZZ_SEED` replays a run.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;
use postgres::Client;
use postgres::error::DbError;
use regex::Regex;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::environment::number;
use sage_intacct_fdw_tests::tap::Answer;

/// Statements of an ordinary test run.
const FEW: usize = 40;

/// Rows of a batch: small, so that statements have several.
const BATCH: usize = 5;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Nothing,
    /// The connection breaks before the request is executed.
    Reset,
    /// The connection breaks after it.
    ResetAfterExecution,
    /// The answer breaks off.
    Truncated,
    /// 429
    Limited,
    /// 503, not executed.
    Unavailable,
    /// 524, executed.
    TimedOut,
    /// An empty answer, executed.
    Empty,
    /// The session has expired.
    Expired,
    /// A rate limit in an ordinary answer.
    LimitedInAnswer,
    /// A page of a front end in the place of the answer, executed.
    Forbidden,
    /// Trouble of the gateway in an ordinary answer, executed.
    FailureInAnswer,
    /// A proxy sends the request twice.
    Replayed,
    /// The connection breaks, and the request is executed later.
    Late,
    /// The gateway is silent until `request_timeout`, after it has executed the request or not.
    Silent {
        executed: bool,
    },
    /// The statement is cancelled while the gateway is silent.
    Cancelled {
        executed: bool,
    },
}

impl Trouble {
    fn random(rng: &mut Rng) -> Trouble {
        let executed = rng.bool();
        match rng.usize(..26) {
            20 | 21 => Trouble::Forbidden,
            22 => Trouble::FailureInAnswer,
            23 | 24 => Trouble::Replayed,
            25 => Trouble::Late,
            0 | 1 => Trouble::Nothing,
            2..=4 => Trouble::Reset,
            5..=7 => Trouble::ResetAfterExecution,
            8 | 9 => Trouble::Truncated,
            10 => Trouble::Limited,
            11 | 12 => Trouble::Unavailable,
            13 => Trouble::TimedOut,
            14 => Trouble::Empty,
            15 => Trouble::Expired,
            16 => Trouble::LimitedInAnswer,
            17 => Trouble::Silent { executed },
            _ => Trouble::Cancelled { executed },
        }
    }

    /// The fault of the simulator, if it is one of its own.
    fn action(self) -> Option<&'static str> {
        Some(match self {
            Trouble::Reset => r#""reset""#,
            Trouble::ResetAfterExecution => r#""reset_after_execution""#,
            Trouble::Truncated => r#"{"truncate": {"bytes": 200}}"#,
            Trouble::Limited => r#"{"status": {"code": 429, "retry_after": 0}}"#,
            Trouble::Unavailable => r#"{"status": {"code": 503}}"#,
            Trouble::TimedOut => r#""html524""#,
            Trouble::Empty => r#""empty""#,
            Trouble::Expired => r#""expire_session""#,
            Trouble::LimitedInAnswer => r#""rate_limit_in_200""#,
            Trouble::Forbidden => r#"{"status_after_execution": {"code": 403, "body": "<html>no</html>"}}"#,
            Trouble::FailureInAnswer => {
                r#"{"status_after_execution": {"code": 200, "content_type": "application/xml",
                    "body": "<response><control><status>failure</status></control><errormessage><error><errorno>GW-0004</errorno><description2>trouble</description2></error></errormessage></response>"}}"#
            }
            Trouble::Replayed => r#""replayed""#,
            Trouble::Late => r#"{"late": {"ms": 15}}"#,
            Trouble::Nothing | Trouble::Silent { .. } | Trouble::Cancelled { .. } => return None,
        })
    }

    fn silence(self) -> Option<bool> {
        match self {
            Trouble::Silent { executed } | Trouble::Cancelled { executed } => Some(executed),
            _ => None,
        }
    }
}

/// What a statement does to its rows.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verb {
    Insert,
    Update,
    Delete,
}

impl Verb {
    fn function(self) -> &'static str {
        match self {
            Verb::Insert => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
        }
    }
}

#[test]
fn nothing_is_doubled_and_nothing_is_lost() {
    let runs = number("SAGE_FUZZ_WRITES").map_or(FEW, |runs| runs as usize);
    let seed = number("SAGE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("SAGE_FUZZ_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let company = Company::start("write_faults");
    let mut client = company.connect();
    client
        .batch_execute(&format!(
            "ALTER SERVER acme OPTIONS (ADD batch_size '{BATCH}', ADD max_retries '2', ADD request_timeout '1.5', ADD write_timeout '1.5');
             CREATE FOREIGN TABLE customer (
               recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'),
               name text OPTIONS (type 'TEXT')) SERVER acme"
        ))
        .expect("a table");
    let (mut failed, mut unknown) = (0, 0);
    for run in 0..runs {
        let outcome = attempt(&company, &mut client, &mut rng, run, seed);
        failed += usize::from(outcome.is_some());
        unknown += usize::from(outcome.is_some_and(|code| code == "08007"));
    }
    println!("{runs} statements, {failed} failed, {unknown} of them with an outcome that is not known");
    // A test under which nothing fails, or everything, would show nothing.
    assert!(
        runs < FEW || (failed > 0 && failed < runs),
        "{failed} of {runs} failed"
    );
}

/// One statement under one fault; gives the SQLSTATE that it failed with.
fn attempt(company: &Company, client: &mut Client, rng: &mut Rng, run: usize, seed: u64) -> Option<String> {
    let rows = rng.usize(1..=4 * BATCH);
    let verb = *rng
        .choice(&[Verb::Insert, Verb::Insert, Verb::Update, Verb::Delete])
        .expect("one of them");
    let prefix = format!("F{run}-");
    let insert = format!(
        "INSERT INTO customer (customerid, name) SELECT '{prefix}' || lpad(i::text, 3, '0'), 'old' FROM generate_series(1, {rows}) i"
    );
    let sql = match verb {
        Verb::Insert => insert,
        _ => {
            client.batch_execute(&insert).expect("rows to work on");
            match verb {
                Verb::Update => format!("UPDATE customer SET name = 'new' WHERE customerid LIKE '{prefix}%'"),
                _ => format!("DELETE FROM customer WHERE customerid LIKE '{prefix}%'"),
            }
        }
    };
    let trouble = Trouble::random(rng);
    let nth = rng.usize(1..=rows.div_ceil(BATCH));
    let context = format!("seed {seed}, run {run}: {verb:?} of {rows} rows, {trouble:?} in batch {nth}");
    let error = under(company, client, &sql, verb, trouble, nth);

    let ids: Vec<String> = (1..=rows).map(|row| format!("{prefix}{row:03}")).collect();
    let done = done(company, verb, &prefix, &context);
    let all: BTreeSet<usize> = (1..=rows).collect();
    let numbers: BTreeSet<usize> = all
        .iter()
        .copied()
        .filter(|row| done.contains(&ids[row - 1]))
        .collect();
    let Some(error) = error else {
        assert_eq!(
            numbers, all,
            "the statement went well, but not all rows are done; {context}"
        );
        return None;
    };
    let detail = error.detail().unwrap_or_default();
    let certain = told(detail, "Certainly");
    let possible = told(detail, "Possibly");
    assert!(
        certain.is_subset(&numbers),
        "certain is {certain:?}, done is {numbers:?}; {context}; {error:?}"
    );
    let most: BTreeSet<usize> = certain.union(&possible).copied().collect();
    assert!(
        numbers.is_subset(&most),
        "at most {most:?}, done is {numbers:?}; {context}; {error:?}"
    );
    assert_eq!(
        error.code().code() == "08007",
        !possible.is_empty(),
        "{context}; {error:?}"
    );
    Some(error.code().code().to_owned())
}

/// Runs a statement while the nth request of its function meets trouble.
fn under(
    company: &Company,
    client: &mut Client,
    sql: &str,
    verb: Verb,
    trouble: Trouble,
    nth: usize,
) -> Option<DbError> {
    if let Some(action) = trouble.action() {
        company.gateway.faults(&format!(
            r#"[{{"match": {{"function": "{}", "nth": {nth}}}, "times": 1, "action": {action}}}]"#,
            verb.function()
        ));
    }
    if let Some(executed) = trouble.silence() {
        let seen = AtomicUsize::new(0);
        let tag = format!("<{}>", verb.function());
        company.gateway.tap.rule(move |xml| {
            match (
                xml.contains(&tag) && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth,
                executed,
            ) {
                (true, true) => Answer::Swallow,
                (true, false) => Answer::Stall,
                (false, _) => Answer::Pass,
            }
        });
    }
    let pid = cluster::backend(client);
    let ended = std::thread::scope(|scope| {
        let statement = scope.spawn(|| client.batch_execute(sql));
        if matches!(trouble, Trouble::Cancelled { .. }) {
            company.gateway.tap.wait_for_stalled(1);
            company.cancel(pid);
        }
        statement.join().expect("the statement ends")
    });
    // What was silent may still be executed: the truth is looked at when nothing is under way.
    company.gateway.tap.wait_for_stalled(0);
    company.gateway.tap.pass();
    company.gateway.clear_faults();
    ended
        .err()
        .map(|error| error.as_db_error().unwrap_or_else(|| panic!("{error:?}")).clone())
}

/// The rows that Intacct holds as the statement leaves them. Fails for one that it holds twice.
fn done(company: &Company, verb: Verb, prefix: &str, context: &str) -> BTreeSet<String> {
    let rows = company.gateway.truth(&format!(
        "SELECT CUSTOMERID AS id, NAME AS name FROM CUSTOMER WHERE CUSTOMERID LIKE '{prefix}%'"
    ));
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let mut there = BTreeSet::new();
    let mut fresh = BTreeSet::new();
    for row in &rows {
        assert!(
            there.insert(text(&row["id"])),
            "{} is there twice; {context}",
            row["id"]
        );
        if text(&row["name"]) == "new" {
            fresh.insert(text(&row["id"]));
        }
    }
    match verb {
        Verb::Insert => there,
        Verb::Update => fresh,
        Verb::Delete => (1..=4 * BATCH)
            .map(|row| format!("{prefix}{row:03}"))
            .filter(|id| !there.contains(id))
            .collect(),
    }
}

/// The rows of a line of the DETAIL: `Certainly stored: rows 1 to 5, 7.`
fn told(detail: &str, word: &str) -> BTreeSet<usize> {
    let line = Regex::new(&format!(r"{word} \w+: rows? ([0-9a-z, ]+)")).expect("a pattern");
    let range = Regex::new(r"(\d+)(?: to (\d+))?").expect("a pattern");
    let Some(found) = line.captures(detail) else {
        return BTreeSet::new();
    };
    range
        .captures_iter(&found[1])
        .flat_map(|part| {
            let number = |index: usize| {
                part.get(index)
                    .map(|text| text.as_str().parse().expect("a number"))
            };
            let first: usize = number(1).expect("a number");
            first..=number(2).unwrap_or(first)
        })
        .collect()
}

#[test]
fn the_sets_of_a_detail_are_read() {
    let detail =
        "Company: acme\nCertainly stored: rows 1 to 3, 7.\nPossibly stored: row 8 (CUSTOMERID F1-008).";
    assert_eq!(told(detail, "Certainly"), BTreeSet::from([1, 2, 3, 7]));
    assert_eq!(told(detail, "Possibly"), BTreeSet::from([8]));
    assert_eq!(told("Certainly stored: no row.", "Certainly"), BTreeSet::new());
}
