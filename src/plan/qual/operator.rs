//! Operators by their meaning: recognised by the b-tree operator families of pg_catalog, never by name.

use crate::catalog::ValueClass;
use intacct::CompareOp;
use pgrx::pg_sys;

// pg_opfamily.dat
const BOOL_OPS: u32 = 424;
pub const DATETIME_OPS: u32 = 434;
pub const FLOAT_OPS: u32 = 1970;
const INTEGER_OPS: u32 = 1976;
pub const NUMERIC_OPS: u32 = 1988;
const TEXT_OPS: u32 = 1994;

/// The operator family that orders values of a class, and the types that its operand may have.
pub fn family(class: ValueClass) -> (pg_sys::Oid, &'static [pg_sys::Oid]) {
    let (family, types): (u32, &'static [pg_sys::Oid]) = match class {
        ValueClass::Text => (TEXT_OPS, &[pg_sys::TEXTOID]),
        ValueClass::Integer => (INTEGER_OPS, &[pg_sys::INT8OID, pg_sys::INT4OID, pg_sys::INT2OID]),
        ValueClass::Decimal => (NUMERIC_OPS, &[pg_sys::NUMERICOID]),
        ValueClass::Boolean => (BOOL_OPS, &[pg_sys::BOOLOID]),
        ValueClass::Date => (DATETIME_OPS, &[pg_sys::DATEOID]),
        ValueClass::Timestamp => (DATETIME_OPS, &[pg_sys::TIMESTAMPTZOID]),
    };
    (pg_sys::Oid::from(family), types)
}

/// What an operator means in a family, and the types of its two sides.
///
/// # Safety
/// Main thread, inside a transaction.
pub unsafe fn meaning(operator: pg_sys::Oid, family: u32) -> Option<(CompareOp, pg_sys::Oid, pg_sys::Oid)> {
    let family = pg_sys::Oid::from(family);
    // SAFETY: catalog look-ups by OID.
    unsafe {
        if operator == pg_sys::InvalidOid {
            return None;
        }
        let (mut left, mut right) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        pg_sys::op_input_types(operator, &mut left, &mut right);
        let strategy = |operator| pg_sys::get_op_opfamily_strategy(operator, family) as u32;
        let op = match strategy(operator) {
            pg_sys::BTLessStrategyNumber => CompareOp::Lt,
            pg_sys::BTLessEqualStrategyNumber => CompareOp::Le,
            pg_sys::BTEqualStrategyNumber => CompareOp::Eq,
            pg_sys::BTGreaterEqualStrategyNumber => CompareOp::Ge,
            pg_sys::BTGreaterStrategyNumber => CompareOp::Gt,
            // `<>` is in no family: it is the negator of the family's `=`.
            _ => {
                let negator = pg_sys::get_negator(operator);
                if negator == pg_sys::InvalidOid || strategy(negator) != pg_sys::BTEqualStrategyNumber {
                    return None;
                }
                CompareOp::Ne
            }
        };
        Some((op, left, right))
    }
}

/// What an operator means, if it is one of the class's own family between the class's own types.
///
/// # Safety
/// Main thread, inside a transaction.
pub unsafe fn compare_op(operator: pg_sys::Oid, class: ValueClass) -> Option<CompareOp> {
    let (family, types) = family(class);
    // SAFETY: same contract as this function.
    let (op, left, right) = unsafe { meaning(operator, family.into()) }?;
    (types.contains(&left) && types.contains(&right)).then_some(op)
}

/// The operator that is true where this one is false.
pub fn negate(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq => CompareOp::Ne,
        CompareOp::Ne => CompareOp::Eq,
        CompareOp::Lt => CompareOp::Ge,
        CompareOp::Le => CompareOp::Gt,
        CompareOp::Gt => CompareOp::Le,
        CompareOp::Ge => CompareOp::Lt,
    }
}

/// The operator with its sides exchanged.
pub fn commute(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
        symmetric => symmetric,
    }
}

/// Whether equality under this collation is equality of bytes.
///
/// # Safety
/// Main thread, inside a transaction.
pub unsafe fn deterministic(collation: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up by OID.
    collation != pg_sys::InvalidOid && unsafe { pg_sys::get_collation_isdeterministic(collation) }
}
