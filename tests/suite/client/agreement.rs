//! Answers that contradict themselves, or lack elements that were asked for: asked for once more, then an error; never a
//! short result, and never NULL where Intacct may hold a value.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

/// How a body is changed.
type Change = fn(String) -> String;

/// Changes the answers to requests that hold `part`: this many of them.
fn change(company: &Company, part: &'static str, times: usize, change: Change) -> Arc<AtomicUsize> {
    let changed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&changed);
    company.gateway.tap.rule(move |request| {
        if request.contains(part) && count.load(Ordering::SeqCst) < times {
            count.fetch_add(1, Ordering::SeqCst);
            return Answer::Edit(Box::new(change));
        }
        Answer::Pass
    });
    changed
}

/// Sets an attribute of the data.
fn set(body: String, name: &str, value: &str) -> String {
    let at = body.find("<data ").expect("data");
    let start = at + body[at..].find(&format!(" {name}=\"")).expect(name) + name.len() + 3;
    let end = start + body[start..].find('"').expect("an end");
    format!("{}{value}{}", &body[..start], &body[end..])
}

/// Takes an element out of every `nth` row, whatever the case of its name.
fn without(body: &str, element: &str, nth: usize) -> String {
    let (mut out, mut rest, mut seen) = (String::new(), body, 0);
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    while let Some(at) = rest.find(&open) {
        let end = at + rest[at..].find(&close).expect("an end tag") + close.len();
        seen += 1;
        out.push_str(&rest[..if seen % nth == 0 { at } else { end }]);
        rest = &rest[end..];
    }
    out + rest
}

fn state(error: &postgres::Error) -> (&str, String) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    (
        error.code().code(),
        format!("{} {}", error.message(), error.detail().unwrap_or_default()),
    )
}

fn number(client: &mut Client, sql: &str) -> Result<i64, postgres::Error> {
    client.query_one(sql, &[]).map(|row| row.get(0))
}

const COUNTS: &[(&str, Change)] = &[
    ("nothing counted", |body| set(body, "totalcount", "0")),
    ("more counted", |body| set(body, "totalcount", "4711")),
    ("fewer counted", |body| set(body, "totalcount", "2")),
    ("nothing remains", |body| set(body, "numremaining", "0")),
    ("more remain", |body| set(body, "numremaining", "1000")),
];

#[test]
fn counts_that_disagree_are_asked_for_again_and_then_an_error() {
    let company = Company::start("agreement_counts");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD page_size '40');
             CREATE FOREIGN TABLE stored (recordno bigint, name text) SERVER acme
               OPTIONS (object 'CUSTOMER', function 'readByQuery')",
        )
        .expect("tables");
    let rows = company.rows("CUSTOMER");
    let statements = [
        ("<query>", "SELECT count(*) FROM customer"),
        ("<query>", "SELECT count(*) FROM customer WHERE recordno > 0"),
        (
            "<query>",
            "SELECT count(name || 'x') + count(*) - count(name || 'x') FROM customer",
        ),
        (
            "<query>",
            "SELECT count(*) FROM sage_intacct.query('acme', 'select NAME from CUSTOMER')",
        ),
    ];
    for (name, lie) in COUNTS {
        for (part, sql) in statements {
            let once = change(&company, part, 1, *lie);
            assert_eq!(number(&mut client, sql).ok(), Some(rows), "{name}, once: {sql}");
            assert_eq!(once.load(Ordering::SeqCst), 1, "{sql} asks");
            change(&company, part, usize::MAX, *lie);
            let error = number(&mut client, sql).expect_err(sql);
            let (code, text) = state(&error);
            assert_eq!(code, "HV000", "{name}: {sql}: {text}");
            assert!(text.contains("the gateway"), "{name}: {sql}: {text}");
        }
    }
    // A result that the gateway stores is read once and forward: its later pages cannot be asked for again.
    company.gateway.tap.pass();
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM stored").ok(),
        Some(rows)
    );
    for (name, lie) in COUNTS {
        change(&company, "<readByQuery>", 1, *lie);
        let counted = number(
            &mut client,
            "SELECT count(name || 'x') * 0 + count(*) FROM stored",
        );
        assert_eq!(counted.ok(), Some(rows), "{name}");
        change(&company, "<readMore>", 1, *lie);
        let error = number(
            &mut client,
            "SELECT count(name || 'x') * 0 + count(*) FROM stored",
        )
        .expect_err(name);
        assert!(["HV000", "08006"].contains(&state(&error).0), "{name}: {error:?}");
    }
}

