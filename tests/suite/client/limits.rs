//! What a user can type is an answer or a clear error, never an internal one: long rows, deep conditions, many scans,
//! a cancel at any moment.

use std::fmt::Write;
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::process::resources;
use sage_intacct_fdw_tests::sql::within;

/// A count, as the gateway and as PostgreSQL alone evaluate the condition.
fn counts(client: &mut Client, condition: &str) -> (i64, i64) {
    let statement = format!("SELECT count(*) FROM customer WHERE {condition}");
    let mut count = |push: &str| {
        client
            .batch_execute(&format!("SET sage_intacct.push_where = {push}"))
            .expect("a setting");
        client
            .query_one(&statement, &[])
            .unwrap_or_else(|error| panic!("{}: {error:?}", &statement[..statement.len().min(200)]))
            .get(0)
    };
    (count("on"), count("off"))
}

/// `item` so many times, with commas.
fn list(item: &str, count: usize) -> String {
    vec![item; count].join(", ")
}

#[test]
fn rows_of_any_length_are_compared() {
    let company = Company::start("limits_rows");
    company.import("customer");
    let mut client = company.connect();
    for length in [2, 15, 16, 17, 31, 32, 33, 64, 200, 1600] {
        let columns = list("recordno", length);
        for (operator, last) in [("<", 70), ("<=", 60), (">", 60), (">=", 70)] {
            let values = format!("{}, {last}", list("60", length - 1));
            for not in ["", "NOT "] {
                let condition = format!("{not}(({columns}) {operator} ({values}))");
                let (pushed, local) = counts(&mut client, &condition);
                assert_eq!(pushed, local, "{not}{operator} of {length} columns");
            }
        }
    }
    // Columns of several types, and some that are not pushed.
    let columns = list("totaldue, whencreated::date, recordno, name", 20);
    let values = list("1000.00, '2024-02-03', 5, 'x'", 20);
    let (pushed, local) = counts(&mut client, &format!("({columns}) < ({values})"));
    assert_eq!(pushed, local);
}

#[test]
fn conditions_of_any_depth_are_evaluated() {
    let company = Company::start("limits_depth");
    company.import("customer");
    let mut client = company.connect();
    let row = format!("({}) < ({})", list("recordno", 16), list("50", 16));
    for depth in [5, 19, 20, 21, 31, 32, 40, 41, 64, 100] {
        for innermost in ["recordno > 5", row.as_str()] {
            let mut condition = innermost.to_owned();
            for level in 0..depth {
                condition = format!(
                    "(({condition}) AND totaldue > {level}) OR recordno = {}",
                    3 * level
                );
            }
            let (pushed, local) = counts(&mut client, &condition);
            assert_eq!(pushed, local, "{depth} levels");
            let (pushed, local) = counts(&mut client, &format!("NOT ({condition})"));
            assert_eq!(pushed, local, "NOT of {depth} levels");
        }
    }
}

#[test]
fn a_filter_may_be_as_deep_as_its_syntax_allows() {
    let company = Company::start("limits_filter");
    let mut client = company.connect();
    for depth in [1, 20, 31, 32, 49] {
        let mut filter = "RECORDNO > 5".to_owned();
        for level in 0..depth {
            filter = format!("RECORDNO = {level} or TOTALDUE > {level} and ({filter})");
        }
        client
            .batch_execute(&format!(
                "DROP FOREIGN TABLE IF EXISTS filtered;
                 CREATE FOREIGN TABLE filtered (recordno bigint OPTIONS (type 'INTEGER'), totaldue numeric)
                     SERVER acme OPTIONS (object 'CUSTOMER', filter '{filter}')"
            ))
            .expect("a filter within the syntax");
        for statement in [
            "SELECT count(*) FROM filtered",
            "SELECT sum(totaldue) FROM filtered WHERE recordno < 90 OR recordno > 100",
            "SELECT count(*) FROM (SELECT recordno FROM filtered ORDER BY recordno LIMIT 7) x",
        ] {
            client
                .query(statement, &[])
                .unwrap_or_else(|error| panic!("{depth} levels: {statement}: {error:?}"));
        }
    }
}

