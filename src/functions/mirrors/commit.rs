//! A commit that may fail without ending the refresh. PL/pgSQL lets the error of a COMMIT leave the procedure: a deferred
//! constraint of a mirror's table raises there, and so does Citus when a worker is lost between the last statement and the
//! commit. The run would stay without an end, and the other mirrors without a refresh.

use crate::error::state_name;
use pgrx::PgTryBuilder;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use std::cell::RefCell;

/// Why a commit failed: SQLSTATE, message, DETAIL and HINT.
struct Failure {
    state: String,
    message: String,
    details: Option<String>,
    advice: Option<String>,
}

thread_local! {
    static FAILURE: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// Commits, as COMMIT does in a procedure. If that fails, everything is rolled back, a new transaction has begun, and
/// [`mirror_commit_failure`] says why; the caller goes on.
#[pg_extern(sql = r#"
CREATE PROCEDURE mirror_commit() LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn mirror_commit(call: pg_sys::FunctionCallInfo) {
    FAILURE.take();
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
    if may_commit {
        // When the commit fails, SPI_commit itself aborts the transaction and begins another one before it raises, so that its
        // caller may go on.
        let failure = PgTryBuilder::new(|| {
            // SAFETY: main thread, connected; the connection outlives the transaction.
            unsafe { pg_sys::SPI_commit() };
            None
        })
        .catch_others(|caught| Some(Failure::from(caught)))
        .execute();
        FAILURE.set(failure);
    } else {
        // SAFETY: as above.
        unsafe { pg_sys::SPI_commit() };
    }
    // SAFETY: main thread; connected above.
    unsafe { pg_sys::SPI_finish() };
}

impl From<CaughtError> for Failure {
    fn from(caught: CaughtError) -> Self {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = caught;
        Self {
            state: state_name(report.sql_error_code() as i32),
            message: report.message().to_owned(),
            details: report.detail().map(str::to_owned),
            advice: report.hint().map(str::to_owned),
        }
    }
}

/// Whether the last [`mirror_commit`] failed, and why; says so once.
#[pg_extern(volatile)]
#[allow(clippy::type_complexity)]
fn mirror_commit_failure() -> TableIterator<
    'static,
    (
        name!(failed, bool),
        name!(state, Option<String>),
        name!(message, Option<String>),
        name!(details, Option<String>),
        name!(advice, Option<String>),
    ),
> {
    TableIterator::once(FAILURE.take().map_or((false, None, None, None, None), |failure| {
        let Failure {
            state,
            message,
            details,
            advice,
        } = failure;
        (true, Some(state), Some(message), details, advice)
    }))
}
