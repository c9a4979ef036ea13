//! Aggregates over groups that the gateway made, in the place of aggregates over their rows.
//!
//! Within a group the columns that it is grouped by are constants. So an expression over them counts as often as the
//! group has rows, and a sum over rows is a sum over the groups' sums.

use super::nodes;
use super::sources::Sources;
use crate::plan::aggregate::call::{self, AggregateCall};
use crate::plan::aggregate::grouping;
use crate::plan::nodes::unrelabelled;
use pgrx::{PgList, is_a, pg_sys};

/// Gathers what the inner grouping must have, then builds the outer aggregates.
pub struct Finisher<'s, 'a> {
    sources: &'s Sources<'a>,
    /// Columns to group by.
    keys: Vec<*mut pg_sys::Node>,
    /// Columns of relations that the groups are joined with.
    beside: Vec<*mut pg_sys::Node>,
    /// How values of columns are counted.
    values: Values,
    /// Whether any are that the gateway could count.
    pub counts_values: bool,
    /// Aggregates of the gateway's groups.
    partials: Vec<*mut pg_sys::Aggref>,
    /// Aggregates over the groups, each once, by which they are numbered.
    outer: Vec<*mut pg_sys::Aggref>,
    /// Whether one of them is over distinct values.
    pub has_distinct: bool,
}

impl<'s, 'a> Finisher<'s, 'a> {
    /// Nothing gathered.
    pub fn new(sources: &'s Sources<'a>, values: Values) -> Self {
        Finisher {
            sources,
            keys: Vec::new(),
            beside: Vec::new(),
            values,
            counts_values: false,
            partials: Vec::new(),
            outer: Vec::new(),
            has_distinct: false,
        }
    }

    /// Groups by each column of an expression; `None`: it has what no group has.
    ///
    /// # Safety
    /// A valid node of the current planning.
    pub unsafe fn require(&mut self, expression: *mut pg_sys::Node) -> Option<()> {
        // SAFETY: the caller guarantees a valid node.
        unsafe {
            for part in grouping::parts(expression) {
                if !is_a(part, pg_sys::NodeTag::T_Var) {
                    return None;
                }
                if self.groups_by(part) {
                    continue;
                }
                match self.sources.is_beside(part) {
                    true => self.beside.push(part),
                    false => self.keys.push(part),
                }
            }
        }
        Some(())
    }

    /// Groups by each column of a condition that joins the groups with another relation.
    ///
    /// # Safety
    /// A valid node of the current planning.
    pub unsafe fn join_by(&mut self, condition: *mut pg_sys::Node) -> Option<()> {
        // SAFETY: the caller guarantees a valid node.
        unsafe {
            for part in grouping::parts(condition) {
                if !self.sources.is_beside(part) {
                    self.require(part)?;
                }
            }
        }
        Some(())
    }

