//! Progress of scans, visible to other backends.

use super::region::{OBJECT_NAME, Scan, Scans, is_alive, with};
use pgrx::pg_sys;
use std::sync::atomic::Ordering::SeqCst;

/// A scan as others see it.
#[derive(Debug, Clone)]
pub struct ScanReport {
    /// Its backend.
    pub process: u32,
    /// The server.
    pub server: pg_sys::Oid,
    /// The foreign table.
    pub relation: pg_sys::Oid,
    /// Intacct object.
    pub object: String,
    /// Rows received.
    pub rows: u64,
    /// Total number of rows, where the gateway has returned it.
    pub total: Option<u64>,
    /// Pages received.
    pub pages: u64,
    /// When it began to ask.
    pub started: pg_sys::TimestampTz,
}

/// A scan of this backend that others may see; not any more when dropped.
#[derive(Debug)]
pub struct Tracked {
    index: usize,
    owner: u64,
}

impl Tracked {
    /// Shows a scan that begins; none when there are too many. Main thread, after [`attach`](fn@super::attach).
    pub fn start(server: pg_sys::Oid, relation: pg_sys::Oid, object: &str) -> Option<Tracked> {
        // SAFETY: main thread: reads the backend's database and the clock.
        let (database, now) = unsafe { (pg_sys::MyDatabaseId, pg_sys::GetCurrentTimestamp()) };
        let process = u64::from(std::process::id());
        with(|region| {
            let number = region.scans.numbers.fetch_add(1, SeqCst);
            let owner = process << 32 | u64::from(number);
            let index = region.scans.claim(owner)?;
            let scan = &region.scans.scans[index];
            scan.database.store(database.to_u32(), SeqCst);
            scan.server.store(server.to_u32(), SeqCst);
            scan.relation.store(relation.to_u32(), SeqCst);
            scan.started.store(now, SeqCst);
            scan.rows.store(0, SeqCst);
            scan.total.store(0, SeqCst);
            scan.pages.store(0, SeqCst);
            for (part, bytes) in scan.object.iter().zip(name(object)) {
                part.store(u64::from_ne_bytes(bytes), SeqCst);
            }
            scan.written.store(owner, SeqCst);
            Some(Tracked { index, owner })
        })?
    }

    /// Says how far it has come.
    pub fn progress(&self, rows: u64, total: Option<u64>, pages: u64) {
        with(|region| {
            let scan = &region.scans.scans[self.index];
            scan.rows.store(rows, SeqCst);
            scan.total
                .store(total.map_or(0, |total| total.saturating_add(1)), SeqCst);
            scan.pages.store(pages, SeqCst);
        });
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        with(|region| {
            let scan = &region.scans.scans[self.index];
            let _ = scan.owner.compare_exchange(self.owner, 0, SeqCst, SeqCst);
        });
    }
}

impl Scans {
    /// A free slot, that of a backend which is no more included.
    fn claim(&self, owner: u64) -> Option<usize> {
        let free = |scan: &Scan| scan.owner.compare_exchange(0, owner, SeqCst, SeqCst).is_ok();
        self.scans.iter().position(free).or_else(|| {
            self.release_if(|process| !is_alive(process));
            self.scans.iter().position(free)
        })
    }

    /// Takes back what a process left.
    pub fn release(&self, process: u32) {
        self.release_if(|other| other == process);
    }

    fn release_if(&self, gone: impl Fn(u32) -> bool) {
        for scan in &self.scans {
            let owner = scan.owner.load(SeqCst);
            if owner != 0 && gone((owner >> 32) as u32) {
                let _ = scan.owner.compare_exchange(owner, 0, SeqCst, SeqCst);
            }
        }
    }
}

impl Scan {
    /// What it shows, if it belongs to this database and does not change owners meanwhile.
    fn report(&self, database: u32) -> Option<ScanReport> {
        let owner = self.owner.load(SeqCst);
        if owner == 0 || self.written.load(SeqCst) != owner {
            return None;
        }
        let object: Vec<u8> = self
            .object
            .iter()
            .flat_map(|part| part.load(SeqCst).to_ne_bytes())
            .take_while(|byte| *byte != 0)
            .collect();
        let report = ScanReport {
            process: (owner >> 32) as u32,
            server: self.server.load(SeqCst).into(),
            relation: self.relation.load(SeqCst).into(),
            object: String::from_utf8_lossy(&object).into_owned(),
            rows: self.rows.load(SeqCst),
            total: self.total.load(SeqCst).checked_sub(1),
            pages: self.pages.load(SeqCst),
            started: self.started.load(SeqCst),
        };
        let same = self.database.load(SeqCst) == database && self.owner.load(SeqCst) == owner;
        (same && is_alive(report.process)).then_some(report)
    }
}

/// The scans of this database. Main thread, after [`attach`](fn@super::attach).
pub fn running() -> Vec<ScanReport> {
    // SAFETY: main thread; constant while the backend lives.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    with(|region| {
        let scans = region.scans.scans.iter();
        scans.filter_map(|scan| scan.report(database)).collect()
    })
    .unwrap_or_default()
}

/// The beginning of a name, in eights, filled up with zeros.
fn name(text: &str) -> [[u8; 8]; OBJECT_NAME / 8] {
    let mut end = text.len().min(OBJECT_NAME);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut parts = [[0; 8]; OBJECT_NAME / 8];
    for (byte, place) in text.as_bytes()[..end].iter().zip(parts.as_flattened_mut()) {
        *place = *byte;
    }
    parts
}
