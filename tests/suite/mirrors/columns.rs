//! Columns that are renamed, dropped, made anew, filled by another field, or the user's own.

use super::company::{assert_equal, company, keys, last_run, lines, mirror, refresh, run, run_each};
use super::events::hide_field;
use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

/// The message of the error with which a refresh ends.
#[track_caller]
fn stopped(client: &mut Client) -> String {
    let error = client
        .batch_execute("CALL sage_intacct.refresh_mirror('finance.customer')")
        .expect_err("it stops");
    error
        .as_db_error()
        .expect("an error of the server")
        .message()
        .to_owned()
}

fn rename(company: &Company, row: usize, name: &str) {
    let key = keys(company, "CUSTOMER", row + 1)[row];
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [key], "values": { "NAME": name } } }
    ]));
}

#[test]
fn a_renamed_column_is_followed_or_reported() {
    let (company, mut client) = company("mirror_renamed", "customer");
    mirror(&mut client, "customer", "{}");
    for column in ["name", "whenmodified", "recordno"] {
        run(
            &mut client,
            &format!("ALTER TABLE finance.customer RENAME COLUMN {column} TO another"),
        );
        rename(&company, 0, column);
        assert_eq!(
            stopped(&mut client),
            format!("column \"{column}\" of mirror finance.customer is called \"another\" now")
        );
        run(
            &mut client,
            &format!("ALTER TABLE finance.customer RENAME COLUMN another TO {column}"),
        );
        refresh(&mut client, "customer");
        assert_equal(&mut client, "customer");

        run(
            &mut client,
            &format!("ALTER FOREIGN TABLE acme.customer RENAME COLUMN {column} TO another"),
        );
        rename(&company, 0, "again");
        assert_eq!(
            stopped(&mut client),
            format!("column \"{column}\" of foreign table acme.customer is called \"another\" now")
        );
        run(
            &mut client,
            &format!("ALTER TABLE finance.customer RENAME COLUMN {column} TO another"),
        );
        refresh(&mut client, "customer");
        assert_equal(&mut client, "customer");
        run_each(
            &mut client,
            &format!(
                "ALTER TABLE finance.customer RENAME COLUMN another TO {column};
                 ALTER FOREIGN TABLE acme.customer RENAME COLUMN another TO {column}"
            ),
        );
        refresh(&mut client, "customer");
    }
}

#[test]
fn columns_made_anew_are_filled() {
    let (company, mut client) = company("mirror_remade", "customer");
    mirror(&mut client, "customer", "{}");
    let filled = |client: &mut Client| {
        lines(
            client,
            "SELECT count(*) FROM acme.customer a JOIN finance.customer f USING (recordno) WHERE a.name IS DISTINCT FROM f.name",
        )
    };
    // The column is the same, its values are gone.
    run_each(
        &mut client,
        "ALTER TABLE finance.customer DROP COLUMN name;\nALTER TABLE finance.customer ADD COLUMN name text",
    );
    refresh(&mut client, "customer");
    assert_eq!(filled(&mut client), "0");
    // Another field fills it.
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.customer ALTER COLUMN name OPTIONS (SET field 'CUSTOMERID')",
    );
    refresh(&mut client, "customer");
    assert_eq!(filled(&mut client), "0");
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(*) FROM finance.customer WHERE name = customerid"
        ),
        company.rows("CUSTOMER").to_string()
    );
    // The foreign table lacks it: what is there stays, and is seen to.
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.customer DROP COLUMN termname",
    );
    rename(&company, 0, "one");
    refresh(&mut client, "customer");
    assert_eq!(
        lines(&mut client, "SELECT gone FROM sage_intacct.mirrors"),
        "{termname}"
    );
    assert_eq!(
        lines(&mut client, "SELECT count(termname) > 0 FROM finance.customer"),
        "t"
    );
    // The user does not want it.
    run(&mut client, "ALTER TABLE finance.customer DROP COLUMN comments");
    refresh(&mut client, "customer");
    assert_eq!(
        lines(
            &mut client,
            "SELECT mapping ? 'comments', mapping ? 'status' FROM sage_intacct.mirror"
        ),
        "f t"
    );
}

