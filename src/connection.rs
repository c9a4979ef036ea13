//! Connections of this backend: one client, with one gateway session, for each user mapping of a server.

use crate::error::{Report, raise};
use crate::guc;
use crate::io;
use crate::options::{self, ClientConfig, FileStamp};
use crate::request_log::RequestObserver;
use crate::shmem::{self, MappingShare, ServerCalls, ServerLimiter, ServerSlot};
use intacct::{
    CallLimit, Client, Config, Connections, DialectKind, PageRequest, Query, SessionShare, SharedLimiter,
};
use pgrx::prelude::*;
use pgrx::{pg_guard, pg_sys, spi};
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::sync::Arc;

/// A client and what it was made from.
struct Connection {
    server: pg_sys::Oid,
    mapping: pg_sys::Oid,
    client: Client,
    /// The I/O thread whose runtime holds the client's connections.
    generation: u64,
    /// The files that options name, as they were when they were read.
    files: Vec<FileStamp>,
    /// Server or mapping options may have changed since the client was made.
    stale: bool,
    /// Counter of its calls; none where backends share no memory.
    calls: Option<Arc<ServerCalls>>,
    /// Server option `max_calls_per_day`.
    max_calls: u32,
}

/// What may be shown of an open connection.
pub struct OpenConnection {
    /// The server.
    pub server: pg_sys::Oid,
    /// The user mapping.
    pub mapping: pg_sys::Oid,
    /// Its client, for the session's description.
    pub client: Client,
}

thread_local! {
    /// HTTP connections of all clients, and the I/O thread whose runtime holds them.
    static SHARED: RefCell<(u64, Connections)> = RefCell::default();
    static CONNECTIONS: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
    /// Servers and mappings that this backend has let go of, perhaps because the user's preferences have changed: it does not
    /// take them from others any more.
    static LET_GO: RefCell<Vec<(pg_sys::Oid, pg_sys::Oid)>> = const { RefCell::new(Vec::new()) };
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    /// The library was compared with the schema, and no function has changed since: ALTER EXTENSION in another session does that.
    static COMPARED: Cell<bool> = const { Cell::new(false) };
    /// The older version of the schema that this session has been warned of: once, however often functions change.
    static WARNED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The client for a server as this user sees it: the one that is open, unless its options have changed.
///
/// # Errors
/// No mapping, or options that do not make a client; the report has the reason and the remedy.
pub fn client(server: pg_sys::Oid, user: pg_sys::Oid) -> Result<Client, Report> {
    watch_catalogs();
    let generation = io::generation();
    let mapping = mapping_of(server, user);
    let open = CONNECTIONS.with_borrow(|connections| {
        connections
            .iter()
            .find(|open| open.server == server && open.mapping == mapping && open.generation == generation)
            .map(|open| {
                (
                    open.client.clone(),
                    open.calls.clone(),
                    open.max_calls,
                    open.stale,
                    open.files.clone(),
                )
            })
    });
    // Catalogs and files are read outside of the borrow: they may raise.
    if let Some((client, calls, max_calls, false, files)) = &open
        && COMPARED.get()
        && !files.iter().any(FileStamp::has_changed)
    {
        bound(calls.as_deref(), server, *max_calls)?;
        return Ok(client.clone());
    }
    agree_with_schema()?;
    let ClientConfig {
        mut config,
        files,
        max_calls_per_day: max_calls,
        share_sessions,
    } = options::client_config(server, user)?;
    let shared_slot = shared_slot(server);
    // None also where all places are taken: that is no reason to give up a session.
    let share = (share_sessions && shared_slot.is_some())
        .then(|| MappingShare::of(server, mapping))
        .flatten();
    let (client, calls) = match open {
        Some((client, calls, ..))
            if same(client.config(), &config) && client.config().share.is_some() == share.is_some() =>
        {
            bound(calls.as_deref(), server, max_calls)?;
            (client, calls)
        }
        _ => {
            // Where backends share no memory, the slot is in this backend's own.
            let slot = shmem::slot(server);
            config.observer = Some(Arc::new(RequestObserver::new(
                server,
                options::server_name(server),
                slot,
            )));
            let max = config.max_concurrency;
            config.limiter =
                shared_slot.map(|slot| Arc::new(ServerLimiter::new(slot, max)) as Arc<dyn SharedLimiter>);
            config.share = share.map(|share| Arc::new(share) as Arc<dyn SessionShare>);
            config.asks_formatting = LET_GO.with_borrow(|let_go| let_go.contains(&(server, mapping)));
            let calls = count_calls(&mut config, server, max_calls)?;
            config.connections = Some(shared_connections(generation));
            (Client::new(config)?, calls)
        }
    };
    CONNECTIONS.with_borrow_mut(|connections| {
        connections.retain(|open| {
            (open.server != server || open.mapping != mapping) && open.generation == generation
        });
        connections.push(Connection {
            server,
            mapping,
            client: client.clone(),
            generation,
            files,
            stale: false,
            calls,
            max_calls,
        });
    });
    Ok(client)
}

/// The HTTP connections of all clients of an I/O thread: hundreds of companies do not keep one each.
fn shared_connections(generation: u64) -> Connections {
    SHARED.with_borrow_mut(|(of, shared)| {
        if *of != generation {
            (*of, *shared) = (generation, Connections::default());
        }
        shared.clone()
    })
}

/// Compares the library with what CREATE EXTENSION or ALTER EXTENSION made in this database. An older schema goes on
/// working, and a warning has the command; a newer one may call what this library does not have. Only what contacts the
/// gateway comes here: a dump, DROP and ALTER EXTENSION are not kept.
///
/// # Errors
/// A schema that is newer than the library.
pub fn agree_with_schema() -> Result<(), Report> {
    watch_catalogs();
    COMPARED.set(true);
    compare_with_schema().inspect_err(|_| COMPARED.set(false))
}

fn compare_with_schema() -> Result<(), Report> {
    const QUERY: &str = "
        SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'sage_intacct_fdw'";
    let library = env!("CARGO_PKG_VERSION");
    let schema = Spi::connect(|client| -> spi::Result<Option<String>> {
        let rows = client.select(QUERY, Some(1), &[])?;
        if rows.is_empty() {
            Ok(None)
        } else {
            rows.first().get(1)
        }
    });
    // Without an entry the functions were made by hand: nothing can be compared.
    let Ok(Some(schema)) = schema else { return Ok(()) };
    let detail =
        format!("The extension in this database is of version {schema}, the library of version {library}.");
    match numbers(&schema).cmp(&numbers(library)) {
        Ordering::Equal => {
            WARNED.take();
            Ok(())
        }
        Ordering::Less if WARNED.replace(Some(schema.clone())).as_ref() == Some(&schema) => Ok(()),
        Ordering::Less => {
            Report::new(
                PgSqlErrorCode::ERRCODE_WARNING,
                "sage_intacct_fdw was installed anew and not updated in this database",
            )
            .detail(detail)
            .hint("ALTER EXTENSION sage_intacct_fdw UPDATE brings what is new.")
            .emit(PgLogLevel::WARNING);
            Ok(())
        }
        Ordering::Greater => Err(Report::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the loaded library of sage_intacct_fdw is older than the extension in this database",
        )
        .detail(detail)
        .hint(
            "Reconnect to load the library that is installed now; restart the server if shared_preload_libraries \
             names it, and install the newer package if it is not there.",
        )),
    }
}

