//! Columns of a scan: the select list, the columns that the statement uses, the order of rows.

use crate::catalog::{ForeignTable, ValueClass};
use intacct::OrderKey;
use pgrx::{PgList, is_a, pg_sys};

/// The order in which an unsorted scan reads, so that its pages are stable.
pub fn row_order(table: &ForeignTable) -> Vec<OrderKey> {
    table
        .options
        .row_key
        .iter()
        .map(|key| OrderKey {
            field: key.clone(),
            descending: false,
        })
        .collect()
}

/// Whether the next page can be asked for by the last row's keys: numbers and times come back as they were sent,
/// text might be compared in undocumented ways.
pub fn keys_are_comparable(table: &ForeignTable, keys: &[OrderKey]) -> bool {
    keys.iter().all(|key| {
        table.is_row_key(&key.field)
            || table
                .column_of_field(&key.field)
                .and_then(|column| column.class)
                .is_some_and(|class| {
                    !matches!(class, ValueClass::Text | ValueClass::Boolean) && table.compares_as_read(class)
                })
    })
}

/// The fields asked for, each once.
#[derive(Default)]
pub struct Select {
    pub fields: Vec<String>,
}

impl Select {
    /// The place of a field, which is added when it is new.
    pub fn index(&mut self, field: &str) -> u16 {
        let known = self
            .fields
            .iter()
            .position(|known| known.eq_ignore_ascii_case(field));
        known.unwrap_or_else(|| {
            self.fields.push(field.to_owned());
            self.fields.len() - 1
        }) as u16
    }
}

/// Attribute numbers that the statement reads. They are looked for many times, and calls of PostgreSQL have a price.
pub struct UsedColumns {
    numbers: Vec<i16>,
    /// Attribute 0 is the whole row.
    all: bool,
}

impl UsedColumns {
    /// The numbers of a set as PostgreSQL keeps them, beginning below zero.
    unsafe fn of(set: *mut pg_sys::Bitmapset) -> UsedColumns {
        let mut numbers = Vec::new();
        let mut member = -1;
        loop {
            // SAFETY: the caller guarantees a valid bitmap set.
            member = unsafe { pg_sys::bms_next_member(set, member) };
            if member < 0 {
                break;
            }
            numbers.push((member + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16);
        }
        let all = numbers.contains(&0);
        UsedColumns { numbers, all }
    }

    pub fn add(&mut self, attnum: i16) {
        if let Err(place) = self.numbers.binary_search(&attnum) {
            self.numbers.insert(place, attnum);
        }
    }

    pub fn contains(&self, attnum: i16) -> bool {
        self.all || self.numbers.binary_search(&attnum).is_ok()
    }
}

/// The columns that the target list above the scan or a local condition names.
pub unsafe fn used_columns(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    local: *mut pg_sys::List,
) -> UsedColumns {
    let mut numbers = std::ptr::null_mut();
    // SAFETY: nodes of the current planning.
    unsafe {
        pg_sys::pull_varattnos((*(*rel).reltarget).exprs.cast(), (*rel).relid, &mut numbers);
        for clause in PgList::<pg_sys::Node>::from_pg(local).iter_ptr() {
            debug_assert!(!is_a(clause, pg_sys::NodeTag::T_RestrictInfo));
            pg_sys::pull_varattnos(clause, (*rel).relid, &mut numbers);
        }
        if !needs_whole_row(root, rel) {
            numbers = pg_sys::bms_del_member(numbers, -pg_sys::FirstLowInvalidHeapAttributeNumber);
        }
        UsedColumns::of(numbers)
    }
}

/// Whether a scan brings the rows that the statement updates: PostgreSQL computes their generated columns again.
///
/// # Safety
/// `rel` must be a base relation of the current planning.
pub unsafe fn brings_updated_rows(root: *mut pg_sys::PlannerInfo, rel: *mut pg_sys::RelOptInfo) -> bool {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let parse = (*root).parse;
        (*parse).commandType == pg_sys::CmdType::CMD_UPDATE
            && (*parse).resultRelation as pg_sys::Index == (*rel).relid
    }
}

