//! What must not be taken for proven: rows without a key, conditions that the user wrote.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};

/// The rows of a statement as text, sorted.
fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    let sql = format!("SELECT s::text FROM ({sql}) s ORDER BY 1");
    let rows = client
        .query(&sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// The rows with nothing left to the gateway.
fn rows_here(client: &mut Client, sql: &str) -> Vec<String> {
    let switch = |to: &str| {
        let classes = ["where", "order", "limit", "aggregates", "joins"];
        let set = |class: &str| format!("SET sage_intacct.push_{class} = {to};");
        classes.map(set).concat()
    };
    client.batch_execute(&switch("off")).expect("switches");
    let here = rows(client, sql);
    client.batch_execute(&switch("on")).expect("switches");
    here
}

/// GLDETAIL has no key: its pages follow each other by all that its rows hold. Fields of parents are no help, since the
/// gateway may not sort by them.
#[test]
fn rows_without_a_key_are_read_once_with_the_fields_of_their_parents() {
    let company = Company::start_with("keyless", small().rows("GLDETAIL", 100));
    let mut client = company.connect();
    client
        .batch_execute(
            "IMPORT FOREIGN SCHEMA intacct LIMIT TO (gldetail, glbatch) FROM SERVER acme INTO public
               OPTIONS (import_related 'on')",
        )
        .expect("imported");
    let dotted = "SELECT attname FROM pg_attribute WHERE attrelid = 'gldetail'::regclass AND attnum > 0
                    AND array_to_string(attfdwoptions, ' ') ~ 'field=\\w+[.]'";
    let columns: Vec<String> = client
        .query(dotted, &[])
        .expect("columns")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(!columns.is_empty(), "no column of a parent");
    let statements = [
        format!("SELECT {} FROM gldetail", columns.join(", ")),
        format!("SELECT {} FROM gldetail", columns[0]),
        "SELECT b.state FROM gldetail g JOIN glbatch b ON g.batchkey = b.recordno".to_owned(),
        "SELECT b.state, count(*) FROM gldetail g JOIN glbatch b ON g.batchkey = b.recordno GROUP BY 1"
            .to_owned(),
        "SELECT count(*) FROM gldetail g JOIN glbatch b ON g.batchkey = b.recordno".to_owned(),
    ];
    let whole = statements
        .each_ref()
        .map(|statement| rows_here(&mut client, statement));
    client
        .batch_execute("ALTER FOREIGN TABLE gldetail OPTIONS (ADD page_size '17')")
        .expect("an option");
    for (statement, expected) in statements.iter().zip(whole) {
        assert_eq!(rows_here(&mut client, statement), expected, "{statement}");
        assert_eq!(rows(&mut client, statement), expected, "{statement}");
    }
}

/// `CREDITLIMIT <> 5000` in the table's own filter may keep rows without a limit: nobody says that it does not.
#[test]
fn a_filter_that_excludes_a_value_does_not_exclude_null() {
    let company = Company::start("filtered");
    company.gateway.set("negatives", "with_nulls");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE customer (
               recordno bigint OPTIONS (field 'RECORDNO', type 'INTEGER', key 'on') NOT NULL,
               creditlimit numeric OPTIONS (field 'CREDITLIMIT', type 'CURRENCY')
             ) SERVER acme OPTIONS (object 'CUSTOMER', filter 'CREDITLIMIT <> 5000')",
        )
        .expect("a table");
    let without: i64 = client
        .query_one("SELECT count(*) FROM customer WHERE creditlimit IS NULL", &[])
        .expect("a count")
        .get(0);
    assert!(without > 0, "every customer has a limit");
    for statement in [
        "SELECT count(creditlimit) FROM customer",
        "SELECT round(avg(creditlimit), 4) FROM customer",
        "SELECT creditlimit > 9000, count(creditlimit) FROM customer GROUP BY 1",
        "SELECT recordno FROM customer ORDER BY creditlimit DESC LIMIT 3",
    ] {
        assert_eq!(
            rows(&mut client, statement),
            rows_here(&mut client, statement),
            "{statement}"
        );
    }
}
