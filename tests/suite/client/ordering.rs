//! `ordering 'binary'` where it is not true: rows that come in another order are an error that names the option, and
//! never an answer.

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;

fn company(name: &str, settings: &[(&str, &str)]) -> (Company, Client) {
    let company = Company::start(name);
    for (key, value) in settings {
        company.gateway.set(key, value);
    }
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD ordering 'binary', ADD page_size '20');
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme INTO public
               OPTIONS (text_collation 'C');
             CREATE TEMP TABLE names AS SELECT name FROM customer;
             ANALYZE names;",
        )
        .unwrap_or_else(|error| panic!("{error:?}"));
    (company, client)
}

/// Statements that lean on an order of text, or of values that may be missing.
const STATEMENTS: &[&str] = &[
    "SELECT name FROM customer ORDER BY name",
    "SELECT name FROM customer ORDER BY name DESC",
    "SELECT region_code, recordno FROM customer WHERE region_code IS NOT NULL ORDER BY region_code",
    "SELECT name, lag(name) OVER (ORDER BY name) FROM customer",
    "SELECT recordno, row_number() OVER (PARTITION BY name ORDER BY recordno) FROM customer",
    "SELECT count(*) FROM (SELECT name FROM customer ORDER BY name LIMIT 100) s",
    "SELECT name FROM customer ORDER BY name LIMIT 1",
    "SELECT min(name) FROM customer",
    "SELECT name FROM customer ORDER BY name LIMIT 2 OFFSET 3",
];

fn is_refused(client: &mut Client, sql: &str) -> bool {
    match client.simple_query(sql) {
        Ok(_) => false,
        Err(error) => {
            let error = error.as_db_error().expect("an error of the server");
            let text = format!("{} {:?}", error.message(), error.hint());
            assert_eq!(error.code().code(), "HV024", "{sql}: {error:?}");
            assert!(
                text.contains("ordering") && text.contains("'proven'"),
                "{sql}: {error:?}"
            );
            true
        }
    }
}

#[test]
fn a_dictionarys_order_is_not_that_of_bytes() {
    let (_company, mut client) = company("ordering_linguistic", &[("text_order", "linguistic")]);
    for sql in STATEMENTS {
        assert!(is_refused(&mut client, sql), "{sql}");
    }
    let merge = "SET enable_hashjoin = off; SET enable_nestloop = off; SET enable_sort = off; \
                 SET sage_intacct.push_lookups = off";
    client.batch_execute(merge).expect("settings");
    let join =
        "SELECT count(*) FROM customer c JOIN (SELECT name FROM names ORDER BY name) n ON c.name = n.name";
    assert!(is_refused(&mut client, join), "{join}");
    // What leans on no order of text is answered.
    for sql in [
        "SELECT name FROM customer",
        "SELECT name FROM customer ORDER BY recordno",
        "SELECT name FROM customer ORDER BY name COLLATE \"POSIX\"",
    ] {
        assert!(!is_refused(&mut client, sql), "{sql}");
    }
    client
        .batch_execute("ALTER SERVER acme OPTIONS (SET ordering 'proven')")
        .expect("the hint");
    for sql in STATEMENTS {
        assert!(!is_refused(&mut client, sql), "{sql}");
    }
}

#[test]
fn nulls_may_stand_elsewhere() {
    for (name, nulls) in [("ordering_low", "low"), ("ordering_first", "first")] {
        let (_company, mut client) = company(name, &[("nulls", nulls)]);
        for sql in [
            "SELECT region_code FROM customer ORDER BY region_code",
            "SELECT creditlimit FROM customer ORDER BY creditlimit",
            "SELECT last_invoicedate FROM customer ORDER BY last_invoicedate",
        ] {
            assert!(is_refused(&mut client, sql), "{nulls}: {sql}");
        }
    }
    let (_company, mut client) = company("ordering_last", &[("nulls", "last")]);
    for sql in [
        "SELECT region_code FROM customer ORDER BY region_code DESC",
        "SELECT creditlimit FROM customer ORDER BY creditlimit DESC",
    ] {
        assert!(is_refused(&mut client, sql), "{sql}");
    }
    for sql in [
        "SELECT region_code FROM customer ORDER BY region_code",
        "SELECT creditlimit FROM customer ORDER BY creditlimit",
    ] {
        assert!(!is_refused(&mut client, sql), "{sql}");
    }
}

/// Nobody has seen by which of its codes the gateway sorts them.
#[test]
fn enumerations_are_sorted_locally() {
    let (company, mut client) = company("ordering_enum", &[]);
    for sql in [
        "SELECT state FROM arinvoice ORDER BY state",
        "SELECT count(*) FROM arinvoice WHERE state > 'P'",
        "SELECT state, lag(state) OVER (ORDER BY state) FROM arinvoice",
    ] {
        company.gateway.tap.forget();
        client.simple_query(sql).expect(sql);
        let requests = company.gateway.tap.requests().concat();
        for part in ["<order><field>STATE</field>", "<greaterthan><field>STATE</field>"] {
            assert!(!requests.contains(part), "{sql}: {requests}");
        }
    }
}
