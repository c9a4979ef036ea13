//! A database with foreign tables over a gateway.

use crate::gateway::Gateway;
use postgres::{Client, NoTls};

/// A connection to the cluster.
///
/// # Panics
/// If the environment does not name one, or it refuses.
pub fn connect() -> Client {
    let variable =
        |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by `make bench`"));
    postgres::Config::new()
        .host(&variable("PGHOST"))
        .port(variable("PGPORT").parse().expect("a port"))
        .user("postgres")
        .dbname("postgres")
        .connect(NoTls)
        .expect("the cluster accepts connections")
}

/// Makes server `acme` over the gateway and imports `objects` into schema `acme`; an older one is dropped.
///
/// # Panics
/// If a statement fails.
pub fn import(client: &mut Client, gateway: &Gateway, options: &str, objects: &str) {
    let statements = format!(
        "CREATE EXTENSION IF NOT EXISTS sage_intacct_fdw;
         DROP SERVER IF EXISTS acme CASCADE;
         DROP SCHEMA IF EXISTS acme CASCADE;
         CREATE SERVER acme FOREIGN DATA WRAPPER sage_intacct_fdw
             OPTIONS (company_id 'acme', url '{}'{options});
         CREATE USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (user_id 'apiuser', password 'secret',
             sender_id 'sender1', sender_password 'senderpw');
         CREATE SCHEMA acme;
         IMPORT FOREIGN SCHEMA intacct LIMIT TO ({objects}) FROM SERVER acme INTO acme;",
        gateway.url()
    );
    client
        .batch_execute(&statements)
        .unwrap_or_else(|error| panic!("setting up: {error:?}"));
}
