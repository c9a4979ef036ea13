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
mod joined;
pub mod nodes;
mod pass;
mod relations;
mod sources;

pub use sources::Sources;

use super::grouping::Wanted;
use super::pushed::{PushedAggregate, Statement, carried, expected_groups, groups_of_rows, rows_after};
use crate::error::raise_internal;
use crate::private::Private;
use finish::{Finisher, Needed, Values};
use pgrx::{PgList, is_a, pg_sys};
use relations::{pathtarget, upper};
use sources::Part;

/// A grouping in two steps.
struct CombinedAggregate {
    /// What it is made of.
    needed: Needed,
    /// The statement's keys with their marks, then its aggregates: what the grouped relation is made of.
    columns: Vec<(*mut pg_sys::Expr, pg_sys::Index)>,
    /// The keys with their marks, as what is grouped has them.
    keys: Vec<(*mut pg_sys::Expr, pg_sys::Index)>,
    /// The same, computed from the columns of the gateway's groups.
    finals: Vec<(*mut pg_sys::Expr, pg_sys::Index)>,
    /// An aggregate with DISTINCT needs its groups one after the other.
    sorted: bool,
    /// Values of columns are counted.
    counts_values: bool,
}

/// The paths of a grouping in two steps, over these: the ways in which values of columns can be counted differ in calls.
///
/// # Safety
/// As [`super::add_paths`].
pub unsafe fn paths(
    root: *mut pg_sys::PlannerInfo,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    sources: &Sources,
    statement: Statement,
) -> Vec<*mut pg_sys::Path> {
    let mut paths = Vec::new();
    for values in [Values::Counted, Values::Grouped] {
        // SAFETY: same contract as this function.
        unsafe {
            let Some(combined) = CombinedAggregate::read(root, sources, statement, values) else {
                continue;
            };
            let is_only = !combined.counts_values;
            paths.extend(combined.path(root, input, output, sources, statement));
            if is_only {
                break;
            }
        }
    }
    paths
}

