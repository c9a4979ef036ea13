//! Operands of a comparison: a column of the foreign table, and a value that does not depend on its row.

use super::Translator;
use crate::catalog::{Column, ValueClass};
use crate::convert::{outward, transform};
use crate::private::transform::ParamTransform;
use intacct::{Binding, Value};
use pgrx::{PgList, is_a, pg_sys};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Expressions whose value is known only at execution; they become the scan's `fdw_exprs`.
#[derive(Default)]
pub struct Params {
    expressions: Vec<(*mut pg_sys::Expr, ParamTransform)>,
    /// Numbers by fingerprint: a statement may have thousands.
    known: HashMap<u64, Vec<usize>>,
}

impl Params {
    /// The number (from 1) of an expression in a shape; equal ones share one.
    ///
    /// # Safety
    /// `expression` must be a valid expression node.
    pub unsafe fn number(&mut self, expression: *mut pg_sys::Expr, shape: ParamTransform) -> u32 {
        // SAFETY: the caller guarantees a valid node.
        let fingerprint = unsafe { fingerprint(expression) };
        let alike = self.known.entry(fingerprint).or_default();
        let known = alike.iter().copied().find(|index| {
            pgrx::check_for_interrupts!();
            let (other, same) = self.expressions[*index];
            // SAFETY: both are expression nodes.
            same == shape && unsafe { pg_sys::equal(other.cast(), expression.cast()) }
        });
        let index = known.unwrap_or_else(|| {
            self.expressions.push((expression, shape));
            alike.push(self.expressions.len() - 1);
            self.expressions.len() - 1
        });
        index as u32 + 1
    }

    /// Takes over expressions; their numbers here, in the order of those there.
    ///
    /// # Safety
    /// The expressions of both must be valid nodes.
    pub(super) unsafe fn adopt(&mut self, others: &Params) -> Vec<u32> {
        let others = others.expressions.iter();
        // SAFETY: same contract as this function.
        others
            .map(|(expression, shape)| unsafe { self.number(*expression, *shape) })
            .collect()
    }

    /// How many there are.
    pub fn mark(&self) -> usize {
        self.expressions.len()
    }

    /// Forgets all but the first `mark`.
    pub fn forget_after(&mut self, mark: usize) {
        if mark < self.expressions.len() {
            self.expressions.truncate(mark);
            self.known.retain(|_, numbers| {
                numbers.retain(|number| *number < mark);
                !numbers.is_empty()
            });
        }
    }

    /// The expression of a number.
    pub fn expression(&self, number: u32) -> Option<*mut pg_sys::Expr> {
        let index = (number as usize).checked_sub(1)?;
        self.expressions.get(index).map(|(expression, _)| *expression)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// The expressions and their transforms, in the order of their numbers.
    pub fn into_parts(self) -> (*mut pg_sys::List, Vec<ParamTransform>) {
        let mut list = pgrx::PgList::<pg_sys::Expr>::new();
        let mut transforms = Vec::with_capacity(self.expressions.len());
        for (expression, shape) in self.expressions {
            list.push(expression);
            transforms.push(shape);
        }
        (list.into_pg(), transforms)
    }
}

/// A number that is the same for equal expressions, and mostly another for others. Only what costs little is checked.
unsafe fn fingerprint(expression: *mut pg_sys::Expr) -> u64 {
    let mut hasher = DefaultHasher::new();
    // SAFETY: same contract as this function.
    unsafe { feed(&mut hasher, expression.cast(), DEEPEST) };
    hasher.finish()
}

/// Levels of an expression that its fingerprint is made of.
const DEEPEST: usize = 4;

unsafe fn feed(hasher: &mut DefaultHasher, node: *mut pg_sys::Node, depth: usize) {
    // SAFETY: the caller guarantees a valid node; types are checked before the casts.
    unsafe {
        if node.is_null() || depth == 0 {
            return;
        }
        (*node).type_.hash(hasher);
        let mut inside = |list: *mut pg_sys::List| {
            for part in PgList::<pg_sys::Node>::from_pg(list).iter_ptr() {
                feed(hasher, part, depth - 1);
            }
        };
        match (*node).type_ {
            pg_sys::NodeTag::T_Param => {
                let param = node.cast::<pg_sys::Param>();
                ((*param).paramkind, (*param).paramid).hash(hasher);
            }
            pg_sys::NodeTag::T_Const => {
                let constant = node.cast::<pg_sys::Const>();
                (*constant).constisnull.hash(hasher);
                if !(*constant).constisnull {
                    let value = (*constant).constvalue;
                    let size = match (*constant).constlen {
                        -1 => pgrx::varsize_any(value.cast_mut_ptr()),
                        length => usize::try_from(length).unwrap_or(0),
                    };
                    if (*constant).constbyval {
                        value.value().hash(hasher);
                    } else {
                        std::slice::from_raw_parts(value.cast_mut_ptr::<u8>(), size).hash(hasher);
                    }
                }
            }
            pg_sys::NodeTag::T_FuncExpr => inside((*node.cast::<pg_sys::FuncExpr>()).args),
            pg_sys::NodeTag::T_OpExpr => inside((*node.cast::<pg_sys::OpExpr>()).args),
            pg_sys::NodeTag::T_RelabelType => {
                feed(
                    hasher,
                    (*node.cast::<pg_sys::RelabelType>()).arg.cast(),
                    depth - 1,
                );
            }
            pg_sys::NodeTag::T_CoerceViaIO => {
                feed(
                    hasher,
                    (*node.cast::<pg_sys::CoerceViaIO>()).arg.cast(),
                    depth - 1,
                );
            }
            _ => {}
        }
    }
}

/// A value on the other side of a comparison.
pub enum Operand {
    /// It is NULL: no comparison with it is true.
    Null,
    /// It can be expressed for the gateway (or may turn out to be, for a parameter).
    Value(Value),
}

impl<'a> Translator<'a> {
    /// The column that an expression names, if it is one of this table that may be compared remotely. A cast that
    /// does not change the value (varchar to text) is looked through.
    ///
    /// # Safety
    /// `expression` must be a valid expression node.
    pub unsafe fn column(&self, expression: *mut pg_sys::Node) -> Option<(&'a Column, ValueClass)> {
        // SAFETY: node types are checked before each cast.
        unsafe {
            let node = crate::plan::nodes::unrelabelled(expression);
            if node.is_null() || !is_a(node, pg_sys::NodeTag::T_Var) {
                return None;
            }
            let var = node.cast::<pg_sys::Var>();
            if (*var).varno as u32 != self.relid || (*var).varlevelsup != 0 {
                return None;
            }
            let column = self.table.column((*var).varattno)?;
            Some((column, column.class?))
        }
    }

