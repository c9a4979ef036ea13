//! A company with foreign tables in schema `acme` and mirrors in schema `finance`.

use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::sql::texts;
pub use sage_intacct_fdw_tests::sql::{run, run_each};

/// A company with `objects` imported and a session that has signed in.
pub fn company(name: &str, objects: &str) -> (Company, Client) {
    sized_company(name, objects, &[])
}

/// The same with other numbers of rows.
pub fn sized_company(name: &str, objects: &str, rows: &[(&str, u64)]) -> (Company, Client) {
    let config = rows
        .iter()
        .fold(small(), |config, (object, rows)| config.rows(object, *rows));
    let company = Company::start_with(name, config);
    let mut client = company.connect();
    run(
        &mut client,
        &format!(
            "CREATE SCHEMA acme; CREATE SCHEMA finance; CREATE SCHEMA other;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO ({objects}) FROM SERVER acme INTO acme;"
        ),
    );
    (company, client)
}

/// Lines, which stand beside their headers where the tests run on Citus. Other mirrors are distributed by their row key.
const LINES: [&str; 2] = ["apbillitem", "arinvoiceitem"];

/// Makes a mirror of `acme.table` in schema `finance` that is an ordinary table, on Citus too: it takes triggers.
#[track_caller]
pub fn local_mirror(client: &mut Client, table: &str, options: &str) {
    let create = format!("CALL sage_intacct.create_mirror('acme.{table}', 'finance.{table}', '{options}')");
    run(client, &create);
}

/// Makes a mirror of `acme.table` in schema `finance`; on Citus, a distributed one, unless nothing tells its rows apart.
#[track_caller]
pub fn mirror(client: &mut Client, table: &str, options: &str) {
    let mut all: serde_json::Value = serde_json::from_str(options).expect("options");
    if !cluster::citus_workers().is_empty()
        && all.get("distribute_by").is_none()
        && all.get("reference").is_none()
        // A table that is there already is taken as it is.
        && lines(client, &format!("SELECT to_regclass('finance.{table}')")) == "-"
    {
        let key = format!(
            "SELECT (sage_intacct.mirror_shape('acme.{table}', 'acme.{table}', '{options}', '{{}}')).keys[1]"
        );
        let key = lines(client, &key);
        let by = if LINES.contains(&table) {
            // They have headers, all of them.
            let declare = format!("ALTER FOREIGN TABLE acme.{table} ALTER COLUMN recordkey SET NOT NULL");
            run(client, &declare);
            "recordkey"
        } else {
            &key
        };
        if by != "-" {
            all["distribute_by"] = by.into();
        }
    }
    local_mirror(client, table, &all.to_string());
}

/// Refreshes it.
#[track_caller]
pub fn refresh(client: &mut Client, table: &str) {
    run(
        client,
        &format!("CALL sage_intacct.refresh_mirror('finance.{table}')"),
    );
}

/// The rows of a statement, columns separated by blanks, one line each.
#[track_caller]
pub fn lines(client: &mut Client, sql: &str) -> String {
    texts(client, sql, " ", "-").join("\n")
}

/// What the last refresh did: outcome, rows inserted, updated, deleted.
#[track_caller]
pub fn last_run(client: &mut Client, table: &str) -> String {
    lines(
        client,
        &format!(
            "SELECT last_outcome, inserted, updated, deleted FROM sage_intacct.mirrors
              WHERE target = 'finance.{table}'::regclass"
        ),
    )
}

/// The rows that the mirror and the gateway do not share, at most three of each.
#[track_caller]
pub fn differences(client: &mut Client, table: &str) -> String {
    lines(
        client,
        &format!(
            "WITH there AS MATERIALIZED (SELECT * FROM acme.{table})
             (SELECT 'missing', t::text FROM (SELECT * FROM there EXCEPT ALL SELECT * FROM finance.{table}) t LIMIT 3)
             UNION ALL
             (SELECT 'surplus', t::text FROM (SELECT * FROM finance.{table} EXCEPT ALL SELECT * FROM there) t LIMIT 3)"
        ),
    )
}

/// Fails if the mirror is not what the gateway shows.
#[track_caller]
pub fn assert_equal(client: &mut Client, table: &str) {
    let differences = differences(client, table);
    assert!(differences.is_empty(), "{table}:\n{differences}");
}

/// Keys of `count` rows that the top level of the company shows.
pub fn keys(company: &Company, object: &str, count: usize) -> Vec<i64> {
    let owned = company.gateway.truth(&format!(
        "SELECT 1 FROM pragma_table_info('{object}') WHERE name = 'MEGAENTITYKEY'"
    ));
    let filter = if owned.is_empty() {
        ""
    } else {
        "WHERE MEGAENTITYKEY IS NULL"
    };
    company
        .gateway
        .truth(&format!(
            "SELECT RECORDNO AS k FROM {object} {filter} ORDER BY RECORDNO LIMIT {count}"
        ))
        .iter()
        .map(|row| row["k"].as_i64().expect("a key"))
        .collect()
}
