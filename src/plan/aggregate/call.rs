//! Which aggregates the gateway computes as PostgreSQL does.

use crate::catalog::ValueClass;
use crate::plan::remote_rel::RemoteRel;
use pgrx::{PgList, is_a, pg_sys};

/// An aggregate that can be computed from what the gateway computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AggregateCall {
    /// Rows.
    CountRows,
    /// Rows in which the field has a value.
    Count(String),
    /// The sum; of no values it is null.
    Sum(String),
    /// The sum by the number of values.
    Average(String),
    /// The least value.
    Least(String),
    /// The greatest value.
    Greatest(String),
}

impl AggregateCall {
    /// The field read.
    pub fn field(&self) -> Option<&str> {
        match self {
            AggregateCall::CountRows => None,
            AggregateCall::Count(field)
            | AggregateCall::Sum(field)
            | AggregateCall::Average(field)
            | AggregateCall::Least(field)
            | AggregateCall::Greatest(field) => Some(field),
        }
    }

    /// Whether the result is right only where no row has null in the field: `count` of the gateway is asked for rows.
    pub fn counts_values(&self) -> bool {
        matches!(self, AggregateCall::Count(_) | AggregateCall::Average(_))
    }
}

/// The function of an ordinary aggregate (an OID of pg_proc.dat), and its one argument, which `count(*)` alone has not;
/// `None`: it is an ordered set, has several arguments, or is of another query or stage. DISTINCT, ORDER BY and FILTER are the
/// caller's affair.
///
/// # Safety
/// `aggregate` must be a valid node of the current planning.
pub unsafe fn of_values(aggregate: *mut pg_sys::Aggref) -> Option<(u32, Option<*mut pg_sys::Node>)> {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        let plain = (*aggregate).aggkind == b'n' as std::ffi::c_char
            && !(*aggregate).aggvariadic
            && (*aggregate).aggdirectargs.is_null()
            && (*aggregate).agglevelsup == 0
            && (*aggregate).aggsplit == pg_sys::AggSplit::AGGSPLIT_SIMPLE;
        if !plain {
            return None;
        }
        let function = u32::from((*aggregate).aggfnoid);
        if function == pg_sys::F_COUNT_ {
            return Some((function, None));
        }
        let arguments = PgList::<pg_sys::TargetEntry>::from_pg((*aggregate).args);
        match arguments.len() {
            1 => Some((function, Some((*arguments.get_ptr(0)?).expr.cast()))),
            _ => None,
        }
    }
}

/// What an aggregate of the statement is for the gateway; `None`: nothing. Its FILTER is the caller's affair.
///
/// Aggregates are recognised by OID (pg_proc.dat), never by name.
///
/// # Safety
/// `aggregate` must be a valid node of the current planning.
pub unsafe fn recognise(source: &RemoteRel, aggregate: *mut pg_sys::Aggref) -> Option<AggregateCall> {
    // SAFETY: the caller guarantees a valid node; node types are checked before each cast.
    unsafe {
        let (function, argument) = of_values(aggregate)?;
        if !(*aggregate).aggdistinct.is_null() || !(*aggregate).aggorder.is_null() {
            return None;
        }
        let Some(argument) = argument else {
            return Some(AggregateCall::CountRows);
        };
        if function == pg_sys::F_COUNT_ANY && is_a(argument, pg_sys::NodeTag::T_Const) {
            return (!(*argument.cast::<pg_sys::Const>()).constisnull).then_some(AggregateCall::CountRows);
        }
        let column = source.column(argument)?;
        let (field, class) = (column.field, column.class);
        let ordered = match class {
            ValueClass::Integer | ValueClass::Decimal | ValueClass::Date | ValueClass::Timestamp => {
                source.table().compares_as_read(class)
            }
            // Text has an order of the gateway's own, and a boolean has none that is documented.
            ValueClass::Text | ValueClass::Boolean => false,
        };
        match function {
            // An unset boolean may read as false.
            pg_sys::F_COUNT_ANY if class != ValueClass::Boolean => Some(AggregateCall::Count(field)),
            pg_sys::F_SUM_INT8 | pg_sys::F_SUM_NUMERIC => Some(AggregateCall::Sum(field)),
            pg_sys::F_AVG_INT8 | pg_sys::F_AVG_NUMERIC => Some(AggregateCall::Average(field)),
            pg_sys::F_MIN_INT8 | pg_sys::F_MIN_NUMERIC | pg_sys::F_MIN_DATE | pg_sys::F_MIN_TIMESTAMPTZ
                if ordered =>
            {
                Some(AggregateCall::Least(field))
            }
            pg_sys::F_MAX_INT8 | pg_sys::F_MAX_NUMERIC | pg_sys::F_MAX_DATE | pg_sys::F_MAX_TIMESTAMPTZ
                if ordered =>
            {
                Some(AggregateCall::Greatest(field))
            }
            _ => None,
        }
    }
}
