//! The planner's side of a scan: sizes, paths, and the plan with its [`Query`].

mod aggregate;
mod concurrent;
mod constants;
pub mod cost;
mod estimate;
mod final_;
mod join;
mod limit;
pub mod lookup;
mod parameterized;
pub mod private;
pub mod qual;
mod sort;
mod source;
mod upper;

use crate::catalog::ForeignTable;
use crate::error::{Report, raise, raise_internal};
use crate::guc;
use crate::options::PushSwitches;
use crate::plan::private::{Part, Private, ScanPrivate};
pub use concurrent::is_foreign_path_async_capable;
pub use estimate::count;
use intacct::{Condition, Doubts, OrderKey, Query, SelectItem};
pub use join::get_foreign_join_paths;
use pgrx::{PgList, PgMemoryContexts, PgSqlErrorCode, is_a, pg_guard, pg_sys};
use qual::{Known, Params, Translator};
use std::rc::Rc;
pub use upper::get_foreign_upper_paths;

/// What planning one table needs to remember between its callbacks.
struct RelationState {
    table: Rc<ForeignTable>,
    push: PushSwitches,
    /// What its conditions were translated to.
    known: Known,
    /// Where its number of rows comes from.
    size: Size,
    /// The first page may be all that the statement takes.
    brief: bool,
}

/// Where the number of a table's rows comes from.
#[derive(Clone, Copy, PartialEq)]
enum Size {
    /// What ANALYZE has found.
    Analyzed,
    /// The gateway has counted, while planning, those under the conditions that it can check.
    Counted(f64),
    /// Nobody has.
    Guessed,
}

/// The state made by [`get_foreign_rel_size`].
///
/// # Safety
/// `rel` must be a relation that passed through it in this planning.
unsafe fn state<'a>(rel: *mut pg_sys::RelOptInfo) -> &'a RelationState {
    // SAFETY: the pointer was set by get_foreign_rel_size and lives as long as the planner's memory context.
    unsafe { &*(*rel).fdw_private.cast::<RelationState>() }
}

/// Loads the table and estimates the rows that its conditions leave.
#[pg_guard]
pub unsafe extern "C-unwind" fn get_foreign_rel_size(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    relid: pg_sys::Oid,
) {
    let table = ForeignTable::load(relid).unwrap_or_else(|error| raise(error));
    let push = guc::push_switches(&table.server);
    // SAFETY: planner callback on the main thread; the state is dropped with the planner's memory context.
    unsafe {
        let unknown = (*rel).tuples < 0.0 || ((*rel).tuples == 0.0 && (*rel).pages == 0);
        if unknown {
            (*rel).tuples = cost::UNKNOWN_ROWS;
        }
        let state = PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(RelationState {
            table,
            push,
            known: Known::default(),
            size: Size::Analyzed,
            brief: false,
        });
        (*rel).fdw_private = state.cast();
        constants::decide(rel, &(*state).table);
        pg_sys::set_baserel_size_estimates(root, rel);
        if let Some(counted) = estimate::counted_rows(root, rel, &*state) {
            (*rel).tuples = (*rel).tuples.max(counted);
            (*rel).rows = pg_sys::clamp_row_est(counted);
            (*state).size = Size::Counted(counted);
        } else if unknown {
            (*rel).rows = estimate::guessed_rows(root, rel, &*state);
            (*state).size = Size::Guessed;
        }
        (*state).brief = concurrent::is_brief(root, rel, &(*state).table);
    }
}

