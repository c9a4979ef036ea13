//! The extension's SQL runs in sessions of superusers: nothing that somebody has planted on their `search_path` may be
//! reached, whatever it is.

use super::company::{company, keys, lines, run, run_each};
use super::distributed::STAND_IN;
use super::events::hide_field;
use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use serde_json::json;
use std::path::Path;

/// Paths on which the traps lie before, behind and beside pg_catalog.
const PATHS: &[&str] = &[
    "\"$user\", public",
    "postgres, public, pg_catalog",
    "public, pg_catalog, pg_temp",
    "pg_temp, postgres, public, pg_catalog",
];

/// The text of the extension's SQL: files, and what SQL in Rust names.
fn sources() -> String {
    fn add(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                add(&path, text);
                continue;
            }
            let content = std::fs::read_to_string(&path).expect("UTF-8");
            if path.extension().is_some_and(|end| end == "sql") {
                text.push_str(&content);
            } else {
                for (_, name) in content
                    .match_indices("pg_catalog.")
                    .map(|(at, _)| content[at..].split_at(11))
                {
                    let word: String = name
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    text.push_str(&format!(" {word}( "));
                }
            }
        }
    }
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut text = String::new();
    add(&root.join("sql"), &mut text);
    add(&root.join("src/functions"), &mut text);
    text
}

/// Fills schemas with traps.
fn plant(client: &mut Client) {
    let sources = sources();
    let count = |client: &mut Client, function: &str, schema: &str| -> i64 {
        let sql = format!("SELECT trapper.{function}($1, $2)");
        client
            .query_one(&sql, &[&schema, &sources])
            .expect(function)
            .get(0)
    };
    for schema in ["public", "postgres"] {
        for (function, least) in [("plant", 5000), ("plant_operators", 1000), ("plant_names", 60)] {
            let planted = count(client, function, schema);
            assert!(planted > least, "{function}: {planted}");
        }
    }
}

/// How many traps have fired.
fn fired(client: &mut Client) -> String {
    lines(client, "SELECT last_value FROM trapper.fired")
}

