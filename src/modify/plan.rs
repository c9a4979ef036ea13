//! Planning of a write: row identifier, columns that are sent, columns that are returned.

use super::target::TargetTable;
use crate::catalog::Column;
use crate::error::{Report, raise, raise_internal};
use crate::plan;
use crate::private;
use crate::private::ModifyPrivate;
use intacct::write::Verb;
use pgrx::{PgList, PgSqlErrorCode, pg_guard, pg_sys};
use std::ffi::{CStr, CString};

/// Says what can be done to the rows of a table at all.
#[pg_guard]
pub unsafe extern "C-unwind" fn is_foreign_rel_updatable(relation: pg_sys::Relation) -> i32 {
    // SAFETY: PostgreSQL passes an open relation.
    let target = TargetTable::load(unsafe { (*relation).rd_id });
    if !target.is_updatable() {
        return 0;
    }
    let object = &target.table.options.object;
    let able = |verb: Verb| intacct::write::function(object, verb).is_ok();
    let identified = target.identity().is_some();
    let mut events = 0;
    if able(Verb::Create) {
        events |= 1 << pg_sys::CmdType::CMD_INSERT;
    }
    if identified && able(Verb::Update) {
        events |= 1 << pg_sys::CmdType::CMD_UPDATE;
    }
    if identified && able(Verb::Delete) {
        events |= 1 << pg_sys::CmdType::CMD_DELETE;
    }
    events
}

/// Lets the scan bring what names each row, and for DELETE the columns that RETURNING shows.
#[pg_guard]
pub unsafe extern "C-unwind" fn add_foreign_update_targets(
    root: *mut pg_sys::PlannerInfo,
    rtindex: pg_sys::Index,
    _target_entry: *mut pg_sys::RangeTblEntry,
    relation: pg_sys::Relation,
) {
    // SAFETY: planner callback on the main thread with an open relation; names are copied into planner memory.
    unsafe {
        let target = TargetTable::load((*relation).rd_id);
        let parse = (*root).parse;
        let verb = match (*parse).commandType {
            pg_sys::CmdType::CMD_DELETE => Verb::Delete,
            _ => Verb::Update,
        };
        target.check(verb);
        let mut wanted: Vec<i16> = target
            .identity()
            .map(|column| column.attnum)
            .into_iter()
            .collect();
        if verb == Verb::Delete {
            let shown = if (*parse).resultRelation as pg_sys::Index == rtindex {
                read_by((*parse).returningList, rtindex, &target)
            } else if (*parse).returningList.is_null() {
                Vec::new()
            } else {
                // RETURNING names columns of the parent, whose numbers need not be those of this table.
                target.table.columns.iter().map(|column| column.attnum).collect()
            };
            wanted.extend(
                shown
                    .into_iter()
                    .filter(|attnum| !wanted.contains(attnum))
                    .collect::<Vec<_>>(),
            );
        }
        if let Some(modified) = target.modified().map(|column| column.attnum)
            && !wanted.contains(&modified)
        {
            wanted.push(modified);
        }
        for attnum in wanted {
            let attribute = crate::compat::attribute((*relation).rd_att, attnum as usize - 1);
            let var = pg_sys::makeVar(
                rtindex as _,
                attnum,
                attribute.atttypid,
                attribute.atttypmod,
                attribute.attcollation,
                0,
            );
            let name = junk_name(attribute);
            pg_sys::add_row_identity_var(root, var, rtindex, pg_sys::pstrdup(name.as_ptr()));
        }
    }
}

/// The name of the column that carries a value from the scan to the write. Tables of one hierarchy may differ, and one
/// name must not stand for two columns.
pub fn junk_name(attribute: &pg_sys::FormData_pg_attribute) -> CString {
    let name = format!(
        "sage_intacct_{}_{}_{}_{}",
        attribute.attnum,
        attribute.atttypid.to_u32(),
        attribute.atttypmod,
        attribute.attcollation.to_u32()
    );
    CString::new(name).unwrap_or_default()
}

/// Plans a write: checks what can be known before any row is.
#[pg_guard]
pub unsafe extern "C-unwind" fn plan_foreign_modify(
    root: *mut pg_sys::PlannerInfo,
    plan: *mut pg_sys::ModifyTable,
    result_relation: pg_sys::Index,
    subplan_index: i32,
) -> *mut pg_sys::List {
    // SAFETY: planner callback on the main thread; lists of the plan have an entry for each result relation.
    unsafe {
        let entry = *(*root).simple_rte_array.add(result_relation as usize);
        let target = TargetTable::load((*entry).relid);
        let verb = match (*plan).operation {
            pg_sys::CmdType::CMD_INSERT => Verb::Create,
            pg_sys::CmdType::CMD_UPDATE => Verb::Update,
            pg_sys::CmdType::CMD_DELETE => Verb::Delete,
            _ => raise(
                target.refusal("only INSERT, UPDATE and DELETE are supported on Sage Intacct foreign tables"),
            ),
        };
        target.check(verb);
        let skip_duplicates = match (*plan).onConflictAction {
            pg_sys::OnConflictAction::ONCONFLICT_NONE => false,
            pg_sys::OnConflictAction::ONCONFLICT_NOTHING => true,
            _ => raise(
                target
                    .refusal("ON CONFLICT DO UPDATE is not supported on Sage Intacct foreign tables")
                    .hint("Use sage_intacct.upsert(table, rows)."),
            ),
        };
        check_skip(&target, skip_duplicates);
        if !nth::<pg_sys::List>((*plan).withCheckOptionLists, subplan_index).is_null() {
            check_view(&target);
        }
        let assigned = if verb == Verb::Update {
            integers(nth((*plan).updateColnosLists, subplan_index))
        } else {
            Vec::new()
        };
        // A constant column may be given the value that it has, which is known when there is a row.
        let columns = assigned.iter().filter_map(|attnum| target.table.column(*attnum));
        for column in columns.filter(|column| column.constant.is_none()) {
            target.check_column(column, false);
        }
        let mut returning = read_by(
            nth((*plan).returningLists, subplan_index),
            result_relation,
            &target,
        );
        // What a generated column is computed from is read with it.
        let sources = plan::read_by_generated(&target.table, |attnum| returning.contains(&attnum));
        let missing = |attnum: &i16| !returning.contains(attnum);
        returning.extend(sources.into_iter().filter(missing).collect::<Vec<_>>());
        check_returning(&target, verb, &assigned, &returning);
        let private = ModifyPrivate {
            verb,
            assigned,
            returning,
            skip_duplicates,
        };
        private::to_list(&private)
            .unwrap_or_else(|error| raise_internal(&format!("cannot keep the plan: {error}")))
    }
}

