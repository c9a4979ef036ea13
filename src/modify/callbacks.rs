//! The executor's callbacks of a write.

use super::plan;
use super::state::{WriteContext, WriteState};
use super::target::TargetTable;
use crate::error::{Report, raise, raise_internal};
use crate::exec::StoredColumns;
use crate::private;
use crate::private::ModifyPrivate;
use intacct::write::Verb;
use pgrx::{PgList, PgMemoryContexts, PgSqlErrorCode, pg_guard, pg_sys};

/// The state of a write that has begun; none while only explaining.
unsafe fn state<'a>(rinfo: *mut pg_sys::ResultRelInfo) -> Option<&'a mut WriteState> {
    // SAFETY: set by `begin`, owned by the executor's memory context, used on the main thread only.
    unsafe { (*rinfo).ri_FdwState.cast::<WriteState>().as_mut() }
}

/// Makes a write of a planned statement ready. Sends no request.
#[pg_guard]
pub unsafe extern "C-unwind" fn begin_foreign_modify(
    mtstate: *mut pg_sys::ModifyTableState,
    rinfo: *mut pg_sys::ResultRelInfo,
    fdw_private: *mut pg_sys::List,
    _subplan_index: i32,
    eflags: i32,
) {
    if eflags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as i32 != 0 {
        return;
    }
    // SAFETY: executor callback on the main thread with a list that plan_foreign_modify made.
    unsafe {
        let plan: ModifyPrivate = private::from_list(fdw_private)
            .unwrap_or_else(|error| raise_internal(&format!("the plan cannot be read: {error}")));
        begin((*mtstate).ps.state, mtstate, rinfo, plan);
    }
}

/// Makes ready for COPY, or for rows that are routed to a partition.
#[pg_guard]
pub unsafe extern "C-unwind" fn begin_foreign_insert(
    mtstate: *mut pg_sys::ModifyTableState,
    rinfo: *mut pg_sys::ResultRelInfo,
) {
    // SAFETY: executor callback on the main thread; COPY has no plan.
    unsafe {
        let statement = (*mtstate).ps.plan.cast::<pg_sys::ModifyTable>();
        let target = TargetTable::load((*(*rinfo).ri_RelationDesc).rd_id);
        if !(*rinfo).ri_FdwState.is_null() {
            raise(
                target
                    .refusal(&format!(
                        "cannot route rows into foreign table \"{}\", which the statement updates too",
                        target.name
                    ))
                    .hint("Insert and delete the rows instead."),
            );
        }
        target.check(Verb::Create);
        let returning = match (*rinfo).ri_returningList.is_null() {
            true => Vec::new(),
            false => target.table.columns.iter().map(|column| column.attnum).collect(),
        };
        plan::check_returning(&target, Verb::Create, &[], &returning);
        let skip_duplicates = !statement.is_null()
            && (*statement).onConflictAction == pg_sys::OnConflictAction::ONCONFLICT_NOTHING;
        plan::check_skip(&target, skip_duplicates);
        let plan = ModifyPrivate {
            verb: Verb::Create,
            assigned: Vec::new(),
            returning,
            skip_duplicates,
        };
        begin((*mtstate).ps.state, mtstate, rinfo, plan);
    }
}

unsafe fn begin(
    estate: *mut pg_sys::EState,
    mtstate: *mut pg_sys::ModifyTableState,
    rinfo: *mut pg_sys::ResultRelInfo,
    plan: ModifyPrivate,
) {
    // SAFETY: the callers' executor nodes; triggers and the descriptor belong to the open relation.
    unsafe {
        let relation = (*rinfo).ri_RelationDesc;
        let descriptor = (*relation).rd_att;
        let target = TargetTable::load((*relation).rd_id);
        target.check(plan.verb);
        if plan.verb == Verb::Create {
            plan::check_restore(&target);
        }
        if !(*rinfo).ri_WithCheckOptions.is_null() {
            plan::check_view(&target);
        }
        let subplan = (*mtstate).ps.lefttree;
        let places = match plan.verb {
            Verb::Update | Verb::Delete if !subplan.is_null() => {
                places(descriptor, (*(*subplan).plan).targetlist)
            }
            _ => Vec::new(),
        };
        let (before_triggers, after_triggers) = triggers(rinfo, plan.verb);
        let shows = |attnum| plan.returning.contains(&attnum) || after_triggers;
        let mut memory = PgMemoryContexts::For((*estate).es_query_cxt);
        let stored = memory.switch_to(|_| match plan.verb {
            // What is shown of a row that is deleted comes with the scan.
            Verb::Delete => StoredColumns::none(),
            _ => StoredColumns::prepare(relation, &target.table, shows, estate),
        });
        let context = WriteContext {
            user: crate::compat::result_user(estate, rinfo),
            statement: estate as usize,
            places,
            reads_server: reads_server(estate, &target),
            before_triggers,
            after_triggers,
            stored,
        };
        let state = memory.switch_to(|_| WriteState::new(target, plan, context, descriptor));
        (*rinfo).ri_FdwState = memory.leak_and_drop_on_delete(state).cast();
    }
}

