//! Each kind of change, alone: it arrives, and nothing else is touched.

use super::company::{
    assert_equal, company, keys, last_run, lines, local_mirror, mirror, refresh, run, sized_company,
};
use sage_intacct_fdw_tests::company::Company;
use serde_json::json;

/// Requests of a kind since the last call to `forget`: those for the audit trail, and the others.
fn requests(company: &Company) -> (usize, usize) {
    let requests = company.gateway.tap.requests();
    let audit = requests
        .iter()
        .filter(|xml| xml.contains("<object>AUDITHISTORY</object>"))
        .count();
    (audit, requests.len() - audit)
}

#[test]
fn a_first_load_goes_slice_by_slice() {
    let (_company, mut client) = company("mirror_load", "arinvoice");
    mirror(&mut client, "arinvoice", r#"{"slice_rows": 40, "page_rows": 30}"#);
    assert_equal(&mut client, "arinvoice");
    assert_eq!(
        lines(
            &mut client,
            "SELECT complete, rows = (SELECT count(*) FROM finance.arinvoice) FROM sage_intacct.mirrors"
        ),
        "t t"
    );
}

#[test]
fn ten_changes_cost_four_requests() {
    let (company, mut client) = company("mirror_cost", "customer");
    mirror(&mut client, "customer", "{}");
    let keys = keys(&company, "CUSTOMER", 20);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": keys[..6], "values": { "NAME": "changed" } } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "NEW1", "NAME": "one" } } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "NEW2", "NAME": "two" } } },
    ]));
    company.gateway.tap.forget();
    refresh(&mut client, "customer");
    let (audit, others) = requests(&company);
    assert_eq!(last_run(&mut client, "customer"), "done 2 6 0");
    assert!(audit <= 1 && others <= 3, "{audit} + {others}");
    assert_equal(&mut client, "customer");

    // Nothing has changed: nothing is written, and no page is read beyond the overlap.
    company.gateway.tap.forget();
    refresh(&mut client, "customer");
    let (audit, others) = requests(&company);
    assert_eq!(last_run(&mut client, "customer"), "done 0 0 0");
    assert!(audit <= 1 && others <= 3, "{audit} + {others}");
}

#[test]
fn unchanged_rows_are_not_rewritten() {
    let (company, mut client) = company("mirror_unchanged", "customer");
    mirror(&mut client, "customer", "{}");
    let places = "SELECT string_agg(ctid::text || xmin::text, ' ' ORDER BY recordno) FROM finance.customer";
    let before = lines(&mut client, places);
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer', full => true)",
    );
    assert_eq!(lines(&mut client, places), before);

    let key = keys(&company, "CUSTOMER", 1)[0];
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [key], "values": { "NAME": "changed" } } }
    ]));
    run(
        &mut client,
        "CREATE TABLE before AS SELECT recordno, xmin AS version FROM finance.customer",
    );
    refresh(&mut client, "customer");
    assert_eq!(
        lines(
            &mut client,
            "SELECT recordno FROM finance.customer c JOIN before b USING (recordno) WHERE c.xmin <> b.version"
        ),
        key.to_string()
    );
}

