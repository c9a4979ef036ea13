//! Options as the catalogs hold them.

use super::error::OptionError;
use super::files::{self, FileStamp};
use super::roles::{owned, role_name};
use super::server::ServerOptions;
use super::spec::OptionLevel;
use super::table::{ColumnOptions, TableOptions};
use super::user::UserOptions;
use super::values::OptionValues;
use pgrx::{PgList, pg_sys};

/// Options of a server, defaults filled in.
///
/// # Errors
/// A missing company, or a value that the validator would have refused.
pub fn server(server_oid: pg_sys::Oid) -> Result<ServerOptions, OptionError> {
    // SAFETY: main thread inside a transaction; GetForeignServer raises when there is no such server.
    let values = unsafe {
        values(
            OptionLevel::Server,
            (*pg_sys::GetForeignServer(server_oid)).options,
        )
    };
    ServerOptions::read(&values)
}

/// Options of the mapping that this user has for this server, else of the mapping for PUBLIC; files are read, and
/// noted in `stamps`.
///
/// # Errors
/// No mapping, an option that is missing, or a file that neither the owner nor the user may read.
pub fn user(
    server_oid: pg_sys::Oid,
    user_oid: pg_sys::Oid,
    stamps: &mut Vec<FileStamp>,
) -> Result<UserOptions, OptionError> {
    let Some((mapped, values)) = mapping(server_oid, user_oid) else {
        return Err(OptionError::no_user_mapping(
            &role_name(user_oid),
            &server_name(server_oid),
        ));
    };
    let shows_paths = files::may_see_paths(server_oid, mapped);
    UserOptions::read(&values, shows_paths, &mut |option, path| {
        stamps.push(FileStamp::of(path));
        files::read_for_mapping(option, path, server_oid, user_oid, shows_paths)
    })
}

/// The user's own mapping, or that for PUBLIC: the role that it is for, and its options. Unlike `GetUserMapping`, having
/// none is not an ERROR.
fn mapping(server_oid: pg_sys::Oid, user_oid: pg_sys::Oid) -> Option<(pg_sys::Oid, OptionValues)> {
    let lookup = |role: pg_sys::Oid| {
        // SAFETY: main thread inside a transaction; the tuple is released after its one attribute was read.
        unsafe {
            let cache = pg_sys::SysCacheIdentifier::USERMAPPINGUSERSERVER as i32;
            let tuple = pg_sys::SearchSysCache2(cache, role.into(), server_oid.into());
            if tuple.is_null() {
                return None;
            }
            let mut is_null = false;
            let attribute = pg_sys::Anum_pg_user_mapping_umoptions as pg_sys::AttrNumber;
            let options = pg_sys::SysCacheGetAttr(cache, tuple, attribute, &mut is_null);
            let list = if is_null {
                std::ptr::null_mut()
            } else {
                pg_sys::untransformRelOptions(options)
            };
            pg_sys::ReleaseSysCache(tuple);
            Some((role, values(OptionLevel::UserMapping, list)))
        }
    };
    lookup(user_oid).or_else(|| lookup(pg_sys::InvalidOid))
}

/// Options of a foreign table.
///
/// # Errors
/// A value that the validator would have refused.
pub fn table(relid: pg_sys::Oid) -> Result<TableOptions, OptionError> {
    // SAFETY: main thread inside a transaction; both calls raise or return NULL when there is no such table.
    let (values, name) = unsafe {
        (
            values(OptionLevel::Table, (*pg_sys::GetForeignTable(relid)).options),
            owned(pg_sys::get_rel_name(relid)),
        )
    };
    TableOptions::read(&values, &name)
}

/// Options of a column of a foreign table.
///
/// # Errors
/// A value that the validator would have refused.
pub fn column(relid: pg_sys::Oid, attnum: i16) -> Result<ColumnOptions, OptionError> {
    // SAFETY: as above; a missing column is an ERROR of PostgreSQL.
    let (values, name) = unsafe {
        (
            values(
                OptionLevel::Column,
                pg_sys::GetForeignColumnOptions(relid, attnum),
            ),
            owned(pg_sys::get_attname(relid, attnum, false)),
        )
    };
    ColumnOptions::read(&values, &name)
}

/// Whether an option of a server is given; else its default holds.
pub fn is_given(server_oid: pg_sys::Oid, option: &str) -> bool {
    // SAFETY: main thread inside a transaction; GetForeignServer raises when there is no such server.
    let values = unsafe {
        values(
            OptionLevel::Server,
            (*pg_sys::GetForeignServer(server_oid)).options,
        )
    };
    values.get(option).is_some()
}

/// Name of a server.
pub fn server_name(server_oid: pg_sys::Oid) -> String {
    // SAFETY: main thread inside a transaction; raises when there is no such server.
    unsafe { owned((*pg_sys::GetForeignServer(server_oid)).servername) }
}

/// A list of DefElem as names and values.
///
/// # Safety
/// `list` must be NIL or a list of DefElem with string arguments.
pub unsafe fn values(level: OptionLevel, list: *mut pg_sys::List) -> OptionValues {
    // SAFETY: the caller guarantees a valid list; defGetString raises for anything that has no text form.
    let pairs = unsafe {
        PgList::<pg_sys::DefElem>::from_pg(list)
            .iter_ptr()
            .map(|element| (owned((*element).defname), owned(pg_sys::defGetString(element))))
            .collect()
    };
    OptionValues::new(level, pairs)
}