/// The columns that the scan carries for the write: number of the column and place in the scan's rows.
unsafe fn places(descriptor: pg_sys::TupleDesc, targets: *mut pg_sys::List) -> Vec<(i16, i16)> {
    // SAFETY: the caller passes a valid descriptor and target list.
    unsafe {
        (0..(*descriptor).natts as usize)
            .filter_map(|index| {
                let attribute = crate::compat::attribute(descriptor, index);
                let name = plan::junk_name(attribute);
                match pg_sys::ExecFindJunkAttributeInTlist(targets, name.as_ptr()) {
                    0 => None,
                    place => Some((attribute.attnum, place)),
                }
            })
            .collect()
    }
}

/// Whether there are triggers for each row before and after this kind of write.
unsafe fn triggers(rinfo: *mut pg_sys::ResultRelInfo, verb: Verb) -> (bool, bool) {
    // SAFETY: the caller passes an initialised result relation.
    unsafe {
        let Some(triggers) = (*rinfo).ri_TrigDesc.as_ref() else {
            return (false, false);
        };
        match verb {
            Verb::Create => (triggers.trig_insert_before_row, triggers.trig_insert_after_row),
            Verb::Update => (triggers.trig_update_before_row, triggers.trig_update_after_row),
            Verb::Delete => (triggers.trig_delete_before_row, triggers.trig_delete_after_row),
        }
    }
}

