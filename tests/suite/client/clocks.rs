//! A gateway whose clock is set forward and back, whatever it tells: nothing that the planner leaves to it may rest on
//! what the clock shows. The rows lie in the hour that comes twice; each statement must answer as it does over a copy of
//! what has been read.

use postgres::{Client, SimpleQueryMessage};
use sage_intacct_fdw_tests::company::Company;
use serde_json::json;

/// Points in time around the end of summer time in Los Angeles, where 01:00 to 02:00 comes twice.
const TIMES: &[&str] = &[
    "2024-11-03 07:59:59",
    "2024-11-03 08:10:00",
    "2024-11-03 08:30:00",
    "2024-11-03 08:50:00",
    "2024-11-03 09:10:00",
    "2024-11-03 09:30:00",
    "2024-11-03 09:50:00",
    "2024-11-03 10:00:00",
];

/// A company with customers in table `f.customer` and a copy of them, pages of one row.
fn company(name: &str, settings: &[(&str, &str)], options: &str) -> (Company, Client) {
    let company = Company::start(name);
    for (key, value) in settings {
        company.gateway.set(key, value);
    }
    let keys = company
        .gateway
        .truth("SELECT RECORDNO AS k FROM CUSTOMER WHERE MEGAENTITYID IS NULL ORDER BY RECORDNO LIMIT 12");
    let keys = keys.iter().map(|row| row["k"].as_i64().expect("a key"));
    let changes: Vec<_> = keys
        .enumerate()
        .map(|(number, key)| {
            // Not in the order of the keys; some times come twice.
            let time = TIMES[number * 5 % TIMES.len()];
            json!({ "update": { "object": "CUSTOMER", "keys": [key], "silent": true,
                                "values": { "WHENMODIFIED": time, "NAME": format!("of the night {number}") } } })
        })
        .collect();
    company.gateway.change(changes.into());
    let mut client = company.connect();
    client
        .batch_execute(&format!(
            "ALTER SERVER acme OPTIONS (ADD page_size '1'{options});
             CREATE SCHEMA f; CREATE SCHEMA l;
             CREATE FOREIGN TABLE f.customer (
               recordno bigint OPTIONS (type 'INTEGER') NOT NULL, name text OPTIONS (type 'TEXT'),
               totaldue numeric OPTIONS (type 'CURRENCY'), whenmodified timestamptz OPTIONS (type 'TIMESTAMP'))
             SERVER acme OPTIONS (object 'CUSTOMER', filter 'NAME like ''of the night%''');
             SET timezone = 'UTC';
             CREATE TABLE l.customer AS SELECT * FROM f.customer;"
        ))
        .unwrap_or_else(|error| panic!("{error:?}"));
    (company, client)
}

fn rows(client: &mut Client, schema: &str, sql: &str) -> Vec<String> {
    let answer = client
        .simple_query(&format!("SET search_path = {schema}, public; {sql}"))
        .unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            let cells: Vec<_> = (0..row.len()).map(|at| row.get(at).unwrap_or("-")).collect();
            Some(cells.join(" | "))
        }
        _ => None,
    };
    answer.iter().filter_map(row).collect()
}

/// Statements whose answers are in a definite order.
const STATEMENTS: &[&str] = &[
    "SELECT whenmodified FROM customer ORDER BY whenmodified DESC LIMIT 5",
    "SELECT whenmodified FROM customer ORDER BY whenmodified LIMIT 7",
    "SELECT recordno, whenmodified FROM customer ORDER BY whenmodified, recordno",
    "SELECT recordno, whenmodified FROM customer WHERE whenmodified IS NOT NULL ORDER BY whenmodified DESC, recordno DESC",
    "SELECT recordno FROM customer ORDER BY whenmodified, recordno LIMIT 3 OFFSET 4",
    "SELECT min(whenmodified), max(whenmodified) FROM customer",
    "SELECT max(whenmodified) FROM customer WHERE whenmodified < '2024-11-03 10:00:00+00'",
    "SELECT max(whenmodified) FROM customer WHERE totaldue >= 0",
    "SELECT whenmodified, count(*), sum(totaldue) FROM customer GROUP BY whenmodified ORDER BY whenmodified",
    "SELECT DISTINCT whenmodified FROM customer ORDER BY 1",
    "SELECT count(DISTINCT whenmodified) FROM customer",
    "SELECT recordno, lag(recordno) OVER (ORDER BY whenmodified, recordno) FROM customer ORDER BY 1",
    "SELECT a.recordno, b.recordno FROM customer a JOIN customer b USING (whenmodified) ORDER BY 1, 2",
    "SELECT count(*) FROM customer WHERE whenmodified >= '2024-11-03 08:30:00+00'",
    "SELECT count(*) FROM customer WHERE whenmodified = '2024-11-03 09:30:00+00'",
    "SELECT count(*) FROM customer WHERE whenmodified <> '2024-11-03 09:30:00+00'",
    "SELECT count(*) FROM customer WHERE whenmodified IN ('2024-11-03 08:10:00+00', '2024-11-03 09:50:00+00')",
    "SELECT count(*) FROM customer WHERE whenmodified BETWEEN '2024-11-03 08:00:00+00' AND '2024-11-03 09:00:00+00'",
    "SELECT count(*) FROM customer WHERE whenmodified > (SELECT '2024-11-03 09:10:00+00'::timestamptz)",
    "SELECT recordno FROM customer WHERE whenmodified < '2024-11-03 09:00:00+00' ORDER BY recordno LIMIT 2 OFFSET 1",
    "SELECT x.at, count(c.recordno) FROM (VALUES ('2024-11-03 08:30:00+00'::timestamptz), ('2024-11-03 09:50:00+00')) x(at)
       LEFT JOIN LATERAL (SELECT * FROM customer WHERE whenmodified = x.at OFFSET 0) c ON true GROUP BY 1 ORDER BY 1",
];

