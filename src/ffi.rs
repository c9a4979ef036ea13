//! Calls into the server that pgrx does not bind: functions that it exports, and function pointers in its nodes.
//!
//! A C function that raises jumps over every frame between it and the last boundary, and what these frames own is never
//! freed. So each call goes through a boundary, which turns the jump into unwinding.
#![allow(non_snake_case, reason = "these are names of C")]

// `pg_guard` looks for the boundary in a module of this name and place.
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::{pg_guard, pg_sys};

#[pg_guard]
unsafe extern "C-unwind" {
    /// The request is answered; a null slot is the end of the rows.
    pub fn ExecAsyncRequestDone(areq: *mut pg_sys::AsyncRequest, result: *mut pg_sys::TupleTableSlot);
    /// The request will be answered after a callback.
    pub fn ExecAsyncRequestPending(areq: *mut pg_sys::AsyncRequest);
    /// Hands an answered request to the node that made it, outside of the callbacks after which the executor does.
    pub fn ExecAsyncResponse(areq: *mut pg_sys::AsyncRequest);
    /// A list of OIDs: the relation, which the caller has locked, and all that inherit from it, locked in this mode.
    pub fn find_all_inheritors(
        parentrelId: pg_sys::Oid,
        lockmode: pg_sys::LOCKMODE,
        numparents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
    /// A copy of a value in the current memory context.
    pub fn datumCopy(value: pg_sys::Datum, typByVal: bool, typLen: std::ffi::c_int) -> pg_sys::Datum;
    /// Whether a timeout has fired; with `reset`, and forgets it.
    pub fn get_timeout_indicator(id: std::ffi::c_int, reset: bool) -> bool;
}

/// `LOCK_TIMEOUT` and `STATEMENT_TIMEOUT` of `TimeoutId`, the same in every version.
pub const LOCK_TIMEOUT: std::ffi::c_int = 2;
/// See above.
pub const STATEMENT_TIMEOUT: std::ffi::c_int = 3;
/// The value of an expression; whether it is null goes to `null`.
///
/// # Safety
/// `state` must be an expression that the executor has made ready, `context` valid for it.
pub unsafe fn evaluate(
    state: *mut pg_sys::ExprState,
    context: *mut pg_sys::ExprContext,
    null: &mut bool,
) -> Option<pg_sys::Datum> {
    // SAFETY: the caller guarantees valid planner or executor nodes; the boundary holds nothing but the call.
    unsafe {
        let evaluate = (*state).evalfunc?;
        let null: *mut bool = null;
        Some(pg_guard_ffi_boundary(|| evaluate(state, context, null)))
    }
}

/// The next row of a plan node, instrumented if the statement is.
///
/// # Safety
/// `node` must be a plan node that the executor has made ready.
pub unsafe fn ExecProcNode(node: *mut pg_sys::PlanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: the caller guarantees a valid node; the boundary holds nothing but the call.
    unsafe {
        match (*node).ExecProcNode {
            Some(next) => pg_guard_ffi_boundary(|| next(node)),
            None => std::ptr::null_mut(),
        }
    }
}

/// The next row of a plan node, below its instrumentation.
///
/// # Safety
/// As [`ExecProcNode`].
pub unsafe fn ExecProcNodeReal(node: *mut pg_sys::PlanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: the caller guarantees a valid node; the boundary holds nothing but the call.
    unsafe {
        match (*node).ExecProcNodeReal {
            Some(next) => pg_guard_ffi_boundary(|| next(node)),
            None => std::ptr::null_mut(),
        }
    }
}

/// Empties a slot.
///
/// # Safety
/// `slot` must be a valid slot.
pub unsafe fn ExecClearTuple(slot: *mut pg_sys::TupleTableSlot) {
    // SAFETY: the caller guarantees a valid slot; the boundary holds nothing but the call.
    unsafe {
        if let Some(clear) = (*(*slot).tts_ops).clear {
            pg_guard_ffi_boundary(|| clear(slot));
        }
    }
}

/// Copies the row of one slot to another.
///
/// # Safety
/// Both must be valid slots of one row type.
pub unsafe fn ExecCopySlot(target: *mut pg_sys::TupleTableSlot, source: *mut pg_sys::TupleTableSlot) {
    // SAFETY: the caller guarantees valid slots; the boundary holds nothing but the call.
    unsafe {
        if let Some(copy) = (*(*target).tts_ops).copyslot {
            pg_guard_ffi_boundary(|| copy(target, source));
        }
    }
}

/// A copy of a slot's row in the current memory context.
///
/// # Safety
/// `slot` must be a valid slot that holds a row.
pub unsafe fn ExecCopySlotMinimalTuple(slot: *mut pg_sys::TupleTableSlot) -> pg_sys::MinimalTuple {
    // SAFETY: the caller guarantees a valid slot; the boundary holds nothing but the call.
    unsafe {
        match (*(*slot).tts_ops).copy_minimal_tuple {
            #[cfg(feature = "pg18")]
            Some(copy) => pg_guard_ffi_boundary(|| copy(slot, 0)),
            #[cfg(not(feature = "pg18"))]
            Some(copy) => pg_guard_ffi_boundary(|| copy(slot)),
            None => std::ptr::null_mut(),
        }
    }
}

/// The row that a node returns, computed from the one in its expression context. The current memory context must be the
/// per-tuple one.
///
/// # Safety
/// `projection` must be made ready by the executor.
pub unsafe fn ExecProject(projection: *mut pg_sys::ProjectionInfo) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: the caller guarantees a valid projection.
    unsafe {
        let state = &raw mut (*projection).pi_state;
        let slot = (*state).resultslot;
        ExecClearTuple(slot);
        let mut null = false;
        evaluate(state, (*projection).pi_exprContext, &mut null);
        (*slot).tts_flags &= !(pg_sys::TTS_FLAG_EMPTY as u16);
        (*slot).tts_nvalid = (*(*slot).tts_tupleDescriptor).natts as i16;
        slot
    }
}

