//! Expression nodes that the combining aggregates are made of.

use pgrx::{PgList, pg_sys};

/// Operators `numeric * numeric`, `numeric / numeric` and `bigint > bigint` (pg_operator.dat).
const NUMERIC_TIMES: u32 = 1760;
const NUMERIC_DIVIDED: u32 = 1761;
const BIGINT_GREATER: u32 = 413;

/// A list of nodes.
pub fn list(nodes: impl IntoIterator<Item = *mut pg_sys::Node>) -> *mut pg_sys::List {
    let mut list = PgList::<pg_sys::Node>::new();
    for node in nodes {
        list.push(node);
    }
    list.into_pg()
}

/// A call of a function of one argument.
///
/// # Safety
/// As for planner nodes; `function` must take and return what is said.
pub unsafe fn call(function: u32, returns: pg_sys::Oid, argument: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the caller guarantees valid nodes.
    unsafe {
        pg_sys::makeFuncExpr(
            function.into(),
            returns,
            list([argument]),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CAST,
        )
        .cast()
    }
}

/// An integer or a numeric as numeric; `None`: it is neither.
///
/// # Safety
/// `expression` must be a valid node.
pub unsafe fn to_numeric(expression: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
    // SAFETY: the caller guarantees a valid node; each function takes the type that it is called for.
    unsafe {
        match pg_sys::exprType(expression) {
            pg_sys::NUMERICOID => Some(expression),
            pg_sys::INT8OID => Some(call(pg_sys::F_NUMERIC_INT8, pg_sys::NUMERICOID, expression)),
            pg_sys::INT4OID => Some(call(pg_sys::F_NUMERIC_INT4, pg_sys::NUMERICOID, expression)),
            pg_sys::INT2OID => Some(call(pg_sys::F_NUMERIC_INT2, pg_sys::NUMERICOID, expression)),
            _ => None,
        }
    }
}

/// A numeric as bigint.
///
/// # Safety
/// `expression` must be a valid node of type numeric.
pub unsafe fn to_bigint(expression: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the caller guarantees a valid node.
    unsafe { call(pg_sys::F_INT8_NUMERIC, pg_sys::INT8OID, expression) }
}

/// The product of two numerics.
///
/// # Safety
/// Valid nodes of type numeric.
pub unsafe fn times(a: *mut pg_sys::Node, b: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the caller guarantees valid nodes.
    unsafe { operation(NUMERIC_TIMES, pg_sys::NUMERICOID, a, b) }
}

/// The quotient of two numerics; of no numbers it is null.
///
/// # Safety
/// Valid nodes of type numeric.
pub unsafe fn divided(a: *mut pg_sys::Node, b: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the caller guarantees valid nodes.
    unsafe { operation(NUMERIC_DIVIDED, pg_sys::NUMERICOID, a, b) }
}

/// Two conditions, the first of which may be absent (null).
///
/// # Safety
/// Valid nodes of type boolean.
pub unsafe fn both(first: *mut pg_sys::Node, second: *mut pg_sys::Node) -> *mut pg_sys::Node {
    match first.is_null() {
        true => second,
        // SAFETY: the caller guarantees valid nodes.
        false => unsafe { pg_sys::make_andclause(list([first, second])).cast() },
    }
}

/// Whether a bigint is more than 0.
///
/// # Safety
/// A valid node of type bigint.
pub unsafe fn is_positive(number: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the caller guarantees a valid node; a bigint constant is made by value.
    unsafe {
        let zero = pg_sys::makeConst(
            pg_sys::INT8OID,
            -1,
            pg_sys::InvalidOid,
            8,
            pg_sys::Datum::from(0i64),
            false,
            true,
        );
        operation(BIGINT_GREATER, pg_sys::BOOLOID, number, zero.cast())
    }
}

unsafe fn operation(
    operator: u32,
    returns: pg_sys::Oid,
    a: *mut pg_sys::Node,
    b: *mut pg_sys::Node,
) -> *mut pg_sys::Node {
    let none = pg_sys::InvalidOid;
    // SAFETY: the caller guarantees valid nodes of the operator's types.
    unsafe {
        let node = pg_sys::make_opclause(operator.into(), returns, false, a.cast(), b.cast(), none, none);
        pg_sys::set_opfuncid(node.cast());
        node.cast()
    }
}