#[test]
fn deleted_rows_go_by_the_audit_trail() {
    let (company, mut client) = company("mirror_deletes", "customer, apbill");
    let customers = keys(&company, "CUSTOMER", 3);
    let bills = keys(&company, "APBILL", 2);
    // Without the check nothing but the trail tells of them.
    mirror(&mut client, "customer", r#"{"check": "off"}"#);
    mirror(&mut client, "apbill", r#"{"check": "off"}"#);
    let id = company.gateway.truth(&format!(
        "SELECT CUSTOMERID AS id FROM CUSTOMER WHERE RECORDNO = {}",
        customers[0]
    ))[0]["id"]
        .clone();
    company.gateway.change(json!([
        { "delete": { "object": "CUSTOMER", "keys": customers } },
        { "delete": { "object": "APBILL", "keys": bills } },
        // The name of the first one is given to another row.
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": id, "NAME": "heir" } } },
    ]));
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 1 0 3");
    assert_equal(&mut client, "customer");
    refresh(&mut client, "apbill");
    assert_eq!(last_run(&mut client, "apbill"), "done 0 0 2");
    assert_equal(&mut client, "apbill");
    // The trail still tells of the name: its heir stays.
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 0 0 0");
}

/// The trail names a row by its record number, or by what people call it: which of both is not known of most objects.
#[test]
fn the_trail_tells_of_deletes_by_either_key() {
    let objects = [
        "arinvoice",
        "class",
        "contact",
        "glaccount",
        "mca_attendee",
        "department",
    ];
    let (company, mut client) = company("mirror_trails", &objects.join(", "));
    for table in objects {
        // Without the check nothing but the trail tells of them.
        mirror(&mut client, table, r#"{"check": "off"}"#);
        let (object, key) = match table {
            "mca_attendee" => ("MCA_attendee".to_owned(), "id"),
            other => (other.to_uppercase(), "RECORDNO"),
        };
        let owned = if table == "arinvoice" {
            "WHERE MEGAENTITYKEY IS NULL"
        } else {
            ""
        };
        let keys: Vec<_> = company
            .gateway
            .truth(&format!(
                "SELECT {key} AS k FROM {object} {owned} ORDER BY k DESC LIMIT 2"
            ))
            .iter()
            .map(|row| row["k"].clone())
            .collect();
        company
            .gateway
            .change(json!([{ "delete": { "object": object, "keys": keys } }]));
        refresh(&mut client, table);
        assert_eq!(last_run(&mut client, table), "done 0 0 2", "{table}");
        assert_equal(&mut client, table);
    }
}

#[test]
fn some_changes_of_many_rows_cost_five_requests() {
    let (company, mut client) = sized_company("mirror_few", "arinvoice", &[("ARINVOICE", 5000)]);
    mirror(&mut client, "arinvoice", "{}");
    let keys = keys(&company, "ARINVOICE", 4000);
    company.gateway.change(json!([
        { "delete": { "object": "ARINVOICE", "keys": [keys[5], keys[2000], keys[3999]] } },
        { "update": { "object": "ARINVOICE", "keys": keys[100..106], "values": { "DESCRIPTION": "changed" } } },
        { "insert": { "object": "ARINVOICE", "values": { "RECORDID": "a" } } },
        { "insert": { "object": "ARINVOICE", "values": { "RECORDID": "b" } } },
        { "insert": { "object": "ARINVOICE", "values": { "RECORDID": "c" } } },
        { "insert": { "object": "ARINVOICE", "values": { "RECORDID": "d" } } },
    ]));
    company.gateway.tap.forget();
    refresh(&mut client, "arinvoice");
    let requests = company.gateway.tap.requests().len();
    assert_eq!(last_run(&mut client, "arinvoice"), "done 4 6 3");
    assert!(requests <= 5, "{requests}");
    assert_equal(&mut client, "arinvoice");
}

#[test]
fn the_check_finds_what_nothing_tells() {
    let (company, mut client) = company("mirror_check", "arinvoice");
    mirror(&mut client, "arinvoice", r#"{"page_rows": 20}"#);
    let keys = keys(&company, "ARINVOICE", 200);
    company.gateway.change(json!([
        { "delete": { "object": "ARINVOICE", "keys": [keys[3], keys[150]], "silent": true } },
        // Never changed, and created long ago: it appears behind every watermark.
        { "insert": { "object": "ARINVOICE", "values": {
            "RECORDID": "late", "AUWHENCREATED": "2020-01-01 00:00:00", "WHENMODIFIED": null } } },
    ]));
    refresh(&mut client, "arinvoice");
    assert_eq!(last_run(&mut client, "arinvoice"), "done 1 0 2");
    assert_equal(&mut client, "arinvoice");
    assert_eq!(
        lines(&mut client, "SELECT complete FROM sage_intacct.mirrors"),
        "t"
    );
}

#[test]
fn the_sweep_finds_it_without_the_check() {
    let (company, mut client) = company("mirror_sweep", "arinvoice");
    mirror(
        &mut client,
        "arinvoice",
        r#"{"check": "off", "page_rows": 50, "sweep_interval": "0 seconds"}"#,
    );
    let keys = keys(&company, "ARINVOICE", 100);
    company.gateway.change(json!([
        { "delete": { "object": "ARINVOICE", "keys": [keys[3], keys[90]], "silent": true } },
    ]));
    refresh(&mut client, "arinvoice");
    assert_eq!(last_run(&mut client, "arinvoice"), "done 0 0 2");
    assert_equal(&mut client, "arinvoice");
}

#[test]
fn rows_that_were_never_changed_come_by_their_creation() {
    let (company, mut client) = company("mirror_created", "customer, arinvoice");
    for table in ["customer", "arinvoice"] {
        mirror(&mut client, table, r#"{"check": "off"}"#);
    }
    company.gateway.change(json!([
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "N1", "NAME": "n", "WHENMODIFIED": null } } },
        { "insert": { "object": "ARINVOICE", "values": { "RECORDID": "N1", "WHENMODIFIED": null } } },
    ]));
    for table in ["customer", "arinvoice"] {
        refresh(&mut client, table);
        assert_eq!(last_run(&mut client, table), "done 1 0 0");
        assert_equal(&mut client, table);
    }
}

#[test]
fn lines_follow_their_headers() {
    let (company, mut client) = company("mirror_lines", "apbillitem, arinvoiceitem, glentry");
    let tables = ["apbillitem", "arinvoiceitem", "glentry"];
    for table in tables {
        mirror(&mut client, table, "{}");
        assert_equal(&mut client, table);
    }
    for (header, line, link) in [
        ("APBILL", "APBILLITEM", "RECORDKEY"),
        ("ARINVOICE", "ARINVOICEITEM", "RECORDKEY"),
        ("GLBATCH", "GLENTRY", "BATCHNO"),
    ] {
        let rows = company.gateway.truth(&format!(
            "SELECT RECORDNO AS line, {link} AS header FROM {line}
              WHERE {link} IN (SELECT RECORDNO FROM {header} WHERE MEGAENTITYKEY IS NULL) ORDER BY RECORDNO LIMIT 9"
        ));
        let at = |row: usize, name: &str| rows[row][name].as_i64().expect("a key");
        company.gateway.change(json!([
            { "delete": { "object": line, "keys": [at(0, "line")], "silent": true } },
            { "insert": { "object": line, "values": { (link): at(0, "header"), "WHENMODIFIED": "2020-01-01 00:00:00" } } },
            { "update": { "object": header, "keys": [at(0, "header")], "values": {} } },
            { "delete": { "object": header, "keys": [at(8, "header")] } },
        ]));
    }
    for table in tables {
        refresh(&mut client, table);
        assert_equal(&mut client, table);
    }
}

#[test]
fn objects_without_times_are_compared_row_by_row() {
    let (company, mut client) = company("mirror_plain", "customer");
    // The times are not among the columns.
    run(
        &mut client,
        "CREATE FOREIGN TABLE acme.plain (recordno bigint OPTIONS (type 'INTEGER') NOT NULL,
             customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT')) SERVER acme OPTIONS (object 'CUSTOMER')",
    );
    mirror(&mut client, "plain", r#"{"page_rows": 25}"#);
    let keys = keys(&company, "CUSTOMER", 100);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [keys[0], keys[99]], "values": { "NAME": "changed" }, "silent": true } },
        { "delete": { "object": "CUSTOMER", "keys": [keys[50]], "silent": true } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "N1", "NAME": "new" } } },
    ]));
    refresh(&mut client, "plain");
    assert_eq!(last_run(&mut client, "plain"), "done 1 2 1");
    assert_equal(&mut client, "plain");
}