/// A page that ends the answer before its announced end, and agrees with itself.
#[test]
fn what_a_page_announces_the_next_one_must_show() {
    let company = Company::start("agreement_pages");
    company.import("customer, glbatch");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '40', ADD max_concurrency '1')")
        .expect("options");
    const CUT: Change = |body| {
        let start = body.find("<data").expect("data");
        let end = body.find("</data>").map_or(body.len(), |at| at + "</data>".len());
        format!(
            "{}<data listtype=\"CUSTOMER\" totalcount=\"0\" offset=\"0\" count=\"0\" numremaining=\"0\"/>{}",
            &body[..start],
            &body[end..]
        )
    };
    for (part, sql) in [
        (
            "<greaterthan><field>RECORDNO</field>",
            "SELECT count(name || 'x') * 0 + count(*) FROM customer",
        ),
        (
            "<greaterthan><field>RECORDNO</field>",
            "SELECT count(*) FROM sage_intacct.query('acme', 'select NAME from CUSTOMER')",
        ),
        (
            "<lessthan><field>RECORDNO</field>",
            "SELECT count(*) FROM (SELECT * FROM customer ORDER BY recordno DESC) c WHERE name || 'x' <> ''",
        ),
    ] {
        company.gateway.tap.pass();
        let rows = number(&mut client, sql).expect(sql);
        assert!(rows > 80, "{sql} reads several pages");
        change(&company, part, 1, CUT);
        assert_eq!(number(&mut client, sql).ok(), Some(rows), "once: {sql}");
        let cut = change(&company, part, usize::MAX, CUT);
        let error = number(&mut client, sql).expect_err(sql);
        assert!(cut.load(Ordering::SeqCst) > 0, "{sql} asks for a second page");
        assert_eq!(state(&error).0, "HV000", "{sql}: {error:?}");
    }
}