/// The numbers of a version, which compare as versions do; what follows them (`-dev`) does not count.
fn numbers(version: &str) -> Vec<u32> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    plain.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// The server's slot in the memory that backends share, if they do.
fn shared_slot(server: pg_sys::Oid) -> Option<ServerSlot> {
    let is_shared = shmem::attach();
    shmem::slot(server).filter(|_| is_shared)
}

/// Has the calls of a client counted, and bounded by the server option `max_calls_per_day` or by the setting.
///
/// # Errors
/// They are to be bounded, and backends share no memory.
pub fn count_calls(
    config: &mut Config,
    server: pg_sys::Oid,
    max_calls: u32,
) -> Result<Option<Arc<ServerCalls>>, Report> {
    let calls = shared_slot(server)
        .map(|slot| Arc::new(ServerCalls::new(slot, server, options::server_name(server))));
    bound(calls.as_deref(), server, max_calls)?;
    config.calls = calls.clone().map(|calls| calls as Arc<dyn CallLimit>);
    Ok(calls)
}

fn bound(calls: Option<&ServerCalls>, server: pg_sys::Oid, max_calls: u32) -> Result<(), Report> {
    let limit = guc::max_calls_per_day(max_calls);
    match calls {
        Some(calls) => calls.bound(limit),
        None if limit.is_none() => {}
        None => {
            let name = options::server_name(server);
            let (why, remedy) = match shmem::attach() {
                false => (
                    "Backends share no memory, so one limit cannot cover all of them.",
                    "Add sage_intacct_fdw to shared_preload_libraries and restart the server",
                ),
                true => (
                    "The shared memory has no slot left for another server.",
                    "Restart the server, which frees the slots of dropped servers",
                ),
            };
            return Err(Report::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot count the daily calls to server \"{name}\""),
            )
            .detail(why)
            .hint(format!("{remedy}, or set max_calls_per_day to 0.")));
        }
    }
    Ok(())
}

/// Connections that are open and that `user` uses, in the order in which they were opened: others are of roles that
/// this session has been, or whose views it has read. Lets go of those whose server or mapping was dropped.
pub fn open(user: pg_sys::Oid) -> Vec<OpenConnection> {
    let open: Vec<_> = CONNECTIONS.with_borrow(|connections| {
        connections
            .iter()
            .map(|open| OpenConnection {
                server: open.server,
                mapping: open.mapping,
                client: open.client.clone(),
            })
            .collect()
    });
    // The catalogs are asked outside of the borrow: they may raise.
    let (live, gone): (Vec<_>, Vec<_>) = open.into_iter().partition(|open| exists(open.mapping));
    CONNECTIONS.with_borrow_mut(|connections| {
        connections.retain(|open| !gone.iter().any(|gone| gone.mapping == open.mapping));
    });
    live.into_iter()
        .filter(|open| open.mapping == mapping_of(open.server, user))
        .collect()
}

