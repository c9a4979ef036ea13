//! Joins along many-to-one relations: the parent's fields by a dotted path, in the request for the child.
//!
//! Which joins, and why the rows are PostgreSQL's: `docs/pushdown.md`. Beside the pushed join stands a local one
//! (`fdw_outerpath`), which runs when something is found out at execution that the plan could not know.

use super::cost;
use super::private::{Part, Private, ScanPrivate};
use super::qual::Params;
use super::source::{Hop, Member, Source};
use super::{Select, keys_are_comparable, limit, row_order};
use crate::catalog::{ForeignTable, ValueClass};
use crate::error::raise_internal;
use intacct::{Condition, Query, SelectItem};
use pgrx::{PgList, PgMemoryContexts, is_a, pg_guard, pg_sys};

/// What planning a join needs to remember between its callbacks.
struct JoinState {
    source: Source<'static>,
    /// The columns of the join's rows. The planner puts expressions over them into the relation's target later.
    columns: *mut pg_sys::List,
}

/// The source that was found for a join relation.
///
/// # Safety
/// `rel` must be a join relation of the current planning whose private state is ours or absent.
pub unsafe fn source<'a>(rel: *mut pg_sys::RelOptInfo) -> Option<&'a Source<'a>> {
    // SAFETY: passed through.
    unsafe { state(rel) }.map(|state| &state.source)
}

unsafe fn state<'a>(rel: *mut pg_sys::RelOptInfo) -> Option<&'a JoinState> {
    // SAFETY: set by get_foreign_join_paths, and lives as long as the planner's memory context.
    unsafe { (*rel).fdw_private.cast::<JoinState>().as_ref() }
}

/// Offers to read a join in one request.
#[pg_guard]
pub unsafe extern "C-unwind" fn get_foreign_join_paths(
    root: *mut pg_sys::PlannerInfo,
    joined: *mut pg_sys::RelOptInfo,
    outer: *mut pg_sys::RelOptInfo,
    inner: *mut pg_sys::RelOptInfo,
    kind: pg_sys::JoinType::Type,
    extra: *mut pg_sys::JoinPathExtraData,
) {
    // SAFETY: planner callback on the main thread with nodes of the current planning.
    unsafe {
        // Once found for one order of joining, the request is the same for every other.
        if !(*joined).fdw_private.is_null() || !(*joined).lateral_relids.is_null() {
            return;
        }
        // Rows that are locked or checked again are named by more than their columns.
        if !(*root).rowMarks.is_null() || (*(*root).parse).commandType != pg_sys::CmdType::CMD_SELECT {
            return;
        }
        let Some(source) = combined(root, outer, inner, kind, (*extra).restrictlist) else {
            return;
        };
        let mut params = Params::default();
        let expressions = (*(*joined).reltarget).exprs;
        if source.whole(root, &mut params).is_none() || columns(&source, expressions).is_none() {
            return;
        }
        let local = pg_sys::GetExistingLocalJoinPath(joined);
        // A row of the object that is asked has one parent at most: without statistics the planner does not know.
        let asked = source.members[0].relid as i32;
        let child = if pg_sys::bms_is_member(asked, (*outer).relids) {
            outer
        } else {
            inner
        };
        (*joined).rows = (*joined).rows.min((*child).rows);
        let rows = (*joined).rows;
        let cost = cost::scan(source.table(), rows, 1, 0.0, pg_sys::cpu_tuple_cost);
        let state = JoinState {
            source,
            columns: expressions,
        };
        (*joined).fdw_private = PgMemoryContexts::CurrentMemoryContext
            .leak_and_drop_on_delete(state)
            .cast();
        if local.is_null() {
            // Aggregates can still be asked for over it.
            return;
        }
        let target = (*joined).reltarget;
        let path = crate::compat::create_foreign_join_path(
            root,
            joined,
            target,
            rows,
            cost.startup + (*target).cost.startup,
            cost.total + (*target).cost.startup + rows * (*target).cost.per_tuple,
            local,
        );
        pg_sys::add_path(joined, path);
    }
}

