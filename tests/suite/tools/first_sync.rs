//! The first sync of a BI tool, replayed: a sample of each table, and the values of each column that looks like a category.

use super::{lines, run};
use sage_intacct_fdw_tests::company::Company;

/// Tables that are synced, and columns whose values are listed.
const TABLES: usize = 22;
const COLUMNS: usize = 149;

/// Calls that it may take: one for each table and each column, and the sign-in; a few more where a table is larger than a page.
const MOST: usize = 180;

/// The statement that lists the values of a column, as tools write it.
fn values(number: usize, table: &str, column: &str) -> String {
    match number % 4 {
        0 => format!(
            r#"SELECT "acme"."{table}"."{column}" AS "{column}" FROM "acme"."{table}" GROUP BY "acme"."{table}"."{column}" ORDER BY "acme"."{table}"."{column}" ASC LIMIT 1001"#
        ),
        1 => format!(r#"SELECT DISTINCT "{column}" FROM "acme"."{table}" ORDER BY 1 LIMIT 1000"#),
        2 => format!(
            r#"SELECT "source"."substring1" AS "substring1" FROM (SELECT SUBSTRING("{column}"::text, 1, 100) AS "substring1" FROM "acme"."{table}") AS "source" GROUP BY "source"."substring1" ORDER BY "source"."substring1" ASC LIMIT 1001"#
        ),
        _ => format!(
            r#"SELECT "{column}", "{column}" IS NULL FROM "acme"."{table}" WHERE "{column}" IS NOT NULL GROUP BY 1 ORDER BY 1 LIMIT 500"#
        ),
    }
}

#[test]
fn a_first_sync_costs_a_call_for_each_column() {
    let company = Company::start("first_sync");
    let mut client = company.connect();
    run(
        &mut client,
        "CREATE SCHEMA acme; CREATE SCHEMA here;
IMPORT FOREIGN SCHEMA intacct FROM SERVER acme INTO acme",
    );
    let tables = lines(
        &mut client,
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
          WHERE c.relnamespace = 'acme'::regnamespace GROUP BY c.relname ORDER BY count(*) DESC, c.relname",
    );
    // What has rows, and a key by which its pages are read.
    let tables: Vec<String> = tables
        .into_iter()
        .filter(|table| {
            let any = lines(
                &mut client,
                &format!("SELECT count(*) FROM (SELECT FROM acme.{table} LIMIT 1) t"),
            );
            any == ["1"]
        })
        .take(TABLES)
        .collect();
    assert_eq!(tables.len(), TABLES);
    let mut columns = Vec::new();
    for table in &tables {
        run(
            &mut client,
            &format!("CREATE TABLE here.{table} AS SELECT * FROM acme.{table}"),
        );
        let found = lines(
            &mut client,
            &format!(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'acme.{table}'::regclass AND attnum > 0
                    AND atttypid IN ('text'::regtype, 'boolean'::regtype) ORDER BY attnum LIMIT 8"
            ),
        );
        columns.extend(found.into_iter().map(|column| (table.clone(), column)));
    }
    columns.truncate(COLUMNS);
    assert_eq!(columns.len(), COLUMNS);
    // A connection of its own has seen nothing.
    let mut client = company.connect();
    company.gateway.tap.forget();
    let calls = |company: &Company| {
        let requests = company.gateway.tap.requests();
        let functions = requests
            .iter()
            .map(|request| request.matches("<function ").count());
        functions.sum::<usize>()
    };
    for table in &tables {
        lines(&mut client, &format!("SELECT * FROM acme.{table} LIMIT 10000"));
    }
    let samples = calls(&company);
    let mut wrong = Vec::new();
    for (number, (table, column)) in columns.iter().enumerate() {
        let before = calls(&company);
        let sql = values(number, table, column);
        let there = lines(&mut client, &sql);
        if there != lines(&mut client, &sql.replace("\"acme\"", "here")) {
            wrong.push(format!("other values: {sql}"));
        }
        if calls(&company) > before + 1 {
            let plan = lines(&mut client, &format!("EXPLAIN {sql}")).join("\n");
            wrong.push(format!("{} calls: {sql}\n{plan}", calls(&company) - before));
        }
    }
    let all = calls(&company);
    println!("{samples} calls for samples, {all} for all");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all <= MOST, "{all} calls, of which {samples} for samples");
}

/// Rows that a lookup asks for by keys are not all of a table: its values are not listed from what would be many pages.
#[test]
fn rows_asked_for_by_keys_are_not_taken_for_all() {
    let company = Company::start("first_sync_keys");
    let mut client = company.connect();
    run(
        &mut client,
        "ALTER SERVER acme OPTIONS (ADD page_size '50');
IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice) FROM SERVER acme INTO public;
CREATE TABLE keys AS SELECT 5::bigint AS k UNION ALL SELECT 7; ANALYZE keys;
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off",
    );
    let listed = "EXPLAIN SELECT DISTINCT state FROM arinvoice";
    let is_grouped = |plan: Vec<String>| plan.iter().any(|line| line.contains("count(RECORDNO)"));
    assert!(is_grouped(lines(&mut client, listed)));
    let joined = "SELECT k, state FROM keys JOIN arinvoice ON recordno = k";
    let plan = lines(&mut client, &format!("EXPLAIN {joined}")).join("\n");
    assert!(plan.contains("Intacct Lookup Join"), "{plan}");
    assert!(!lines(&mut client, joined).is_empty());
    for some in [
        "SELECT state FROM arinvoice WHERE recordno < 9",
        "SELECT count(*) FROM arinvoice WHERE recordno < 9",
        "SELECT (SELECT a.state FROM arinvoice a WHERE a.recordno = k) FROM keys",
    ] {
        lines(&mut client, some);
    }
    assert!(is_grouped(lines(&mut client, listed)));
}
