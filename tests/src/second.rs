//! A cluster of its own beside that of the tests: another server of the same machine.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use postgres::Client;

use crate::cluster;

/// A server with settings of its own, empty, its socket beside that of the tests' cluster; stopped with the value.
#[derive(Debug)]
pub struct Second {
    data: PathBuf,
    port: u16,
}

impl Second {
    /// Makes and starts it. `name` is that of its directory; `settings` are lines of `postgresql.conf`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let data = cluster::server_directory().join(format!("second_{name}"));
        succeed(
            cluster::server_program("initdb")
                .args([
                    "-U",
                    "postgres",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--auth=trust",
                    "--no-sync",
                    "-D",
                ])
                .arg(&data),
        );
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut options = format!(
            "-p {port} -c listen_addresses= -c fsync=off -c unix_socket_directories={}",
            cluster::server_directory().display()
        );
        for (name, value) in settings {
            options.push_str(&format!(" -c {name}={value}"));
        }
        succeed(
            cluster::server_program("pg_ctl")
                .args(["start", "-w", "-t", "60", "-D"])
                .arg(&data)
                .arg("-l")
                .arg(data.join("log"))
                .args(["-o", &options]),
        );
        Self { data, port }
    }

    /// The port of its socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A session of the superuser.
    ///
    /// # Panics
    /// If it takes none.
    pub fn connect(&self, database: &str) -> Client {
        cluster::try_connect_at(self.port, database, "postgres").expect("the second server takes connections")
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // It is thrown away anyway: a failure here must not hide the test's own.
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