#[test]
fn a_column_of_the_users_own_is_never_taken() {
    let company = Company::start("mirror_own");
    let mut client = company.connect();
    hide_field(&company, "Region_Code");
    run(
        &mut client,
        "CREATE SCHEMA acme; CREATE SCHEMA finance;
         IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO acme",
    );
    mirror(
        &mut client,
        "customer",
        r#"{"on_drift": "add", "drift_interval": "0 seconds"}"#,
    );
    run(
        &mut client,
        "ALTER TABLE finance.customer ADD COLUMN region_code text; UPDATE finance.customer SET region_code = 'mine'",
    );
    company.gateway.tap.pass();
    rename(&company, 0, "changed");
    let mine = "SELECT count(*) FILTER (WHERE region_code = 'mine') = count(*) FROM finance.customer";
    refresh(&mut client, "customer");
    assert_eq!(lines(&mut client, mine), "t");
    // Nor when the foreign table is given a column of this name.
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.customer ADD COLUMN region_code text OPTIONS (field 'Region_Code', type 'TEXT')",
    );
    rename(&company, 1, "changed");
    refresh(&mut client, "customer");
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer', full => true)",
    );
    assert_eq!(lines(&mut client, mine), "t");
    assert_eq!(lines(&mut client, "SELECT gone FROM sage_intacct.mirrors"), "{}");
}

#[test]
fn a_field_that_comes_back_is_read_in_all_rows() {
    let (company, mut client) = company("mirror_back", "customer");
    mirror(&mut client, "customer", r#"{"drift_interval": "0 seconds"}"#);
    hide_field(&company, "TERMNAME");
    let key = keys(&company, "CUSTOMER", 1)[0];
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [key], "values": { "TERMNAME": "changed" } } }
    ]));
    refresh(&mut client, "customer");
    assert_eq!(
        lines(&mut client, "SELECT gone FROM sage_intacct.mirrors"),
        "{termname}"
    );
    // What was changed meanwhile lies far behind the watermark by now.
    run(
        &mut client,
        "UPDATE sage_intacct.mirror SET watermark = watermark + interval '1 hour'",
    );
    company.gateway.tap.pass();
    refresh(&mut client, "customer");
    assert_eq!(lines(&mut client, "SELECT gone FROM sage_intacct.mirrors"), "{}");
    assert_equal(&mut client, "customer");
}

/// A gateway that does not say which field it refuses.
#[test]
fn a_refusal_without_a_name_is_looked_into() {
    for (number, refused) in [
        r#"{"errorno": "BL01001973", "description2": "There was an error processing the request."}"#,
        r#"{"errorno": "XL03000003", "description2": "The request cannot be processed"}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let (company, mut client) = company(&format!("mirror_unnamed_{number}"), "customer");
        mirror(&mut client, "customer", r#"{"drift_interval": "1 year"}"#);
        hide_field(&company, "TERMNAME");
        company.gateway.faults(&format!(
            r#"{{"match": {{"function": "query", "object": "CUSTOMER"}}, "times": 1, "action": {{"function_error": {refused}}}}}"#
        ));
        rename(&company, 0, "changed");
        refresh(&mut client, "customer");
        assert_eq!(last_run(&mut client, "customer"), "done 0 1 0");
        assert_eq!(
            lines(&mut client, "SELECT gone FROM sage_intacct.mirrors"),
            "{termname}",
            "{refused}"
        );
    }
}

/// Equal under the collation of a column, and other texts all the same; JSON, which has no equality.
#[test]
fn texts_that_are_equal_and_values_without_equality_are_compared() {
    let (company, mut client) = company("mirror_case", "customer");
    run(
        &mut client,
        "CREATE COLLATION finance.folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE FOREIGN TABLE acme.typed (recordno bigint OPTIONS (type 'INTEGER') NOT NULL, name text OPTIONS (type 'TEXT'),
             customerid text OPTIONS (type 'TEXT'), comments json OPTIONS (type 'TEXT'), whenmodified timestamptz OPTIONS (type 'TIMESTAMP'))
             SERVER acme OPTIONS (object 'CUSTOMER');
         CREATE TABLE finance.typed (recordno bigint PRIMARY KEY, name text COLLATE finance.folded, customerid text COLLATE finance.folded,
             comments json, whenmodified timestamptz)",
    );
    let keys = keys(&company, "CUSTOMER", 3);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "where": "1 = 1", "values": { "COMMENTS": "{\"a\": 1}" } } },
        { "update": { "object": "CUSTOMER", "keys": [keys[0]], "values": { "NAME": "straße" } } },
    ]));
    mirror(&mut client, "typed", "{}");
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [keys[0]], "values": { "NAME": "STRASSE" } } },
        { "update": { "object": "CUSTOMER", "keys": [keys[1]], "values": { "COMMENTS": "{\"a\":  1}" } } },
        { "update": { "object": "CUSTOMER", "keys": [keys[2]], "values": { "COMMENTS": "{\"a\": 2}" } } },
    ]));
    refresh(&mut client, "typed");
    assert_eq!(last_run(&mut client, "typed"), "done 0 3 0");
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(*) FROM acme.typed a JOIN finance.typed f USING (recordno)
              WHERE a.name COLLATE \"C\" <> f.name COLLATE \"C\" OR a.comments::text <> f.comments::text"
        ),
        "0"
    );
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.typed', full => true)",
    );
    assert_eq!(last_run(&mut client, "typed"), "done 0 0 0");
}

