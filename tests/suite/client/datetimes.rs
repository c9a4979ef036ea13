//! Dates and times in columns of any type are read and written by the gateway's format and clock: what the session's
//! settings DateStyle and TimeZone say makes no difference.

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::sql::texts;

/// Settings under which sessions read and write dates, none of them the gateway's.
const SESSIONS: &[(&str, &str)] = &[
    ("ISO, MDY", "UTC"),
    ("SQL, DMY", "Asia/Tokyo"),
    ("German", "America/Los_Angeles"),
    ("Postgres, YMD", "Asia/Kolkata"),
];

fn company(name: &str, settings: &[(&str, &str)], user: &str, options: &str) -> (Company, Client) {
    let company = Company::start(name);
    for (key, value) in settings {
        company.gateway.set(key, value);
    }
    let mut client = company.connect();
    client
        .batch_execute(&format!(
            "ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET user_id '{user}');
             {options}
             CREATE DOMAIN day AS date CHECK (VALUE > date '1800-01-01');
             CREATE DOMAIN holiday AS day;
             CREATE DOMAIN stamp AS timestamptz;
             CREATE DOMAIN second AS timestamptz(0) NOT NULL;
             CREATE DOMAIN reading AS timestamp(3);
             CREATE FOREIGN TABLE plain (recordno bigint OPTIONS (type 'INTEGER') NOT NULL,
               day date OPTIONS (field 'LAST_INVOICEDATE', type 'DATE'),
               at timestamptz OPTIONS (field 'WHENCREATED', type 'TIMESTAMP')) SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE other (recordno bigint OPTIONS (type 'INTEGER') NOT NULL,
               day1 day OPTIONS (field 'LAST_INVOICEDATE', type 'DATE'),
               day2 holiday OPTIONS (field 'LAST_INVOICEDATE', type 'DATE'),
               at0 timestamptz(0) OPTIONS (field 'WHENCREATED', type 'TIMESTAMP'),
               at1 stamp OPTIONS (field 'WHENCREATED', type 'TIMESTAMP'),
               at2 second OPTIONS (field 'WHENCREATED', type 'TIMESTAMP'),
               shown0 timestamp OPTIONS (field 'WHENCREATED', type 'TIMESTAMP'),
               shown1 reading OPTIONS (field 'WHENCREATED', type 'TIMESTAMP'),
               clock time OPTIONS (field 'WHENCREATED', type 'TIMESTAMP')) SERVER acme OPTIONS (object 'CUSTOMER');"
        ))
        .unwrap_or_else(|error| panic!("{error:?}"));
    (company, client)
}

fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    texts(client, sql, " | ", "-")
}

/// What does not depend on the session's settings: a day's number, seconds since 1970.
fn compare(name: &str, settings: &[(&str, &str)], user: &str, options: &str, zone: &str) {
    let (_company, mut client) = company(name, settings, user, options);
    let truth = rows(
        &mut client,
        &format!(
            "SELECT recordno, day - date '2000-01-01', day - date '2000-01-01',
                    extract(epoch FROM at), extract(epoch FROM at), extract(epoch FROM at),
                    extract(epoch FROM at AT TIME ZONE '{zone}'), extract(epoch FROM at AT TIME ZONE '{zone}'),
                    extract(epoch FROM (at AT TIME ZONE '{zone}')::time)
               FROM plain ORDER BY 1"
        ),
    );
    assert!(truth.len() > 100, "{}", truth.len());
    for (style, zone) in SESSIONS {
        client
            .batch_execute(&format!("SET datestyle = '{style}'; SET timezone = '{zone}'"))
            .expect("settings");
        let got = rows(
            &mut client,
            "SELECT recordno, day1 - date '2000-01-01', day2 - date '2000-01-01', extract(epoch FROM at0),
                    extract(epoch FROM at1), extract(epoch FROM at2), extract(epoch FROM shown0),
                    extract(epoch FROM shown1), extract(epoch FROM clock) FROM other ORDER BY 1",
        );
        assert_eq!(got, truth, "{name} {style} {zone}");
        // Parameters and keys, against columns of each type.
        let found = rows(
            &mut client,
            "PREPARE found(day, timestamptz(0), timestamp) AS SELECT count(*) FROM other
               WHERE day1 <= $1 AND at0 <= $2 AND at1 <= $2 AND shown0 <= $3;
             EXECUTE found(date '2020-06-30', timestamptz '2021-06-30 12:00:00+00', timestamp '2021-06-30 12:00:00')",
        );
        client.batch_execute("DEALLOCATE found").expect("it is there");
        let expected = rows(
            &mut client,
            "CREATE TEMP TABLE copy AS SELECT * FROM other;
             SELECT count(*) FROM copy WHERE day1 <= date '2020-06-30' AND at0 <= timestamptz '2021-06-30 12:00:00+00'
               AND shown0 <= timestamp '2021-06-30 12:00:00';",
        );
        assert_eq!(found, expected, "{name} {style} {zone}");
        let statistics = rows(
            &mut client,
            "ANALYZE other; SELECT count(*) FROM other o JOIN copy c USING (recordno)
               WHERE o.at0 = c.at0 AND o.day1 IS NOT DISTINCT FROM c.day1; DROP TABLE copy",
        );
        assert_eq!(statistics, [truth.len().to_string()], "{name} {style} {zone}");
    }
}