#[test]
fn a_rescan_reads_what_changed_without_a_word() {
    let (company, mut client) = company("mirror_rescan", "arinvoice, customer");
    mirror(
        &mut client,
        "arinvoice",
        r#"{"rescan": "all", "rescan_columns": "totaldue, state", "rescan_interval": "0 seconds", "page_rows": 50}"#,
    );
    mirror(
        &mut client,
        "customer",
        r#"{"rescan": "40 years", "rescan_interval": "0 seconds"}"#,
    );
    company.gateway.change(json!([
        { "update": { "object": "ARINVOICE", "keys": keys(&company, "ARINVOICE", 2),
                      "values": { "TOTALDUE": 1.25 }, "silent": true } },
        { "update": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 3),
                      "values": { "TOTALDUE": 1.25 }, "silent": true } },
    ]));
    refresh(&mut client, "arinvoice");
    assert_eq!(last_run(&mut client, "arinvoice"), "done 0 2 0");
    assert_equal(&mut client, "arinvoice");
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 0 3 0");
    assert_equal(&mut client, "customer");
}

#[test]
fn the_second_pass_finds_what_became_visible_late() {
    let (company, mut client) = company("mirror_late", "customer");
    mirror(&mut client, "customer", r#"{"overlap": "0 seconds"}"#);
    let keys = keys(&company, "CUSTOMER", 2);
    let update = |key: i64, name: &str| json!([{ "update": { "object": "CUSTOMER", "keys": [key], "values": { "NAME": name } } }]);
    company.gateway.change_late(update(keys[0], "late"));
    // An hour later another change moves the watermark, and only then the first one appears.
    company.gateway.set("clock_skew", "3600");
    company.gateway.change(update(keys[1], "on time"));
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 0 1 0");
    company.gateway.release();
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 0 0 0");
    // The time of the second pass has come.
    run(
        &mut client,
        "UPDATE sage_intacct.mirror SET late_at = late_at - interval '2 hours'",
    );
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 0 1 0");
    assert_equal(&mut client, "customer");
}

#[test]
fn the_overlap_grows_around_a_change_of_the_clock() {
    let (_company, mut client) = company("mirror_overlap", "customer");
    mirror(&mut client, "customer", "{}");
    let overlap = |client: &mut postgres::Client, watermark: &str| {
        lines(
            client,
            &format!(
                "SELECT sage_intacct.mirror_overlap(jsonb_populate_record(m, '{{\"watermark\": \"{watermark}\"}}'))
                   FROM sage_intacct.mirror m"
            ),
        )
    };
    assert_eq!(overlap(&mut client, "2025-07-15 12:00:00+00"), "00:10:00");
    // New York, an hour after its clocks went back; and London, the day before.
    assert_eq!(overlap(&mut client, "2025-11-02 07:00:00+00"), "01:10:00");
    assert_eq!(overlap(&mut client, "2025-10-25 07:00:00+00"), "01:10:00");
    run(
        &mut client,
        "ALTER SERVER acme OPTIONS (ADD time_zone 'Asia/Tokyo')",
    );
    assert_eq!(overlap(&mut client, "2025-11-02 07:00:00+00"), "00:10:00");
}

/// IST is the name of India's time, and to PostgreSQL that of Israel's, which is hours later.
#[test]
fn changes_arrive_whatever_the_session_shows_of_times() {
    let (company, mut client) = company("mirror_settings", "customer");
    for (number, (style, zone)) in [
        ("SQL, DMY", "Asia/Kolkata"),
        ("German", "Asia/Shanghai"),
        ("Postgres, MDY", "Asia/Kolkata"),
    ]
    .into_iter()
    .enumerate()
    {
        run(
            &mut client,
            &format!("SET datestyle = '{style}'; SET timezone = '{zone}'"),
        );
        if number == 0 {
            mirror(&mut client, "customer", "{}");
        }
        let keys = keys(&company, "CUSTOMER", 3);
        company.gateway.change(json!([
            { "update": { "object": "CUSTOMER", "keys": keys, "values": { "NAME": format!("changed {number}") } } },
        ]));
        refresh(&mut client, "customer");
        assert_eq!(last_run(&mut client, "customer"), "done 0 3 0", "{style} {zone}");
        assert_equal(&mut client, "customer");
    }
}

#[test]
fn a_partitioned_table_can_be_a_mirror() {
    let (company, mut client) = company("mirror_partitions", "arinvoice");
    run(
        &mut client,
        "CREATE TABLE finance.arinvoice (recordno bigint, whencreated date, recordid text, totaldue numeric, whenmodified timestamptz,
             auwhencreated timestamptz, note text, PRIMARY KEY (recordno, whencreated)) PARTITION BY RANGE (whencreated);
         CREATE TABLE finance.old PARTITION OF finance.arinvoice FOR VALUES FROM (MINVALUE) TO ('2022-01-01');
         CREATE TABLE finance.new PARTITION OF finance.arinvoice FOR VALUES FROM ('2022-01-01') TO (MAXVALUE)",
    );
    local_mirror(&mut client, "arinvoice", "{}");
    run(&mut client, "UPDATE finance.arinvoice SET note = 'mine'");
    let key = company.gateway.truth(
        "SELECT RECORDNO AS k FROM ARINVOICE WHERE MEGAENTITYKEY IS NULL AND WHENCREATED < '2022-01-01' LIMIT 1",
    )[0]["k"]
        .as_i64()
        .expect("a key");
    company.gateway.change(json!([
        { "update": { "object": "ARINVOICE", "keys": [key], "values": { "WHENCREATED": "2023-05-05" } } }
    ]));
    refresh(&mut client, "arinvoice");
    assert_eq!(
        lines(
            &mut client,
            &format!("SELECT tableoid::regclass, note FROM finance.arinvoice WHERE recordno = {key}")
        ),
        "finance.new mine"
    );
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(*) FROM (SELECT recordno, whencreated, recordid, totaldue FROM acme.arinvoice
                 EXCEPT SELECT recordno, whencreated, recordid, totaldue FROM finance.arinvoice) d"
        ),
        "0"
    );
}

