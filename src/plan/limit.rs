//! LIMIT and OFFSET: how many rows the statement will take from a scan. It sizes the first page and is never trusted.

use super::qual::Params;
use crate::catalog::ForeignTable;
use crate::private::WantedRows;
use crate::private::transform::ParamTransform;
use intacct::Count;
use pgrx::{is_a, pg_sys};

/// What the statement's LIMIT means for this scan: only where the scan's rows go to the limit one by one, in the
/// order in which they are read, whatever local conditions drop on the way.
///
/// # Safety
/// Planner nodes of the current planning.
pub unsafe fn wanted(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    pathkeys: *mut pg_sys::List,
    params: &mut Params,
) -> Option<WantedRows> {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let parse = (*root).parse;
        // A partition stands for its parent: Append and MergeAppend take no more from each child than the limit.
        let stands_for = match (*rel).top_parent_relids {
            parent if parent.is_null() => (*rel).relids,
            parent => parent,
        };
        let alone = pg_sys::bms_equal(stands_for, crate::compat::all_relations(root));
        if !alone || reshapes(root) || !pg_sys::pathkeys_contained_in((*root).sort_pathkeys, pathkeys) {
            return None;
        }
        if (*parse).limitCount.is_null() {
            // EXISTS asks for one row without saying LIMIT.
            return ((*root).tuple_fraction == 1.0 && (*parse).limitOffset.is_null()).then_some(WantedRows {
                limit: Count::Number(1),
                offset: None,
            });
        }
        let limit = count((*parse).limitCount, params)?;
        let offset = match (*parse).limitOffset {
            offset if offset.is_null() => None,
            offset => Some(count(offset, params)?),
        };
        Some(WantedRows { limit, offset })
    }
}

/// Whether the scan's first page may well be all that the statement takes from the whole Append: then its siblings are
/// asked only if it is not, since a call costs time and, by contract, money.
///
/// # Safety
/// Planner nodes of the current planning.
pub unsafe fn fits_first_page(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    table: &ForeignTable,
) -> bool {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    let rows = unsafe { wanted(root, rel, std::ptr::null_mut(), &mut Params::default()) };
    rows.is_some_and(|rows| match rows.rows() {
        Count::Number(rows) => rows <= u64::from(table.page_size()),
        Count::Param(_) => true,
    })
}

/// Whether rows do not go through the statement one by one.
///
/// # Safety
/// Planner nodes of the current planning.
pub unsafe fn reshapes(root: *mut pg_sys::PlannerInfo) -> bool {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let parse = (*root).parse;
        (*parse).hasAggs
            || (*parse).hasWindowFuncs
            || (*parse).hasTargetSRFs
            || !(*parse).groupClause.is_null()
            || !(*parse).groupingSets.is_null()
            || !(*parse).distinctClause.is_null()
            || !(*parse).setOperations.is_null()
            || (*root).hasHavingQual
    }
}

/// A number of rows, known now or at execution.
///
/// # Safety
/// `node` must be a valid expression of the current planning.
pub unsafe fn count(node: *mut pg_sys::Node, params: &mut Params) -> Option<Count> {
    // SAFETY: the caller guarantees a valid node; its type is checked before the cast.
    unsafe {
        if is_a(node, pg_sys::NodeTag::T_Const) {
            let constant = node.cast::<pg_sys::Const>();
            // LIMIT NULL is no limit.
            return (!(*constant).constisnull && (*constant).constvalue.value() as i64 >= 0)
                .then(|| Count::Number((*constant).constvalue.value() as u64));
        }
        if pg_sys::contain_volatile_functions(node) || pg_sys::contain_subplans(node) {
            return None;
        }
        Some(Count::Param(params.number(node.cast(), ParamTransform::Plain)))
    }
}
