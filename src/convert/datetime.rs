//! Which types hold dates or times: their input and output functions read and write them as the session's settings
//! `DateStyle` and `TimeZone` require, which the gateway does not have.

use pgrx::pg_sys;

/// Composite types nested deeper than this are taken to hold a date.
const MOST_NESTED: u32 = 20;

/// Whether a type is, or has anywhere inside of it, a date or a time: domains, arrays, ranges and composite types are
/// looked through.
///
/// # Safety
/// Main thread, inside a transaction.
pub unsafe fn is_inside(type_oid: pg_sys::Oid) -> bool {
    // SAFETY: same contract as this function.
    unsafe { within(type_oid, 0) }
}

unsafe fn within(type_oid: pg_sys::Oid, depth: u32) -> bool {
    if depth == MOST_NESTED {
        return true;
    }
    // SAFETY: catalog look-ups by OID; each gives an invalid OID for a type of another kind.
    unsafe {
        let base = pg_sys::getBaseType(type_oid);
        if matches!(
            base,
            pg_sys::DATEOID
                | pg_sys::TIMEOID
                | pg_sys::TIMETZOID
                | pg_sys::TIMESTAMPOID
                | pg_sys::TIMESTAMPTZOID
        ) {
            return true;
        }
        let element = pg_sys::get_element_type(base);
        if element != pg_sys::InvalidOid {
            return within(element, depth + 1);
        }
        if pg_sys::type_is_multirange(base) {
            return within(pg_sys::get_multirange_range(base), depth + 1);
        }
        if pg_sys::type_is_range(base) {
            return within(pg_sys::get_range_subtype(base), depth + 1);
        }
        if base == pg_sys::RECORDOID || !pg_sys::type_is_rowtype(base) {
            return false;
        }
        let descriptor = pg_sys::lookup_rowtype_tupdesc(base, -1);
        let mut found = false;
        for index in 0..(*descriptor).natts as usize {
            let attribute = crate::compat::attribute(descriptor, index);
            found |= !attribute.attisdropped && within(attribute.atttypid, depth + 1);
        }
        // As the macro ReleaseTupleDesc does.
        if (*descriptor).tdrefcount >= 0 {
            pg_sys::DecrTupleDescRefCount(descriptor);
        }
        found
    }
}