/// The source of two relations that one relation of the gateway links.
unsafe fn combined(
    root: *mut pg_sys::PlannerInfo,
    outer: *mut pg_sys::RelOptInfo,
    inner: *mut pg_sys::RelOptInfo,
    kind: pg_sys::JoinType::Type,
    clauses: *mut pg_sys::List,
) -> Option<Source<'static>> {
    // SAFETY: nodes of the current planning, which outlive what is made of them here.
    unsafe {
        let left = kind == pg_sys::JoinType::JOIN_LEFT;
        // A row has one parent at most, so a semi-join to it is a join.
        let semi = kind == pg_sys::JoinType::JOIN_SEMI;
        if !left && !semi && kind != pg_sys::JoinType::JOIN_INNER {
            return None;
        }
        let (a, b) = (Source::of(root, outer)?, Source::of(root, inner)?);
        if !crate::guc::push_switches(&a.table().server).joins {
            return None;
        }
        let clauses = PgList::<pg_sys::RestrictInfo>::from_pg(clauses);
        if clauses.len() != 1 {
            return None;
        }
        let clause = clauses.get_ptr(0)?;
        if (*clause).pseudoconstant || (left && (*clause).is_pushed_down) {
            return None;
        }
        let equality: *mut pg_sys::Node = (*clause).clause.cast();
        if let Some(hop) = link(&a, &b, equality) {
            return a.with_parent(b, hop, left);
        }
        if left || semi {
            return None;
        }
        let hop = link(&b, &a, equality)?;
        b.with_parent(a, hop, false)
    }
}

/// The relation that the clause follows from a column of `child` to the key of the object that `parent` asks for.
unsafe fn link(child: &Source, parent: &Source, clause: *mut pg_sys::Node) -> Option<Hop> {
    // SAFETY: node types are checked before each cast; catalog look-ups by OID.
    unsafe {
        if !is_a(clause, pg_sys::NodeTag::T_OpExpr) {
            return None;
        }
        let clause = clause.cast::<pg_sys::OpExpr>();
        let operands = PgList::<pg_sys::Node>::from_pg((*clause).args);
        if operands.len() != 2 {
            return None;
        }
        let (first, second) = (operands.get_ptr(0)?, operands.get_ptr(1)?);
        let (from, to) = match (child.column(first), parent.column(second)) {
            (Some(from), Some(to)) => (from, to),
            _ => (child.column(second)?, parent.column(first)?),
        };
        let family = super::qual::family(from.class).0;
        let equals =
            pg_sys::get_op_opfamily_strategy((*clause).opno, family) as u32 == pg_sys::BTEqualStrategyNumber;
        let bytes =
            from.class != ValueClass::Text || pg_sys::get_collation_isdeterministic((*clause).inputcollid);
        let reference = from.column.references.as_ref()?;
        let key = to.member.path.is_empty() && to.column.field.eq_ignore_ascii_case(&reference.field);
        let object = parent
            .table()
            .options
            .object
            .eq_ignore_ascii_case(&reference.object);
        (equals && bytes && from.class == to.class && key && object).then(|| Hop {
            child: from.member.relid,
            path: from.member.field(&reference.path),
            key: to.column.field.clone(),
        })
    }
}

/// What stands behind the columns of a join; `None`: one of them is not of the gateway.
unsafe fn columns<'a>(
    source: &'a Source<'a>,
    expressions: *mut pg_sys::List,
) -> Option<Vec<(&'a Member<'a>, &'a crate::catalog::Column)>> {
    // SAFETY: the target of a join relation of the current planning.
    unsafe {
        PgList::<pg_sys::Node>::from_pg(expressions)
            .iter_ptr()
            .map(|expression| {
                let (member, column) = source.any_column(expression)?;
                column.is_field().then_some((member, column))
            })
            .collect()
    }
}

