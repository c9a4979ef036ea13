//! Dates and timestamps compared across types or through functions that keep their order: `date_column < now()`,
//! `timestamp_column::date = …`, `date_trunc('month', d) = …`, `extract(year from d) = …`. They become ranges.
//!
//! Such a function cuts a value down to a grid (of days, months, …). `f(x) < v` then holds just for the `x` before the
//! first grid point that is not before `v`, and so on for the other operators. Where the session's time zone has a
//! say, the bound is computed at execution, and loosened near a change of the clock (`convert::calendar`).

use super::build::condition;
use super::operand::Operand;
use super::operator::{DATETIME_OPS, FLOAT_OPS, NUMERIC_OPS, meaning, negate};
use super::{RemoteCondition, Translator, not_null};
use crate::catalog::{Column, ValueClass};
use crate::private::transform::{
    BoundEdge, BoundSide, BoundTarget, CalendarBound, CalendarUnit, ParamTransform,
};
use intacct::{CompareOp, Value};
use pgrx::{PgList, is_a, pg_sys};

/// A column as functions show it.
struct View<'a> {
    column: &'a Column,
    class: ValueClass,
    /// The grid; none: as it is.
    unit: Option<CalendarUnit>,
    /// The number of the year, instead of a date.
    year: bool,
    /// A function on the way reads the session's time zone.
    zoned: bool,
}

/// The date or timestamp column in an expression that is null just when the column is.
///
/// # Safety
/// `expression` must be a valid expression node.
pub unsafe fn column<'a>(
    translator: &Translator<'a>,
    expression: *mut pg_sys::Node,
) -> Option<(&'a Column, ValueClass)> {
    // SAFETY: same contract as this function.
    unsafe { view(translator, expression) }.map(|view| (view.column, view.class))
}

unsafe fn view<'a>(translator: &Translator<'a>, expression: *mut pg_sys::Node) -> Option<View<'a>> {
    // SAFETY: node types are checked before each cast.
    unsafe {
        if let Some((column, class)) = translator.column(expression) {
            let unit = match class {
                ValueClass::Date => Some(CalendarUnit::Day),
                ValueClass::Timestamp => None,
                _ => return None,
            };
            return Some(View {
                column,
                class,
                unit,
                year: false,
                zoned: class == ValueClass::Timestamp,
            });
        }
        if !is_a(expression, pg_sys::NodeTag::T_FuncExpr) {
            return None;
        }
        let call = expression.cast::<pg_sys::FuncExpr>();
        let arguments = PgList::<pg_sys::Node>::from_pg((*call).args);
        // The last argument is the value; date_trunc and extract have the unit before it.
        let mut view = view(translator, arguments.get_ptr(arguments.len().checked_sub(1)?)?)?;
        if view.year {
            return None;
        }
        let grid = match u32::from((*call).funcid) {
            pg_sys::F_DATE_TIMESTAMPTZ | pg_sys::F_DATE_TIMESTAMP => Some(CalendarUnit::Day),
            pg_sys::F_TIMESTAMP_DATE => None,
            pg_sys::F_TIMESTAMPTZ_DATE
            | pg_sys::F_TIMESTAMP_TIMESTAMPTZ
            | pg_sys::F_TIMESTAMPTZ_TIMESTAMP => {
                view.zoned = true;
                None
            }
            pg_sys::F_DATE_TRUNC_TEXT_TIMESTAMPTZ => {
                view.zoned = true;
                Some(unit_of(arguments.get_ptr(0)?)?)
            }
            pg_sys::F_DATE_TRUNC_TEXT_TIMESTAMP => Some(unit_of(arguments.get_ptr(0)?)?),
            pg_sys::F_EXTRACT_TEXT_DATE
            | pg_sys::F_EXTRACT_TEXT_TIMESTAMP
            | pg_sys::F_EXTRACT_TEXT_TIMESTAMPTZ
            | pg_sys::F_DATE_PART_TEXT_TIMESTAMP
            | pg_sys::F_DATE_PART_TEXT_TIMESTAMPTZ => {
                if unit_of(arguments.get_ptr(0)?)? != CalendarUnit::Year {
                    return None;
                }
                view.year = true;
                Some(CalendarUnit::Year)
            }
            _ => return None,
        };
        view.unit = match (view.unit, grid) {
            (Some(inner), Some(outer)) => Some(inner.within(outer)?),
            (inner, outer) => inner.or(outer),
        };
        Some(view)
    }
}

unsafe fn unit_of(expression: *mut pg_sys::Node) -> Option<CalendarUnit> {
    // SAFETY: same contract as this function.
    CalendarUnit::from_name(&unsafe { super::operand::constant_text(expression) }?)
}

