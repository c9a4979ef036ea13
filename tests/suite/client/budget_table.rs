//! The request budget: statements, the calls that they buy and the round trips in which these travel, by the simulator's
//! log, as a table in `tests/expected/budget.txt`. `make golden` rewrites it.

use std::collections::BTreeMap;

use intacct_simulator::log::Entry;
use postgres::SimpleQueryMessage;
use sage_intacct_fdw_tests::company::{Company, small};

use super::{partitionwise, partitionwise_joins};
use crate::golden;

/// What is measured, and its statement. The first sets a limit on everything that is bought by the call.
const STATEMENTS: &[(&str, &str)] = &[
    (
        "point lookup by the row key",
        "SELECT recordid, totaldue FROM arinvoice WHERE recordno = 100",
    ),
    (
        "point lookup by an identifier",
        "SELECT name FROM customer WHERE customerid = 'C-00007'",
    ),
    ("count(*)", "SELECT count(*) FROM arinvoice"),
    (
        "count(*) under a condition",
        "SELECT count(*) FROM arinvoice WHERE totaldue > 100",
    ),
    ("LIMIT 10", "SELECT * FROM arinvoice LIMIT 10"),
    (
        "top 10 by amount, no NULL among them",
        "SELECT recordid, totaldue FROM arinvoice WHERE totaldue > 0 ORDER BY totaldue DESC LIMIT 10",
    ),
    (
        "top 10 by amount, NULL last",
        "SELECT recordid, totaldue FROM arinvoice ORDER BY totaldue DESC NULLS LAST LIMIT 10",
    ),
    (
        "top 10 by amount, NULL first: part by part",
        "SELECT recordid, totaldue FROM arinvoice ORDER BY totaldue DESC LIMIT 10",
    ),
    (
        "a page far behind",
        "SELECT recordid FROM arinvoice ORDER BY recordno LIMIT 10 OFFSET 2000",
    ),
    (
        "GROUP BY, and the number of rows that the groups must add up to",
        "SELECT state, count(*), sum(totaldue) FROM arinvoice GROUP BY state",
    ),
    (
        "the same, verification off",
        "SELECT state, count(*), sum(totaldue) FROM unverified.arinvoice WHERE state IS NOT NULL GROUP BY state",
    ),
    (
        "several aggregates, of which one has values to be counted",
        "SELECT min(whencreated), max(whencreated), avg(totaldue) FROM arinvoice",
    ),
    (
        "values of several columns counted",
        "SELECT count(*), count(whenpaid), count(totaldue) FROM arinvoice",
    ),
    ("DISTINCT", "SELECT DISTINCT state, currency FROM arinvoice"),
    (
        "three tables along relations, grouped",
        "SELECT t.name, sum(i.totaldue) FROM arinvoice i JOIN customer c USING (customerid)
         JOIN territory t USING (territoryid) GROUP BY t.name",
    ),
    (
        "two tables along a relation, a page of them",
        "SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) LIMIT 10",
    ),
    (
        "the first ten of them in an order of the invoices",
        "SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) ORDER BY i.totaldue DESC NULLS LAST LIMIT 10",
    ),
    (
        "lines of documents, of which rows of entities are shown: that is found out once",
        "SELECT count(*) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey",
    ),
    (
        "the same again",
        "SELECT count(*) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey",
    ),
    (
        "two hops through a document",
        "SELECT count(*) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey JOIN customer c ON c.customerid = a.customerid",
    ),
    (
        "one invoice with its customer",
        "SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) WHERE i.recordno = 100",
    ),
    (
        "the invoices of one customer, grouped with its name",
        "SELECT c.name, sum(i.totaldue) FROM arinvoice i JOIN customer c USING (customerid) WHERE c.customerid = 'C-00007' GROUP BY c.name",
    ),
    (
        "a join that is made here, of tables that nobody has counted",
        "SELECT c.name, i.recordid FROM customer c LEFT JOIN arinvoice i USING (customerid) WHERE c.status = 'active' AND c.currency = 'USD'",
    ),
    (
        "GROUP BY under a condition that seems rare",
        "SELECT currency, sum(totaldue) FROM arinvoice WHERE state = 'Posted' GROUP BY currency",
    ),
    (
        "semi-join along a relation",
        "SELECT count(*) FROM arinvoice WHERE customerid IN (SELECT customerid FROM customer WHERE status = 'active')",
    ),
    (
        "EXISTS",
        "SELECT EXISTS (SELECT FROM arinvoice WHERE totaldue > 100)",
    ),
    ("min", "SELECT min(whencreated) FROM arinvoice"),
    ("max", "SELECT max(totaldue) FROM arinvoice"),
    (
        "max under a condition that is checked here",
        "SELECT max(totaldue) FROM arinvoice WHERE upper(state) = 'POSTED'",
    ),
    (
        "IN with 2,500 keys, 2,500 rows",
        "SELECT recordid FROM arinvoice WHERE recordno IN ({keys})",
    ),
    (
        "IN with 2,500 keys, few rows",
        "SELECT recordid FROM arinvoice WHERE recordno IN ({absent}, 100)",
    ),
    (
        "an array of more keys than the gateway is asked to look into",
        "SELECT recordid FROM arinvoice WHERE recordno = ANY (ARRAY(SELECT generate_series(1, 100000)))",
    ),
    (
        "an array of a subquery",
        "SELECT recordid FROM arinvoice WHERE customerid = ANY (ARRAY(SELECT customerid FROM customer WHERE creditlimit > 90000)) LIMIT 5",
    ),
    ("all columns, 2,000 rows a request", "SELECT * FROM arinvoice"),
    (
        "100 columns and more, 2,000 rows a request",
        "SELECT * FROM wide.customer",
    ),
    ("nothing to ask", "SELECT * FROM arinvoice WHERE recordno = NULL"),
    (
        "EXPLAIN",
        "EXPLAIN (VERBOSE) SELECT * FROM arinvoice WHERE totaldue > 100",
    ),
];