/// Raises when a dump is being restored: what `pg_dump --include-foreign-data` has written is at Sage Intacct already.
pub fn check_restore(target: &TargetTable) {
    let is = |name: &CStr, value: &str| {
        // SAFETY: main thread; the setting's text is compared at once.
        unsafe {
            let text = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            !text.is_null() && CStr::from_ptr(text).to_bytes() == value.as_bytes()
        }
    };
    // Every dump begins with these two, and hardly anything else does.
    let no_path = is(c"search_path", "") || is(c"search_path", "\"\"");
    if !is(c"check_function_bodies", "off") || !no_path {
        return;
    }
    raise(
        Report::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the rows of a dump are not inserted into foreign table \"{}\"", target.name),
        )
        .detail("A dump is being restored. Sage Intacct has the rows already, and would create them once more.")
        .hint(
            "Dump without --include-foreign-data. To create the rows all the same, insert them in a session in which \
             check_function_bodies is on.",
        ),
    );
}

/// Raises when duplicates are to be left out and cannot be.
pub fn check_skip(target: &TargetTable, skip_duplicates: bool) {
    if skip_duplicates && target.waits_for_commit() {
        raise(
            target
                .refusal("ON CONFLICT DO NOTHING is not supported when rows wait for the commit")
                .detail("Whether a row exists is known only when it is sent to Sage Intacct.")
                .hint("Set the server option write_mode to immediate."),
        );
    }
}

/// Raises for a view whose check would come too late.
pub fn check_view(target: &TargetTable) {
    if !target.waits_for_commit() {
        raise(
            target
                .refusal("a view WITH CHECK OPTION cannot be written through to Sage Intacct")
                .detail("PostgreSQL would check the rows after they are stored, and Sage Intacct cannot roll them \
                         back.")
                .hint("Write to the table, or set the server option write_mode to on_commit."),
        );
    }
}

/// Raises when RETURNING asks for what Intacct makes only at the commit.
pub fn check_returning(target: &TargetTable, verb: Verb, assigned: &[i16], returning: &[i16]) {
    if !target.waits_for_commit() || verb == Verb::Delete {
        return;
    }
    let identity = target.identity().map(|column| column.attnum);
    let made = returning
        .iter()
        .filter_map(|attnum| target.table.column(*attnum))
        .filter(|column| column.generated.is_none() && column.constant.is_none())
        .find(|column| match verb {
            Verb::Create => column.read_only || target.table.is_row_key(&column.field),
            _ => !assigned.contains(&column.attnum) && identity != Some(column.attnum),
        });
    if let Some(column) = made {
        refuse_returning(target, column);
    }
}

/// Raises for a column that RETURNING cannot show before the commit.
pub fn refuse_returning(target: &TargetTable, column: &Column) -> ! {
    raise(
        target
            .refusal(&format!(
                "RETURNING cannot show column \"{}\": its value is not known before the commit",
                column.name
            ))
            .detail("With write_mode on_commit, rows are sent to Sage Intacct when the transaction commits.")
            .hint("Leave it out of RETURNING, or set the server option write_mode to immediate."),
    )
}

/// The columns of a table that the expressions of a list read.
unsafe fn read_by(list: *mut pg_sys::List, relation: pg_sys::Index, target: &TargetTable) -> Vec<i16> {
    let mut numbers = std::ptr::null_mut();
    // SAFETY: the caller passes expressions of the current planning.
    unsafe { pg_sys::pull_varattnos(list.cast(), relation, &mut numbers) };
    let has = |attnum: i32| {
        // SAFETY: a valid bitmap set, and a member above zero.
        unsafe { pg_sys::bms_is_member(attnum - pg_sys::FirstLowInvalidHeapAttributeNumber, numbers) }
    };
    target
        .table
        .columns
        .iter()
        .map(|column| column.attnum)
        .filter(|attnum| has((*attnum).into()) || has(0))
        .collect()
}

/// A member of a list of lists; null when there is none.
unsafe fn nth<T>(list: *mut pg_sys::List, index: i32) -> *mut T {
    // SAFETY: the caller passes a list of pointers, or NIL.
    unsafe {
        PgList::<T>::from_pg(list)
            .get_ptr(usize::try_from(index).unwrap_or_default())
            .unwrap_or(std::ptr::null_mut())
    }
}

/// The members of an integer list.
unsafe fn integers(list: *mut pg_sys::List) -> Vec<i16> {
    // SAFETY: the caller passes a valid integer list, or NIL.
    unsafe { PgList::<i32>::from_pg(list) }
        .iter_int()
        .filter_map(|number| i16::try_from(number).ok())
        .collect()
}
