//! A library that meets the schema of another version says so, with the command, and is in nobody's way.

use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::dumps::dump;

/// As if CREATE EXTENSION had been done by another version.
fn pretend(client: &mut Client, version: &str) {
    let sql = "UPDATE pg_catalog.pg_extension SET extversion = $1 WHERE extname = 'sage_intacct_fdw'";
    assert_eq!(client.execute(sql, &[&version]).expect("an entry"), 1);
}

/// What psql prints for a statement, messages among it.
fn printed(database: &str, sql: &str) -> String {
    let output = cluster::program("psql")
        .args(["-X", "-q", "-At", "-d", database, "-c", sql])
        .output()
        .expect("psql runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn an_older_schema_works_and_names_the_command() {
    let company = Company::start("schema_older");
    company.import("customer");
    let name = company.database.name();
    for old in ["0.0.9", "0.0.1-dev"] {
        pretend(&mut company.connect(), old);
        let text = printed(name, "SELECT count(*) FROM customer");
        assert!(text.contains(&company.rows("CUSTOMER").to_string()), "{text}");
        assert!(text.contains(&format!("of version {old}")), "{text}");
        assert!(text.contains("ALTER EXTENSION sage_intacct_fdw UPDATE"), "{text}");
    }
    // Once for a session, not for each statement, nor for each function that somebody makes.
    let text = printed(
        name,
        "SELECT count(*) FROM customer; SELECT count(*) FROM customer;
         CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'; SELECT count(*) FROM customer",
    );
    assert_eq!(text.matches("WARNING").count(), 1, "{text}");
    // check() has a client of its own.
    let text = printed(name, "SELECT bool_and(ok) FROM sage_intacct.check('acme')");
    assert!(text.contains("ALTER EXTENSION sage_intacct_fdw UPDATE"), "{text}");
    pretend(&mut company.connect(), env!("CARGO_PKG_VERSION"));
    let text = printed(name, "SELECT count(*) FROM customer");
    assert!(!text.contains("WARNING"), "{text}");
}

#[test]
fn a_newer_schema_is_refused_where_it_is_used_and_nowhere_else() {
    let company = Company::start("schema_newer");
    company.import("customer");
    let name = company.database.name();
    pretend(&mut company.connect(), "99.1.0");
    for statement in [
        "SELECT count(*) FROM customer",
        "INSERT INTO customer (customerid, name) VALUES ('N', 'n')",
        "SELECT * FROM sage_intacct.objects('acme')",
        "IMPORT FOREIGN SCHEMA intacct LIMIT TO (vendor) FROM SERVER acme INTO public",
    ] {
        let error = company.connect().batch_execute(statement).expect_err(statement);
        let error = error.as_db_error().expect("the server's");
        assert_eq!(error.code().code(), "55000", "{statement}: {error:?}");
        assert!(
            error.detail().is_some_and(|detail| detail.contains("99.1.0")),
            "{error:?}"
        );
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("restart the server")),
            "{error:?}"
        );
    }
    company.gateway.tap.forget();
    let text = printed(
        name,
        "SELECT step, ok, translate(detail, E'\\n', ' '), hint FROM sage_intacct.check('acme') WHERE ok IS NOT NULL",
    );
    assert!(
        text.starts_with("options|f|") && text.contains("99.1.0") && text.contains("restart the server"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(company.gateway.tap.requests().is_empty(), "nobody is asked");
    assert!(
        company
            .gateway
            .tap
            .requests()
            .iter()
            .all(|body| !body.contains("<create>")),
        "nothing is written"
    );
    dump(name, &[]);
    let mut client = company.connect();
    for statement in [
        "ALTER SERVER acme OPTIONS (ADD page_size '100')",
        "CREATE FOREIGN TABLE other (recordno bigint) SERVER acme OPTIONS (object 'VENDOR')",
        "EXPLAIN SELECT * FROM customer",
        "ALTER EXTENSION sage_intacct_fdw DROP FUNCTION sage_intacct.version()",
        "ALTER EXTENSION sage_intacct_fdw ADD FUNCTION sage_intacct.version()",
        "DROP FOREIGN TABLE other",
        "DROP EXTENSION sage_intacct_fdw CASCADE",
    ] {
        client
            .batch_execute(statement)
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

/// A session that is open while another one updates the extension goes on with the library that it has.
#[test]
fn an_open_connection_notices_that_the_extension_was_updated() {
    let company = Company::start("schema_moved");
    company.import("customer");
    let count = "SELECT count(*) FROM customer";
    let mut open = company.connect();
    open.batch_execute(count).expect("rows");
    let mut other = company.connect();
    for (version, code) in [("99.1.0", Some("55000")), (env!("CARGO_PKG_VERSION"), None)] {
        // What an upgrade script does is at least to change a function.
        other.batch_execute("BEGIN").expect("a transaction");
        pretend(&mut other, version);
        other
            .batch_execute("ALTER FUNCTION sage_intacct.version() COST 2; ALTER FUNCTION sage_intacct.version() COST 1; COMMIT")
            .expect("another version");
        let got = open.batch_execute(count).err();
        let got = got.and_then(|error| error.code().map(|code| code.code().to_owned()));
        assert_eq!(got.as_deref(), code, "{version}");
    }
}
