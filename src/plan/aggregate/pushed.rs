//! A grouping that the gateway computes as it stands, and its path.

use super::call::AggregateCall;
use super::combine::nodes;
use super::grouping::{self, Grouping};
use super::requests::Requests;
use crate::error::raise_internal;
use crate::plan::cost;
use crate::plan::qual::{Params, excludes_null};
use crate::plan::relation::{self, Size};
use crate::plan::remote_rel::{RelMember, RemoteRel};
use crate::private::{AggregateOutput, AggregatePrivate, Private};
use intacct::{AggregateFunction, Condition, OrderKey, Query, SelectItem};
use pgrx::{PgList, pg_sys};

/// With more groups than this the rows themselves are read: groups are held until they are all there.
const MOST_GROUPS: f64 = 50_000.0;

/// What a call beside the first weighs, in calls: they travel in the same request.
const BESIDE: f64 = 0.001;

/// What a call that counts the values of each group weighs more, in calls.
const COUNTED: f64 = 0.5;

/// Calls of one request that weigh so little. Those beyond are as dear as a page of rows each.
const FEW: usize = 8;

/// What a statement groups.
#[derive(Clone, Copy)]
pub struct Statement {
    /// What comes of the grouping: keys are marked.
    pub target: *mut pg_sys::PathTarget,
    /// GROUP BY or DISTINCT, redundant keys included.
    pub clause: *mut pg_sys::List,
    /// HAVING.
    pub having: *mut pg_sys::List,
    /// It is a DISTINCT.
    pub distinct: bool,
    /// It has GROUPING SETS, ROLLUP or CUBE.
    pub sets: bool,
    /// The clause is made here, below the statement's own.
    pub own: bool,
    /// It has no aggregate: it lists values, which rows show as well.
    pub lists: bool,
}

impl Statement {
    /// `None`: it has what no grouping of the gateway serves.
    ///
    /// # Safety
    /// Nodes of the current planning.
    pub unsafe fn read(
        root: *mut pg_sys::PlannerInfo,
        stage: pg_sys::UpperRelationKind::Type,
        output: *mut pg_sys::RelOptInfo,
        extra: *mut pg_sys::GroupPathExtraData,
    ) -> Option<Statement> {
        // SAFETY: nodes of the current planning.
        unsafe {
            let parse = (*root).parse;
            let distinct = stage == pg_sys::UpperRelationKind::UPPERREL_DISTINCT;
            let clause = match distinct {
                true => (*parse).distinctClause,
                false => (*parse).groupClause,
            };
            // The groups of one partition are asked for by its own columns.
            let (having, target): (*mut pg_sys::List, _) = match (distinct, is_whole_upper(output)) {
                (true, _) => (std::ptr::null_mut(), (*root).upper_targets[stage as usize]),
                (false, true) => ((*parse).havingQual.cast(), (*root).upper_targets[stage as usize]),
                (false, false) => (extra.as_ref()?.havingQual.cast(), (*output).reltarget),
            };
            let refused = (*parse).hasTargetSRFs
                || (*parse).hasDistinctOn
                || !(*parse).rowMarks.is_null()
                || target.is_null()
                || !is_upper(output)
                || (distinct && crate::compat::needed_grouping(root, true).is_null())
                || pg_sys::contain_volatile_functions((*target).exprs.cast())
                || pg_sys::contain_volatile_functions(having.cast());
            (!refused).then_some(Statement {
                target,
                clause,
                having,
                distinct,
                sets: !distinct && !(*parse).groupingSets.is_null(),
                own: false,
                lists: relation::lists_values(root),
            })
        }
    }
}

/// A grouping that the gateway can be asked for, and how.
pub struct PushedAggregate {
    grouping: Grouping,
    private: AggregatePrivate,
    params: Params,
    statement: Statement,
    groups: f64,
}

