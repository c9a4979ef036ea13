//! GROUPING SETS, ROLLUP and CUBE over the gateway's groups.

use super::{run, same_as_here};
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
    // Keys within other expressions, in HAVING, and in ORDER BY.
    (
        "SELECT coalesce(state, 'all'), max(lower(currency)), count(*) FROM {} GROUP BY ROLLUP (state, currency) HAVING state IS NULL OR currency IS NOT NULL ORDER BY currency || 'x', state",
        true,
    ),
    (
        "SELECT upper(state) || currency, GROUPING(upper(state)), count(*) FROM {} GROUP BY GROUPING SETS ((upper(state)), (upper(state), currency)) HAVING upper(state) <> 'PAID' OR currency = 'USD'",
        true,
    ),
    (
        "SELECT DISTINCT count(*) > 1, state IS NULL FROM {} GROUP BY currency, ROLLUP (state)",
        true,
    ),
    // The planner takes the key apart below the window.
    (
        "SELECT upper(state) || 'x', rank() OVER (ORDER BY count(*)) FROM {} GROUP BY GROUPING SETS ((upper(state)), (upper(state), currency))",
        false,
    ),
    // Keys without a column.
    (
        "SELECT state, 7 AS seven, count(*) FROM {} GROUP BY CUBE (state, 2)",
        false,
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
        let plan = same_as_here(&mut client, statement, "arinvoice");
        let combines = plan.contains("Intacct Groups: combined");
        assert_eq!(combines, *combined, "{plan}");
    }
}
