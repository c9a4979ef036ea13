//! GROUPING SETS, ROLLUP and CUBE over the gateway's groups. Until PostgreSQL 17: 18 notes in each key that a grouping set
//! may make it null, and reads the rows.

use super::{lines, run};
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;

/// Statements over `{}`, and whether fewer groups than rows are expected, so that they are asked for.
const STATEMENTS: &[(&str, bool)] = &[
    (
        "SELECT state, currency, count(*), trim_scale(sum(totaldue)), GROUPING(state, currency) FROM {} GROUP BY ROLLUP (state, currency)",
        true,
    ),
    (
        "SELECT state, customerid, count(*), count(DISTINCT currency) FROM {} GROUP BY GROUPING SETS ((state), (customerid), ()) HAVING count(*) > 5",
        true,
    ),
    (
        "SELECT upper(state), sum(CASE WHEN currency = 'USD' THEN 1 ELSE 0 END) FROM {} GROUP BY CUBE (upper(state), currency)",
        true,
    ),
    (
        "SELECT count(*), trim_scale(sum(totaldue)) FROM {} GROUP BY ()",
        true,
    ),
    (
        "SELECT date_trunc('year', whencreated), state, trim_scale(sum(totaldue)) FROM {} GROUP BY CUBE (1, 2)",
        false,
    ),
    (
        "SELECT state, count(*) FROM {} WHERE totaldue > 1e9 GROUP BY ROLLUP (state)",
        false,
    ),
];

#[test]
fn grouping_sets_are_made_of_groups() {
    let company = Company::start("grouping_sets");
    company.import("arinvoice");
    let mut client = company.connect();
    run(
        &mut client,
        "CREATE TABLE here AS SELECT * FROM arinvoice; ANALYZE arinvoice",
    );
    for (statement, combined) in STATEMENTS {
        let there = statement.replace("{}", "arinvoice");
        let sorted = |statement: &str| format!("SELECT t::text FROM ({statement}) t ORDER BY 1");
        assert_eq!(
            lines(&mut client, &sorted(&there)),
            lines(&mut client, &sorted(&statement.replace("{}", "here"))),
            "{statement}"
        );
        let plan = lines(&mut client, &format!("EXPLAIN {there}")).join("\n");
        let combines = plan.contains("Intacct Groups: combined");
        assert_eq!(combines, *combined && cluster::major_version() < 18, "{plan}");
    }
}
