//! Errors say what is true: which part refused, which field and record a value belongs to, which field is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

fn page(status: &str, body: &str) -> Answer {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Answer::Raw((head + body).into_bytes())
}

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Attention Required!</title></head><body>cf-error-details</body></html>";

fn control(errorno: &str, text: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><response><control><status>failure</status><senderid/><controlid/>\
         <uniqueid/><dtdversion/></control><errormessage><error><errorno>{errorno}</errorno><description/>\
         <description2>{text}</description2><correction/></error></errormessage></response>"
    )
}

/// SQLSTATE, message, DETAIL and HINT of a statement that fails.
fn failure(client: &mut Client, sql: &str) -> (String, String, String, String) {
    let error = client.batch_execute(sql).expect_err(sql);
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    (
        error.code().code().to_owned(),
        error.message().to_owned(),
        text(error.detail()),
        text(error.hint()),
    )
}

/// The gateway itself may refuse the user, with status 200 or 401, when signing in or later.
#[test]
fn a_sign_in_refused_above_the_functions_is_28p01() {
    let company = Company::start("honest_sign_in");
    company.import("customer");
    for (status, number) in [
        ("200 OK", "XMLGW_JPP0002"),
        ("401 Unauthorized", "XMLGW_JPP0002"),
        ("401 Unauthorized", ""),
    ] {
        let answer = move || {
            page(
                status,
                &control(
                    number,
                    "Sign-in information is incorrect. Please check your request.",
                ),
            )
        };
        company.gateway.tap.rule(move |_| answer());
        let (code, ..) = failure(&mut company.connect(), "SELECT * FROM customer");
        assert_eq!(code, "28P01", "{status} {number} at sign-in");
        let mut client = company.connect();
        let steps = client
            .query(
                "SELECT step, ok, coalesce(detail, '') FROM sage_intacct.check('acme')",
                &[],
            )
            .expect("steps");
        let step = |name: &str| {
            let row = steps
                .iter()
                .find(|row| row.get::<_, &str>(0) == name)
                .expect(name);
            (row.get::<_, Option<bool>>(1), row.get::<_, String>(2))
        };
        assert!(!step("sender").1.contains("accepted"), "{:?}", step("sender"));
        assert_eq!(step("sign-in").0, Some(false));
        // In a session that lives: the second page is refused.
        company.gateway.tap.pass();
        let mut client = company.connect();
        client
            .batch_execute("BEGIN; ALTER SERVER acme OPTIONS (ADD page_size '20')")
            .expect("an option");
        client
            .batch_execute("SELECT name FROM customer LIMIT 1")
            .expect("a session");
        company.gateway.tap.rule(move |request| {
            match request.contains("<offset>") || request.contains("<greaterthan>") {
                true => answer(),
                false => Answer::Pass,
            }
        });
        let (code, ..) = failure(&mut client, "SELECT name FROM customer");
        assert_eq!(code, "28P01", "{status} {number} in mid-scan");
        company.gateway.tap.pass();
    }
}

/// Words in a text of a function say nothing of company, session or rate.
#[test]
fn texts_of_functions_do_not_speak_for_the_levels_above() {
    let company = Company::start("honest_levels");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("SELECT * FROM customer LIMIT 1")
        .expect("a session");
    for text in [
        "multi-currency is disabled for this company",
        "Company CONSOL is inactive in this book",
        "The filter 'Please try again later' is not valid",
        "Value Invalid session is not one of NAME",
    ] {
        let fault = serde_json::json!([{"match": {"function": "query"}, "times": 0,
            "action": {"function_error": {"errorno": "BL03000018", "description2": text}}}]);
        company.gateway.faults(&fault.to_string());
        let (code, _, detail, _) = failure(&mut client, "SELECT * FROM customer");
        assert_eq!(code, "HV000", "{text}");
        assert!(detail.contains(text), "{detail}");
        company.gateway.clear_faults();
    }
}

/// A page of a front end passes; when it does not, it is no refusal of the gateway's.
#[test]
fn a_page_of_a_front_end_is_asked_past() {
    let company = Company::start("honest_pages");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD max_retries '2')")
        .expect("an option");
    for status in ["403 Forbidden", "520 x", "522 x", "530 x", "533 x"] {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        company
            .gateway
            .tap
            .rule(move |_| match count.fetch_add(1, Ordering::SeqCst) {
                0 => page(status, HTML),
                _ => Answer::Pass,
            });
        let rows = client
            .query("SELECT name FROM customer LIMIT 3", &[])
            .unwrap_or_else(|error| panic!("{status}: {error:?}"));
        assert_eq!(
            (rows.len(), seen.load(Ordering::SeqCst) > 1),
            (3, true),
            "{status}"
        );
    }
    company.gateway.tap.rule(|_| page("403 Forbidden", HTML));
    let (code, message, _, hint) = failure(&mut client, "SELECT name FROM customer");
    assert_eq!(code, "08006", "{message}");
    assert!(hint.contains("try again later"), "{hint}");
    let mut fresh = company.connect();
    let steps = fresh
        .query(
            "SELECT step, ok, coalesce(detail, '') || coalesce(hint, '') FROM sage_intacct.check('acme')",
            &[],
        )
        .expect("steps");
    let failed: Vec<(String, String)> = steps
        .iter()
        .filter(|row| row.get::<_, Option<bool>>(1) == Some(false))
        .map(|row| (row.get(0), row.get(2)))
        .collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].1.contains("08006"), "{failed:?}");
    assert!(
        steps
            .iter()
            .all(|row| !row.get::<_, String>(2).contains("accepted, authorized")
                && !row.get::<_, String>(2).contains("sender1 accepted")),
        "{steps:?}"
    );
}

