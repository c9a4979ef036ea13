//! Conditions without AND, OR, NOT: comparisons, IN, NULL tests, booleans, patterns.

use super::operand::Operand;
use super::{Pushed, Translator};
use crate::catalog::ValueClass;
use crate::convert::outward;
use intacct::{CompareOp, Condition, Value};
use pgrx::{PgList, is_a, pg_sys};

// B-tree operator families of pg_catalog (pg_opfamily.dat): operators are recognised by them, never by name.
const BOOL_OPS: u32 = 424;
const DATETIME_OPS: u32 = 434;
const INTEGER_OPS: u32 = 1976;
const NUMERIC_OPS: u32 = 1988;
const TEXT_OPS: u32 = 1994;
// Pattern operators (pg_operator.dat).
const TEXT_LIKE: u32 = 1209;
const TEXT_NOT_LIKE: u32 = 1210;

/// The operator family that orders values of a class, and the types that its operand may have.
pub fn family(class: ValueClass) -> (pg_sys::Oid, &'static [pg_sys::Oid]) {
    let (family, types): (u32, &'static [pg_sys::Oid]) = match class {
        ValueClass::Text => (TEXT_OPS, &[pg_sys::TEXTOID]),
        ValueClass::Integer => (INTEGER_OPS, &[pg_sys::INT8OID, pg_sys::INT4OID, pg_sys::INT2OID]),
        ValueClass::Decimal => (NUMERIC_OPS, &[pg_sys::NUMERICOID]),
        ValueClass::Boolean => (BOOL_OPS, &[pg_sys::BOOLOID]),
        ValueClass::Date => (DATETIME_OPS, &[pg_sys::DATEOID]),
        ValueClass::Timestamp => (DATETIME_OPS, &[pg_sys::TIMESTAMPTZOID]),
    };
    (pg_sys::Oid::from(family), types)
}

/// The rows for which a condition without AND, OR, NOT is true (or false, when negated).
///
/// # Safety
/// `expression` must be a valid expression node of the current planning.
pub unsafe fn translate(
    translator: &mut Translator,
    expression: *mut pg_sys::Node,
    negated: bool,
) -> Option<Pushed> {
    // SAFETY: node types are checked before each cast.
    unsafe {
        match (*expression).type_ {
            pg_sys::NodeTag::T_OpExpr => comparison(translator, expression.cast(), negated),
            pg_sys::NodeTag::T_ScalarArrayOpExpr => membership(translator, expression.cast(), negated),
            pg_sys::NodeTag::T_NullTest => null_test(translator, expression.cast(), negated),
            pg_sys::NodeTag::T_BooleanTest => boolean_test(translator, expression.cast(), negated),
            pg_sys::NodeTag::T_Var => {
                let (column, class) = translator.column(expression)?;
                (class == ValueClass::Boolean).then(|| boolean(&column.field, !negated))?
            }
            _ => None,
        }
    }
}

/// `column op value` and `value op column`.
unsafe fn comparison(
    translator: &mut Translator,
    expression: *mut pg_sys::OpExpr,
    negated: bool,
) -> Option<Pushed> {
    // SAFETY: the caller checked the node's type; operands are its own.
    unsafe {
        let operands = PgList::<pg_sys::Node>::from_pg((*expression).args);
        if operands.len() != 2 {
            return None;
        }
        let (left, right) = (operands.get_ptr(0)?, operands.get_ptr(1)?);
        let operator = (*expression).opno;
        let collation = (*expression).inputcollid;
        if let Some((column, class)) = translator.column(left) {
            if let Some(like) = pattern(
                translator,
                column.field.as_str(),
                class,
                operator,
                right,
                collation,
                negated,
            ) {
                return Some(like);
            }
            let op = compare_op(operator, class)?;
            return compare(translator, &column.field, class, op, right, collation, negated);
        }
        let (column, class) = translator.column(right)?;
        let op = compare_op(pg_sys::get_commutator(operator), class)?;
        compare(translator, &column.field, class, op, left, collation, negated)
    }
}

