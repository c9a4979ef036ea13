//! The companies, senders and users that exist in the simulated world.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::catalog::Catalog;
use crate::data::Generator;
use crate::format::Preferences;
use crate::query::cache::Cache;
use crate::store::Store;

/// Senders known to the gateway, with passwords, and the companies that authorised them.
pub const SENDERS: &[(&str, &str, &[&str])] = &[
    (
        "sender1",
        "senderpw",
        &["acme", "globex", "initech", "umbrella", "dormant"],
    ),
    ("stranger", "strangerpw", &[]),
];

/// The companies with their users' password, of which a simulator has the first ones ([`crate::Config::companies`]).
pub const COMPANIES: [(&str, &str); 4] = [
    ("acme", "secret"),
    ("globex", "secret2"),
    ("initech", "secret3"),
    ("umbrella", "secret4"),
];

/// An inactive company: every request for it is refused with HTTP 400.
pub const INACTIVE: &str = "dormant";

/// A web services user.
#[derive(Clone)]
pub struct User {
    /// Login id.
    pub id: String,
    /// Password.
    pub password: String,
    /// Formatting preferences.
    pub preferences: Preferences,
    /// Objects that the user may not read or write.
    pub denied: Objects,
}

/// A set of objects.
#[derive(Clone, Copy)]
pub enum Objects {
    /// These.
    These(&'static [&'static str]),
    /// All but these.
    AllBut(&'static [&'static str]),
}

impl Objects {
    /// Whether an object is among them.
    pub fn contains(&self, object: &str) -> bool {
        match self {
            Objects::These(objects) => objects.contains(&object),
            Objects::AllBut(objects) => !objects.contains(&object),
        }
    }
}

/// No object.
const NONE: Objects = Objects::These(&[]);
const LIMITED: Objects = Objects::These(&[
    "APBILL",
    "APBILLITEM",
    "VENDOR",
    "GLBATCH",
    "GLENTRY",
    "APPYMT",
    "USERINFO",
]);

/// The users of a company; all have the same password.
pub fn users(password: &str) -> Vec<User> {
    let user = |id: &str, preferences: Preferences, denied| User {
        id: id.into(),
        password: password.into(),
        preferences,
        denied,
    };
    let us = Preferences::default;
    vec![
        user("apiuser", us(), NONE),
        user("limited", us(), LIMITED),
        user(
            "timekeeper",
            us(),
            Objects::AllBut(&["TIMESHEET", "TASK", "CONTACT"]),
        ),
        user("builder", us(), Objects::AllBut(&["MCA_attendee"])),
        user("onlooker", us(), Objects::AllBut(&[])),
        user(
            "euro",
            Preferences {
                locale: "de_DE.UTF-8".into(),
                date_format: ".dmY".into(),
                ..us()
            },
            NONE,
        ),
        user("twelve", Preferences { clock: 12, ..us() }, NONE),
        user(
            "iso",
            Preferences {
                date_format: "-Ymd".into(),
                ..us()
            },
            NONE,
        ),
        user(
            "east",
            Preferences {
                offset: 19_800,
                ..us()
            },
            NONE,
        ),
    ]
}

/// One company.
pub struct Company {
    /// Company id.
    pub id: String,
    /// Its users.
    pub users: Vec<User>,
    /// Its data.
    pub store: Store,
    /// Cached key lists.
    pub cache: Cache,
    /// Entities one may sign in at.
    pub entities: Vec<String>,
    /// Function control ids that were executed and completed.
    completed: Mutex<HashSet<String>>,
    /// Reports that run: how often they still answer that they are pending.
    pub reports: Mutex<HashMap<String, u64>>,
    /// Stored results of readByQuery and of reports.
    pub results: Mutex<HashMap<String, crate::functions::read_by_query::Stored>>,
    /// Requests in process.
    pub running: Mutex<usize>,
    /// Signalled when a request ends.
    pub freed: tokio::sync::Notify,
}

impl Company {
    /// Generates a company.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn create(
        id: &str,
        password: &str,
        catalog: &'static Catalog,
        seed: u64,
        rows: &HashMap<String, u64>,
    ) -> rusqlite::Result<Self> {
        let generator = Generator::new(catalog, seed, rows);
        let store = Store::create(catalog, &generator)?;
        let entities = {
            let reader = store.read()?;
            let mut statement = reader.prepare("SELECT LOCATIONID FROM LOCATIONENTITY ORDER BY 1")?;
            statement.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?
        };
        Ok(Self {
            id: id.into(),
            users: users(password),
            store,
            cache: Cache::default(),
            entities,
            completed: Mutex::default(),
            reports: Mutex::default(),
            results: Mutex::default(),
            running: Mutex::default(),
            freed: tokio::sync::Notify::new(),
        })
    }

    /// Control ids that may not be used again.
    pub fn completed(&self) -> MutexGuard<'_, HashSet<String>> {
        self.completed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
