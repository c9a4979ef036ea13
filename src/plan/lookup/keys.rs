//! The join clauses by which the gateway finds rows.

use super::sides::Sides;
use crate::catalog::ValueClass;
use crate::plan::nodes::clauses;
use crate::plan::qual::{Params, survives_folding};
use crate::plan::relation::RelationState;
use crate::private::Join;
use crate::private::transform::{Letters, ParamTransform};
use intacct::{CompareOp, Condition, Value};
use pgrx::{PgList, is_a, pg_sys};

/// Clauses `outer = inner` that can be hashed locally and pushed down.
pub struct Keys {
    /// The clauses.
    pub clauses: Vec<*mut pg_sys::RestrictInfo>,
    /// What the gateway is asked for one outer row; it keeps at least the rows for which all clauses are true.
    pub template: Condition,
    /// A looser one for texts that cannot be expressed exactly: for example with blanks at the edges.
    pub coarse: Option<Condition>,
    /// The outer row's values in it.
    pub params: Params,
}

impl Keys {
    /// Finds them among the join's clauses.
    ///
    /// # Safety
    /// Nodes of the current planning.
    pub unsafe fn find(
        root: *mut pg_sys::PlannerInfo,
        table: &RelationState,
        sides: &Sides,
        restrictions: *mut pg_sys::List,
    ) -> Option<Keys> {
        // SAFETY: the caller guarantees valid planner or executor nodes.
        unsafe {
            let mut translator = table.translator(root, sides.inner);
            // The scan's own conditions may disregard case, which keeps more rows; these may not demand it.
            translator.may_disregard_case = false;
            let dialect = table.table.dialect();
            let mut found = Vec::new();
            let mut template: Option<Condition> = None;
            for clause in clauses(restrictions) {
                if !is_key(clause, sides) {
                    continue;
                }
                let kept = translator.params.mark();
                match translator.translate((*clause).clause.cast()) {
                    Some(pushed)
                        if !pushed.case_insensitive
                            && is_narrow(&pushed.condition)
                            && survives_folding(&table.table, &pushed.condition) =>
                    {
                        found.push(clause);
                        template = Some(Condition::and(template, pushed.condition));
                    }
                    _ => translator.params.forget_after(kept),
                }
            }
            let template = template?;
            let either = Condition::Or(vec![template.clone(), template.clone()]);
            if !dialect.can_express(&either) || !dialect.capabilities().operators.in_list {
                return None;
            }
            let coarse = coarse(table, &template, &mut translator.params);
            let coarse = coarse.filter(|coarse| {
                let either = Condition::Or(vec![coarse.clone(), template.clone()]);
                dialect.can_express(&either)
            });
            Some(Keys {
                clauses: found,
                template,
                coarse,
                params: std::mem::take(&mut translator.params),
            })
        }
    }

    /// The outer or the inner sides of the clauses.
    ///
    /// # Safety
    /// The join must be that of [`find`](Self::find).
    pub unsafe fn expressions(&self, sides: &Sides, outer: bool) -> *mut pg_sys::List {
        let mut list = PgList::<pg_sys::Node>::new();
        for clause in &self.clauses {
            // SAFETY: keys are operators with two operands.
            unsafe {
                let operands =
                    PgList::<pg_sys::Node>::from_pg((*(**clause).clause.cast::<pg_sys::OpExpr>()).args);
                let left = is_outer_left(*clause, sides) == outer;
                if let Some(side) = operands.get_ptr(usize::from(!left)) {
                    list.push(side);
                }
            }
        }
        list.into_pg()
    }
}

/// Whether the outer side of a key clause stands on the left.
///
/// # Safety
/// A clause of the join's, of the current planning.
pub unsafe fn is_outer_left(clause: *mut pg_sys::RestrictInfo, sides: &Sides) -> bool {
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe { pg_sys::bms_is_subset((*clause).left_relids, (*sides.outer).relids) }
}

/// Whether a clause states that an expression of the outer side equals one of the inner side, in a way that can be hashed,
/// and decides about matches.
unsafe fn is_key(clause: *mut pg_sys::RestrictInfo, sides: &Sides) -> bool {
    // SAFETY: a clause of the current planning.
    unsafe {
        let (outer, inner) = ((*sides.outer).relids, (*sides.inner).relids);
        let apart = |left, right| pg_sys::bms_is_subset(left, outer) && pg_sys::bms_is_subset(right, inner);
        let (left, right) = ((*clause).left_relids, (*clause).right_relids);
        if left.is_null() || right.is_null() || !(apart(left, right) || apart(right, left)) {
            return false;
        }
        // A filter above an outer join decides nothing about matches.
        if matches!(sides.join, Join::Left | Join::Anti)
            && ((*clause).is_pushed_down
                || !pg_sys::bms_is_subset((*clause).required_relids, (*sides.joined).relids))
        {
            return false;
        }
        let node = (*clause).clause.cast::<pg_sys::Node>();
        if !is_a(node, pg_sys::NodeTag::T_OpExpr) || pg_sys::contain_volatile_functions(node) {
            return false;
        }
        let operator = (*node.cast::<pg_sys::OpExpr>()).opno;
        let (mut left, mut right) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        operator == (*clause).hashjoinoperator
            && pg_sys::get_commutator(operator) != pg_sys::InvalidOid
            && pg_sys::get_compatible_hash_operators(operator, &mut left, &mut right)
    }
}

/// The pattern of a text's key.
unsafe fn coarse(table: &RelationState, template: &Condition, params: &mut Params) -> Option<Condition> {
    let Condition::Compare {
        field,
        value: Value::Param(number),
        ..
    } = template
    else {
        return None;
    };
    let class = table.table.column_of_field(field)?.class?;
    if class != ValueClass::Text {
        return None;
    }
    let expression = params.expression(*number)?;
    // SAFETY: an expression of the current planning.
    let pattern = unsafe { params.number(expression, ParamTransform::Whole(Letters::Distinct)) };
    Some(Condition::Like {
        field: field.clone(),
        pattern: Value::Param(pattern),
        negated: false,
    })
}

/// Whether a condition names the rows of one key: what else can be sent would keep most rows of most tables.
fn is_narrow(condition: &Condition) -> bool {
    match condition {
        Condition::Compare { op, .. } => *op == CompareOp::Eq,
        Condition::And(parts) => parts.iter().all(|part| matches!(part, Condition::Compare { .. })),
        _ => false,
    }
}
