//! EXPLAIN of a write: the function that the gateway is asked to run, and how many rows at a time.

use super::row;
use super::target::TargetTable;
use crate::error::raise_internal;
use crate::exec::property;
use crate::private;
use crate::private::ModifyPrivate;
use intacct::write::Verb;
use pgrx::{pg_guard, pg_sys};

/// Shows a write. Sends no request.
#[pg_guard]
pub unsafe extern "C-unwind" fn explain_foreign_modify(
    _mtstate: *mut pg_sys::ModifyTableState,
    rinfo: *mut pg_sys::ResultRelInfo,
    fdw_private: *mut pg_sys::List,
    _subplan_index: i32,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: called by EXPLAIN with a list that plan_foreign_modify made; none for a partition that rows are routed to.
    unsafe {
        if fdw_private.is_null() {
            return;
        }
        let plan: ModifyPrivate = private::from_list(fdw_private)
            .unwrap_or_else(|error| raise_internal(&format!("the plan cannot be read: {error}")));
        let target = TargetTable::load((*(*rinfo).ri_RelationDesc).rd_id);
        let object = &target.table.options.object;
        let Ok(function) = intacct::write::function(object, plan.verb) else {
            return;
        };
        property(es, c"Intacct Write", &format!("{function} {object}"));
        if !(*es).verbose {
            return;
        }
        let together = super::callbacks::rows_at_a_time(&target, rinfo, &plan);
        let rows = match plan.skip_duplicates {
            true => 1,
            false => together.min(intacct::write::rows_per_function(object, plan.verb)),
        };
        property(es, c"Intacct Rows per Function", &rows.to_string());
        if target.waits_for_commit() {
            property(
                es,
                c"Intacct Sent",
                "when the transaction commits, as one operation",
            );
        } else {
            property(es, c"Intacct Rows per Operation", &together.to_string());
        }
        let key = target.identity().map_or("", |column| column.field.as_str());
        if plan.verb != Verb::Create {
            property(es, c"Intacct Key", key);
        }
        if plan.verb == Verb::Update {
            let fields: Vec<String> = row::writable(&target)
                .into_iter()
                .filter(|column| plan.assigned.contains(&column.attnum))
                .map(|column| column.field)
                .collect();
            property(es, c"Intacct Fields", &fields.join(", "));
        }
        if plan.skip_duplicates {
            property(es, c"Intacct Duplicates", "left out");
        }
    }
}
