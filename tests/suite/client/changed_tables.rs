//! Options that change under a session which has read them: they are kept between statements, and never longer than they hold.

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;

use super::budget::requests;

fn text(client: &mut Client, sql: &str) -> Result<String, String> {
    let messages = client.simple_query(sql).map_err(|error| {
        let error = error.as_db_error().expect("an error of the server");
        error.message().to_owned()
    })?;
    let row = messages.iter().find_map(|message| match message {
        postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(row.unwrap_or_default())
}

#[test]
fn changed_options_hold_for_the_next_statement() {
    let company = Company::start("changed_tables");
    company.import("customer, vendor");
    let (mut client, mut other) = (company.connect(), company.connect());
    let name = "SELECT name FROM customer WHERE recordno = (SELECT min(recordno) FROM customer)";
    let explain = "EXPLAIN (COSTS OFF, FORMAT json) SELECT name FROM customer WHERE status = 'active'";
    let plan = |client: &mut Client| text(client, explain).expect("a plan");
    let before = text(&mut client, name).expect("a name");
    let asks = |plan: &str, field: &str| plan.contains(&format!(", {field}"));
    let first = plan(&mut client);
    assert!(
        first.contains("STATUS = 'active'") && asks(&first, "NAME"),
        "{first}"
    );

    // By another session, and taken back with its transaction by this one.
    other
        .batch_execute("ALTER FOREIGN TABLE customer ALTER COLUMN name OPTIONS (SET field 'CUSTOMERID')")
        .expect("an option");
    let changed = plan(&mut client);
    assert!(
        asks(&changed, "CUSTOMERID") && !asks(&changed, "NAME"),
        "{changed}"
    );
    let id = text(&mut client, name).expect("an identifier");
    assert_ne!(id, before);
    client
        .batch_execute("BEGIN; ALTER FOREIGN TABLE customer ALTER COLUMN name OPTIONS (SET field 'NAME')")
        .expect("an option");
    assert_eq!(text(&mut client, name), Ok(before.clone()));
    client.batch_execute("ROLLBACK").expect("taken back");
    assert_eq!(text(&mut client, name), Ok(id));

    // The type decides what is pushed, the table's options what is asked.
    client
        .batch_execute(
            "ALTER FOREIGN TABLE customer ALTER COLUMN name OPTIONS (SET field 'NAME');
             ALTER FOREIGN TABLE customer ALTER COLUMN status OPTIONS (DROP type)",
        )
        .expect("options");
    let local = plan(&mut client);
    assert!(!local.contains("STATUS = 'active'"), "{local}");
    other
        .batch_execute("ALTER FOREIGN TABLE customer OPTIONS (ADD filter 'RECORDNO > 0')")
        .expect("an option");
    assert!(
        plan(&mut client).contains("where RECORDNO > 0"),
        "{}",
        plan(&mut client)
    );

    // The server's: the size of pages.
    requests(&company);
    text(
        &mut client,
        "SELECT count(*) FROM (SELECT vendorid || 'x' FROM vendor OFFSET 0) v",
    )
    .expect("rows");
    let whole = requests(&company).len();
    other
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '10')")
        .expect("an option");
    text(
        &mut client,
        "SELECT count(*) FROM (SELECT vendorid || 'x' FROM vendor OFFSET 0) v",
    )
    .expect("rows");
    assert!(requests(&company).len() > whole);

    // Columns come and go, names change, and tables are made anew under their old names.
    other
        .batch_execute(
            "ALTER FOREIGN TABLE customer ADD COLUMN again text OPTIONS (field 'CUSTOMERID', type 'TEXT');
             ALTER FOREIGN TABLE customer DROP COLUMN name; ALTER FOREIGN TABLE vendor RENAME TO supplier",
        )
        .expect("columns");
    assert!(text(&mut client, "SELECT again FROM customer LIMIT 1").is_ok_and(|id| id.starts_with("C-")));
    assert!(text(&mut client, name).is_err());
    other
        .batch_execute(
            "DROP FOREIGN TABLE customer;
             CREATE FOREIGN TABLE customer (recordno bigint OPTIONS (type 'INTEGER') NOT NULL, name text) SERVER acme
               OPTIONS (object 'VENDOR')",
        )
        .expect("another table");
    let remote = text(
        &mut client,
        "EXPLAIN (COSTS OFF, FORMAT json) SELECT name FROM customer",
    )
    .expect("a plan");
    assert!(remote.contains("from VENDOR"), "{remote}");
}