/// A comparison of such an expression with a value.
///
/// # Safety
/// Valid expression nodes of the current planning.
pub unsafe fn compare(
    translator: &mut Translator,
    operator: pg_sys::Oid,
    subject: *mut pg_sys::Node,
    value: *mut pg_sys::Node,
    negated: bool,
) -> Option<RemoteCondition> {
    // SAFETY: same contract as this function.
    unsafe {
        let view = view(translator, subject)?;
        let op = if view.year {
            meaning(operator, NUMERIC_OPS)
                .or_else(|| meaning(operator, FLOAT_OPS))?
                .0
        } else {
            meaning(operator, DATETIME_OPS)?.0
        };
        let op = if negated { negate(op) } else { op };
        let bound = Bounds {
            zoned: view.zoned || pg_sys::exprType(value) == pg_sys::TIMESTAMPTZOID,
            view,
            value,
        };
        let field = bound.view.column.field.clone();
        let low = |bound: &Bounds, translator: &mut Translator, edge| {
            bound.half(translator, CompareOp::Ge, BoundSide::Low, edge)
        };
        let high = |bound: &Bounds, translator: &mut Translator, edge| match bound.view.unit {
            Some(_) => bound.half(translator, CompareOp::Lt, BoundSide::High, edge),
            // The value itself may be wanted, and the clock may make it ambiguous.
            None => bound.half(translator, CompareOp::Le, BoundSide::High, edge),
        };
        match op {
            CompareOp::Lt => high(&bound, translator, BoundEdge::Ceiling),
            CompareOp::Le => high(&bound, translator, BoundEdge::Next),
            CompareOp::Ge => low(&bound, translator, BoundEdge::Ceiling),
            CompareOp::Gt => low(&bound, translator, BoundEdge::Next),
            CompareOp::Eq => {
                let from = low(&bound, translator, BoundEdge::Start)?;
                let to = high(&bound, translator, BoundEdge::Next)?;
                let whole = RemoteCondition::and(from, to);
                Some(if bound.on_grid(translator) {
                    whole
                } else {
                    whole.inexact()
                })
            }
            CompareOp::Ne => {
                // Evaluated all the same, so that a value of another type is refused.
                bound.half(translator, CompareOp::Ge, BoundSide::Low, BoundEdge::Start)?;
                RemoteCondition::superset(not_null(&field))
            }
        }
    }
}

struct Bounds<'a> {
    view: View<'a>,
    value: *mut pg_sys::Node,
    zoned: bool,
}

impl Bounds<'_> {
    fn moment(&self, side: BoundSide, edge: BoundEdge) -> ParamTransform {
        ParamTransform::CalendarBound(CalendarBound {
            unit: self.view.unit,
            edge,
            side,
            target: match self.view.class {
                ValueClass::Date => BoundTarget::Day,
                _ => BoundTarget::Instant,
            },
            zoned: self.zoned,
        })
    }

    unsafe fn operand(&self, translator: &mut Translator, shape: ParamTransform) -> Option<Value> {
        let types: &[pg_sys::Oid] = if self.view.year {
            &[pg_sys::NUMERICOID, pg_sys::FLOAT8OID]
        } else {
            &[pg_sys::DATEOID, pg_sys::TIMESTAMPOID, pg_sys::TIMESTAMPTZOID]
        };
        // SAFETY: same contract as this function.
        match unsafe { translator.operand(self.value, types, shape) }? {
            Operand::Value(value) => Some(value),
            Operand::Null => None,
        }
    }

    unsafe fn half(
        &self,
        translator: &mut Translator,
        op: CompareOp,
        side: BoundSide,
        edge: BoundEdge,
    ) -> Option<RemoteCondition> {
        // SAFETY: same contract as this function.
        let value = unsafe { self.operand(translator, self.moment(side, edge)) }?;
        condition(translator, &self.view.column.field, op, value, !self.zoned)
    }

    /// Whether the value is known to lie on the grid, so that equality is the whole range.
    unsafe fn on_grid(&self, translator: &mut Translator) -> bool {
        let kept = translator.params.mark();
        // SAFETY: same contract as this function.
        let (start, ceiling) = unsafe {
            (
                self.operand(translator, self.moment(BoundSide::Low, BoundEdge::Start)),
                self.operand(translator, self.moment(BoundSide::Low, BoundEdge::Ceiling)),
            )
        };
        translator.params.forget_after(kept);
        !matches!(start, None | Some(Value::Param(_))) && start == ceiling
    }
}
