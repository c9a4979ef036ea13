//! Parameters of a scan: expressions of the plan, evaluated when the rows are requested.

use crate::convert::transform;
use crate::ffi;
use crate::private::transform::ParamTransform;
use intacct::{Binding, Value};
use pgrx::{PgList, pg_sys};

/// A value on which no condition narrows what is read.
const KEEPS_EVERY_ROW: Binding = Binding::NotRepresentable;

/// The scan's `fdw_exprs`, ready to be evaluated.
pub struct Parameters {
    states: Vec<*mut pg_sys::ExprState>,
    types: Vec<pg_sys::Oid>,
    transforms: Vec<ParamTransform>,
    varies: Vec<bool>,
}

impl Parameters {
    /// Prepares the expressions, each with the shape that its value takes.
    ///
    /// # Safety
    /// `expressions` must be the plan's list, `parent` the scan's plan state.
    pub unsafe fn prepare(
        expressions: *mut pg_sys::List,
        transforms: Vec<ParamTransform>,
        parent: *mut pg_sys::PlanState,
    ) -> Parameters {
        // SAFETY: the caller guarantees valid planner or executor nodes.
        unsafe {
            let types = PgList::<pg_sys::Node>::from_pg(expressions)
                .iter_ptr()
                .map(|expression| pg_sys::exprType(expression))
                .collect();
            let varies = PgList::<pg_sys::Node>::from_pg(expressions)
                .iter_ptr()
                .map(|expression| ffi::may_vary(expression))
                .collect();
            let states = pg_sys::ExecInitExprList(expressions, parent);
            Parameters {
                states: PgList::<pg_sys::ExprState>::from_pg(states).iter_ptr().collect(),
                types,
                transforms,
                varies,
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// For each expression, whether its value may change while the statement runs.
    pub fn varies(&self) -> &[bool] {
        &self.varies
    }

    /// The values without those that may change while the statement runs: conditions on these keep every row.
    pub fn constant(&self, bindings: &[Binding]) -> Vec<Binding> {
        let all = bindings.iter().zip(&self.varies);
        all.map(|(binding, varies)| match varies {
            true => KEEPS_EVERY_ROW,
            false => binding.clone(),
        })
        .collect()
    }

    /// What each expression is now, in the order of their numbers.
    ///
    /// # Safety
    /// `context` must be the scan's expression context; values that are not passed by value live in its per-tuple
    /// memory, and are copied before this returns.
    pub unsafe fn evaluate(&self, context: *mut pg_sys::ExprContext) -> Vec<Binding> {
        self.states
            .iter()
            .zip(&self.types)
            .zip(&self.transforms)
            .map(|((state, type_oid), shape)| {
                // SAFETY: the states were made by ExecInitExprList, which sets their function.
                unsafe {
                    let mut null = false;
                    match ffi::evaluate(*state, context, &mut null) {
                        Some(datum) => transform::bind(datum, null, *type_oid, *shape),
                        None => KEEPS_EVERY_ROW,
                    }
                }
            })
            .collect()
    }
}

/// The value of a bound row count; `None`: no limit, or none that makes sense.
pub fn count(count: intacct::Count, bindings: &[Binding]) -> Option<u64> {
    match count {
        intacct::Count::Number(number) => Some(number),
        intacct::Count::Param(number) => match bindings.get(number as usize - 1)? {
            Binding::Value(Value::Number(digits)) => digits.parse().ok(),
            _ => None,
        },
    }
}

/// LIMIT or OFFSET as PostgreSQL reads it: NULL is none. Raises when it is negative.
pub fn row_count(count: intacct::Count, bindings: &[Binding], is_limit: bool) -> Option<u64> {
    if let intacct::Count::Param(number) = count
        && let Some(Binding::Value(Value::Number(digits))) = bindings.get(number as usize - 1)
        && digits.starts_with('-')
    {
        use pgrx::PgSqlErrorCode as Code;
        let (code, name) = match is_limit {
            true => (Code::ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT"),
            false => (Code::ERRCODE_INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE, "OFFSET"),
        };
        crate::error::raise(crate::error::Report::new(
            code,
            format!("{name} must not be negative"),
        ));
    }
    self::count(count, bindings)
}
