//! One SQLite database per company: a file in a temporary directory, several connections that read, one that writes.
//!
//! Base tables are called `t_OBJECT` and hold decimals as scaled integers, dates and instants (UTC) as ISO text.
//! For people and tests there is a view `OBJECT` with decimals as text.

pub mod changes;
pub mod functions;
pub mod values;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::{Connection, OpenFlags};

use crate::catalog::{Catalog, DataType, Object};
use crate::data::Generator;

/// Quotes an SQL identifier.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A company's data.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    _dir: tempfile::TempDir,
    idle: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
    /// Readers share it, a change holds it alone: what a reader sees cannot move under it.
    access: RwLock<()>,
    versions: Vec<std::sync::atomic::AtomicU64>,
    /// The largest row key ever given, by object: keys of deleted rows are not used again.
    last_keys: Vec<std::sync::atomic::AtomicI64>,
}

impl Store {
    /// Creates the tables and fills them.
    ///
    /// # Errors
    /// What SQLite or the file system says.
    pub fn create(catalog: &Catalog, generator: &Generator) -> rusqlite::Result<Self> {
        remove_orphans();
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let path = dir.path().join("company.db");
        let mut connection = Connection::open(&path)?;
        connection.execute_batch(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;
             PRAGMA cache_size = -65536; PRAGMA locking_mode = NORMAL; PRAGMA temp_store = MEMORY;",
        )?;
        functions::register(&connection)?;
        crate::data::load::load(&mut connection, catalog, generator)?;
        connection.execute_batch("PRAGMA analysis_limit = 300; ANALYZE")?;
        prepare(&connection)?;
        Ok(Self {
            path,
            _dir: dir,
            idle: Mutex::default(),
            writer: Mutex::new(connection),
            access: RwLock::default(),
            versions: catalog.objects.iter().map(|_| Default::default()).collect(),
            last_keys: catalog.objects.iter().map(|_| Default::default()).collect(),
        })
    }

    /// A connection for reading; no change happens while it is held.
    ///
    /// # Errors
    /// When a new connection cannot be opened.
    pub fn read(&self) -> rusqlite::Result<Reader<'_>> {
        let access = self.access.read().unwrap_or_else(PoisonError::into_inner);
        let idle = lock(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags)?;
                functions::register(&connection)?;
                prepare(&connection)?;
                connection
            }
        };
        Ok(Reader {
            store: self,
            connection: Some(connection),
            _access: access,
        })
    }

    /// The connection for changes; waits until no reader is left.
    pub fn write(&self) -> Writer<'_> {
        let access = self.access.write().unwrap_or_else(PoisonError::into_inner);
        Writer {
            store: self,
            connection: lock(&self.writer),
            _access: access,
        }
    }

    /// Grows with every change of an object.
    pub fn version(&self, object: usize) -> u64 {
        self.versions[object].load(std::sync::atomic::Ordering::Acquire)
    }
}

/// Names of the directories: this, the process id, a dash, random letters.
const PREFIX: &str = "intacct-simulator-";

/// Removes the directories of simulators that were killed: a million rows are half a gigabyte.
fn remove_orphans() {
    let running = |pid: &str| PathBuf::from("/proc").join(pid).exists();
    for entry in std::fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'))
            .map(|(pid, _)| pid);
        let numeric = |pid: &&str| !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
        if let Some(pid) = pid.filter(numeric)
            && PathBuf::from("/proc/self").exists()
            && !running(pid)
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(256);
    connection.execute_batch(
        "PRAGMA mmap_size = 17179869184; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;
         PRAGMA case_sensitive_like = ON;",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A borrowed read connection; goes back to the pool when dropped.
#[derive(Debug)]
pub struct Reader<'a> {
    store: &'a Store,
    connection: Option<Connection>,
    _access: RwLockReadGuard<'a, ()>,
}

impl std::ops::Deref for Reader<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("present until dropped")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            lock(&self.store.idle).push(connection);
        }
    }
}

/// The write connection, held alone.
#[derive(Debug)]
pub struct Writer<'a> {
    store: &'a Store,
    connection: MutexGuard<'a, Connection>,
    _access: RwLockWriteGuard<'a, ()>,
}

impl Writer<'_> {
    /// A row key that no row of the object has or had; `largest` is that of the rows there are.
    pub fn new_key(&self, object: usize, largest: i64) -> i64 {
        use std::sync::atomic::Ordering::AcqRel;
        let before = self.store.last_keys[object].fetch_max(largest, AcqRel);
        let key = before.max(largest) + 1;
        self.store.last_keys[object].fetch_max(key, AcqRel);
        key
    }

    /// Marks an object as changed, so that cached results are dropped.
    pub fn touch(&self, object: usize) {
        self.store.versions[object].fetch_add(1, std::sync::atomic::Ordering::AcqRel);
    }
}

impl std::ops::Deref for Writer<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// Column definitions of an object's base table.
pub fn create_table(object: &Object) -> String {
    let mut columns = Vec::new();
    if object.field(&object.row_id).is_none() {
        columns.push(format!("{} INTEGER PRIMARY KEY", quote(&object.row_id)));
    }
    for field in &object.fields {
        let sql_type = match field.data_type {
            t if t.is_number() || t == DataType::Boolean => "INTEGER",
            _ => "TEXT",
        };
        let key = if field.name == object.row_id {
            " PRIMARY KEY"
        } else {
            ""
        };
        columns.push(format!("{} {sql_type}{key}", quote(&field.name)));
    }
    format!("CREATE TABLE {} ({})", quote(&object.table()), columns.join(", "))
}

/// The view that shows decimals as text.
pub fn create_view(object: &Object) -> String {
    let columns: Vec<String> = object
        .fields
        .iter()
        .map(|f| {
            let name = quote(&f.name);
            if f.data_type.is_decimal() {
                format!("dec({name}, {}) AS {name}", f.scale)
            } else {
                name
            }
        })
        .collect();
    format!(
        "CREATE VIEW {} AS SELECT {} FROM {}",
        quote(&object.name),
        columns.join(", "),
        quote(&object.table())
    )
}
