//! What ANALYZE has found in a column.

use pgrx::{FromDatum, pg_sys};

/// Number of values in pg_statistic (pg_statistic.h): a float4, never null; above zero it is absolute.
const STADISTINCT: i16 = 6;

/// All texts of a column, if the statistics list as many as they take for all; whether they are is for the caller to prove.
///
/// # Safety
/// Main thread, within a transaction; the user may read the column.
pub unsafe fn all_texts(table: pg_sys::Oid, attnum: i16) -> Option<Vec<String>> {
    // SAFETY: catalog look-up on the main thread; the slot is filled where the call says so, and freed here.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::STATRELATTINH as i32;
        let row = pg_sys::SearchSysCache3(
            cache,
            table.into(),
            pg_sys::Datum::from(attnum),
            pg_sys::Datum::from(false),
        );
        if row.is_null() {
            return None;
        }
        let mut null = false;
        let distinct = pg_sys::SysCacheGetAttr(cache, row, STADISTINCT, &raw mut null);
        let distinct = f32::from_bits(distinct.value() as u32);
        let mut slot = pg_sys::AttStatsSlot::default();
        let found = pg_sys::get_attstatsslot(
            &raw mut slot,
            row,
            pg_sys::STATISTIC_KIND_MCV as i32,
            pg_sys::InvalidOid,
            pg_sys::ATTSTATSSLOT_VALUES as i32,
        );
        let mut texts = None;
        if found {
            if slot.nvalues > 0 && slot.nvalues as f32 == distinct {
                let values = std::slice::from_raw_parts(slot.values, slot.nvalues as usize);
                texts = values
                    .iter()
                    .map(|value| String::from_datum(*value, false))
                    .collect();
            }
            pg_sys::free_attstatsslot(&raw mut slot);
        }
        pg_sys::ReleaseSysCache(row);
        texts
    }
}
