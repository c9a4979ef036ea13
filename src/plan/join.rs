//! Joins along many-to-one relations: the parent's fields by a dotted path, in the request for the child.
//!
//! Which joins, and why the rows are PostgreSQL's: `docs/pushdown.md`. Beside the pushed join stands a local one
//! (`fdw_outerpath`), which runs when something is found out at execution that the plan could not know.

use super::columns::{Select, keys_are_comparable, row_order};
use super::constants;
use super::cost;
use super::limit;
use super::nodes::{clauses, first};
use super::qual::Params;
use super::remote_rel::{JoinState, RelMember, Relation, RemoteField, RemoteRel, join_state};
use super::sort::{self, PushedOrder};
use crate::catalog::{ForeignTable, ValueClass};
use crate::error::raise_internal;
use crate::private::{LookupKey, Private, ScanPart, ScanPrivate, conjuncts};
use intacct::{CompareOp, Condition, Query, SelectItem, Value};
use pgrx::{PgList, PgMemoryContexts, is_a, pg_guard, pg_sys};

/// Whether a relation is a join, of partitions too.
///
/// # Safety
/// `rel` must be a relation of the current planning.
pub unsafe fn is_join(rel: *mut pg_sys::RelOptInfo) -> bool {
    use pg_sys::RelOptKind::{RELOPT_JOINREL, RELOPT_OTHER_JOINREL};
    // SAFETY: the caller guarantees a valid node.
    unsafe { matches!((*rel).reloptkind, RELOPT_JOINREL | RELOPT_OTHER_JOINREL) }
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
        let Some(filter) = source.whole(root, &mut params) else {
            return;
        };
        if columns(&source, expressions).is_none() {
            return;
        }
        let local = pg_sys::GetExistingLocalJoinPath(joined);
        // A row of the object that is asked has one parent at most: without statistics the planner cannot see that.
        let asked = source.members[0].relid as i32;
        let child = if pg_sys::bms_is_member(asked, (*outer).relids) {
            outer
        } else {
            inner
        };
        (*joined).rows = (*joined).rows.min((*child).rows);
        let order = ordered(root, &source, (*root).query_pathkeys, filter.as_ref());
        let ordered_parts = order.map(|order| {
            let pathkeys = first((*root).query_pathkeys, order.satisfied);
            (pathkeys, order.parts.len())
        });
        let table = source.table();
        let state = JoinState {
            source,
            columns: expressions,
            fits_first_page: limit::fits_first_page(root, joined, table),
        };
        (*joined).fdw_private = PgMemoryContexts::CurrentMemoryContext
            .leak_and_drop_on_delete(state)
            .cast();
        if local.is_null() {
            // Aggregates can still be asked for over it.
            return;
        }
        add_path(root, joined, table, 1, std::ptr::null_mut(), local);
        if let Some((pathkeys, parts)) = ordered_parts {
            // The local rows may have to take the place of ours, in the order that was promised.
            let sorted = match pg_sys::pathkeys_contained_in(pathkeys, (*local).pathkeys) {
                true => local,
                false => pg_sys::create_sort_path(root, joined, local, pathkeys, -1.0).cast(),
            };
            add_path(root, joined, table, parts, pathkeys, sorted);
        }
    }
}

/// Adds a path that reads the join in `parts` slices and delivers `pathkeys`, beside `local`, which does as well.
unsafe fn add_path(
    root: *mut pg_sys::PlannerInfo,
    joined: *mut pg_sys::RelOptInfo,
    table: &ForeignTable,
    parts: usize,
    pathkeys: *mut pg_sys::List,
    local: *mut pg_sys::Path,
) {
    // SAFETY: nodes of the current planning.
    unsafe {
        let (target, rows) = ((*joined).reltarget, (*joined).rows);
        let cost = cost::scan(table, rows, parts, 0.0, pg_sys::cpu_tuple_cost);
        let path = crate::compat::create_foreign_join_path(
            root,
            joined,
            target,
            rows,
            cost.startup + (*target).cost.startup,
            cost.total + (*target).cost.startup + rows * (*target).cost.per_tuple,
            pathkeys,
            local,
        );
        pg_sys::add_path(joined, path);
    }
}

