//! Foreign tables as they were read from the catalogs, kept until an invalidation of the catalogs.

use crate::catalog::ForeignTable;
use crate::options::OptionError;
use pgrx::{pg_guard, pg_sys};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// Tables kept at most; with more, all are read again.
const MOST: usize = 4096;

thread_local! {
    static KNOWN: RefCell<HashMap<pg_sys::Oid, Rc<ForeignTable>>> = RefCell::default();
    /// Counts changes, so that what is read while one arrives is not kept.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static WATCHING: Cell<bool> = const { Cell::new(false) };
}

impl ForeignTable {
    /// A foreign table as the catalogs have it. The caller holds a lock on it, as planner and executor do.
    ///
    /// # Errors
    /// An option that cannot be understood; the validator refuses those, so only a hand-edited catalog has them.
    pub fn load(relid: pg_sys::Oid) -> Result<Rc<ForeignTable>, OptionError> {
        get(relid, || ForeignTable::read(relid))
    }
}

/// The table, as it was read before or as `read` reads it.
///
/// # Errors
/// What `read` fails with.
fn get<E>(relid: pg_sys::Oid, read: impl FnOnce() -> Result<ForeignTable, E>) -> Result<Rc<ForeignTable>, E> {
    watch_catalogs();
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&relid).cloned()) {
        return Ok(known);
    }
    let changes = CHANGES.get();
    let table = Rc::new(read()?);
    if changes == CHANGES.get() {
        KNOWN.with_borrow_mut(|known| {
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(relid, table.clone());
        });
    }
    Ok(table)
}

/// Registers once for changes: of a table and its columns by the table's own entry, of servers and of tables whose
/// options were changed in the catalog by the cache's.
fn watch_catalogs() {
    if WATCHING.replace(true) {
        return;
    }
    let nothing = pg_sys::Datum::from(0);
    // SAFETY: main thread; the callbacks live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(table_changed), nothing);
        for cache in [
            pg_sys::SysCacheIdentifier::FOREIGNSERVEROID,
            pg_sys::SysCacheIdentifier::FOREIGNTABLEREL,
        ] {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(options_changed), nothing);
        }
    }
}

/// Nothing is called while the map is borrowed, so it is free here.
fn forget(relid: pg_sys::Oid) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    KNOWN.with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            match relid {
                pg_sys::InvalidOid => known.clear(),
                relid => drop(known.remove(&relid)),
            }
        }
    });
}

#[pg_guard]
unsafe extern "C-unwind" fn table_changed(_argument: pg_sys::Datum, relid: pg_sys::Oid) {
    forget(relid);
}

#[pg_guard]
unsafe extern "C-unwind" fn options_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    forget(pg_sys::InvalidOid);
}
