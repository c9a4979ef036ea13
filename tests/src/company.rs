//! A simulated company and a database that is set up for it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use intacct_simulator::{Config, Simulator};
use postgres::Client;

use crate::cluster::{Database, backend};
use crate::tap::{Answer, Tap};

/// Rows of the objects that tests read: few, so that a simulator for each test is made quickly.
const ROWS: &[(&str, u64)] = &[
    ("CUSTOMER", 150),
    ("ARINVOICE", 300),
    ("ARINVOICEITEM", 100),
    ("ARPYMT", 50),
    ("ARPYMTDETAIL", 50),
    ("VENDOR", 50),
    ("GLBATCH", 200),
    ("MCA_attendee", 120),
];
/// Rows of every other object, of which tests read at most one page.
const FEW: u64 = 12;

/// Path of the gateway on its host.
const PATH: &str = "/ia/xml/xmlgw.phtml";

/// The simulator with a tap in its line.
pub struct Gateway {
    simulator: Simulator,
    /// Records and tampers.
    pub tap: Tap,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

/// The configuration of a small simulator.
pub fn small() -> Config {
    let few = intacct_simulator::catalog::Catalog::builtin()
        .objects
        .iter()
        .filter(|object| object.rows > FEW)
        .fold(Config::default(), |config, object| config.rows(&object.name, FEW));
    ROWS.iter()
        .fold(few, |config, (object, rows)| config.rows(object, *rows))
}

impl Gateway {
    /// Starts a small simulator and a tap before it.
    pub fn start() -> Self {
        Self::start_with(small())
    }

    /// Starts a simulator of another size.
    pub fn start_with(config: Config) -> Self {
        let simulator = Simulator::start(config).expect("the simulator starts");
        let address = host_and_port(&simulator.url());
        let gateway = Self {
            tap: Tap::start(address),
            simulator,
        };
        // Sessions lead back through the tap.
        gateway.set("endpoint", &gateway.url());
        gateway
    }

    /// The URL for the server option `url`: through the tap.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.tap.address())
    }

    /// Changes a setting of the simulator.
    pub fn set(&self, key: &str, value: &str) {
        self.simulator.set(key, value);
    }

    /// What the simulator has been asked since the last call, and what it answered.
    pub fn log(&self) -> Vec<intacct_simulator::log::Entry> {
        let log = self.simulator.log();
        self.simulator.clear_log();
        log
    }

    /// Round trips and calls of a statement.
    #[track_caller]
    pub fn cost(&self, client: &mut Client, sql: &str) -> (usize, usize) {
        self.log();
        crate::sql::run(client, sql);
        let log = self.log();
        let calls = log.iter().map(|entry| entry.functions.len()).sum();
        (log.len(), calls)
    }

    /// Arms faults of the simulator, as JSON.
    pub fn faults(&self, json: &str) {
        self.simulator.faults(json);
    }

    /// Forgets the requests so far, here and at the simulator: thousands of statements fill the memory.
    pub fn forget_requests(&self) {
        self.tap.forget();
        self.simulator.clear_log();
    }

    /// Disarms all faults.
    pub fn clear_faults(&self) {
        self.simulator.clear_faults();
    }

    /// Ends all sessions.
    pub fn expire_sessions(&self) {
        assert!(self.simulator.expire_sessions() > 0, "there was no session");
    }

    /// Changes data of company `acme` as a person would in the browser (`docs/simulator.md`); the keys of the rows.
    pub fn change(&self, operations: serde_json::Value) -> Vec<Vec<i64>> {
        self.apply(operations, false)
    }

    /// The same, stamped now and visible only with [`Gateway::release`].
    pub fn change_late(&self, operations: serde_json::Value) {
        self.apply(operations, true);
    }

    /// Makes late changes visible; how many batches there were.
    pub fn release(&self) -> usize {
        self.simulator.gateway().release().expect("changes that fit")
    }