impl PushedAggregate {
    /// `None`: the gateway cannot be asked for the grouping.
    ///
    /// # Safety
    /// Nodes of the current planning.
    pub unsafe fn over(
        root: *mut pg_sys::PlannerInfo,
        input: *mut pg_sys::RelOptInfo,
        source: &RemoteRel,
        statement: Statement,
        grouping: Grouping,
    ) -> Option<PushedAggregate> {
        let table = source.table();
        let push = crate::guc::push_switches(&table.server);
        let capabilities = table.dialect().capabilities();
        if !push.aggregates || !capabilities.aggregates || !capabilities.total_count {
            return None;
        }
        // SAFETY: nodes of the current planning.
        unsafe {
            let mut params = Params::default();
            let mut condition = source.whole(root, &mut params)?;
            if !grouping.filter.is_null() {
                let filter = source.exact_clause(root, grouping.filter, &mut params)?;
                condition = Some(Condition::and(condition, filter));
            }
            let (condition, counted) = with_values_counted(source, &grouping, condition)?;

            let groups = expected_groups(root, input, grouping.keys.iter().map(|key| key.var));
            let private = private(source, &grouping, condition, &counted, groups)?;
            // What proves groups is a call more than such rows are.
            if statement.lists && private.verify && fits_page(root, source) {
                return None;
            }
            Some(PushedAggregate {
                grouping,
                private,
                params,
                statement,
                groups,
            })
        }
    }

    /// Whether the values of a column are counted group by group.
    pub fn counts_values(&self) -> bool {
        self.private.valued > 0
    }

    /// The path, with the local one beside it.
    ///
    /// # Safety
    /// Nodes of the current planning.
    pub unsafe fn path(
        self,
        root: *mut pg_sys::PlannerInfo,
        input: *mut pg_sys::RelOptInfo,
        output: *mut pg_sys::RelOptInfo,
        source: &RemoteRel,
    ) -> *mut pg_sys::Path {
        // SAFETY: nodes of the current planning, allocated in its memory context.
        unsafe {
            let server = &source.table().server;
            let Statement { target, having, .. } = self.statement;
            let rows = rows_after(root, self.groups, having);
            let pages = (self.groups / f64::from(source.table().page_size()))
                .ceil()
                .max(1.0);
            let private = &self.private;
            let beside = private.queries.len() - 1 + private.counts.len() + usize::from(private.verify)
                - usize::from(private.first_row.is_some());
            let beside = beside.min(FEW) as f64 * BESIDE + beside.saturating_sub(FEW) as f64;
            // Where values are counted group by group, grouping by few values as well is a call less.
            let beside = beside + f64::from(private.valued) * COUNTED;
            let is_uncounted = |member: &RelMember| {
                relation::state(pg_sys::find_base_rel(root, member.relid as i32)).size == Size::Guessed
            };
            // The first row of an order shows a least or greatest value as well, and needs no verification.
            let is_extreme = |(_, call): &(_, AggregateCall)| {
                matches!(call, AggregateCall::Least(_) | AggregateCall::Greatest(_))
            };
            let is_ordered = self.grouping.keys.is_empty() && self.grouping.aggregates.iter().all(is_extreme);
            let weight = match !is_ordered && source.members.iter().any(is_uncounted) {
                true => cost::UNKNOWN_AGGREGATE,
                false => 1.0,
            };
            let cost = server.fdw_startup_cost * (pages * weight + beside)
                + self.groups * (server.fdw_tuple_cost + pg_sys::cpu_tuple_cost)
                + (*target).cost.startup
                + rows * (*target).cost.per_tuple;
            let local = self.needs_local().then(|| local_path(root, input, output, &self));
            let (expressions, transforms) = self.params.into_parts();
            let private = Private::Aggregate(Box::new(AggregatePrivate {
                transforms,
                ..self.private
            }))
            .to_list()
            .unwrap_or_else(|error| raise_internal(&format!("cannot keep the plan: {error}")));
            let concurrent = source.members.iter().all(|member| member.table.async_capable());
            let columns = self.grouping.columns();
            let carried = carried(private, columns, expressions, having, concurrent);
            crate::compat::create_foreign_upper_path(
                root,
                output,
                target,
                rows,
                cost,
                cost,
                local.unwrap_or(std::ptr::null_mut()),
                carried,
            )
        }
    }

    /// Whether anything found out at execution can make the gateway's answer useless. The number of all rows under a
    /// condition without parameters and doubts is what it is, unless a clock is changed near a point in time of it.
    fn needs_local(&self) -> bool {
        let private = &self.private;
        let has_moments = || {
            let filter = private.queries.first().and_then(|query| query.filter.as_ref());
            let is_moment = |value: &intacct::Value| matches!(value, intacct::Value::Instant(_));
            filter.is_some_and(|filter| filter.values().into_iter().any(is_moment))
        };
        !private.only_count
            || private.joined
            || !private.doubts.is_empty()
            || !self.params.is_empty()
            || has_moments()
    }
}

