//! `jsonb` values: JSON that is written already (numbers keep all their digits), and arguments.

use crate::error::{Report, raise};
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{FromDatum, IntoDatum, PgSqlErrorCode, pg_sys};
use serde_json::Value;
use std::ffi::{CStr, CString};

/// A JSON text in UTF-8 that becomes a `jsonb` value.
#[derive(Debug)]
pub struct Jsonb(pub String);

impl IntoDatum for Jsonb {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        // JSON writes a NUL as an escape, which jsonb refuses on its own.
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

/// A `jsonb` argument. What cannot be held here, since it is too deep, is an error of the caller's.
#[derive(Debug)]
pub struct Document(pub Value);

impl FromDatum for Document {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _type: pg_sys::Oid,
    ) -> Option<Document> {
        if is_null {
            return None;
        }
        // SAFETY: main thread inside a transaction; the datum is a jsonb, and its text lives in the current memory context.
        let text = unsafe {
            let text = pg_sys::OidOutputFunctionCall(pg_sys::Oid::from(pg_sys::F_JSONB_OUT), datum);
            let length = i32::try_from(CStr::from_ptr(text).count_bytes()).unwrap_or(i32::MAX);
            CStr::from_ptr(pg_sys::pg_server_to_any(
                text,
                length,
                pg_sys::pg_enc::PG_UTF8 as i32,
            ))
        };
        match serde_json::from_slice(text.to_bytes()) {
            Ok(value) => Some(Document(value)),
            Err(error) => raise(
                Report::new(
                    PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                    "the jsonb argument cannot be read",
                )
                .detail(format!("{error}."))
                .hint("JSON may be nested 127 levels deep."),
            ),
        }
    }
}

// SAFETY: the argument is a datum of the SQL type that is named below.
unsafe impl<'fcx> ArgAbi<'fcx> for Document {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: same contract as this function.
        let document = unsafe { arg.unbox_arg_using_from_datum() };
        document.unwrap_or_else(|| {
            raise(Report::new(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                "the jsonb argument must not be null",
            ))
        })
    }
}

// SAFETY: `from_polymorphic_datum` reads values of this type.
unsafe impl SqlTranslatable for Document {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Document);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
