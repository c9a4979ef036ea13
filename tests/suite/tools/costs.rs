//! What the statements that tools write cost, as docs/tools.md says: requests over a foreign table, none over a mirror.

use super::{lines, run};
use sage_intacct_fdw_tests::company::Company;

/// What a tool does, the statement that it writes over `{}`, and its requests in a session that has signed in. The table has
/// 300 rows, a page of the server has 100: what reads all of it takes three.
const STATEMENTS: &[(&str, &str, usize)] = &[
    (
        "asks for the columns of a query",
        "SELECT * FROM (SELECT * FROM {}) t LIMIT 0",
        0,
    ),
    (
        "asks for the columns of a query, otherwise",
        "SELECT * FROM {} WHERE 1 = 0",
        0,
    ),
    ("opens a table", "SELECT * FROM {} LIMIT 50", 1),
    ("counts its rows", "SELECT count(*) FROM {}", 1),
    (
        "filters",
        "SELECT recordno, totaldue FROM {} WHERE state = 'Paid' AND totaldue > 100 LIMIT 50",
        1,
    ),
    (
        "filters by time",
        "SELECT count(*) FROM {} WHERE whendue BETWEEN '2024-01-01' AND '2024-12-31'",
        1,
    ),
    (
        "looks for a range",
        "SELECT min(whendue), max(whendue) FROM {}",
        1,
    ),
    (
        "samples a table",
        "SELECT recordno, state, totaldue FROM {} LIMIT 10000",
        3,
    ),
];

#[test]
fn statements_of_tools_cost_what_is_written() {
    let company = Company::start("tool_costs");
    let mut client = company.connect();
    run(
        &mut client,
        "ALTER SERVER acme OPTIONS (ADD page_size '100');
CREATE SCHEMA acme;
CREATE SCHEMA finance;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice) FROM SERVER acme INTO acme;
CALL sage_intacct.create_mirror('acme.arinvoice', 'finance.arinvoice')",
    );
    let mut wrong = Vec::new();
    for (what, statement, expected) in STATEMENTS {
        for (table, expected) in [("acme.arinvoice", *expected), ("finance.arinvoice", 0)] {
            company.gateway.tap.forget();
            lines(&mut client, &statement.replace("{}", table));
            let found = company.gateway.tap.requests().len();
            if found != expected {
                wrong.push(format!(
                    "{what}: {found} requests instead of {expected} over {table}"
                ));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_mirror_has_the_key_that_tools_look_for() {
    let company = Company::start("tool_keys");
    let mut client = company.connect();
    run(
        &mut client,
        "CREATE SCHEMA acme;
CREATE SCHEMA finance;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoiceitem) FROM SERVER acme INTO acme;
CALL sage_intacct.create_mirror('acme.customer', 'finance.customer', '{\"columns\": \"recordno, customerid, name\"}');
CALL sage_intacct.create_mirror('acme.arinvoiceitem', 'finance.arinvoiceitem', '{\"load\": \"off\"}')",
    );
    let keys = "SELECT tc.table_name, string_agg(k.column_name, ',')
                  FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name)
                 WHERE tc.table_schema = 'finance' AND tc.constraint_type = 'PRIMARY KEY' GROUP BY 1 ORDER BY 1";
    assert_eq!(
        lines(&mut client, keys),
        ["arinvoiceitem|recordno", "customer|recordno"]
    );
    let labels =
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'finance.customer'::regclass AND attnum > 0
                     AND col_description(attrelid, attnum) IS NULL";
    assert_eq!(lines(&mut client, labels), ["0"]);
}
