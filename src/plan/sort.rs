//! ORDER BY pushdown: which prefix of the wanted path keys the gateway can sort by, and NULL placement.

use super::qual::excludes_null;
use crate::catalog::{Column, ForeignTable, ValueClass};
use crate::private::ScanPart;
use intacct::{AssumedKey, Condition, KeyValues, OrderKey};
use pgrx::{PgList, is_a, pg_sys};

/// An order that the gateway can produce.
pub struct PushedOrder {
    /// How many of the path keys it satisfies.
    pub satisfied: usize,
    /// The keys sent, ending in the row key.
    pub keys: Vec<OrderKey>,
    /// In which slices the rows are read, so that nulls stand where SQL wants them.
    pub parts: Vec<ScanPart>,
    /// A key may be null within a slice.
    pub nullable: bool,
    /// The keys that satisfy path keys, where one of them rests on what the option `ordering` assumes.
    pub assumed: Vec<AssumedKey>,
}

/// The longest prefix of `pathkeys` that the gateway can be trusted with; `None` when not even the first.
///
/// `rows` are the relations that the rows are made of: `rel`, and its parents in a join.
///
/// # Safety
/// `pathkeys` must be a list of PathKeys of the current planning, `rel` the relation of `table`.
pub unsafe fn push(
    root: *mut pg_sys::PlannerInfo,
    table: &ForeignTable,
    rel: *mut pg_sys::RelOptInfo,
    rows: &[pg_sys::Index],
    pathkeys: *mut pg_sys::List,
    filter: Option<&Condition>,
) -> Option<PushedOrder> {
    let row_key = table
        .options
        .row_key
        .as_deref()
        .filter(|_| table.row_key_is_number())?;
    if !table.dialect().capabilities().order {
        return None;
    }
    let mut order = PushedOrder {
        satisfied: 0,
        keys: Vec::new(),
        parts: vec![ScanPart::Whole],
        nullable: false,
        assumed: Vec::new(),
    };
    let mut values = Vec::new();
    // SAFETY: the caller guarantees a valid list.
    let wanted = unsafe { PgList::<pg_sys::PathKey>::from_pg(pathkeys) };
    for pathkey in wanted.iter_ptr() {
        pgrx::check_for_interrupts!();
        if order
            .keys
            .last()
            .is_some_and(|last| table.is_row_key(&last.field))
        {
            // Nothing is left to order behind a unique key, until a join above makes several rows of one: then what belongs
            // to this row is still the same in all of them, and what belongs to others is not.
            // SAFETY: as above.
            if !unsafe { is_of_row(root, pathkey, rows) } {
                break;
            }
            order.satisfied += 1;
            continue;
        }
        // SAFETY: as above.
        let Some((column, class)) = (unsafe { column_of(root, table, rel, pathkey) }) else {
            break;
        };
        // Whether the gateway sorts by a path is not known (fact 14).
        if column.field.contains('.') {
            break;
        }
        // SAFETY: as above.
        if !unsafe { order_is_ours(table, column, class, pathkey) } {
            break;
        }
        // SAFETY: as above.
        let (descending, nulls_first) = unsafe {
            (
                crate::compat::pathkey_descends(pathkey),
                (*pathkey).pk_nulls_first,
            )
        };
        let never_null = column.not_null
            || table.is_row_key(&column.field)
            || filter.is_some_and(|filter| excludes_null(filter, &column.field));
        // NULLs last ascending, first descending: as PostgreSQL has it by itself, and as the user assumes.
        let assumed = table.server.ordering == crate::options::Ordering::Binary && nulls_first == descending;
        if !never_null && assumed {
            order.nullable = true;
        } else if !never_null {
            // Where the gateway puts nulls is not known (fact 13). For the first key they are read apart from the rest;
            // behind it that would take one request for each value of the keys before.
            if !order.keys.is_empty() {
                break;
            }
            let (null, rest) = (
                ScanPart::Null(column.field.clone()),
                ScanPart::NotNull(column.field.clone()),
            );
            order.parts = if nulls_first {
                vec![null, rest]
            } else {
                vec![rest, null]
            };
        }
        order.keys.push(OrderKey {
            field: column.field.clone(),
            descending,
        });
        values.push(match class {
            ValueClass::Text | ValueClass::Boolean => KeyValues::Text,
            ValueClass::Integer | ValueClass::Decimal => KeyValues::Numbers,
            ValueClass::Date | ValueClass::Timestamp => KeyValues::Times,
        });
        order.satisfied += 1;
    }
    if order.nullable || values.contains(&KeyValues::Text) {
        let assumed = |(key, values): (&OrderKey, KeyValues)| AssumedKey {
            field: key.field.clone(),
            values,
        };
        order.assumed = order.keys.iter().zip(values).map(assumed).collect();
    }
    if order.satisfied == 0 {
        return None;
    }
    if !order
        .keys
        .last()
        .is_some_and(|last| table.is_row_key(&last.field))
    {
        order.keys.push(OrderKey {
            field: row_key.to_owned(),
            descending: false,
        });
    }
    Some(order)
}

/// Whether a path key sorts by what one of these relations has.
unsafe fn is_of_row(
    root: *mut pg_sys::PlannerInfo,
    pathkey: *mut pg_sys::PathKey,
    rows: &[pg_sys::Index],
) -> bool {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        let members = PgList::<pg_sys::EquivalenceMember>::from_pg((*(*pathkey).pk_eclass).ec_members);
        members.iter_ptr().any(|member| {
            let mut only = 0;
            !(*member).em_is_child
                && pg_sys::bms_get_singleton_member((*member).em_relids, &mut only)
                && rows
                    .iter()
                    .any(|relid| stands_for(root, *relid, only as pg_sys::Index))
        })
    }
}