/// The order in which the gateway can deliver a join: that of the object that is asked. Whether it sorts by a path is
/// not known (fact 14).
unsafe fn ordered(
    root: *mut pg_sys::PlannerInfo,
    source: &RemoteRel,
    pathkeys: *mut pg_sys::List,
    filter: Option<&Condition>,
) -> Option<PushedOrder> {
    if pathkeys.is_null() || !crate::guc::push_switches(&source.table().server).order {
        return None;
    }
    // SAFETY: a relation and path keys of the current planning.
    unsafe {
        let asked = pg_sys::find_base_rel(root, source.members[0].relid as i32);
        let rows: Vec<_> = source.members.iter().map(|member| member.relid).collect();
        sort::push(root, source.table(), asked, &rows, pathkeys, filter)
    }
}

/// The source of two relations that one relation of the gateway links.
unsafe fn combined(
    root: *mut pg_sys::PlannerInfo,
    outer: *mut pg_sys::RelOptInfo,
    inner: *mut pg_sys::RelOptInfo,
    kind: pg_sys::JoinType::Type,
    restrictions: *mut pg_sys::List,
) -> Option<RemoteRel<'static>> {
    // SAFETY: nodes of the current planning, which outlive what is made of them here.
    unsafe {
        let left = kind == pg_sys::JoinType::JOIN_LEFT;
        // A row has one parent at most, so a semi-join to it is a join.
        let semi = kind == pg_sys::JoinType::JOIN_SEMI;
        if !left && !semi && kind != pg_sys::JoinType::JOIN_INNER {
            return None;
        }
        let (a, b) = (RemoteRel::seen(root, outer)?, RemoteRel::seen(root, inner)?);
        let mut open = clauses(restrictions);
        // The partitions of one company have it in common. What is above an outer join says nothing about its matches.
        open.retain(|clause| {
            let decides = !left || !(**clause).is_pushed_down;
            !decides || !is_same_constant(&a, &b, (**clause).clause.cast())
        });
        if open.len() > 1 || (open.is_empty() && left) {
            return None;
        }
        if !crate::guc::push_switches(&a.table().server).joins {
            return None;
        }
        let Some(clause) = open.first().copied() else {
            // Where the key is a constant, both sides have been compared with it.
            if let Some(hop) = constant_link(root, &a, &b) {
                return a.into_owned().with_parent(b.into_owned(), hop, false);
            }
            let hop = constant_link(root, &b, &a).filter(|_| !semi)?;
            return b.into_owned().with_parent(a.into_owned(), hop, false);
        };
        if (*clause).pseudoconstant || (left && (*clause).is_pushed_down) {
            return None;
        }
        let equality: *mut pg_sys::Node = (*clause).clause.cast();
        if let Some(hop) = link(&a, &b, equality) {
            return a.into_owned().with_parent(b.into_owned(), hop, left);
        }
        if left || semi {
            return None;
        }
        let hop = link(&b, &a, equality)?;
        b.into_owned().with_parent(a.into_owned(), hop, false)
    }
}

/// Whether a clause states that two columns are equal which are the same in every row: then it is true for each pair of
/// rows. A column of rows that may be missing is null in some.
unsafe fn is_same_constant(a: &RemoteRel, b: &RemoteRel, clause: *mut pg_sys::Node) -> bool {
    // SAFETY: node types are checked before each cast; catalog look-ups by OID.
    unsafe {
        if !is_a(clause, pg_sys::NodeTag::T_OpExpr) {
            return false;
        }
        let clause = clause.cast::<pg_sys::OpExpr>();
        let operands = PgList::<pg_sys::Node>::from_pg((*clause).args);
        let (Some(one), Some(other), 2) = (operands.get_ptr(0), operands.get_ptr(1), operands.len()) else {
            return false;
        };
        let constant = |node: *mut pg_sys::Node| {
            let node = crate::plan::nodes::unrelabelled(node);
            let (member, column) = a.any_column(node).or_else(|| b.any_column(node))?;
            let text = column.constant.as_deref()?;
            let settled = constants::is_settled(column.type_oid) && !member.is_optional();
            settled.then_some((text, column.type_oid, column.typmod))
        };
        let type_oid = pg_sys::exprType(one);
        let equality = (*pg_sys::lookup_type_cache(type_oid, pg_sys::TYPECACHE_EQ_OPR as i32)).eq_opr;
        type_oid == pg_sys::exprType(other)
            && (*clause).opno == equality
            && constant(one).is_some_and(|one| constant(other) == Some(one))
    }
}