/// What docs/mirrors.md says of rows that others change.
#[test]
fn rows_that_others_change_are_put_right() {
    let (company, mut client) = company("mirror_local", "customer");
    mirror(&mut client, "customer", "{}");
    let keys = keys(&company, "CUSTOMER", 3);
    run(
        &mut client,
        &format!(
            "DELETE FROM finance.customer WHERE recordno = {};
             INSERT INTO finance.customer (recordno, name) VALUES (999999, 'local');
             UPDATE finance.customer SET name = 'local' WHERE recordno IN ({}, {})",
            keys[0], keys[1], keys[2]
        ),
    );
    rename(&company, 1, "at the gateway");
    refresh(&mut client, "customer");
    let local = "SELECT recordno FROM finance.customer WHERE name = 'local'";
    assert_eq!(lines(&mut client, local), keys[2].to_string());
    assert_eq!(
        lines(&mut client, "SELECT complete FROM sage_intacct.mirrors"),
        "t"
    );
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer', full => true)",
    );
    assert_equal(&mut client, "customer");
}

#[test]
fn nothing_is_complete_that_was_not_checked() {
    let (company, mut client) = company("mirror_unchecked", "customer");
    mirror(&mut client, "customer", "{}");
    let complete = "SELECT complete FROM sage_intacct.mirrors";
    assert_eq!(lines(&mut client, complete), "t");
    run(
        &mut client,
        "CALL sage_intacct.alter_mirror('finance.customer', '{\"check\": \"off\"}')",
    );
    refresh(&mut client, "customer");
    assert_eq!(lines(&mut client, complete), "-");
    run(
        &mut client,
        "CALL sage_intacct.alter_mirror('finance.customer', '{\"check\": null}')",
    );
    refresh(&mut client, "customer");
    assert_eq!(lines(&mut client, complete), "t");
    // A refresh that fails leaves it open.
    run(&mut client, "ALTER SERVER acme OPTIONS (ADD max_retries '0')");
    let once = AtomicBool::new(false);
    company.gateway.tap.rule(move |xml| {
        if xml.contains("<query>") && !once.swap(true, Ordering::Relaxed) {
            Answer::Close
        } else {
            Answer::Pass
        }
    });
    client
        .batch_execute("CALL sage_intacct.refresh_mirror('finance.customer')")
        .expect_err("the gateway hangs up");
    assert_eq!(lines(&mut client, complete), "-");
    refresh(&mut client, "customer");
    assert_eq!(lines(&mut client, complete), "t");
}