/// What a relation is a partition or a branch of; null for none.
unsafe fn parent(root: *mut pg_sys::PlannerInfo, relid: pg_sys::Index) -> *mut pg_sys::AppendRelInfo {
    // SAFETY: nodes of the current planning; the array, where there is one, has a place for each relation.
    unsafe {
        match (*root).append_rel_array {
            parents if parents.is_null() => std::ptr::null_mut(),
            parents => *parents.add(relid as usize),
        }
    }
}

/// Whether a relation is the other, or one of its partitions: what belongs to a row of the other belongs to its rows.
unsafe fn stands_for(root: *mut pg_sys::PlannerInfo, relid: pg_sys::Index, other: pg_sys::Index) -> bool {
    // SAFETY: as the caller's.
    unsafe {
        relid == other
            || parent(root, relid)
                .as_ref()
                .is_some_and(|parent| stands_for(root, parent.parent_relid, other))
    }
}

/// The number of the column that a column is in a relation: its own, or that of what it is a partition of.
unsafe fn number_in(
    root: *mut pg_sys::PlannerInfo,
    relid: pg_sys::Index,
    var: *mut pg_sys::Var,
) -> Option<i16> {
    // SAFETY: nodes of the current planning; types are checked before each cast.
    unsafe {
        if (*var).varno as pg_sys::Index == relid {
            return Some((*var).varattno);
        }
        let parent = parent(root, relid).as_ref()?;
        let number = number_in(root, parent.parent_relid, var)?;
        let columns = PgList::<pg_sys::Node>::from_pg(parent.translated_vars);
        let column = columns.get_ptr(usize::try_from(number).ok()?.checked_sub(1)?)?;
        let column = crate::plan::nodes::unrelabelled(column);
        if column.is_null() || !is_a(column, pg_sys::NodeTag::T_Var) {
            return None;
        }
        let column = column.cast::<pg_sys::Var>();
        ((*column).varno as pg_sys::Index == relid).then_some((*column).varattno)
    }
}

/// Orders of one key each by which a join above could merge. The order of the row key costs nothing: pages are read in
/// it anyway.
///
/// # Safety
/// Planner nodes of the current planning; `rel` is a relation of ours.
pub unsafe fn useful_for_merging(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
) -> Vec<*mut pg_sys::List> {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        if !(*rel).has_eclass_joins {
            return Vec::new();
        }
        let wanted = PgList::<pg_sys::PathKey>::from_pg((*root).query_pathkeys);
        let asked = wanted.get_ptr(0).map(|first| (*first).pk_eclass);
        let mut orders = Vec::new();
        for class in PgList::<pg_sys::EquivalenceClass>::from_pg((*root).eq_classes).iter_ptr() {
            pgrx::check_for_interrupts!();
            // Merged classes are empty shells, and the query's own order has been offered.
            if !(*class).ec_merged.is_null()
                || asked == Some(class)
                || !pg_sys::bms_is_subset((*rel).relids, (*class).ec_relids)
                || !pg_sys::eclass_useful_for_merging(root, class, rel)
            {
                continue;
            }
            let families = PgList::<pg_sys::Oid>::from_pg((*class).ec_opfamilies);
            let Some(family) = families.get_oid(0) else {
                continue;
            };
            let mut pathkeys = PgList::<pg_sys::PathKey>::new();
            pathkeys.push(crate::compat::ascending_pathkey(root, class, family));
            orders.push(pathkeys.into_pg());
        }
        orders
    }
}

/// The column of ours that a path key sorts by.
unsafe fn column_of(
    root: *mut pg_sys::PlannerInfo,
    table: &ForeignTable,
    rel: *mut pg_sys::RelOptInfo,
    pathkey: *mut pg_sys::PathKey,
) -> Option<(&Column, ValueClass)> {
    // SAFETY: the caller guarantees valid planner or executor nodes; types are checked before each cast.
    unsafe {
        let class = (*pathkey).pk_eclass;
        if (*class).ec_has_volatile {
            return None;
        }
        // That of what it is a partition of stands for its own, which would have to be looked for among those of hundreds.
        for member in PgList::<pg_sys::EquivalenceMember>::from_pg((*class).ec_members).iter_ptr() {
            pgrx::check_for_interrupts!();
            if (*member).em_is_child {
                continue;
            }
            let node = crate::plan::nodes::unrelabelled((*member).em_expr.cast());
            if node.is_null() || !is_a(node, pg_sys::NodeTag::T_Var) {
                continue;
            }
            let var = node.cast::<pg_sys::Var>();
            if (*var).varlevelsup != 0 {
                continue;
            }
            if let Some(column) = number_in(root, (*rel).relid, var).and_then(|number| table.column(number))
                && let Some(class) = column.class
            {
                return Some((column, class));
            }
        }
        None
    }
}

/// Whether the gateway orders the class as this path key does.
unsafe fn order_is_ours(
    table: &ForeignTable,
    column: &Column,
    class: ValueClass,
    pathkey: *mut pg_sys::PathKey,
) -> bool {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        if super::qual::family(class).0 != (*pathkey).pk_opfamily {
            return false;
        }
        match class {
            ValueClass::Integer | ValueClass::Decimal | ValueClass::Date | ValueClass::Timestamp => {
                table.compares_as_read(class)
            }
            ValueClass::Text => table.orders_text(column, (*(*pathkey).pk_eclass).ec_collation),
            // False before true is likely, but is not documented.
            ValueClass::Boolean => false,
        }
    }
}
