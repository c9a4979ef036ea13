//! Ordered lists of row keys, one for each condition and order, so that the next page costs no more than its rows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Fault;
use crate::store::Store;

/// Keys held in all lists together.
const CAPACITY: usize = 24_000_000;

#[derive(Debug)]
struct Entry {
    keys: Arc<Vec<i64>>,
    versions: Vec<(usize, u64)>,
    used: u64,
}

/// Key lists of one company, dropped when an object they depend on changes.
#[derive(Debug, Default)]
pub struct Cache {
    inner: Mutex<(HashMap<String, Entry>, u64)>,
}

impl Cache {
    /// The list stored under `name`, or what `compute` finds. `objects`: what the list depends on.
    ///
    /// # Errors
    /// Those of `compute`.
    pub fn keys(
        &self,
        name: String,
        store: &Store,
        objects: &[usize],
        compute: impl FnOnce() -> Result<Vec<i64>, Fault>,
    ) -> Result<Arc<Vec<i64>>, Fault> {
        let versions: Vec<(usize, u64)> = objects.iter().map(|o| (*o, store.version(*o))).collect();
        {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.1 += 1;
            let tick = inner.1;
            if let Some(entry) = inner.0.get_mut(&name).filter(|e| e.versions == versions) {
                entry.used = tick;
                return Ok(entry.keys.clone());
            }
        }
        let keys = Arc::new(compute()?);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let tick = inner.1;
        inner.0.insert(
            name,
            Entry {
                keys: keys.clone(),
                versions,
                used: tick,
            },
        );
        shrink(&mut inner.0);
        Ok(keys)
    }
}

/// Forgets the lists that were not used for longest until the rest fits.
fn shrink(entries: &mut HashMap<String, Entry>) {
    // A short list weighs as much as the text it is filed under.
    let weight = |e: &Entry| e.keys.len() + 64;
    let mut total: usize = entries.values().map(weight).sum();
    while total > CAPACITY && entries.len() > 1 {
        let Some(oldest) = entries
            .iter()
            .min_by_key(|(_, e)| e.used)
            .map(|(name, _)| name.clone())
        else {
            return;
        };
        if let Some(entry) = entries.remove(&oldest) {
            total -= weight(&entry);
        }
    }
}
