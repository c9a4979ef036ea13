//! Sessions that backends share. What lies in the region is sealed: only who has the credentials of the user mapping,
//! under the same options, can open it. No function shows it.

use super::region::{Region, SEALED, SEALED_BESIDE, Sessions, SharedSession, clock, is_alive, with};
use intacct::{Sealed, SessionShare};
use pgrx::pg_sys;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// Where the sessions of a user mapping are kept.
pub struct MappingShare {
    key: u64,
    /// Database, server and mapping.
    place: String,
    index: usize,
}

impl MappingShare {
    /// The slot of a mapping of this database; none when all are taken. Main thread, after [`attach`](fn@super::attach).
    pub fn of(server: pg_sys::Oid, mapping: pg_sys::Oid) -> Option<MappingShare> {
        // SAFETY: main thread; constant while the backend lives.
        let database = unsafe { pg_sys::MyDatabaseId };
        if mapping == pg_sys::InvalidOid {
            return None;
        }
        let key = u64::from(database.to_u32()) << 32 | u64::from(mapping.to_u32());
        let index = with(|region| region.sessions.place(key, clock()))??;
        Some(MappingShare {
            key,
            place: format!("{} {} {}", database.to_u32(), server.to_u32(), mapping.to_u32()),
            index,
        })
    }

    /// `None`: the backend exits, or the slot has become another mapping's.
    fn with<T>(&self, work: impl FnOnce(&SharedSession) -> T) -> Option<T> {
        with(|region: &Region| {
            let slot = &region.sessions.0[self.index];
            (slot.key.load(SeqCst) == self.key).then(|| work(slot))
        })?
    }
}

impl Sessions {
    /// The slot of a key: its own, a free one, or one whose session is over.
    fn place(&self, key: u64, now: u64) -> Option<usize> {
        let own = || self.0.iter().position(|slot| slot.key.load(SeqCst) == key);
        if let Some(index) = own() {
            return Some(index);
        }
        let took = self.0.iter().position(|slot| {
            let other = slot.key.load(SeqCst);
            let is_free = other == 0 || (slot.until.load(SeqCst) <= now && slot.claim.load(SeqCst) == 0);
            is_free && slot.key.compare_exchange(other, key, SeqCst, SeqCst).is_ok()
        });
        if let Some(index) = took {
            self.0[index].until.store(0, SeqCst);
        }
        // Two that come together may take a slot each; all go by the first.
        own()
    }

    /// Takes back what a process has claimed.
    pub fn release(&self, process: u32) {
        for slot in &self.0 {
            let _ = slot.claim.compare_exchange(process, 0, SeqCst, SeqCst);
        }
    }
}

impl SessionShare for MappingShare {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn load(&self) -> Option<Sealed> {
        self.with(|slot| {
            let number = slot.number.load(SeqCst);
            let life = slot
                .until
                .load(SeqCst)
                .checked_sub(clock())
                .filter(|life| *life > 0)?;
            let bytes = read(&slot.bytes, &slot.length);
            // What was replaced meanwhile could not be opened anyway.
            (slot.number.load(SeqCst) == number).then_some(Sealed {
                number,
                bytes,
                life: Duration::from_millis(life),
            })
        })?
    }

    fn claim(&self) -> bool {
        let own = std::process::id();
        let claimed = self.with(|slot| {
            let holder = slot.claim.load(SeqCst);
            (holder == 0 || (holder != own && !is_alive(holder)))
                && slot.claim.compare_exchange(holder, own, SeqCst, SeqCst).is_ok()
        });
        // Without a slot each signs in for itself. The slot may have become another's in this very moment.
        if claimed == Some(true) && self.with(|_| ()).is_none() {
            self.release();
            return true;
        }
        claimed.unwrap_or(true)
    }

    fn release(&self) {
        with(|region| {
            let claim = &region.sessions.0[self.index].claim;
            let _ = claim.compare_exchange(std::process::id(), 0, SeqCst, SeqCst);
        });
    }

    fn leave(&self, sealed: &[u8], life: Duration) -> Option<u64> {
        if sealed.len() > SEALED {
            return None;
        }
        self.with(|slot| {
            if slot.claim.load(SeqCst) != std::process::id() {
                return None;
            }
            slot.until.store(0, SeqCst);
            let number = slot.number.fetch_add(1, SeqCst) + 1;
            write(&slot.bytes, &slot.length, sealed);
            slot.until.store(end(life), SeqCst);
            Some(number)
        })?
    }

    fn used(&self, number: u64, life: Duration) {
        self.with(|slot| {
            let until = slot.until.load(SeqCst);
            if slot.number.load(SeqCst) == number && until != 0 && end(life) > until {
                let _ = slot.until.compare_exchange(until, end(life), SeqCst, SeqCst);
            }
        });
    }

    fn forget(&self, number: u64) {
        self.with(|slot| {
            let mut until = slot.until.load(SeqCst);
            while slot.number.load(SeqCst) == number && until != 0 {
                match slot.until.compare_exchange(until, 0, SeqCst, SeqCst) {
                    Ok(_) => break,
                    // It was used a moment ago, or another was left.
                    Err(other) => until = other,
                }
            }
        });
    }

    fn leave_beside(&self, number: u64, sealed: &[u8], life: Duration) {
        if sealed.len() > SEALED_BESIDE {
            return;
        }
        self.with(|slot| {
            let (beside, own) = (&slot.beside, std::process::id());
            let writer = beside.writer.load(SeqCst);
            // Another process that writes at this moment writes the same.
            let is_free = writer == 0 || (writer != own && !is_alive(writer));
            if !is_free
                || beside
                    .writer
                    .compare_exchange(writer, own, SeqCst, SeqCst)
                    .is_err()
            {
                return;
            }
            if slot.number.load(SeqCst) == number {
                beside.number.store(0, SeqCst);
                write(&beside.bytes, &beside.length, sealed);
                beside.until.store(end(life), SeqCst);
                beside.number.store(number, SeqCst);
            }
            beside.writer.store(0, SeqCst);
        });
    }

    fn beside(&self, number: u64) -> Option<Vec<u8>> {
        self.with(|slot| {
            let beside = &slot.beside;
            if beside.number.load(SeqCst) != number || beside.until.load(SeqCst) <= clock() {
                return None;
            }
            let bytes = read(&beside.bytes, &beside.length);
            // What was replaced meanwhile could not be opened anyway.
            (beside.number.load(SeqCst) == number).then_some(bytes)
        })?
    }
}

/// Sealed bytes out of the region.
fn read(parts: &[AtomicU64], length: &AtomicU32) -> Vec<u8> {
    let bytes = parts.iter().flat_map(|part| part.load(SeqCst).to_ne_bytes());
    bytes.take(length.load(SeqCst) as usize).collect()
}

/// Sealed bytes into the region, where they have room.
fn write(parts: &[AtomicU64], length: &AtomicU32, sealed: &[u8]) {
    for (part, bytes) in parts.iter().zip(sealed.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        part.store(u64::from_ne_bytes(whole), SeqCst);
    }
    length.store(sealed.len() as u32, SeqCst);
}

/// The end of a life that begins now, on the shared clock.
fn end(life: Duration) -> u64 {
    clock().saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX))
}
