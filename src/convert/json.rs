//! JSON that is written already, as `jsonb`: numbers keep all their digits.

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{IntoDatum, pg_sys};
use std::ffi::CString;

/// A JSON text in UTF-8 that becomes a `jsonb` value.
#[derive(Debug)]
pub struct Jsonb(pub String);

impl IntoDatum for Jsonb {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        // JSON says a NUL as an escape, which jsonb refuses on its own.
        let text = CString::new(self.0).unwrap_or_default();
        // SAFETY: main thread inside a transaction; both functions copy what they are given.
        unsafe {
            let length = i32::try_from(text.as_bytes().len()).unwrap_or(i32::MAX);
            let encoded =
                pg_sys::pg_any_to_server(text.as_ptr().cast_mut(), length, pg_sys::pg_enc::PG_UTF8 as i32);
            let function = pg_sys::Oid::from(pg_sys::F_JSONB_IN);
            Some(pg_sys::OidFunctionCall1Coll(
                function,
                pg_sys::InvalidOid,
                encoded.into(),
            ))
        }
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: the value is returned as the datum of the SQL type that is named below.
unsafe impl BoxRet for Jsonb {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: a jsonb datum in the current memory context.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: `into_datum` makes values of this type.
unsafe impl SqlTranslatable for Jsonb {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Jsonb);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