#[test]
fn the_gateways_format_and_clock_hold_for_every_type() {
    compare("datetimes", &[], "apiuser", "", "UTC");
}

#[test]
fn they_hold_for_a_user_who_prefers_iso() {
    compare("datetimes_iso", &[], "iso", "", "UTC");
}

#[test]
fn they_hold_in_a_zone_that_is_declared() {
    compare(
        "datetimes_zone",
        &[("time_zone", "Asia/Tokyo")],
        "apiuser",
        "ALTER SERVER acme OPTIONS (ADD time_zone 'Asia/Tokyo');",
        "Asia/Tokyo",
    );
}

#[test]
fn typmods_and_domains_are_applied_after_reading() {
    let (company, mut client) = company("datetimes_checks", &[], "apiuser", "");
    let key = company
        .gateway
        .truth("SELECT min(RECORDNO) AS k FROM CUSTOMER WHERE MEGAENTITYID IS NULL")[0]["k"]
        .as_i64();
    company.gateway.change(serde_json::json!([
        { "update": { "object": "CUSTOMER", "keys": [key], "values": { "LAST_INVOICEDATE": "1799-12-31" } } },
    ]));
    let error = client
        .simple_query("SELECT count(day2) FROM other")
        .expect_err("a day too early");
    assert_eq!(error.code().map(|code| code.code()), Some("23514"), "{error:?}");
    company.gateway.change(serde_json::json!([
        { "update": { "object": "CUSTOMER", "keys": [key],
                      "values": { "LAST_INVOICEDATE": "1801-12-31", "WHENCREATED": null } } },
    ]));
    rows(&mut client, "SELECT count(day2), count(at1) FROM other");
    let error = client
        .simple_query("SELECT count(at2) FROM other")
        .expect_err("no value");
    assert_eq!(error.code().map(|code| code.code()), Some("23502"), "{error:?}");
}

/// A type whose input function would have to guess.
#[test]
fn what_cannot_be_read_rightly_is_refused() {
    let (_company, mut client) = company("datetimes_refused", &[], "apiuser", "");
    for (number, type_name) in [
        "date[]",
        "timestamptz[]",
        "daterange",
        "tstzmultirange",
        "timetz",
        "day[]",
        "plain",
    ]
    .iter()
    .enumerate()
    {
        client
            .batch_execute(&format!(
                "CREATE FOREIGN TABLE t{number} (recordno bigint, c {type_name} OPTIONS (field 'WHENCREATED'))
                   SERVER acme OPTIONS (object 'CUSTOMER')"
            ))
            .expect("a table");
        // The column alone is refused, when it is read.
        rows(&mut client, &format!("SELECT recordno FROM t{number}"));
        let error = client
            .simple_query(&format!("SELECT c FROM t{number}"))
            .expect_err(type_name);
        let database = error.as_db_error().expect("an error of the server");
        assert_eq!(database.code().code(), "22P02", "{type_name}: {database:?}");
        assert!(
            database.message().contains("WHENCREATED"),
            "{type_name}: {database:?}"
        );
    }
}

