//! Sessions that backends share. What lies in the region is sealed: only who has the credentials of the user mapping,
//! under the same options, can open it. No function shows it.

use super::region::{Region, SEALED, Sessions, SharedSession, clock, is_alive, with};
use intacct::{Sealed, SessionShare};
use pgrx::pg_sys;
use std::sync::atomic::Ordering::SeqCst;
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
            let bytes = slot.bytes.iter().flat_map(|part| part.load(SeqCst).to_ne_bytes());
            let length = slot.length.load(SeqCst) as usize;
            let bytes = bytes.take(length).collect();
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
            for (part, bytes) in slot.bytes.iter().zip(sealed.chunks(8)) {
                let mut whole = [0; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                part.store(u64::from_ne_bytes(whole), SeqCst);
            }
            slot.length.store(sealed.len() as u32, SeqCst);
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
}

/// The end of a life that begins now, on the shared clock.
fn end(life: Duration) -> u64 {
    clock().saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX))
}
