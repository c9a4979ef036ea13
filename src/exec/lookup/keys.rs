//! Join keys: their values on either side, hashed and compared by the join clauses' own operators and collations.

use crate::error::raise_internal;
use crate::exec::spill::{Fields, put_number};
use crate::ffi;
use pgrx::{PgList, pg_sys};

/// Which side of the join a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Outer,
    Inner,
}

/// One `outer = inner`.
struct Key {
    outer: *mut pg_sys::ExprState,
    inner: *mut pg_sys::ExprState,
    hash_outer: *mut pg_sys::FmgrInfo,
    hash_inner: *mut pg_sys::FmgrInfo,
    /// Compares an outer value with an inner one.
    equal: *mut pg_sys::FmgrInfo,
    /// Compares two outer values.
    equal_outer: *mut pg_sys::FmgrInfo,
    /// Compares two inner values.
    equal_inner: *mut pg_sys::FmgrInfo,
    collation: pg_sys::Oid,
    outer_type: Kind,
    inner_type: Kind,
    /// The outer value is a text.
    is_text: bool,
}

/// All key clauses.
pub struct Keys {
    keys: Vec<Key>,
}

impl Keys {
    /// Prepares key clauses, whose outer side stands on the left.
    ///
    /// # Safety
    /// Main thread; operators of a plan of ours, the node's plan state, the executor's memory context as current one.
    pub unsafe fn prepare(clauses: &[*mut pg_sys::Node], parent: *mut pg_sys::PlanState) -> Keys {
        // SAFETY: the caller guarantees valid planner or executor nodes; functions are looked up by OID in the catalogs.
        unsafe {
            let keys = clauses
                .iter()
                .map(|clause| {
                    let clause = clause.cast::<pg_sys::OpExpr>();
                    let operands = PgList::<pg_sys::Expr>::from_pg((*clause).args);
                    let (mut hash_outer, mut hash_inner) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                    let (mut equal_outer, mut equal_inner) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                    let operator = (*clause).opno;
                    let (Some(outer), Some(inner), true, true) = (
                        operands.get_ptr(0),
                        operands.get_ptr(1),
                        pg_sys::get_op_hash_functions(operator, &mut hash_outer, &mut hash_inner),
                        pg_sys::get_compatible_hash_operators(operator, &mut equal_outer, &mut equal_inner),
                    ) else {
                        raise_internal("a join key cannot be hashed")
                    };
                    Key {
                        outer: pg_sys::ExecInitExpr(outer, parent),
                        inner: pg_sys::ExecInitExpr(inner, parent),
                        hash_outer: function(hash_outer),
                        hash_inner: function(hash_inner),
                        equal: function(pg_sys::get_opcode(operator)),
                        equal_outer: function(pg_sys::get_opcode(equal_outer)),
                        equal_inner: function(pg_sys::get_opcode(equal_inner)),
                        collation: (*clause).inputcollid,
                        outer_type: Kind::of(outer),
                        inner_type: Kind::of(inner),
                        is_text: pg_sys::exprType(outer.cast()) == pg_sys::TEXTOID,
                    }
                })
                .collect();
            Keys { keys }
        }
    }

    /// The values of a row's keys and their hash; `None`: one is null, and equals nothing.
    ///
    /// # Safety
    /// `context` must be the node's, its scan slot filled on this side, its per-tuple memory the current one.
    pub unsafe fn of_row(
        &self,
        side: Side,
        context: *mut pg_sys::ExprContext,
        values: &mut Vec<pg_sys::Datum>,
    ) -> Option<u32> {
        values.clear();
        let mut hash = 0u32;
        for key in &self.keys {
            let (state, function) = match side {
                Side::Outer => (key.outer, key.hash_outer),
                Side::Inner => (key.inner, key.hash_inner),
            };
            let mut null = false;
            // SAFETY: made ready by ExecInitExpr; the functions are those of the value's type.
            unsafe {
                let value = ffi::evaluate(state, context, &mut null).filter(|_| !null)?;
                let one = pg_sys::FunctionCall1Coll(function, key.collation, value).value() as u32;
                hash = hash.rotate_left(1) ^ one;
                values.push(value);
            }
        }
        Some(hash)
    }

    /// Whether two rows have equal keys, given the side that each is of.
    ///
    /// # Safety
    /// Values of the keys' types on their sides.
    pub unsafe fn equal(
        &self,
        (mut a, mut side): (&[pg_sys::Datum], Side),
        (mut b, mut other): (&[pg_sys::Datum], Side),
    ) -> bool {
        if (side, other) == (Side::Inner, Side::Outer) {
            std::mem::swap(&mut a, &mut b);
            std::mem::swap(&mut side, &mut other);
        }
        self.keys.iter().zip(a).zip(b).all(|((key, a), b)| {
            let function = match (side, other) {
                (Side::Outer, Side::Outer) => key.equal_outer,
                (Side::Inner, Side::Inner) => key.equal_inner,
                _ => key.equal,
            };
            // SAFETY: the functions are those of the values' types.
            unsafe { pg_sys::FunctionCall2Coll(function, key.collation, *a, *b).value() & 0xff != 0 }
        })
    }

