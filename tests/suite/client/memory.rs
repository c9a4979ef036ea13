//! What a gateway sends costs no more memory than its kind may, however many elements a few bytes hold; and an error
//! costs none.

use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::process::{forget_peak, peak_kib, resources};
use sage_intacct_fdw_tests::tap::Answer;

/// The simulator's answer with other data in it.
fn data(inside: &'static str, count: usize) -> Answer {
    Answer::Edit(Box::new(move |body| {
        let start = body.find("<data").expect("an element data");
        let end = body.rfind("</data>").expect("the end of data") + "</data>".len();
        format!(
            "{}<data>{}</data>{}",
            &body[..start],
            inside.repeat(count),
            &body[end..]
        )
    }))
}

/// An answer that is larger in memory than it looks.
struct Case {
    name: &'static str,
    statement: &'static str,
    /// The function whose answer is changed.
    function: &'static str,
    inside: &'static str,
    count: usize,
    /// SQLSTATE; none where the rows are read and counted locally instead.
    code: Option<&'static str>,
    /// MiB that it may cost, the body included.
    bound: u64,
}

/// Bytes of the bodies are at most 32 MB; definitions may take 64 MiB, records 256 MiB more, and rows what was asked for.
const CASES: &[Case] = &[
    Case {
        name: "rows without fields",
        statement: "SELECT * FROM customer",
        function: "<query>",
        inside: "<x/>",
        count: 8_000_000,
        code: Some("54000"),
        bound: 48,
    },
    Case {
        name: "rows of one field",
        statement: "SELECT * FROM customer",
        function: "<query>",
        inside: "<C><RECORDNO>1</RECORDNO></C>",
        count: 1_000_000,
        code: Some("54000"),
        bound: 48,
    },
    Case {
        name: "rows where one was asked for",
        statement: "SELECT * FROM customer LIMIT 1",
        function: "<query>",
        inside: "<C><NAME>&amp;</NAME></C>",
        count: 1_000_000,
        code: Some("54000"),
        bound: 48,
    },
    Case {
        name: "groups",
        statement: "SELECT custtype, count(*) FROM customer GROUP BY custtype",
        function: "<count>",
        inside: "<C><CUSTTYPE>a</CUSTTYPE></C>",
        count: 1_000_000,
        code: None,
        bound: 48,
    },
    Case {
        name: "a definition of empty elements",
        statement: "SELECT * FROM sage_intacct.describe('acme', 'VENDOR')",
        function: "<lookup>",
        inside: "<x/>",
        count: 4_000_000,
        code: Some("54000"),
        bound: 112,
    },
    Case {
        name: "a definition of fields",
        statement: "SELECT * FROM sage_intacct.describe('acme', 'VENDOR')",
        function: "<lookup>",
        inside: "<Type><Fields><Field><ID>A</ID></Field></Fields></Type>",
        count: 500_000,
        code: Some("54000"),
        bound: 112,
    },
    Case {
        name: "objects",
        statement: "SELECT * FROM sage_intacct.objects('acme', probe => false)",
        function: "<inspect>",
        inside: "<type typename=\"A\"/>",
        count: 1_500_000,
        code: Some("54000"),
        bound: 112,
    },
    Case {
        name: "a session",
        statement: "SELECT * FROM customer",
        function: "<getAPISession",
        inside: "<api/>",
        count: 4_000_000,
        code: Some("54000"),
        bound: 112,
    },
    Case {
        name: "preferences",
        statement: "SELECT * FROM customer",
        function: "<readUserFormatting>",
        inside: "<a><b/></a>",
        count: 2_000_000,
        code: Some("54000"),
        bound: 112,
    },
    Case {
        name: "a report",
        statement: "SELECT * FROM sage_intacct.read_report('acme', 'Customer balances')",
        function: "<readReport>",
        inside: "<r><a/></r>",
        count: 2_500_000,
        code: Some("54000"),
        bound: 336,
    },
];