/// Whether there is such a mapping; those of a server go with it.
fn exists(mapping: pg_sys::Oid) -> bool {
    let none = pg_sys::Datum::from(0);
    // SAFETY: main thread inside a transaction.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::USERMAPPINGOID as i32;
        pg_sys::SearchSysCacheExists(cache, mapping.into(), none, none, none)
    }
}

/// Lets go of the connections and sessions that `user` uses at a server; returns how many there were. Scans under way keep
/// theirs.
pub fn close(server: pg_sys::Oid, user: pg_sys::Oid) -> usize {
    let mapping = mapping_of(server, user);
    LET_GO.with_borrow_mut(|let_go| {
        if !let_go.contains(&(server, mapping)) {
            let_go.push((server, mapping));
        }
    });
    CONNECTIONS.with_borrow_mut(|connections| {
        let before = connections.len();
        connections.retain(|open| open.server != server || open.mapping != mapping);
        before - connections.len()
    })
}

/// The OID of the mapping that applies: the user's own, else that for PUBLIC, else invalid.
fn mapping_of(server: pg_sys::Oid, user: pg_sys::Oid) -> pg_sys::Oid {
    let lookup = |role: pg_sys::Oid| {
        // SAFETY: main thread inside a transaction; a missing entry gives the invalid OID.
        unsafe {
            pg_sys::GetSysCacheOid(
                pg_sys::SysCacheIdentifier::USERMAPPINGUSERSERVER as i32,
                pg_sys::Anum_pg_user_mapping_oid as pg_sys::AttrNumber,
                role.into(),
                server.into(),
                pg_sys::Datum::from(0),
                pg_sys::Datum::from(0),
            )
        }
    };
    match lookup(user) {
        pg_sys::InvalidOid => lookup(pg_sys::InvalidOid),
        own => own,
    }
}

/// Whether two configurations lead to the same company as the same user under the same rules.
fn same(a: &Config, b: &Config) -> bool {
    a.url == b.url
        && a.company_id == b.company_id
        && a.user_id == b.user_id
        && a.password == b.password
        && a.sender_id == b.sender_id
        && a.sender_password == b.sender_password
        && a.location_id == b.location_id
        && a.client_id == b.client_id
        && a.dtd_version == b.dtd_version
        && a.request_timeout == b.request_timeout
        && a.write_timeout == b.write_timeout
        && a.connect_timeout == b.connect_timeout
        && a.max_retries == b.max_retries
        && a.max_concurrency == b.max_concurrency
        && a.time_zone == b.time_zone
        && a.ca_pem == b.ca_pem
        && a.proxy == b.proxy
}

/// Registers once for changes to servers and mappings.
fn watch_catalogs() {
    if WATCHING.replace(true) {
        return;
    }
    for cache in [
        pg_sys::SysCacheIdentifier::FOREIGNSERVEROID,
        pg_sys::SysCacheIdentifier::USERMAPPINGOID,
    ] {
        // SAFETY: main thread; the callback lives as long as the library, which is never unloaded.
        unsafe {
            pg_sys::CacheRegisterSyscacheCallback(
                cache as i32,
                Some(options_changed),
                pg_sys::Datum::from(0),
            );
        }
    }
    // SAFETY: as above.
    unsafe {
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::PROCOID as i32,
            Some(functions_changed),
            pg_sys::Datum::from(0),
        );
    }
}

/// Any change makes every connection look at its options again before it is next used.
#[pg_guard]
unsafe extern "C-unwind" fn options_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    CONNECTIONS.with(|connections| {
        // Nothing is called while the list is borrowed, so it is free here.
        if let Ok(mut connections) = connections.try_borrow_mut() {
            connections.iter_mut().for_each(|open| open.stale = true);
        }
    });
}

/// A changed function may be one of the extension's: it may have been updated.
#[pg_guard]
unsafe extern "C-unwind" fn functions_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    COMPARED.set(false);
}

/// How many rows a query has. Raises what goes wrong.
pub fn count_rows(client: Client, dialect: DialectKind, query: Query) -> Option<u64> {
    crate::io::run(move || async move {
        let page = PageRequest { size: 1, offset: 0 };
        let page = client.page(&query, dialect, &page, false).await?;
        Ok(page.total_count)
    })
    .unwrap_or_else(|error| raise(error))
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(numbers("0.9.0") < numbers("0.10.0"));
        assert!(numbers("1.0.0") > numbers("0.99.9"));
        assert_eq!(numbers("0.2.0-dev"), numbers("0.2.0"));
    }
}