/// What an operator means, if it is one of the class's own family between the class's own types.
unsafe fn compare_op(operator: pg_sys::Oid, class: ValueClass) -> Option<CompareOp> {
    let (family, types) = family(class);
    // SAFETY: catalog look-ups by OID.
    unsafe {
        if operator == pg_sys::InvalidOid {
            return None;
        }
        let (mut left, mut right) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        pg_sys::op_input_types(operator, &mut left, &mut right);
        if !types.contains(&left) || !types.contains(&right) {
            return None;
        }
        let strategy = |operator| pg_sys::get_op_opfamily_strategy(operator, family) as u32;
        match strategy(operator) {
            pg_sys::BTLessStrategyNumber => Some(CompareOp::Lt),
            pg_sys::BTLessEqualStrategyNumber => Some(CompareOp::Le),
            pg_sys::BTEqualStrategyNumber => Some(CompareOp::Eq),
            pg_sys::BTGreaterEqualStrategyNumber => Some(CompareOp::Ge),
            pg_sys::BTGreaterStrategyNumber => Some(CompareOp::Gt),
            // `<>` is in no family: it is the negator of the family's `=`.
            _ => {
                let negator = pg_sys::get_negator(operator);
                (negator != pg_sys::InvalidOid && strategy(negator) == pg_sys::BTEqualStrategyNumber)
                    .then_some(CompareOp::Ne)
            }
        }
    }
}

fn negate(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq => CompareOp::Ne,
        CompareOp::Ne => CompareOp::Eq,
        CompareOp::Lt => CompareOp::Ge,
        CompareOp::Le => CompareOp::Gt,
        CompareOp::Gt => CompareOp::Le,
        CompareOp::Ge => CompareOp::Lt,
    }
}

unsafe fn compare(
    translator: &mut Translator,
    field: &str,
    class: ValueClass,
    op: CompareOp,
    value: *mut pg_sys::Node,
    collation: pg_sys::Oid,
    negated: bool,
) -> Option<Pushed> {
    let op = if negated { negate(op) } else { op };
    let capabilities = translator.table.dialect().capabilities();
    if !capabilities.operators.compare.contains(&op) {
        return None;
    }
    // SAFETY: the operand belongs to a node that the caller checked.
    let value = match unsafe { translator.operand(value, family(class).1) }? {
        Operand::Value(value) => value,
        // Never true: the planner has mostly folded it away, and the rest is rare enough to stay here.
        Operand::Null => return None,
    };
    match class {
        ValueClass::Text => {
            let ordered = !matches!(op, CompareOp::Eq | CompareOp::Ne);
            // SAFETY: a catalog look-up by OID.
            if !unsafe { deterministic(collation) } || (ordered && !text_order_is_ours(translator, collation))
            {
                return None;
            }
        }
        ValueClass::Boolean => {
            return match (op, value) {
                (CompareOp::Eq, Value::Boolean(truth)) => boolean(field, truth),
                (CompareOp::Ne, Value::Boolean(truth)) => boolean(field, !truth),
                _ => None,
            };
        }
        _ => {}
    }
    let condition = Condition::Compare {
        field: field.to_owned(),
        op,
        value,
    };
    if op == CompareOp::Ne {
        // What the gateway does with null under a negative is not documented: said explicitly, it does not matter.
        return Pushed::exact(Condition::and(Some(condition), not_null(field)));
    }
    Pushed::exact(condition)
}

/// `b` and `NOT b`. An unset boolean may read as false, so false takes the unset rows along.
fn boolean(field: &str, truth: bool) -> Option<Pushed> {
    let equals = |truth| Condition::Compare {
        field: field.to_owned(),
        op: CompareOp::Eq,
        value: Value::Boolean(truth),
    };
    if truth {
        Pushed::exact(equals(true))
    } else {
        Pushed::superset(Condition::Or(vec![equals(false), is_null(field)]))
    }
}