/// Asks another library for join paths, which had asked to be asked before we did.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn add_join_paths(
    hook: NonNullJoinHook,
    root: *mut pg_sys::PlannerInfo,
    joined: *mut pg_sys::RelOptInfo,
    outer: *mut pg_sys::RelOptInfo,
    inner: *mut pg_sys::RelOptInfo,
    kind: pg_sys::JoinType::Type,
    extra: *mut pg_sys::JoinPathExtraData,
) {
    // SAFETY: the caller guarantees valid planner or executor nodes; the boundary holds nothing but the call.
    unsafe { pg_guard_ffi_boundary(|| hook(root, joined, outer, inner, kind, extra)) }
}

/// What stands in `set_join_pathlist_hook`.
pub type NonNullJoinHook = unsafe extern "C-unwind" fn(
    *mut pg_sys::PlannerInfo,
    *mut pg_sys::RelOptInfo,
    *mut pg_sys::RelOptInfo,
    *mut pg_sys::RelOptInfo,
    pg_sys::JoinType::Type,
    *mut pg_sys::JoinPathExtraData,
);

/// Asks another library for paths above scans and joins, which had asked to be asked before we did.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn add_upper_paths(
    hook: unsafe extern "C-unwind" fn(
        *mut pg_sys::PlannerInfo,
        pg_sys::UpperRelationKind::Type,
        *mut pg_sys::RelOptInfo,
        *mut pg_sys::RelOptInfo,
        *mut std::ffi::c_void,
    ),
    root: *mut pg_sys::PlannerInfo,
    stage: pg_sys::UpperRelationKind::Type,
    input: *mut pg_sys::RelOptInfo,
    output: *mut pg_sys::RelOptInfo,
    extra: *mut std::ffi::c_void,
) {
    // SAFETY: the caller guarantees valid planner nodes; the boundary holds nothing but the call.
    unsafe { pg_guard_ffi_boundary(|| hook(root, stage, input, output, extra)) }
}

/// Zeroed memory with a tag, as makeNode gives it.
///
/// # Safety
/// Main thread; `T` must be the node that the tag stands for.
pub unsafe fn node<T>(tag: pg_sys::NodeTag) -> *mut T {
    // SAFETY: every node begins with its tag.
    unsafe {
        let node = pg_sys::palloc0(size_of::<T>()).cast::<T>();
        (*node.cast::<pg_sys::Node>()).type_ = tag;
        node
    }
}

/// Whether the value of an expression may change while the statement runs: it has a parameter of the executor (PARAM_EXEC).
/// Those of the statement (PARAM_EXTERN) stay what they are; `pull_paramids` does not say which is which.
///
/// # Safety
/// Main thread; `expression` must be null or a valid expression.
pub unsafe fn may_vary(expression: *mut pg_sys::Node) -> bool {
    unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, context: *mut std::ffi::c_void) -> bool {
        // SAFETY: called by the core for the nodes of a valid expression; the type is checked before the cast.
        unsafe {
            if node.is_null() {
                return false;
            }
            if pgrx::is_a(node, pg_sys::NodeTag::T_Param) {
                return (*node.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXEC;
            }
            pg_sys::expression_tree_walker(node, Some(walk), context)
        }
    }
    // SAFETY: same contract as this function.
    unsafe { walk(expression, std::ptr::null_mut()) }
}

/// Columns of expressions that stand neither in an aggregate nor in one of those of `within`, each once.
///
/// # Safety
/// Main thread; `expressions` must be null or valid expressions or lists of such, `within` valid expressions.
pub unsafe fn columns_outside(
    expressions: &[*mut pg_sys::Node],
    within: &[*mut pg_sys::Node],
) -> Vec<*mut pg_sys::Node> {
    struct Search<'a> {
        within: &'a [*mut pg_sys::Node],
        found: Vec<*mut pg_sys::Node>,
    }
    unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, context: *mut std::ffi::c_void) -> bool {
        use pg_sys::NodeTag::{T_Aggref, T_GroupingFunc, T_Var};
        // SAFETY: called by the core for the nodes of a valid expression, with the context given below.
        unsafe {
            let search = &mut *context.cast::<Search>();
            let is_node = |known: &*mut pg_sys::Node| pg_sys::equal(known.cast(), node.cast());
            if node.is_null()
                || pgrx::is_a(node, T_Aggref)
                || pgrx::is_a(node, T_GroupingFunc)
                || search.within.iter().any(is_node)
            {
                return false;
            }
            if pgrx::is_a(node, T_Var) {
                if !search.found.iter().any(is_node) {
                    search.found.push(node);
                }
                return false;
            }
            pg_sys::expression_tree_walker(node, Some(walk), context)
        }
    }
    let found = Vec::new();
    let mut search = Search { within, found };
    for expression in expressions {
        // SAFETY: same contract as this function.
        unsafe { walk(*expression, (&raw mut search).cast()) };
    }
    search.found
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn function_pointers_of_nodes_are_called_here_only() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        assert!(files.len() > 50);
        for file in files.iter().filter(|file| !file.ends_with("src/ffi.rs")) {
            let text = std::fs::read_to_string(file).expect("a source");
            for pointer in [
                ".evalfunc",
                ").ExecProcNode",
                "tts_ops",
                ".fn_addr",
                "ExecReScanReal",
            ] {
                assert!(!text.contains(pointer), "{} uses {pointer}", file.display());
            }
        }
    }
}