/// Whether all rows are known to come with one page.
unsafe fn fits_page(root: *mut pg_sys::PlannerInfo, source: &RemoteRel) -> bool {
    source.members.iter().all(|member| {
        // SAFETY: a table of the current planning.
        let rows = unsafe { relation::known_rows(pg_sys::find_base_rel(root, member.relid as i32)) };
        rows.is_some_and(|rows| rows <= f64::from(member.table.page_size()))
    })
}

/// What a path of this room carries to [`plan`]: the private value, the scan's columns, its expressions, the conditions on
/// its rows, and a mark where it may be read at the same time as its siblings.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn carried(
    private: *mut pg_sys::List,
    columns: impl Iterator<Item = (*mut pg_sys::Expr, pg_sys::Index)>,
    expressions: *mut pg_sys::List,
    having: *mut pg_sys::List,
    concurrent: bool,
) -> *mut pg_sys::List {
    let mut entries = PgList::<pg_sys::TargetEntry>::new();
    let mut mark = PgList::<pg_sys::Node>::new();
    // SAFETY: nodes of the current planning, allocated in its memory context.
    unsafe {
        for (number, (expression, _)) in columns.enumerate() {
            let none = std::ptr::null_mut();
            entries.push(pg_sys::makeTargetEntry(
                expression,
                number as i16 + 1,
                none,
                false,
            ));
        }
        if concurrent {
            mark.push(pg_sys::makeBoolean(true).cast());
        }
    }
    let mut carried = PgList::<pg_sys::List>::new();
    for list in [private, entries.into_pg(), expressions, having, mark.into_pg()] {
        carried.push(list);
    }
    carried.into_pg()
}

/// How many groups are left behind HAVING.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn rows_after(root: *mut pg_sys::PlannerInfo, groups: f64, having: *mut pg_sys::List) -> f64 {
    if having.is_null() {
        return groups;
    }
    let (inner, none) = (pg_sys::JoinType::JOIN_INNER, std::ptr::null_mut());
    // SAFETY: nodes of the current planning.
    let selectivity = unsafe { pg_sys::clauselist_selectivity(root, having, 0, inner, none) };
    (groups * selectivity).max(1.0)
}

/// The same grouping done here, with the columns of the pushed one.
unsafe fn local_path(
    root: *mut pg_sys::PlannerInfo,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    pushed: &PushedAggregate,
) -> *mut pg_sys::Path {
    // SAFETY: nodes of the current planning, allocated in its memory context.
    unsafe {
        let target = pg_sys::create_empty_pathtarget();
        for (expression, mark) in pushed.grouping.columns() {
            pg_sys::add_column_to_pathtarget(target, expression, mark);
        }
        let target = pg_sys::set_pathtarget_cost_width(root, target);
        let rows = (*input).cheapest_total_path;
        let (clause, rows) = match pushed.statement.own {
            true => (pushed.statement.clause, bare_rows(root, input, &pushed.grouping)),
            false => (
                crate::compat::needed_grouping(root, pushed.statement.distinct),
                rows,
            ),
        };
        // What has no key but constants is one group, and none where there is no row.
        let is_one = clause.is_null() && !pushed.grouping.is_whole();
        let mut having = std::ptr::null_mut();
        let strategy = if pushed.grouping.is_whole() {
            pg_sys::AggStrategy::AGG_PLAIN
        } else if is_one && pushed.statement.own {
            having = has_rows(pushed.grouping.aggregates.iter().map(|(aggregate, _)| *aggregate));
            pg_sys::AggStrategy::AGG_PLAIN
        } else if is_one {
            // From PostgreSQL 16 on, where the statement's own keys are all the same.
            pg_sys::AggStrategy::AGG_SORTED
        } else {
            pg_sys::AggStrategy::AGG_HASHED
        };
        let costs = pg_sys::AggClauseCosts::default();
        pg_sys::create_agg_path(
            root,
            output,
            rows,
            target,
            strategy,
            pg_sys::AggSplit::AGGSPLIT_SIMPLE,
            clause,
            having,
            &costs,
            pushed.groups,
        )
        .cast()
    }
}