/// What a statement may take.
#[derive(Clone, Copy)]
enum Most {
    /// Nothing was promised; the table shows what it takes.
    Any,
    /// So many calls.
    Calls(usize),
    /// So many lists of keys, the pages of the result, and a count.
    Lists(usize),
}

impl Most {
    /// The calls, for a result of so many rows in pages of 100.
    fn calls(self, rows: usize) -> usize {
        match self {
            Most::Any => usize::MAX,
            Most::Calls(calls) => calls,
            Most::Lists(lists) => lists + rows.div_ceil(100) + 1,
        }
    }
}

/// Joins with local tables, a tenth of the size that they are made for: pages and lists of 100, 1,000 keys, 5,000 rows. Each
/// statement says what is set for it, and what it may take.
const LOOKUPS: &[(&str, &str, Most)] = &[
    (
        "1,000 keys joined by the row key: 10 lists, and a count with the third",
        "SELECT k, recordid FROM keys JOIN scaled.arinvoice ON recordno = k",
        Most::Lists(10),
    ),
    (
        "by a natural key",
        "SELECT t, a.recordno FROM keys JOIN scaled.arinvoice a ON a.recordid = t",
        Most::Lists(10),
    ),
    (
        "LEFT JOIN",
        "SELECT k, recordid FROM keys LEFT JOIN scaled.arinvoice ON recordno = k",
        Most::Lists(10),
    ),
    (
        "IN",
        "SELECT recordno FROM scaled.arinvoice WHERE recordid IN (SELECT t FROM keys)",
        Most::Lists(10),
    ),
    (
        "EXISTS",
        "SELECT k FROM keys WHERE EXISTS (SELECT FROM scaled.arinvoice WHERE recordno = k)",
        Most::Lists(10),
    ),
    (
        "NOT EXISTS",
        "SELECT k FROM keys WHERE NOT EXISTS (SELECT FROM scaled.arinvoice WHERE recordno = k)",
        Most::Lists(10),
    ),
    (
        "the same with a LIMIT, where all keys match",
        "SELECT k, recordid FROM present JOIN scaled.arinvoice ON recordno = k LIMIT 5",
        Most::Calls(2),
    ),
    (
        "where one of a hundred matches, lists of 1,000",
        "SET sage_intacct.lookup_batch = 1000; SELECT k, recordid FROM rare JOIN scaled.arinvoice ON recordno = k LIMIT 5",
        Most::Calls(4),
    ),
    (
        "where none matches: without a LIMIT",
        "SELECT t, recordno FROM absent JOIN scaled.arinvoice ON recordid = t",
        Most::Lists(10),
    ),
    (
        "the same with one: as without",
        "SELECT t, recordno FROM absent JOIN scaled.arinvoice ON recordid = t LIMIT 5",
        Most::Lists(10),
    ),
    (
        "an object that nobody has analyzed, of 3 pages",
        "SET sage_intacct.lookup_batch = 10; SELECT k, recordid FROM keys JOIN arinvoice ON recordno = k",
        Most::Calls(9),
    ),
    (
        "6,000 rows with ten keys",
        "SELECT i, c.name FROM generate_series(1, 6000) i LEFT JOIN scaled.customer c ON c.recordno = i % 10",
        Most::Calls(2),
    ),
];