/// `b IS [NOT] TRUE | FALSE | UNKNOWN`; over any other condition, `IS TRUE` and `IS FALSE` are its two truth sets.
unsafe fn boolean_test(
    translator: &mut Translator,
    expression: *mut pg_sys::BooleanTest,
    negated: bool,
) -> Option<Pushed> {
    use pg_sys::BoolTestType as Test;
    // SAFETY: the caller checked the node's type.
    unsafe {
        let argument: *mut pg_sys::Node = (*expression).arg.cast();
        // The test is never null, so its negation is the opposite test.
        let test = match ((*expression).booltesttype, negated) {
            (test, false) => test,
            (Test::IS_TRUE, true) => Test::IS_NOT_TRUE,
            (Test::IS_NOT_TRUE, true) => Test::IS_TRUE,
            (Test::IS_FALSE, true) => Test::IS_NOT_FALSE,
            (Test::IS_NOT_FALSE, true) => Test::IS_FALSE,
            (Test::IS_UNKNOWN, true) => Test::IS_NOT_UNKNOWN,
            _ => Test::IS_UNKNOWN,
        };
        match test {
            Test::IS_TRUE => return translator.truth(argument, false),
            Test::IS_FALSE => return translator.truth(argument, true),
            _ => {}
        }
        let (column, class) = translator.column(argument)?;
        if class != ValueClass::Boolean {
            return None;
        }
        match test {
            Test::IS_NOT_TRUE => boolean(&column.field, false),
            Test::IS_NOT_FALSE => Pushed::superset(Condition::Or(vec![
                boolean(&column.field, true)?.condition,
                is_null(&column.field),
            ])),
            // An unset boolean that reads as false is not unknown here: the rows are a superset.
            Test::IS_UNKNOWN => Pushed::superset(is_null(&column.field)),
            // … and for the same reason `isnotnull` would lose it.
            _ => None,
        }
    }
}

/// `column IS [NOT] NULL`.
unsafe fn null_test(
    translator: &mut Translator,
    expression: *mut pg_sys::NullTest,
    negated: bool,
) -> Option<Pushed> {
    // SAFETY: the caller checked the node's type.
    unsafe {
        if (*expression).argisrow {
            return None;
        }
        let (column, class) = translator.column((*expression).arg.cast())?;
        let wants_null = ((*expression).nulltesttype == pg_sys::NullTestType::IS_NULL) != negated;
        match (class, wants_null) {
            (ValueClass::Boolean, true) => Pushed::superset(is_null(&column.field)),
            (ValueClass::Boolean, false) => None,
            (_, true) => Pushed::exact(is_null(&column.field)),
            (_, false) => Pushed::exact(not_null(&column.field)),
        }
    }
}

/// `column = ANY (array)` and `column <> ALL (array)`.
unsafe fn membership(
    translator: &mut Translator,
    expression: *mut pg_sys::ScalarArrayOpExpr,
    negated: bool,
) -> Option<Pushed> {
    // SAFETY: the caller checked the node's type; operands are its own.
    unsafe {
        let operands = PgList::<pg_sys::Node>::from_pg((*expression).args);
        let (column, class) = translator.column(operands.get_ptr(0)?)?;
        let array = operands.get_ptr(1)?;
        let op = compare_op((*expression).opno, class)?;
        // NOT (x = ANY a) is x <> ALL a; the other two combinations are not lists.
        let wants_member = match (op, (*expression).useOr, negated) {
            (CompareOp::Eq, true, false) | (CompareOp::Ne, false, true) => true,
            (CompareOp::Ne, false, false) | (CompareOp::Eq, true, true) => false,
            _ => return None,
        };
        let operators = translator.table.dialect().capabilities().operators;
        if class == ValueClass::Boolean
            || (class == ValueClass::Text && !deterministic((*expression).inputcollid))
            || !(if wants_member {
                operators.in_list
            } else {
                operators.not_in_list
            })
        {
            return None;
        }
        let element = pg_sys::get_element_type(pg_sys::exprType(array));
        if !family(class).1.contains(&element) {
            return None;
        }
        let values = if is_a(array, pg_sys::NodeTag::T_Const) {
            let constant = array.cast::<pg_sys::Const>();
            if (*constant).constisnull {
                return None;
            }
            let mut values = Vec::new();
            for value in outward::array((*constant).constvalue, element)? {
                match value {
                    Some(value) => values.push(value),
                    // A null element matches nothing, and makes a negative never true.
                    None if wants_member => {}
                    None => return None,
                }
            }
            values
        } else if wants_member && translator.is_parameter(array) {
            // The negative of an empty array would be true even of null, which nobody knows before execution.
            vec![Value::Param(translator.params.number(array.cast()))]
        } else {
            return None;
        };
        if values.is_empty() {
            return None;
        }
        let condition = Condition::In {
            field: column.field.clone(),
            values,
            negated: !wants_member,
        };
        if wants_member {
            Pushed::exact(condition)
        } else {
            Pushed::exact(Condition::and(Some(condition), not_null(&column.field)))
        }
    }
}

