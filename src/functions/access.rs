//! Servers by name, and the right to use them.

use crate::connection;
use crate::error::{Report, raise};
use crate::options::role_name;
use intacct::Client;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::{CStr, CString};

/// The server of this name, which must be one of this extension and which the current user may use.
///
/// Raises what is wrong with it.
pub fn usable_server(name: &str) -> pg_sys::Oid {
    let oid = server(name);
    if !may_use(oid) {
        // SAFETY: main thread inside a transaction.
        let role = role_name(unsafe { pg_sys::GetUserId() });
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied for foreign server {name}"),
            )
            .hint(format!(
                "Its owner can GRANT USAGE ON FOREIGN SERVER {name} TO {role}."
            )),
        );
    }
    oid
}

/// Raises where the session must not read foreign data: `restrict_nonsystem_relation_kind`, which pg_dump sets so that
/// nothing that it meets in a database can make it ask another machine. Foreign tables obey by themselves.
pub fn foreign_data_allowed() {
    // By name: the setting came with minor releases. SAFETY: main thread; missing_ok.
    let value = unsafe {
        let name = c"restrict_nonsystem_relation_kind";
        let value = pg_sys::GetConfigOptionByName(name.as_ptr(), std::ptr::null_mut(), true);
        match value.is_null() {
            true => return,
            false => CStr::from_ptr(value).to_string_lossy().into_owned(),
        }
    };
    let mut kinds = value.split(',').map(|kind| kind.trim().trim_matches('"'));
    if kinds.any(|kind| kind.eq_ignore_ascii_case("foreign-table")) {
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "access to non-system foreign data is restricted",
            )
            .detail("The setting restrict_nonsystem_relation_kind holds foreign-table.")
            .hint("pg_dump sets it; in other sessions RESET restrict_nonsystem_relation_kind allows it."),
        );
    }
}

/// The client of the current user for a server that the user may use.
///
/// Raises what is wrong with the server, the mapping or their options.
pub fn callers_client(server: &str) -> Client {
    foreign_data_allowed();
    let server = usable_server(server);
    // SAFETY: main thread inside a transaction.
    let user = unsafe { pg_sys::GetUserId() };
    connection::client(server, user).unwrap_or_else(|report| raise(report))
}

/// Whether the current user has USAGE on a server.
pub fn may_use(server: pg_sys::Oid) -> bool {
    // SAFETY: main thread inside a transaction.
    let result = unsafe {
        let role = pg_sys::GetUserId();
        let mode = pg_sys::ACL_USAGE as pg_sys::AclMode;
        #[cfg(feature = "pg15")]
        {
            pg_sys::pg_foreign_server_aclcheck(server, role, mode)
        }
        #[cfg(not(feature = "pg15"))]
        {
            pg_sys::object_aclcheck(pg_sys::ForeignServerRelationId, server, role, mode)
        }
    };
    result == pg_sys::AclResult::ACLCHECK_OK
}

/// Whether the current user may see the statistics of others: a member of `pg_read_all_stats`, hence of `pg_monitor`.
pub fn reads_all_stats() -> bool {
    let role = pg_sys::Oid::from(pg_sys::ROLE_PG_READ_ALL_STATS);
    // SAFETY: main thread inside a transaction.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), role) }
}

/// Whether there is such a server.
pub fn exists(server: pg_sys::Oid) -> bool {
    const MISSING_OK: pg_sys::bits16 = pg_sys::FSV_MISSING_OK as pg_sys::bits16;
    // SAFETY: main thread inside a transaction; a server that is gone gives NULL.
    unsafe { !pg_sys::GetForeignServerExtended(server, MISSING_OK).is_null() }
}

/// The server of this name, which must be one of this extension.
///
/// Raises what is wrong with it.
pub fn server(name: &str) -> pg_sys::Oid {
    // A name with a NUL in it cannot come from SQL.
    let wanted = CString::new(name).unwrap_or_default();
    // SAFETY: main thread inside a transaction; missing_ok.
    let oid = unsafe { pg_sys::get_foreign_server_oid(wanted.as_ptr(), true) };
    if oid == pg_sys::InvalidOid {
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("server \"{name}\" does not exist"),
            )
            .hint("SELECT srvname FROM pg_foreign_server shows the servers there are."),
        );
    }
    if !is_ours(oid) {
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("server \"{name}\" does not use the foreign-data wrapper sage_intacct_fdw"),
            )
            .hint(
                "Create one with CREATE SERVER ... FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id \
                   '...').",
            ),
        );
    }
    oid
}

/// Whether a server's wrapper has this extension's handler, whatever the wrapper is called.
pub fn is_ours(server: pg_sys::Oid) -> bool {
    // SAFETY: main thread inside a transaction; each call raises or returns NULL for what does not exist.
    unsafe {
        let wrapper = pg_sys::GetForeignDataWrapper((*pg_sys::GetForeignServer(server)).fdwid);
        let handler = (*wrapper).fdwhandler;
        if handler == pg_sys::InvalidOid {
            return false;
        }
        let name = pg_sys::get_func_name(handler);
        !name.is_null() && CStr::from_ptr(name) == c"sage_intacct_fdw_handler"
    }
}