/// Offers the ways to read the table: as it comes, in the order that the query wants, and by join keys.
#[pg_guard]
pub unsafe extern "C-unwind" fn get_foreign_paths(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    _relid: pg_sys::Oid,
) {
    // SAFETY: planner callback on the main thread, after get_foreign_rel_size.
    unsafe {
        let state = state(rel);
        let clauses = clauses((*rel).baserestrictinfo);
        let mut translator = state.translator(root, rel);
        let remote = if state.push.where_ {
            translator.translate_all(&clauses)
        } else {
            None
        };
        let rows_fetched = match (state.size, &remote) {
            (Size::Counted(counted), _) => counted.max((*rel).rows),
            (_, Some(_)) => (*rel).rows,
            (_, None) => (*rel).tuples,
        };
        let filter = remote.as_ref().map(|pushed| &pushed.condition);

        add_path(root, rel, rows_fetched, 1, std::ptr::null_mut());
        if state.push.order
            && let Some(order) =
                sort::push(&state.table, rel, &[(*rel).relid], (*root).query_pathkeys, filter)
        {
            let pathkeys = first((*root).query_pathkeys, order.satisfied);
            add_path(root, rel, rows_fetched, order.parts.len(), pathkeys);
        }
        if state.push.order {
            for pathkeys in sort::useful_for_merging(root, rel) {
                // Sorting here is cheaper than a request for the rows without a value.
                if let Some(order) = sort::push(&state.table, rel, &[(*rel).relid], pathkeys, filter)
                    && order.parts.len() == 1
                {
                    add_path(root, rel, rows_fetched, order.parts.len(), pathkeys);
                }
            }
        }
        if state.push.where_ {
            parameterized::add_paths(root, rel, state);
        }
    }
}

/// Adds a path that fetches `rows` in `parts` slices and delivers `pathkeys`.
unsafe fn add_path(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    rows: f64,
    parts: usize,
    pathkeys: *mut pg_sys::List,
) {
    // SAFETY: as the callers.
    unsafe {
        let cost = cost::scan(
            &state(rel).table,
            rows,
            parts,
            local_cost(rel),
            pg_sys::cpu_tuple_cost,
        );
        let path = crate::compat::create_foreignscan_path(
            root,
            rel,
            (*rel).rows,
            cost.startup + (*rel).baserestrictcost.startup,
            cost.total + (*rel).baserestrictcost.startup,
            pathkeys,
            (*rel).lateral_relids,
            std::ptr::null_mut(),
        );
        pg_sys::add_path(rel, path);
    }
}

/// What checking the conditions costs for one row: all of them are checked here as well.
unsafe fn local_cost(rel: *mut pg_sys::RelOptInfo) -> f64 {
    // SAFETY: as the callers.
    unsafe { (*rel).baserestrictcost.per_tuple }
}

/// The members of a list of clauses.
unsafe fn clauses(list: *mut pg_sys::List) -> Vec<*mut pg_sys::RestrictInfo> {
    // SAFETY: as the callers.
    unsafe { PgList::<pg_sys::RestrictInfo>::from_pg(list) }
        .iter_ptr()
        .collect()
}

/// The first `count` members of a list.
unsafe fn first(list: *mut pg_sys::List, count: usize) -> *mut pg_sys::List {
    let mut head = PgList::<pg_sys::Node>::new();
    // SAFETY: as the callers.
    for node in unsafe { PgList::<pg_sys::Node>::from_pg(list) }
        .iter_ptr()
        .take(count)
    {
        head.push(node);
    }
    head.into_pg()
}

impl RelationState {
    fn translator(&self, root: *mut pg_sys::PlannerInfo, rel: *mut pg_sys::RelOptInfo) -> Translator<'_> {
        Translator {
            table: &self.table,
            known: &self.known,
            // SAFETY: a valid relation of the current planning.
            relid: unsafe { (*rel).relid },
            root,
            params: Params::default(),
            may_disregard_case: true,
            depth: 0,
        }
    }
}

