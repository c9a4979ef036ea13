//! Encrypted connections: an authority that nobody knows is refused, one that `ca_file` names is trusted.

use intacct_simulator::Simulator;
use sage_intacct_fdw_tests::cluster::Database;
use sage_intacct_fdw_tests::company::{ServerFiles, small};

#[test]
fn a_certificate_must_come_from_an_authority_that_is_trusted() {
    let files = ServerFiles::create("tls");
    let mut config = small();
    config.tls_dir = Some(files.path.clone());
    let simulator = Simulator::start(config).expect("the simulator starts");
    let database = Database::create("tls");
    let mut client = database.connect();
    client
        .batch_execute(&format!(
            "CREATE SERVER acme FOREIGN DATA WRAPPER sage_intacct_fdw
               OPTIONS (company_id 'acme', url '{}', max_retries '0');
             CREATE USER MAPPING FOR CURRENT_USER SERVER acme
               OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
             CREATE FOREIGN TABLE customer (recordno bigint) SERVER acme",
            simulator.url()
        ))
        .expect("a server");
    let error = client
        .simple_query("SELECT count(*) FROM customer")
        .expect_err("an unknown authority");
    let error = error.as_db_error().expect("the backend lives");
    assert_eq!(error.code().code(), "08001", "{error:?}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("ca_file")),
        "{error:?}"
    );
    let step = client
        .query("SELECT step, hint FROM sage_intacct.check('acme') WHERE ok IS FALSE ORDER BY milliseconds LIMIT 1", &[])
        .expect("a report");
    assert!(step[0].get::<_, String>(1).contains("ca_file"), "{step:?}");

    let authority = files.path.join("ca.pem");
    client
        .batch_execute(&format!(
            "ALTER SERVER acme OPTIONS (ADD ca_file '{}')",
            authority.display()
        ))
        .expect("an option");
    client
        .query_one("SELECT count(*) FROM customer", &[])
        .expect("a trusted authority");

    // The right authority, but the certificate is for another name.
    let url = simulator.url().replace("localhost", "127.0.0.3");
    client
        .batch_execute(&format!("ALTER SERVER acme OPTIONS (SET url '{url}')"))
        .expect("an option");
    let error = client
        .simple_query("SELECT count(*) FROM customer")
        .expect_err("another name");
    assert_eq!(
        error.code().map(postgres::error::SqlState::code),
        Some("08001"),
        "{error:?}"
    );
}
