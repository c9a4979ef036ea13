//! `query` and `read_report`: the same answers whatever the documentation leaves open, and no wait that cannot be
//! ended.

use std::time::{Duration, Instant};

use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

/// Statements of the connector's syntax and SQL that gives the same rows as a JSON array.
const PAIRS: &[(&str, &str)] = &[
    (
        "select RECORDNO, NAME from CUSTOMER where TERMNAME <> 'Net 30' and STATUS not in (inactive, gone)",
        "SELECT jsonb_build_object('RECORDNO', recordno, 'NAME', name) FROM customer
          WHERE termname <> 'Net 30' AND status NOT IN ('inactive', 'gone')",
    ),
    (
        "select RECORDNO from CUSTOMER where CREDITLIMIT <> 5 and DISCOUNT not in (1, 2)",
        "SELECT jsonb_build_object('RECORDNO', recordno) FROM customer WHERE creditlimit <> 5 AND discount NOT IN (1, 2)",
    ),
    (
        "select RECORDNO from CUSTOMER where NAME not like '%a%' or NAME like 'C_n%' or COMMENTS is null",
        "SELECT jsonb_build_object('RECORDNO', recordno) FROM customer
          WHERE name NOT LIKE '%a%' OR name LIKE 'C_n%' OR comments IS NULL",
    ),
    (
        "select RECORDNO, WHENMODIFIED from CUSTOMER where WHENMODIFIED >= 2021-01-01T00:00:00Z and CREDITLIMIT < TOTALDUE",
        "SELECT jsonb_build_object('RECORDNO', recordno, 'WHENMODIFIED', to_char(whenmodified AT TIME ZONE 'UTC',
            'YYYY-MM-DD\"T\"HH24:MI:SS\"+00:00\"')) FROM customer
          WHERE whenmodified >= '2021-01-01 00:00:00+00' AND creditlimit < totaldue",
    ),
    (
        "select RECORDNO, ONHOLD from CUSTOMER where ONHOLD = true or Is_Strategic = true",
        "SELECT jsonb_build_object('RECORDNO', recordno, 'ONHOLD', onhold) FROM customer WHERE onhold OR is_strategic",
    ),
    (
        "select RECORDNO from CUSTOMER where ONHOLD = false",
        "SELECT jsonb_build_object('RECORDNO', recordno) FROM customer WHERE NOT onhold",
    ),
    (
        "select RECORDNO, WHENDUE from ARINVOICE where WHENDUE between 2021-01-01 and 12/31/2022 and WHENPAID > WHENDUE",
        "SELECT jsonb_build_object('RECORDNO', recordno, 'WHENDUE', whendue) FROM arinvoice
          WHERE whendue BETWEEN '2021-01-01' AND '2022-12-31' AND whenpaid > whendue",
    ),
    (
        "select TERMNAME, count(RECORDNO), sum(CREDITLIMIT), min(CREDITLIMIT), max(LAST_INVOICEDATE) from CUSTOMER",
        "SELECT jsonb_build_object('TERMNAME', termname, 'count(RECORDNO)', count(*), 'sum(CREDITLIMIT)', sum(creditlimit),
            'min(CREDITLIMIT)', min(creditlimit), 'max(LAST_INVOICEDATE)', max(last_invoicedate)) FROM customer GROUP BY termname",
    ),
    (
        "select STATE, count(WHENPAID), avg(TOTALDUE), min(RECORDID) from ARINVOICE",
        "SELECT jsonb_build_object('STATE', state, 'count(WHENPAID)', count(whenpaid), 'avg(TOTALDUE)', avg(totaldue),
            'min(RECORDID)', min(recordid COLLATE \"C\")) FROM arinvoice GROUP BY state",
    ),
    (
        "select count(RECORDNO), sum(TOTALDUE), max(TOTALDUE) from ARINVOICE where RECORDNO < 0",
        "SELECT jsonb_build_object('count(RECORDNO)', count(*), 'sum(TOTALDUE)', sum(totaldue), 'max(TOTALDUE)', max(totaldue))
           FROM arinvoice WHERE recordno < 0",
    ),
    (
        "select count(WHENPAID) from ARINVOICE where WHENPAID is not null",
        "SELECT jsonb_build_object('count(WHENPAID)', count(whenpaid)) FROM arinvoice",
    ),
    (
        "select NAME from CUSTOMER where NAME = '' or NAME in (tom, 'jerry')",
        "SELECT jsonb_build_object('NAME', name) FROM customer WHERE name IN ('tom', 'jerry')",
    ),
];