/// Statements that look rows up for one row after another, and calls that they may take: those of the outer side (3 pages of
/// invoices, where it has them), and 2 × the cheaper of lookups and a full read + 3.
const CORRELATED: &[(&str, &str, Most)] = &[
    (
        "correlated count, 5,000 outer rows, 10 values: outer pages + 23",
        "SELECT (SELECT count(*) FROM scaled.customer c WHERE c.recordno = a.recordno % 10) FROM arinvoice a",
        Most::Calls(26),
    ),
    (
        "correlated sum",
        "SELECT (SELECT sum(c.totaldue) FROM scaled.customer c WHERE c.recordno = a.recordno % 10) FROM arinvoice a",
        Most::Calls(26),
    ),
    (
        "correlated EXISTS",
        "SELECT EXISTS (SELECT FROM scaled.customer c WHERE c.recordno = a.recordno % 10 AND c.recordno % 7 <> a.recordno % 3) FROM arinvoice a",
        Most::Calls(26),
    ),
    (
        "scalar subquery",
        "SELECT (SELECT c.name FROM scaled.customer c WHERE c.recordno = a.recordno % 10) FROM arinvoice a",
        Most::Calls(26),
    ),
    (
        "5,000 values into 500 rows: outer pages + 6",
        "SELECT (SELECT g.batchno FROM glbatch g WHERE g.recordno = a.recordno) FROM arinvoice a",
        Most::Calls(9),
    ),
    (
        "6,000 values into 50 pages: 2 × 50 + 3",
        "SELECT (SELECT a.recordid FROM scaled.arinvoice a WHERE a.recordno = i) FROM generate_series(1, 6000) i",
        Most::Calls(103),
    ),
    (
        "LATERAL with a LIMIT, 1,000 outer rows into 3 pages: 2 × 3 + 3",
        "SELECT k, x.* FROM keys, LATERAL (SELECT a.recordid FROM arinvoice a WHERE a.recordno >= k ORDER BY a.recordno LIMIT 2) x",
        Most::Calls(9),
    ),
    (
        "two companies joined by a natural key: 2 pages, 3 lists and their results, and a count",
        "SELECT c.name, s.name FROM customer c JOIN scaled.customer s ON s.customerid = c.customerid WHERE c.creditlimit > 90000",
        Most::Calls(8),
    ),
    (
        "GROUP BY company over 4 companies, each asked for its own: 8 calls in 4 round trips",
        "SET enable_partitionwise_aggregate = on; SELECT company, count(*), sum(totaldue) FROM all_companies GROUP BY company",
        Most::Calls(8),
    ),
    (
        "a join of 4 companies' own tables, each asked for its own, and the proofs of its rows",
        "SET enable_partitionwise_join = on; SELECT company, i.recordid, c.name FROM all_companies i JOIN all_customers c USING (company, customerid) WHERE i.totaldue > 9000",
        Most::Calls(8),
    ),
    (
        "groups over such a join, by the company and a column of the parent",
        "SELECT company, c.status, count(*), sum(i.totaldue) FROM all_companies i JOIN all_customers c USING (company, customerid) GROUP BY company, c.status",
        Most::Calls(16),
    ),
];

/// What [`LOOKUPS`] stand on.
fn prepare_lookups(company: &Company, client: &mut postgres::Client) {
    let mapping =
        "OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw')";
    client
        .batch_execute(&format!(
            "CREATE SCHEMA scaled;
             CREATE SERVER scaled FOREIGN DATA WRAPPER sage_intacct_fdw
               OPTIONS (company_id 'acme', url '{}', page_size '100');
             CREATE USER MAPPING FOR CURRENT_USER SERVER scaled {mapping};
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice, customer) FROM SERVER scaled INTO scaled;
             ANALYZE scaled.arinvoice (recordno, recordid); ANALYZE scaled.customer (recordno);
             CREATE TABLE present AS SELECT recordno AS k, recordid AS t FROM arinvoice ORDER BY md5(recordno::text);
             CREATE TABLE keys AS SELECT CASE WHEN n % 4 = 0 THEN -n ELSE k END AS k, t
               FROM (SELECT k, t, row_number() OVER () AS n FROM present) x WHERE n <= 1000;
             CREATE TABLE absent AS SELECT 'none-' || i AS t FROM generate_series(1, 1000) i;
             CREATE TABLE rare AS SELECT CASE WHEN n % 100 = 0 THEN k ELSE -n END AS k
               FROM (SELECT k, row_number() OVER () AS n FROM present) x WHERE n <= 1000;
             ANALYZE present; ANALYZE keys; ANALYZE absent; ANALYZE rare",
            company.gateway.url()
        ))
        .expect("tables");
}

/// One request: its functions, the object, the size asked for, the rows that came, and how a long list was said.
pub fn line(entry: &Entry) -> String {
    let number = |label: &str, number: Option<u64>| match number {
        Some(number) if label == " offset " && number == 0 => String::new(),
        Some(number) => format!("{label}{number}"),
        None => String::new(),
    };
    let lists = match entry.query.matches("<in>").count() {
        0 | 1 => String::new(),
        lists => format!(", an or of {lists} in"),
    };
    format!(
        "    {} {}{}{}: {} rows{lists}\n",
        entry.functions.join(" + "),
        entry.object,
        number(" pagesize ", entry.pagesize),
        number(" offset ", entry.offset),
        entry.rows
    )
}

