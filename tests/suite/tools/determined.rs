//! Columns outside of aggregates that are no keys, but that the keys determine.

use super::{run, same_as_here};
use sage_intacct_fdw_tests::company::Company;

const STATEMENTS: &[&str] = &[
    // Below a window the planner takes expressions over keys apart.
    "SELECT upper(state) || 'x', count(*), rank() OVER (ORDER BY count(*)) FROM {} GROUP BY upper(state)",
    "SELECT to_char(date_trunc('year', whencreated), 'YYYY'), sum(count(*)) OVER () FROM {} GROUP BY date_trunc('year', whencreated)",
    // Of a row whose primary key is grouped by.
    "SELECT u.label, upper(u.label), trim_scale(sum(i.totaldue)) FROM unit u JOIN {} i ON i.currency = u.id GROUP BY u.id",
    "SELECT count(*) FROM unit u JOIN {} i ON i.currency = u.id GROUP BY u.id HAVING u.label <> 'euro' OR count(*) > 1000",
    "SELECT u.label, sum(CASE WHEN i.state = 'Paid' THEN 1 ELSE 0 END) AS paid FROM unit u JOIN {} i ON i.currency = u.id GROUP BY u.id, lower(u.id)",
];

#[test]
fn columns_that_keys_determine_are_computed() {
    let company = Company::start("determined");
    company.import("arinvoice");
    let mut client = company.connect();
    run(
        &mut client,
        "CREATE TABLE unit (id text PRIMARY KEY, label text);
INSERT INTO unit VALUES ('USD', 'US dollar'), ('EUR', 'euro'), ('CAD', 'loonie'), ('XXX', 'none');
CREATE TABLE here AS SELECT * FROM arinvoice;
ANALYZE arinvoice;
ANALYZE unit",
    );
    for statement in STATEMENTS {
        let plan = same_as_here(&mut client, statement, "arinvoice");
        let combines = plan.contains("Intacct Groups: combined") || plan.contains("Intacct Combined Groups");
        assert!(combines, "{plan}");
    }
}
