//! Bounds that no value can reach are decided here: the gateway refuses a whole query that names a year without four
//! digits of its own.

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;

fn company(name: &str, settings: &[(&str, &str)], options: &str) -> (Company, Client) {
    let company = Company::start(name);
    for (key, value) in settings {
        company.gateway.set(key, value);
    }
    let mut client = company.connect();
    client
        .batch_execute(&format!(
            "{options}
             CREATE SCHEMA f; CREATE SCHEMA l;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme INTO f;
             CREATE TABLE l.customer AS SELECT * FROM f.customer;
             CREATE TABLE l.arinvoice AS SELECT * FROM f.arinvoice;"
        ))
        .unwrap_or_else(|error| panic!("{error:?}"));
    (company, client)
}

fn number(client: &mut Client, schema: &str, sql: &str) -> i64 {
    client
        .batch_execute(&format!("SET search_path = {schema}, public"))
        .expect("a path");
    client
        .query_one(sql, &[])
        .unwrap_or_else(|error| panic!("{error:?}\n{sql}"))
        .get(0)
}

/// Conditions, and whether they are false of every row.
const CONDITIONS: &[(&str, bool)] = &[
    ("extract(year FROM whencreated) < 5", true),
    ("extract(year FROM whencreated) > 5", false),
    ("extract(year FROM whencreated) = 999", true),
    ("extract(year FROM whencreated) <= 9998.5", false),
    ("date_part('year', whendue) < 17", true),
    ("NOT (extract(year FROM whendue) >= 800)", true),
    ("whendue < date '0005-01-01'", true),
    ("whendue > date '0999-12-31'", false),
    ("whendue <> date '0999-12-31'", false),
    ("whendue <= date '9999-12-31'", false),
    ("whendue > date '9999-12-31'", true),
    ("whendue IN (date '0005-01-01', date '0044-03-15')", true),
    ("whendue NOT IN (date '0005-01-01', date '0044-03-15')", false),
    ("whendue BETWEEN date '0001-01-01' AND date '0900-01-01'", true),
    ("whendue BETWEEN date '0001-01-01' AND date '2023-06-30'", false),
    ("whendue IS DISTINCT FROM date '0005-01-01'", false),
    ("whendue < date '0005-01-01' OR recordno > 20", false),
    ("whendue >= date '0005-01-01' AND recordno > 20", false),
    ("coalesce(whendue, date '0001-01-01') < date '0010-01-01'", false),
    ("date_trunc('year', whendue) < timestamp '0500-01-01'", true),
    ("whenmodified < '0500-01-01 00:00:00+00'", true),
    ("whenmodified >= '0500-01-01 00:00:00+00'", false),
    (
        "date_trunc('month', whenmodified) < '0500-01-01 00:00:00+00'",
        true,
    ),
    ("whenmodified::date < date '0500-01-01'", true),
    ("whenmodified < timestamp '0500-01-01'", true),
    (
        "whenmodified = ANY (ARRAY['0500-01-01 00:00:00+00'::timestamptz, '0999-12-31 12:00:00+00'])",
        true,
    ),
    ("whenmodified < 'infinity'", false),
    ("whendue > date '0044-03-15 BC'", false),
    ("(whendue, recordno) < (date '0005-01-01', 7)", true),
];

