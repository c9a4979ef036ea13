//! What was found before: ordered lists of row keys, one for each condition and order, so that the next page costs no
//! more than its rows; and the rows of pages as they are written, so that the simulator outruns its readers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::Fault;
use crate::http::gzip::Deflated;
use crate::store::Store;

/// Keys held in all lists together.
const KEYS: usize = 24_000_000;
/// Bytes held in all pages together.
const BYTES: usize = 128 << 20;

/// Rows as they are written.
#[derive(Debug)]
pub struct Rendered {
    /// The text.
    pub body: Vec<u8>,
    /// Rows in it.
    pub count: usize,
    deflated: OnceLock<Deflated>,
}

impl Rendered {
    /// Rows that were just written.
    pub fn new(body: Vec<u8>, count: usize) -> Self {
        Self {
            body,
            count,
            deflated: OnceLock::new(),
        }
    }

    /// The text in compressed form, made when it is wanted for the first time.
    pub fn deflated(&self) -> &Deflated {
        self.deflated.get_or_init(|| Deflated::new(&self.body))
    }
}

/// What the rows of a page depend on, beside the data.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PageName {
    /// The statement that reads them.
    pub sql: String,
    /// How they are written.
    pub form: String,
    /// Which.
    pub keys: Vec<i64>,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    weight: usize,
    versions: Vec<(usize, u64)>,
    used: u64,
}

/// Values by name; those that were not used for longest are forgotten when there are too many.
#[derive(Debug)]
struct Shelf<K, V> {
    entries: HashMap<K, Entry<V>>,
    clock: u64,
    total: usize,
    capacity: usize,
    /// What is being computed: requests for the same wait for it.
    computed: HashMap<K, Arc<Mutex<()>>>,
}

impl<K: Eq + Hash + Clone, V> Shelf<K, V> {
    fn new(capacity: usize) -> Mutex<Self> {
        Mutex::new(Self {
            entries: HashMap::new(),
            clock: 0,
            total: 0,
            capacity,
            computed: HashMap::new(),
        })
    }

    fn find(&mut self, name: &K, versions: &[(usize, u64)]) -> Option<Arc<V>> {
        self.clock += 1;
        let entry = self.entries.get_mut(name).filter(|e| e.versions == versions)?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    fn add(&mut self, name: K, value: Arc<V>, weight: usize, versions: Vec<(usize, u64)>) {
        let entry = Entry {
            value,
            weight,
            versions,
            used: self.clock,
        };
        self.total += weight;
        if let Some(old) = self.entries.insert(name, entry) {
            self.total -= old.weight;
        }
        if self.total > self.capacity {
            self.forget();
        }
    }

    /// Forgets what was not used for longest, an eighth of the room at once: to look for the oldest entry at each
    /// addition would take longer the more entries there are.
    fn forget(&mut self) {
        let newest = self.clock;
        let mut ages: Vec<(u64, K)> = (self.entries.iter())
            .filter(|(_, entry)| entry.used < newest)
            .map(|(name, entry)| (entry.used, name.clone()))
            .collect();
        ages.sort_unstable_by_key(|(used, _)| *used);
        for (_, name) in ages {
            if self.total <= self.capacity / 8 * 7 {
                return;
            }
            if let Some(entry) = self.entries.remove(&name) {
                self.total -= entry.weight;
            }
        }
    }
}

/// What was found in one company, dropped when an object that it depends on changes.
#[derive(Debug)]
pub struct Cache {
    lists: Mutex<Shelf<String, Vec<i64>>>,
    pages: Mutex<Shelf<Arc<PageName>, Rendered>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            lists: Shelf::new(KEYS),
            pages: Shelf::new(BYTES),
        }
    }
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
        // A short list weighs as much as the text it is filed under.
        lookup(&self.lists, name, store, objects, |keys| keys.len() + 64, compute)
    }

    /// The rows of a page, or what `compute` writes. `objects`: what they depend on.
    ///
    /// # Errors
    /// Those of `compute`.
    pub fn page(
        &self,
        name: PageName,
        store: &Store,
        objects: &[usize],
        compute: impl FnOnce(&PageName) -> Result<Rendered, Fault>,
    ) -> Result<Arc<Rendered>, Fault> {
        let others = name.keys.len() * size_of::<i64>() + name.sql.len() + name.form.len();
        // The compressed form is about a seventh of the text.
        let weight = |page: &Rendered| page.body.len() * 8 / 7 + others;
        let name = Arc::new(name);
        lookup(&self.pages, name.clone(), store, objects, weight, || {
            compute(&name)
        })
    }
}

fn lookup<K: Eq + Hash + Clone, V>(
    shelf: &Mutex<Shelf<K, V>>,
    name: K,
    store: &Store,
    objects: &[usize],
    weight: impl FnOnce(&V) -> usize,
    compute: impl FnOnce() -> Result<V, Fault>,
) -> Result<Arc<V>, Fault> {
    let lock = || shelf.lock().unwrap_or_else(PoisonError::into_inner);
    let versions: Vec<(usize, u64)> = objects.iter().map(|o| (*o, store.version(*o))).collect();
    if let Some(found) = lock().find(&name, &versions) {
        return Ok(found);
    }
    // Pages that are asked for at once need the same list: it is made by one of them.
    let turn = lock().computed.entry(name.clone()).or_default().clone();
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = lock().find(&name, &versions) {
        return Ok(found);
    }
    let value = compute();
    let mut shelf = lock();
    shelf.computed.remove(&name);
    let value = Arc::new(value?);
    shelf.add(name, value.clone(), weight(&value), versions);
    Ok(value)
}
