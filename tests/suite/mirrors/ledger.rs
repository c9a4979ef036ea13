//! GLDETAIL: nothing tells its rows apart. Changed batches bring their rows, periods are compared and replaced.

use super::company::{assert_equal, last_run, lines, mirror, refresh, run, sized_company};
use sage_intacct_fdw_tests::company::Company;
use serde_json::json;

/// Batches that the top level shows, with rows.
fn batches(company: &Company, count: usize) -> Vec<i64> {
    company
        .gateway
        .truth(&format!(
            "SELECT DISTINCT BATCHKEY AS k FROM GLDETAIL WHERE BATCHKEY IN (SELECT RECORDNO FROM GLBATCH WHERE MEGAENTITYKEY IS NULL)
              ORDER BY k LIMIT {count}"
        ))
        .iter()
        .map(|row| row["k"].as_i64().expect("a key"))
        .collect()
}

/// Numbers of rows of an object that has no key, in their order.
pub fn rows(company: &Company, object: &str) -> Vec<i64> {
    let rows = company
        .gateway
        .truth(&format!("SELECT _ROW AS k FROM t_{object} ORDER BY k"));
    rows.iter()
        .map(|row| row["k"].as_i64().expect("a number"))
        .collect()
}

#[test]
fn changed_batches_bring_their_rows() {
    let (company, mut client) = sized_company("mirror_ledger", "gldetail", &[("GLDETAIL", 1500)]);
    mirror(&mut client, "gldetail", r#"{"slice_rows": 300}"#);
    assert_equal(&mut client, "gldetail");
    assert_eq!(
        lines(
            &mut client,
            "SELECT complete, rows = (SELECT count(*) FROM finance.gldetail) FROM sage_intacct.mirrors"
        ),
        "t t"
    );
    let batches = batches(&company, 14);
    company.gateway.change(json!([
        // What a batch's rows say changes without a stamp of their own; rows go, and others come.
        { "update": { "object": "GLDETAIL", "where": format!("BATCHKEY = {}", batches[0]), "values": { "DESCRIPTION": "changed" }, "silent": true } },
        { "delete": { "object": "GLDETAIL", "where": format!("_ROW IN (SELECT min(_ROW) FROM t_GLDETAIL WHERE BATCHKEY = {})", batches[1]), "silent": true } },
        { "insert": { "object": "GLDETAIL", "values": { "BATCHKEY": batches[2], "ENTRY_DATE": "2024-03-05", "AMOUNT": 5, "WHENMODIFIED": null } } },
        { "update": { "object": "GLBATCH", "keys": batches[..10], "values": { "BATCH_TITLE": "changed" } } },
        // One row is changed without its batch, and a batch is deleted.
        { "update": { "object": "GLDETAIL", "where": format!("_ROW IN (SELECT min(_ROW) FROM t_GLDETAIL WHERE BATCHKEY = {})", batches[11]), "values": { "DESCRIPTION": "alone" } } },
        { "delete": { "object": "GLDETAIL", "where": format!("BATCHKEY = {}", batches[12]), "silent": true } },
        { "delete": { "object": "GLBATCH", "keys": [batches[12]] } },
    ]));
    company.gateway.tap.forget();
    refresh(&mut client, "gldetail");
    let requests = company.gateway.tap.requests().len();
    assert_equal(&mut client, "gldetail");
    // One each for trail, deleted batches, their rows, changed batches, rows, rows of the batch of a row; two for the check; a second look.
    assert!(requests <= 9, "{requests}");
    assert_eq!(
        lines(&mut client, "SELECT complete FROM sage_intacct.mirrors"),
        "t"
    );
    company.gateway.tap.forget();
    refresh(&mut client, "gldetail");
    assert_eq!(last_run(&mut client, "gldetail"), "done 0 0 0");
    let requests = company.gateway.tap.requests().len();
    assert!(requests <= 6, "{requests}");
}

#[test]
fn what_nothing_tells_is_found_by_period() {
    let (company, mut client) = sized_company("mirror_ledger_periods", "gldetail", &[("GLDETAIL", 2000)]);
    mirror(
        &mut client,
        "gldetail",
        r#"{"slice_rows": 500, "period_length": "year"}"#,
    );
    let rows = rows(&company, "GLDETAIL");
    company.gateway.change(json!([
        { "delete": { "object": "GLDETAIL", "where": format!("_ROW IN ({}, {}, {})", rows[7], rows[8], rows[900]), "silent": true } },
        { "update": { "object": "GLDETAIL", "where": format!("_ROW IN ({}, {})", rows[20], rows[1500]), "values": { "AMOUNT": 1.25 }, "silent": true } },
        { "update": { "object": "GLDETAIL", "where": format!("_ROW = {}", rows[30]), "values": { "ENTRY_DATE": "1999-12-31" }, "silent": true } },
        { "update": { "object": "GLDETAIL", "where": format!("_ROW = {}", rows[31]), "values": { "ENTRY_DATE": null }, "silent": true } },
        { "insert": { "object": "GLDETAIL", "values": { "BATCHKEY": null, "ENTRY_DATE": "2031-05-05", "AMOUNT": 7, "WHENMODIFIED": null, "AUWHENCREATED": "2020-01-01 00:00:00" } } },
    ]));
    run(
        &mut client,
        "CREATE TABLE before AS SELECT ctid AS place, xmin AS version FROM finance.gldetail",
    );
    refresh(&mut client, "gldetail");
    assert_equal(&mut client, "gldetail");
    assert_eq!(last_run(&mut client, "gldetail"), "done 5 0 7");
    assert_eq!(
        lines(
            &mut client,
            "SELECT count(*) FROM before b WHERE NOT EXISTS (SELECT FROM finance.gldetail t WHERE t.ctid = b.place AND t.xmin = b.version)"
        ),
        "7"
    );
    // What leaves count and sums as they are shows when every row is compared.
    company.gateway.change(json!([
        { "update": { "object": "GLDETAIL", "where": format!("_ROW = {}", rows[50]), "values": { "DESCRIPTION": "unheard of" }, "silent": true } },
    ]));
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.gldetail', full => true)",
    );
    assert_eq!(last_run(&mut client, "gldetail"), "done 1 0 1");
    assert_equal(&mut client, "gldetail");
}