#[test]
fn they_are_written_and_returned_alike() {
    let (company, mut client) = company(
        "datetimes_written",
        &[("time_zone", "Asia/Tokyo")],
        "apiuser",
        "ALTER SERVER acme OPTIONS (ADD time_zone '+09:00');",
    );
    client
        .batch_execute(
            "CREATE FOREIGN TABLE w (recordno bigint, customerid text, name text,
               signed day OPTIONS (field 'Signed_On', type 'DATE'),
               met second OPTIONS (field 'Last_Contact_At', type 'TIMESTAMP')) SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE r (recordno bigint, customerid text, name text,
               met reading OPTIONS (field 'Last_Contact_At', type 'TIMESTAMP')) SERVER acme OPTIONS (object 'CUSTOMER')",
        )
        .expect("tables");
    for (number, (style, zone)) in SESSIONS.iter().enumerate() {
        client
            .batch_execute(&format!("SET datestyle = '{style}'; SET timezone = '{zone}'"))
            .expect("settings");
        let returned = rows(
            &mut client,
            &format!(
                "INSERT INTO w (customerid, name, signed, met)
                   VALUES ('W{number}', 'x', make_date(2024, 12, 1), timestamptz '2024-12-01 20:30:00+00')
                 RETURNING signed - date '2000-01-01', extract(epoch FROM met)"
            ),
        );
        assert_eq!(returned, ["9101 | 1733085000.000000"], "{style} {zone}");
        let returned = rows(
            &mut client,
            &format!(
                "INSERT INTO r (customerid, name, met) VALUES ('R{number}', 'x', make_timestamp(2024, 12, 2, 5, 30, 0))
                 RETURNING extract(epoch FROM met)"
            ),
        );
        assert_eq!(returned, ["1733117400.000000"], "{style} {zone}");
        let kept = company.gateway.truth(&format!(
            "SELECT Signed_On AS d, Last_Contact_At AS t FROM CUSTOMER WHERE CUSTOMERID IN ('W{number}', 'R{number}')
              ORDER BY Signed_On"
        ));
        assert_eq!(
            (&kept[1]["d"], &kept[1]["t"]),
            (&"2024-12-01".into(), &"2024-12-01 20:30:00".into())
        );
        assert_eq!(kept[0]["t"], "2024-12-01 20:30:00", "{style} {zone}");
    }
    // A year that no condition can name is no value.
    client
        .batch_execute(
            "CREATE FOREIGN TABLE x (recordno bigint, customerid text, name text, d date OPTIONS (field 'Signed_On'),
               t timestamptz OPTIONS (field 'Last_Contact_At')) SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE FOREIGN TABLE y (recordno bigint, customerid text, name text,
               t timestamp OPTIONS (field 'Last_Contact_At')) SERVER acme OPTIONS (object 'CUSTOMER')",
        )
        .expect("tables");
    for (table, column, value) in [
        ("x", "d", "make_date(987, 12, 31)"),
        ("x", "t", "make_timestamptz(987, 12, 31, 0, 0, 0)"),
        ("y", "t", "make_timestamp(5, 1, 1, 0, 0, 0)"),
    ] {
        let sql = format!("INSERT INTO {table} (customerid, name, {column}) VALUES ('X1', 'x', {value})");
        let error = client.batch_execute(&sql).expect_err(value);
        let code = error.code().map(|code| code.code());
        assert_eq!(code, Some("22023"), "{sql} {error:?}");
    }
}

/// What an option says does not change with the session either.
#[test]
fn constants_are_read_alike() {
    let (_company, mut client) = company("datetimes_constants", &[], "apiuser", "");
    client
        .batch_execute(
            "CREATE FOREIGN TABLE c (recordno bigint, d date OPTIONS (constant '02/03/2024'),
               e day OPTIONS (constant '2024-02-03'), at timestamptz(0) OPTIONS (constant '02/03/2024 04:05:06'))
             SERVER acme OPTIONS (object 'CUSTOMER')",
        )
        .expect("a table");
    for (style, zone) in SESSIONS {
        let shown = rows(
            &mut client,
            &format!(
                "SET datestyle = '{style}'; SET timezone = '{zone}';
                 SELECT DISTINCT d - date '2000-01-01', e - date '2000-01-01', extract(epoch FROM at) FROM c"
            ),
        );
        assert_eq!(shown, ["8799 | 8799 | 1706933106.000000"], "{style} {zone}");
    }
}

/// Its reading would be taken for the hour before.
#[test]
fn a_time_that_the_clock_shows_twice_is_not_written() {
    let company = Company::start("clock_write");
    company.gateway.set("time_zone", "America/Los_Angeles");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD time_zone 'America/Los_Angeles');
             CREATE FOREIGN TABLE customer (recordno bigint, customerid text, name text,
               last_contact_at timestamptz OPTIONS (field 'Last_Contact_At')) SERVER acme",
        )
        .expect("a table");
    client
        .batch_execute("INSERT INTO customer (customerid, name, last_contact_at) VALUES ('W1', 'x', '2024-11-03 08:30+00')")
        .expect("the first of the two");
    let error = client
        .batch_execute("INSERT INTO customer (customerid, name, last_contact_at) VALUES ('W2', 'x', '2024-11-03 09:30+00')")
        .expect_err("the second");
    let text = format!("{:?}", error.as_db_error());
    assert!(
        text.contains("Last_Contact_At") && text.contains("twice"),
        "{text}"
    );
    let kept = company
        .gateway
        .truth("SELECT CUSTOMERID, Last_Contact_At AS at FROM CUSTOMER WHERE CUSTOMERID IN ('W1', 'W2')");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0]["at"], "2024-11-03 08:30:00");
}