#[test]
fn what_a_gateway_sends_costs_no_more_than_its_kind_may() {
    let company = Company::start("memory");
    company.import("customer");
    let mut faults = Vec::new();
    for case in CASES {
        // A session of its own: memory that one answer took is not lying ready for the next.
        let mut client = company.connect();
        client
            .batch_execute("ALTER SERVER acme OPTIONS (ADD max_retries '0')")
            .or_else(|_| client.batch_execute("ALTER SERVER acme OPTIONS (SET max_retries '0')"))
            .expect("an option");
        let _ = client.simple_query("SELECT sage_intacct.version()");
        let pid = cluster::backend(&mut client);
        let (function, inside, count) = (case.function, case.inside, case.count);
        company.gateway.tap.rule(move |xml| match xml.contains(function) {
            true => data(inside, count),
            false => Answer::Pass,
        });
        forget_peak(pid);
        let before = peak_kib(pid);
        let outcome = client.simple_query(case.statement);
        let cost = peak_kib(pid).saturating_sub(before) / 1024;
        let code = match &outcome {
            Ok(_) => None,
            Err(error) => match error.as_db_error() {
                None => panic!("{}: the backend died: {error:?}", case.name),
                Some(error) => Some(error.code().code()),
            },
        };
        println!("{}: {code:?}, {cost} MiB", case.name);
        if code != case.code || cost > case.bound {
            faults.push(format!("{}: {code:?}, {cost} MiB", case.name));
        }
        company.gateway.tap.pass();
        client
            .query("SELECT recordno FROM customer", &[])
            .expect("the next statement");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Errors of one kind: what is raised, where.
struct Failing {
    name: &'static str,
    /// Before the first.
    prepare: &'static str,
    statement: &'static str,
    code: SqlState,
}

/// How often each is raised before the first look at the memory.
const WARM: usize = 500;

/// Runs a statement that fails, many times in one session, and looks whether the session has grown.
fn costs_nothing(company: &Company, failing: &Failing, times: usize) {
    let mut client = company.connect();
    client.batch_execute(failing.prepare).expect("prepared");
    let pid = cluster::backend(&mut client);
    let mut fail = |times: usize| {
        for _ in 0..times {
            let error = client.simple_query(failing.statement).expect_err("it fails");
            assert_eq!(error.code(), Some(&failing.code), "{}: {error:?}", failing.name);
        }
        company.gateway.forget_requests();
        resources(pid)
    };
    let before = fail(WARM);
    let after = fail(times);
    println!("{}: {before:?} {after:?}", failing.name);
    assert!(
        after.memory_kib <= before.memory_kib + 1536,
        "{}: {before:?} {after:?}",
        failing.name
    );
}

#[test]
fn ten_thousand_errors_of_a_parameter_cost_no_memory() {
    let company = Company::start("memory_parameter");
    company.import("customer");
    for (failing, times) in [
        (
            Failing {
                name: "a division by zero",
                prepare: "SET plan_cache_mode = force_generic_plan;
                      PREPARE s (bigint) AS SELECT * FROM customer WHERE recordno = 1 / $1",
                statement: "EXECUTE s (0)",
                code: SqlState::DIVISION_BY_ZERO,
            },
            10_000,
        ),
        (
            Failing {
                name: "a text that is no number",
                prepare: "SET plan_cache_mode = force_generic_plan;
                      PREPARE s (text) AS SELECT name FROM customer WHERE totaldue > $1::numeric",
                statement: "EXECUTE s ('x')",
                code: SqlState::INVALID_TEXT_REPRESENTATION,
            },
            2000,
        ),
    ] {
        costs_nothing(&company, &failing, times);
    }
}

#[test]
fn errors_of_an_aggregate_and_of_an_append_cost_no_memory() {
    let company = Company::start("memory_append");
    company.import("customer, arinvoice");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE TABLE both_ (recordno bigint, name text) PARTITION BY LIST (name);
             CREATE FOREIGN TABLE part_a PARTITION OF both_ FOR VALUES IN ('a') SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE part_b PARTITION OF both_ FOR VALUES IN ('b') SERVER acme OPTIONS (object 'VENDOR')",
        )
        .expect("partitions");
    for failing in [
        Failing {
            name: "an aggregate's parameter",
            prepare: "SET plan_cache_mode = force_generic_plan;
                      PREPARE s (bigint) AS SELECT count(*) FROM customer WHERE recordno = 1 / $1",
            statement: "EXECUTE s (0)",
            code: SqlState::DIVISION_BY_ZERO,
        },
        Failing {
            name: "a condition below an asynchronous Append",
            prepare: "SELECT 1",
            statement: "SELECT * FROM both_ WHERE 1 / (recordno - recordno) = 1",
            code: SqlState::DIVISION_BY_ZERO,
        },
        Failing {
            name: "a row that is skipped",
            prepare: "SELECT 1",
            statement: "SELECT recordno FROM customer WHERE 1 / (recordno - recordno) = 1 OFFSET 3",
            code: SqlState::DIVISION_BY_ZERO,
        },
    ] {
        costs_nothing(&company, &failing, 1000);
    }
}

#[test]
fn rows_that_are_skipped_cost_no_memory() {
    // Text of a length that the type's own input function checks lies in the memory of the row.
    const LENGTH: usize = 100_000;
    let company = Company::start("memory_offset");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE long (recordno bigint OPTIONS (field 'RECORDNO', type 'INTEGER'),
                                        name varchar(200000) OPTIONS (field 'NAME'),
                                        whenmodified timestamptz OPTIONS (field 'WHENMODIFIED', type 'TIMESTAMP'))
                 SERVER acme OPTIONS (object 'CUSTOMER', page_size '10');
             ALTER SERVER acme OPTIONS (ADD time_zone 'UTC')",
        )
        .expect("a table");
    company.gateway.tap.rule(|xml| match xml.contains("<query>") {
        true => Answer::Edit(Box::new(|body| {
            let name = regex::Regex::new("<NAME>[^<]*</NAME>").expect("a pattern");
            let long = format!("<NAME>{}</NAME>", "x".repeat(LENGTH));
            name.replace_all(&body, long.as_str()).into_owned()
        })),
        false => Answer::Pass,
    });
    let pid = cluster::backend(&mut client);
    // The fraction of a second keeps the gateway from skipping.
    client
        .batch_execute(
            "SET plan_cache_mode = force_generic_plan;
             PREPARE s (timestamptz, bigint) AS
                 SELECT length(name) FROM long WHERE whenmodified > $1 OFFSET $2",
        )
        .expect("prepared");
    let mut skip = |rows: i64| {
        forget_peak(pid);
        let before = peak_kib(pid);
        client
            .simple_query(&format!("EXECUTE s ('2000-01-01 00:00:00.5+00', {rows})"))
            .expect("rows");
        peak_kib(pid).saturating_sub(before)
    };
    skip(5);
    let (few, many) = (skip(5), skip(140));
    println!("{few} {many}");
    // 135 rows of 100 kB, were they kept.
    assert!(many < few + 6 * 1024, "{few} KiB for few, {many} KiB for many");
}
