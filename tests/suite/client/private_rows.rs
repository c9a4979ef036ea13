//! `show_private 'on'` at the server, and objects that are read by a function which has no word for it: where nothing can
//! be private they are read, and elsewhere never without what is asked for.

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;

fn count(client: &mut Client, sql: &str) -> i64 {
    client
        .query_one(sql, &[])
        .unwrap_or_else(|error| panic!("{error:?}\n{sql}"))
        .get(0)
}

#[track_caller]
fn refused(client: &mut Client, sql: &str) {
    let error = client.simple_query(sql).expect_err(sql);
    let error = error.as_db_error().expect("an error of the server");
    assert_eq!(error.code().code(), "HV024", "{sql}: {error:?}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("show_private")),
        "{sql}: {error:?}"
    );
}

#[test]
fn objects_that_know_no_entities_are_read() {
    let company = Company::start("private_rows");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD show_private 'on');
             CREATE FOREIGN TABLE trail (id bigint OPTIONS (type 'INTEGER'), objecttype text OPTIONS (type 'TEXT'))
               SERVER acme OPTIONS (object 'AUDITHISTORY', function 'readByQuery', row_key 'ID');
             CREATE FOREIGN TABLE territory (recordno bigint OPTIONS (type 'INTEGER'), name text OPTIONS (type 'TEXT'))
               SERVER acme OPTIONS (function 'readByQuery');
             CREATE FOREIGN TABLE term (recordno bigint OPTIONS (type 'INTEGER'), name text OPTIONS (type 'TEXT'))
               SERVER acme OPTIONS (object 'ARTERM', function 'readByQuery', entities 'off');
             CREATE FOREIGN TABLE customer (recordno bigint OPTIONS (type 'INTEGER'), name text OPTIONS (type 'TEXT'))
               SERVER acme OPTIONS (function 'readByQuery');
             CREATE FOREIGN TABLE vendor (recordno bigint OPTIONS (type 'INTEGER'), megaentityid text OPTIONS (type 'TEXT'))
               SERVER acme OPTIONS (function 'readByQuery')",
        )
        .expect("tables");
    for (table, object) in [
        ("trail", "AUDITHISTORY"),
        ("territory", "TERRITORY"),
        ("term", "ARTERM"),
    ] {
        let rows = company.rows(object);
        assert!(rows > 0);
        assert_eq!(
            count(&mut client, &format!("SELECT count(*) FROM {table}")),
            rows,
            "{table}"
        );
        client.batch_execute(&format!("ANALYZE {table}")).expect(table);
    }
    assert!(
        count(
            &mut client,
            "SELECT count(*) FROM trail WHERE objecttype = 'vendor'"
        ) > 0
    );
    // Of these, rows may be private, and the function would leave them out.
    for sql in [
        "SELECT count(*) FROM customer",
        "SELECT name FROM customer WHERE recordno < 9",
        "SELECT count(*) FROM vendor",
        "ANALYZE customer",
    ] {
        refused(&mut client, sql);
    }
    for table in ["customer", "vendor"] {
        client
            .batch_execute(&format!(
                "ALTER FOREIGN TABLE {table} OPTIONS (ADD show_private 'off')"
            ))
            .expect("the hint");
        let rows = company.rows(&table.to_uppercase());
        assert_eq!(
            count(&mut client, &format!("SELECT count(*) FROM {table}")),
            rows,
            "{table}"
        );
    }
}

#[test]
fn an_import_with_private_rows_takes_objects_that_know_no_entities() {
    let company = Company::start("private_import");
    let mut client = company.connect();
    client
        .batch_execute(
            "IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, territory, audithistory) FROM SERVER acme INTO public
               OPTIONS (import_private 'on')",
        )
        .expect("imported");
    assert_eq!(
        count(&mut client, "SELECT count(*) FROM audithistory"),
        company.rows("AUDITHISTORY")
    );
    assert!(count(&mut client, "SELECT count(*) FROM customer") > company.rows("CUSTOMER"));
}
