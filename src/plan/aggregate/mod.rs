//! Aggregates that the gateway computes: `GROUP BY` and `DISTINCT` over one object whose conditions are all exact.
//!
//! What is sent, and why the answer is PostgreSQL's: `docs/pushdown.md`. Beside the pushed plan stands a local one
//! (`fdw_outerpath`), which runs when the gateway's groups do not add up. What the gateway cannot group as it stands is
//! combined from groups that it can (`combine`).

mod call;
mod combine;
mod grouping;
mod pushed;
mod requests;

pub use pushed::is_upper;

use super::relation::is_ours;
use super::remote_rel::RemoteRel;
use combine::Sources;
use grouping::Grouping;
use pgrx::{PgList, pg_sys};
use pushed::{PushedAggregate, Statement};

/// Offers to let the gateway group.
///
/// # Safety
/// As the callback GetForeignUpperPaths for grouping and DISTINCT: nodes of the current planning; `extra` is null for DISTINCT.
pub unsafe fn add_paths(
    root: *mut pg_sys::PlannerInfo,
    stage: pg_sys::UpperRelationKind::Type,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    extra: *mut pg_sys::GroupPathExtraData,
) {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let Some(source) = RemoteRel::of(root, input) else {
            return;
        };
        let Some(statement) = Statement::read(root, stage, output, extra) else {
            return;
        };
        let Statement {
            target,
            clause,
            having,
            ..
        } = statement;
        // The gateway has no grouping sets.
        let as_it_stands = (!statement.sets)
            .then(|| Grouping::read(&source, target, clause, having))
            .flatten()
            // GROUP BY of constants alone has no group where there is no row.
            .filter(|grouping| {
                let grouped = !clause.is_null();
                !grouping.keys.is_empty()
                    || !grouping.aggregates.is_empty() && grouped != grouping.constants.is_empty()
            })
            .and_then(|grouping| PushedAggregate::over(root, input, &source, statement, grouping));
        // To group by the values is a call less, but makes more groups.
        let is_settled = as_it_stands.as_ref().is_some_and(|plan| !plan.counts_values());
        if let Some(plan) = as_it_stands {
            pg_sys::add_path(output, plan.path(root, input, output, &source));
        }
        if !is_settled && pushed::is_whole_upper(output) && may_combine(root, statement) {
            let sources = Sources::one(root, input, source);
            for path in combine::paths(root, input, output, &sources, statement) {
                pg_sys::add_path(output, path);
            }
        }
    }
}

/// Offers to let several gateways group, each its own rows of a partitioned table or a UNION ALL, and to join groups with other
/// relations.
///
/// # Safety
/// As [`add_paths`], for any relations.
pub unsafe fn add_paths_of_several(
    root: *mut pg_sys::PlannerInfo,
    stage: pg_sys::UpperRelationKind::Type,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    extra: *mut pg_sys::GroupPathExtraData,
) {
    // SAFETY: the caller guarantees valid planner nodes.
    unsafe {
        if !pushed::is_whole_upper(output) {
            return;
        }
        let mut ways: Vec<Sources> = Sources::several(root, input).into_iter().collect();
        // What one gateway joins is its callback's affair.
        if !is_ours(input) || RemoteRel::of(root, input).is_none() {
            ways.extend(Sources::joined(root, input));
        }
        if ways.is_empty() {
            return;
        }
        let Some(statement) = Statement::read(root, stage, output, extra) else {
            return;
        };
        if !may_combine(root, statement) {
            return;
        }
        for sources in &ways {
            for path in combine::paths(root, input, output, sources, statement) {
                pg_sys::add_path(output, path);
            }
        }
    }
}

/// GROUP BY of constants alone has no group where there is no row, and the planner takes it for none.
unsafe fn may_combine(root: *mut pg_sys::PlannerInfo, statement: Statement) -> bool {
    // SAFETY: nodes of the current planning.
    unsafe {
        crate::compat::needed_grouping(root, statement.distinct).is_null() == statement.clause.is_null()
    }
}

/// Makes the plan of a path of ours.
///
/// # Safety
/// `best_path` must come from `get_foreign_upper_paths`.
pub unsafe fn plan(
    best_path: *mut pg_sys::ForeignPath,
    target_list: *mut pg_sys::List,
    outer_plan: *mut pg_sys::Plan,
) -> *mut pg_sys::ForeignScan {
    // SAFETY: the caller guarantees a valid path; an absent list is null.
    unsafe {
        let carried = PgList::<pg_sys::List>::from_pg((*best_path).fdw_private);
        let list = |index| carried.get_ptr(index).unwrap_or(std::ptr::null_mut());
        pg_sys::make_foreignscan(
            target_list,
            list(3),
            0,
            list(2),
            list(0),
            list(1),
            std::ptr::null_mut(),
            outer_plan,
        )
    }
}

/// Whether a path may be read at the same time as its siblings.
///
/// # Safety
/// `path` must come from `get_foreign_upper_paths`.
pub unsafe fn is_async_capable(path: *mut pg_sys::ForeignPath) -> bool {
    // SAFETY: the caller guarantees a valid path; the last list is not empty for such a path.
    let carried = unsafe { PgList::<pg_sys::List>::from_pg((*path).fdw_private) };
    carried.get_ptr(4).is_some_and(|mark| !mark.is_null())
}
