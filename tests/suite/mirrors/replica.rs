//! Mirrors on a streaming replica: they are read there, and refreshed on the primary.

use super::company::{company, lines, mirror, refresh, run};
use sage_intacct_fdw_tests::standby::Standby;
use serde_json::json;

#[test]
fn a_replica_reads_mirrors() {
    let (company, mut primary) = company("mirror_replica", "customer");
    mirror(&mut primary, "customer", "{}");
    run(
        &mut primary,
        "INSERT INTO acme.customer (customerid, name) VALUES ('N0', 'logged')",
    );
    let replica = Standby::start("mirrors");
    let mut reader = replica.connect(company.database.name());
    company.gateway.change(json!([
        { "insert": { "object": "CUSTOMER", "values": { "CUSTOMERID": "N1", "NAME": "new" } } }
    ]));
    refresh(&mut primary, "customer");
    let state = "SELECT target, rows, complete, last_outcome, inserted, count FROM sage_intacct.mirrors,
                 (SELECT count(*) FROM finance.customer) c";
    let there = lines(&mut primary, state);
    for _ in 0..600 {
        if lines(&mut reader, state) == there {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(lines(&mut reader, state), there);
    for (view, least) in [
        ("mirrors WHERE last_outcome = 'done'", 1),
        ("mirror_runs WHERE outcome = 'done'", 2),
        ("progress", 0),
        ("write_log() WHERE 'N0' = ANY (keys)", 1),
    ] {
        let rows = reader
            .query_one(&format!("SELECT count(*) FROM sage_intacct.{view}"), &[])
            .unwrap_or_else(|error| panic!("{view}: {error:?}"));
        assert!(rows.get::<_, i64>(0) >= least, "{view}");
    }
    for call in [
        "create_mirror('acme.customer', 'finance.other')",
        "refresh_mirror('finance.customer')",
        "refresh_mirrors('finance')",
        "alter_mirror('finance.customer', '{\"check\": \"off\"}')",
        "drop_mirror('finance.customer')",
    ] {
        let error = reader
            .batch_execute(&format!("CALL sage_intacct.{call}"))
            .expect_err("a replica cannot be written");
        let error = error.as_db_error().expect("an error of the server");
        let (procedure, _) = call.split_once('(').expect("arguments");
        assert_eq!(
            (error.code().code(), error.message()),
            ("25006", format!("{procedure} cannot run on a standby").as_str())
        );
    }
    // Foreign tables are read on a replica as anywhere, and not written.
    let expected = company.rows("CUSTOMER");
    let read = reader
        .query_one("SELECT count(*) FROM acme.customer", &[])
        .expect("rows");
    assert_eq!(read.get::<_, i64>(0), expected);
    for write in [
        "INSERT INTO acme.customer (customerid, name) VALUES ('N2', 'new')",
        "UPDATE acme.customer SET name = 'x' WHERE customerid = 'N1'",
        "DELETE FROM acme.customer WHERE customerid = 'N1'",
        "COPY acme.customer (customerid, name) FROM '/dev/null'",
        "SELECT sage_intacct.upsert('acme.customer', '[{\"customerid\": \"N2\", \"name\": \"new\"}]')",
    ] {
        let error = reader.batch_execute(write).expect_err("a replica does not write");
        let code = error.code().map(postgres::error::SqlState::code);
        assert_eq!(code, Some("25006"), "{write}: {error:?}");
    }
    assert_eq!(company.rows("CUSTOMER"), expected);
}
