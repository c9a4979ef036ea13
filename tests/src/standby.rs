//! A server that follows the cluster by streaming replication.

use postgres::Client;

use crate::cluster;
use crate::server::{Server, succeed};

/// A hot standby made from a base backup of the cluster; stopped with the value. Once promoted, it is a copy of its own.
#[derive(Debug)]
pub struct Standby(Server);

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
        Self(Server::start(data, ""))
    }

    /// A session in one of its databases.
    ///
    /// # Panics
    /// If it takes none.
    pub fn connect(&self, database: &str) -> Client {
        self.0.connect(database)
    }
}
