//! What planning over foreign tables costs beside local tables of the same shape. Planning contacts nobody, so there is no
//! gateway.

use crate::company;
use crate::report::Report;
use postgres::Client;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How many times as long as over local tables planning may take.
const BOUND: f64 = 3.0;
/// Each statement is planned so often.
const ROUNDS: usize = 7;

const COLUMNS: usize = 30;
const JOINED: usize = 20;
const PARTITIONS: usize = 400;
const CONDITIONS: usize = 10_000;

/// Measures `EXPLAIN` of the same statement in the schemas `remote` and `here`.
pub fn run(report: &mut Report) {
    let mut client = company::connect();
    client
        .batch_execute(&setup())
        .unwrap_or_else(|error| panic!("setting up: {error:?}"));
    let ands: Vec<String> = (0..CONDITIONS).map(|i| format!("(a = {i} OR b = {i})")).collect();
    let ors: Vec<String> = (0..CONDITIONS).map(|i| format!("a = {i} OR b = {i}")).collect();
    let tables: Vec<String> = (0..JOINED).map(|n| format!("t{n}")).collect();
    let links: Vec<String> = (1..JOINED).map(|n| format!("t{n}.a = t{}.b", n - 1)).collect();
    for (what, statement) in [
        (
            "10,000 conditions a = i OR b = i, all to hold",
            format!("SELECT a FROM t0 WHERE {}", ands.join(" AND ")),
        ),
        (
            "10,000 conditions a = i OR b = i, one to hold",
            format!("SELECT a FROM t0 WHERE {}", ors.join(" OR ")),
        ),
        (
            "20 joined tables",
            format!(
                "SELECT count(*) FROM {} WHERE {}",
                tables.join(", "),
                links.join(" AND ")
            ),
        ),
        (
            "400 partitions",
            "SELECT * FROM parts WHERE b > 7 AND c1 = 'x' ORDER BY a LIMIT 10".to_owned(),
        ),
    ] {
        let local = planned(&mut client, "here", &statement);
        let foreign = planned(&mut client, "remote", &statement);
        report.goal(what, foreign, "local tables", local, BOUND);
    }
}

/// The median of several rounds.
fn planned(client: &mut Client, schema: &str, statement: &str) -> Duration {
    // EXPLAIN prepares expressions for execution too. The costs of hundreds of requests make PostgreSQL compile them, which is no
    // planning.
    client
        .batch_execute(&format!("SET jit = off; SET search_path = {schema}"))
        .expect("a schema");
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            client
                .simple_query(&format!("EXPLAIN {statement}"))
                .unwrap_or_else(|error| panic!("{schema}: {error:?}"));
            began.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

fn setup() -> String {
    let texts = |options: &str| {
        (1..COLUMNS - 1).fold(String::new(), |mut columns, n| {
            let _ = write!(columns, ", c{n} text {options}");
            columns
        })
    };
    let remote = format!(
        "a bigint OPTIONS (type 'INTEGER') NOT NULL, b bigint OPTIONS (type 'INTEGER'){}",
        texts("OPTIONS (type 'TEXT')")
    );
    let here = format!("a bigint NOT NULL, b bigint{}", texts(""));
    let mut sql = "CREATE EXTENSION IF NOT EXISTS sage_intacct_fdw;
         DROP SCHEMA IF EXISTS remote, here CASCADE; DROP SERVER IF EXISTS planning CASCADE;
         CREATE SERVER planning FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', url 'http://127.0.0.1:9/');
         CREATE SCHEMA remote; CREATE SCHEMA here;"
        .to_owned();
    for n in 0..JOINED {
        let _ = write!(
            sql,
            "CREATE FOREIGN TABLE remote.t{n} ({remote}) SERVER planning OPTIONS (object 'CUSTOMER', row_key 'A');
             CREATE TABLE here.t{n} ({here});"
        );
    }
    let plain = here.replace(" NOT NULL", "");
    for schema in ["remote", "here"] {
        let _ = write!(
            sql,
            "CREATE TABLE {schema}.parts (company int, {plain}) PARTITION BY LIST (company);"
        );
    }
    for n in 0..PARTITIONS {
        let _ = write!(
            sql,
            "CREATE FOREIGN TABLE remote.part{n} (company int OPTIONS (constant '{n}') NOT NULL, {remote}) SERVER planning
               OPTIONS (object 'CUSTOMER', row_key 'A');
             ALTER TABLE remote.parts ATTACH PARTITION remote.part{n} FOR VALUES IN ({n});
             CREATE TABLE here.part{n} PARTITION OF here.parts FOR VALUES IN ({n});"
        );
    }
    sql
}