/// A value that a type does not take names object, field and record.
#[test]
fn values_that_a_type_does_not_take_name_their_place() {
    let company = Company::start("honest_values");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE DOMAIN short AS text CHECK (length(value) < 3);
             CREATE TYPE mood AS ENUM ('sad');
             CREATE FOREIGN TABLE numbers (recordno bigint, customerid int) SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE shorts (recordno bigint, name short) SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE moods (recordno bigint, status mood) SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE chars (recordno bigint, name varchar(1)) SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE alone (customerid int) SERVER acme OPTIONS (object 'CUSTOMER')",
        )
        .expect("tables");
    for (sql, code, field) in [
        ("SELECT customerid FROM numbers", "22P02", "CUSTOMERID"),
        ("SELECT customerid FROM alone", "22P02", "CUSTOMERID"),
        ("SELECT sum(customerid) FROM numbers", "22P02", "CUSTOMERID"),
        ("SELECT * FROM shorts", "23514", "NAME"),
        ("SELECT * FROM moods", "22P02", "STATUS"),
        ("SELECT * FROM chars", "22001", "NAME"),
        ("ANALYZE numbers", "22P02", "CUSTOMERID"),
    ] {
        let (state, message, detail, hint) = failure(&mut client, sql);
        assert_eq!(state, code, "{sql}: {message}");
        for part in [field, "CUSTOMER", "RECORDNO "] {
            assert!(detail.contains(part), "{sql}: {part} is not in {detail}");
        }
        assert!(message.contains(field) && !hint.is_empty(), "{sql}: {message}");
    }
    // The session goes on, and so does a transaction that has a savepoint.
    client
        .batch_execute(
            "BEGIN; SAVEPOINT s; SELECT 1;
             DO $$ BEGIN PERFORM * FROM numbers; EXCEPTION WHEN invalid_text_representation THEN NULL; END $$;
             ROLLBACK TO s; SELECT name FROM customer LIMIT 1; COMMIT",
        )
        .expect("a session that goes on");
}

#[test]
fn values_of_an_upsert_name_their_row() {
    let company = Company::start("honest_upsert");
    company.import("customer");
    let mut client = company.connect();
    for (row, code, parts) in [
        (
            r#"{"customerid": "U-2", "name": "n", "creditlimit": "abc"}"#,
            "22P02",
            ["creditlimit", "CREDITLIMIT", "U-2"],
        ),
        (
            r#"{"customerid": "U-3", "name": "n", "signed_on": "soon"}"#,
            "22007",
            ["signed_on", "Signed_On", "U-3"],
        ),
        (
            r#"{"customerid": "U-4", "name": "n", "onhold": "perhaps"}"#,
            "22P02",
            ["onhold", "ONHOLD", "U-4"],
        ),
    ] {
        company.gateway.tap.forget();
        let sql = format!(
            r#"SELECT sage_intacct.upsert('customer', '[{{"customerid": "U-1", "name": "n"}}, {row}]')"#
        );
        let (state, message, detail, _) = failure(&mut client, &sql);
        assert_eq!(state, code, "{message}");
        assert!(
            message.contains(parts[0]) && message.contains("row 2"),
            "{message}"
        );
        for part in [parts[1], parts[2], "CUSTOMER"] {
            assert!(detail.contains(part), "{part} is not in {detail}");
        }
        assert!(
            company
                .gateway
                .tap
                .requests()
                .iter()
                .all(|xml| !xml.contains("<create>"))
        );
    }
}

