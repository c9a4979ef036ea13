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
            if !unsafe { is_of_row(pathkey, rows) } {
                break;
            }
            order.satisfied += 1;
            continue;
        }
        // SAFETY: as above.
        let Some((column, class)) = (unsafe { column_of(table, rel, pathkey) }) else {
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
unsafe fn is_of_row(pathkey: *mut pg_sys::PathKey, rows: &[pg_sys::Index]) -> bool {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        rows.iter().any(|relid| {
            let members = crate::compat::equivalence_members((*pathkey).pk_eclass, *relid);
            members.into_iter().any(|member| {
                let mut only = 0;
                pg_sys::bms_get_singleton_member((*member).em_relids, &mut only) && only == *relid as i32
            })
        })
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
        for member in crate::compat::equivalence_members(class, (*rel).relid) {
            pgrx::check_for_interrupts!();
            let node = crate::plan::nodes::unrelabelled((*member).em_expr.cast());
            if node.is_null() || !is_a(node, pg_sys::NodeTag::T_Var) {
                continue;
            }
            let var = node.cast::<pg_sys::Var>();
            if (*var).varno as u32 != (*rel).relid || (*var).varlevelsup != 0 {
                continue;
            }
            if let Some(column) = table.column((*var).varattno)
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
