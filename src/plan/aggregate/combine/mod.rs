//! Groupings that the gateway cannot compute as they stand, but that are functions of columns it can group by: it groups
//! by the bare columns (a [`PushedAggregate`] like any other), and PostgreSQL combines those groups.
//!
//! The paths, from the top:
//!
//! 1. a ForeignPath on the grouped relation whose scan columns are the statement's own keys and aggregates, so that the
//!    planner finds them; it passes rows through;
//! 2. the core's Agg with the statement's keys, whose aggregates are those of [`finish`];
//! 3. the aggregate ForeignPath by bare columns, with its own verification and local plan.
//!
//! Which aggregates, and why the answer is the same: `docs/pushdown.md`.

mod finish;
mod nodes;

use super::grouping::{Grouping, Wanted};
use super::pushed::{PushedAggregate, Statement, carried, expected_groups, rows_after};
use crate::error::raise_internal;
use crate::plan::remote_rel::RemoteRel;
use crate::private::Private;
use finish::Finisher;
use pgrx::{PgList, is_a, pg_sys};

/// A grouping in two steps.
pub struct CombinedAggregate {
    /// What the gateway groups.
    inner: Grouping,
    /// The statement's keys with their marks, then its aggregates: what the grouped relation is made of.
    columns: Vec<(*mut pg_sys::Expr, pg_sys::Index)>,
    /// The same, computed from the columns of `inner`.
    finals: Vec<(*mut pg_sys::Expr, pg_sys::Index)>,
    /// An aggregate with DISTINCT needs its groups one after the other.
    sorted: bool,
}

impl CombinedAggregate {
    /// Reads `target`, and `having` for what it needs beside it, grouped by `clause`.
    ///
    /// # Safety
    /// Planner nodes of the current planning.
    pub unsafe fn read(
        source: &RemoteRel,
        target: *mut pg_sys::PathTarget,
        clause: *mut pg_sys::List,
        having: *mut pg_sys::List,
    ) -> Option<CombinedAggregate> {
        // SAFETY: the caller guarantees valid planner nodes.
        if unsafe {
            pg_sys::contain_subplans((*target).exprs.cast()) || pg_sys::contain_subplans(having.cast())
        } {
            return None;
        }
        let mut aggregates: Vec<*mut pg_sys::Node> = Vec::new();
        // SAFETY: the caller guarantees valid planner nodes.
        unsafe {
            let wanted = Wanted::of(target, clause, having);
            let keys = wanted.keys.into_iter();
            let keys: Vec<_> = keys
                .map(|(key, mark, _)| (key.cast::<pg_sys::Expr>(), mark))
                .collect();
            // Columns outside of aggregates stand in a key: the parser has seen to it.
            for part in wanted.parts {
                if is_a(part, pg_sys::NodeTag::T_PlaceHolderVar) {
                    return None;
                }
                if !is_a(part, pg_sys::NodeTag::T_Var)
                    && !aggregates
                        .iter()
                        .any(|known| pg_sys::equal(known.cast(), part.cast()))
                {
                    aggregates.push(part);
                }
            }
            let mut finisher = Finisher::new(source);
            for (key, _) in &keys {
                finisher.require(key.cast())?;
            }
            // GROUPING() is computed where the statement's groups are made.
            let is_call = |node: *mut pg_sys::Node| is_a(node, pg_sys::NodeTag::T_Aggref);
            for aggregate in aggregates.iter().filter(|node| is_call(**node)) {
                finisher.prepare(aggregate.cast())?;
            }
            let mut finals = keys.clone();
            for aggregate in &aggregates {
                let last = match is_call(*aggregate) {
                    true => finisher.finish(aggregate.cast())?,
                    false => *aggregate,
                };
                finals.push((last.cast(), 0));
            }
            let sorted = finisher.has_distinct;
            let inner = finisher.into_grouping(source)?;
            let columns = keys
                .into_iter()
                .chain(aggregates.into_iter().map(|aggregate| (aggregate.cast(), 0)))
                .collect();
            Some(CombinedAggregate {
                inner,
                columns,
                finals,
                sorted,
            })
        }
    }