#[track_caller]
fn compare(name: &str, settings: &[(&str, &str)], options: &str) {
    let (_company, mut client) = company(name, settings, options);
    for merge in [false, true] {
        if merge {
            let merging = "SET enable_hashjoin = off; SET enable_nestloop = off; SET enable_sort = off;
                           SET enable_hashagg = off";
            client.batch_execute(merging).expect("settings");
        }
        for sql in STATEMENTS {
            let expected = rows(&mut client, "l", sql);
            let got = rows(&mut client, "f", sql);
            assert_eq!(got, expected, "{settings:?} {options} merging: {merge}\n{sql}");
        }
    }
    // The connector's own syntax knows the same clock.
    let expected = rows(
        &mut client,
        "l",
        "SELECT max(whenmodified) AT TIME ZONE 'UTC' FROM customer",
    );
    let query = "select max(WHENMODIFIED) from CUSTOMER where NAME like ''of the night%''";
    let sql = format!(
        "SELECT (row->>'max(WHENMODIFIED)')::timestamptz AT TIME ZONE 'UTC' FROM sage_intacct.query('acme', '{query}') row"
    );
    assert_eq!(rows(&mut client, "f", &sql), expected, "{settings:?} {options}");
    let expected = rows(
        &mut client,
        "l",
        "SELECT whenmodified AT TIME ZONE 'UTC', count(*) FROM customer GROUP BY 1 ORDER BY 1",
    );
    let query = "select WHENMODIFIED, count(RECORDNO) from CUSTOMER where NAME like ''of the night%''";
    let sql = format!(
        "SELECT (row->>'WHENMODIFIED')::timestamptz AT TIME ZONE 'UTC', row->>'count(RECORDNO)'
           FROM sage_intacct.query('acme', '{query}') row ORDER BY 1"
    );
    assert_eq!(rows(&mut client, "f", &sql), expected, "{settings:?} {options}");
    // A reading that comes twice names the rows that are shown with it.
    let shown = rows(
        &mut client,
        "f",
        "SELECT row->>'WHENMODIFIED' FROM sage_intacct.query('acme',
           'select WHENMODIFIED from CUSTOMER where NAME like ''of the night%'' and WHENMODIFIED <= 11/03/2024 01:30:00') row",
    );
    let all = rows(
        &mut client,
        "f",
        "SELECT row->>'WHENMODIFIED' FROM sage_intacct.query('acme',
           'select WHENMODIFIED from CUSTOMER where NAME like ''of the night%''') row",
    );
    let bound = rows(
        &mut client,
        "f",
        "SELECT row->>'WHENMODIFIED' FROM sage_intacct.query('acme',
           'select WHENMODIFIED from CUSTOMER where NAME like ''of the night%'' and WHENMODIFIED = 11/03/2024 01:30:00') row",
    );
    let bound = bound.iter().max().expect("rows at half past one").clone();
    let wanted = all.iter().filter(|shown| **shown <= bound).count();
    assert_eq!(
        shown.len(),
        wanted,
        "{settings:?} {options} up to {bound}: {all:?}"
    );
}

#[test]
fn an_offset_is_told_and_the_clock_is_set_back() {
    compare("clock_told", &[("time_zone", "America/Los_Angeles")], "");
}

#[test]
fn the_offset_of_summer_is_told_and_the_second_hour_is_meant() {
    let settings = [
        ("time_zone", "America/Los_Angeles"),
        ("reported_offset", "summer"),
        ("repeated_hour", "second"),
    ];
    compare("clock_summer", &settings, "");
}

#[test]
fn times_are_compared_as_the_clock_shows_them() {
    let settings = [("time_zone", "America/Los_Angeles"), ("clock_order", "readings")];
    compare("clock_readings", &settings, "");
    compare(
        "clock_readings_declared",
        &settings,
        ", ADD time_zone 'America/Los_Angeles'",
    );
}

#[test]
fn the_zone_is_declared_and_the_clock_is_set_back() {
    let declared = ", ADD time_zone 'America/Los_Angeles'";
    compare(
        "clock_declared",
        &[("time_zone", "America/Los_Angeles")],
        declared,
    );
    let settings = [("time_zone", "America/Los_Angeles"), ("repeated_hour", "second")];
    compare("clock_declared_second", &settings, declared);
}

#[test]
fn a_clock_that_is_declared_to_stand_still_is_relied_on() {
    let (company, mut client) = company("clock_steady", &[], ", ADD time_zone 'UTC'");
    for (sql, sent) in [
        (STATEMENTS[0], "<orderby>"),
        (
            "SELECT min(whenmodified) FROM customer GROUP BY name HAVING true",
            "<min>",
        ),
        ("SELECT DISTINCT whenmodified FROM customer", "<count>"),
    ] {
        company.gateway.tap.forget();
        let mut got = rows(&mut client, "f", sql);
        let mut expected = rows(&mut client, "l", sql);
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "{sql}");
        let requests = company.gateway.tap.requests().concat();
        assert!(requests.contains(sent), "{sql}: {requests}");
        assert!(requests.contains("WHENMODIFIED"), "{sql}: {requests}");
    }
    for statement in STATEMENTS {
        let (got, expected) = (
            rows(&mut client, "f", statement),
            rows(&mut client, "l", statement),
        );
        assert_eq!(got, expected, "{statement}");
    }
}
