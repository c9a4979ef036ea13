//! What pg_dump writes can be restored, and works.

use postgres::Client;
use sage_intacct_fdw_tests::cluster::Database;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::dumps::{dump, restore, restore_all};

#[test]
fn servers_mappings_and_tables_survive_a_dump() {
    let company = Company::start("dump");
    company.import("customer, arinvoice");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE VIEW due AS SELECT customerid, totaldue FROM customer WHERE totaldue > 0;
             ALTER FOREIGN TABLE arinvoice OPTIONS (ADD filter 'TOTALDUE > 0', ADD page_size '20');
             SELECT sage_intacct.apply_comments('public');
             INSERT INTO customer (customerid, name) VALUES ('DUMPED', 'x')",
        )
        .expect("more objects");
    let dumped = dump(company.database.name(), &[]);
    company.gateway.tap.forget();

    let copy = Database::create_empty("dump_copy");
    restore_all(copy.name(), &dumped);
    assert!(company.gateway.tap.requests().is_empty(), "a restore asks nobody");

    let mut other = copy.connect();
    let sql = "SELECT (SELECT count(*) FROM due), (SELECT count(*) FROM arinvoice)";
    let (row, same) = (
        client.query_one(sql, &[]).expect("rows"),
        other.query_one(sql, &[]).expect("rows"),
    );
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, i64>(1)),
        (same.get(0), same.get(1))
    );
    assert!(row.get::<_, i64>(0) > 0 && row.get::<_, i64>(1) > 0);

    // It is a copy: it reads, and does not write until it is adopted.
    let insert = "INSERT INTO customer (customerid, name) VALUES ('RESTORED', 'x')";
    let error = other.batch_execute(insert).expect_err("a copy does not write");
    assert_eq!(
        error.code().map(postgres::error::SqlState::code),
        Some("55000"),
        "{error:?}"
    );

    let again = dump(copy.name(), &[]);
    let lines = |bytes: &[u8]| {
        // pg_dump of late versions marks each dump with a random word.
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines()
            .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(&dumped), lines(&again));
    other
        .batch_execute(&format!("SELECT sage_intacct.adopt_server('acme'); {insert}"))
        .expect("it takes over");
}

/// Rows of foreign tables are in a dump only when that is asked for. Restoring them would create records, in the company
/// of the dump's server.
#[test]
fn a_restore_of_foreign_rows_creates_no_record() {
    let company = Company::start("dump_rows");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("CREATE TABLE here AS SELECT customerid FROM customer")
        .expect("a table");
    let rows = company.rows("CUSTOMER");
    for (name, format) in [
        ("dump_inserts", &["--column-inserts"][..]),
        ("dump_copy_rows", &[][..]),
        ("dump_no_server", &["--section=data"][..]),
    ] {
        let count = |client: &mut Client| -> i64 {
            let row = client.query_one("SELECT count(*) FROM here", &[]);
            row.expect("a table").get(0)
        };
        let dumped = count(&mut client);
        let options: Vec<&str> = ["--include-foreign-data=acme"]
            .iter()
            .chain(format)
            .copied()
            .collect();
        let dump = dump(company.database.name(), &options);
        let text = String::from_utf8_lossy(&dump);
        assert!(
            text.contains("COPY public.customer") || text.contains("INSERT INTO public.customer"),
            "{name}"
        );
        company.gateway.tap.forget();
        // Into a new database, and over the one that it is from, where the server is at home.
        let copy = Database::create_empty(name);
        for (database, has_tables) in [(copy.name(), false), (company.database.name(), true)] {
            if name == "dump_no_server" && !has_tables {
                continue;
            }
            let (_, said) = restore(database, &dump, &[]);
            assert!(said.contains("restore"), "{name}: {said}");
        }
        let creates = company.gateway.tap.requests();
        let creates = creates.iter().filter(|xml| xml.contains("<create>"));
        assert_eq!(creates.count(), 0, "{name}");
        // The rows of ordinary tables are there.
        if name != "dump_no_server" {
            assert_eq!(count(&mut copy.connect()), dumped, "{name}");
        }
    }
    assert_eq!(company.rows("CUSTOMER"), rows);
}
