//! What others see of a refresh: triggers, notifications, the state views, new and lost fields.

use super::company::{assert_equal, company, keys, last_run, lines, local_mirror, mirror, refresh, run};
use postgres::fallible_iterator::FallibleIterator;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;
use serde_json::{Value, json};
use std::time::Duration;

/// A trigger that notes what it sees, found through the caller's search_path.
const JOURNAL: &str = "
    CREATE TABLE journal (what text, key bigint, before text, after text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO journal SELECT tg_op, coalesce(NEW.recordno, OLD.recordno), OLD.name, NEW.name;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON finance.customer FOR EACH ROW EXECUTE FUNCTION note();";

#[test]
fn triggers_see_true_changes_only() {
    let (company, mut client) = company("mirror_triggers", "customer");
    local_mirror(&mut client, "customer", "{}");
    run(&mut client, JOURNAL);
    let keys = keys(&company, "CUSTOMER", 3);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [keys[0]], "values": { "NAME": "after" } } },
        { "delete": { "object": "CUSTOMER", "keys": [keys[1]] } },
    ]));
    refresh(&mut client, "customer");
    refresh(&mut client, "customer");
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer', full => true)",
    );
    assert_eq!(
        lines(&mut client, "SELECT what, key, after FROM journal ORDER BY what"),
        format!("DELETE {} -\nUPDATE {} after", keys[1], keys[0])
    );
}

#[test]
fn a_refresh_tells_listeners_once() {
    let (company, mut client) = company("mirror_notify", "customer");
    mirror(&mut client, "customer", "{}");
    let mut listener = company.connect();
    run(&mut listener, "LISTEN sage_intacct_mirror");
    company.gateway.change(json!([
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "N1", "NAME": "new" } } },
        { "delete": { "object": "CUSTOMER", "keys": keys(&company, "CUSTOMER", 2) } },
    ]));
    refresh(&mut client, "customer");
    let told: Vec<_> = listener
        .notifications()
        .timeout_iter(Duration::from_secs(2))
        .collect()
        .expect("the server lives");
    assert_eq!(told.len(), 1, "{told:?}");
    // Whoever may connect may listen: how much has changed is for those who may read the mirror.
    let told: Value = serde_json::from_str(told[0].payload()).expect("JSON");
    assert_eq!(told, json!({ "mirror": "finance.customer" }));
    assert_eq!(last_run(&mut client, "customer"), "done 1 0 2");
}

/// What `outbox` and `on_change` are told, without a trigger.
#[test]
fn an_outbox_and_a_function_get_each_change_once() {
    let (company, mut client) = company("mirror_told", "customer");
    run(
        &mut client,
        "CREATE TABLE finance.calls (mirror regclass, changes jsonb);
         CREATE FUNCTION finance.told(mirror regclass, changes jsonb) RETURNS void LANGUAGE sql
         AS 'INSERT INTO finance.calls VALUES (mirror, changes)'",
    );
    mirror(
        &mut client,
        "customer",
        r#"{"outbox": "changes", "on_change": "told"}"#,
    );
    assert_eq!(lines(&mut client, "SELECT count(*) FROM finance.changes"), "0");
    let keys = keys(&company, "CUSTOMER", 3);
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [keys[0]], "values": { "NAME": "after" } } },
        { "delete": { "object": "CUSTOMER", "keys": [keys[1]] } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "T1", "NAME": "told" } } },
    ]));
    refresh(&mut client, "customer");
    refresh(&mut client, "customer");
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer', full => true)",
    );
    let wanted = format!(
        "delete {} - false\ninsert - told false\nupdate {} after true",
        keys[1], keys[0]
    );
    for changes in [
        "SELECT op, key, old, new FROM finance.changes",
        "SELECT c ->> 'op' AS op, c -> 'key' AS key, nullif(c -> 'old', 'null') AS old, c -> 'new' AS new
           FROM finance.calls, jsonb_array_elements(changes) c",
    ] {
        assert_eq!(
            lines(
                &mut client,
                &format!(
                    "SELECT op, CASE op WHEN 'insert' THEN NULL ELSE key ->> 'recordno' END, new ->> 'name',
                            coalesce(old ->> 'name' <> new ->> 'name', false)::text
                       FROM ({changes}) c ORDER BY op"
                )
            ),
            wanted
        );
    }
    assert_equal(&mut client, "customer");
}

/// The example of docs/mirrors.md.
#[test]
fn a_paid_invoice_starts_a_workflow() {
    let (company, mut client) = company("mirror_outbox", "arinvoice");
    local_mirror(&mut client, "arinvoice", "{}");
    run(
        &mut client,
        "CREATE TABLE finance.outbox (id bigint GENERATED ALWAYS AS IDENTITY, happened timestamptz DEFAULT now(), event jsonb);
         CREATE FUNCTION finance.invoice_paid() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO finance.outbox (event) VALUES (jsonb_build_object('paid', NEW.recordid, 'customer', NEW.customerid));
             RETURN NULL;
         END $$;
         CREATE TRIGGER invoice_paid AFTER UPDATE ON finance.arinvoice FOR EACH ROW
             WHEN (OLD.state IS DISTINCT FROM 'Paid' AND NEW.state = 'Paid') EXECUTE FUNCTION finance.invoice_paid()",
    );
    let unpaid = company.gateway.truth(
        "SELECT RECORDNO AS k, RECORDID AS id FROM ARINVOICE WHERE MEGAENTITYKEY IS NULL AND STATE <> 'Paid' ORDER BY 1 LIMIT 2",
    );
    company.gateway.change(json!([
        { "update": { "object": "ARINVOICE", "keys": [unpaid[0]["k"]], "values": { "STATE": "Paid", "TOTALDUE": 0 } } },
        { "update": { "object": "ARINVOICE", "keys": [unpaid[1]["k"]], "values": { "DESCRIPTION": "not yet" } } },
    ]));
    refresh(&mut client, "arinvoice");
    refresh(&mut client, "arinvoice");
    assert_eq!(
        lines(&mut client, "SELECT event ->> 'paid' FROM finance.outbox"),
        unpaid[0]["id"].as_str().expect("an id")
    );
}