/// The path that groups rows here, with these columns, by `keys`; without keys there is one group, of no rows too if it is
/// `whole`. `None`: keys cannot be hashed.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn groups_of_rows(
    root: *mut pg_sys::PlannerInfo,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    target: *mut pg_sys::PathTarget,
    keys: &[*mut pg_sys::Node],
    aggregates: &[*mut pg_sys::Aggref],
    whole: bool,
) -> Option<*mut pg_sys::Path> {
    // SAFETY: nodes of the current planning, allocated in its memory context.
    unsafe {
        let mut clauses = PgList::<pg_sys::SortGroupClause>::new();
        let columns = pg_sys::create_empty_pathtarget();
        for (mark, key) in (1..).zip(keys) {
            clauses.push(grouping::clause(*key, mark)?);
            pg_sys::add_column_to_pathtarget(columns, key.cast(), mark);
        }
        for aggregate in aggregates {
            let read =
                pg_sys::pull_var_clause((**aggregate).args.cast(), pg_sys::PVC_RECURSE_PLACEHOLDERS as i32);
            for column in PgList::<pg_sys::Expr>::from_pg(read).iter_ptr() {
                pg_sys::add_new_column_to_pathtarget(columns, column);
            }
        }
        let columns = pg_sys::set_pathtarget_cost_width(root, columns);
        let rows = pg_sys::create_projection_path(root, input, (*input).cheapest_total_path, columns);
        let strategy = match keys.is_empty() {
            true => pg_sys::AggStrategy::AGG_PLAIN,
            false => pg_sys::AggStrategy::AGG_HASHED,
        };
        let having = match keys.is_empty() && !whole {
            true => has_rows(aggregates.iter().copied()),
            false => std::ptr::null_mut(),
        };
        let groups = expected_groups(root, input, keys.iter().copied());
        let path = pg_sys::create_agg_path(
            root,
            output,
            rows.cast(),
            target,
            strategy,
            pg_sys::AggSplit::AGGSPLIT_SIMPLE,
            clauses.into_pg(),
            having,
            &pg_sys::AggClauseCosts::default(),
            groups,
        );
        Some(path.cast())
    }
}

/// The condition that a grouping has a row, over its aggregates and one more, which is numbered behind them.
unsafe fn has_rows(aggregates: impl Iterator<Item = *mut pg_sys::Aggref>) -> *mut pg_sys::List {
    // SAFETY: nodes made here; count(*) takes nothing and returns a bigint.
    unsafe {
        let rows = nodes::aggregate(pg_sys::F_COUNT_, pg_sys::INT8OID, None, std::ptr::null_mut());
        let numbers = aggregates.map(|aggregate| (*aggregate).aggno);
        let next = numbers.max().map_or(0, |last| last + 1);
        ((*rows).aggno, (*rows).aggtransno) = (next, next);
        nodes::list([nodes::is_positive(rows.cast())])
    }
}

/// Rows with the bare columns of a grouping, its keys marked: those that the planner has prepared hold the statement's keys.
unsafe fn bare_rows(
    root: *mut pg_sys::PlannerInfo,
    input: *mut pg_sys::RelOptInfo,
    grouping: &Grouping,
) -> *mut pg_sys::Path {
    // SAFETY: nodes of the current planning, allocated in its memory context.
    unsafe {
        let columns = pg_sys::create_empty_pathtarget();
        for key in &grouping.keys {
            pg_sys::add_column_to_pathtarget(columns, key.var.cast(), key.mark);
        }
        for key in &grouping.constants {
            pg_sys::add_column_to_pathtarget(columns, key.var.cast(), key.mark);
        }
        for (aggregate, _) in &grouping.aggregates {
            for column in
                PgList::<pg_sys::Expr>::from_pg(pg_sys::pull_var_clause((**aggregate).args.cast(), 0))
                    .iter_ptr()
            {
                pg_sys::add_new_column_to_pathtarget(columns, column);
            }
        }
        let columns = pg_sys::set_pathtarget_cost_width(root, columns);
        pg_sys::create_projection_path(root, input, (*input).cheapest_total_path, columns).cast()
    }
}

/// How many groups the planner expects; one where nothing is grouped by.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn expected_groups(
    root: *mut pg_sys::PlannerInfo,
    input: *mut pg_sys::RelOptInfo,
    keys: impl Iterator<Item = *mut pg_sys::Node>,
) -> f64 {
    let mut list = PgList::<pg_sys::Node>::new();
    for key in keys {
        list.push(key);
    }
    if list.is_empty() {
        return 1.0;
    }
    let none = std::ptr::null_mut();
    // SAFETY: nodes of the current planning.
    unsafe { pg_sys::estimate_num_groups(root, list.into_pg(), (*input).rows, none, std::ptr::null_mut()) }
}

