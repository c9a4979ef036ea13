//! What the planner knows of sizes and orders, and what EXPLAIN tells of a run.

use postgres::{Client, SimpleQueryMessage};
use sage_intacct_fdw_tests::company::Company;

/// The first column of all rows, one line each.
fn lines(client: &mut Client, sql: &str) -> String {
    client
        .simple_query(sql)
        .unwrap_or_else(|error| panic!("{error:?}\n{sql}"))
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Requests since the last call.
fn requests(company: &Company) -> usize {
    let count = company.gateway.tap.requests().len();
    company.gateway.tap.forget();
    count
}

/// The number behind `label: ` in a plan.
#[track_caller]
fn number(plan: &str, label: &str) -> f64 {
    let value = plan
        .split_once(&format!("{label}: "))
        .unwrap_or_else(|| panic!("no {label} in\n{plan}"))
        .1
        .split_whitespace()
        .next()
        .expect("a value");
    value.parse().unwrap_or_else(|_| panic!("{label}: {value}"))
}

fn company(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    company.import("arinvoice, customer");
    let mut client = company.connect();
    lines(&mut client, "SELECT recordno FROM customer LIMIT 1");
    requests(&company);
    (company, client)
}

#[test]
fn analyze_reads_a_small_table_whole() {
    let (company, mut client) = company("analyze");
    let rows = company.rows("ARINVOICE");
    lines(&mut client, "ANALYZE arinvoice");
    // The rows are counted once, for the table's size and the sample alike.
    assert!(requests(&company) <= 3);
    let known = lines(
        &mut client,
        "SELECT reltuples::bigint || ' ' || (relpages > 0) FROM pg_class WHERE oid = 'arinvoice'::regclass",
    );
    assert_eq!(known, format!("{rows} true"));
    let distinct = lines(
        &mut client,
        "SELECT (SELECT count(DISTINCT customerid) FROM arinvoice) =
                (SELECT CASE WHEN n_distinct > 0 THEN n_distinct ELSE -n_distinct * reltuples END
                 FROM pg_stats, pg_class WHERE tablename = 'arinvoice' AND attname = 'customerid'
                 AND relname = 'arinvoice')::bigint",
    );
    assert_eq!(distinct, "t");
    // Planned with the statistics: the key is unique.
    let plan = lines(&mut client, "EXPLAIN SELECT * FROM arinvoice WHERE recordno = 7");
    assert!(plan.contains("rows=1 "), "{plan}");
    let plan = lines(&mut client, "EXPLAIN SELECT * FROM arinvoice");
    assert!(plan.contains(&format!("rows={rows} ")), "{plan}");
}

#[test]
fn analyze_samples_a_large_table_with_few_requests() {
    let (company, mut client) = company("analyze_large");
    let rows = company.rows("ARINVOICE");
    // Statistics of few values want a sample of few rows: then this table counts as large.
    lines(
        &mut client,
        "DO $$DECLARE c name; BEGIN
           FOR c IN SELECT attname FROM pg_attribute WHERE attrelid = 'arinvoice'::regclass AND attnum > 0 LOOP
             EXECUTE format('ALTER FOREIGN TABLE arinvoice ALTER %I SET STATISTICS 0', c);
           END LOOP; END$$",
    );
    let messages = lines(&mut client, "ANALYZE arinvoice");
    assert_eq!(messages, "");
    // One count, both ends of the key, twenty slices.
    assert_eq!(requests(&company), 23);
    let known = lines(
        &mut client,
        "SELECT reltuples::bigint FROM pg_class WHERE oid = 'arinvoice'::regclass",
    );
    assert_eq!(known, rows.to_string());
}

#[test]
fn an_empty_table_can_be_analyzed() {
    let (company, mut client) = company("analyze_empty");
    lines(
        &mut client,
        "ALTER FOREIGN TABLE arinvoice OPTIONS (ADD filter 'RECORDNO < 0'); ANALYZE arinvoice",
    );
    assert!(requests(&company) <= 4);
    let known = lines(
        &mut client,
        "SELECT reltuples::bigint FROM pg_class WHERE oid = 'arinvoice'::regclass",
    );
    assert_eq!(known, "0");
}

#[test]
fn remote_estimates_count_each_condition_once() {
    let (company, mut client) = company("remote_estimate");
    lines(
        &mut client,
        "ALTER SERVER acme OPTIONS (ADD use_remote_estimate 'on')",
    );
    let few: u64 = lines(&mut client, "SELECT count(*) FROM arinvoice WHERE recordno <= 40")
        .parse()
        .expect("a number");
    requests(&company);
    let plan = lines(
        &mut client,
        "EXPLAIN SELECT * FROM arinvoice WHERE recordno <= 40",
    );
    assert!(plan.contains(&format!("rows={few} ")), "{plan}");
    assert_eq!(requests(&company), 1);
    // The same condition twice in one statement is counted once; another one is another count.
    lines(
        &mut client,
        "EXPLAIN SELECT FROM arinvoice a, arinvoice b WHERE a.recordno <= 40 AND b.recordno <= 40",
    );
    assert_eq!(requests(&company), 1);
    lines(
        &mut client,
        "EXPLAIN SELECT FROM arinvoice a, arinvoice b WHERE a.recordno <= 40 AND b.recordno > 40",
    );
    assert_eq!(requests(&company), 2);
    // What a stable function says is not known yet: what stands beside it is counted, and a third of it left.
    let plan = lines(
        &mut client,
        "EXPLAIN SELECT * FROM arinvoice WHERE recordno <= 40 AND whenmodified > now() - interval '1 day'",
    );
    assert_eq!(requests(&company), 1);
    let third = format!("rows={} ", (few as f64 / 3.0).round());
    assert!(plan.contains(&third), "{third}: {plan}");
    // What a parameter holds is not known yet.
    lines(
        &mut client,
        "SET plan_cache_mode = force_generic_plan;
         PREPARE s (bigint) AS SELECT FROM arinvoice WHERE recordno <= $1; EXPLAIN EXECUTE s (40)",
    );
    assert_eq!(requests(&company), 0);
    // The table's own word counts.
    lines(
        &mut client,
        "ALTER FOREIGN TABLE arinvoice OPTIONS (ADD use_remote_estimate 'off');
         EXPLAIN SELECT FROM arinvoice WHERE recordno <= 40",
    );
    assert_eq!(requests(&company), 0);
}

#[test]
fn a_merge_join_needs_no_sort_by_the_row_key() {
    let (_company, mut client) = company("merge_join");
    lines(
        &mut client,
        "SET enable_hashjoin = off; SET enable_nestloop = off; SET sage_intacct.push_joins = off",
    );
    let sql = "FROM arinvoice a JOIN customer c ON a.recordno = c.recordno";
    let plan = lines(
        &mut client,
        &format!("EXPLAIN (COSTS OFF) SELECT a.recordid, c.name {sql}"),
    );
    assert!(plan.contains("Merge Join") && !plan.contains("Sort"), "{plan}");
    let merged = lines(&mut client, &format!("SELECT count(*) {sql}"));
    lines(&mut client, "RESET enable_hashjoin; SET enable_mergejoin = off");
    assert_eq!(lines(&mut client, &format!("SELECT count(*) {sql}")), merged);
    assert_ne!(merged, "0");
}

#[test]
fn explain_analyze_tells_what_was_asked() {
    let (company, mut client) = company("explain_analyze");
    lines(&mut client, "ALTER SERVER acme OPTIONS (ADD page_size '20')");
    let rows = lines(&mut client, "SELECT count(*) FROM customer WHERE recordno > 0");
    requests(&company);
    let plan = lines(
        &mut client,
        "EXPLAIN (ANALYZE, COSTS OFF) SELECT recordno FROM customer WHERE length(customerid) >= 0",
    );
    let asked = requests(&company) as f64;
    assert_eq!(number(&plan, "Intacct Round Trips"), asked, "{plan}");
    assert_eq!(number(&plan, "Intacct Pages"), asked, "{plan}");
    assert_eq!(number(&plan, "Intacct Retries"), 0.0, "{plan}");
    assert_eq!(
        number(&plan, "Intacct Rows Received"),
        rows.parse::<f64>().expect("a number"),
        "{plan}"
    );
    assert!(
        number(&plan, "Intacct Bytes Decoded") >= number(&plan, "Intacct Bytes on the Wire"),
        "{plan}"
    );
    assert!(plan.contains("Intacct Wait Time: "), "{plan}");
    let plan = lines(
        &mut client,
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT recordno FROM customer WHERE length(name) < 0",
    );
    assert!(!plan.contains("Wait Time"), "{plan}");
    assert_eq!(
        number(&plan, "Rows Removed by Filter"),
        number(&plan, "Intacct Rows Received"),
        "{plan}"
    );
    assert_eq!(
        number(&plan, "Intacct Rows Removed by Recheck"),
        number(&plan, "Intacct Rows Received"),
        "{plan}"
    );
    let json = lines(
        &mut client,
        "EXPLAIN (ANALYZE, FORMAT json) SELECT recordno FROM customer WHERE length(name) < 0",
    );
    for label in [
        "Calls",
        "Round Trips",
        "Retries",
        "Pages",
        "Rows Received",
        "Bytes on the Wire",
        "Bytes Decoded",
        "Wait Time",
        "Rows Removed by Recheck",
    ] {
        assert!(
            json.contains(&format!("\"Intacct {label}\": ")),
            "{label} in {json}"
        );
    }
}

#[test]
fn parameters_are_shown_with_what_is_made_of_them() {
    let (_company, mut client) = company("explain_parameters");
    let plan = lines(
        &mut client,
        "EXPLAIN (VERBOSE, COSTS OFF) SELECT recordno FROM arinvoice WHERE whencreated < now() - interval '1 day'",
    );
    assert!(plan.contains("WHENCREATED < $1"), "{plan}");
    assert!(
        plan.contains("Intacct Parameters: $1 = (now() - '1 day'::interval) (rounded up to the day)"),
        "{plan}"
    );
}

#[test]
fn every_format_is_well_formed() {
    let (_company, mut client) = company("explain_formats");
    client
        .batch_execute(
            "CREATE FUNCTION plan(format text, options text, sql text) RETURNS text LANGUAGE plpgsql AS $$
             DECLARE line text; whole text := '';
             BEGIN
               FOR line IN EXECUTE format('EXPLAIN (%s, FORMAT %s) %s', options, format, sql) LOOP
                 whole := whole || line || E'\n';
               END LOOP;
               RETURN whole;
             END$$",
        )
        .expect("a function");
    let statements = [
        "SELECT recordno FROM arinvoice WHERE recordid LIKE '<%&\"''%' AND whencreated < now()",
        "SELECT recordno FROM arinvoice ORDER BY totaldue DESC LIMIT 3",
        "SELECT customerid, count(*) FROM arinvoice GROUP BY customerid",
    ];
    for sql in statements {
        for options in ["ANALYZE, VERBOSE", "VERBOSE, COSTS OFF"] {
            let call = |format: &str| format!("plan('{format}', '{options}', {})", postgres_literal(sql));
            let json = lines(
                &mut client,
                &format!("SELECT ({}::jsonb -> 0 -> 'Plan') IS NOT NULL", call("json")),
            );
            assert_eq!(json, "t");
            let xml = lines(
                &mut client,
                &format!("SELECT xml_is_well_formed_document({})", call("xml")),
            );
            assert_eq!(xml, "t");
            let yaml = lines(&mut client, &format!("SELECT {}", call("yaml")));
            assert!(yaml.contains("Intacct Query: \"select "), "{yaml}");
        }
    }
}

fn postgres_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn skipped_rows_do_not_travel() {
    let (company, mut client) = company("offset");
    let limited = "SELECT recordno FROM arinvoice WHERE recordno > 3 ORDER BY recordno LIMIT 5 OFFSET 100";
    let plan = lines(&mut client, &format!("EXPLAIN (COSTS OFF) {limited}"));
    assert!(
        plan.contains(" limit 5 offset 100") && !plan.contains("Limit"),
        "{plan}"
    );
    requests(&company);
    let rows = lines(&mut client, limited);
    assert_eq!(requests(&company), 1);
    let all = lines(
        &mut client,
        "SELECT recordno FROM arinvoice WHERE recordno > 3 ORDER BY recordno",
    );
    let expected: Vec<_> = all.lines().skip(100).take(5).collect();
    assert_eq!(rows.lines().collect::<Vec<_>>(), expected);
    assert_eq!(expected.len(), 5);
    // What is checked here alone, or is not exact there, is skipped here.
    for local in [
        "length(recordid) > 0",
        "recordid ILIKE '%v%'",
        "whenmodified > '2020-01-01 00:00:00.5'",
    ] {
        let plan = lines(
            &mut client,
            &format!("EXPLAIN (COSTS OFF) SELECT recordno FROM arinvoice WHERE {local} LIMIT 5 OFFSET 100"),
        );
        assert!(!plan.contains("offset") && plan.contains("Limit"), "{plan}");
    }
    // A parameter that cannot be said is found out at execution.
    let expected = lines(
        &mut client,
        "SELECT recordno FROM arinvoice WHERE totaldue IS DISTINCT FROM 'NaN' ORDER BY recordno LIMIT 3 OFFSET 7",
    );
    let found = lines(
        &mut client,
        "SET plan_cache_mode = force_generic_plan;
         PREPARE s (numeric, bigint, bigint) AS SELECT recordno FROM arinvoice WHERE totaldue IS DISTINCT FROM $1
           ORDER BY recordno LIMIT $2 OFFSET $3;
         EXECUTE s ('NaN', 3, 7)",
    );
    assert_eq!(found, expected);
    let plan = lines(&mut client, "EXPLAIN (COSTS OFF) EXECUTE s ('NaN', 3, 7)");
    assert!(plan.contains(" limit $2 offset $3"), "{plan}");
    assert_eq!(
        lines(&mut client, "EXECUTE s ('NaN', 3, NULL)").lines().count(),
        3
    );
    assert_eq!(lines(&mut client, "EXECUTE s ('NaN', 0, 1)"), "");
    let error = client
        .simple_query("EXECUTE s ('NaN', -1, 1)")
        .expect_err("a negative limit");
    assert_eq!(error.code().expect("a code").code(), "2201W");
    let error = client
        .simple_query("EXECUTE s ('NaN', 1, -1)")
        .expect_err("a negative offset");
    assert_eq!(error.code().expect("a code").code(), "2201X");
}

#[test]
fn an_offset_goes_through_the_rows_without_a_value() {
    let (company, mut client) = company("offset_parts");
    lines(&mut client, "ALTER SERVER acme OPTIONS (ADD page_size '20')");
    for direction in ["NULLS FIRST", "NULLS LAST"] {
        let order = format!("SELECT recordno FROM customer ORDER BY creditlimit {direction}, recordno");
        let all = lines(&mut client, &order);
        for offset in [0, 1, 19, 20, 21, 60, 100, 149, 150, 200] {
            requests(&company);
            let rows = lines(&mut client, &format!("{order} LIMIT 7 OFFSET {offset}"));
            let expected: Vec<_> = all.lines().skip(offset).take(7).collect();
            assert_eq!(
                rows.lines().collect::<Vec<_>>(),
                expected,
                "{order} OFFSET {offset}"
            );
            // One for each part at most, and one more when the first part ends within the rows wanted.
            assert!(requests(&company) <= 3);
        }
    }
}
