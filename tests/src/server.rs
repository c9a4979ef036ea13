//! A server beside the tests' cluster: what is the same of every one of them.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use postgres::Client;

use crate::cluster;

/// A server that runs on a data directory; stopped with the value.
#[derive(Debug)]
pub(crate) struct Server {
    data: PathBuf,
    /// The port of its socket.
    pub(crate) port: u16,
}

impl Server {
    /// Starts it on a port that is free; `options` are those of `postgres` beside the port.
    ///
    /// # Panics
    /// If it does not start.
    pub(crate) fn start(data: PathBuf, options: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let server = Self { data, port };
        succeed(
            cluster::server_program("pg_ctl")
                .args(["start", "-w", "-t", "60", "-D"])
                .arg(&server.data)
                .arg("-l")
                .arg(server.data.join("log"))
                .args(["-o", &format!("-p {port} {options}")]),
        );
        server
    }

    /// A session of the superuser in one of its databases.
    ///
    /// # Panics
    /// If it takes none.
    pub(crate) fn connect(&self, database: &str) -> Client {
        cluster::try_connect_at(self.port, database, "postgres").expect("the server takes connections")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is thrown away anyway: a failure here must not hide the test's own.
        let _ = cluster::server_program("pg_ctl")
            .args(["stop", "-m", "immediate", "-D"])
            .arg(&self.data)
            .stdout(Stdio::null())
            .status();
    }
}

/// Runs a program that must succeed; what it prints is not shown.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(
        status.as_ref().is_ok_and(|status| status.success()),
        "{command:?}: {status:?}"
    );
}