/// The condition under which counting rows counts values: rows without a value are left out where no other aggregate
/// misses them. Else the fields whose values are counted apart. `None`: it cannot be had.
fn with_values_counted(
    source: &RemoteRel,
    grouping: &Grouping,
    condition: Option<Condition>,
) -> Option<(Option<Condition>, Vec<String>)> {
    let has_value = |field: &str| {
        source
            .row_key()
            .is_some_and(|row_key| row_key.eq_ignore_ascii_case(field))
            || condition
                .as_ref()
                .is_some_and(|condition| excludes_null(condition, field))
    };
    let mut counted: Vec<String> = Vec::new();
    for (_, call) in &grouping.aggregates {
        if let Some(field) = call
            .field()
            .filter(|field| call.counts_values() && !has_value(field))
            && !counted.iter().any(|known| known == field)
        {
            counted.push(field.to_owned());
        }
    }
    let Some(field) = counted.first() else {
        return Some((condition, counted));
    };
    let alone = grouping
        .aggregates
        .iter()
        .all(|(_, call)| call.field() == Some(field));
    let representable = source.table().dialect().capabilities().operators.is_not_null;
    // An aggregate over a group key is not asked for.
    let is_key = |field: &String| {
        let mut keys = grouping.keys.iter();
        keys.any(|key| key.field.eq_ignore_ascii_case(field))
    };
    if counted.iter().any(is_key) || !representable || !source.push_where {
        return None;
    }
    // Rows without a value are a group of their constant keys all the same.
    Some(match alone && grouping.is_whole() {
        true => (Some(Condition::and(condition, valued(field))), Vec::new()),
        false => (condition, counted),
    })
}

/// The rows in which a field has a value.
fn valued(field: &str) -> Condition {
    Condition::IsNull {
        field: field.to_owned(),
        negated: true,
    }
}