/// The lines; of many that are equal one, with their number. So are pages that were asked for ahead: at which offsets, depends
/// on how far the statement has come.
pub fn folded(lines: &[String]) -> String {
    let page = |line: &String| line.split_once(" offset ").map(|(before, _)| before.to_owned());
    let mut offsets = BTreeMap::<String, usize>::new();
    for before in lines.iter().filter_map(page) {
        *offsets.entry(before).or_default() += 1;
    }
    offsets.retain(|_, number| *number > 12);
    let rest = lines
        .iter()
        .filter(|line| page(line).is_none_or(|before| !offsets.contains_key(&before)));
    let mut lines: Vec<String> = rest.cloned().collect();
    lines.extend(
        offsets
            .iter()
            .map(|(before, number)| format!("{before} at {number} offsets\n")),
    );
    lines.sort();
    lines
        .chunk_by(|a, b| a == b)
        .map(|same| match same.len() {
            0..=12 => same.concat(),
            number => format!("{} ({number} times)\n", same[0].trim_end()),
        })
        .collect()
}

#[test]
fn the_request_budget() {
    let config = small()
        .rows("ARINVOICE", 5000)
        .rows("CUSTOMER", 2500)
        .rows("GLBATCH", 500);
    let company = Company::start_with("budget_table", config);
    company.import("arinvoice, arinvoiceitem, customer, territory, glbatch");
    let mut client = company.connect();
    let mapping =
        "OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw')";
    client
        .batch_execute(&format!(
            "CREATE SCHEMA wide; CREATE SCHEMA unverified;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO wide
               OPTIONS (import_related 'on');
             CREATE SERVER unverified FOREIGN DATA WRAPPER sage_intacct_fdw
               OPTIONS (company_id 'acme', url '{}', verify_aggregates 'off');
             CREATE USER MAPPING FOR CURRENT_USER SERVER unverified {mapping};
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice) FROM SERVER unverified INTO unverified;
             DO $$ BEGIN
               PERFORM whenmodified FROM arinvoice LIMIT 1;
               PERFORM whenmodified FROM unverified.arinvoice LIMIT 1;
               ASSERT (SELECT count(*) >= 100 FROM pg_attribute WHERE attrelid = 'wide.customer'::regclass AND attnum > 0);
             END $$",
            company.gateway.url()
        ))
        .expect("tables, signed in");
    let keys: Vec<String> = client
        .query(
            "SELECT recordno::text FROM arinvoice WHERE recordno > 0 ORDER BY recordno LIMIT 2500",
            &[],
        )
        .expect("rows")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(keys.len(), 2500);
    let absent: Vec<String> = (1..2500).map(|number| (-number).to_string()).collect();
    prepare_lookups(&company, &mut client);
    partitionwise::partitions(&company, &mut client);
    partitionwise_joins::other_partitions(&mut client);
    let mut table = String::from("Calls  Round trips  Statement\n");
    let lookups = "SET sage_intacct.lookup_batch = 100";
    let all = STATEMENTS.iter();
    let all = all.map(|(what, statement)| (*what, *statement, "SELECT 1", Most::Any));
    let looked_up = LOOKUPS.iter().chain(CORRELATED);
    let all = all.chain(looked_up.map(|(what, statement, most)| (*what, *statement, lookups, *most)));
    for (what, statement, settings, most) in all {
        client.batch_execute(settings).expect("settings");
        company.gateway.log();
        let sql = statement
            .replace("{keys}", &keys.join(", "))
            .replace("{absent}", &absent.join(", "));
        let messages = client
            .simple_query(&sql)
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        let rows = messages
            .iter()
            .filter(|message| matches!(message, SimpleQueryMessage::Row(_)))
            .count();
        let log = company.gateway.log();
        let calls: usize = log.iter().map(|entry| entry.functions.len()).sum();
        let most = most.calls(rows);
        assert!(calls <= most, "{calls} calls, at most {most}: {statement}");
        let promised = match most {
            usize::MAX => String::new(),
            most => format!(" [at most {most}]"),
        };
        let mut lines: Vec<_> = log.iter().map(line).collect();
        // Those of one statement may travel at the same time.
        lines.sort();
        let lines = folded(&lines);
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        table += &format!(
            "{calls:>5}  {:>11}  {what}{promised}\n    {statement}\n    rows: {rows}\n",
            log.len()
        );
        table += &lines;
    }
    golden::check_file(&golden::folder("expected").join("budget.txt"), "budget", &table);
}
