//! Owned lines reach the record that owns them, whatever the row key is.

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

fn pairs(client: &mut Client, table: &str) -> Vec<(String, Option<String>)> {
    let sql = format!("SELECT recordid, lines::text FROM {table} ORDER BY recordid");
    let rows = client
        .query(&sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn state(client: &mut Client, sql: &str) -> (String, String) {
    let error = client.batch_execute(sql).expect_err(sql);
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    (
        error.code().code().to_owned(),
        format!("{} {}", error.message(), error.detail().unwrap_or_default()),
    )
}

const COLUMNS: &str = "(recordid text OPTIONS (type 'TEXT'),
    lines jsonb OPTIONS (field 'ARINVOICEITEMS.ARINVOICEITEM')) SERVER acme OPTIONS (object 'ARINVOICE'";

#[test]
fn lines_reach_their_record_by_any_row_key() {
    let company = Company::start("lines_keys");
    let mut client = company.connect();
    client
        .batch_execute(&format!(
            "ALTER SERVER acme OPTIONS (ADD page_size '70');
             CREATE FOREIGN TABLE by_number {COLUMNS});
             CREATE FOREIGN TABLE by_name {COLUMNS}, row_key 'RECORDID');
             CREATE FOREIGN TABLE by_query {COLUMNS}, row_key 'RECORDID', function 'readByQuery');
             CREATE FOREIGN TABLE by_none {COLUMNS}, function 'readByQuery')"
        ))
        .expect("tables");
    let expected = pairs(&mut client, "by_number");
    assert!(
        expected
            .iter()
            .any(|(_, lines)| lines.as_deref().is_some_and(|lines| lines.len() > 2))
    );
    for table in ["by_name", "by_query"] {
        assert_eq!(pairs(&mut client, table), expected, "{table}");
    }
    assert_eq!(pairs(&mut client, "by_none"), expected);
    // A row without its key: its lines, and those behind it, would be those of another.
    company
        .gateway
        .tap
        .rule(|request| match request.contains("<readByQuery>") {
            true => Answer::Edit(Box::new(|body| {
                let start = body.find("<RECORDNO>").expect("a key") + "<RECORDNO>".len();
                let end = start + body[start..].find('<').expect("an end");
                format!("{}{}", &body[..start], &body[end..])
            })),
            false => Answer::Pass,
        });
    let (code, text) = state(&mut client, "SELECT recordid, lines FROM by_none");
    assert_eq!(code, "22P02", "{text}");
    assert!(text.contains("ARINVOICE") && text.contains("RECORDNO"), "{text}");
}

#[test]
fn lines_of_a_record_that_is_not_shown_are_an_error() {
    let company = Company::start("lines_missing");
    let mut client = company.connect();
    client
        .batch_execute(&format!("CREATE FOREIGN TABLE by_number {COLUMNS})"))
        .expect("a table");
    // One record of the answer to `read` is another's.
    company
        .gateway
        .tap
        .rule(|request| match request.contains("<read>") {
            true => Answer::Edit(Box::new(|body| {
                let start = body.find("<RECORDNO>").expect("a key") + "<RECORDNO>".len();
                let end = start + body[start..].find('<').expect("an end");
                format!("{}99999{}", &body[..start], &body[end..])
            })),
            false => Answer::Pass,
        });
    let (code, text) = state(&mut client, "SELECT recordid, lines FROM by_number");
    assert_eq!(code, "40001", "{text}");
    // The lines themselves are missing.
    company
        .gateway
        .tap
        .rule(|request| match request.contains("<read>") {
            true => Answer::Edit(Box::new(|body| body.replace("ARINVOICEITEMS>", "OTHERITEMS>"))),
            false => Answer::Pass,
        });
    let (code, text) = state(&mut client, "SELECT recordid, lines FROM by_number");
    assert_eq!(code, "HV000", "{text}");
    assert!(text.contains("ARINVOICEITEMS of ARINVOICE"), "{text}");
}
