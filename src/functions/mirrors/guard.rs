//! Locks of refreshes: a session lock for each mirror, which an error releases. And what keeps them
//! from running the code of others: locks on the tables of a mirror, whose owners are checked.

use crate::error::{Report, raise};
use crate::ffi;
use pgrx::PgTupleDesc;
use pgrx::list::List;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};

/// First half of the locks' keys (`classid` in pg_locks), so that they meet no advisory locks of applications.
/// `sql/mirrors/registry.sql` looks for it too.
const LOCK_CLASS: u32 = 727_021_357;
/// The `objsubid`. Those of users' advisory locks are 1 and 2: none of them can stand in the way of a refresh.
const OUR_KEYS: u16 = 3;
/// The lock method of advisory locks.
const USER_LOCK_METHOD: u8 = 2;

thread_local! {
    static HELD: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
    static WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the procedure that asks may commit: it was called by itself, not in a transaction block and not by a
/// function.
#[pg_extern(volatile)]
fn mirror_may_commit() -> bool {
    // SAFETY: main thread; looks at the calling procedure's SPI connection.
    unsafe { pg_sys::SPI_inside_nonatomic_context() }
}

/// Takes the lock of a mirror of the current user's, without waiting; returns whether it was free. It outlives commits and
/// is released by [`mirror_unlock`], by the error that ends the statement, or with the session.
#[pg_extern(volatile)]
fn mirror_try_lock(mirror: i32) -> bool {
    if !is_own(mirror) {
        raise(
            Report::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("mirror {mirror} is not a mirror of yours"),
            )
            .hint("SELECT target, owner FROM sage_intacct.mirrors shows the mirrors that you may read."),
        );
    }
    watch_aborts();
    if HELD.with_borrow(|held| held.contains(&mirror)) {
        return true;
    }
    // SAFETY: main thread; the tag is complete.
    let result = unsafe { pg_sys::LockAcquire(&tag(mirror), pg_sys::ExclusiveLock as i32, true, true) };
    let taken = result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL;
    if taken {
        HELD.with_borrow_mut(|held| held.push(mirror));
    }
    taken
}

/// Whether the current user is, or has the rights of, a mirror's owner: the view shows no others.
fn is_own(mirror: i32) -> bool {
    const OWN: &str = "SELECT EXISTS (SELECT FROM sage_intacct.mirror WHERE id OPERATOR(pg_catalog.=) $1)";
    // Not `get_one`, which takes a transaction ID: there is none on a standby.
    Spi::connect(|client| {
        let found = client.select(OWN, Some(1), &[mirror.into()])?;
        found.first().get_one::<bool>()
    })
    .is_ok_and(|found| found == Some(true))
}

/// Releases the lock of a mirror, if this session has it.
#[pg_extern(volatile)]
fn mirror_unlock(mirror: i32) {
    let held = HELD.with_borrow_mut(|held| {
        let before = held.len();
        held.retain(|other| *other != mirror);
        held.len() < before
    });
    if held {
        release(mirror);
    }
}

/// Locks a table and its partitions as a write does, until the transaction ends, and returns those that do not belong to
/// the current user. Nothing is locked if the table itself does not. Owners are read behind the lock, not as of the
/// transaction's snapshot.
#[pg_extern(volatile)]
fn mirror_lock_target(target: pg_sys::Oid) -> TableIterator<'static, (name!(relation, pg_sys::Oid),)> {
    const MODE: pg_sys::LOCKMODE = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
    if !is_owned(target) {
        return TableIterator::once((target,));
    }
    // SAFETY: main thread inside a transaction; the table is locked before its partitions are looked for, and what comes
    // back is a list of OIDs in this call's memory context.
    let tables = unsafe {
        pg_sys::LockRelationOid(target, MODE);
        let tables = ffi::find_all_inheritors(target, MODE, std::ptr::null_mut());
        pgrx::memcx::current_context(|context| {
            List::<pg_sys::Oid>::downcast_ptr_in_memcx(tables, context)
                .map(|list| list.iter().copied().collect::<Vec<_>>())
                .unwrap_or_default()
        })
    };
    let others = tables.into_iter().filter(|table| !is_owned(*table));
    TableIterator::new(others.map(|table| (table,)).collect::<Vec<_>>())
}