    /// Whether a gateway groups by anything.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    unsafe fn groups_by(&self, column: *mut pg_sys::Node) -> bool {
        // SAFETY: valid nodes of the current planning.
        self.keys
            .iter()
            .chain(&self.beside)
            .any(|known| unsafe { pg_sys::equal(known.cast(), column.cast()) })
    }

    /// Whether an expression is a constant within each group.
    unsafe fn is_grouped(&self, expression: *mut pg_sys::Node) -> bool {
        // SAFETY: a valid node of the current planning.
        unsafe {
            grouping::parts(expression)
                .into_iter()
                .all(|part| self.groups_by(part))
        }
    }

    /// First pass: which columns must be grouped by for an aggregate. `None`: it cannot be combined.
    ///
    /// # Safety
    /// A valid node of the current planning.
    pub unsafe fn prepare(&mut self, aggregate: *mut pg_sys::Aggref) -> Option<()> {
        // SAFETY: the caller guarantees a valid node.
        unsafe {
            self.require((*aggregate).aggfilter.cast())?;
            match Kind::of(self.sources, aggregate)? {
                Kind::Rows | Kind::Extreme(_) => Some(()),
                Kind::Values(argument) if self.count_of(argument).is_some() => {
                    self.counts_values = true;
                    match self.values {
                        Values::Counted => Some(()),
                        Values::Grouped => self.require(argument),
                    }
                }
                Kind::Values(argument) => self.require(argument),
                // Its quotient is exact only where the gateway's sums and counts have been looked at.
                Kind::Average(argument) => {
                    self.counts_values = true;
                    (self.values == Values::Counted && !self.groups_by(argument)).then_some(())
                }
                Kind::Same => self.require((*aggregate).args.cast()),
                Kind::Sum(argument) => self.prepare_sum(argument),
            }
        }
    }

    /// The gateway's count of a column's values; `None`: it has none.
    unsafe fn count_of(&self, argument: *mut pg_sys::Node) -> Option<*mut pg_sys::Aggref> {
        // SAFETY: a valid node of the current planning; count takes anything and returns a bigint.
        unsafe {
            let none = std::ptr::null_mut();
            let count = nodes::aggregate(pg_sys::F_COUNT_ANY, pg_sys::INT8OID, Some(argument), none);
            let call = self.sources.recognise(count)?;
            matches!(call, AggregateCall::Count(_)).then_some(count)
        }
    }

    /// First pass over what is summed: a bare column is summed by the gateway, all else is grouped by.
    unsafe fn prepare_sum(&mut self, summand: *mut pg_sys::Node) -> Option<()> {
        // SAFETY: valid nodes of the current planning; types are checked before casts.
        unsafe {
            match Summand::of(self.sources, summand)? {
                Summand::Column(_) | Summand::Null => Some(()),
                Summand::Case(case) => {
                    self.require((*case).arg.cast())?;
                    for when in PgList::<pg_sys::CaseWhen>::from_pg((*case).args).iter_ptr() {
                        self.require((*when).expr.cast())?;
                        self.prepare_sum((*when).result.cast())?;
                    }
                    match (*case).defresult.is_null() {
                        true => Some(()),
                        false => self.prepare_sum((*case).defresult.cast()),
                    }
                }
                Summand::OrZero(value) => self.prepare_sum(value),
                Summand::Other => self.require(summand),
            }
        }
    }

    /// Second pass: the expression over groups that has the aggregate's value.
    ///
    /// # Safety
    /// A valid node, which was prepared.
    pub unsafe fn finish(&mut self, aggregate: *mut pg_sys::Aggref) -> Option<*mut pg_sys::Node> {
        // SAFETY: the caller guarantees a valid node; functions and types belong together (pg_proc.dat).
        unsafe {
            let filter: *mut pg_sys::Node = match crate::guc::combine_fault() {
                2 => std::ptr::null_mut(),
                _ => (*aggregate).aggfilter.cast(),
            };
            // Without keys the gateway's one group is there even if it has no row.
            let filter = match self.keys.is_empty() {
                true => nodes::both(filter, nodes::is_positive(self.rows().cast())),
                false => filter,
            };
            match Kind::of(self.sources, aggregate)? {
                Kind::Rows => Some(self.count(filter)),
                Kind::Values(argument) => {
                    let is_grouped = self.is_grouped(argument);
                    if let Some(count) = (!is_grouped).then(|| self.count_of(argument)).flatten() {
                        let values = match crate::guc::combine_fault() {
                            6 => self.rows().cast(),
                            _ => self.partial(count)?.cast(),
                        };
                        return Some(self.total(values, filter));
                    }
                    let mut test = pgrx::PgBox::<pg_sys::NullTest>::alloc_node(pg_sys::NodeTag::T_NullTest);
                    test.arg = argument.cast();
                    test.nulltesttype = pg_sys::NullTestType::IS_NOT_NULL;
                    test.location = -1;
                    let test: *mut pg_sys::Node = test.into_pg().cast();
                    Some(self.count(nodes::both(filter, test)))
                }
                // The gateway is not asked for an aggregate over a group key.
                Kind::Average(argument) if self.is_grouped(argument) => None,
                Kind::Average(argument) => {
                    // What makes the gateway's groups look at their quotients.
                    let quotient = pg_sys::copyObjectImpl(aggregate.cast()).cast::<pg_sys::Aggref>();
                    (*quotient).aggfilter = std::ptr::null_mut();
                    self.partial(quotient)?;
                    let sum = self.finish_sum(argument)?;
                    let sum = nodes::aggregate(pg_sys::F_SUM_NUMERIC, pg_sys::NUMERICOID, Some(sum), filter);
                    let sum = self.numbered(sum);
                    let count = match self.sources.has_value(argument) {
                        true => self.rows().cast(),
                        false => {
                            let count = self.count_of(argument)?;
                            self.partial(count)?.cast()
                        }
                    };
                    let values = self.total(count, filter);
                    Some(nodes::divided(sum, nodes::to_numeric(values)?))
                }
                Kind::Same => {
                    let copy = pg_sys::copyObjectImpl(aggregate.cast()).cast::<pg_sys::Aggref>();
                    (*copy).aggfilter = filter.cast();
                    self.has_distinct |= !(*copy).aggdistinct.is_null();
                    // The rows come in no order that the planner has made for this aggregate.
                    #[cfg(not(feature = "pg15"))]
                    {
                        (*copy).aggpresorted = false;
                    }
                    Some(self.numbered(copy))
                }
                Kind::Extreme(column) => {
                    let least = pg_sys::copyObjectImpl(aggregate.cast()).cast::<pg_sys::Aggref>();
                    (*least).aggfilter = std::ptr::null_mut();
                    if self.groups_by(unrelabelled(column)) {
                        (*least).aggfilter = filter.cast();
                        return Some(self.numbered(least));
                    }
                    let partial = self.partial(least)?;
                    let outer = nodes::aggregate(
                        (*aggregate).aggfnoid.into(),
                        (*aggregate).aggtype,
                        Some(partial.cast()),
                        filter,
                    );
                    (*outer).inputcollid = (*aggregate).inputcollid;
                    (*outer).aggcollid = (*aggregate).aggcollid;
                    Some(self.numbered(outer))
                }
                Kind::Sum(summand) => {
                    let sum = self.finish_sum(summand)?;
                    let sum = nodes::aggregate(pg_sys::F_SUM_NUMERIC, pg_sys::NUMERICOID, Some(sum), filter);
                    let sum = self.numbered(sum);
                    // The sum of integers is a bigint, those of bigint and numeric are numeric.
                    Some(match (*aggregate).aggtype {
                        pg_sys::INT8OID => nodes::to_bigint(sum),
                        _ => sum,
                    })
                }
            }
        }
    }

    /// Second pass over what is summed: what a group adds, as numeric.
    unsafe fn finish_sum(&mut self, summand: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
        // SAFETY: valid nodes of the current planning; types are checked before casts; copies are changed, not what is read.
        unsafe {
            let parts = Summand::of(self.sources, summand)?;
            if !matches!(parts, Summand::Null) && self.is_grouped(summand) {
                let rows = nodes::to_numeric(self.rows().cast())?;
                let value = nodes::to_numeric(summand)?;
                return Some(match crate::guc::combine_fault() {
                    1 => value,
                    _ => nodes::times(value, rows),
                });
            }
            match parts {
                Summand::Null => Some(nodes::null_numeric()),
                Summand::Column(column) => {
                    let function = match pg_sys::exprType(column) {
                        pg_sys::INT8OID => pg_sys::F_SUM_INT8,
                        _ => pg_sys::F_SUM_NUMERIC,
                    };
                    let none = std::ptr::null_mut();
                    let sum = nodes::aggregate(function, pg_sys::NUMERICOID, Some(column), none);
                    Some(self.partial(sum)?.cast())
                }
                Summand::OrZero(value) => Some(nodes::coalesce(self.finish_sum(value)?, nodes::zero())),
                Summand::Case(case) => {
                    let case = pg_sys::copyObjectImpl(case.cast()).cast::<pg_sys::CaseExpr>();
                    (*case).casetype = pg_sys::NUMERICOID;
                    for when in PgList::<pg_sys::CaseWhen>::from_pg((*case).args).iter_ptr() {
                        (*when).result = self.finish_sum((*when).result.cast())?.cast();
                    }
                    let is_without = (*case).defresult.is_null() || crate::guc::combine_fault() == 3;
                    (*case).defresult = match is_without {
                        true => nodes::null_numeric().cast(),
                        false => self.finish_sum((*case).defresult.cast())?.cast(),
                    };
                    Some(case.cast())
                }
                // It is over columns that are grouped by.
                Summand::Other => None,
            }
        }
    }

    /// How many rows the groups have that pass the filter; of no groups it is zero.
    unsafe fn count(&mut self, filter: *mut pg_sys::Node) -> *mut pg_sys::Node {
        // SAFETY: functions and types belong together (pg_proc.dat).
        unsafe {
            let rows = self.rows().cast();
            self.total(rows, filter)
        }
    }

    /// The sum of the groups' numbers of something; of no groups it is zero.
    unsafe fn total(&mut self, numbers: *mut pg_sys::Node, filter: *mut pg_sys::Node) -> *mut pg_sys::Node {
        // SAFETY: functions and types belong together (pg_proc.dat).
        unsafe {
            let sum = nodes::aggregate(pg_sys::F_SUM_INT8, pg_sys::NUMERICOID, Some(numbers), filter);
            nodes::to_bigint(nodes::coalesce(self.numbered(sum), nodes::zero()))
        }
    }

    /// The number of rows of a group.
    unsafe fn rows(&mut self) -> *mut pg_sys::Aggref {
        // SAFETY: count(*) takes nothing and returns a bigint.
        unsafe {
            let none = std::ptr::null_mut();
            let rows = nodes::aggregate(pg_sys::F_COUNT_, pg_sys::INT8OID, None, none);
            self.keep(rows)
        }
    }

    /// An aggregate of the gateway's groups; `None`: it computes no such thing.
    unsafe fn partial(&mut self, aggregate: *mut pg_sys::Aggref) -> Option<*mut pg_sys::Aggref> {
        // SAFETY: a valid node.
        unsafe {
            self.sources.recognise(aggregate)?;
            Some(self.keep(aggregate))
        }
    }

    unsafe fn keep(&mut self, aggregate: *mut pg_sys::Aggref) -> *mut pg_sys::Aggref {
        // SAFETY: valid nodes.
        unsafe {
            if let Some(known) = same(self.partials.iter().copied(), aggregate) {
                return known;
            }
            self.partials.push(aggregate);
            aggregate
        }
    }

    /// An aggregate over groups, with the number of an equal one or its own: the executor computes it by its number.
    unsafe fn numbered(&mut self, aggregate: *mut pg_sys::Aggref) -> *mut pg_sys::Node {
        // SAFETY: valid nodes.
        unsafe {
            if let Some(known) = same(self.outer.iter().copied(), aggregate) {
                return known.cast();
            }
            self.outer.push(aggregate);
            aggregate.cast()
        }
    }

    /// All that was gathered.
    ///
    /// # Safety
    /// Within the planning that the nodes are of.
    pub unsafe fn into_parts(mut self) -> Needed {
        // Without an aggregate there may be nothing to verify the groups by.
        if self.partials.is_empty() {
            // SAFETY: same contract as this function.
            unsafe { self.rows() };
        }
        Needed {
            keys: self.keys,
            partials: self.partials,
            beside: self.beside,
        }
    }
}

