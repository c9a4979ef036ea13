//! Slot access of writes: reading and replacing the row in a tuple slot.

use pgrx::pg_sys;

/// The values of a slot, and which of them are null.
///
/// # Safety
/// `slot` must hold a row; the arrays are valid as long as it does.
pub unsafe fn attributes<'a>(slot: *mut pg_sys::TupleTableSlot) -> (&'a [pg_sys::Datum], &'a [bool]) {
    // SAFETY: the caller guarantees a valid slot; its arrays are as long as its descriptor.
    unsafe {
        let natts = (*(*slot).tts_tupleDescriptor).natts;
        if i32::from((*slot).tts_nvalid) < natts {
            pg_sys::slot_getsomeattrs_int(slot, natts);
        }
        (
            std::slice::from_raw_parts((*slot).tts_values, natts as usize),
            std::slice::from_raw_parts((*slot).tts_isnull, natts as usize),
        )
    }
}

/// The type of a column of a slot.
///
/// # Safety
/// `slot` must be a valid slot, `index` below its number of columns.
pub unsafe fn type_of(slot: *mut pg_sys::TupleTableSlot, index: usize) -> pg_sys::Oid {
    // SAFETY: the caller guarantees both.
    unsafe { crate::compat::attribute((*slot).tts_tupleDescriptor, index).atttypid }
}

/// Replaces the row of a slot.
///
/// # Safety
/// `slot` must be a valid slot, the arrays as long as its descriptor; values are copied.
pub unsafe fn store(slot: *mut pg_sys::TupleTableSlot, values: &mut [pg_sys::Datum], nulls: &mut [bool]) {
    // SAFETY: the caller guarantees a valid slot; the tuple is the slot's to free.
    unsafe {
        let tuple = pg_sys::heap_form_tuple(
            (*slot).tts_tupleDescriptor,
            values.as_mut_ptr(),
            nulls.as_mut_ptr(),
        );
        pg_sys::ExecForceStoreHeapTuple(tuple, slot, true);
    }
}

/// Copies columns from the row of a scan into the slot of the statement's row.
///
/// # Safety
/// Both slots must be valid, `scanned` must hold a row; `columns` are numbers in the first and in the second.
pub unsafe fn carry(
    slot: *mut pg_sys::TupleTableSlot,
    scanned: *mut pg_sys::TupleTableSlot,
    columns: &[(i16, i16)],
) {
    if columns.is_empty() {
        return;
    }
    // SAFETY: the caller guarantees valid slots; `store` copies the values.
    unsafe {
        let natts = (*(*slot).tts_tupleDescriptor).natts as usize;
        let empty = u32::from((*slot).tts_flags) & pg_sys::TTS_FLAG_EMPTY != 0;
        let (mut values, mut nulls) = match empty {
            true => (vec![pg_sys::Datum::from(0); natts], vec![true; natts]),
            false => {
                let (values, nulls) = attributes(slot);
                (values.to_vec(), nulls.to_vec())
            }
        };
        let (source, missing) = attributes(scanned);
        for (attnum, place) in columns {
            values[*attnum as usize - 1] = source[*place as usize - 1];
            nulls[*attnum as usize - 1] = missing[*place as usize - 1];
        }
        store(slot, &mut values, &mut nulls);
    }
}