/// The relation that the clause follows from a column of `child` to the key of the object that `parent` asks for.
unsafe fn link(child: &RemoteRel, parent: &RemoteRel, clause: *mut pg_sys::Node) -> Option<Relation> {
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
        if !equals {
            return None;
        }
        hop(parent, &from, &to, (*clause).inputcollid)
    }
}

/// As [`link`], where the planner has compared a column of each side with the same constant, and the clause between them
/// is gone.
unsafe fn constant_link(
    root: *mut pg_sys::PlannerInfo,
    child: &RemoteRel,
    parent: &RemoteRel,
) -> Option<Relation> {
    // SAFETY: nodes of the current planning; types are checked before each cast.
    unsafe {
        let base = parent.members[0].relid;
        for class in PgList::<pg_sys::EquivalenceClass>::from_pg((*root).eq_classes).iter_ptr() {
            if !(*class).ec_has_const || !crate::compat::holds_everywhere(class) {
                continue;
            }
            let families = PgList::<pg_sys::Oid>::from_pg((*class).ec_opfamilies);
            let sides = child.members.iter().map(|member| member.relid);
            let columns: Vec<*mut pg_sys::Node> = sides
                .chain([base])
                .flat_map(|relid| crate::compat::equivalence_members(class, relid))
                .map(|member| crate::plan::nodes::unrelabelled((*member).em_expr.cast()))
                .filter(|node| is_a(*node, pg_sys::NodeTag::T_Var))
                .filter(|node| !crate::compat::is_nulled(node.cast()))
                .collect();
            for from in columns.iter().filter_map(|node| child.column(*node)) {
                for to in columns.iter().filter_map(|node| parent.column(*node)) {
                    let family = super::qual::family(from.class).0;
                    if families.iter_oid().any(|other| other == family)
                        && let Some(hop) = hop(parent, &from, &to, (*class).ec_collation)
                    {
                        return Some(hop);
                    }
                }
            }
        }
        None
    }
}

/// The relation that equality of these columns follows, if it does: from one that refers to the object that `parent` asks
/// for, to the key that is meant.
unsafe fn hop(
    parent: &RemoteRel,
    from: &RemoteField,
    to: &RemoteField,
    collation: pg_sys::Oid,
) -> Option<Relation> {
    // SAFETY: a catalog look-up by OID.
    let bytes = from.class != ValueClass::Text || unsafe { pg_sys::get_collation_isdeterministic(collation) };
    let as_read = parent.table().compares_as_read(from.class);
    let reference = from.column.references.as_ref()?;
    let key = to.member.path.is_empty() && to.column.field.eq_ignore_ascii_case(&reference.field);
    let object = parent
        .table()
        .options
        .object
        .eq_ignore_ascii_case(&reference.object);
    (bytes && as_read && from.class == to.class && key && object).then(|| Relation {
        child: from.member.relid,
        path: from.member.field(&reference.path),
        key: to.column.field.clone(),
    })
}

/// What stands behind the columns of a join; `None`: one of them is neither of the gateway nor the same in every row.
unsafe fn columns<'a>(
    source: &'a RemoteRel<'a>,
    expressions: *mut pg_sys::List,
) -> Option<Vec<(&'a RelMember<'a>, &'a crate::catalog::Column)>> {
    // SAFETY: the target of a join relation of the current planning.
    unsafe {
        PgList::<pg_sys::Node>::from_pg(expressions)
            .iter_ptr()
            .map(|expression| {
                let (member, column) = source.any_column(expression)?;
                // Where there may be no parent, its columns are null.
                let is_constant = column.constant.is_some() && !member.is_optional();
                (column.is_field() || is_constant).then_some((member, column))
            })
            .collect()
    }
}