/// A replica that lags behind answers the query for changes with nothing. What was read beside it must not hide that: a changed
/// line of its own, or nothing at all.
#[test]
fn changes_that_a_replica_does_not_show_are_asked_for_again() {
    for alone in [false, true] {
        let name = format!("mirror_ledger_lagging_{alone}");
        let (company, mut client) = sized_company(&name, "gldetail", &[("GLDETAIL", 1500)]);
        mirror(&mut client, "gldetail", "{}");
        let batches = batches(&company, 6);
        let (own, others) = batches.split_last().expect("batches");
        let list = others.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let mut changes = vec![
            json!({ "update": { "object": "GLDETAIL", "where": format!("BATCHKEY IN ({list})"),
                                "values": { "DESCRIPTION": "changed" }, "silent": true } }),
            json!({ "update": { "object": "GLBATCH", "keys": others, "values": { "BATCH_TITLE": "changed" } } }),
        ];
        if alone {
            changes.push(
                json!({ "update": { "object": "GLDETAIL", "values": { "DESCRIPTION": "alone" },
                "where": format!("_ROW IN (SELECT min(_ROW) FROM t_GLDETAIL WHERE BATCHKEY = {own})") } }),
            );
        }
        company.gateway.change(json!(changes));
        company.gateway.faults(
            r#"{"match": {"function": "query", "object": "GLBATCH"}, "times": 1, "action": "lagging"}"#,
        );
        refresh(&mut client, "gldetail");
        assert_equal(&mut client, "gldetail");
    }
}

/// The same where periods of changed rows are read.
#[test]
fn changed_periods_that_a_replica_does_not_show_are_asked_for_again() {
    let (company, mut client) = sized_company(
        "mirror_periods_lagging",
        "glaccountbalance",
        &[("GLACCOUNTBALANCE", 300)],
    );
    mirror(&mut client, "glaccountbalance", "{}");
    company.gateway.change(json!([
        // No sum shows it.
        { "update": { "object": "GLACCOUNTBALANCE", "where": "_ROW % 7 = 3", "values": { "CURRENCY": "CHF" } } }
    ]));
    company.gateway.faults(
        r#"{"match": {"function": "query", "object": "GLACCOUNTBALANCE"}, "times": 1, "action": "lagging"}"#,
    );
    refresh(&mut client, "glaccountbalance");
    assert_equal(&mut client, "glaccountbalance");
}

/// A line of no batch is followed by its own time of change.
#[test]
fn lines_of_no_batch_are_followed() {
    let (company, mut client) = sized_company("mirror_ledger_alone", "gldetail", &[("GLDETAIL", 600)]);
    let line = json!({ "insert": { "object": "GLDETAIL", "values": { "BATCHKEY": null, "ENTRY_DATE": "2024-03-05",
        "AMOUNT": 5, "DESCRIPTION": "twin", "WHENMODIFIED": null, "AUWHENCREATED": "2024-01-01 00:00:00" } } });
    company
        .gateway
        .change(json!([line.clone(), line.clone(), line.clone()]));
    mirror(&mut client, "gldetail", "{}");
    assert_equal(&mut client, "gldetail");
    // One of three equal rows; then the other two; then one goes beside a change of another.
    for (which, change) in [
        (
            "_ROW IN (SELECT min(_ROW) FROM t_GLDETAIL WHERE BATCHKEY IS NULL)",
            "first",
        ),
        ("BATCHKEY IS NULL AND DESCRIPTION = 'twin'", "others"),
    ] {
        company.gateway.change(json!([
            { "update": { "object": "GLDETAIL", "where": which, "values": { "DESCRIPTION": change } } }
        ]));
        refresh(&mut client, "gldetail");
        assert_equal(&mut client, "gldetail");
    }
    company.gateway.change(json!([
        { "delete": { "object": "GLDETAIL", "where": "BATCHKEY IS NULL AND DESCRIPTION = 'first'", "silent": true } },
        { "update": { "object": "GLDETAIL", "where": "BATCHKEY IS NULL AND DESCRIPTION = 'others'", "values": { "DESCRIPTION": "last" } } },
    ]));
    refresh(&mut client, "gldetail");
    assert_equal(&mut client, "gldetail");
}
