//! How many requests a statement costs, and which: a call costs time and, by contract, money.

use regex::Regex;
use sage_intacct_fdw_tests::company::Company;

/// The functions of each request since the last call, in short: `getAPISession`, `query CUSTOMER 10`.
pub fn requests(company: &Company) -> Vec<String> {
    let function = Regex::new(r"(?s)<function[^>]*>\s*<(\w+)[ />](.*?)</function>").expect("a pattern");
    let part = |name: &str, xml: &str| {
        let pattern = Regex::new(&format!("<{name}>([^<]*)</{name}>")).expect("a pattern");
        pattern
            .captures(xml)
            .map(|found| format!(" {}", &found[1]))
            .unwrap_or_default()
    };
    let list = company
        .gateway
        .tap
        .requests()
        .iter()
        .map(|xml| {
            let functions: Vec<_> = function
                .captures_iter(xml)
                .map(|found| {
                    format!(
                        "{}{}{}",
                        &found[1],
                        part("object", &found[2]),
                        part("pagesize", &found[2])
                    )
                })
                .collect();
            functions.join(" + ")
        })
        .collect();
    company.gateway.tap.forget();
    list
}

#[test]
fn a_first_query_signs_in_and_reads_a_page_with_the_formatting() {
    let company = Company::start("budget_first");
    company.import("customer");
    requests(&company);
    let mut client = company.connect();
    client
        .query("SELECT whenmodified FROM customer", &[])
        .expect("rows");
    let first = requests(&company);
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(first[0], "getAPISession");
    assert!(
        first[1].contains("query CUSTOMER 2000") && first[1].contains("readUserFormatting"),
        "{first:?}"
    );
    client
        .query("SELECT whenmodified FROM customer", &[])
        .expect("rows");
    assert_eq!(requests(&company), ["query CUSTOMER 2000"]);
}

#[test]
fn planning_and_explaining_cost_nothing() {
    let company = Company::start("budget_explain");
    company.import("customer");
    requests(&company);
    let mut client = company.connect();
    client
        .batch_execute(
            "EXPLAIN (VERBOSE) SELECT * FROM customer WHERE totaldue > 0 ORDER BY recordno LIMIT 5;
             PREPARE s AS SELECT * FROM customer; EXPLAIN EXECUTE s",
        )
        .expect("plans");
    assert_eq!(requests(&company), [""; 0]);
}

/// Checks the requests of a statement in a session that is signed in.
#[track_caller]
fn costs(company: &Company, client: &mut postgres::Client, sql: &str, expected: &[&str]) {
    requests(company);
    client
        .simple_query(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    assert_eq!(requests(company), expected, "{sql}");
}

#[test]
fn statements_ask_for_no_more_than_they_need() {
    let company = Company::start("budget_statements");
    company.import("customer, arinvoice");
    let mut client = company.connect();
    client
        .query("SELECT whenmodified FROM customer LIMIT 1", &[])
        .expect("signed in");
    let mut costs = |sql: &str, expected: &[&str]| costs(&company, &mut client, sql, expected);

    costs("SELECT * FROM customer LIMIT 10", &["query CUSTOMER 10"]);
    costs(
        "SELECT recordno FROM arinvoice ORDER BY recordno LIMIT 10",
        &["query ARINVOICE 10"],
    );
    costs(
        "SELECT recordno FROM arinvoice WHERE totaldue > 0 ORDER BY totaldue DESC LIMIT 10",
        &["query ARINVOICE 10"],
    );
    costs(
        "SELECT * FROM customer WHERE recordno = 1",
        &["query CUSTOMER 2000"],
    );
    costs(
        "SELECT * FROM customer WHERE customerid = 'C-00002' LIMIT 1",
        &["query CUSTOMER 1"],
    );
    costs(
        "SELECT * FROM arinvoice WHERE totaldue > 10",
        &["query ARINVOICE 2000"],
    );
    costs("SELECT * FROM arinvoice WHERE false", &[]);
    costs("SELECT * FROM arinvoice LIMIT 0", &[]);
    costs("SELECT * FROM arinvoice WHERE customerid = NULL", &[]);
    costs(
        "SELECT EXISTS (SELECT FROM arinvoice WHERE totaldue > 10)",
        &["query ARINVOICE 1"],
    );
}

#[test]
fn a_scan_of_several_pages_asks_for_each_once() {
    let company = Company::start("budget_pages");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '50')")
        .expect("an option");
    client
        .query("SELECT whenmodified FROM customer LIMIT 1", &[])
        .expect("signed in");
    requests(&company);
    client.query("SELECT recordno FROM customer", &[]).expect("rows");
    // Two full pages and a rest.
    assert!((101..150).contains(&company.rows("CUSTOMER")));
    assert_eq!(requests(&company), ["query CUSTOMER 50"; 3]);
}

#[test]
fn only_the_columns_that_are_needed_are_asked_for() {
    let company = Company::start("budget_columns");
    company.import("customer");
    let mut client = company.connect();
    company.gateway.tap.forget();
    client
        .query(
            "SELECT name FROM customer WHERE creditlimit > 5 AND upper(custtype) = 'RETAIL'",
            &[],
        )
        .expect("rows");
    let requests = company.gateway.tap.requests();
    let query = requests
        .iter()
        .find(|xml| xml.contains("<query>"))
        .expect("a query");
    let select =
        &query[query.find("<select>").expect("a selection")..query.find("</select>").expect("its end")];
    let field = Regex::new("<field>([^<]*)</field>").expect("a pattern");
    let mut fields: Vec<_> = field
        .captures_iter(select)
        .map(|found| found[1].to_owned())
        .collect();
    fields.sort();
    assert_eq!(fields, ["CREDITLIMIT", "CUSTTYPE", "NAME", "RECORDNO"]);
}

#[test]
fn a_session_is_kept_over_statements_and_transactions() {
    let company = Company::start("budget_session");
    company.import("customer");
    let mut client = company.connect();
    company.gateway.tap.forget();
    for sql in [
        "SELECT count(*) FROM customer",
        "BEGIN; SELECT count(*) FROM customer; ROLLBACK",
        "SELECT recordno FROM customer WHERE customerid = 'C-00001'",
        "DO $$ BEGIN PERFORM count(*) FROM customer; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END $$",
    ] {
        client.batch_execute(sql).expect("rows");
    }
    let sign_ins = requests(&company)
        .iter()
        .filter(|request| request.contains("getAPISession"))
        .count();
    assert_eq!(sign_ins, 1);
}
