//! What a monitoring system reads: who sees it, what is kept, and the files in `monitoring/`.

mod files;
mod kept;
mod roles;

use std::sync::atomic::{AtomicUsize, Ordering};

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::sql::run_each as run;
use sage_intacct_fdw_tests::tap::Answer;
use sage_intacct_fdw_tests::wait::until;

/// The first column of each row, as text.
#[track_caller]
fn texts(client: &mut Client, sql: &str) -> Vec<String> {
    let rows = client
        .query(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter()
        .map(|row| row.get::<_, Option<String>>(0).unwrap_or_else(|| "-".into()))
        .collect()
}

/// Makes one of everything that is watched: mirrors, one of which fails and one that has lost a field, requests, an error, a
/// write that is stored and one in doubt. The roles are members of pg_monitor and of pg_read_all_stats, and one of neither.
struct Watched {
    company: Company,
    roles: [String; 3],
}

/// A value of a record: nobody may read it from what is for all statistics.
const SECRET_VALUE: &str = "Confidential Ltd";

impl Watched {
    fn start(name: &str) -> Watched {
        let company = Company::start(name);
        let roles = ["monitor", "stats", "nobody"].map(|role| format!("{name}_{role}"));
        let mut admin = company.connect();
        let mirrors = "
            CREATE SCHEMA acme;
            CREATE SCHEMA finance;
            IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, vendor) FROM SERVER acme INTO acme;
            CALL sage_intacct.create_mirror('acme.customer', 'finance.customer');
            CALL sage_intacct.create_mirror('acme.vendor', 'finance.\"Odd name\"', '{\"load\": \"off\"}');
            UPDATE sage_intacct.mirror SET gone = '{name}' WHERE target = 'finance.customer'::regclass";
        run(&mut admin, mirrors);
        company.gateway.faults(
            r#"{"match": {"function": "query", "object": "VENDOR"}, "times": 100,
                "action": {"function_error": {"errorno": "XL03000099", "description2": "no"}}}"#,
        );
        admin
            .batch_execute("CALL sage_intacct.refresh_mirror('finance.\"Odd name\"')")
            .expect_err("a fault");
        company.gateway.clear_faults();
        run(
            &mut admin,
            &format!("INSERT INTO acme.customer (customerid, name) VALUES ('KEY-1', '{SECRET_VALUE}')"),
        );
        // A write whose answer is lost.
        let mut admin = company.in_doubt(
            admin,
            "INSERT INTO acme.customer (customerid, name) VALUES ('KEY-2', 'x')",
            true,
        );
        for role in &roles {
            run(&mut admin, &format!("CREATE ROLE {role} LOGIN"));
        }
        run(
            &mut admin,
            &format!(
                "GRANT pg_monitor TO {0};\nGRANT pg_read_all_stats TO {1}",
                roles[0], roles[1]
            ),
        );
        // Backends that share no memory are counted when they end.
        until(|| {
            let rows = texts(
                &mut admin,
                "SELECT value::text FROM sage_intacct.metrics WHERE name = 'sage_intacct_requests_total' AND value > 10",
            );
            rows.len() == 1
        });
        Watched { company, roles }
    }

    /// A connection as a member of pg_monitor, of pg_read_all_stats, and of neither.
    fn connect(&self) -> [Client; 3] {
        [0, 1, 2].map(|number| self.company.database.connect_as(&self.roles[number]))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        for role in &self.roles {
            let _ = self.company.connect().batch_execute(&format!("DROP ROLE {role}"));
        }
    }
}

/// Stalls the second page of a scan: the first is read.
fn stall_second_page(company: &sage_intacct_fdw_tests::company::Gateway) {
    let queries = AtomicUsize::new(0);
    company.tap.rule(move |xml| {
        let second = xml.contains("<query>") && queries.fetch_add(1, Ordering::SeqCst) > 0;
        if second { Answer::Stall } else { Answer::Pass }
    });
}
