//! Counters that outlive the server's run: a small file in the data directory.
//!
//! It is written when a backend that has counted something ends, and whenever the totals are shown, so that what was shown
//! once never becomes less: not by a restart, and not by a crash. Read when the region is made. What is torn, or was
//! written by another cluster (this one may be a copy), is ignored.

use super::counters::Snapshot;
use super::region::{Mapped, OPEN, Region, key, with};
use crate::write_log::DataDirectory;
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const FILE: &str = "counters";
const NEXT: &str = "counters.new";
const LOCK: &str = "counters.lock";
/// Of the file's layout.
const VERSION: u32 = 1;

/// Whether something has been counted that this process has not written yet.
static COUNTED: AtomicBool = AtomicBool::new(false);

/// What has been counted of a server since `since`, in the whole life of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// OID of the database.
    pub database: u32,
    /// OID of the server.
    pub server: u32,
    /// When counting began, in PostgreSQL's microseconds.
    pub since: i64,
    /// The counters.
    pub counters: Snapshot,
}

/// What is in the file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    version: u32,
    system_identifier: u64,
    directory: PathBuf,
    totals: Vec<Total>,
}

/// Where the file is, and whose it must be.
struct Home {
    system_identifier: u64,
    directory: DataDirectory,
}

impl Home {
    /// That of this cluster. Main thread, or the postmaster when it has read the control file.
    fn here() -> Home {
        Home {
            // SAFETY: set when the postmaster starts, and not changed since.
            system_identifier: unsafe { pg_sys::GetSystemIdentifier() },
            directory: DataDirectory::here(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(FILE)
    }

    /// The totals in the file; none where there is no file, or none of ours that is whole.
    fn read(&self) -> Vec<Total> {
        let bytes = fs::read(self.path()).unwrap_or_default();
        let kept = decode(&bytes).filter(|kept| {
            kept.system_identifier == self.system_identifier && kept.directory == self.directory.path()
        });
        kept.map_or_else(Vec::new, |kept| kept.totals)
    }

    /// Replaces the file, unless it holds the same already. A crash leaves the old one or the new one.
    fn write(&self, totals: Vec<Total>, durable: bool) -> io::Result<()> {
        let bytes = encode(&Kept {
            version: VERSION,
            system_identifier: self.system_identifier,
            directory: self.directory.path().to_owned(),
            totals,
        })?;
        if fs::read(self.path()).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        let mut file = self.directory.open(NEXT)?;
        file.set_len(0)?;
        file.write_all(&bytes)?;
        if durable {
            file.sync_data()?;
        }
        fs::rename(self.directory.path().join(NEXT), self.path())
    }

    /// Takes the lock; it goes with the value.
    fn lock(&self) -> io::Result<File> {
        let file = self.directory.open(LOCK)?;
        file.lock()?;
        Ok(file)
    }
}

/// A line of JSON behind its checksum.
fn encode(kept: &Kept) -> io::Result<Vec<u8>> {
    let text = serde_json::to_string(kept).map_err(io::Error::other)?;
    Ok(format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes())).into_bytes())
}

fn decode(bytes: &[u8]) -> Option<Kept> {
    let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (checksum, text) = line.split_once(' ')?;
    if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(text.as_bytes()) {
        return None;
    }
    let kept: Kept = serde_json::from_str(text).ok()?;
    (kept.version == VERSION).then_some(kept)
}

/// Says that something was counted. Callable from any thread.
pub fn counted() {
    COUNTED.store(true, SeqCst);
}

/// Fills a region that has just been made, and that others will share.
pub fn load(region: &Region) {
    for total in Home::here().read() {
        if let Some(slot) = region.claim(key(total.database, total.server), total.since) {
            region.servers[slot].counters.add(&total.counters);
        }
    }
}

/// Writes what this backend has counted, when it ends. What fails is lost: there is no session left to report it to.
pub fn save_at_exit(mapped: Mapped) {
    if COUNTED.swap(false, SeqCst) {
        let _ = save(mapped, &[], false);
    }
}

/// The databases and servers of which there are totals; `is_shared`: what [`attach`](fn@super::attach) returned. Main thread.
pub fn known(is_shared: bool) -> Vec<(u32, u32)> {
    let own = with(totals).unwrap_or_default();
    let kept = if is_shared {
        Vec::new()
    } else {
        Home::here().read()
    };
    let all = own.into_iter().chain(kept);
    all.map(|total| (total.database, total.server)).collect()
}