/// The gateway refuses a query over a field that was removed, and names none.
#[test]
fn a_field_that_is_gone_is_found_by_comparison() {
    let company = Company::start("honest_removed");
    company.import("customer, arinvoice");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER FOREIGN TABLE customer ADD COLUMN gone text OPTIONS (field 'GONE_FIELD', type 'TEXT');
             ALTER FOREIGN TABLE arinvoice ADD COLUMN gone text OPTIONS (field 'CUSTOMER.GONE_TOO', type 'TEXT')",
        )
        .expect("columns");
    let fault = r#"[{"match": {"function": "query"}, "times": 0, "action": {"function_error":
        {"errorno": "DL02000001", "description2": "There was an error processing the request."}}}]"#;
    company.gateway.faults(fault);
    for (sql, field) in [
        ("SELECT gone FROM customer", "GONE_FIELD"),
        ("SELECT name FROM customer WHERE gone = 'x'", "GONE_FIELD"),
        ("SELECT gone FROM arinvoice", "CUSTOMER.GONE_TOO"),
    ] {
        let (code, message, detail, hint) = failure(&mut client, sql);
        assert_eq!(code, "42703", "{sql}: {message}");
        assert!(message.contains(field), "{sql}: {message}");
        assert!(
            detail.contains("DL02000001") && hint.contains("schema_diff()"),
            "{detail} {hint}"
        );
    }
    // Nothing is gone: the refusal stays what it is.
    let (code, ..) = failure(&mut client, "SELECT name FROM customer");
    assert_eq!(code, "HV000");
}

#[test]
fn an_operator_that_is_none_is_a_mistake() {
    let company = Company::start("honest_filters");
    let mut client = company.connect();
    for filter in [
        "NAME == x",
        "NAME = = x",
        "NAME === 'x'",
        "NAME =< 5",
        "NAME = a STATUS = b",
        "NAME => 5",
        "NAME !== x",
    ] {
        let sql = format!(
            "CREATE FOREIGN TABLE t (name text) SERVER acme OPTIONS (object 'CUSTOMER', filter $f${filter}$f$)"
        )
        .replace("$f$", "'")
        .replace("'x''", "''x'''");
        assert!(client.batch_execute(&sql).is_err(), "{filter}");
        let sql = "SELECT sage_intacct.query('acme', $1)";
        let statement = format!("select NAME from CUSTOMER where {filter}");
        let error = client.query(sql, &[&statement]).expect_err(filter);
        assert_eq!(
            error.code().map(|code| code.code()),
            Some("42601"),
            "{filter}: {error:?}"
        );
    }
    client
        .batch_execute("CREATE FOREIGN TABLE t (name text) SERVER acme OPTIONS (object 'CUSTOMER', filter 'NAME = ''= x''')")
        .expect("between quotes it is a text");
}

/// Every unconfirmed fact, with what the company shows and nothing of its data.
#[test]
fn a_deep_check_lists_the_facts_without_data() {
    let company = Company::start("honest_facts");
    let mut client = company.connect();
    let facts = |client: &mut Client| -> Vec<(String, String)> {
        let sql = "SELECT step, coalesce(detail, '') || coalesce(hint, '') FROM sage_intacct.check('acme', deep => true)
                     WHERE step LIKE 'fact %'";
        let rows = client.query(sql, &[]).expect("facts");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    let plain: i64 = client
        .query_one(
            "SELECT count(*) FROM sage_intacct.check('acme') WHERE step LIKE 'fact %'",
            &[],
        )
        .expect("steps")
        .get(0);
    assert_eq!(plain, 0);
    let names: Vec<String> = company
        .gateway
        .truth("SELECT NAME AS n FROM CUSTOMER UNION SELECT CUSTOMERID FROM CUSTOMER")
        .iter()
        .filter_map(|row| row["n"].as_str().map(str::to_owned))
        // Some customers are called like words of ours.
        .filter(|name| name.len() > 3 && !["null", "NULL"].contains(&name.as_str()))
        .collect();
    let mut seen = Vec::new();
    for (reading, value, fact, expected) in [
        ("nulls", "first", "fact 13", "first ascending, first descending"),
        ("negatives", "with_nulls", "fact 20", "are kept"),
        ("trailing_blanks", "ignored", "fact 22", "disregarded"),
        ("trailing_blanks", "significant", "fact 23", "counts"),
        ("null_groups", "dropped", "fact 30", "left out"),
        ("count", "rows", "fact 32", "rows"),
        ("empty_aggregate", "zero", "fact 34", "counts nothing"),
        ("dotted_order", "refused", "fact 14", "refused"),
        ("date_format", "iso", "fact 52", "9999-99-99"),
        ("empty_elements", "omitted", "fact 50", "left out"),
    ] {
        company.gateway.set(reading, value);
        let found = facts(&mut client);
        let (_, shown) = found.iter().find(|(step, _)| step.starts_with(fact)).expect(fact);
        assert!(shown.contains(expected), "{reading} {value}: {shown}");
        for (step, shown) in &found {
            for name in &names {
                assert!(!shown.contains(name.as_str()), "{step} shows {name}: {shown}");
            }
        }
        seen = found;
    }
    assert!(seen.len() > 30, "{seen:?}");
}
