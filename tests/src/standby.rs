//! A server that follows the cluster by streaming replication.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use postgres::Client;

use crate::cluster;

/// A hot standby made from a base backup of the cluster; stopped with the value. Once promoted, it is a copy of its own.
#[derive(Debug)]
pub struct Standby {
    data: PathBuf,
    port: u16,
}

impl Standby {
    /// Takes a base backup and starts a server on it. `name` is that of its directory.
    ///
    /// # Panics
    /// If one of both fails.
    pub fn start(name: &str) -> Self {
        let data = cluster::server_directory().join(format!("standby_{name}"));
        succeed(
            cluster::server_program("pg_basebackup")
                .args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-D"])
                .arg(&data),
        );
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let standby = Self { data, port };
        succeed(
            cluster::server_program("pg_ctl")
                .args(["start", "-w", "-t", "60", "-D"])
                .arg(&standby.data)
                .arg("-l")
                .arg(standby.data.join("log"))
                .args(["-o", &format!("-p {port}")]),
        );
        standby
    }

    /// A session in one of its databases.
    ///
    /// # Panics
    /// If it takes none.
    pub fn connect(&self, database: &str) -> Client {
        cluster::try_connect_at(self.port, database, "postgres").expect("the standby takes connections")
    }
}

impl Drop for Standby {
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