impl CombinedAggregate {
    /// Reads what a statement wants of its groups.
    ///
    /// # Safety
    /// Planner nodes of the current planning.
    unsafe fn read(
        root: *mut pg_sys::PlannerInfo,
        sources: &Sources,
        statement: Statement,
        values: Values,
    ) -> Option<CombinedAggregate> {
        let Statement {
            target,
            clause,
            having,
            ..
        } = statement;
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
            // Columns outside of aggregates stand in a key, or are determined by the keys: those of a row whose primary key
            // is one, and those of a key that the planner takes apart below a window.
            let within: Vec<_> = keys.iter().map(|(key, _)| key.cast()).collect();
            let wanting = [(*target).exprs.cast(), having.cast()];
            let determined = crate::ffi::columns_outside(&wanting, &within);
            // A grouping set may not determine them, and makes a key null that has no column: such a key is not looked for
            // among the columns of what is below.
            let is_fixed = |key: &*mut pg_sys::Node| super::grouping::parts(*key).is_empty();
            if statement.sets && (!determined.is_empty() || within.iter().any(is_fixed)) {
                return None;
            }
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
            let mut finisher = Finisher::new(sources, values);
            let bare = keys
                .iter()
                .map(|(key, mark)| (crate::compat::below_grouping(root, key.cast()).cast(), *mark));
            let bare: Vec<(*mut pg_sys::Expr, _)> = bare.collect();
            for (key, _) in &bare {
                finisher.require(key.cast())?;
            }
            for column in &determined {
                finisher.require(*column)?;
            }
            for condition in sources.joins.iter().flat_map(|join| join.conditions()) {
                finisher.join_by(condition)?;
            }
            // GROUPING() is computed where the statement's groups are made.
            let is_call = |node: *mut pg_sys::Node| is_a(node, pg_sys::NodeTag::T_Aggref);
            for aggregate in aggregates.iter().filter(|node| is_call(**node)) {
                finisher.prepare(aggregate.cast())?;
            }
            let determined = determined.into_iter().map(|column| (column.cast(), 0));
            let columns: Vec<_> = keys.into_iter().chain(determined).collect();
            let mut finals = columns.clone();
            for aggregate in &aggregates {
                let last = match is_call(*aggregate) {
                    true => finisher.finish(aggregate.cast())?,
                    false => *aggregate,
                };
                finals.push((last.cast(), 0));
            }
            // A gateway's one group is there even if it has no row; a group of the statement is not, be its key the same in all.
            if !bare.is_empty() && !finisher.has_keys() {
                return None;
            }
            let (sorted, counts_values) = (finisher.has_distinct, finisher.counts_values);
            let columns = columns
                .into_iter()
                .chain(aggregates.into_iter().map(|aggregate| (aggregate.cast(), 0)))
                .collect();
            Some(CombinedAggregate {
                needed: finisher.into_parts(),
                columns,
                keys: bare,
                finals,
                sorted,
                counts_values,
            })
        }
    }

    /// The path, over those of the gateway's groups; `None`: a gateway cannot be asked for that.
    ///
    /// # Safety
    /// As [`super::add_paths`].
    unsafe fn path(
        self,
        root: *mut pg_sys::PlannerInfo,
        input: *mut pg_sys::RelOptInfo,
        output: *mut pg_sys::RelOptInfo,
        sources: &Sources,
        statement: Statement,
    ) -> Option<*mut pg_sys::Path> {
        // SAFETY: nodes of the current planning, allocated in its memory context.
        unsafe {
            let needed = crate::compat::needed_grouping(root, statement.distinct);
            let mut below = self.appended(root, output, sources, statement.lists)?;
            if !sources.joins.is_empty() {
                below = joined::path(
                    root,
                    below,
                    &sources.joins,
                    &self.gathered(true, &self.needed.beside),
                );
            }
            let final_target = pathtarget(root, &self.finals);
            let (combined, groups) = match statement.sets {
                true => grouping_sets(root, output, below, final_target)?,
                false => self.grouped(root, input, output, below, final_target, needed)?,
            };
            let target = statement.target;
            let rows = rows_after(root, groups, statement.having);
            let startup = (*combined).startup_cost + (*target).cost.startup;
            let total = (*combined).total_cost + (*target).cost.startup + groups * (*target).cost.per_tuple;
            let columns = self.columns.iter().copied();
            if !sources.joins.is_empty() || sources.parts.iter().any(Part::is_member) {
                let path = pass::path(output, target, combined, columns, statement.having);
                (*path).rows = rows;
                (*path).startup_cost = startup;
                (*path).total_cost = total;
                return Some(path);
            }
            let private = Private::Combined
                .to_list()
                .unwrap_or_else(|error| raise_internal(&format!("cannot keep the plan: {error}")));
            let none = std::ptr::null_mut();
            let carried = carried(private, columns, none, statement.having, false);
            Some(crate::compat::create_foreign_upper_path(
                root, output, target, rows, startup, total, combined, carried,
            ))
        }
    }

    /// What groups have: the statement's keys if `keyed`, what its aggregates are made of, and these.
    fn gathered(&self, keyed: bool, others: &[*mut pg_sys::Node]) -> Vec<(*mut pg_sys::Expr, pg_sys::Index)> {
        let mut columns = match keyed {
            true => self.keys.clone(),
            false => Vec::new(),
        };
        let keys = self
            .needed
            .keys
            .iter()
            .chain(others)
            .map(|key| key.cast::<pg_sys::Expr>());
        let aggregates = self.needed.partials.iter().map(|aggregate| aggregate.cast());
        for column in keys.chain(aggregates) {
            // SAFETY: valid nodes of the current planning.
            let is_known =
                |known: &(*mut pg_sys::Expr, _)| unsafe { pg_sys::equal(known.0.cast(), column.cast()) };
            if !columns.iter().any(is_known) {
                columns.push((column, 0));
            }
        }
        columns
    }

    /// The gateway's groups, or those of all gateways; with the statement's keys, unless others are joined first.
    unsafe fn appended(
        &self,
        root: *mut pg_sys::PlannerInfo,
        output: *mut pg_sys::RelOptInfo,
        sources: &Sources,
        lists: bool,
    ) -> Option<*mut pg_sys::Path> {
        // SAFETY: nodes of the current planning, allocated in its memory context.
        unsafe {
            let columns = self.gathered(sources.joins.is_empty(), &[]);
            let output = match sources.joins.is_empty() {
                true => output,
                false => upper((*sources.whole).relids, sources.whole),
            };
            if let [only] = sources.parts.as_slice()
                && !only.is_member()
            {
                return self.groups(root, output, only, &columns, lists);
            }
            let mut paths = PgList::<pg_sys::Path>::new();
            let mut is_asked = false;
            let lost = usize::from(crate::guc::combine_fault() == 4 && sources.parts.len() > 1);
            for part in sources.parts.iter().skip(lost) {
                // Where one of them cannot be asked, or has few rows, its rows are grouped here.
                let asked = self.groups(root, output, part, &columns, lists);
                let here = self.groups_here(root, part, &columns);
                let path = match (asked, here) {
                    (Some(asked), Some(here)) if (*asked).total_cost > (*here).total_cost => here,
                    (Some(asked), _) => asked,
                    (None, here) => here?,
                };
                is_asked |= Some(path) == asked;
                paths.push(path);
            }
            if !is_asked {
                return None;
            }
            let appended = upper((*sources.whole).relids, std::ptr::null_mut());
            (*appended).reltarget = pathtarget(root, &columns);
            let none = std::ptr::null_mut();
            let path = pg_sys::create_append_path(
                root,
                appended,
                paths.into_pg(),
                none,
                none,
                std::ptr::null_mut(),
                0,
                false,
                -1.0,
            );
            Some(path.cast())
        }
    }

    /// The groups of one gateway, with these columns.
    unsafe fn groups(
        &self,
        root: *mut pg_sys::PlannerInfo,
        output: *mut pg_sys::RelOptInfo,
        part: &Part,
        columns: &[(*mut pg_sys::Expr, pg_sys::Index)],
        lists: bool,
    ) -> Option<*mut pg_sys::Path> {
        // SAFETY: nodes of the current planning, allocated in its memory context.
        unsafe {
            let columns: Vec<_> = columns
                .iter()
                .map(|(column, mark)| (part.translated(root, *column), *mark))
                .collect();
            let grouping = part.grouping(root, &self.needed.keys, &self.needed.partials)?;
            let output = match part.is_member() {
                true => upper((*part.rel).relids, part.rel),
                false => output,
            };
            let statement = Statement {
                target: pathtarget(root, &columns),
                clause: grouping.clause(),
                having: std::ptr::null_mut(),
                distinct: false,
                sets: false,
                own: true,
                lists,
            };
            let source = part.source.as_ref()?;
            let pushed = PushedAggregate::over(root, part.rel, source, statement, grouping)?;
            Some(pushed.path(root, part.rel, output, source))
        }
    }

    /// The same groups made of its rows; `None`: they cannot be hashed.
    unsafe fn groups_here(
        &self,
        root: *mut pg_sys::PlannerInfo,
        part: &Part,
        columns: &[(*mut pg_sys::Expr, pg_sys::Index)],
    ) -> Option<*mut pg_sys::Path> {
        // SAFETY: nodes of the current planning, allocated in its memory context.
        unsafe {
            let columns: Vec<_> = columns
                .iter()
                .map(|(column, mark)| (part.translated(root, *column), *mark))
                .collect();
            let keys = part.columns(root, &self.needed.keys)?;
            let aggregates = self.needed.partials.iter();
            let aggregates: Vec<_> = aggregates
                .map(|aggregate| part.translated(root, *aggregate))
                .collect();
            let is_whole = self.needed.keys.is_empty();
            let output = upper((*part.rel).relids, std::ptr::null_mut());
            groups_of_rows(
                root,
                part.rel,
                output,
                pathtarget(root, &columns),
                &keys,
                &aggregates,
                is_whole,
            )
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
            let groups = expected_groups(root, input, self.keys.iter().map(|(key, _)| key.cast()));
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
