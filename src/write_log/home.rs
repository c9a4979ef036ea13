//! Home of a server: the cluster and database that it was first written through. A copy of it, be it a base
//! backup, a promoted standby, a clone or a restored dump, would post to the same company: it must be adopted first.

use super::owner::as_owner;
use super::record::LogHeader;
use super::{archive, header};
use crate::error::{Report, raise, raise_internal};
use crate::options::{role_name, server_name};
use pgrx::prelude::*;
use pgrx::{pg_guard, pg_sys, spi};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::c_void;

thread_local! {
    /// Servers that are known to be at home in this cluster. Forgotten when a transaction aborts: it may have been the
    /// one that wrote it down.
    static AT_HOME: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
    static WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Raises when the server is at home elsewhere; makes it at home here when it never wrote before.
pub fn check(server: pg_sys::Oid) {
    archive::when_large();
    if AT_HOME.with_borrow(|known| known.contains(&server)) {
        return;
    }
    watch_aborts();
    let (here, name) = (header(), server_name(server));
    match last(&name, server, &here) {
        None => settle_down(&name, server, &here, false),
        Some(home) => {
            let differences = differences(&home, &here);
            if !differences.is_empty() {
                raise(
                    Report::new(
                        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                        format!("server \"{name}\" is written through another cluster or database, of which this is a copy"),
                    )
                    .detail(format!("{} Nothing was sent.", differences.join(" ")))
                    .hint(format!(
                        "If this one takes over for good, the owner of the server calls sage_intacct.adopt_server('{name}'). \
                         Else drop its user mappings, or point it to a sandbox company."
                    )),
                );
            }
        }
    }
    AT_HOME.with_borrow_mut(|known| known.insert(server));
}

/// Makes the server at home in this cluster and database; `false` when it was already.
pub fn adopt(server: pg_sys::Oid) -> bool {
    let (here, name) = (header(), server_name(server));
    let is_new = last(&name, server, &here).is_none_or(|home| !differences(&home, &here).is_empty());
    if is_new {
        settle_down(&name, server, &here, true);
    }
    is_new
}

/// What differs between two homes, a sentence each.
fn differences(home: &LogHeader, here: &LogHeader) -> Vec<String> {
    let mut all = Vec::new();
    let mut differ = |what: &str, there: String, now: String| {
        if there != now {
            all.push(format!("It was written through {what} {there}, this is {now}."));
        }
    };
    let quoted = |path: &str| format!("\"{path}\"");
    differ(
        "the cluster with system identifier",
        home.system_identifier.clone(),
        here.system_identifier.clone(),
    );
    differ("timeline", home.timeline.to_string(), here.timeline.to_string());
    differ(
        "data directory",
        quoted(&home.data_directory),
        quoted(&here.data_directory),
    );
    differ(
        "the database with OID",
        home.database_oid.to_string(),
        here.database_oid.to_string(),
    );
    all
}

/// The last home of a server: by its name, which a dump keeps, or by its number, which a renaming keeps.
fn last(name: &str, server: pg_sys::Oid, here: &LogHeader) -> Option<LogHeader> {
    const QUERY: &str = "
        SELECT h.system_identifier, h.timeline, h.data_directory, h.database_oid
          FROM sage_intacct.server_home h
         WHERE h.server OPERATOR(pg_catalog.=) $1::pg_catalog.name
            OR h.server_oid OPERATOR(pg_catalog.=) $2 AND h.system_identifier OPERATOR(pg_catalog.=) $3
               AND h.database_oid OPERATOR(pg_catalog.=) $4
         ORDER BY h.since DESC LIMIT 1";
    let database = pg_sys::Oid::from(here.database_oid);
    let found = as_owner(|| {
        Spi::connect(|client| -> spi::Result<Option<LogHeader>> {
            let arguments = [
                name.into(),
                server.into(),
                here.system_identifier.as_str().into(),
                database.into(),
            ];
            let rows = client.select(QUERY, Some(1), &arguments)?;
            if rows.is_empty() {
                return Ok(None);
            }
            let row = rows.first();
            Ok(Some(LogHeader {
                system_identifier: row.get::<String>(1)?.unwrap_or_default(),
                timeline: row
                    .get::<i64>(2)?
                    .and_then(|number| number.try_into().ok())
                    .unwrap_or_default(),
                data_directory: row.get::<String>(3)?.unwrap_or_default(),
                database_oid: row.get::<pg_sys::Oid>(4)?.map_or(0, pg_sys::Oid::to_u32),
                ..here.clone()
            }))
        })
    });
    found.unwrap_or_else(|error| raise_internal(&format!("sage_intacct.server_home cannot be read: {error}")))
}

fn settle_down(name: &str, server: pg_sys::Oid, here: &LogHeader, adopted: bool) {
    const INSERT: &str = "
        INSERT INTO sage_intacct.server_home
               (server, server_oid, system_identifier, timeline, data_directory, database_oid, role, adopted)
        VALUES ($1::pg_catalog.name, $2, $3, $4, $5, $6, $7::pg_catalog.name, $8)";
    // SAFETY: main thread inside a transaction.
    let role = role_name(unsafe { pg_sys::GetUserId() });
    // A crash must not forget where a server is at home. SAFETY: main thread inside a transaction; sets a flag of it.
    unsafe { pg_sys::ForceSyncCommit() };
    let done = as_owner(|| {
        Spi::connect_mut(|client| -> spi::Result<()> {
            let arguments = [
                name.into(),
                server.into(),
                here.system_identifier.as_str().into(),
                i64::from(here.timeline).into(),
                here.data_directory.as_str().into(),
                pg_sys::Oid::from(here.database_oid).into(),
                role.as_str().into(),
                adopted.into(),
            ];
            client.update(INSERT, None, &arguments)?;
            Ok(())
        })
    });
    done.unwrap_or_else(|error| {
        raise_internal(&format!("sage_intacct.server_home cannot be written: {error}"))
    });
}

fn watch_aborts() {
    if !WATCHING.replace(true) {
        // SAFETY: main thread; the callbacks live as long as the library, which is never unloaded.
        unsafe {
            pg_sys::RegisterXactCallback(Some(transaction_ended), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(subtransaction_ended), std::ptr::null_mut());
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    if event == pg_sys::XactEvent::XACT_EVENT_ABORT {
        AT_HOME.take();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn subtransaction_ended(
    event: pg_sys::SubXactEvent::Type,
    _own: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        AT_HOME.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_named() {
        let here = LogHeader {
            version: 1,
            system_identifier: "7".into(),
            timeline: 1,
            data_directory: "/a".into(),
            database_oid: 5,
            database: "d".into(),
        };
        assert!(differences(&here, &here).is_empty());
        let renamed = LogHeader {
            database: "e".into(),
            ..here.clone()
        };
        assert!(differences(&renamed, &here).is_empty());
        let promoted = LogHeader {
            timeline: 2,
            ..here.clone()
        };
        assert_eq!(
            differences(&here, &promoted),
            ["It was written through timeline 1, this is 2."]
        );
        let copied = LogHeader {
            data_directory: "/b".into(),
            ..here.clone()
        };
        assert_eq!(
            differences(&here, &copied),
            ["It was written through data directory \"/a\", this is \"/b\"."]
        );
        let restored = LogHeader {
            system_identifier: "8".into(),
            database_oid: 6,
            ..here.clone()
        };
        assert_eq!(differences(&here, &restored).len(), 2);
    }
}
