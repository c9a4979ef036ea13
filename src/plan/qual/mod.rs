//! Pushdown of quals: SQL conditions as conditions of the gateway.
//!
//! A [`RemoteCondition`] condition keeps every row for which the SQL expression is true (it may keep more, then it is not
//! *exact*). All conditions are evaluated locally as well, so a superset costs traffic and never a wrong answer; the
//! opposite mistake, a condition that drops a row which SQL keeps, is what each rule in here must exclude.
//! `docs/pushdown.md` lists the rules with their reasons.

mod boolean;
mod build;
mod compare;
mod datetime;
mod integer;
mod known;
mod list;
mod null;
mod operand;
mod operator;
mod pattern;

pub use known::TranslationCache;
pub use operand::Params;
pub use operator::family;

use crate::catalog::{ForeignTable, ValueClass};
use intacct::query::text::TextTest;
use intacct::{CompareOp, Condition};
use pgrx::{PgList, is_a, pg_sys};

/// A condition for the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteCondition {
    /// What is sent.
    pub condition: Condition,
    /// It keeps exactly the rows that SQL keeps, provided that every parameter can be expressed just as it is:
    /// [`Binding::NotRepresentable`](intacct::Binding::NotRepresentable) drops a condition at execution, and a fraction of a second
    /// loosens it, as a clock that is changed nearby does ([`ForeignTable::expresses_exactly_at_execution`]).
    pub exact: bool,
    /// It keeps enough rows only if the gateway disregards case, in the whole request.
    pub case_insensitive: bool,
}

impl RemoteCondition {
    fn new(condition: Condition, exact: bool) -> RemoteCondition {
        RemoteCondition {
            condition,
            exact,
            case_insensitive: false,
        }
    }

    fn exact(condition: Condition) -> Option<RemoteCondition> {
        Some(RemoteCondition::new(condition, true))
    }

    fn superset(condition: Condition) -> Option<RemoteCondition> {
        Some(RemoteCondition::new(condition, false))
    }

    fn inexact(self) -> RemoteCondition {
        RemoteCondition { exact: false, ..self }
    }

    fn disregarding_case(self) -> RemoteCondition {
        RemoteCondition {
            exact: false,
            case_insensitive: true,
            ..self
        }
    }

    /// A test of text.
    fn of_text(test: TextTest) -> RemoteCondition {
        let pushed = RemoteCondition::new(test.sent, test.exact);
        match test.cased {
            true => pushed.disregarding_case(),
            false => pushed,
        }
    }

    /// Both hold.
    fn and(a: RemoteCondition, b: RemoteCondition) -> RemoteCondition {
        Several::of([a, b]).and().expect("two conditions")
    }

    /// At least one holds.
    fn or(a: RemoteCondition, b: RemoteCondition) -> RemoteCondition {
        Several::of([a, b]).or().expect("two conditions")
    }
}

/// Conditions to be put together at once: one after the other, each would be moved as often as others follow.
struct Several {
    conditions: Vec<Condition>,
    exact: bool,
    case_insensitive: bool,
}

impl Several {
    fn new() -> Several {
        Several {
            conditions: Vec::new(),
            exact: true,
            case_insensitive: false,
        }
    }

    fn of(pushed: impl IntoIterator<Item = RemoteCondition>) -> Several {
        let mut several = Several::new();
        for part in pushed {
            several.add(part);
        }
        several
    }

    fn add(&mut self, pushed: RemoteCondition) {
        self.exact &= pushed.exact;
        self.case_insensitive |= pushed.case_insensitive;
        self.conditions.push(pushed.condition);
    }

