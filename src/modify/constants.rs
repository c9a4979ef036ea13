//! Columns with the option `constant` in rows that are written: their value is not sent, so it must be the constant.

use super::target::TargetTable;
use crate::convert::inward::constant;
use pgrx::pg_sys;

/// A column that has the same value in every row.
pub struct ConstantColumn {
    /// Its number in the table.
    pub attnum: i16,
    /// Its value.
    value: pg_sys::Datum,
    /// The function that decides whether two values are equal; none for a type without one.
    equals: pg_sys::Oid,
    collation: pg_sys::Oid,
    type_oid: pg_sys::Oid,
}

impl ConstantColumn {
    /// The constant columns of a table. Raises for a constant that is no value of its column's type.
    ///
    /// # Safety
    /// Main thread; `descriptor` must be the table's, and the current memory context must outlive the columns.
    pub unsafe fn all(target: &TargetTable, descriptor: pg_sys::TupleDesc) -> Vec<ConstantColumn> {
        let columns = target
            .table
            .columns
            .iter()
            .filter(|column| column.generated.is_none());
        columns
            .filter_map(|column| {
                let text = column.constant.as_deref()?;
                // SAFETY: the caller guarantees a valid descriptor; catalog look-ups by OID.
                unsafe {
                    let attribute = crate::compat::attribute(descriptor, column.attnum as usize - 1);
                    let types =
                        pg_sys::lookup_type_cache(attribute.atttypid, pg_sys::TYPECACHE_EQ_OPR as i32);
                    Some(ConstantColumn {
                        attnum: column.attnum,
                        value: constant(text, attribute.atttypid, attribute.atttypmod),
                        equals: match (*types).eq_opr {
                            pg_sys::InvalidOid => pg_sys::InvalidOid,
                            operator => pg_sys::get_opcode(operator),
                        },
                        collation: attribute.attcollation,
                        type_oid: attribute.atttypid,
                    })
                }
            })
            .collect()
    }

    /// Whether a value is the constant.
    ///
    /// # Safety
    /// `value` must be a valid, non-null value of the column; memory is taken from the current context.
    pub unsafe fn is(&self, value: pg_sys::Datum) -> bool {
        // SAFETY: the caller guarantees a valid value; the function takes two values of the column's type.
        unsafe {
            if self.equals == pg_sys::InvalidOid {
                return super::row::output(value, self.type_oid)
                    == super::row::output(self.value, self.type_oid);
            }
            pg_sys::OidFunctionCall2Coll(self.equals, self.collation, value, self.value).value() != 0
        }
    }
}
