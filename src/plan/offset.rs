//! OFFSET pushdown: rows that the statement skips do not travel.
//!
//! Only where every condition is exact and the order is the gateway's: then the rows skipped there are those that SQL
//! skips. Such a scan ends the statement itself, there is no Limit above it: it counts the rows that pass the local
//! check, and when a parameter turns out not to be representable, it skips them locally.

use super::nodes::clauses;
use super::qual::Params;
use super::relation::{RelationState, state};
use super::{cost, limit, sort};
use crate::catalog::ForeignTable;
use crate::private::Finish;
use intacct::Condition;
use intacct::query::text;
use pgrx::{PgList, pg_sys};

/// Offers to finish the statement in the scan of its only table.
///
/// # Safety
/// As the callback GetForeignUpperPaths for the final step: nodes of the current planning.
pub unsafe fn add_paths(
    root: *mut pg_sys::PlannerInfo,
    output: *mut pg_sys::RelOptInfo,
    extra: *mut pg_sys::FinalPathExtraData,
) {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        if extra.is_null() || !(*extra).limit_needed {
            return;
        }
        let Some(rel) = only_table(root) else { return };
        let state = state(rel);
        let mut params = Params::default();
        if finish(root, &mut params).is_none() || !is_sendable(root, rel, state) {
            return;
        }
        let target = (*root).upper_targets[pg_sys::UpperRelationKind::UPPERREL_FINAL as usize];
        if target.is_null() || pg_sys::contain_volatile_functions((*target).exprs.cast()) {
            return;
        }
        // As the planner's own estimate: a number that is not known yet is a tenth of the rows.
        let estimated = |estimate: i64| match estimate {
            known if known >= 0 => known as f64,
            _ => pg_sys::clamp_row_est((*rel).rows * 0.1),
        };
        let left = ((*rel).rows - estimated((*extra).offset_est)).max(1.0);
        let rows = match (*extra).count_est {
            0 => left,
            count => left.min(estimated(count)).max(1.0),
        };
        let local = (*rel).baserestrictcost.per_tuple;
        let cost = cost::scan(&state.table, rows, 1, local, pg_sys::cpu_tuple_cost);
        let width = (*target).cost.startup + rows * (*target).cost.per_tuple;
        let mut mark = PgList::<pg_sys::Node>::new();
        mark.push(pg_sys::makeBoolean(true).cast());
        let path = crate::compat::create_foreign_upper_path(
            root,
            rel,
            target,
            rows,
            cost.startup,
            cost.total + width,
            std::ptr::null_mut(),
            mark.into_pg(),
        );
        (*path).pathkeys = (*root).sort_pathkeys;
        pg_sys::add_path(output, path);
    }
}

/// Whether a path was made by [`add_paths`].
///
/// # Safety
/// `path` must be a path of a base relation of ours.
pub unsafe fn is_final(path: *mut pg_sys::ForeignPath) -> bool {
    // SAFETY: the caller guarantees a valid path; no other of a base relation carries anything.
    unsafe { !(*path).fdw_private.is_null() }
}

/// LIMIT and OFFSET, if they can be left to a scan. No OFFSET is no reason to.
///
/// # Safety
/// Planner nodes of the current planning.
pub unsafe fn finish(root: *mut pg_sys::PlannerInfo, params: &mut Params) -> Option<Finish> {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let parse = (*root).parse;
        if (*parse).limitOffset.is_null() || (*parse).limitOption != pg_sys::LimitOption::LIMIT_OPTION_COUNT {
            return None;
        }
        let limit = if (*parse).limitCount.is_null() {
            None
        } else {
            Some(limit::count((*parse).limitCount, params)?)
        };
        let offset = limit::count((*parse).limitOffset, params)?;
        Some(Finish { limit, offset })
    }
}

/// The table, when the statement reads one of ours and nothing else, row by row.
unsafe fn only_table(root: *mut pg_sys::PlannerInfo) -> Option<*mut pg_sys::RelOptInfo> {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let parse = (*root).parse;
        if (*parse).commandType != pg_sys::CmdType::CMD_SELECT
            || !(*parse).rowMarks.is_null()
            || !(*root).rowMarks.is_null()
            || limit::reshapes(root)
        {
            return None;
        }
        let mut relid = -1;
        if !pg_sys::bms_get_singleton_member((*root).all_baserels, &mut relid) {
            return None;
        }
        let rel = pg_sys::find_base_rel(root, relid);
        let entry = *(*root).simple_rte_array.add(relid as usize);
        let ours = (*rel).reloptkind == pg_sys::RelOptKind::RELOPT_BASEREL
            && (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION
            && !(*entry).inh
            && !(*rel).fdw_private.is_null()
            && (*rel).lateral_relids.is_null();
        ours.then_some(rel)
    }
}

/// Whether the gateway's rows are SQL's, in SQL's order.
unsafe fn is_sendable(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    state: &RelationState,
) -> bool {
    let table = &state.table;
    let capabilities = table.dialect().capabilities();
    if !state.push.limit || !capabilities.offset || !capabilities.total_count || !table.row_key_is_number() {
        return false;
    }
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let clauses = clauses((*rel).baserestrictinfo);
        let mut filter = None;
        if !clauses.is_empty() {
            let pushed = match state.push.where_ {
                true => state.translator(root, rel).translate_all(&clauses),
                false => None,
            };
            match pushed {
                // The texts of skipped rows are not seen, and the gateway may take them for others.
                Some(pushed) if pushed.exact && !is_in_doubt(table, &pushed.condition) => {
                    filter = Some(pushed.condition);
                }
                _ => return false,
            }
        }
        let wanted = PgList::<pg_sys::PathKey>::from_pg((*root).sort_pathkeys).len();
        wanted == 0
            || state.push.order
                && sort::push(
                    root,
                    table,
                    rel,
                    &[(*rel).relid],
                    (*root).sort_pathkeys,
                    filter.as_ref(),
                )
                // Whether skipped rows come in the order that an option assumes cannot be checked.
                .is_some_and(|order| order.satisfied == wanted && order.assumed.is_empty())
    }
}

fn is_in_doubt(table: &ForeignTable, condition: &Condition) -> bool {
    !text::fields_in_doubt(condition, |field| table.is_free_text(field)).is_empty()
}