#[test]
fn a_missing_element_is_an_error_that_names_object_and_field() {
    let company = Company::start("agreement_elements");
    company.import("customer, arinvoice");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE stored (recordno bigint, name text) SERVER acme
               OPTIONS (object 'CUSTOMER', function 'readByQuery');
             CREATE FOREIGN TABLE dotted (recordno bigint OPTIONS (type 'INTEGER'),
                 customer_name text OPTIONS (field 'CUSTOMER.NAME', type 'TEXT')) SERVER acme
               OPTIONS (object 'ARINVOICE')",
        )
        .expect("tables");
    const SOME: Change = |body| without(&body, "NAME", 3);
    const ALL: Change = |body| without(&body, "NAME", 1);
    const DOTTED: Change = |body| without(&body, "CUSTOMER.NAME", 2);
    const COUNT: Change = |body| without(&body, "COUNT.RECORDNO", 1);
    for (part, change_to, sql, field) in [
        (
            "<query>",
            SOME,
            "SELECT name FROM customer",
            "field NAME of CUSTOMER",
        ),
        (
            "<query>",
            ALL,
            "SELECT name FROM customer",
            "field NAME of CUSTOMER",
        ),
        (
            "<query>",
            SOME,
            "SELECT name FROM customer WHERE recordno > 0 ORDER BY recordno DESC",
            "field NAME of CUSTOMER",
        ),
        (
            "<readByQuery>",
            SOME,
            "SELECT name FROM stored",
            "field NAME of CUSTOMER",
        ),
        (
            "<query>",
            DOTTED,
            "SELECT customer_name FROM dotted",
            "field CUSTOMER.NAME of ARINVOICE",
        ),
        (
            "<query>",
            SOME,
            "SELECT * FROM sage_intacct.query('acme', 'select NAME from CUSTOMER')",
            "field NAME of CUSTOMER",
        ),
        (
            "<query>",
            SOME,
            "SELECT * FROM sage_intacct.query('acme', 'select NAME, count(RECORDNO) from CUSTOMER')",
            "field NAME of CUSTOMER",
        ),
        ("<query>", SOME, "ANALYZE customer", "of CUSTOMER"),
    ] {
        change(&company, part, usize::MAX, change_to);
        let error = client.batch_execute(sql).expect_err(sql);
        let (code, text) = state(&error);
        assert_eq!(code, "HV000", "{sql}: {text}");
        assert!(text.contains(field) && text.contains("missing"), "{sql}: {text}");
        // Once is a mishap.
        change(&company, part, 1, change_to);
        client
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    // Without their counts groups are not believed: the rows are grouped here.
    company.gateway.tap.pass();
    let groups = "SELECT md5(string_agg(s::text, ' ' ORDER BY s::text)) FROM
                    (SELECT status, count(*) FROM customer GROUP BY 1) s";
    let expected: String = client.query_one(groups, &[]).expect("groups").get(0);
    change(&company, "<count>", usize::MAX, COUNT);
    let got: String = client.query_one(groups, &[]).expect("groups").get(0);
    assert_eq!(got, expected);
    // The way out, for a gateway that leaves out empty elements.
    client
        .batch_execute(
            "ALTER FOREIGN TABLE customer OPTIONS (ADD missing_elements 'null');
             ALTER FOREIGN TABLE stored OPTIONS (ADD missing_elements 'null')",
        )
        .expect("options");
    let rows = company.rows("CUSTOMER");
    for (part, sql) in [
        (
            "<query>",
            "SELECT count(*) FILTER (WHERE name IS NULL) FROM (SELECT name FROM customer OFFSET 0) c",
        ),
        (
            "<readByQuery>",
            "SELECT count(*) FILTER (WHERE name IS NULL) FROM (SELECT name FROM stored OFFSET 0) c",
        ),
        (
            "<query>",
            "SELECT count(*) FILTER (WHERE q->>'NAME' IS NULL) FROM sage_intacct.query('acme',
               'select NAME from CUSTOMER options (missing_elements_null)') q",
        ),
    ] {
        change(&company, part, usize::MAX, SOME);
        assert_eq!(number(&mut client, sql).ok(), Some(rows / 3), "{sql}");
    }
}

#[test]
fn a_mirror_is_not_blanked() {
    let company = Company::start("agreement_mirror");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE SCHEMA acme; CREATE SCHEMA finance;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO acme",
        )
        .expect("imported");
    client
        .batch_execute("CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{}')")
        .expect("a mirror");
    let names = "SELECT count(name) FROM finance.customer";
    let before = number(&mut client, names).expect("names");
    change(&company, "<field>NAME</field>", usize::MAX, |body| {
        match body.contains("<NAME>") {
            true => without(&body, "NAME", 2),
            false => body,
        }
    });
    let error = client
        .batch_execute("CALL sage_intacct.refresh_mirror('finance.customer', true)")
        .expect_err("a refresh");
    assert!(state(&error).1.contains("NAME"), "{error:?}");
    company.gateway.tap.pass();
    assert_eq!(number(&mut client, names).ok(), Some(before));
}

/// IMPORT looks at one row: what it lacks is told, and no reason to do without the object.
#[test]
fn import_tells_of_elements_that_are_missing() {
    let company = Company::start("agreement_import");
    let mut client = company.connect();
    change(&company, "<field>NAME</field>", usize::MAX, |body| {
        match body.contains("<NAME>") {
            true => without(&body, "NAME", 1),
            false => body,
        }
    });
    client
        .batch_execute("IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO public")
        .expect("imported");
    let columns =
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'customer'::regclass AND attname = 'name'";
    assert_eq!(number(&mut client, columns).ok(), Some(1));
    assert!(client.batch_execute("SELECT name FROM customer").is_err());
}
