//! `sage_intacct.max_calls`: what a statement may buy.

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;

/// A company of 150 customers on pages of 20, whose client has signed in.
fn prepare(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    company.import("customer, arinvoice");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD page_size '20');
             SELECT whenmodified FROM customer LIMIT 1; SELECT totaldue FROM arinvoice LIMIT 1;
             CREATE TABLE keys AS SELECT recordno FROM customer;
             CREATE FUNCTION lookups(most int) RETURNS int LANGUAGE plpgsql AS $$
               DECLARE r record; n int := 0; found_one int;
               BEGIN
                 FOR r IN SELECT recordno FROM keys ORDER BY recordno LIMIT most LOOP
                   FOR found_one IN SELECT 1 FROM customer c WHERE c.recordno = r.recordno LOOP n := n + found_one; END LOOP;
                   PERFORM count(*) FROM arinvoice;
                 END LOOP;
                 RETURN n;
               END $$",
        )
        .expect("objects");
    company.gateway.log();
    (company, client)
}

/// Calls since the last time.
fn calls(company: &Company) -> usize {
    let log = company.gateway.log();
    log.iter().map(|entry| entry.functions.len()).sum()
}

fn set(client: &mut Client, most: usize) {
    client
        .batch_execute(&format!("SET sage_intacct.max_calls = {most}"))
        .expect("a setting");
}

/// The number of calls that a statement takes; with one less it fails, and sends no more than that.
#[track_caller]
fn bounded(company: &Company, client: &mut Client, sql: &str) -> usize {
    set(client, 0);
    calls(company);
    let run = |client: &mut Client| {
        client
            .simple_query(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        calls(company)
    };
    // What a statement that failed had under way may arrive after its end, and count here.
    let mut again = || {
        let (first, second) = (run(client), run(client));
        (first == second).then_some(first)
    };
    let taken = again().or_else(&mut again).unwrap_or_else(|| panic!("{sql}"));
    set(client, taken);
    assert_eq!(run(client), taken, "{sql}");
    set(client, taken - 1);
    if taken > 1 {
        let error = client.simple_query(sql).expect_err(sql);
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!(error.code().code(), "54000", "{sql}: {error:?}");
        let sent = calls(company);
        let message = error.message();
        let told: usize = message
            .strip_prefix(&format!("the statement takes more than {} calls: ", taken - 1))
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("{sql}: {message}"));
        // What another node had under way when the statement failed may not have left any more.
        assert!(sent <= told && told < taken, "{sql}: {message}, {sent} sent");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("max_calls")),
            "{error:?}"
        );
    }
    set(client, 0);
    taken
}

#[test]
fn a_statement_takes_no_more_calls_than_it_may() {
    let (company, mut client) = prepare("max_calls");
    let pages = (company.rows("CUSTOMER") as usize).div_ceil(20);
    let mut takes = |sql: &str| bounded(&company, &mut client, sql);
    assert!(takes("SELECT count(*), count(DISTINCT name) FROM customer") >= pages);
    // Several nodes, and several functions of one request.
    assert_eq!(
        takes("SELECT (SELECT count(*) FROM customer), (SELECT sum(totaldue) FROM arinvoice)"),
        3
    );
    assert!(
        takes("SELECT recordno FROM customer UNION ALL SELECT recordno FROM arinvoice WHERE totaldue > 10")
            > pages
    );
    // What functions ask by themselves, through portals of their own.
    assert_eq!(takes("SELECT lookups(3)"), 6);
    assert_eq!(
        takes("SELECT lookups(1) + lookups(2) FROM generate_series(1, 2)"),
        12
    );
    assert_eq!(
        takes("DO $$ BEGIN PERFORM lookups(2); PERFORM count(*) FROM customer; END $$"),
        5
    );
    assert_eq!(
        takes("EXPLAIN ANALYZE SELECT lookups(2), (SELECT count(*) FROM arinvoice)"),
        5
    );
    // A client that was never counted, and each statement of one message for itself.
    let mut other = company.connect();
    set(&mut other, 4);
    other
        .simple_query("SELECT lookups(2); SELECT lookups(2); SELECT lookups(2)")
        .expect("four calls each");
    let error = other
        .simple_query("SELECT lookups(2); SELECT lookups(3); SELECT lookups(2)")
        .expect_err("six calls");
    assert!(
        error
            .as_db_error()
            .expect("an error")
            .message()
            .contains("more than 4 calls")
    );
    let mut fresh = company.connect();
    fresh
        .batch_execute("SET sage_intacct.max_calls = 2")
        .expect("a setting before the library is loaded");
    let error = fresh.simple_query("SELECT lookups(2)").expect_err("four calls");
    assert_eq!(error.as_db_error().expect("an error").code().code(), "54000");
}