#[test]
fn jsonb_that_cannot_be_held_is_the_callers_error() {
    let company = Company::start("limits_json");
    company.import("customer");
    let mut client = company.connect();
    let call = |function: usize, argument: &str| match function {
        0 => format!("SELECT sage_intacct.upsert('customer', {argument})"),
        _ => format!("SELECT sage_intacct.read_report('acme', 'Invoice register', {argument})"),
    };
    for argument in [
        "(repeat('[', 200) || repeat(']', 200))::jsonb",
        "(repeat('{\"a\":', 1000) || '1' || repeat('}', 1000))::jsonb",
        "jsonb_build_array(jsonb_build_object('name', (repeat('[', 126) || repeat(']', 126))::jsonb))",
    ] {
        for function in [0, 1] {
            let statement = call(function, argument);
            let error = client.simple_query(&statement).expect_err("too deep");
            assert_eq!(error.code(), Some(&SqlState::PROGRAM_LIMIT_EXCEEDED), "{error:?}");
        }
    }
    // Numbers beyond double precision are numbers.
    for argument in ["'{\"a\": 1e400}'", "'[{\"name\": \"x\", \"totaldue\": -1e999}]'"] {
        if let Err(error) = client.simple_query(&call(0, argument)) {
            assert_ne!(error.code(), Some(&SqlState::INTERNAL_ERROR), "{error:?}");
        }
    }
}

#[test]
fn scans_that_wait_for_their_turn_take_no_descriptor() {
    let company = Company::start("limits_descriptors");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '10')")
        .expect("an option");
    let pid = cluster::backend(&mut client);
    let descriptors = || resources(pid).descriptors;
    client.batch_execute("BEGIN").expect("a transaction");
    let mut after_a_few = 0;
    // Cursors that have read one page of several. PostgreSQL lets extensions have a third of its own, 333 by default.
    for number in 0..400 {
        client
            .batch_execute(&format!(
                "DECLARE c{number} CURSOR FOR SELECT recordno FROM customer; FETCH 1 FROM c{number}"
            ))
            .unwrap_or_else(|error| panic!("{number}: {error:?}"));
        if number == 20 {
            after_a_few = descriptors();
        }
        company.gateway.forget_requests();
    }
    assert!(
        descriptors() <= after_a_few + 5,
        "{} after {after_a_few}",
        descriptors()
    );
    for number in [0, 200, 399] {
        let rest = client
            .execute(&format!("MOVE ALL FROM c{number}"), &[])
            .expect("rows");
        assert_eq!(rest as i64, company.rows("CUSTOMER") - 1);
    }
    client.batch_execute("ROLLBACK").expect("an end");
}

#[test]
fn a_cancel_while_answers_arrive_is_a_cancel() {
    let company = Company::start("limits_cancel");
    company.import("customer, vendor");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD page_size '5');
             CREATE VIEW both_ AS SELECT recordno FROM customer UNION ALL SELECT recordno FROM vendor",
        )
        .expect("a view");
    let statements = [
        "SELECT name FROM customer",
        "SELECT count(*), max(recordno) FROM customer",
        "SELECT * FROM both_",
        "SELECT * FROM sage_intacct.query('acme', 'select NAME from CUSTOMER')",
        "SELECT * FROM sage_intacct.describe('acme', 'CUSTOMER')",
        "SELECT * FROM sage_intacct.read_report('acme', 'Invoice register')",
        "SELECT * FROM sage_intacct.check('acme')",
    ];
    let (mut cancelled, mut answered) = (0, 0);
    for statement in statements {
        // Times from before the first answer to behind the last.
        for tenths in (1..400).step_by(9) {
            let sql = within(&format!("{}us", 100 * tenths), statement);
            match client.simple_query(&sql) {
                Ok(_) => answered += 1,
                Err(error) => {
                    assert_eq!(
                        error.code(),
                        Some(&SqlState::QUERY_CANCELED),
                        "{statement}: {error:?}"
                    );
                    cancelled += 1;
                }
            }
        }
        company.gateway.forget_requests();
    }
    assert!(cancelled > 0, "{cancelled} cancelled, {answered} answered");
    client
        .batch_execute("SELECT count(*) FROM customer")
        .expect("the backend works on");
}