    /// The path, over that of the inner grouping; `None`: the gateway cannot be asked for that.
    ///
    /// # Safety
    /// As [`super::add_paths`].
    pub unsafe fn path(
        mut self,
        root: *mut pg_sys::PlannerInfo,
        input: *mut pg_sys::RelOptInfo,
        output: *mut pg_sys::RelOptInfo,
        source: &RemoteRel,
        statement: Statement,
    ) -> Option<*mut pg_sys::Path> {
        // SAFETY: nodes of the current planning, allocated in its memory context.
        unsafe {
            let needed = crate::compat::needed_grouping(root, statement.distinct);
            let inner_target = pg_sys::create_empty_pathtarget();
            for (expression, mark) in self.columns.iter().filter(|(_, mark)| *mark != 0) {
                pg_sys::add_column_to_pathtarget(inner_target, *expression, *mark);
            }
            for (expression, _) in self.inner.columns() {
                pg_sys::add_new_column_to_pathtarget(inner_target, expression);
            }
            let inner_target = pg_sys::set_pathtarget_cost_width(root, inner_target);
            let clause = self.inner.clause();
            let inner = PushedAggregate::over(
                root,
                input,
                source,
                Statement {
                    target: inner_target,
                    clause,
                    having: std::ptr::null_mut(),
                    distinct: false,
                    sets: false,
                    own: true,
                },
                std::mem::take(&mut self.inner),
            )?;
            let below = inner.path(root, input, output, source);

            let final_target = pg_sys::create_empty_pathtarget();
            for (expression, mark) in &self.finals {
                pg_sys::add_column_to_pathtarget(final_target, *expression, *mark);
            }
            let final_target = pg_sys::set_pathtarget_cost_width(root, final_target);
            let (combined, groups) = match statement.sets {
                true => grouping_sets(root, output, below, final_target)?,
                false => self.grouped(root, input, output, below, final_target, needed)?,
            };
            let private = Private::Combined
                .to_list()
                .unwrap_or_else(|error| raise_internal(&format!("cannot keep the plan: {error}")));
            let target = statement.target;
            let none = std::ptr::null_mut();
            let carried = carried(
                private,
                self.columns.iter().copied(),
                none,
                statement.having,
                false,
            );
            Some(crate::compat::create_foreign_upper_path(
                root,
                output,
                target,
                rows_after(root, groups, statement.having),
                (*combined).startup_cost + (*target).cost.startup,
                (*combined).total_cost + (*target).cost.startup + groups * (*target).cost.per_tuple,
                combined,
                carried,
            ))
        }
    }

    /// The Agg over the gateway's groups by the statement's keys, and how many groups it makes.
    unsafe fn grouped(
        &self,
        root: *mut pg_sys::PlannerInfo,
        input: *mut pg_sys::RelOptInfo,
        output: *mut pg_sys::RelOptInfo,
        mut below: *mut pg_sys::Path,
        target: *mut pg_sys::PathTarget,
        needed: *mut pg_sys::List,
    ) -> Option<(*mut pg_sys::Path, f64)> {
        // SAFETY: nodes of the current planning, allocated in its memory context.
        unsafe {
            let strategy = match (needed.is_null(), self.sorted) {
                (true, _) => pg_sys::AggStrategy::AGG_PLAIN,
                (false, true) => pg_sys::AggStrategy::AGG_SORTED,
                (false, false) => pg_sys::AggStrategy::AGG_HASHED,
            };
            match strategy {
                pg_sys::AggStrategy::AGG_HASHED if !pg_sys::grouping_is_hashable(needed) => return None,
                pg_sys::AggStrategy::AGG_SORTED if !pg_sys::grouping_is_sortable(needed) => return None,
                pg_sys::AggStrategy::AGG_SORTED => {
                    let order = pg_sys::make_pathkeys_for_sortclauses(root, needed, (*root).processed_tlist);
                    // Keys that a condition makes constant need no order.
                    if !order.is_null() {
                        below = pg_sys::create_sort_path(root, output, below, order, -1.0).cast();
                    }
                }
                _ => {}
            }
            let keys = self.columns.iter().filter(|(_, mark)| *mark != 0);
            let groups = expected_groups(root, input, keys.map(|(key, _)| key.cast()));
            let costs = pg_sys::AggClauseCosts::default();
            let path = pg_sys::create_agg_path(
                root,
                output,
                below,
                target,
                strategy,
                pg_sys::AggSplit::AGGSPLIT_SIMPLE,
                needed,
                std::ptr::null_mut(),
                &costs,
                groups,
            );
            Some((path.cast(), groups))
        }
    }
}

/// The core's own plan for grouping sets, over the gateway's groups instead of the rows; `None`: it has none.
unsafe fn grouping_sets(
    root: *mut pg_sys::PlannerInfo,
    output: *mut pg_sys::RelOptInfo,
    mut below: *mut pg_sys::Path,
    target: *mut pg_sys::PathTarget,
) -> Option<(*mut pg_sys::Path, f64)> {
    // SAFETY: nodes of the current planning, allocated in its memory context; types are checked before casts.
    unsafe {
        let paths = PgList::<pg_sys::Path>::from_pg((*output).pathlist);
        let is_core = |path: &*mut pg_sys::Path| is_a(path.cast(), pg_sys::NodeTag::T_GroupingSetsPath);
        let core: *mut pg_sys::GroupingSetsPath = paths.iter_ptr().find(is_core)?.cast();
        let order = (*root).group_pathkeys;
        if (*core).aggstrategy != pg_sys::AggStrategy::AGG_HASHED && !order.is_null() {
            below = pg_sys::create_sort_path(root, output, below, order, -1.0).cast();
        }
        let groups = (*core).path.rows;
        let path = pg_sys::create_groupingsets_path(
            root,
            output,
            below,
            std::ptr::null_mut(),
            (*core).aggstrategy,
            (*core).rollups,
            &pg_sys::AggClauseCosts::default(),
            #[cfg(feature = "pg15")]
            groups,
        );
        (*path).path.pathtarget = target;
        Some((path.cast(), groups))
    }
}