/// What the statement's groups are made of.
pub struct Needed {
    /// What gateways group by.
    pub keys: Vec<*mut pg_sys::Node>,
    /// What they compute.
    pub partials: Vec<*mut pg_sys::Aggref>,
    /// Columns of relations that the groups are joined with.
    pub beside: Vec<*mut pg_sys::Node>,
}

/// The known aggregate that is equal to another; without one, the other gets the next number.
unsafe fn same(
    known: impl Iterator<Item = *mut pg_sys::Aggref>,
    aggregate: *mut pg_sys::Aggref,
) -> Option<*mut pg_sys::Aggref> {
    let number = |number: i32| {
        // SAFETY: a valid node, made here.
        unsafe { ((*aggregate).aggno, (*aggregate).aggtransno) = (number, number) }
    };
    let mut next = 0;
    for known in known {
        // Numbers are compared too.
        number(next);
        // SAFETY: valid nodes.
        if unsafe { pg_sys::equal(known.cast(), aggregate.cast()) } {
            return Some(known);
        }
        next += 1;
    }
    number(next);
    None
}

/// How the rows in which a column has a value are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// By the gateway, for each group: a call more.
    Counted,
    /// Its values are grouped by as well.
    Grouped,
}

/// How an aggregate over rows is one over groups.
enum Kind {
    /// It counts rows.
    Rows,
    /// It counts rows in which this has a value.
    Values(*mut pg_sys::Node),
    /// How often a value comes does not matter.
    Same,
    /// The least or greatest value of a column, which the gateway finds.
    Extreme(*mut pg_sys::Node),
    /// A sum of this.
    Sum(*mut pg_sys::Node),
    /// The average of a column.
    Average(*mut pg_sys::Node),
}