/// Zero as numeric.
pub fn zero() -> *mut pg_sys::Node {
    // SAFETY: main thread; allocated in the planner's memory context.
    unsafe {
        let number = pg_sys::OidFunctionCall1Coll(
            pg_sys::F_NUMERIC_INT4.into(),
            pg_sys::InvalidOid,
            pg_sys::Datum::from(0),
        );
        pg_sys::makeConst(
            pg_sys::NUMERICOID,
            -1,
            pg_sys::InvalidOid,
            -1,
            number,
            false,
            false,
        )
        .cast()
    }
}

/// No number.
pub fn null_numeric() -> *mut pg_sys::Node {
    // SAFETY: main thread; allocated in the planner's memory context.
    unsafe { pg_sys::makeNullConst(pg_sys::NUMERICOID, -1, pg_sys::InvalidOid).cast() }
}

/// `coalesce(a, b)` of numerics.
///
/// # Safety
/// Valid nodes of type numeric.
pub unsafe fn coalesce(a: *mut pg_sys::Node, b: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the node is zeroed, its tag set; the caller guarantees valid nodes.
    unsafe {
        let mut node = pgrx::PgBox::<pg_sys::CoalesceExpr>::alloc_node(pg_sys::NodeTag::T_CoalesceExpr);
        node.coalescetype = pg_sys::NUMERICOID;
        node.args = list([a, b]);
        node.location = -1;
        node.into_pg().cast()
    }
}

/// An aggregate of one argument, or of none: `count(*)`.
///
/// # Safety
/// `function` must be an aggregate that takes and returns what is said; valid nodes.
pub unsafe fn aggregate(
    function: u32,
    returns: pg_sys::Oid,
    argument: Option<*mut pg_sys::Node>,
    filter: *mut pg_sys::Node,
) -> *mut pg_sys::Aggref {
    // SAFETY: the node is zeroed, its tag set; catalog look-up of a built-in aggregate; the caller guarantees valid nodes.
    unsafe {
        let mut node = pgrx::PgBox::<pg_sys::Aggref>::alloc_node(pg_sys::NodeTag::T_Aggref);
        node.aggfnoid = function.into();
        node.aggtype = returns;
        node.aggtranstype = known(function.into(), AGGTRANSTYPE);
        if let Some(argument) = argument {
            let entry = pg_sys::makeTargetEntry(argument.cast(), 1, std::ptr::null_mut(), false);
            node.args = list([entry.cast()]);
            node.aggargtypes = pg_sys::lappend_oid(std::ptr::null_mut(), pg_sys::exprType(argument));
        } else {
            node.aggstar = true;
        }
        node.aggfilter = filter.cast();
        node.aggkind = b'n' as std::ffi::c_char;
        node.aggsplit = pg_sys::AggSplit::AGGSPLIT_SIMPLE;
        node.location = -1;
        node.into_pg()
    }
}

/// Attribute numbers in pg_aggregate (pg_aggregate.h).
const AGGSORTOP: i16 = 16;
const AGGTRANSTYPE: i16 = 17;

/// A column of an aggregate's row in pg_aggregate.
unsafe fn known(function: pg_sys::Oid, column: i16) -> pg_sys::Oid {
    // SAFETY: catalog look-up on the main thread; both columns are OIDs, by value and never null.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::AGGFNOID as i32;
        let row = pg_sys::SearchSysCache1(cache, function.into());
        if row.is_null() {
            return pg_sys::InvalidOid;
        }
        let mut null = false;
        let value = pg_sys::SysCacheGetAttr(cache, row, column, &raw mut null);
        pg_sys::ReleaseSysCache(row);
        pg_sys::Oid::from(value.value() as u32)
    }
}

/// Whether an aggregate picks one of its values by an order (`min`, `max`): how often a value comes does not matter.
///
/// # Safety
/// Main thread, within a transaction.
pub unsafe fn is_extreme(function: pg_sys::Oid) -> bool {
    // SAFETY: same contract as the callee.
    unsafe { known(function, AGGSORTOP) != pg_sys::InvalidOid }
}