/// Whether a scan must bring whole rows of the table: PostgreSQL asks for them in every UPDATE, to fill up the new row
/// from the old one. Only the columns assigned are sent, so the others are not used, unless a trigger or the
/// statement itself does.
///
/// # Safety
/// `rel` must be a base relation of the current planning.
pub unsafe fn needs_whole_row(root: *mut pg_sys::PlannerInfo, rel: *mut pg_sys::RelOptInfo) -> bool {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let parse = (*root).parse;
        let relid = (*rel).relid;
        if (*parse).commandType != pg_sys::CmdType::CMD_UPDATE
            || (*parse).resultRelation as pg_sys::Index != relid
            || (*rel).reloptkind != pg_sys::RelOptKind::RELOPT_BASEREL
        {
            return true;
        }
        let entry = *(*root).simple_rte_array.add(relid as usize);
        if (*entry).inh
            || pg_sys::get_rel_relispartition((*entry).relid)
            || has_update_triggers((*entry).relid)
            || !(*parse).withCheckOptions.is_null()
        {
            return true;
        }
        #[cfg(feature = "pg18")]
        if pg_sys::contain_vars_returning_old_or_new((*parse).returningList.cast()) {
            return true;
        }
        let mut numbers = std::ptr::null_mut();
        for entry in PgList::<pg_sys::TargetEntry>::from_pg((*root).processed_tlist).iter_ptr() {
            if !(*entry).resjunk {
                pg_sys::pull_varattnos((*entry).expr.cast(), relid, &mut numbers);
            }
        }
        pg_sys::pull_varattnos((*parse).jointree.cast(), relid, &mut numbers);
        pg_sys::bms_is_member(-pg_sys::FirstLowInvalidHeapAttributeNumber, numbers)
    }
}

/// Whether a trigger looks at the rows that an UPDATE changes.
unsafe fn has_update_triggers(relid: pg_sys::Oid) -> bool {
    // SAFETY: the planner holds a lock on the relation.
    unsafe {
        let relation = pg_sys::relation_open(relid, pg_sys::NoLock as i32);
        let triggers = (*relation).trigdesc;
        let found = !triggers.is_null()
            && ((*triggers).trig_update_before_row
                || (*triggers).trig_update_after_row
                || (*triggers).trig_update_instead_row
                || (*triggers).trig_update_new_table
                || (*triggers).trig_update_old_table);
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        found
    }
}

/// The columns that the expressions of stored generated columns read, of those that are `wanted`: what a scan needs to
/// compute them.
///
/// # Safety
/// Main thread, with a lock on the table.
pub unsafe fn read_by_generated(table: &ForeignTable, wanted: impl Fn(i16) -> bool) -> Vec<i16> {
    let stored: Vec<i16> = table
        .columns
        .iter()
        .filter(|column| column.is_stored() && wanted(column.attnum))
        .map(|column| column.attnum)
        .collect();
    if stored.is_empty() {
        return Vec::new();
    }
    let mut numbers = std::ptr::null_mut();
    // SAFETY: the caller holds a lock; the expressions' columns are those of relation 1.
    unsafe {
        let relation = pg_sys::relation_open(table.oid, pg_sys::NoLock as i32);
        for attnum in stored {
            let expression = pg_sys::build_column_default(relation, attnum.into());
            pg_sys::pull_varattnos(expression, 1, &mut numbers);
        }
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
    }
    let reads = |attnum: i16| {
        let number = i32::from(attnum) - pg_sys::FirstLowInvalidHeapAttributeNumber;
        // SAFETY: a valid bitmap set, and a member above zero.
        unsafe { pg_sys::bms_is_member(number, numbers) }
    };
    table
        .columns
        .iter()
        .map(|column| column.attnum)
        .filter(|attnum| reads(*attnum))
        .collect()
}