fn compare(name: &str, settings: &[(&str, &str)], options: &str) {
    let (company, mut client) = company(name, settings, options);
    for (condition, never) in CONDITIONS {
        for sql in [
            format!("SELECT count(*) FROM arinvoice WHERE {condition}"),
            format!("SELECT count(recordid) FROM (SELECT recordid FROM arinvoice WHERE {condition} OFFSET 0) s"),
            format!("SELECT coalesce(sum(recordno), 0)::bigint FROM arinvoice WHERE {condition}"),
            format!("SELECT count(*) FROM (SELECT 1 FROM arinvoice WHERE {condition} ORDER BY recordno OFFSET 3) s"),
            format!(
                "SELECT count(*) FROM arinvoice JOIN (SELECT customerid, name FROM customer) c USING (customerid)
                  WHERE {condition}"
            ),
        ] {
            let expected = number(&mut client, "l", &sql);
            company.gateway.tap.forget();
            let got = number(&mut client, "f", &sql);
            assert_eq!(got, expected, "{settings:?} {options} {sql}");
            let asked = company.gateway.tap.requests();
            let asked = asked.iter().filter(|xml| xml.contains("<object>ARINVOICE</object>"));
            if *never && !condition.contains("whenmodified") && !condition.contains("9999") {
                assert_eq!(asked.count(), 0, "nobody needs to be asked: {sql}");
            }
        }
    }
    // Known at execution only.
    let statement = "SELECT count(*) FROM arinvoice WHERE whendue < $1 OR extract(year FROM whendue) <= $2";
    for (day, year) in [
        ("0005-01-01", "3"),
        ("0005-01-01", "2022"),
        ("2023-01-01", "12"),
        ("9999-12-31", "999"),
    ] {
        let sql = format!("EXECUTE bound(date '{day}', {year})");
        let mut answers = Vec::new();
        for schema in ["l", "f"] {
            client
                .batch_execute(&format!(
                    "SET search_path = {schema}, public; SET plan_cache_mode = force_generic_plan;
                     PREPARE bound(date, numeric) AS {statement}"
                ))
                .expect("a statement");
            answers.push(format!("{:?}", client.simple_query(&sql)));
            client.batch_execute("DEALLOCATE bound").expect("it is there");
        }
        assert_eq!(answers[0], answers[1], "{day} {year}");
    }
    // In the connector's own syntax.
    for (condition, schema) in [
        ("WHENDUE < 01/01/0005", "WHENDUE < date '0005-01-01'"),
        ("WHENDUE > 12/31/0999", "WHENDUE > date '0999-12-31'"),
        ("WHENDUE in (01/01/0005, 12/31/0999)", "false"),
        (
            "WHENDUE between 01/01/0005 and 06/30/2023",
            "WHENDUE <= date '2023-06-30'",
        ),
        ("WHENMODIFIED < 01/01/0005 10:00:00", "false"),
        ("WHENMODIFIED >= 0500-01-01T00:00:00Z", "WHENMODIFIED IS NOT NULL"),
    ] {
        let expected = number(
            &mut client,
            "l",
            &format!("SELECT count(*) FROM arinvoice WHERE {schema}"),
        );
        for select in ["RECORDNO", "count(RECORDNO)"] {
            let sql = match select {
                "RECORDNO" => "SELECT count(*)",
                _ => "SELECT coalesce(sum((row->>'count(RECORDNO)')::bigint), 0)::bigint",
            };
            let sql = format!(
                "{sql} FROM sage_intacct.query('acme', 'select {select} from ARINVOICE where {condition}') row"
            );
            assert_eq!(number(&mut client, "l", &sql), expected, "{condition} {select}");
        }
    }
}

#[test]
fn bounds_outside_the_gateways_calendar_are_decided_here() {
    compare("bounds", &[], "");
}

#[test]
fn they_are_decided_on_the_gateways_clock() {
    let settings = [("time_zone", "America/Los_Angeles")];
    compare("bounds_told", &settings, "");
    let declared =
        "ALTER SERVER acme OPTIONS (ADD time_zone 'America/Los_Angeles'); SET timezone = 'Asia/Tokyo';";
    compare("bounds_declared", &settings, declared);
}

#[test]
fn they_are_decided_for_every_function() {
    let company = Company::start("bounds_functions");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE by_query (recordno bigint OPTIONS (type 'INTEGER'), whendue date OPTIONS (type 'DATE'))
               SERVER acme OPTIONS (object 'ARINVOICE', function 'readByQuery');
             CREATE FOREIGN TABLE listed (recordno bigint OPTIONS (field 'KEY', type 'INTEGER'), whendue date OPTIONS (type 'DATE'))
               SERVER acme OPTIONS (object 'ARINVOICE', function 'get_list');
             CREATE FOREIGN TABLE always (recordno bigint OPTIONS (type 'INTEGER'), whendue date OPTIONS (type 'DATE'))
               SERVER acme OPTIONS (object 'ARINVOICE', filter 'WHENDUE < 01/01/0005 or RECORDNO < 0')",
        )
        .expect("tables");
    let all = number(
        &mut client,
        "public",
        "SELECT count(*) FROM by_query WHERE whendue IS NOT NULL",
    );
    assert!(all > 0);
    for (condition, expected) in [
        ("whendue < date '0005-01-01'", 0),
        ("whendue > date '0005-01-01'", all),
        ("extract(year FROM whendue) < 500", 0),
        ("extract(year FROM whendue) >= 500", all),
    ] {
        for table in ["by_query", "listed"] {
            let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
            assert_eq!(number(&mut client, "public", &sql), expected, "{sql}");
        }
    }
    assert_eq!(
        number(
            &mut client,
            "public",
            "SELECT count(*) FROM always WHERE recordno < 0"
        ),
        0
    );
}