/// What the executor gets; `None`: not all of it can be asked for, or the answer could not be trusted.
fn private(
    source: &RemoteRel,
    grouping: &Grouping,
    condition: Option<Condition>,
    counted: &[String],
    groups: f64,
) -> Option<AggregatePrivate> {
    let table = source.table();
    let constants = (0..grouping.constants.len()).map(|number| AggregateOutput::Constant(number as u16));
    let only_count = grouping.keys.is_empty()
        && grouping
            .aggregates
            .iter()
            .all(|(_, call)| matches!(call, AggregateCall::CountRows | AggregateCall::Count(_)));
    // Whether the gateway makes a group of the rows without a key is not known (fact 30); only adding up shows.
    let complete = |key: &grouping::GroupKey| {
        !key.nullable
            || condition
                .as_ref()
                .is_some_and(|condition| excludes_null(condition, &key.field))
    };
    // That is asked whatever the option says: the other way would be to read the rows.
    let verify = !only_count && (table.server.verify_aggregates || !grouping.keys.iter().all(complete));
    // Dotted fields may not be sorted by, and without an order one page is all that can be had.
    let pages = grouping.keys.iter().all(|key| !key.field.contains('.'));
    let most = if pages {
        MOST_GROUPS
    } else {
        f64::from(table.page_size())
    };
    if groups > most {
        return None;
    }

    let keys: Vec<String> = grouping.keys.iter().map(|key| key.field.clone()).collect();
    let counts_apart = |call: &AggregateCall| {
        let field = call.field().filter(|_| call.counts_values())?;
        let number = counted.iter().position(|counted| counted == field)?;
        Some(number as u16)
    };
    let mut first_row = None;
    let (selects, outputs) = if only_count {
        let some_field = || {
            let plain = |field: &&str| !field.contains('.');
            let columns = table.columns.iter().filter(|column| column.is_field());
            columns.map(|column| column.field.as_str()).find(plain)
        };
        let field = source.row_key().or_else(some_field)?;
        let output = |(_, call): &(_, AggregateCall)| {
            counts_apart(call).map_or(AggregateOutput::Rows, AggregateOutput::Values)
        };
        let outputs = constants.chain(grouping.aggregates.iter().map(output)).collect();
        (vec![vec![SelectItem::Field(field.to_owned())]], outputs)
    } else {
        let mut requests = Requests::new(keys.clone(), source.row_key()?);
        let mut outputs: Vec<_> = (0..keys.len() as u16).map(AggregateOutput::Key).collect();
        let mut found = vec![AggregateOutput::Rows; grouping.aggregates.len()];
        // Least values last: if one query can be spared, it is better one whose order begins with the rows that have a
        // value wherever NULL is above all of them.
        let (least, others): (Vec<_>, Vec<_>) = (grouping.aggregates.iter().zip(&mut found))
            .partition(|((_, call), _)| matches!(call, AggregateCall::Least(_)));
        for ((_, call), output) in others.into_iter().chain(least) {
            *output = match (counts_apart(call), requests.output(call)?) {
                (Some(number), AggregateOutput::Rows) => AggregateOutput::Values(number),
                (Some(number), AggregateOutput::Average(place, _)) => {
                    AggregateOutput::Average(place, Some(number))
                }
                (_, output) => output,
            };
        }
        outputs.extend(constants);
        outputs.extend(found);
        let sorts = table.dialect().capabilities().order && crate::guc::push_switches(&table.server).order;
        // Whether the gateway sorts by a path is not known (fact 14).
        first_row = requests
            .spared()
            .filter(|first| verify && grouping.is_whole() && sorts && !first.field.contains('.'));
        (requests.selects(), outputs)
    };
    let order = if pages && !only_count {
        keys.as_slice()
    } else {
        &[]
    };
    let query = |select, filter: &Option<Condition>| {
        let mut query = Query::new(table.options.object.clone());
        query.docparid = table.options.docparid.clone();
        query.select = select;
        query.filter = filter.clone();
        query.order_by = order
            .iter()
            .map(|field| OrderKey {
                field: field.clone(),
                descending: false,
            })
            .collect();
        query.show_private = table.asks_private();
        query.missing_as_null = table.options.missing_as_null;
        query
    };
    let with_value = |field: &String| Some(Condition::and(condition.clone(), valued(field)));
    let mut queries: Vec<Query> = selects
        .into_iter()
        .map(|select| query(select, &condition))
        .collect();
    let mut counts = Vec::new();
    for field in counted {
        let row_key = source.row_key().unwrap_or(field).to_owned();
        if keys.is_empty() {
            counts.push(query(vec![SelectItem::Field(row_key)], &with_value(field)));
        } else {
            let count = SelectItem::Aggregate {
                function: AggregateFunction::Count,
                field: row_key,
            };
            let keys = keys.iter().cloned().map(SelectItem::Field);
            queries.push(query(keys.chain([count]).collect(), &with_value(field)));
        }
    }
    let valued = match keys.is_empty() {
        true => 0,
        false => counted.len() as u16,
    };
    let formatted = |class| class != crate::catalog::ValueClass::Text;
    let mut doubts = source.doubts(condition.as_ref());
    // What verifies the numbers settles texts by the way.
    let texts = match verify {
        true => std::mem::take(&mut doubts.texts),
        false => Vec::new(),
    };
    Some(AggregatePrivate {
        transforms: Vec::new(),
        relation: source.relation(),
        joined: source.members.len() > 1,
        doubts,
        counts,
        valued,
        first_row,
        queries,
        dialect: table.dialect(),
        keys: grouping.keys.iter().map(|key| key.class).collect(),
        key_kinds: grouping.keys.iter().map(|key| key.kind).collect(),
        outputs,
        constants: grouping.constants.iter().map(|key| key.value.clone()).collect(),
        grouped: !grouping.is_whole(),
        only_count,
        verify,
        texts,
        pages,
        need_formatting: !only_count
            && (grouping.keys.iter().any(|key| formatted(key.class)) || !grouping.aggregates.is_empty()),
    })
}

/// Whether the relation is one that `get_foreign_upper_paths` made a path for.
///
/// # Safety
/// `rel` must be a relation of the current planning.
pub unsafe fn is_upper(rel: *mut pg_sys::RelOptInfo) -> bool {
    use pg_sys::RelOptKind::{RELOPT_OTHER_UPPER_REL, RELOPT_UPPER_REL};
    // SAFETY: the caller guarantees a valid node.
    unsafe { matches!((*rel).reloptkind, RELOPT_UPPER_REL | RELOPT_OTHER_UPPER_REL) }
}

/// The same of one that is not a partition's.
///
/// # Safety
/// As [`is_upper`].
pub unsafe fn is_whole_upper(rel: *mut pg_sys::RelOptInfo) -> bool {
    // SAFETY: the caller guarantees a valid node.
    unsafe { (*rel).reloptkind == pg_sys::RelOptKind::RELOPT_UPPER_REL }
}