#[test]
fn cursors_planning_and_writes_are_counted() {
    let (company, mut client) = prepare("max_calls_cursors");
    set(&mut client, 3);
    // Each FETCH is a statement; the query goes on under the one that began it.
    let error = client
        .simple_query(
            "BEGIN; DECLARE c CURSOR FOR SELECT recordno FROM customer; FETCH 5 FROM c; SELECT count(*) FROM arinvoice;
             FETCH ALL FROM c",
        )
        .expect_err("more than three pages");
    assert!(
        error
            .as_db_error()
            .expect("an error")
            .message()
            .contains("more than 3 calls")
    );
    client
        .simple_query("ROLLBACK")
        .expect("the end of the transaction");
    // Planning belongs to its statement, once.
    client
        .batch_execute(
            "ALTER FOREIGN TABLE arinvoice OPTIONS (ADD use_remote_estimate 'on', ADD page_size '2000')",
        )
        .expect("an option");
    let sql = "SELECT recordid FROM arinvoice WHERE totaldue > 20";
    assert_eq!(bounded(&company, &mut client, sql), 2);
    set(&mut client, 2);
    client
        .simple_query(&format!("{sql}; {sql}"))
        .expect("two calls each");
    // Records written are calls; what was stored before the bound is told.
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD batch_size '10')")
        .expect("an option");
    set(&mut client, 25);
    let error = client
        .simple_query(
            "INSERT INTO customer (customerid, name) SELECT 'MC-' || n, 'n' FROM generate_series(1, 40) n",
        )
        .expect_err("forty records");
    let error = error.as_db_error().expect("an error of the server");
    assert_eq!(error.code().code(), "54000", "{error:?}");
    set(&mut client, 0);
    let stored: i64 = client
        .query_one("SELECT count(*) FROM customer WHERE customerid LIKE 'MC-%'", &[])
        .expect("a number")
        .get(0);
    assert!((10..=20).contains(&stored), "{stored}");
}

/// A statement of each kind that asks: what it takes is what it may take, and with one call less it fails.
#[test]
fn every_kind_of_statement_is_bounded() {
    let (company, mut client) = prepare("max_calls_kinds");
    let pages = (company.rows("CUSTOMER") as usize).div_ceil(20);
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD batch_size '10');
             SET enable_nestloop = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET sage_intacct.lookup_batch = 20;
             CREATE TABLE few AS SELECT recordno FROM keys LIMIT 45; ANALYZE few;
             SELECT FROM sage_intacct.query('acme', 'select NAME from CUSTOMER limit 1')",
        )
        .expect("settings");
    let join = "SELECT c.name FROM few JOIN customer c USING (recordno)";
    let plan = client.query(&format!("EXPLAIN {join}"), &[]).expect("a plan");
    assert!(
        plan.iter()
            .any(|line| line.get::<_, &str>(0).contains("Intacct Lookup Join")),
        "{plan:?}"
    );
    let mut takes = |sql: &str| bounded(&company, &mut client, sql);
    assert!(takes(join) >= 3, "a list each");
    let correlated =
        "SELECT (SELECT max(c.totaldue) FROM customer c WHERE c.recordno < f.recordno) FROM few f LIMIT 1";
    assert_eq!(takes(correlated), 2);
    assert!(takes("ANALYZE customer") >= 1);
    assert!(takes("SELECT count(*) FROM sage_intacct.query('acme', 'select NAME from CUSTOMER')") >= pages);
    assert!(
        takes(
            "DROP SCHEMA IF EXISTS imported CASCADE; CREATE SCHEMA imported;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (vendor, glaccount) FROM SERVER acme INTO imported"
        ) > 2
    );
    // Of writes each record is a call: these have one in each function.
    assert_eq!(
        takes("UPDATE customer SET name = name || '.' WHERE customerid = 'C-00002'"),
        2
    );
    assert!(
        takes("DELETE FROM customer WHERE customerid = 'C-00001' AND name = 'nobody'") >= 1,
        "a page"
    );
}

/// A mirror's load and refresh are statements too: what was loaded stays, and a refresh without a bound goes on.
#[test]
fn mirrors_are_bounded() {
    let (company, mut client) = prepare("max_calls_mirrors");
    client.batch_execute("CREATE SCHEMA m").expect("a schema");
    set(&mut client, 4);
    calls(&company);
    let error = client
        .simple_query("CALL sage_intacct.create_mirror('public.customer', 'm.customer')")
        .err();
    let code = error
        .as_ref()
        .and_then(|error| error.code().map(|code| code.code()));
    let last: Option<String> = client
        .query_opt("SELECT last_error FROM sage_intacct.mirrors", &[])
        .expect("the mirrors")
        .and_then(|row| row.get(0));
    assert!(
        code == Some("54000")
            || last
                .as_ref()
                .is_some_and(|last| last.contains("more than 4 calls")),
        "{code:?} {last:?}"
    );
    let sent = calls(&company);
    assert!(sent <= 4, "{sent} calls");
    set(&mut client, 0);
    client
        .simple_query("CALL sage_intacct.refresh_mirror('m.customer')")
        .expect("a refresh without a bound");
    let rows: i64 = client
        .query_one("SELECT count(*) FROM m.customer", &[])
        .expect("rows")
        .get(0);
    assert_eq!(rows, company.rows("CUSTOMER"));
}