impl Kind {
    unsafe fn of(sources: &Sources, aggregate: *mut pg_sys::Aggref) -> Option<Kind> {
        // SAFETY: a valid node of the current planning; aggregates are recognised by OID (pg_proc.dat).
        unsafe {
            let (function, argument) = call::of_values(aggregate)?;
            let Some(argument) = argument else {
                return Some(Kind::Rows);
            };
            let is_distinct = !(*aggregate).aggdistinct.is_null();
            match function {
                pg_sys::F_COUNT_ANY if is_distinct => Some(Kind::Same),
                pg_sys::F_COUNT_ANY if sources.has_value(argument) => Some(Kind::Rows),
                pg_sys::F_COUNT_ANY if pg_sys::type_is_rowtype(pg_sys::exprType(argument)) => None,
                pg_sys::F_COUNT_ANY => Some(Kind::Values(argument)),
                pg_sys::F_BOOL_AND | pg_sys::F_BOOL_OR | pg_sys::F_EVERY => Some(Kind::Same),
                pg_sys::F_SUM_INT2 | pg_sys::F_SUM_INT4 | pg_sys::F_SUM_INT8 | pg_sys::F_SUM_NUMERIC
                    if !is_distinct && (*aggregate).aggorder.is_null() =>
                {
                    Some(Kind::Sum(argument))
                }
                // Of several gateways one may have had to add up here what others have added up.
                pg_sys::F_AVG_INT8 | pg_sys::F_AVG_NUMERIC if sources.parts.len() == 1 => {
                    matches!(sources.recognise(aggregate), Some(AggregateCall::Average(_)))
                        .then_some(Kind::Average(argument))
                }
                _ if nodes::is_extreme((*aggregate).aggfnoid) => {
                    // With DISTINCT or ORDER BY it is not recognised, and the same value.
                    Some(match sources.recognise(aggregate) {
                        Some(AggregateCall::Least(_) | AggregateCall::Greatest(_)) => Kind::Extreme(argument),
                        _ => Kind::Same,
                    })
                }
                _ => None,
            }
        }
    }
}