/// What was counted in all, without what is `gone`; written to the file before it is shown. Where backends share no
/// memory, this backend's counters and those of backends that have ended. Main thread, after [`attach`](fn@super::attach).
///
/// # Errors
/// Of the file system, with the totals that are known all the same.
pub fn all(gone: &[(u32, u32)]) -> (Vec<Total>, io::Result<()>) {
    let open = *OPEN.read().unwrap_or_else(PoisonError::into_inner);
    let Some(mapped) = open else {
        return (Vec::new(), Ok(()));
    };
    COUNTED.store(false, SeqCst);
    match save(mapped, gone, true) {
        Ok(totals) => (totals, Ok(())),
        Err(error) => {
            COUNTED.store(true, SeqCst);
            (totals(mapped.region), Err(error))
        }
    }
}

/// Brings file and region together; what is in the file then.
fn save(mapped: Mapped, gone: &[(u32, u32)], durable: bool) -> io::Result<Vec<Total>> {
    let region = mapped.region;
    let home = Home::here();
    let _lock = home.lock()?;
    for server in &region.servers {
        if gone
            .iter()
            .any(|(database, oid)| server.key.load(SeqCst) == key(*database, *oid))
        {
            server.since.store(0, SeqCst);
            server.counters.subtract(&server.counters.snapshot());
        }
    }
    // Read under the lock: a later reader finds no less in the file than an earlier one has shown.
    let own = totals(region);
    if mapped.is_shared {
        home.write(own.clone(), durable)?;
        return Ok(own);
    }
    // The region is this backend's own: what it holds has not been added yet.
    let mut all = home.read();
    all.retain(|total| !gone.contains(&(total.database, total.server)));
    for total in &own {
        let same = |known: &&mut Total| (known.database, known.server) == (total.database, total.server);
        match all.iter_mut().find(same) {
            Some(known) => known.counters.add(&total.counters),
            None => all.push(total.clone()),
        }
    }
    home.write(all.clone(), durable)?;
    for total in &own {
        let server = region.claim(key(total.database, total.server), total.since);
        if let Some(slot) = server {
            region.servers[slot].counters.subtract(&total.counters);
        }
    }
    Ok(all)
}

/// What is in the region.
fn totals(region: &Region) -> Vec<Total> {
    let servers = region.servers.iter();
    let known = servers.filter_map(|server| {
        let (key, since) = (server.key.load(SeqCst), server.since.load(SeqCst));
        (key != 0 && since != 0).then(|| Total {
            database: (key >> 32) as u32,
            server: key as u32,
            since,
            counters: server.counters.snapshot(),
        })
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn total(server: u32, requests: u64) -> Total {
        Total {
            database: 5,
            server,
            since: 7,
            counters: Snapshot {
                requests,
                errors: vec![(3, 1)],
                gateway: std::time::Duration::from_micros(1500),
                ..Snapshot::default()
            },
        }
    }

    fn home(name: &str, system_identifier: u64) -> Home {
        let path = std::env::temp_dir().join(format!("sage-counters-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Home {
            system_identifier,
            directory: DataDirectory::of(&path),
        }
    }

    fn remove(path: &Path) {
        fs::remove_dir_all(path).expect("removed");
    }

    #[test]
    fn what_is_written_is_read_by_the_same_cluster_alone() {
        use std::os::unix::fs::PermissionsExt;
        let here = home("same", 1);
        assert!(here.read().is_empty());
        for totals in [vec![], vec![total(1, 10), total(2, u64::MAX)], vec![total(1, 11)]] {
            let _lock = here.lock().expect("a lock");
            here.write(totals.clone(), true).expect("written");
            assert_eq!(here.read(), totals);
        }
        let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(here.directory.path().to_owned()), 0o700);
        assert_eq!(mode(here.path()), 0o600);
        let other = home("same", 2);
        assert!(other.read().is_empty());
        remove(here.directory.path().parent().expect("a directory"));
    }

    #[test]
    fn what_is_torn_or_changed_is_ignored() {
        let kept = Kept {
            version: VERSION,
            system_identifier: 1,
            directory: "/data".into(),
            totals: vec![total(1, 10)],
        };
        let bytes = encode(&kept).expect("JSON");
        assert_eq!(decode(&bytes), Some(kept));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "{cut}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            assert_eq!(decode(&flipped), None, "{at}");
        }
        let newer = Kept {
            version: VERSION + 1,
            system_identifier: 1,
            directory: "/data".into(),
            totals: Vec::new(),
        };
        assert_eq!(decode(&encode(&newer).expect("JSON")), None);
    }
}