    /// All hold; `None` if there is none.
    fn and(self) -> Option<RemoteCondition> {
        self.joined(Condition::And, |condition| match condition {
            Condition::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// At least one holds; `None` if there is none.
    fn or(self) -> Option<RemoteCondition> {
        self.joined(Condition::Or, |condition| match condition {
            Condition::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    fn joined(
        mut self,
        join: impl FnOnce(Vec<Condition>) -> Condition,
        inside: impl Fn(Condition) -> Result<Vec<Condition>, Condition>,
    ) -> Option<RemoteCondition> {
        let condition = match self.conditions.len() {
            0 | 1 => self.conditions.pop()?,
            _ => {
                let mut parts = Vec::with_capacity(self.conditions.len());
                for condition in self.conditions {
                    match inside(condition) {
                        Ok(inner) => parts.extend(inner),
                        Err(other) => parts.push(other),
                    }
                }
                join(parts)
            }
        };
        Some(RemoteCondition {
            condition,
            exact: self.exact,
            case_insensitive: self.case_insensitive,
        })
    }
}

/// How deep AND and OR nest in a condition.
fn depth(condition: &Condition) -> usize {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => 1 + parts.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Translates the conditions of one foreign table.
pub struct Translator<'a> {
    /// The table.
    pub table: &'a ForeignTable,
    /// What was translated before in this planning.
    pub known: &'a TranslationCache,
    /// Its place in the query.
    pub relid: pg_sys::Index,
    /// The planner's state.
    pub root: *mut pg_sys::PlannerInfo,
    /// Expressions that are known only at execution.
    pub params: Params,
    /// Whether case may be disregarded in the whole request.
    pub may_disregard_case: bool,
    /// How deep in AND, OR and NOT the translation is.
    pub depth: usize,
}

/// Conditions nested deeper than this stay local: written by hand they are shallow, and the plan keeps conditions in a form that
/// has an end.
const MOST_NESTED: usize = 40;

impl Translator<'_> {
    /// The rows for which `expression` is true, as far as the gateway can distinguish them.
    ///
    /// # Safety
    /// `expression` must be a planned expression of the current planning.
    pub unsafe fn translate(&mut self, expression: *mut pg_sys::Node) -> Option<RemoteCondition> {
        // SAFETY: same contract as this function.
        unsafe { self.truth(expression, false) }
    }

    /// The rows for which `expression` is true, or with `negated`, false. Rows for which it is null are in neither
    /// set, so negation is pushed inward by De Morgan's laws, which hold in SQL's three-valued logic.
    unsafe fn truth(&mut self, expression: *mut pg_sys::Node, negated: bool) -> Option<RemoteCondition> {
        // A statement may have any number of conditions, each of which passes here.
        pgrx::check_for_interrupts!();
        if expression.is_null() || self.depth == MOST_NESTED {
            return None;
        }
        // SAFETY: node types are checked before each cast.
        unsafe {
            if is_a(expression, pg_sys::NodeTag::T_BoolExpr) {
                let expression = expression.cast::<pg_sys::BoolExpr>();
                let parts = PgList::<pg_sys::Node>::from_pg((*expression).args);
                self.depth += 1;
                let pushed = match ((*expression).boolop, negated) {
                    (pg_sys::BoolExprType::NOT_EXPR, _) => {
                        parts.get_ptr(0).and_then(|part| self.truth(part, !negated))
                    }
                    (pg_sys::BoolExprType::AND_EXPR, false) | (pg_sys::BoolExprType::OR_EXPR, true) => {
                        self.all_of(&parts, negated)
                    }
                    _ => self.any_of(&parts, negated),
                };
                self.depth -= 1;
                return pushed;
            }
            let kept = self.params.mark();
            let dialect = self.table.dialect();
            let pushed = leaf(self, expression, negated)
                .filter(|pushed| self.may_disregard_case || !pushed.case_insensitive)
                .filter(|pushed| dialect.can_express(&pushed.condition))
                .filter(|pushed| self.depth + depth(&pushed.condition) <= MOST_NESTED);
            if pushed.is_none() {
                self.params.forget_after(kept);
            }
            pushed
        }
    }

    /// A conjunction: what cannot be pushed is left out, which makes it a superset.
    unsafe fn all_of(&mut self, parts: &PgList<pg_sys::Node>, negated: bool) -> Option<RemoteCondition> {
        let mut whole = Several::new();
        let mut complete = true;
        for part in parts.iter_ptr() {
            // SAFETY: same contract as this function.
            match unsafe { self.truth(part, negated) } {
                Some(pushed) => whole.add(pushed),
                None => complete = false,
            }
        }
        whole
            .and()
            .map(|whole| if complete { whole } else { whole.inexact() })
    }

    /// A disjunction: one part that cannot be pushed keeps the whole of it local.
    unsafe fn any_of(&mut self, parts: &PgList<pg_sys::Node>, negated: bool) -> Option<RemoteCondition> {
        let mut whole = Several::new();
        let kept = self.params.mark();
        for part in parts.iter_ptr() {
            // SAFETY: same contract as this function.
            let Some(pushed) = (unsafe { self.truth(part, negated) }) else {
                self.params.forget_after(kept);
                return None;
            };
            whole.add(pushed);
        }
        whole.or()
    }

    /// The conjunction of all clauses that can be pushed.
    ///
    /// # Safety
    /// Clauses of the current planning that live as long as it does: those of base relations.
    pub unsafe fn translate_all(&mut self, clauses: &[*mut pg_sys::RestrictInfo]) -> Option<RemoteCondition> {
        let kept = self.params.mark();
        // SAFETY: same contract as this function.
        let pushed = unsafe { self.conjunction(clauses) }?;
        if !pushed.case_insensitive {
            return Some(pushed);
        }
        let own = self.table.options.filter.as_ref();
        if survives_folding(self.table, &pushed.condition)
            && own.is_none_or(|own| !compares_text(self.table, own))
        {
            // Every comparison of text keeps more than SQL's.
            return Some(pushed.inexact());
        }
        self.params.forget_after(kept);
        self.may_disregard_case = false;
        // SAFETY: same contract as this function.
        let pushed = unsafe { self.conjunction(clauses) };
        self.may_disregard_case = true;
        pushed
    }

    unsafe fn conjunction(&mut self, clauses: &[*mut pg_sys::RestrictInfo]) -> Option<RemoteCondition> {
        let mut whole = Several::new();
        let mut complete = true;
        for clause in clauses {
            pgrx::check_for_interrupts!();
            // SAFETY: same contract as this function.
            unsafe {
                if (**clause).pseudoconstant {
                    continue;
                }
                let translated = self.translated((**clause).clause.cast());
                match translated.among(&mut self.params) {
                    Some(pushed) => whole.add(pushed),
                    None => complete = false,
                }
            }
        }
        whole
            .and()
            .map(|whole| if complete { whole } else { whole.inexact() })
    }
}

/// The rows for which a condition without AND, OR, NOT is true (or false, when negated).
///
/// # Safety
/// `expression` must be a valid expression node of the current planning.
unsafe fn leaf(
    translator: &mut Translator,
    expression: *mut pg_sys::Node,
    negated: bool,
) -> Option<RemoteCondition> {
    use pg_sys::NodeTag;
    // SAFETY: the node's type is checked before each cast.
    unsafe {
        match (*expression).type_ {
            NodeTag::T_OpExpr => compare::translate(translator, expression.cast(), negated),
            NodeTag::T_DistinctExpr => compare::distinct(translator, expression.cast(), negated),
            NodeTag::T_RowCompareExpr => compare::rows(translator, expression.cast(), negated),
            NodeTag::T_ScalarArrayOpExpr => list::translate(translator, expression.cast(), negated),
            NodeTag::T_NullTest => null::translate(translator, expression.cast(), negated),
            NodeTag::T_BooleanTest => boolean::test(translator, expression.cast(), negated),
            NodeTag::T_CoalesceExpr => null::coalesced_boolean(translator, expression, negated),
            NodeTag::T_FuncExpr => pattern::starts_with(translator, expression.cast(), negated),
            NodeTag::T_Var => {
                let (column, class) = translator.column(expression)?;
                (class == ValueClass::Boolean).then(|| boolean::equals(&column.field, !negated))?
            }
            _ => None,
        }
    }
}

fn is_text(table: &ForeignTable, field: &str) -> bool {
    // A field that is not a column may be anything.
    table
        .column_of_field(field)
        .is_none_or(|column| matches!(column.class, None | Some(ValueClass::Text)))
}

/// Whether a condition keeps no fewer rows when the gateway disregards case: negatives and orders of text would.
pub fn survives_folding(table: &ForeignTable, condition: &Condition) -> bool {
    let mut survives = true;
    condition.visit(&mut |part| {
        survives &= match part {
            Condition::And(_) | Condition::Or(_) | Condition::IsNull { .. } => true,
            Condition::Compare {
                op: CompareOp::Eq, ..
            }
            | Condition::In { negated: false, .. }
            | Condition::Like { negated: false, .. } => true,
            Condition::Compare { field, .. }
            | Condition::Between { field, .. }
            | Condition::In { field, .. }
            | Condition::Like { field, .. } => !is_text(table, field),
            Condition::CompareFields { .. } => false,
        }
    });
    survives
}

/// Whether disregarding case could change what a condition means, which is not rechecked.
fn compares_text(table: &ForeignTable, condition: &Condition) -> bool {
    let mut found = false;
    condition.visit(&mut |part| {
        found |= match part {
            Condition::And(_) | Condition::Or(_) | Condition::IsNull { .. } => false,
            Condition::Compare { field, .. }
            | Condition::Between { field, .. }
            | Condition::In { field, .. }
            | Condition::Like { field, .. } => is_text(table, field),
            Condition::CompareFields { .. } => true,
        }
    });
    found
}

/// Whether a pushed conjunction by itself keeps no row in which `field` is null: a comparison with NULL is not true.
/// Conditions with parameters do not count, since a parameter that cannot be expressed for the gateway drops them.
pub fn excludes_null(condition: &Condition, field: &str) -> bool {
    match condition {
        Condition::And(parts) => parts.iter().any(|part| excludes_null(part, field)),
        Condition::Or(parts) => parts.iter().all(|part| excludes_null(part, field)),
        Condition::IsNull {
            field: tested,
            negated: true,
        } => tested == field,
        // Whether the gateway takes NULL for different is not documented.
        Condition::Compare {
            op: CompareOp::Ne, ..
        } => false,
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

fn not_null(field: &str) -> Condition {
    Condition::IsNull {
        field: field.to_owned(),
        negated: true,
    }
}

fn is_null(field: &str) -> Condition {
    Condition::IsNull {
        field: field.to_owned(),
        negated: false,
    }
}
