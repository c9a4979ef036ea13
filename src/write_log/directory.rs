//! The extension's directory in the data directory, and files in it.

use pgrx::pg_sys;
use std::ffi::CStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Its name.
const NAME: &str = "sage_intacct";

/// The directory; made when a file in it is first opened.
#[derive(Debug, Clone)]
pub struct DataDirectory(PathBuf);

impl DataDirectory {
    /// That of this cluster. Reads what was set when the postmaster started.
    pub fn here() -> DataDirectory {
        DataDirectory::of(&data_directory())
    }

    /// That of a data directory.
    pub fn of(data_directory: &Path) -> DataDirectory {
        DataDirectory(data_directory.join(NAME))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Opens a file in it for reading and writing; makes the file, and the directory, where there is none.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(&self, name: &str) -> io::Result<File> {
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(self.0.join(name))
        };
        match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match DirBuilder::new().mode(0o700).create(&self.0) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                if let Some(parent) = self.0.parent() {
                    File::open(parent)?.sync_all()?;
                }
                open()
            }
            opened => opened,
        }
    }
}

/// Whether a failure is for want of space.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The data directory, without symbolic links.
pub(super) fn data_directory() -> PathBuf {
    // SAFETY: set when the postmaster started, and not changed since.
    let path = unsafe { CStr::from_ptr(pg_sys::DataDir) }
        .to_string_lossy()
        .into_owned();
    std::fs::canonicalize(&path).unwrap_or_else(|_| path.into())
}