    /// The value of an expression that is the same for every row of this table, typed as `expected` and then shaped.
    ///
    /// # Safety
    /// `expression` must be a valid expression node.
    pub unsafe fn operand(
        &mut self,
        expression: *mut pg_sys::Node,
        expected: &[pg_sys::Oid],
        shape: ParamTransform,
    ) -> Option<Operand> {
        // SAFETY: node types are checked before each cast.
        unsafe {
            if expression.is_null() || !expected.contains(&pg_sys::exprType(expression)) {
                return None;
            }
            let node = crate::plan::nodes::unrelabelled(expression);
            if is_a(node, pg_sys::NodeTag::T_Const) && shape.is_immutable() {
                let constant = node.cast::<pg_sys::Const>();
                if (*constant).constisnull {
                    return Some(Operand::Null);
                }
                return match transform::bind((*constant).constvalue, false, (*constant).consttype, shape) {
                    Binding::Null => Some(Operand::Null),
                    Binding::Value(value) => Some(Operand::Value(value)),
                    Binding::List(_) | Binding::NotRepresentable => None,
                };
            }
            if !self.is_parameter(expression) {
                return None;
            }
            Some(Operand::Value(Value::Param(
                self.params.number(expression.cast(), shape),
            )))
        }
    }

    /// Whether an expression can be evaluated once, before the rows are asked for.
    ///
    /// # Safety
    /// `expression` must be a valid expression node.
    pub unsafe fn is_parameter(&self, expression: *mut pg_sys::Node) -> bool {
        // SAFETY: the planner's own tests on a valid node.
        unsafe {
            !pg_sys::bms_is_member(self.relid as i32, pg_sys::pull_varnos(self.root, expression))
                && !pg_sys::contain_volatile_functions(expression)
                && !pg_sys::contain_subplans(expression)
                && !pg_sys::contain_agg_clause(expression)
                && !pg_sys::contain_window_function(expression)
        }
    }
}

/// A constant text, as it stands.
///
/// # Safety
/// `expression` must be a valid expression node.
pub unsafe fn constant_text(expression: *mut pg_sys::Node) -> Option<String> {
    // SAFETY: node types are checked before each cast.
    unsafe {
        let node = crate::plan::nodes::unrelabelled(expression);
        if node.is_null() || !is_a(node, pg_sys::NodeTag::T_Const) {
            return None;
        }
        let constant = node.cast::<pg_sys::Const>();
        if (*constant).constisnull || !matches!((*constant).consttype, pg_sys::TEXTOID | pg_sys::VARCHAROID) {
            return None;
        }
        outward::text((*constant).constvalue)
    }
}