/// What every task of a refresh and every function has to do, once each.
fn everything(company: &Company, client: &mut Client, role: &str, path: &str) {
    let number = path.len();
    let what = format!("{role} with search_path {path}");
    run(client, &format!("SET search_path = {path}"));
    if path.contains("pg_temp") {
        let sources = sources();
        let planted = client.query_one("SELECT trapper.plant_names('pg_temp', $1)", &[&sources]);
        assert!(planted.expect("traps").get::<_, i64>(0) > 60);
    }
    company.gateway.tap.pass();
    hide_field(company, "Region_Code");
    run_each(
        client,
        &format!(
            "IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, apbill, apbillitem, gldetail) FROM SERVER acme INTO {role}_f;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (class, department, aradjustment) FROM SERVER acme INTO {role}_g;
CALL sage_intacct.create_mirrors('{role}_g', '{role}_m');
ALTER FOREIGN TABLE {role}_f.customer ALTER name TYPE extra.citext, ALTER status TYPE extra.state, ALTER totaldue TYPE extra.money;
CREATE TABLE {role}_m.apbill (recordno bigint PRIMARY KEY, recordid pg_catalog.text, whenmodified timestamp with time zone);
CREATE FUNCTION {role}_m.told(pg_catalog.regclass, pg_catalog.jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CALL sage_intacct.create_mirror('{role}_f.customer', '{role}_m.customer',
    '{{\"outbox\": \"changes\", \"on_change\": \"told\", \"on_drift\": \"add\", \"drift_interval\": \"0\", \"late_window\": \"0\", \"sweep_interval\": \"0\", \"page_rows\": 40, \"slice_rows\": 60}}');
ALTER FOREIGN TABLE {role}_f.arinvoice ALTER state SET NOT NULL;
CALL sage_intacct.create_mirror('{role}_f.arinvoice', '{role}_m.arinvoice',
    '{{\"page_rows\": 20, \"rescan\": \"all\", \"rescan_columns\": \"totaldue\", \"rescan_interval\": \"0\", \"distribute_by\": \"state\"}}');
CALL sage_intacct.create_mirror('{role}_f.apbill', '{role}_m.apbill', '{{\"rescan\": \"1 year\", \"rescan_interval\": \"0\"}}');
CALL sage_intacct.create_mirror('{role}_f.gldetail', '{role}_m.gldetail', '{{\"slice_rows\": 5}}');
CALL sage_intacct.create_mirror('{role}_f.gldetail', '{role}_m.ledger', '{{\"header\": \"\"}}');
CALL sage_intacct.create_mirror('{role}_f.apbillitem', '{role}_m.apbillitem', '{{\"load\": \"off\", \"audit_key\": \"recordno\"}}')"
        ),
    );
    company.gateway.tap.pass();
    let (customers, invoices) = (keys(company, "CUSTOMER", 4), keys(company, "ARINVOICE", 150));
    let bill = keys(company, "APBILL", 1);
    let item = company.gateway.truth(
        "SELECT RECORDKEY AS k FROM APBILLITEM WHERE RECORDKEY IN (SELECT RECORDNO FROM APBILL) LIMIT 1",
    )[0]["k"]
        .clone();
    company.gateway.change(json!([
        { "update": { "object": "CUSTOMER", "keys": customers[..1], "values": { "NAME": "changed", "TOTALDUE": 7.5 } } },
        { "delete": { "object": "CUSTOMER", "keys": customers[1..3] } },
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": format!("{what:.60}"), "NAME": "new" } } },
        { "update": { "object": "ARINVOICE", "keys": invoices[..1], "values": { "STATE": "Paid", "TOTALDUE": 0 } } },
        { "delete": { "object": "ARINVOICE", "keys": [invoices[9], invoices[140]], "silent": true } },
        { "update": { "object": "APBILL", "keys": [item], "values": {} } },
        { "delete": { "object": "APBILL", "keys": bill } },
        { "update": { "object": "GLDETAIL", "where": "_ROW = (SELECT min(_ROW) FROM t_GLDETAIL)", "values": { "DESCRIPTION": "changed" } } },
        { "update": { "object": "GLDETAIL", "where": "_ROW > (SELECT min(_ROW) FROM t_GLDETAIL)", "values": { "AMOUNT": number }, "silent": true } },
    ]));
    run_each(
        client,
        &format!(
            "ALTER TABLE {role}_m.apbill ALTER recordid TYPE varchar(100);
CALL sage_intacct.refresh_mirrors('{role}_m');
CALL sage_intacct.refresh_mirror('{role}_m.customer', true);
CALL sage_intacct.refresh_mirror('{role}_m.gldetail', true);
CALL sage_intacct.refresh_mirror('{role}_m.apbillitem');
CALL sage_intacct.alter_mirror('{role}_m.customer', '{{\"on_drift\": \"warn\"}}')"
        ),
    );
    for table in ["customer", "arinvoice", "gldetail"] {
        run(client, "SET search_path = pg_catalog");
        let left = lines(
            client,
            &format!(
                "SELECT count(*) FROM (SELECT * FROM {role}_f.{table} EXCEPT SELECT * FROM {role}_m.{table}) d"
            ),
        );
        assert_eq!(left, "0", "{what}: {table}");
        run(client, &format!("SET search_path = {path}"));
    }
    for statement in [
        format!("CALL sage_intacct.alter_mirror('{role}_m.customer', '{{\"overlap\": \"boom\"}}')"),
        format!("CALL sage_intacct.alter_mirror('{role}_m.customer', '{{\"columns\": \"name\"}}')"),
        format!("CALL sage_intacct.create_mirror('{role}_f.customer', '{role}_m.customer')"),
        format!("CALL sage_intacct.create_mirror('{role}_f.customer', 'pg_catalog.pg_class')"),
        format!("CALL sage_intacct.create_mirror('{role}_m.customer', '{role}_m.other')"),
        format!(
            "CALL sage_intacct.create_mirror('{role}_f.customer', '{role}_m.other', '{{\"distribute_by\": \"no\"}}')"
        ),
        "CALL sage_intacct.refresh_mirror('pg_catalog.pg_class')".to_owned(),
        "BEGIN; CALL sage_intacct.refresh_mirrors('public')".to_owned(),
        "ROLLBACK; CALL sage_intacct.refresh_mirrors('nowhere')".to_owned(),
    ] {
        let error = client.batch_execute(&statement).expect_err(&statement);
        let error = error.as_db_error().expect("an error of the server");
        assert!(
            !error.message().contains("a trap fired"),
            "{what}: {error:?}\n{statement}"
        );
    }
    // A field is refused.
    company.gateway.faults(
        r#"{"match": {"function": "query", "object": "CUSTOMER"}, "times": 1, "action": {"function_error":
            {"errorno": "XL03000006", "description2": "The following fields cannot be queried: [ customer: [TERMNAME] ]"}}}"#,
    );
    hide_field(company, "TERMNAME");
    run(
        client,
        &format!("CALL sage_intacct.refresh_mirror('{role}_m.customer')"),
    );
    company.gateway.tap.pass();
    company.gateway.clear_faults();
    // A page of changes that lacks rows; the field above is back before.
    run(
        client,
        &format!("CALL sage_intacct.refresh_mirror('{role}_m.customer')"),
    );
    company
        .gateway
        .faults(r#"{"match": {"function": "query", "object": "CUSTOMER"}, "times": 1, "action": "lagging"}"#);
    run(
        client,
        &format!("CALL sage_intacct.refresh_mirror('{role}_m.customer')"),
    );
    company.gateway.clear_faults();
    // A refresh that fails.
    company.gateway.faults(
        r#"{"match": {"function": "query", "object": "APBILL"}, "times": 2, "action": {"function_error": {"errorno": "XL03000099", "description2": "no"}}}"#,
    );
    let failing = format!("CALL sage_intacct.refresh_mirror('{role}_m.apbill')");
    client.batch_execute(&failing).expect_err("a fault");
    company.gateway.clear_faults();
    run_each(
        client,
        &format!(
            "SELECT * FROM sage_intacct.mirrors;
SELECT * FROM sage_intacct.mirror_runs;
SELECT * FROM sage_intacct.progress;
SELECT * FROM sage_intacct.mirror_options();
SELECT * FROM sage_intacct.check('acme');
SELECT * FROM sage_intacct.describe('acme', 'CUSTOMER');
SELECT * FROM sage_intacct.objects('acme', false);
SELECT * FROM sage_intacct.entities('acme');
SELECT * FROM sage_intacct.query('acme', 'select NAME from CUSTOMER where NAME = ''new''');
SELECT * FROM sage_intacct.schema_diff('{role}_f');
SELECT * FROM sage_intacct.upsert('{role}_f.customer', '[{{\"customerid\": \"trap\", \"name\": \"one\"}}]');
SELECT * FROM sage_intacct.upsert('{role}_f.customer', '[{{\"customerid\": \"trap\", \"name\": \"two\"}}]');
SELECT * FROM sage_intacct.resolve_writes('acme');
SELECT * FROM sage_intacct.write_log();
SELECT * FROM sage_intacct.write_counts();
SELECT * FROM sage_intacct.settled_writes;
SELECT sage_intacct.apply_comments('{role}_f');
SELECT * FROM sage_intacct.create_views('{role}_f', '{role}_v');
SELECT * FROM sage_intacct.create_views('{role}_m', '{role}_v', 'fivetran', true);
SELECT * FROM {role}_v.ap_bill;
SELECT * FROM {role}_v.customer;
DROP VIEW {role}_v.customer, {role}_v.arinvoice, {role}_v.apbill, {role}_v.apbillitem, {role}_v.gldetail, {role}_v.gl_detail, {role}_v.ap_bill, {role}_v.ap_bill_item, {role}_v.ar_invoice;
SELECT * FROM sage_intacct.request_stats();
SELECT * FROM sage_intacct.metrics;
SELECT * FROM sage_intacct.sessions();
CALL sage_intacct.drop_mirror('{role}_m.customer');
CALL sage_intacct.drop_mirror('{role}_m.arinvoice');
CALL sage_intacct.drop_mirror('{role}_m.apbill', true);
CALL sage_intacct.drop_mirror('{role}_m.apbillitem');
CALL sage_intacct.drop_mirror('{role}_m.gldetail');
CALL sage_intacct.drop_mirror('{role}_m.ledger');
CALL sage_intacct.drop_mirror('{role}_m.class');
CALL sage_intacct.drop_mirror('{role}_m.department');
CALL sage_intacct.drop_mirror('{role}_m.aradjustment');
DROP TABLE {role}_m.apbill;
DROP TABLE {role}_m.changes;
DROP FUNCTION {role}_m.told;
DROP FOREIGN TABLE {role}_f.customer, {role}_f.arinvoice, {role}_f.apbill, {role}_f.apbillitem, {role}_f.gldetail, {role}_g.class, {role}_g.department, {role}_g.aradjustment;
SELECT sage_intacct.disconnect('acme')"
        ),
    );
}