/// Makes the plan: the query for the gateway, and the conditions to check here.
#[pg_guard]
pub unsafe extern "C-unwind" fn get_foreign_plan(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    _relid: pg_sys::Oid,
    best_path: *mut pg_sys::ForeignPath,
    target_list: *mut pg_sys::List,
    scan_clauses: *mut pg_sys::List,
    outer_plan: *mut pg_sys::Plan,
) -> *mut pg_sys::ForeignScan {
    // SAFETY: planner callback on the main thread, after get_foreign_rel_size.
    unsafe {
        if aggregate::is_upper(rel) {
            return aggregate::plan(best_path, target_list, outer_plan);
        }
        if (*rel).reloptkind == pg_sys::RelOptKind::RELOPT_JOINREL {
            return join::plan(root, rel, (*best_path).path.pathkeys, target_list, outer_plan);
        }
        let state = state(rel);
        let table = &state.table;
        let mut translator = state.translator(root, rel);
        let clauses = clauses(scan_clauses);
        let remote = if state.push.where_ {
            translator.translate_all(&clauses)
        } else {
            None
        };
        let case_insensitive = remote.as_ref().is_some_and(|pushed| pushed.case_insensitive);
        let mut filter = remote.map(|pushed| pushed.condition);

        let pathkeys = (*best_path).path.pathkeys;
        let pushed_order = if pathkeys.is_null() {
            None
        } else {
            sort::push(table, rel, &[(*rel).relid], pathkeys, filter.as_ref())
        };
        let any_order = pushed_order.is_none();
        let nullable = pushed_order.as_ref().is_some_and(|order| order.nullable);
        let assumed = pushed_order.as_ref().map(|order| order.assumed.clone());
        let (mut keys, parts) = match pushed_order {
            Some(order) if order.satisfied < PgList::<pg_sys::Node>::from_pg(pathkeys).len() => {
                raise_internal("the order that a path promised cannot be kept")
            }
            Some(order) => (order.keys, order.parts),
            None => (row_order(table), vec![Part::Whole]),
        };
        let finish = if final_::is_final(best_path) {
            final_::finish(root, &mut translator.params)
        } else {
            None
        };
        let wanted = if finish.is_some() {
            None
        } else if state.push.limit {
            limit::wanted(root, rel, pathkeys, &mut translator.params)
        } else {
            None
        };
        if let Some(always) = table.options.filter.clone() {
            filter = Some(match filter {
                Some(asked) => Condition::and(Some(always), asked),
                None => always,
            });
        }

        let local = pg_sys::extract_actual_clauses(scan_clauses, false);
        let mut used = used_columns(root, rel, local);
        let generated: Vec<i16> = table
            .columns
            .iter()
            .filter(|column| column.is_stored() && used.contains(column.attnum))
            .map(|column| column.attnum)
            .collect();
        let updated = crate::modify::brings_updated_rows(root, rel);
        for attnum in crate::exec::sources(table, |attnum| updated || generated.contains(&attnum)) {
            used.add(attnum);
        }
        let mut select = Select::default();
        for key in &keys {
            select.index(&key.field);
        }
        let row_key = table.options.row_key.as_deref().map(|key| select.index(key));
        let (mut columns, mut lines) = (Vec::new(), Vec::new());
        let mut need_formatting = false;
        for column in table.columns.iter().filter(|column| used.contains(column.attnum)) {
            if column.is_lines() {
                lines.push((column.attnum, column.field.clone()));
            } else if column.is_field() {
                columns.push((column.attnum, select.index(&column.field)));
                need_formatting |= crate::convert::inward::Converter::needs_formatting(column.type_oid);
            }
        }
        if !lines.is_empty() && row_key.is_none() {
            raise(lines_without_key(table));
        }
        if select.fields.is_empty() {
            // Only the number of rows matters, but something must be asked for.
            match table.columns.iter().find(|column| column.is_field()) {
                Some(column) => select.index(&column.field),
                None => select.index("RECORDNO"),
            };
        }
        let keyset = table.row_key_is_number() && !nullable && keys_are_comparable(table, &keys);
        if keys.is_empty() {
            // Without a key only an order over all that is read makes pages stable; dotted fields may not be sorted by. They
            // follow from what the object itself has.
            if select.fields.iter().any(|field| field.contains('.')) {
                let own = table.columns.iter().filter(|column| column.is_field());
                for column in own.filter(|column| !column.field.contains('.')) {
                    select.index(&column.field);
                }
            }
            keys = select
                .fields
                .iter()
                .filter(|field| !field.contains('.'))
                .map(|field| OrderKey {
                    field: field.clone(),
                    descending: false,
                })
                .collect();
        }

        let mut query = Query::new(table.options.object.clone());
        query.docparid = table.options.docparid.clone();
        query.select = select.fields.into_iter().map(SelectItem::Field).collect();
        query.filter = filter;
        query.order_by = if table.dialect().capabilities().order {
            keys
        } else {
            Vec::new()
        };
        query.limit = match finish {
            Some(finish) => finish.limit,
            None => wanted.map(|wanted| wanted.rows()),
        };
        query.offset = finish.map(|finish| finish.offset);
        query.case_insensitive = case_insensitive;
        query.show_private = table.asks_private();
        query.missing_as_null = table.options.missing_as_null;
        let (expressions, shapes) = translator.params.into_parts();
        let private = ScanPrivate {
            query,
            shapes,
            dialect: table.dialect(),
            parts,
            columns,
            lines,
            generated,
            row_key,
            keyset,
            any_order,
            assumed: assumed.unwrap_or_default(),
            wanted,
            finish,
            need_formatting,
            joined: None,
            doubts: Doubts::default(),
        };
        let private = Private::Scan(Box::new(private))
            .to_list()
            .unwrap_or_else(|error| raise_internal(&format!("cannot keep the plan: {error}")));
        pg_sys::make_foreignscan(
            target_list,
            local,
            (*rel).relid,
            expressions,
            private,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            outer_plan,
        )
    }
}

