//! Four companies below one Append, beside one of them.

use crate::company;
use crate::gateway::Gateway;
use crate::report::Report;
use std::time::{Duration, Instant};

const COMPANIES: usize = 4;
/// How much longer than one they may take together.
const BOUND: f64 = 1.3;

/// Measures a consolidation table over four servers, each with a concurrency of its own.
pub fn run(report: &mut Report) {
    let gateway = Gateway::start(&["--latency-ms", "200", "--rows", "CUSTOMER=20000"]);
    let mut client = company::connect();
    let mut statements = String::from(
        "CREATE EXTENSION IF NOT EXISTS sage_intacct_fdw;
         CREATE SCHEMA companies;
         CREATE TABLE companies.customer_all (company text, recordno bigint, name text) PARTITION BY LIST (company);",
    );
    for number in 1..=COMPANIES {
        statements += &format!(
            "CREATE SERVER c{number} FOREIGN DATA WRAPPER sage_intacct_fdw
               OPTIONS (company_id 'acme', url '{}', max_concurrency '2');
             CREATE USER MAPPING FOR CURRENT_USER SERVER c{number} OPTIONS (user_id 'apiuser', password 'secret',
               sender_id 'sender1', sender_password 'senderpw');
             CREATE FOREIGN TABLE companies.c{number} PARTITION OF companies.customer_all
               FOR VALUES IN ('c{number}') SERVER c{number} OPTIONS (object 'CUSTOMER');
             ALTER FOREIGN TABLE companies.c{number} ALTER COLUMN company OPTIONS (ADD constant 'c{number}');",
            gateway.url()
        );
    }
    client
        .batch_execute(&statements)
        .unwrap_or_else(|error| panic!("setting up: {error:?}"));

    let all = "SELECT count(name) FROM companies.customer_all";
    let one = "SELECT count(name) FROM companies.c1";
    let mut best = |statement: &str| {
        let time = |_| {
            let began = Instant::now();
            client.simple_query(statement).expect("the query");
            began.elapsed()
        };
        (0..4).map(time).min().unwrap_or(Duration::MAX)
    };
    // The first of each also signs in; the best of four does not.
    let (all, one) = (best(all), best(one));
    report.goal(
        "four companies, 20,000 rows each, 200 ms",
        all,
        "one of them",
        one,
        BOUND,
    );
    client
        .batch_execute(
            "DROP SCHEMA companies CASCADE;
             DROP SERVER c1 CASCADE; DROP SERVER c2 CASCADE; DROP SERVER c3 CASCADE; DROP SERVER c4 CASCADE",
        )
        .expect("cleared away");
}
