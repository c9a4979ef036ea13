//! What the tests of writes have in common.

use std::sync::{Arc, Mutex, PoisonError};

use postgres::error::DbError;
use postgres::{Client, NoTls};
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;

/// A table of customers.
pub const TABLES: &str = "
    CREATE FOREIGN TABLE customer (
      recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT'),
      creditlimit numeric OPTIONS (type 'CURRENCY')) SERVER acme;
    CREATE FOREIGN TABLE vendor (
      recordno bigint OPTIONS (type 'INTEGER'), vendorid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT'))
      SERVER acme;";

/// A company with tables of customers and vendors, and a session that is signed in.
pub fn company(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    let mut client = company.connect();
    client.batch_execute(TABLES).expect("tables");
    client
        .query("SELECT creditlimit FROM customer LIMIT 1", &[])
        .expect("a working gateway");
    company.gateway.tap.forget();
    (company, client)
}

/// Customers that Intacct has under a prefix, in the order of their record numbers.
pub fn stored(company: &Company, prefix: &str) -> Vec<String> {
    let sql =
        format!("SELECT CUSTOMERID AS id FROM CUSTOMER WHERE CUSTOMERID LIKE '{prefix}%' ORDER BY RECORDNO");
    let rows = company.gateway.truth(&sql);
    rows.iter()
        .map(|row| row["id"].as_str().expect("a text").to_owned())
        .collect()
}

/// Warnings of a session, and what they say in detail.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Mutex<String>>);

impl Notices {
    /// Those since the last call.
    pub fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A session whose warnings are kept; none while the server is starting up.
pub fn watched(company: &Company) -> Option<(Client, Notices)> {
    let notices = Notices::default();
    let kept = notices.clone();
    let port = std::env::var("PGPORT").ok()?.parse().ok()?;
    let client = postgres::Config::new()
        .host(cluster::server_directory().to_str()?)
        .port(port)
        .user("postgres")
        .dbname(company.database.name())
        .notice_callback(move |notice: DbError| {
            let text = format!("{} {}\n", notice.message(), notice.detail().unwrap_or_default());
            kept.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&text);
        })
        .connect(NoTls)
        .ok()?;
    Some((client, notices))
}

/// The error of the server that a statement ends with.
#[track_caller]
pub fn refused(client: &mut Client, sql: &str) -> DbError {
    let error = client.batch_execute(sql).expect_err(sql);
    error
        .as_db_error()
        .unwrap_or_else(|| panic!("{sql}: {error:?}"))
        .clone()
}

/// One line for each row of a query of text columns.
#[track_caller]
pub fn lines(client: &mut Client, sql: &str) -> Vec<String> {
    let rows = client
        .query(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter()
        .map(|row| {
            let cells =
                (0..row.len()).map(|at| row.get::<_, Option<String>>(at).unwrap_or_else(|| "-".into()));
            cells.collect::<Vec<_>>().join("|")
        })
        .collect()
}