/// What a column's type calls equal may still be another text; numbers are compared by value; a type without an equality of
/// its own does no harm.
#[test]
fn rows_differ_by_what_they_show() {
    let (company, mut client) = company("mirror_types", "customer");
    run(
        &mut client,
        "CREATE SCHEMA extra; CREATE EXTENSION citext SCHEMA extra; CREATE DOMAIN extra.amount AS numeric;
         CREATE FOREIGN TABLE acme.typed (recordno bigint OPTIONS (type 'INTEGER') NOT NULL, customerid text OPTIONS (type 'TEXT'),
             name extra.citext OPTIONS (type 'TEXT'), totaldue extra.amount OPTIONS (type 'DECIMAL'),
             status json OPTIONS (constant '{\"a\": 1}'), whenmodified timestamptz OPTIONS (type 'TIMESTAMP'))
             SERVER acme OPTIONS (object 'CUSTOMER')",
    );
    // Without the time of change, which differs in any row that was touched.
    mirror(
        &mut client,
        "typed",
        r#"{"columns": "recordno, customerid, name, totaldue, status"}"#,
    );
    let keys = keys(&company, "CUSTOMER", 3);
    let name = |client: &mut postgres::Client, key: i64| {
        lines(
            client,
            &format!("SELECT name FROM finance.typed WHERE recordno = {key}"),
        )
    };
    let upper = name(&mut client, keys[0]).to_uppercase();
    assert_ne!(upper, name(&mut client, keys[0]));
    // Equal by value, in another scale; and a target whose type has become another one.
    for statement in [
        "UPDATE finance.typed SET totaldue = totaldue::numeric * 1.000",
        "ALTER TABLE finance.typed ALTER customerid TYPE varchar(200)",
    ] {
        run(&mut client, statement);
    }
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [keys[0]], "values": { "NAME": upper } } },
        { "update": { "object": "CUSTOMER", "keys": [keys[1]], "values": { "TOTALDUE": 17.25 } } },
        { "update": { "object": "CUSTOMER", "keys": [keys[2]], "values": {} } },
    ]));
    refresh(&mut client, "typed");
    assert_eq!(last_run(&mut client, "typed"), "done 0 2 0");
    assert_eq!(name(&mut client, keys[0]), upper);
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.typed', full => true)",
    );
    assert_eq!(last_run(&mut client, "typed"), "done 0 0 0");
}
