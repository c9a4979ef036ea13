//! Mirrors on a streaming replica: they are read there, and refreshed on the primary.

use super::company::{company, lines, mirror, refresh};
use sage_intacct_fdw_tests::cluster;
use serde_json::json;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A server that follows the cluster; stopped with the value.
struct Replica {
    data: PathBuf,
    port: u16,
}

impl Replica {
    fn start() -> Self {
        let data = cluster::server_directory().join("replica");
        succeed(
            cluster::server_program("pg_basebackup")
                .args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-D"])
                .arg(&data),
        );
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let replica = Self { data, port };
        succeed(
            cluster::server_program("pg_ctl")
                .args(["start", "-w", "-t", "60", "-D"])
                .arg(&replica.data)
                .arg("-l")
                .arg(replica.data.join("log"))
                .args(["-o", &format!("-p {port}")]),
        );
        replica
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // The cluster is thrown away anyway: a failure here must not hide the test's own.
        let _ = cluster::server_program("pg_ctl")
            .args(["stop", "-m", "immediate", "-D"])
            .arg(&self.data)
            .stdout(Stdio::null())
            .status();
    }
}

#[track_caller]
fn succeed(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(
        status.as_ref().is_ok_and(|status| status.success()),
        "{command:?}: {status:?}"
    );
}

#[test]
fn a_replica_reads_mirrors() {
    let (company, mut primary) = company("mirror_replica", "customer");
    mirror(&mut primary, "customer", "{}");
    let replica = Replica::start();
    let mut reader =
        cluster::try_connect_at(replica.port, company.database.name(), "postgres").expect("a replica");
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
    let error = reader
        .batch_execute("CALL sage_intacct.refresh_mirror('finance.customer')")
        .expect_err("a replica cannot be written");
    assert_eq!(error.code().map(postgres::error::SqlState::code), Some("25006"));
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