#[test]
fn nothing_planted_on_a_search_path_is_reached() {
    if cluster::skipped_on_citus("among traps, create_distributed_table() itself fails (23505)") {
        return;
    }
    let (company, mut admin) = company("traps", "customer");
    let database = company.database.name();
    run(&mut admin, include_str!("traps.sql"));
    run(&mut admin, STAND_IN);
    run(
        &mut admin,
        &format!(
            "ALTER DATABASE {database} SET track_functions = 'all';
             DROP ROLE IF EXISTS trapped; CREATE ROLE trapped LOGIN;
             CREATE USER MAPPING FOR trapped SERVER acme
                 OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
             GRANT USAGE ON FOREIGN SERVER acme TO trapped;
             CREATE SCHEMA extra; CREATE EXTENSION citext SCHEMA extra;
             CREATE DOMAIN extra.state AS text; CREATE DOMAIN extra.money AS numeric(14, 2);
             GRANT USAGE ON SCHEMA extra TO trapped;
             CREATE SCHEMA postgres; GRANT USAGE ON SCHEMA postgres TO PUBLIC;
             CREATE SCHEMA postgres_f; CREATE SCHEMA postgres_g; CREATE SCHEMA postgres_m; CREATE SCHEMA postgres_v;
             CREATE SCHEMA trapped_f AUTHORIZATION trapped; CREATE SCHEMA trapped_g AUTHORIZATION trapped;
             CREATE SCHEMA trapped_m AUTHORIZATION trapped; CREATE SCHEMA trapped_v AUTHORIZATION trapped"
        ),
    );
    plant(&mut admin);

    // They work: what is looked up is found there.
    let mut victim = company.connect();
    run(&mut victim, "SET search_path = postgres, pg_catalog");
    for statement in [
        "SELECT lower('A')",
        "SELECT 1::bigint = 1::bigint",
        "SELECT '{a}'::pg_catalog.jsonb - 'a'::pg_catalog.text",
        "SELECT 'a'::text",
        "SELECT count(relname) FROM pg_class",
        "SELECT 'a' IN ('a', 'b')",
        "SELECT pg_catalog.cardinality('{a}'::pg_catalog.name[]), cardinality('{a}'::pg_catalog.name[])",
    ] {
        victim.batch_execute(statement).expect_err(statement);
    }
    run(&mut victim, "SET search_path = public");
    victim
        .batch_execute("SELECT cardinality('{a}'::name[])")
        .expect_err("an exact match is preferred");
    assert!(fired(&mut admin).parse::<i64>().expect("a number") >= 5);
    run(
        &mut admin,
        "ALTER SEQUENCE trapper.fired RESTART; SELECT nextval('trapper.fired')",
    );

    for (number, path) in PATHS.iter().enumerate() {
        for role in ["postgres", "trapped"] {
            // The bodies are the same: what differs for an ordinary role is seen on two of the paths.
            if role == "trapped" && number > 1 {
                continue;
            }
            let mut client = company.database.connect_as(role);
            everything(&company, &mut client, role, path);
            assert_eq!(
                fired(&mut admin),
                "0",
                "traps fired for {role} with search_path {path}"
            );
        }
    }

    // Every body has run, so that a new one is missed here. These two only raise errors, which are not counted.
    run(&mut admin, "SELECT pg_stat_force_next_flush()");
    let missed = "SELECT p.proname FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
          JOIN pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
         WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'sage_intacct_fdw')
           AND coalesce(pg_stat_get_function_calls(p.oid), 0) = 0 ORDER BY p.proname";
    assert_eq!(
        lines(&mut admin, missed),
        "mirror_raise\nmirror_refuse",
        "bodies that did not run"
    );

    // A body that is not safe is found.
    run(&mut victim, "SET search_path = postgres, pg_catalog");
    for (body, call) in [
        ("mirror_option(jsonb, text)", "mirror_option('{}', 'check')"),
        ("mirror_names(name[], text)", "mirror_names('{a}')"),
        ("mirror_columns(regclass, regclass)", "mirror_columns(1259, 1259)"),
        ("mirror_targets(name)", "mirror_targets('public')"),
    ] {
        let call = format!("SELECT sage_intacct.{call}");
        run(&mut victim, &call);
        run(
            &mut admin,
            &format!("ALTER FUNCTION sage_intacct.{body} RESET search_path"),
        );
        victim.batch_execute(&call).expect_err(body);
    }
    drop(victim);
    run(&mut admin, "DROP OWNED BY trapped; DROP ROLE trapped");
}