    fn apply(&self, operations: serde_json::Value, hold: bool) -> Vec<Vec<i64>> {
        let changes = serde_json::from_value(operations).expect("a list of changes");
        let done = self.simulator.gateway().change("acme", changes, hold);
        done.unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// Rows of a statement on the simulator's own database of company `acme` (SQLite, a view for each object).
    pub fn truth(&self, sql: &str) -> Vec<HashMap<String, serde_json::Value>> {
        let body = serde_json::json!({ "company": "acme", "sql": sql }).to_string();
        let address = host_and_port(&self.simulator.control_url());
        let mut stream = TcpStream::connect(address).expect("the simulator listens");
        write!(
            stream,
            "POST /_sim/sql HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{head} {body}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }
}

fn host_and_port(url: &str) -> SocketAddr {
    let address = url
        .split("//")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .expect("a URL has a host");
    address.parse().expect("an IP address and a port")
}

/// A database with server `acme` and a mapping for the superuser, and the gateway behind it.
#[derive(Debug)]
pub struct Company {
    /// The database.
    pub database: Database,
    /// The gateway.
    pub gateway: Gateway,
}

impl Company {
    /// Starts a gateway, creates a database, server and user mapping.
    pub fn start(name: &str) -> Self {
        Self::start_with(name, small())
    }

    /// The same over a simulator of another size.
    pub fn start_with(name: &str, config: Config) -> Self {
        let company = Self {
            database: Database::create(name),
            gateway: Gateway::start_with(config),
        };
        company
            .connect()
            .batch_execute(&Self::server_statements(&company.gateway, ""))
            .expect("a server and a mapping");
        company
    }

    /// Statements that make server `acme` over a gateway, with more options (`, page_size '10'`), and a mapping for the
    /// current user.
    pub fn server_statements(gateway: &Gateway, options: &str) -> String {
        // Tests count the requests of a backend: those about shared sessions say so.
        let sharing = match options.contains("share_sessions") {
            true => "",
            false => ", share_sessions 'off'",
        };
        Self::another_server(gateway, "acme", "apiuser", &format!("{options}{sharing}"))
    }

    /// Statements that make a server of this name, quoted where that is needed, for a user of the same company, with more
    /// options, and a mapping for the current user.
    pub fn another_server(gateway: &Gateway, name: &str, user: &str, options: &str) -> String {
        format!(
            "CREATE SERVER {name} FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', url '{}'{options});
             CREATE USER MAPPING FOR CURRENT_USER SERVER {name}
               OPTIONS (user_id '{user}', password 'secret', sender_id 'sender1', sender_password 'senderpw');",
            gateway.url()
        )
    }

    /// A connection as the superuser.
    pub fn connect(&self) -> Client {
        self.database.connect()
    }

    /// Cancels what a backend does, for tests whose session goes on: by one signal. The server answers a client's own
    /// request to cancel with two, and on a busy machine the second may come as late as in a later statement.
    pub fn cancel(&self, pid: i32) {
        self.connect()
            .execute("SELECT pg_cancel_backend($1::integer)", &[&pid])
            .expect("the backend is signalled");
    }

    /// Runs a statement whose request is lost on the way, or, where the gateway has `executed` it, its answer, and cancels it.
    ///
    /// # Panics
    /// If it does not end with 08007, which says that it is not known what became of the rows.
    pub fn in_doubt(&self, mut client: Client, sql: &str, executed: bool) -> Client {
        self.gateway.tap.rule(move |xml| {
            let writes = xml.contains("<uniqueid>true</uniqueid>");
            match (writes, executed) {
                (true, true) => Answer::Swallow,
                (true, false) => Answer::Stall,
                (false, _) => Answer::Pass,
            }
        });
        let pid = backend(&mut client);
        let sql = sql.to_owned();
        let running = std::thread::spawn(move || {
            let error = client.batch_execute(&sql).expect_err("a cancel");
            (
                client,
                error.code().expect("an error of the server").code().to_owned(),
            )
        });
        self.gateway.tap.wait_for_stalled(1);
        self.cancel(pid);
        let (client, code) = running.join().expect("the statement ends");
        assert_eq!(code, "08007");
        self.gateway.tap.pass();
        self.gateway.tap.wait_for_stalled(0);
        client
    }

    /// Imports objects into schema public, in a session of its own.
    pub fn import(&self, objects: &str) {
        self.connect()
            .batch_execute(&format!(
                "IMPORT FOREIGN SCHEMA intacct LIMIT TO ({objects}) FROM SERVER acme INTO public"
            ))
            .unwrap_or_else(|error| panic!("import of {objects}: {error:?}"));
    }

    /// How many rows of an object the top level of the company shows.
    pub fn rows(&self, object: &str) -> i64 {
        rows(&self.gateway, object)
    }
}

/// Whether the top level shows no row of the object that an entity owns.
pub fn hides_owned(object: &str) -> bool {
    let object = intacct_simulator::catalog::Catalog::builtin().object(object);
    object.is_some_and(|object| object.master)
}

/// How many rows of an object the top level of company `acme` shows: of master data those that no entity owns.
pub fn rows(gateway: &Gateway, object: &str) -> i64 {
    let filter = match hides_owned(object) {
        true => " WHERE MEGAENTITYKEY IS NULL",
        false => "",
    };
    gateway.truth(&format!("SELECT count(*) AS n FROM \"{object}\"{filter}"))[0]["n"]
        .as_i64()
        .expect("a number")
}

/// A directory that the server can read, for files that options name; removed with the value.
#[derive(Debug)]
pub struct ServerFiles {
    /// The directory.
    pub path: PathBuf,
}

impl ServerFiles {
    /// Makes the directory below the cluster's own.
    pub fn create(name: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let path = crate::cluster::server_directory().join(format!("files-{name}"));
        std::fs::create_dir_all(&path).expect("the cluster's directory can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
        Self { path }
    }
}

impl Drop for ServerFiles {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
