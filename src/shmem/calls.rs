//! The calls of a day, as the client library counts them: in the region, and in a small file beside the write log, which a
//! crash does not forget.

use super::region::{Region, ServerSlot, with};
use crate::write_log::{DataDirectory, is_disk_full};
use intacct::calls::{CallStore, Refused};
use intacct::{CallLimit, Error, ErrorKind};
use pgrx::pg_sys;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

/// Places whose calls this process has counted, and where their files are: what is left of a block goes back when the
/// process exits.
static COUNTED: Mutex<Vec<(ServerSlot, CallFile)>> = Mutex::new(Vec::new());

/// Counts the calls to a server of this database, and bounds them.
pub struct ServerCalls {
    slot: ServerSlot,
    name: String,
    /// `max_calls_per_day`; 0: none.
    limit: AtomicU64,
    file: CallFile,
}

impl ServerCalls {
    /// The calls to the server at `slot`. Main thread only.
    pub fn new(slot: ServerSlot, server: pg_sys::Oid, name: String) -> Self {
        // SAFETY: main thread; constant while the backend lives.
        let database = unsafe { pg_sys::MyDatabaseId };
        let file = CallFile {
            directory: DataDirectory::here(),
            name: format!("{}-{}.calls", database.to_u32(), server.to_u32()),
        };
        let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
        if !counted.iter().any(|(known, _)| *known == slot) {
            counted.push((slot, file.clone()));
        }
        ServerCalls {
            slot,
            name,
            limit: AtomicU64::new(0),
            file,
        }
    }

    /// From now on so many calls are allowed a day; none: as many as there are.
    pub fn bound(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(0), SeqCst);
    }

    /// Calls of today.
    pub fn used(&self) -> u64 {
        with(|region| {
            region.servers[self.slot.0]
                .calls
                .used(today(), || self.file.open())
        })
        .unwrap_or(0)
    }
}

impl CallLimit for ServerCalls {
    fn spend(&self, calls: u64, exempt: bool) -> Result<(), Error> {
        let limit = Some(self.limit.load(SeqCst)).filter(|limit| *limit > 0);
        let spent = with(|region: &Region| {
            let count = &region.servers[self.slot.0].calls;
            count.spend(calls, limit, exempt, today(), || self.file.open())
        });
        match spent {
            Some(Ok(())) => Ok(()),
            Some(Err(Refused::Spent { day, used })) => {
                let limit = limit.unwrap_or(0);
                let message = format!(
                    "daily call limit of server \"{}\" reached: {used} of {limit} calls are used, and this request needs {calls} more",
                    self.name
                );
                Err(Error::new(ErrorKind::CallLimit, message).with_hint(format!(
                    "The count restarts at {}. max_calls_per_day, the option of the server or the setting, allows \
                     {limit} calls a day: read less at once, read from mirrors, or raise it.",
                    midnight_after(day)
                )))
            }
            Some(Err(Refused::Store(error))) => {
                let kind = ErrorKind::NotLogged {
                    disk_full: is_disk_full(&error),
                };
                let path = self.file.directory.path().join(&self.file.name);
                Err(Error::new(
                    kind,
                    format!("could not count calls in \"{}\": {error}", path.display()),
                ))
            }
            None => Err(Error::new(ErrorKind::Internal, "the backend exits")),
        }
    }
}

/// Has the files of what this process has counted hold the very counts.
pub fn give_back() {
    let counted = std::mem::take(&mut *COUNTED.lock().unwrap_or_else(PoisonError::into_inner));
    for (slot, file) in counted {
        // What is not given back counts as used.
        with(|region| {
            let _ = region.servers[slot.0].calls.give_back(|| file.open());
        });
    }
}

/// Days of UTC since 1970.
fn today() -> u64 {
    let seconds = jiff::Timestamp::now().as_second();
    u64::try_from(seconds / 86_400).unwrap_or(0)
}

/// The end of a day, for people.
fn midnight_after(day: u64) -> String {
    let seconds = i64::try_from((day + 1) * 86_400).unwrap_or(i64::MAX);
    let zone = jiff::tz::TimeZone::UTC;
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| "the end of the day".to_owned(),
        |end| end.to_zoned(zone).strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// The file of a server's count: one line of a fixed length, so that it is written at one go.
#[derive(Debug, Clone)]
struct CallFile {
    directory: DataDirectory,
    name: String,
}

/// The open file, locked for all others.
struct Open {
    file: File,
    directory: PathBuf,
}

impl CallFile {
    fn open(&self) -> io::Result<Open> {
        let file = self.directory.open(&self.name)?;
        file.lock()?;
        Ok(Open {
            file,
            directory: self.directory.path().to_owned(),
        })
    }
}

fn line(day: u64, calls: u64) -> String {
    let text = format!("{day:010} {calls:012}");
    format!("{text} {:08x}\n", crc32fast::hash(text.as_bytes()))
}

impl CallStore for Open {
    fn read(&mut self) -> io::Result<Option<(u64, u64)>> {
        let length = self.file.metadata()?.len();
        if length == 0 {
            return Ok(None);
        }
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged, remove it");
        let mut bytes = vec![0; line(0, 0).len()];
        self.file.read_exact_at(&mut bytes, 0).map_err(|_| damaged())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        let mut words = text.split_ascii_whitespace();
        let mut number = || words.next()?.parse::<u64>().ok();
        let (Some(day), Some(calls)) = (number(), number()) else {
            return Err(damaged());
        };
        match line(day, calls) == text {
            true => Ok(Some((day, calls))),
            false => Err(damaged()),
        }
    }

    fn write(&mut self, day: u64, calls: u64, durable: bool) -> io::Result<()> {
        let is_new = self.file.metadata()?.len() == 0;
        self.file.write_all_at(line(day, calls).as_bytes(), 0)?;
        if durable {
            self.file.sync_data()?;
            if is_new {
                File::open(&self.directory)?.sync_all()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_the_last_count_and_damage_is_no_zero() {
        let folder = std::env::temp_dir().join(format!("sage-calls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a directory");
        let file = CallFile {
            directory: DataDirectory::of(&folder),
            name: "5-7.calls".into(),
        };
        assert_eq!(
            file.open().and_then(|mut open| open.read()).expect("readable"),
            None
        );
        for (day, calls, durable) in [
            (20_786, 64, true),
            (20_786, 65, false),
            (20_787, 999_999_999_999, true),
        ] {
            file.open()
                .and_then(|mut open| open.write(day, calls, durable))
                .expect("written");
            let read = file.open().and_then(|mut open| open.read()).expect("readable");
            assert_eq!(read, Some((day, calls)));
        }
        let path = file.directory.path().join(&file.name);
        let whole = std::fs::read(&path).expect("there");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).expect("written");
            assert!(file.open().and_then(|mut open| open.read()).is_err(), "{at}");
            if at > 0 {
                std::fs::write(&path, &whole[..at]).expect("written");
                assert!(file.open().and_then(|mut open| open.read()).is_err(), "{at}");
            }
        }
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_day_ends_at_midnight_of_utc() {
        assert_eq!(midnight_after(0), "1970-01-02 00:00 UTC");
        assert_eq!(midnight_after(20_785), "2026-11-29 00:00 UTC");
    }
}