/// What the gateway's documentation leaves open, the other way round.
const READINGS: &[(&str, &str)] = &[
    ("nulls", "first"),
    ("null_groups", "dropped"),
    ("negatives", "with_nulls"),
    ("text_order", "linguistic"),
    ("date_format", "iso"),
    ("aggregate_names", "plain"),
    ("count", "rows"),
    ("empty_aggregate", "zero"),
    ("empty_aggregate", "empty"),
    ("trailing_blanks", "ignored"),
    ("numbers", "padded"),
    ("tag_case", "upper"),
];

#[test]
fn statements_give_the_rows_of_sql_under_every_reading() {
    let company = Company::start("query_readings");
    company.import("customer, arinvoice");
    let mut client = company.connect();
    let mut faults = Vec::new();
    // What SQL answers here does not depend on the readings: other tests see to that.
    let expected: Vec<String> = PAIRS
        .iter()
        .map(|(_, sql)| {
            let sql = format!("SELECT coalesce(jsonb_agg(j ORDER BY j), '[]')::text FROM ({sql}) AS t(j)");
            client.query_one(&sql, &[]).expect(&sql).get(0)
        })
        .collect();
    let with_rows = expected.iter().filter(|rows| *rows != "[]").count();
    assert!(with_rows + 1 >= PAIRS.len(), "the statements find rows");
    let check = |client: &mut postgres::Client, reading: &str, faults: &mut Vec<String>| {
        for ((statement, _), expected) in PAIRS.iter().zip(&expected) {
            let sql = "SELECT coalesce(jsonb_agg(j ORDER BY j), '[]')::text FROM sage_intacct.query('acme', $1) AS j";
            match client.query_one(sql, &[statement]) {
                Ok(row) => {
                    let got: String = row.get(0);
                    // Groups of numbers are the same whatever their zeros: jsonb compares them so, texts do not.
                    let same: bool = client
                        .query_one("SELECT $1::text::jsonb = $2::text::jsonb", &[&got, expected])
                        .expect("jsonb")
                        .get(0);
                    if !same {
                        faults.push(format!(
                            "{reading}: {statement}\n  expected {expected}\n  got      {got}"
                        ));
                    }
                }
                Err(error) => faults.push(format!("{reading}: {statement}\n  {error:?}")),
            }
        }
    };
    check(&mut client, "as documented", &mut faults);
    for (setting, value) in READINGS {
        let before = match *setting {
            "nulls" => "high",
            "null_groups" => "kept",
            "negatives" => "without_nulls",
            "text_order" => "binary",
            "date_format" => "user",
            "aggregate_names" => "prefixed",
            "count" => "values",
            "empty_aggregate" => "none",
            "trailing_blanks" => "significant",
            "numbers" => "short",
            "tag_case" => "catalog",
            other => panic!("{other} has no default here"),
        };
        company.gateway.set(setting, value);
        check(&mut client, &format!("{setting} {value}"), &mut faults);
        company.gateway.set(setting, before);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_limit_ends_the_reading() {
    let company = Company::start("query_limit");
    let mut client = company.connect();
    let count = || {
        let requests = company.gateway.tap.requests();
        requests.iter().filter(|xml| xml.contains("<query>")).count()
    };
    client
        .batch_execute("SELECT sage_intacct.query('acme', 'select NAME from CUSTOMER limit 5')")
        .expect("rows");
    assert_eq!(count(), 1, "one page is enough");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '10')")
        .expect("altered");
    let rows = client
        .query(
            "SELECT sage_intacct.query('acme', 'select NAME from CUSTOMER') LIMIT 3",
            &[],
        )
        .expect("rows");
    assert_eq!(rows.len(), 3);
    assert!(count() < 8, "the rest is not read: {} requests", count());
}

#[test]
fn a_report_that_never_gets_ready_can_be_cancelled() {
    let company = Company::start("query_report_timeout");
    company.gateway.set("report_polls", "1000000");
    let mut client = company.connect();
    client
        .batch_execute("SET statement_timeout = '500ms'")
        .expect("set");
    let began = Instant::now();
    let error = client
        .simple_query("SELECT * FROM sage_intacct.read_report('acme', 'Customer balances')")
        .expect_err("it never ends");
    assert_eq!(error.code().map(|code| code.code()), Some("57014"));
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "the wait ended with the time-out"
    );
}

