//! Helpers over planner nodes and lists.

use pgrx::{PgList, is_a, pg_sys};

/// The members of a list of clauses.
pub unsafe fn clauses(list: *mut pg_sys::List) -> Vec<*mut pg_sys::RestrictInfo> {
    // SAFETY: nodes of the current planning, as for all callers.
    unsafe { PgList::<pg_sys::RestrictInfo>::from_pg(list) }
        .iter_ptr()
        .collect()
}

/// The first `count` members of a list.
pub unsafe fn first(list: *mut pg_sys::List, count: usize) -> *mut pg_sys::List {
    let mut head = PgList::<pg_sys::Node>::new();
    // SAFETY: nodes of the current planning, as for all callers.
    for node in unsafe { PgList::<pg_sys::Node>::from_pg(list) }
        .iter_ptr()
        .take(count)
    {
        head.push(node);
    }
    head.into_pg()
}

/// An expression without the casts around it that change its type and nothing of its value (varchar to text).
///
/// # Safety
/// `expression` must be null or a valid expression node.
pub unsafe fn unrelabelled(expression: *mut pg_sys::Node) -> *mut pg_sys::Node {
    let mut node = expression;
    // SAFETY: the caller guarantees a valid node; its type is checked before the cast.
    unsafe {
        while !node.is_null() && is_a(node, pg_sys::NodeTag::T_RelabelType) {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
    }
    node
}
