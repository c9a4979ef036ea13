//! Files of the database server that options name, and the right to have them read.

use super::error::OptionError;
use super::roles::role_name;
use pgrx::pg_sys;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// No bundle of certificates is larger.
const MAX_CERTIFICATE_BYTES: u64 = 4 << 20;
/// No password is longer, with what people write below it.
const MAX_PASSWORD_BYTES: u64 = 64 << 10;

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

/// Whether those who see the messages of this session may see where a mapping's files are: what `pg_user_mappings`
/// shows them of it. `mapped` is the role that the mapping is for, invalid for PUBLIC.
///
/// Through a view or a function, a mapping is used by others than those who run the statement, and the session's user
/// gets the message whatever role is current.
pub fn may_see_paths(server_oid: pg_sys::Oid, mapped: pg_sys::Oid) -> bool {
    let trusted = match mapped {
        pg_sys::InvalidOid => owner(server_oid),
        mapped => mapped,
    };
    // SAFETY: main thread inside a transaction. A superuser has the privileges of every role.
    unsafe {
        [pg_sys::GetUserId(), pg_sys::GetSessionUserId()]
            .into_iter()
            .all(|role| pg_sys::has_privs_of_role(role, trusted))
    }
}

/// Whether a role may read files of the server: a superuser, or a member of `pg_read_server_files`.
pub fn may_read(role: pg_sys::Oid) -> bool {
    // SAFETY: main thread inside a transaction.
    unsafe { pg_sys::has_privs_of_role(role, pg_sys::Oid::from(pg_sys::ROLE_PG_READ_SERVER_FILES)) }
}

/// Reads the file of an option of a user mapping.
///
/// The role that set the option was checked then. At use, a role responsible for the mapping must still have the
/// right: its user, or the owner of the server, who can set any mapping of it.
///
/// # Errors
/// Neither has the right, or the file cannot be read.
pub fn read_for_mapping(
    option: &str,
    path: &str,
    server_oid: pg_sys::Oid,
    user_oid: pg_sys::Oid,
    shows_path: bool,
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
    read(path, MAX_PASSWORD_BYTES).map_err(|why| OptionError::file(option, shows_path.then_some(path), &why))
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
    // The options of a server are visible to every role.
    read(path, MAX_CERTIFICATE_BYTES).map_err(|why| OptionError::file(option, Some(path), &why))
}

/// Checks that the owner of a server may still lead its connections through a proxy.
///
/// # Errors
/// The owner no longer has the right.
pub fn may_use_proxy(server_oid: pg_sys::Oid) -> Result<(), OptionError> {
    let owner = owner(server_oid);
    if may_read(owner) {
        return Ok(());
    }
    let why = format!(
        "The server's owner \"{}\" may not read files of the database server, and only such roles may set a proxy.",
        role_name(owner)
    );
    Err(OptionError::may_not_use("proxy", why))
}

fn owner(server_oid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: main thread inside a transaction; raises when there is no such server.
    unsafe { (*pg_sys::GetForeignServer(server_oid)).owner }
}

/// Reads a file whole; the error has the reason it cannot be read. Never waits: what is not a regular file is not opened, and
/// one that takes its place in between is opened without waiting for a peer. Links are followed: containers show
/// secrets that way.
fn read(path: &str, most: u64) -> Result<Vec<u8>, String> {
    let refused = |error: std::io::Error| error.to_string();
    let irregular = || "it is not a regular file".to_owned();
    if !std::fs::metadata(path).map_err(refused)?.is_file() {
        return Err(irregular());
    }
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(refused)?;
    if !file.metadata().map_err(refused)?.is_file() {
        return Err(irregular());
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > most {
        return Err(format!("it is larger than {} kB", most >> 10));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_regular_files_of_moderate_size_are_read() {
        let folder = std::env::temp_dir().join(format!("sage_intacct_fdw-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        std::fs::write(path("plain"), "secret\n").expect("a file");
        std::os::unix::fs::symlink(path("plain"), path("link")).expect("a link");
        std::fs::write(path("large"), vec![b'x'; 11]).expect("a file");
        let fifo = std::ffi::CString::new(path("fifo")).expect("a path");
        // SAFETY: a path that ends with NUL.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        std::os::unix::fs::symlink(path("fifo"), path("link_to_fifo")).expect("a link");
        let _socket = UnixListener::bind(path("socket")).expect("a socket");

        assert_eq!(read(&path("plain"), 10), Ok(b"secret\n".to_vec()));
        assert_eq!(read(&path("link"), 10), Ok(b"secret\n".to_vec()));
        for name in ["fifo", "link_to_fifo", "socket", "."] {
            assert_eq!(
                read(&path(name), 10),
                Err("it is not a regular file".to_owned()),
                "{name}"
            );
        }
        assert_eq!(read("/dev/zero", 10), Err("it is not a regular file".to_owned()));
        assert!(read(&path("large"), 10).is_err_and(|why| why.starts_with("it is larger than")));
        assert!(read(&path("missing"), 10).is_err_and(|why| why.contains("No such file")));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
