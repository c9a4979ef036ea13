//! A cluster of its own beside that of the tests: another server of the same machine.

use postgres::Client;

use crate::cluster;
use crate::server::{Server, succeed};

/// A server with settings of its own, empty, its socket beside that of the tests' cluster; stopped with the value.
#[derive(Debug)]
pub struct Second(Server);

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
        let mut options = format!(
            "-c listen_addresses= -c fsync=off -c unix_socket_directories={}",
            cluster::server_directory().display()
        );
        for (name, value) in settings {
            options.push_str(&format!(" -c {name}={value}"));
        }
        Self(Server::start(data, &options))
    }

    /// The port of its socket.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// A session of the superuser.
    ///
    /// # Panics
    /// If it takes none.
    pub fn connect(&self, database: &str) -> Client {
        self.0.connect(database)
    }
}
