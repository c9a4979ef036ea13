//! The throw-away cluster that `scripts/sql-tests` starts, and databases in it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use postgres::{Client, NoTls};

/// The database that every test database is copied from: the extension is installed in it.
const TEMPLATE: &str = "sage_template";

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: these tests need a cluster, run them with `make test` or `scripts/sql-tests`"
        )
    })
}

/// What the server has written to its log so far.
pub fn server_log() -> String {
    let bytes = std::fs::read(variable("SAGE_SERVER_LOG")).expect("the server's log is readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A directory that the server's operating-system user can read (and nobody else but it and us).
pub fn server_directory() -> PathBuf {
    PathBuf::from(variable("PGHOST"))
}

/// The server's major version.
pub fn major_version() -> u32 {
    let number: i32 = connect("postgres", "postgres")
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .expect("the server answers")
        .get(0);
    u32::try_from(number).expect("a version") / 10_000
}

/// One of the server's own programs (`psql`, `pg_dump` …), connecting to the cluster.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(PathBuf::from(variable("PG_BINDIR")).join(name));
    // Nothing of the user's own settings may change what a test sees.
    command
        .env_remove("PGOPTIONS")
        .env("PGCONNECT_TIMEOUT", "30")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// The same, run by the operating-system user of the server, which is not root.
pub fn server_program(name: &str) -> Command {
    use std::os::unix::fs::MetadataExt;
    let plain = program(name);
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        return plain;
    }
    let mut command = Command::new("runuser");
    command
        .args(["-u", "postgres", "--"])
        .arg(plain.get_program())
        .current_dir("/")
        .env_remove("PGOPTIONS");
    command
}

/// Opens a connection as `role`.
///
/// # Panics
/// If the server does not accept it.
pub fn connect(database: &str, role: &str) -> Client {
    try_connect(database, role)
        .unwrap_or_else(|error| panic!("no connection to database {database} as {role}: {error:?}"))
}

/// The process of the backend behind a connection.
pub fn backend(client: &mut Client) -> i32 {
    client
        .query_one("SELECT pg_backend_pid()", &[])
        .expect("a pid")
        .get(0)
}

/// Ends a backend as a crash would, by a signal that it cannot catch.
///
/// # Panics
/// If there is no such process, or it is another user's.
pub fn kill(backend: i32) {
    let process = rustix::process::Pid::from_raw(backend).expect("the id of a process");
    rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("the backend can be killed");
}

/// Opens a connection as `role`, unless the server refuses.
///
/// # Errors
/// Why it refuses: it may be starting up again.
pub fn try_connect(database: &str, role: &str) -> Result<Client, postgres::Error> {
    let port = variable("PGPORT").parse().expect("PGPORT is a number");
    try_connect_at(port, database, role)
}

/// The same at another server whose socket is in the cluster's directory.
///
/// # Errors
/// Why it refuses.
pub fn try_connect_at(port: u16, database: &str, role: &str) -> Result<Client, postgres::Error> {
    postgres::Config::new()
        .host(&variable("PGHOST"))
        .port(port)
        .user(role)
        .dbname(database)
        .connect(NoTls)
}

/// Ports of the workers on 127.0.0.1, where the cluster is a coordinator of Citus (`scripts/sql-tests --citus`); else none.
pub fn citus_workers() -> Vec<u16> {
    std::env::var("SAGE_CITUS_WORKERS")
        .unwrap_or_default()
        .split(',')
        .filter_map(|port| port.parse().ok())
        .collect()
}

/// Whether the tests run on Citus; then says why this one does nothing there. `scripts/sql-tests --citus` counts these lines.
pub fn skipped_on_citus(reason: &str) -> bool {
    let skipped = !citus_workers().is_empty();
    if skipped {
        let thread = std::thread::current();
        println!(
            "skipped on Citus: {}: {reason}",
            thread.name().unwrap_or_default()
        );
    }
    skipped
}

/// A connection to a worker of Citus.
fn try_connect_worker(port: u16, database: &str) -> Result<Client, postgres::Error> {
    postgres::Config::new()
        .host("127.0.0.1")
        .port(port)
        .user("postgres")
        .dbname(database)
        .connect(NoTls)
}

/// The same, once it is there for sure.
fn connect_worker(port: u16, database: &str) -> Client {
    try_connect_worker(port, database)
        .unwrap_or_else(|error| panic!("no connection to the worker at port {port}: {error:?}"))
}

/// Takes a database of a worker of Citus away from everybody, or gives it back.
///
/// # Panics
/// If the worker cannot be reached.
pub fn lose_worker(database: &str, port: u16, lost: bool) {
    let mut worker = connect_worker(port, "postgres");
    let allow = format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {}", !lost);
    worker.batch_execute(&allow).expect("an owner's right");
    if lost {
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1";
        worker.execute(end, &[&database]).expect("terminated");
    }
}

/// Kills a backend of a worker of Citus, and waits until the server, which restarts, is there again.
///
/// # Panics
/// If the worker cannot be reached, or does not come back.
pub fn kill_worker(database: &str, port: u16) {
    let mut worker = connect_worker(port, database);
    kill(backend(&mut worker));
    while worker.simple_query("SELECT 1").is_ok() {
        std::thread::yield_now();
    }
    for _ in 0..600 {
        if try_connect_worker(port, database).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the worker at port {port} does not come back");
}

/// A database on the coordinator and on each worker, with Citus and the extension.
fn create_on_citus(name: &str, workers: &[u16]) {
    let create = format!("CREATE DATABASE {name}");
    let extension = "CREATE EXTENSION citus";
    for &worker in workers {
        connect_worker(worker, "postgres")
            .batch_execute(&create)
            .expect("a database");
        connect_worker(worker, name)
            .batch_execute(extension)
            .expect("citus");
    }
    connect("postgres", "postgres")
        .batch_execute(&create)
        .expect("a database");
    let mut client = connect(name, "postgres");
    client.batch_execute(extension).expect("citus");
    let own = variable("PGPORT");
    let coordinator = format!("SELECT citus_set_coordinator_host('127.0.0.1', {own})");
    client.batch_execute(&coordinator).expect("its own address");
    for worker in workers {
        let add = format!("SELECT citus_add_node('127.0.0.1', {worker})");
        client.batch_execute(&add).expect("a worker is added");
    }
    client
        .batch_execute("CREATE EXTENSION sage_intacct_fdw")
        .expect("the extension");
}

/// A database of one test, with the extension in it; dropped with the value.
#[derive(Debug)]
pub struct Database {
    name: String,
}

impl Database {
    /// Creates a database whose name starts with `name`.
    pub fn create(name: &str) -> Self {
        static TEMPLATE_MADE: OnceLock<()> = OnceLock::new();
        // CREATE DATABASE refuses while somebody else copies the same template.
        static COPYING: Mutex<()> = Mutex::new(());
        static NUMBER: AtomicU32 = AtomicU32::new(1);

        let workers = citus_workers();
        if !workers.is_empty() {
            let name = format!("t_{name}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
            create_on_citus(&name, &workers);
            return Self { name };
        }
        let _guard = COPYING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        TEMPLATE_MADE.get_or_init(|| {
            let mut admin = connect("postgres", "postgres");
            admin
                .batch_execute(&format!("DROP DATABASE IF EXISTS {TEMPLATE}"))
                .expect("an old template can be dropped");
            admin
                .batch_execute(&format!("CREATE DATABASE {TEMPLATE}"))
                .expect("a database can be created");
            connect(TEMPLATE, "postgres")
                .batch_execute("CREATE EXTENSION sage_intacct_fdw")
                .expect("CREATE EXTENSION sage_intacct_fdw");
        });
        let name = format!("t_{name}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut admin = connect("postgres", "postgres");
        // The template's last connection may still be closing.
        for attempt in 1.. {
            match admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")) {
                Ok(()) => break,
                Err(error) if attempt < 50 && error.code().is_some_and(|code| code.code() == "55006") => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => panic!("CREATE DATABASE {name}: {error:?}"),
            }
        }
        Self { name }
    }

    /// Creates a database without the extension.
    pub fn create_empty(name: &str) -> Self {
        connect("postgres", "postgres")
            .batch_execute(&format!("CREATE DATABASE t_{name} TEMPLATE template0"))
            .unwrap_or_else(|error| panic!("CREATE DATABASE t_{name}: {error:?}"));
        Self {
            name: format!("t_{name}"),
        }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection as the superuser.
    pub fn connect(&self) -> Client {
        connect(&self.name, "postgres")
    }

    /// A connection as another role.
    pub fn connect_as(&self, role: &str) -> Client {
        connect(&self.name, role)
    }

    /// Takes the database of a worker of Citus away from everybody, or gives it back.
    pub fn lose_worker(&self, port: u16, lost: bool) {
        lose_worker(&self.name, port, lost);
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The cluster is thrown away anyway: a failure here must not hide the test's own.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let _ = connect("postgres", "postgres").batch_execute(&drop);
        for worker in citus_workers() {
            let _ = connect_worker(worker, "postgres").batch_execute(&drop);
        }
    }
}

/// A second cluster, in which the library is preloaded: backends share counters, budget and progress. It is started
/// at its first use, and stopped with the other one by `scripts/sql-tests`.
///
/// # Panics
/// If it does not start.
pub fn preloaded() -> &'static Preloaded {
    static STARTED: OnceLock<Preloaded> = OnceLock::new();
    STARTED.get_or_init(|| {
        let name = variable("SAGE_PRELOADED_CLUSTER");
        let script = |arguments: &[&str]| {
            let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/cluster"))
                .args(arguments)
                .output()
                .expect("scripts/cluster can be run");
            assert!(
                output.status.success(),
                "scripts/cluster {arguments:?}: {output:?}"
            );
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        script(&["start", &name, "--preload", "sage_intacct_fdw"]);
        let environment = script(&["env", &name]);
        let value = |name: &str| {
            let prefix = format!("export {name}=");
            environment
                .lines()
                .find_map(|line| line.strip_prefix(&prefix))
                .unwrap_or_else(|| panic!("{name} is in {environment}"))
                .to_owned()
        };
        Preloaded {
            host: value("PGHOST"),
            port: value("PGPORT").parse().expect("a port"),
        }
    })
}

/// Where the cluster of [`preloaded`] is.
#[derive(Debug)]
pub struct Preloaded {
    host: String,
    port: u16,
}

impl Preloaded {
    /// A connection as the superuser; after a crash it waits until there is one to be had.
    ///
    /// # Panics
    /// If the server does not accept it within a minute.
    pub fn connect(&self, database: &str) -> Client {
        self.connect_as(database, "postgres")
    }

    /// The same as another role.
    ///
    /// # Panics
    /// If the server does not accept it within a minute.
    pub fn connect_as(&self, database: &str, role: &str) -> Client {
        let mut configuration = postgres::Config::new();
        configuration
            .host(&self.host)
            .port(self.port)
            .user(role)
            .dbname(database);
        for attempt in 1.. {
            match configuration.connect(NoTls) {
                Ok(client) => return client,
                Err(_) if attempt < 600 => std::thread::sleep(Duration::from_millis(100)),
                Err(error) => panic!("no connection to the preloaded cluster: {error:?}"),
            }
        }
        unreachable!("the loop ends by returning or by a panic")
    }
}