/// Makes the plan of a path of ours.
///
/// # Safety
/// `joined` and `target_list` must be what the planner gives to GetForeignPlan for a join.
pub unsafe fn plan(
    root: *mut pg_sys::PlannerInfo,
    joined: *mut pg_sys::RelOptInfo,
    target_list: *mut pg_sys::List,
    outer_plan: *mut pg_sys::Plan,
) -> *mut pg_sys::ForeignScan {
    // SAFETY: the caller vouches for the nodes.
    unsafe {
        let mut params = Params::default();
        let made = state(joined).and_then(|state| {
            let columns = columns(&state.source, state.columns)?;
            Some((state, columns, state.source.whole(root, &mut params)?))
        });
        let Some((
            JoinState {
                source,
                columns: expressions,
            },
            columns,
            filter,
        )) = made
        else {
            raise_internal("a join that was offered cannot be made");
        };
        let table = source.table();
        let wanted = if crate::guc::push_switches(&table.server).limit {
            limit::wanted(root, joined, std::ptr::null_mut(), &mut params)
        } else {
            None
        };
        let keys = row_order(table);
        let mut select = Select::default();
        let row_key = table.options.row_key.as_deref().map(|key| select.index(key));
        let mut need_formatting = false;
        let places: Vec<(i16, u16)> = (1..)
            .zip(&columns)
            .map(|(number, (member, column))| {
                need_formatting |= crate::convert::inward::Converter::needs_formatting(column.type_oid);
                (number, select.index(&member.field(&column.field)))
            })
            .collect();

        let mut query = Query::new(table.options.object.clone());
        query.docparid = table.options.docparid.clone();
        query.select = select.fields.into_iter().map(SelectItem::Field).collect();
        query.filter = filter;
        query.limit = wanted.map(|wanted| wanted.rows());
        query.show_private = table.show_private();
        let keyset = table.row_key_is_number() && keys_are_comparable(table, &keys);
        query.order_by = keys;
        let (parameters, shapes) = params.into_parts();
        let private = Private::Scan(Box::new(ScanPrivate {
            shapes,
            query,
            dialect: table.dialect(),
            parts: vec![Part::Whole],
            columns: places,
            lines: Vec::new(),
            row_key,
            keyset,
            any_order: true,
            wanted,
            finish: None,
            need_formatting,
            joined: Some(source.relation()),
        }));
        let private = private
            .to_list()
            .unwrap_or_else(|error| raise_internal(&format!("cannot keep the plan: {error}")));
        let mut scanned = PgList::<pg_sys::TargetEntry>::new();
        let expressions = PgList::<pg_sys::Expr>::from_pg(*expressions);
        for (number, expression) in (1..).zip(expressions.iter_ptr()) {
            let entry = pg_sys::makeTargetEntry(expression, number, std::ptr::null_mut(), false);
            scanned.push(entry);
        }
        let scanned = scanned.into_pg();
        // A row of the local plan takes the place of one of ours.
        let outer_plan = if outer_plan.is_null() {
            outer_plan
        } else {
            pg_sys::change_plan_targetlist(outer_plan, scanned, false)
        };
        pg_sys::make_foreignscan(
            target_list,
            // Every condition is exact, and part of the query.
            std::ptr::null_mut(),
            0,
            parameters,
            private,
            scanned,
            std::ptr::null_mut(),
            outer_plan,
        )
    }
}

/// Whether a direct query of the table shows every row that a path to it shows, under a condition to be added. The
/// outer option is the proof, the inner one the condition.
pub fn visible(table: &ForeignTable) -> Option<Option<Condition>> {
    if table.show_private() {
        return Some(None);
    }
    let owned = table.columns.iter().any(|column| {
        let field = column.field.to_ascii_uppercase();
        field == "MEGAENTITYID"
    });
    if owned {
        // At the top level, rows that belong to an entity are not shown.
        return Some(Some(Condition::IsNull {
            field: "MEGAENTITYID".to_owned(),
            negated: false,
        }));
    }
    (!table.options.entities).then_some(None)
}
