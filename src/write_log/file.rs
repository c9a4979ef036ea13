//! The file. Plain system calls, so that it works on the I/O thread and while a backend exits.

use super::directory::DataDirectory;
use super::frame;
use super::record::{LogHeader, LogRecord};
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Held while appending (shared) and while the file is replaced (exclusive).
const LOCK: &str = "lock";

/// The log of a database: a file of its own for each identity of the cluster, so that what a copy of the cluster brings
/// with it is never mixed with what the copy writes.
#[derive(Debug, Clone)]
pub struct LogFile {
    directory: DataDirectory,
    path: PathBuf,
    header: LogHeader,
}

impl LogFile {
    /// The file of this identity; it is made when it is first written to.
    pub fn new(data_directory: &Path, header: LogHeader) -> LogFile {
        let mut hasher = DefaultHasher::new();
        (&header.system_identifier, header.timeline, &header.data_directory).hash(&mut hasher);
        let directory = DataDirectory::of(data_directory);
        let name = format!("{}-{:016x}.log", header.database_oid, hasher.finish());
        LogFile {
            path: directory.path().join(name),
            directory,
            header,
        }
    }

    /// Whose it is.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size; zero when there is none.
    pub fn size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |known| known.len())
    }

    /// Appends a record; with `durable` it is on the disk when this returns.
    ///
    /// # Errors
    /// Of the file system. A part of the record may be written, which readers notice.
    pub fn append(&self, record: &LogRecord, durable: bool) -> io::Result<()> {
        let _lock = self.lock(false)?;
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        let is_new = file.metadata()?.len() == 0;
        let mut bytes = Vec::new();
        if is_new {
            push(&mut bytes, &LogRecord::Header(self.header.clone()))?;
        }
        push(&mut bytes, record)?;
        file.write_all(&bytes)?;
        if durable {
            file.sync_data()?;
            if is_new {
                File::open(self.directory.path())?.sync_all()?;
            }
        }
        Ok(())
    }

    /// The files of this database, and whose each is. A file without a header that can be read is skipped: nothing was
    /// sent before it was there.
    ///
    /// # Errors
    /// Of the file system.
    pub fn read_all(&self) -> io::Result<Vec<(LogHeader, Vec<u8>)>> {
        let listed = match fs::read_dir(self.directory.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let prefix = format!("{}-", self.header.database_oid);
        let mut files = Vec::new();
        for entry in listed {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.starts_with(&prefix) || !name.ends_with(".log") {
                continue;
            }
            let bytes = fs::read(self.directory.path().join(&name))?;
            if let Some(header) = header_of(&bytes) {
                // The name of a database may have changed since.
                let header = if header.is_same(&self.header) {
                    self.header.clone()
                } else {
                    header
                };
                files.push((header, bytes));
            }
        }
        Ok(files)
    }

    /// Replaces the file by what `keep` leaves of its records. A crash leaves the old file or the new one.
    ///
    /// # Errors
    /// Of the file system; the old file is there still.
    pub fn rewrite(&self, keep: impl Fn(LogRecord) -> Option<LogRecord>) -> io::Result<()> {
        let _lock = self.lock(true)?;
        let old = match fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            old => old?,
        };
        let mut bytes = Vec::new();
        for line in old.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let (texts, _) = frame::records(line);
            match texts.first().map(|text| serde_json::from_str::<LogRecord>(text)) {
                Some(Ok(record)) => {
                    if let Some(record) = keep(record) {
                        push(&mut bytes, &record)?;
                    }
                }
                // What is not understood is kept as it is.
                _ => {
                    bytes.extend_from_slice(line);
                    bytes.push(b'\n');
                }
            }
        }
        let next = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        File::open(self.directory.path())?.sync_all()
    }

    /// Makes the directory where there is none, and takes the lock; it goes with the value.
    fn lock(&self, exclusive: bool) -> io::Result<File> {
        let file = self.directory.open(LOCK)?;
        if exclusive {
            file.lock()?;
        } else {
            file.lock_shared()?;
        }
        Ok(file)
    }
}

fn push(bytes: &mut Vec<u8>, record: &LogRecord) -> io::Result<()> {
    let text = serde_json::to_string(record).map_err(io::Error::other)?;
    frame::push(bytes, &text);
    Ok(())
}

fn header_of(bytes: &[u8]) -> Option<LogHeader> {
    let (texts, _) = frame::records(bytes);
    texts
        .into_iter()
        .find_map(|text| match serde_json::from_str(text) {
            Ok(LogRecord::Header(header)) => Some(header),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::super::record::Ended;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn header(timeline: u32) -> LogHeader {
        LogHeader {
            version: 1,
            system_identifier: "7".into(),
            timeline,
            data_directory: "/data".into(),
            database_oid: 5,
            database: "d".into(),
        }
    }

    fn ended(at: i64) -> LogRecord {
        LogRecord::Ended(Ended {
            at,
            functions: Vec::new(),
        })
    }

    #[test]
    fn a_file_is_private_has_a_header_and_is_rewritten_whole() {
        let place = std::env::temp_dir().join(format!("sage-write-log-{}", std::process::id()));
        fs::create_dir_all(&place).expect("a directory");
        let log = LogFile::new(&place, header(1));
        let other = LogFile::new(&place, header(2));
        assert!(log.read_all().expect("readable").is_empty());
        for at in 0..3 {
            log.append(&ended(at), at == 0).expect("appended");
        }
        other.append(&ended(9), false).expect("appended");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(log.directory.path()), mode(&log.path)), (0o700, 0o600));
        let files = log.read_all().expect("readable");
        assert_eq!(files.len(), 2);
        let own = files.iter().filter(|(found, _)| *found == header(1)).count();
        assert_eq!(own, 1);
        log.rewrite(|record| match record {
            LogRecord::Ended(ended) if ended.at == 1 => None,
            record => Some(record),
        })
        .expect("rewritten");
        log.append(&ended(7), true).expect("appended");
        let bytes = fs::read(&log.path).expect("readable");
        let (texts, damaged) = frame::records(&bytes);
        assert_eq!((texts.len(), damaged), (4, 0));
        fs::remove_dir_all(&place).expect("removed");
    }
}
