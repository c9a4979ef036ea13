//! SQL conditions into the connector's own: which rows the gateway may leave out.
//!
//! A [`Pushed`] condition keeps every row for which the SQL expression is true (it may keep more, then it is not
//! *exact*). All conditions are evaluated locally as well, so a superset costs traffic and never a wrong answer; the
//! opposite mistake, a condition that drops a row which SQL keeps, is what each rule in here must exclude.
//! `docs/pushdown.md` lists the rules with their reasons.

mod leaf;
mod operand;

pub use leaf::family;
pub use operand::Params;

use crate::catalog::ForeignTable;
use intacct::Condition;
use pgrx::{PgList, is_a, pg_sys};

/// A condition for the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// What is sent.
    pub condition: Condition,
    /// It keeps exactly the rows that SQL keeps.
    pub exact: bool,
}

impl Pushed {
    fn exact(condition: Condition) -> Option<Pushed> {
        Some(Pushed {
            condition,
            exact: true,
        })
    }

    fn superset(condition: Condition) -> Option<Pushed> {
        Some(Pushed {
            condition,
            exact: false,
        })
    }
}

/// Translates the conditions of one foreign table.
pub struct Translator<'a> {
    /// The table.
    pub table: &'a ForeignTable,
    /// Its place in the query.
    pub relid: pg_sys::Index,
    /// The planner's state.
    pub root: *mut pg_sys::PlannerInfo,
    /// Expressions that are known only at execution.
    pub params: Params,
}

impl Translator<'_> {
    /// The rows for which `expression` is true, as far as the gateway can tell them apart.
    ///
    /// # Safety
    /// `expression` must be a planned expression of the current planning.
    pub unsafe fn translate(&mut self, expression: *mut pg_sys::Node) -> Option<Pushed> {
        // SAFETY: passed through.
        unsafe { self.truth(expression, false) }
    }

    /// The rows for which `expression` is true, or with `negated`, false. Rows for which it is null are in neither
    /// set, so negation is pushed inward by De Morgan's laws, which hold in SQL's three-valued logic.
    unsafe fn truth(&mut self, expression: *mut pg_sys::Node, negated: bool) -> Option<Pushed> {
        if expression.is_null() {
            return None;
        }
        // SAFETY: node types are checked before each cast.
        unsafe {
            if is_a(expression, pg_sys::NodeTag::T_BoolExpr) {
                let expression = expression.cast::<pg_sys::BoolExpr>();
                let parts = PgList::<pg_sys::Node>::from_pg((*expression).args);
                return match ((*expression).boolop, negated) {
                    (pg_sys::BoolExprType::NOT_EXPR, _) => self.truth(parts.get_ptr(0)?, !negated),
                    (pg_sys::BoolExprType::AND_EXPR, false) | (pg_sys::BoolExprType::OR_EXPR, true) => {
                        self.all_of(&parts, negated)
                    }
                    _ => self.any_of(&parts, negated),
                };
            }
            leaf::translate(self, expression, negated)
        }
    }

    /// A conjunction: what cannot be pushed is left out, which makes it a superset.
    unsafe fn all_of(&mut self, parts: &PgList<pg_sys::Node>, negated: bool) -> Option<Pushed> {
        let mut whole: Option<Condition> = None;
        let mut exact = true;
        for part in parts.iter_ptr() {
            // SAFETY: passed through.
            match unsafe { self.truth(part, negated) } {
                Some(pushed) => {
                    exact &= pushed.exact;
                    whole = Some(Condition::and(whole, pushed.condition));
                }
                None => exact = false,
            }
        }
        whole.map(|condition| Pushed { condition, exact })
    }

    /// A disjunction: one part that cannot be pushed keeps the whole of it here.
    unsafe fn any_of(&mut self, parts: &PgList<pg_sys::Node>, negated: bool) -> Option<Pushed> {
        let mut conditions = Vec::new();
        let mut exact = true;
        let kept = self.params.mark();
        for part in parts.iter_ptr() {
            // SAFETY: passed through.
            let Some(pushed) = (unsafe { self.truth(part, negated) }) else {
                self.params.forget_after(kept);
                return None;
            };
            exact &= pushed.exact;
            match pushed.condition {
                Condition::Or(inner) => conditions.extend(inner),
                other => conditions.push(other),
            }
        }
        let condition = if conditions.len() == 1 {
            conditions.pop()?
        } else {
            Condition::Or(conditions)
        };
        Some(Pushed { condition, exact })
    }
}

/// Whether a pushed conjunction by itself keeps no row in which `field` is null: a comparison with NULL is not true.
/// Conditions with parameters do not count, since a parameter that cannot be said to the gateway drops them.
pub fn excludes_null(condition: &Condition, field: &str) -> bool {
    match condition {
        Condition::And(parts) => parts.iter().any(|part| excludes_null(part, field)),
        Condition::Or(parts) => parts.iter().all(|part| excludes_null(part, field)),
        Condition::IsNull {
            field: tested,
            negated: true,
        } => tested == field,
        Condition::Compare { field: tested, .. }
        | Condition::Between { field: tested, .. }
        | Condition::In {
            field: tested,
            negated: false,
            ..
        }
        | Condition::Like {
            field: tested,
            negated: false,
            ..
        } => {
            tested == field
                && !condition
                    .values()
                    .iter()
                    .any(|value| matches!(value, intacct::Value::Param(_)))
        }
        _ => false,
    }
}