    /// Whether one of an outer row's keys is an empty text, which no cell is.
    ///
    /// # Safety
    /// Values of the outer side's types.
    pub unsafe fn has_empty_text(&self, values: &[pg_sys::Datum]) -> bool {
        let texts = self.keys.iter().zip(values).filter(|(key, _)| key.is_text);
        // SAFETY: a text; what is kept apart is no short one.
        texts.into_iter().any(|(_, value)| unsafe {
            let text = pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr());
            pgrx::varsize_any_exhdr(text) == 0
        })
    }

    /// Copies the keys of a row into the current memory context; and how many bytes they take.
    ///
    /// # Safety
    /// Values of the types of this side.
    pub unsafe fn copy(&self, values: &[pg_sys::Datum], side: Side) -> (Vec<pg_sys::Datum>, usize) {
        let mut bytes = 0;
        let pairs = self.keys.iter().zip(values);
        let copies = pairs.map(|(key, value)| {
            let kind = match side {
                Side::Outer => key.outer_type,
                Side::Inner => key.inner_type,
            };
            // SAFETY: the caller guarantees valid values; text and the like is taken out of where it is kept apart.
            unsafe {
                let whole = match kind.length {
                    -1 => {
                        let whole = pg_sys::pg_detoast_datum(value.cast_mut_ptr());
                        bytes += pgrx::varsize_any(whole);
                        pg_sys::Datum::from(whole)
                    }
                    _ => *value,
                };
                bytes += DATUM_OVERHEAD;
                ffi::datumCopy(whole, kind.by_value, kind.length.into())
            }
        });
        (copies.collect(), bytes)
    }
}

/// Values as bytes, for a temporary file.
impl Keys {
    fn kinds(&self, side: Side) -> impl Iterator<Item = Kind> {
        self.keys.iter().map(move |key| match side {
            Side::Outer => key.outer_type,
            Side::Inner => key.inner_type,
        })
    }

    /// The bytes of values that [`copy`](Self::copy) has made.
    ///
    /// # Safety
    /// Values of the types of this side.
    pub unsafe fn bytes(&self, values: &[pg_sys::Datum], side: Side) -> Vec<u8> {
        let mut record = Vec::new();
        for (kind, value) in self.kinds(side).zip(values) {
            if kind.by_value {
                put_number(&mut record, value.value() as u64);
                continue;
            }
            // SAFETY: the caller guarantees valid values, in one piece.
            unsafe {
                let bytes = value.cast_mut_ptr::<u8>();
                let length = match kind.length {
                    -1 => pgrx::varsize_any(bytes.cast()),
                    -2 => std::ffi::CStr::from_ptr(bytes.cast()).to_bytes_with_nul().len(),
                    length => length as usize,
                };
                put_number(&mut record, length as u64);
                record.extend_from_slice(std::slice::from_raw_parts(bytes, length));
            }
        }
        record
    }

    /// The values of such bytes, in the current memory context.
    ///
    /// # Safety
    /// What [`bytes`](Self::bytes) has made for this side.
    pub unsafe fn values(&self, fields: &mut Fields<'_>, side: Side) -> Vec<pg_sys::Datum> {
        self.kinds(side)
            .map(|kind| {
                let number = fields.number();
                if kind.by_value {
                    return pg_sys::Datum::from(number as usize);
                }
                let bytes = fields.bytes(number as usize);
                // SAFETY: memory of that size, aligned for any type.
                unsafe {
                    let place = pg_sys::palloc(bytes.len()).cast::<u8>();
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
                    pg_sys::Datum::from(place)
                }
            })
            .collect()
    }
}

/// What a value of a key takes beside its bytes.
const DATUM_OVERHEAD: usize = 24;

/// How values of a type are passed.
#[derive(Clone, Copy)]
struct Kind {
    by_value: bool,
    length: i16,
}

impl Kind {
    unsafe fn of(expression: *mut pg_sys::Expr) -> Kind {
        let (mut length, mut by_value) = (0, false);
        // SAFETY: a valid expression; a look-up in the catalog.
        unsafe { pg_sys::get_typlenbyval(pg_sys::exprType(expression.cast()), &mut length, &mut by_value) };
        Kind { by_value, length }
    }
}

/// A function, ready to be called, in the current memory context.
unsafe fn function(oid: pg_sys::Oid) -> *mut pg_sys::FmgrInfo {
    // SAFETY: main thread; the memory is zeroed and lives as long as the context.
    unsafe {
        let info = pg_sys::palloc0(size_of::<pg_sys::FmgrInfo>()).cast::<pg_sys::FmgrInfo>();
        pg_sys::fmgr_info_cxt(oid, info, pg_sys::CurrentMemoryContext);
        info
    }
}