/// What finds the rows of a parameter among all: see [`ScanPrivate::lookup_keys`].
unsafe fn lookup_keys(
    source: &RemoteRel,
    filter: Option<&Condition>,
    params: &Params,
    select: &mut Select,
) -> Vec<LookupKey> {
    let varies = |value: &Value| match value {
        // SAFETY: an expression of the current planning.
        Value::Param(number) => params
            .expression(*number)
            .is_none_or(|expression| unsafe { crate::ffi::may_vary(expression.cast()) }),
        _ => false,
    };
    let mut keys = Vec::new();
    for part in conjuncts(filter) {
        if !part.values().into_iter().any(varies) {
            continue;
        }
        let Condition::Compare {
            field,
            op: CompareOp::Eq,
            ..
        } = part
        else {
            return Vec::new();
        };
        let Some(class) = source.class_of(field).filter(|class| class.equals_as_rendered()) else {
            return Vec::new();
        };
        keys.push((field, class));
    }
    keys.into_iter()
        .map(|(field, class)| LookupKey {
            cell: select.index(field),
            field: field.clone(),
            class,
        })
        .collect()
}

/// Makes the plan of a path of ours.
///
/// # Safety
/// `joined`, the `pathkeys` of the path, and `target_list` must be what the planner gives to GetForeignPlan for a join.
pub unsafe fn plan(
    root: *mut pg_sys::PlannerInfo,
    joined: *mut pg_sys::RelOptInfo,
    pathkeys: *mut pg_sys::List,
    target_list: *mut pg_sys::List,
    outer_plan: *mut pg_sys::Plan,
) -> *mut pg_sys::ForeignScan {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let mut params = Params::default();
        let made = join_state(joined).and_then(|state| {
            let columns = columns(&state.source, state.columns)?;
            Some((state, columns, state.source.whole(root, &mut params)?))
        });
        let Some((
            JoinState {
                source,
                columns: expressions,
                ..
            },
            columns,
            filter,
        )) = made
        else {
            raise_internal("a pushed join cannot be planned");
        };
        let table = source.table();
        let wanted = if crate::guc::push_switches(&table.server).limit {
            limit::wanted(root, joined, pathkeys, &mut params)
        } else {
            None
        };
        let doubts = source.doubts(filter.as_ref());
        let order = ordered(root, source, pathkeys, filter.as_ref());
        let any_order = order.is_none();
        let nullable = order.as_ref().is_some_and(|order| order.nullable);
        let assumed = order.as_ref().map(|order| order.assumed.clone());
        let (keys, parts) = match order {
            Some(order) => (order.keys, order.parts),
            None => (row_order(table), vec![ScanPart::Whole]),
        };
        let mut select = Select::default();
        for key in &keys {
            select.index(&key.field);
        }
        let row_key = table.options.row_key.as_deref().map(|key| select.index(key));
        let mut need_formatting = false;
        let mut places: Vec<(i16, u16)> = Vec::new();
        let mut constants = Vec::new();
        for (number, (member, column)) in (1..).zip(&columns) {
            if let Some(text) = &column.constant {
                constants.push((number, text.clone()));
                continue;
            }
            need_formatting |= crate::convert::inward::Converter::needs_formatting(column.type_oid);
            places.push((number, select.index(&member.field(&column.field))));
        }

        // All rows are found again by what their conditions compare.
        let lookup_keys = lookup_keys(source, filter.as_ref(), &params, &mut select);
        let mut query = Query::new(table.options.object.clone());
        query.docparid = table.options.docparid.clone();
        query.select = select.fields.into_iter().map(SelectItem::Field).collect();
        query.filter = filter;
        query.limit = wanted.map(|wanted| wanted.rows());
        query.show_private = table.show_private();
        query.missing_as_null = table.options.missing_as_null;
        let keyset = table.row_key_is_number() && !nullable && keys_are_comparable(table, &keys);
        query.order_by = keys;
        let (parameters, transforms) = params.into_parts();
        let private = Private::Scan(Box::new(ScanPrivate {
            transforms,
            query,
            dialect: table.dialect(),
            parts,
            columns: places,
            generated: Vec::new(),
            lines: Vec::new(),
            row_key,
            keyset,
            any_order,
            assumed: assumed.unwrap_or_default(),
            wanted,
            finish: None,
            need_formatting,
            joined: Some(source.relation()),
            doubts,
            lookup_keys,
            constants,
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
