//! Planner callbacks of a foreign scan: size, paths, and the plan with its [`Query`].

use super::columns::{
    Select, brings_updated_rows, keys_are_comparable, read_by_generated, row_order, used_columns,
};
use super::nodes::{clauses, first};
use super::qual::TranslationCache;
use super::relation::{RelationState, Size, known_rows, lists_values, state};
use super::{aggregate, constants, cost, estimate, join, limit, offset, parameterized, sort};
use crate::catalog::ForeignTable;
use crate::error::{Report, raise, raise_internal};
use crate::guc;
use crate::private::{Private, ScanPart, ScanPrivate};
use intacct::{Condition, Doubts, OrderKey, Query, SelectItem};
use pgrx::{PgList, PgMemoryContexts, PgSqlErrorCode, pg_guard, pg_sys};

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
            known: TranslationCache::default(),
            size: Size::Analyzed,
            fits_first_page: false,
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
        (*state).fits_first_page = limit::fits_first_page(root, rel, &(*state).table);
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
            && let Some(order) = sort::push(
                root,
                &state.table,
                rel,
                &[(*rel).relid],
                (*root).query_pathkeys,
                filter,
            )
        {
            let pathkeys = first((*root).query_pathkeys, order.satisfied);
            add_path(root, rel, rows_fetched, order.parts.len(), pathkeys);
        }
        if state.push.order {
            for pathkeys in sort::useful_for_merging(root, rel) {
                // Sorting here is cheaper than a request for the rows without a value.
                if let Some(order) = sort::push(root, &state.table, rel, &[(*rel).relid], pathkeys, filter)
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
    // SAFETY: nodes of the current planning, as for all callers.
    unsafe {
        let mut cost = cost::scan(
            &state(rel).table,
            rows,
            parts,
            cost::local_cost(rel),
            pg_sys::cpu_tuple_cost,
        );
        // A list of values that comes with one page is better sorted here than read in two parts.
        let page = f64::from(state(rel).table.page_size());
        if parts > 1 && lists_values(root) && known_rows(rel).is_some_and(|rows| rows <= page) {
            cost.total += (parts - 1) as f64 * state(rel).table.server.fdw_startup_cost;
        }
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

/// Makes the plan: the query for the gateway, and the conditions to check locally.
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
        if join::is_join(rel) {
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
            sort::push(root, table, rel, &[(*rel).relid], pathkeys, filter.as_ref())
        };
        let any_order = pushed_order.is_none();
        let nullable = pushed_order.as_ref().is_some_and(|order| order.nullable);
        let assumed = pushed_order.as_ref().map(|order| order.assumed.clone());
        let (mut keys, parts) = match pushed_order {
            Some(order) if order.satisfied < PgList::<pg_sys::Node>::from_pg(pathkeys).len() => {
                raise_internal("a path's order cannot be pushed down")
            }
            Some(order) => (order.keys, order.parts),
            None => (row_order(table), vec![ScanPart::Whole]),
        };
        let finish = if offset::is_final(best_path) {
            offset::finish(root, &mut translator.params)
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
        let updated = brings_updated_rows(root, rel);
        for attnum in read_by_generated(table, |attnum| updated || generated.contains(&attnum)) {
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
        let (expressions, transforms) = translator.params.into_parts();
        let private = ScanPrivate {
            query,
            transforms,
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
            lookup_keys: Vec::new(),
            constants: Vec::new(),
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

/// The error when lines are wanted of records that cannot be distinguished.
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