#[test]
fn a_report_without_an_end_is_an_error() {
    let company = Company::start("query_report_endless");
    let mut client = company.connect();
    // So many pages that the gateway keeps the report.
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '10')")
        .expect("an option");
    let mut refused = |expected: &str, code: &str| {
        company.gateway.tap.forget();
        let error = client
            .simple_query("SELECT * FROM sage_intacct.read_report('acme', 'Customer balances')")
            .expect_err(expected);
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!((error.message(), error.code().code()), (expected, code));
        let calls = company.gateway.tap.requests();
        let calls = calls.iter().filter(|xml| xml.contains("<reportId>")).count();
        assert!(calls <= 6, "{calls} calls");
    };
    for (attributes, expected) in [
        (
            r#"listtype="report" count="0" totalcount="9" numremaining="9""#,
            "9 rows of the report remain, and 4 answers in a row bring none",
        ),
        (
            r#"listtype="report" count="0" numremaining="1""#,
            "1 rows of the report remain, and 4 answers in a row bring none",
        ),
    ] {
        company.gateway.tap.rule(move |xml| {
            if !xml.contains("<reportId>") {
                return Answer::Pass;
            }
            Answer::Edit(Box::new(move |body| {
                // The first answer says that it is pending.
                let Some(start) = body.find("<data") else {
                    return body;
                };
                let end = body.find("</data>").expect("its end");
                format!("{}<data {attributes}>{}", &body[..start], &body[end..])
            }))
        });
        refused(expected, "HV000");
    }
    company.gateway.tap.pass();
    company.gateway.set("report_polls", "1000000");
    company
        .connect()
        .batch_execute("ALTER SERVER acme OPTIONS (ADD request_timeout '2')")
        .expect("an option");
    refused("the report is still pending after 2 seconds", "08006");
}

/// One rule for the planner and for statements: what blanks at the end of a value do is not left to the gateway.
#[test]
fn blanks_at_the_end_of_a_value_are_looked_at_again() {
    let company = Company::start("query_blanks");
    let keys = company
        .gateway
        .truth("SELECT RECORDNO AS n FROM CUSTOMER WHERE MEGAENTITYKEY IS NULL ORDER BY 1 LIMIT 2");
    for (key, name) in keys.iter().zip(["edge ", "edge"]) {
        company.gateway.change(serde_json::json!([
            { "update": { "object": "CUSTOMER", "keys": [key["n"]], "values": { "NAME": name } } }
        ]));
    }
    let mut client = company.connect();
    for reading in ["ignored", "significant"] {
        company.gateway.set("trailing_blanks", reading);
        for (condition, expected) in [
            ("NAME = edge", vec!["edge"]),
            ("NAME = edge or RECORDNO = -1", vec!["edge"]),
            ("NAME = 'edge '", vec!["edge "]),
            ("NAME = 'edge ' or RECORDNO = -1", vec!["edge "]),
            ("[NAME = edge or RECORDNO = -1] and RECORDNO > 0", vec!["edge"]),
            ("NAME in ('edge ', 'nobody')", vec!["edge "]),
            ("NAME in (edge) or NAME in (nobody)", vec!["edge"]),
            ("NAME like edge", vec!["edge"]),
            ("NAME like 'edge %'", vec!["edge "]),
            ("NAME like 'edge_'", vec!["edge "]),
            ("NAME like 'edge%' and NAME not like edge", vec!["edge "]),
            ("NAME like 'edge%' and NAME not like 'edge_'", vec!["edge"]),
            ("NAME like 'edge%' and NAME <> edge", vec!["edge "]),
            ("NAME like 'edge%' and NAME not in (edge, x)", vec!["edge "]),
            ("NAME like 'edge%' and NAME not like 'x%'", vec!["edge", "edge "]),
        ] {
            let statement = format!("select NAME from CUSTOMER where {condition}");
            let sql = "SELECT q->>'NAME' FROM sage_intacct.query('acme', $1) q ORDER BY 1";
            let rows = client
                .query(sql, &[&statement])
                .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
            let mut names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{reading}: {statement}");
        }
    }
}