/// Whether the statement reads a table of the same server beside the rows that it updates or deletes.
unsafe fn reads_server(estate: *mut pg_sys::EState, target: &TargetTable) -> bool {
    // SAFETY: the caller passes the state of a running statement; COPY has no plan and reads nothing.
    unsafe {
        let statement = (*estate).es_plannedstmt;
        if statement.is_null() {
            return false;
        }
        let written: Vec<i32> = PgList::<i32>::from_pg((*statement).resultRelations)
            .iter_int()
            .collect();
        let entries = PgList::<pg_sys::RangeTblEntry>::from_pg((*estate).es_range_table);
        (1..).zip(entries.iter_ptr()).any(|(index, entry)| {
            (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION
                && (*entry).relkind as u8 == pg_sys::RELKIND_FOREIGN_TABLE
                && !written.contains(&index)
                && (*pg_sys::GetForeignTable((*entry).relid)).serverid == target.table.server_oid
        })
    }
}

/// Rows that are passed on together.
pub unsafe fn rows_at_a_time(
    target: &TargetTable,
    rinfo: *mut pg_sys::ResultRelInfo,
    plan: &ModifyPrivate,
) -> usize {
    // SAFETY: same contract as this function.
    let (_, after) = unsafe { triggers(rinfo, plan.verb) };
    let shown = match plan.verb {
        Verb::Create => !plan.returning.is_empty(),
        Verb::Update => {
            let key = target.identity().map(|column| column.attnum);
            let from_gateway = |attnum: &i16| {
                let column = target.table.column(*attnum);
                Some(*attnum) != key && column.is_none_or(|column| column.generated.is_none())
            };
            plan.returning.iter().any(from_gateway)
        }
        Verb::Delete => false,
    };
    if !target.waits_for_commit() && (shown || (after && plan.verb != Verb::Delete)) {
        1
    } else {
        target.batch_size()
    }
}

/// Rows that PostgreSQL collects before it hands them over.
#[pg_guard]
pub unsafe extern "C-unwind" fn get_foreign_modify_batch_size(rinfo: *mut pg_sys::ResultRelInfo) -> i32 {
    // SAFETY: executor callback on the main thread.
    unsafe {
        let target = TargetTable::load((*(*rinfo).ri_RelationDesc).rd_id);
        let (_, after) = triggers(rinfo, Verb::Create);
        let shown = !(*rinfo).ri_projectReturning.is_null() || !(*rinfo).ri_returningList.is_null();
        if shown || after {
            return 1;
        }
        i32::try_from(target.batch_size()).unwrap_or(1)
    }
}

/// Inserts a row.
#[pg_guard]
pub unsafe extern "C-unwind" fn exec_foreign_insert(
    _estate: *mut pg_sys::EState,
    rinfo: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    _plan_slot: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: executor callback on the main thread; the slot holds the row.
    unsafe {
        match state(rinfo).is_some_and(|state| state.insert(slot)) {
            true => slot,
            false => std::ptr::null_mut(),
        }
    }
}

/// Inserts several rows of which nothing is shown.
#[pg_guard]
pub unsafe extern "C-unwind" fn exec_foreign_batch_insert(
    _estate: *mut pg_sys::EState,
    rinfo: *mut pg_sys::ResultRelInfo,
    slots: *mut *mut pg_sys::TupleTableSlot,
    _plan_slots: *mut *mut pg_sys::TupleTableSlot,
    count: *mut i32,
) -> *mut *mut pg_sys::TupleTableSlot {
    // SAFETY: executor callback on the main thread; `count` slots hold rows. The array made for the rows that are
    // stored lives as long as the statement.
    unsafe {
        let Some(state) = state(rinfo) else { return slots };
        let rows = std::slice::from_raw_parts(slots, *count as usize);
        let stored = state.insert_all(rows);
        let kept: Vec<_> = rows
            .iter()
            .zip(&stored)
            .filter(|(_, stored)| **stored)
            .map(|(slot, _)| *slot)
            .collect();
        if kept.len() == rows.len() {
            return slots;
        }
        *count = kept.len() as i32;
        let array = pg_sys::palloc0(size_of_val(rows)).cast::<*mut pg_sys::TupleTableSlot>();
        std::ptr::copy_nonoverlapping(kept.as_ptr(), array, kept.len());
        array
    }
}

/// Updates a row.
#[pg_guard]
pub unsafe extern "C-unwind" fn exec_foreign_update(
    estate: *mut pg_sys::EState,
    rinfo: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    plan_slot: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: executor callback on the main thread; PostgreSQL keeps the row as it was in ri_oldTupleSlot.
    unsafe {
        // PostgreSQL leaves the constraint of a foreign partition to us, and moves no row out of one.
        if (*(*(*rinfo).ri_RelationDesc).rd_rel).relispartition {
            pg_sys::ExecPartitionCheck(rinfo, slot, estate, true);
        }
        match state(rinfo).is_some_and(|state| state.update(slot, plan_slot, (*rinfo).ri_oldTupleSlot)) {
            true => slot,
            false => std::ptr::null_mut(),
        }
    }
}

/// Deletes a row.
#[pg_guard]
pub unsafe extern "C-unwind" fn exec_foreign_delete(
    _estate: *mut pg_sys::EState,
    rinfo: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    plan_slot: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: executor callback on the main thread.
    unsafe {
        match state(rinfo).is_some_and(|state| state.delete(slot, plan_slot)) {
            true => slot,
            false => std::ptr::null_mut(),
        }
    }
}

/// Hands over the rows that are left: the end of the statement, of COPY, or of the rows for a partition.
#[pg_guard]
pub unsafe extern "C-unwind" fn end_foreign_modify(
    _estate: *mut pg_sys::EState,
    rinfo: *mut pg_sys::ResultRelInfo,
) {
    // SAFETY: executor callback on the main thread; not called after an error.
    unsafe {
        if let Some(state) = state(rinfo) {
            state.finish();
        }
    }
}

/// TRUNCATE is not offered: the gateway deletes record by record.
#[pg_guard]
pub unsafe extern "C-unwind" fn exec_foreign_truncate(
    _relations: *mut pg_sys::List,
    _behavior: pg_sys::DropBehavior::Type,
    _restart: bool,
) {
    raise(
        Report::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "Sage Intacct cannot truncate an object",
        )
        .hint("DELETE FROM deletes its records one after another, a hundred in a request."),
    );
}