/// What is said when lines are wanted of records that cannot be told apart.
fn lines_without_key(table: &ForeignTable) -> Report {
    Report::new(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        format!(
            "the lines of {} cannot be read without a record number",
            table.options.object
        ),
    )
    .hint("Set the table option row_key, or drop the columns of lines.")
}

/// The order in which an unsorted scan reads, so that its pages are stable.
fn row_order(table: &ForeignTable) -> Vec<OrderKey> {
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
/// text might be compared in ways that nobody has described.
fn keys_are_comparable(table: &ForeignTable, keys: &[OrderKey]) -> bool {
    use crate::catalog::ValueClass;
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
struct Select {
    fields: Vec<String>,
}

impl Select {
    /// The place of a field, which is added when it is new.
    fn index(&mut self, field: &str) -> u16 {
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

/// Attribute numbers that the statement reads.
struct UsedColumns {
    numbers: *mut pg_sys::Bitmapset,
}

impl UsedColumns {
    fn add(&mut self, attnum: i16) {
        let number = i32::from(attnum) - pg_sys::FirstLowInvalidHeapAttributeNumber;
        // SAFETY: a valid bitmap set of the current planning, which may move.
        self.numbers = unsafe { pg_sys::bms_add_member(self.numbers, number) };
    }

    fn contains(&self, attnum: i16) -> bool {
        let has = |number: i32| {
            // SAFETY: a valid bitmap set, and a member above zero.
            unsafe {
                pg_sys::bms_is_member(number - pg_sys::FirstLowInvalidHeapAttributeNumber, self.numbers)
            }
        };
        // Attribute 0 is the whole row.
        has(attnum.into()) || has(0)
    }
}

/// The columns that the target list above the scan or a local condition names.
unsafe fn used_columns(
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
        if !crate::modify::needs_whole_row(root, rel) {
            numbers = pg_sys::bms_del_member(numbers, -pg_sys::FirstLowInvalidHeapAttributeNumber);
        }
    }
    UsedColumns { numbers }
}

/// An expression without the casts around it that change its type and nothing of its value (varchar to text).
///
/// # Safety
/// `expression` must be null or a valid expression node.
unsafe fn unrelabelled(expression: *mut pg_sys::Node) -> *mut pg_sys::Node {
    let mut node = expression;
    // SAFETY: the caller vouches for the node; its type is checked before the cast.
    unsafe {
        while !node.is_null() && is_a(node, pg_sys::NodeTag::T_RelabelType) {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
    }
    node
}