/// How long a statement may go on behind its `statement_timeout` of a second, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn planning_can_be_cancelled() {
    let company = Company::start("limits_planning");
    company.import("customer");
    let mut client = company.connect();
    let repeated = |count: usize, joined: &str, part: &dyn Fn(usize) -> String| {
        let parts: Vec<String> = (0..count).map(part).collect();
        parts.join(joined)
    };
    let conditions = [
        repeated(40_000, " OR ", &|n| format!("recordno = {n} OR name = 'n{n}'")),
        repeated(20_000, " OR ", &|n| {
            format!("whenmodified > now() - interval '{n} h'")
        }),
        repeated(40_000, " AND ", &|n| format!("recordno <> {n}")),
        format!("totaldue IN ({})", repeated(500_000, ", ", &|n| n.to_string())),
        format!("name NOT IN ({})", repeated(500_000, ", ", &|n| format!("'{n}'"))),
        format!(
            "recordno = ANY ('{{{}}}')",
            repeated(1_000_000, ",", &|n| n.to_string())
        ),
    ];
    for condition in conditions {
        let mut sql = String::from("EXPLAIN (COSTS off) SELECT name FROM customer WHERE ");
        sql.write_str(&condition).expect("a string");
        let start = Instant::now();
        let outcome = client.batch_execute(&within("1s", &sql));
        let head = &condition[..60];
        assert!(start.elapsed() < PATIENCE, "{head}: {:?}", start.elapsed());
        if let Err(error) = outcome {
            assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{head}: {error:?}");
        }
    }
}

#[test]
fn errors_say_nothing_of_how_the_library_was_built() {
    // Every cluster of the tests runs with RUST_BACKTRACE=1, as containers do.
    let company = Company::start("limits_backtrace");
    company.import("customer");
    let mut client = company.connect();
    let pid = cluster::backend(&mut client);
    // A backend's own environment lies where it shows its title; the postmaster has the same.
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the backend's status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let parent = parent.expect("the postmaster").trim();
    let environment = std::fs::read(format!("/proc/{parent}/environ")).expect("the postmaster's environment");
    assert!(
        environment
            .split(|byte| *byte == 0)
            .any(|pair| pair == b"RUST_BACKTRACE=1"),
        "the cluster runs without backtraces"
    );
    for statement in [
        "SELECT * FROM customer WHERE 1 / (recordno - recordno) = 1",
        &within("1ms", "SELECT c.name, pg_sleep(0.01) FROM customer c"),
        "CREATE SERVER other FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company 'x')",
        "SELECT * FROM sage_intacct.query('acme', 'select')",
        "SELECT * FROM sage_intacct.query('nowhere', 'select A from B')",
        "IMPORT FOREIGN SCHEMA intacct LIMIT TO (nothing) FROM SERVER acme INTO nowhere",
        "SELECT sage_intacct.upsert('customer', '[1]')",
        "DO $$ BEGIN PERFORM * FROM customer WHERE recordno = 1 / (SELECT 0); END $$",
    ] {
        let error = client.simple_query(statement).expect_err(statement);
        let error = error.as_db_error().expect("the backend lives");
        for text in [Some(error.message()), error.detail(), error.hint()]
            .into_iter()
            .flatten()
        {
            assert!(
                !text.contains(".rs:") && !text.contains("/rustc/") && !text.contains(".cargo"),
                "{statement}: {error:?}"
            );
        }
    }
}