/// What is summed.
enum Summand {
    /// A column whose sum the gateway computes.
    Column(*mut pg_sys::Node),
    /// One of several, by conditions.
    Case(*mut pg_sys::CaseExpr),
    /// `coalesce(this, 0)`.
    OrZero(*mut pg_sys::Node),
    /// Nothing.
    Null,
    /// An expression as a whole.
    Other,
}

impl Summand {
    unsafe fn of(sources: &Sources, summand: *mut pg_sys::Node) -> Option<Summand> {
        // SAFETY: a valid node of the current planning; types are checked before casts.
        unsafe {
            let of_type = pg_sys::exprType(summand);
            if !matches!(
                of_type,
                pg_sys::NUMERICOID | pg_sys::INT8OID | pg_sys::INT4OID | pg_sys::INT2OID
            ) {
                return None;
            }
            let is_null = |node: *mut pg_sys::Node| {
                is_a(node, pg_sys::NodeTag::T_Const) && (*node.cast::<pg_sys::Const>()).constisnull
            };
            if is_null(summand) {
                return Some(Summand::Null);
            }
            if is_a(summand, pg_sys::NodeTag::T_CaseExpr) {
                return Some(Summand::Case(summand.cast()));
            }
            if is_a(summand, pg_sys::NodeTag::T_CoalesceExpr) {
                let arguments =
                    PgList::<pg_sys::Node>::from_pg((*summand.cast::<pg_sys::CoalesceExpr>()).args);
                if let (2, Some(value), Some(other)) =
                    (arguments.len(), arguments.get_ptr(0), arguments.get_ptr(1))
                    && is_zero(other)
                {
                    return Some(Summand::OrZero(value));
                }
                return Some(Summand::Other);
            }
            // A bigint in the place of a numeric: a sum of either is a numeric.
            if is_a(summand, pg_sys::NodeTag::T_FuncExpr) {
                let call = summand.cast::<pg_sys::FuncExpr>();
                let arguments = PgList::<pg_sys::Node>::from_pg((*call).args);
                if u32::from((*call).funcid) == pg_sys::F_NUMERIC_INT8
                    && let Some(inner) = arguments.get_ptr(0)
                    && let Some(Summand::Column(column)) = Summand::of(sources, inner)
                {
                    return Some(Summand::Column(column));
                }
                return Some(Summand::Other);
            }
            let sum = match of_type {
                pg_sys::INT8OID => pg_sys::F_SUM_INT8,
                pg_sys::NUMERICOID => pg_sys::F_SUM_NUMERIC,
                _ => return Some(Summand::Other),
            };
            let none = std::ptr::null_mut();
            let sum = nodes::aggregate(sum, pg_sys::NUMERICOID, Some(summand), none);
            Some(match sources.recognise(sum) {
                Some(AggregateCall::Sum(_)) => Summand::Column(summand),
                _ => Summand::Other,
            })
        }
    }
}

/// Whether a node is the constant zero, as numeric or integer.
unsafe fn is_zero(node: *mut pg_sys::Node) -> bool {
    // SAFETY: a valid node; constants of fixed types are read as such.
    unsafe {
        if !is_a(node, pg_sys::NodeTag::T_Const) {
            return false;
        }
        let constant = node.cast::<pg_sys::Const>();
        if (*constant).constisnull {
            return false;
        }
        match (*constant).consttype {
            pg_sys::INT8OID | pg_sys::INT4OID | pg_sys::INT2OID => (*constant).constvalue.value() == 0,
            pg_sys::NUMERICOID => pg_sys::equal(node.cast(), nodes::zero().cast()),
            _ => false,
        }
    }
}