/// `column LIKE 'constant'`: exact when the only wildcard is `%`, else the coarsest pattern that keeps every match.
#[allow(clippy::too_many_arguments)]
unsafe fn pattern(
    translator: &mut Translator,
    field: &str,
    class: ValueClass,
    operator: pg_sys::Oid,
    operand: *mut pg_sys::Node,
    collation: pg_sys::Oid,
    negated: bool,
) -> Option<Pushed> {
    let like = match u32::from(operator) {
        TEXT_LIKE => !negated,
        TEXT_NOT_LIKE => negated,
        _ => return None,
    };
    // SAFETY: the operand belongs to a node that the caller checked.
    unsafe {
        if class != ValueClass::Text || !deterministic(collation) {
            return None;
        }
        let Operand::Value(Value::Text(sql)) = translator.operand(operand, &[pg_sys::TEXTOID])? else {
            return None;
        };
        let operators = translator.table.dialect().capabilities().operators;
        if !(if like { operators.like } else { operators.not_like }) {
            return None;
        }
        let (pattern, exact) = coarse_pattern(&sql)?;
        let condition = Condition::Like {
            field: field.to_owned(),
            pattern: Value::Text(pattern),
            negated: !like,
        };
        match (like, exact) {
            (true, true) => Pushed::exact(condition),
            (true, false) => Pushed::superset(condition),
            (false, true) => Pushed::exact(Condition::and(Some(condition), not_null(field))),
            (false, false) => None,
        }
    }
}

/// A pattern for the gateway, which knows `%` and `_` but no escape: `_`, escaped and blank-edged parts become `%`.
/// The flag says whether it matches exactly what SQL's pattern matches. `None`: nothing is left to match on.
fn coarse_pattern(sql: &str) -> Option<(String, bool)> {
    let mut pattern = String::new();
    let mut exact = true;
    let mut characters = sql.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            '%' => {
                pattern.push('%');
                continue;
            }
            '_' => None,
            '\\' => {
                exact = false;
                // A trailing escape is an error in SQL: it must be raised here, row by row.
                characters.next().filter(|next| !matches!(next, '%' | '_' | '\\'))
            }
            other => Some(other),
        };
        match literal {
            Some(literal) => pattern.push(literal),
            None => {
                exact = false;
                pattern.push('%');
            }
        }
    }
    while pattern.contains("%%") {
        pattern = pattern.replace("%%", "%");
    }
    (pattern != "%" && !pattern.is_empty()).then_some((pattern, exact))
}

/// Whether equality under this collation is equality of bytes.
unsafe fn deterministic(collation: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up by OID.
    collation != pg_sys::InvalidOid && unsafe { pg_sys::get_collation_isdeterministic(collation) }
}

/// Whether the user vouches that the gateway orders text as this collation does.
fn text_order_is_ours(translator: &Translator, collation: pg_sys::Oid) -> bool {
    translator.table.server.ordering == crate::options::Ordering::Binary
        && collation == pg_sys::Oid::from(pg_sys::C_COLLATION_OID)
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
