//! A commit that may fail without ending the refresh. PL/pgSQL lets the error of a COMMIT leave the procedure: a deferred
//! constraint of a mirror's table raises there, and so does Citus when a worker is lost between the last statement and the
//! commit. The run would stay without an end, and the other mirrors without a refresh.

use crate::error::state_name;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::{AnyElement, PgTryBuilder, PgTupleDesc};

/// Commits, as COMMIT does in a procedure. If that fails, everything is rolled back, a new transaction has begun, and the
/// results say why; the caller goes on.
#[pg_extern(sql = r#"
CREATE PROCEDURE mirror_commit(OUT failed boolean, OUT state text, OUT message text, OUT details text, OUT advice text)
LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn mirror_commit(call: pg_sys::FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: main thread; CALL passes its context, which says whether the procedure may commit.
    let may_commit = unsafe {
        let context = (*call).context;
        !context.is_null()
            && (*context).type_ == pg_sys::NodeTag::T_CallContext
            && !(*context.cast::<pg_sys::CallContext>()).atomic
    };
    let options = if may_commit { pg_sys::SPI_OPT_NONATOMIC } else { 0 };
    // SAFETY: main thread. An atomic connection makes SPI_commit refuse, and that error is not caught.
    unsafe { pg_sys::SPI_connect_ext(options as i32) };
    let mut failure = None;
    if may_commit {
        // When the commit fails, SPI_commit itself aborts the transaction and begins another one before it raises, so that its
        // caller may go on.
        failure = PgTryBuilder::new(|| {
            // SAFETY: main thread, connected; the connection outlives the transaction.
            unsafe { pg_sys::SPI_commit() };
            None
        })
        .catch_others(Some)
        .execute();
    } else {
        // SAFETY: as above.
        unsafe { pg_sys::SPI_commit() };
    }
    // SAFETY: main thread; connected above. That goes back to the caller's memory context, which outlives the transaction.
    unsafe { pg_sys::SPI_finish() };
    // SAFETY: main thread, in a transaction and the caller's memory context.
    unsafe { result(call, failure) }
}

/// The row of the results: whether the commit failed, SQLSTATE, message, DETAIL and HINT.
///
/// # Safety
/// Main thread, in a transaction; `call` is the call of a procedure with the OUT parameters of [`mirror_commit`].
unsafe fn result(call: pg_sys::FunctionCallInfo, failure: Option<CaughtError>) -> Option<AnyElement> {
    let failed = failure.is_some();
    let [state, message, details, advice] = failure.map_or([None, None, None, None], |caught| {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = caught;
        [
            Some(state_name(report.sql_error_code() as i32)),
            Some(report.message().to_owned()),
            report.detail().map(str::to_owned),
            report.hint().map(str::to_owned),
        ]
    });
    let columns = [
        failed.into_datum(),
        state.into_datum(),
        message.into_datum(),
        details.into_datum(),
        advice.into_datum(),
    ];
    // SAFETY: see above; as many values as the procedure has OUT parameters, each of its type.
    unsafe {
        let mut descriptor = std::ptr::null_mut();
        pg_sys::get_call_result_type(call, std::ptr::null_mut(), &mut descriptor);
        let descriptor = PgTupleDesc::from_pg_unchecked(pg_sys::BlessTupleDesc(descriptor));
        let row = PgHeapTuple::from_datums(descriptor, columns).expect("as many values as parameters");
        AnyElement::from_polymorphic_datum(row.into_datum()?, false, pg_sys::RECORDOID)
    }
}