/// Locks a foreign table as a reader does, until the transaction ends, and reports what of it would run as code of its owner's
/// when the current user reads it: what is computed of each row, and what the planner evaluates before (calls with constant
/// arguments, in constraints and in statistics). None for a table of the user's own, or of a superuser's.
#[pg_extern(volatile)]
fn mirror_lock_source(source: pg_sys::Oid) -> Option<String> {
    // SAFETY: main thread inside a transaction; the entry is valid until it is closed, and read behind the lock.
    unsafe {
        require_select(source);
        pg_sys::LockRelationOid(source, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let entry = pg_sys::RelationIdGetRelation(source);
        if entry.is_null() {
            return None;
        }
        let owner = (*(*entry).rd_rel).relowner;
        let trusted = owner == pg_sys::GetUserId() || pg_sys::superuser_arg(owner);
        let code = if trusted { None } else { code_of(entry) };
        pg_sys::RelationClose(entry);
        code.map(str::to_owned)
    }
}

/// Raises unless the current user may read some column: who may not shall neither lock the table nor plan its reading.
///
/// # Safety
/// Main thread inside a transaction.
unsafe fn require_select(table: pg_sys::Oid) {
    const SELECT: pg_sys::AclMode = pg_sys::ACL_SELECT as pg_sys::AclMode;
    // SAFETY: the caller is on the main thread; a table that is gone has no name, and cannot be read.
    unsafe {
        let user = pg_sys::GetUserId();
        let name = pg_sys::get_rel_name(table);
        if !name.is_null()
            && pg_sys::pg_class_aclcheck(table, user, SELECT) != pg_sys::AclResult::ACLCHECK_OK
            && pg_sys::pg_attribute_aclcheck_all(table, user, SELECT, pg_sys::AclMaskHow::ACLMASK_ANY)
                != pg_sys::AclResult::ACLCHECK_OK
        {
            pg_sys::aclcheck_error(
                pg_sys::AclResult::ACLCHECK_NO_PRIV,
                pg_sys::ObjectType::OBJECT_FOREIGN_TABLE,
                name,
            );
        }
    }
}

/// What of a table has expressions that a reader evaluates.
///
/// # Safety
/// Main thread; the relation is open and locked.
unsafe fn code_of(relation: pg_sys::Relation) -> Option<&'static str> {
    // SAFETY: the caller guarantees a valid relation; the lists are made in the current memory context.
    unsafe {
        let columns = PgTupleDesc::from_pg_copy((*relation).rd_att);
        if columns
            .iter()
            .any(|column| !column.attisdropped && column.attgenerated != 0)
        {
            return Some("generated columns");
        }
        let constraints = (*(*relation).rd_att).constr;
        if !constraints.is_null() && (*constraints).num_check > 0 {
            return Some("check constraints");
        }
        if !pg_sys::RelationGetStatExtList(relation).is_null() {
            return Some("extended statistics");
        }
        let tables = ffi::find_all_inheritors((*relation).rd_id, pg_sys::NoLock as i32, std::ptr::null_mut());
        ((*tables).length > 1).then_some("child tables")
    }
}

/// Whether a relation belongs to the current user, and not merely to a role whose rights the user has.
fn is_owned(relation: pg_sys::Oid) -> bool {
    // SAFETY: main thread inside a transaction; a relation that is gone gives NULL, and the entry is valid until it is
    // closed.
    unsafe {
        let entry = pg_sys::RelationIdGetRelation(relation);
        if entry.is_null() {
            return false;
        }
        let owner = (*(*entry).rd_rel).relowner;
        pg_sys::RelationClose(entry);
        owner == pg_sys::GetUserId()
    }
}

fn release(mirror: i32) {
    // SAFETY: main thread; the lock was taken with the same tag, mode and owner.
    unsafe {
        pg_sys::LockRelease(&tag(mirror), pg_sys::ExclusiveLock as i32, true);
    }
}

fn tag(mirror: i32) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: set when the backend started.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: LOCK_CLASS,
        locktag_field3: mirror as u32,
        locktag_field4: OUR_KEYS,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: USER_LOCK_METHOD,
    }
}

/// Registers once for transactions that end in an error.
fn watch_aborts() {
    if !WATCHING.replace(true) {
        // SAFETY: main thread; the callback lives as long as the library, which is never unloaded.
        unsafe { pg_sys::RegisterXactCallback(Some(transaction_ended), std::ptr::null_mut()) };
    }
}

/// A procedure that holds a lock goes on after each of its commits; an abort is its end.
#[pg_guard]
unsafe extern "C-unwind" fn transaction_ended(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    if event == pg_sys::XactEvent::XACT_EVENT_ABORT {
        for mirror in HELD.take() {
            release(mirror);
        }
    }
}