/// From now on, lookup does not tell of a field.
pub fn hide_field(company: &Company, field: &'static str) {
    company.gateway.tap.rule(move |xml| {
        if !xml.contains("<lookup>") {
            return Answer::Pass;
        }
        Answer::Edit(Box::new(move |body| {
            // Another object has no such field.
            let Some(id) = body.find(&format!("<ID>{field}</ID>")) else {
                return body.to_owned();
            };
            let start = body[..id].rfind("<Field>").expect("its start");
            let end = start + body[start..].find("</Field>").expect("its end") + "</Field>".len();
            body[..start].to_owned() + &body[end..]
        }))
    });
}

#[test]
fn a_new_field_becomes_a_column() {
    let company = Company::start("mirror_new_field");
    let mut client = company.connect();
    hide_field(&company, "Region_Code");
    run(
        &mut client,
        "CREATE SCHEMA acme; CREATE SCHEMA finance;
         IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO acme",
    );
    mirror(
        &mut client,
        "customer",
        r#"{"on_drift": "add", "drift_interval": "0 seconds"}"#,
    );
    company.gateway.tap.pass();
    refresh(&mut client, "customer");
    assert_equal(&mut client, "customer");
    let filled = "SELECT count(region_code) > 0 FROM finance.customer";
    assert_eq!(lines(&mut client, filled), "t");

    // It goes again: what was read of it stays, and new rows come without it.
    hide_field(&company, "Region_Code");
    let key = keys(&company, "CUSTOMER", 1)[0];
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [key], "values": { "NAME": "changed", "Region_Code": "lost" } } }
    ]));
    company.gateway.tap.forget();
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 0 1 0");
    let requests = company.gateway.tap.requests();
    assert!(
        requests.iter().any(|xml| xml.contains("<field>NAME</field>"))
            && !requests
                .iter()
                .any(|xml| xml.contains("<field>Region_Code</field>")),
        "{requests:?}"
    );
    assert_eq!(lines(&mut client, filled), "t");

    // And comes back.
    company.gateway.tap.pass();
    refresh(&mut client, "customer");
    run(
        &mut client,
        "CALL sage_intacct.refresh_mirror('finance.customer', full => true)",
    );
    assert_equal(&mut client, "customer");
}

#[test]
fn fields_that_change_are_told_or_refused() {
    let (company, mut client) = company("mirror_drift", "customer, arinvoice");
    mirror(&mut client, "customer", r#"{"drift_interval": "0 seconds"}"#);
    mirror(
        &mut client,
        "arinvoice",
        r#"{"drift_interval": "0 seconds", "on_drift": "error"}"#,
    );
    hide_field(&company, "TERMNAME");
    refresh(&mut client, "customer");
    assert_eq!(
        lines(&mut client, "SELECT gone FROM sage_intacct.mirror WHERE id = 1"),
        "{termname}"
    );
    let error = client
        .batch_execute("CALL sage_intacct.refresh_mirror('finance.arinvoice')")
        .expect_err("a field is gone");
    let error = error.as_db_error().expect("an error of the server");
    assert_eq!(
        error.message(),
        "the fields of ARINVOICE have changed: no longer there: termname"
    );
    company.gateway.tap.pass();
    refresh(&mut client, "customer");
    assert_eq!(
        lines(&mut client, "SELECT gone FROM sage_intacct.mirror WHERE id = 1"),
        "{}"
    );
    refresh(&mut client, "arinvoice");
}

#[test]
fn a_field_that_is_refused_is_looked_for_before_its_time() {
    let (company, mut client) = company("mirror_refused_field", "customer");
    mirror(&mut client, "customer", r#"{"drift_interval": "1 year"}"#);
    hide_field(&company, "TERMNAME");
    company.gateway.faults(
        r#"{"match": {"function": "query", "object": "CUSTOMER"}, "times": 1, "action": {"function_error":
            {"errorno": "XL03000006", "description2": "The following fields cannot be queried: [ customer: [TERMNAME] ]"}}}"#,
    );
    let key = keys(&company, "CUSTOMER", 1)[0];
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": [key], "values": { "NAME": "changed", "TERMNAME": "lost" } } }
    ]));
    refresh(&mut client, "customer");
    assert_eq!(last_run(&mut client, "customer"), "done 0 1 0");
    assert_eq!(
        lines(&mut client, "SELECT gone FROM sage_intacct.mirror"),
        "{termname}"
    );
}
