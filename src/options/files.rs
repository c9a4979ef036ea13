//! Files of the database server that options name, and who may have them read.

use super::catalog::role_name;
use super::error::OptionError;
use pgrx::pg_sys;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// No password or certificate bundle is larger; a device or a log file is.
const MAX_BYTES: u64 = 4 << 20;

/// A file as it was when an option's value was read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStamp {
    path: String,
    state: Option<(u64, u64, u64, i64, i64)>,
}

impl FileStamp {
    /// The file as it is now. Take it before reading: what is written in between is then noticed later.
    pub fn of(path: &str) -> FileStamp {
        FileStamp {
            path: path.to_owned(),
            state: std::fs::metadata(path).ok().map(|file| {
                (
                    file.dev(),
                    file.ino(),
                    file.size(),
                    file.mtime(),
                    file.mtime_nsec(),
                )
            }),
        }
    }

    /// Whether there is another file now, or the same with other contents. One that is gone has not changed: it may
    /// have been there just to be read.
    pub fn has_changed(&self) -> bool {
        let now = FileStamp::of(&self.path);
        now.state.is_some() && now != *self
    }
}

/// Whether a role may read files of the server: a superuser, or a member of `pg_read_server_files`.
pub fn may_read(role: pg_sys::Oid) -> bool {
    // SAFETY: main thread inside a transaction.
    unsafe { pg_sys::has_privs_of_role(role, pg_sys::Oid::from(pg_sys::ROLE_PG_READ_SERVER_FILES)) }
}

/// Reads the file of an option of a user mapping.
///
/// The role that set the option was checked then. At use, somebody who answers for the mapping must still have the
/// right: its user, or the owner of the server, who can set any mapping of it.
///
/// # Errors
/// Neither has the right, or the file cannot be read.
pub fn read_for_mapping(
    option: &str,
    path: &str,
    server_oid: pg_sys::Oid,
    user_oid: pg_sys::Oid,
) -> Result<Vec<u8>, OptionError> {
    let owner = owner(server_oid);
    if !may_read(owner) && !may_read(user_oid) {
        let why = format!(
            "Neither the server's owner \"{}\" nor user \"{}\" may read files of the database server.",
            role_name(owner),
            role_name(user_oid)
        );
        return Err(OptionError::may_not_read(option, why));
    }
    read(option, path)
}

/// Reads the file of an option of a server, on behalf of its owner.
///
/// # Errors
/// The owner no longer has the right, or the file cannot be read.
pub fn read_for_server(option: &str, path: &str, server_oid: pg_sys::Oid) -> Result<Vec<u8>, OptionError> {
    let owner = owner(server_oid);
    if !may_read(owner) {
        let why = format!(
            "The server's owner \"{}\" may not read files of the database server.",
            role_name(owner)
        );
        return Err(OptionError::may_not_read(option, why));
    }
    read(option, path)
}

fn owner(server_oid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: main thread inside a transaction; raises when there is no such server.
    unsafe { (*pg_sys::GetForeignServer(server_oid)).owner }
}

fn read(option: &str, path: &str) -> Result<Vec<u8>, OptionError> {
    let refused = |error: std::io::Error| OptionError::file(option, path, &error.to_string());
    let file = std::fs::File::open(path).map_err(refused)?;
    if !file.metadata().map_err(refused)?.is_file() {
        return Err(OptionError::file(option, path, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(OptionError::file(option, path, "it is too large"));
    }
    Ok(bytes)
}
