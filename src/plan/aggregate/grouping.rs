//! Keys and aggregates of a grouping, if the gateway supports all of them.

use super::call::{self, AggregateCall};
use crate::catalog::ValueClass;
use crate::plan::remote_rel::RemoteRel;
use intacct::{DataType, GroupKeyKind};
use pgrx::{PgList, is_a, pg_sys};

/// One group key.
pub struct GroupKey {
    /// The column.
    pub var: *mut pg_sys::Node,
    /// Its mark in the GROUP BY or DISTINCT clause; 0: none.
    pub mark: pg_sys::Index,
    /// Its field.
    pub field: String,
    /// How its values compare.
    pub class: ValueClass,
    /// Which values of it the gateway may take for one.
    pub kind: GroupKeyKind,
    /// Whether it may be null, as far as its column is declared.
    pub nullable: bool,
}

/// A group key that is the same in every row: the gateway is not asked for it.
pub struct ConstantKey {
    /// The column.
    pub var: *mut pg_sys::Node,
    /// Its mark in the GROUP BY or DISTINCT clause.
    pub mark: pg_sys::Index,
    /// Its value, as the column's option gives it.
    pub value: String,
}

/// A grouping that the gateway can be asked for.
#[derive(Default)]
pub struct Grouping {
    /// Group keys.
    pub keys: Vec<GroupKey>,
    /// Group keys that are the same in every row.
    pub constants: Vec<ConstantKey>,
    /// Aggregates, each once.
    pub aggregates: Vec<(*mut pg_sys::Aggref, AggregateCall)>,
    /// The FILTER that all aggregates share; null for none.
    pub filter: *mut pg_sys::Node,
    /// Without a row there is no group, although it may be by no key.
    pub of_rows: bool,
}

impl Grouping {
    /// Reads `target`, and `having` for what it needs beside it, grouped by `clause`.
    ///
    /// # Safety
    /// Planner nodes of the current planning.
    pub unsafe fn read(
        source: &RemoteRel,
        target: *mut pg_sys::PathTarget,
        clause: *mut pg_sys::List,
        having: *mut pg_sys::List,
    ) -> Option<Grouping> {
        let mut grouping = Grouping::default();
        // SAFETY: the caller guarantees valid planner nodes.
        unsafe {
            let wanted = Wanted::of(target, clause, having);
            for (expression, mark, member) in wanted.keys {
                match constant_key(source, expression, mark) {
                    Some(constant) => grouping.constants.push(constant),
                    None => grouping.group_by(key(source, expression, mark, member)?)?,
                }
            }
            for part in wanted.parts {
                if is_a(part, pg_sys::NodeTag::T_Aggref) {
                    grouping.add(source, part.cast())?;
                } else if !is_a(part, pg_sys::NodeTag::T_Var)
                    || !grouping
                        .key_columns()
                        .any(|(key, _)| pg_sys::equal(key.cast(), part.cast()))
                {
                    return None;
                }
            }
        }
        Some(grouping)
    }

    /// Adds a key; `None`: the gateway is not asked for a field twice.
    fn group_by(&mut self, key: GroupKey) -> Option<()> {
        let mut known = self.keys.iter();
        if known.any(|known| known.field.eq_ignore_ascii_case(&key.field)) {
            return None;
        }
        self.keys.push(key);
        Some(())
    }

    /// Columns to group by, marked from 1 in their order, and aggregates; `None`: the gateway cannot be asked for one of
    /// them.
    ///
    /// # Safety
    /// Planner nodes of the current planning.
    pub unsafe fn by(
        source: &RemoteRel,
        columns: &[*mut pg_sys::Node],
        aggregates: Vec<(*mut pg_sys::Aggref, AggregateCall)>,
    ) -> Option<Grouping> {
        let mut grouping = Grouping {
            aggregates,
            ..Grouping::default()
        };
        for (mark, column) in (1..).zip(columns) {
            // SAFETY: same contract as this function.
            unsafe {
                match constant_key(source, *column, mark) {
                    Some(constant) => grouping.constants.push(constant),
                    None => grouping.group_by(key(source, *column, mark, clause(*column, mark)?)?)?,
                }
            }
        }
        Some(grouping)
    }

    /// The GROUP BY clause of the keys, for types that have an order and can be hashed, as all that are keys do.
    ///
    /// # Safety
    /// Within the planning that the keys are of.
    pub unsafe fn clause(&self) -> *mut pg_sys::List {
        let mut list = PgList::<pg_sys::SortGroupClause>::new();
        for key in &self.keys {
            // SAFETY: same contract as this function.
            if let Some(clause) = unsafe { clause(key.var, key.mark) } {
                list.push(clause);
            }
        }
        list.into_pg()
    }

    /// Takes an aggregate, unless it is known already.
    unsafe fn add(&mut self, source: &RemoteRel, aggregate: *mut pg_sys::Aggref) -> Option<()> {
        // SAFETY: the caller checked the node's type.
        unsafe {
            let known = |other: &(*mut pg_sys::Aggref, AggregateCall)| {
                pg_sys::equal(other.0.cast(), aggregate.cast())
            };
            if self.aggregates.iter().any(known) {
                return Some(());
            }
            let filter: *mut pg_sys::Node = (*aggregate).aggfilter.cast();
            if self.aggregates.is_empty() {
                self.filter = filter;
            }
            // A condition on all groups would drop those in which no row fulfils it.
            let alike =
                pg_sys::equal(self.filter.cast(), filter.cast()) && (filter.is_null() || self.is_whole());
            if !alike {
                return None;
            }
            self.aggregates
                .push((aggregate, call::recognise(source, aggregate)?));
            Some(())
        }
    }

    /// The columns of the scan: keys, those that are constant behind the others, then aggregates.
    pub fn columns(&self) -> impl Iterator<Item = (*mut pg_sys::Expr, pg_sys::Index)> {
        let aggregates = self.aggregates.iter();
        self.key_columns()
            .chain(aggregates.map(|(aggregate, _)| (aggregate.cast(), 0)))
    }

    /// Those of them that are keys.
    fn key_columns(&self) -> impl Iterator<Item = (*mut pg_sys::Expr, pg_sys::Index)> {
        let constants = self.constants.iter().map(|key| (key.var.cast(), key.mark));
        let keys = self.keys.iter().map(|key| (key.var.cast(), key.mark));
        keys.chain(constants)
    }

    /// Whether nothing is grouped by: then there is one group, of no rows too.
    pub fn is_whole(&self) -> bool {
        self.keys.is_empty() && self.constants.is_empty() && !self.of_rows
    }
}

/// What a statement wants of its groups.
pub struct Wanted {
    /// Expressions grouped by, with their marks and members of the clause.
    pub keys: Vec<(*mut pg_sys::Node, pg_sys::Index, *mut pg_sys::SortGroupClause)>,
    /// What all else is made of, HAVING included: columns, aggregates, placeholders.
    pub parts: Vec<*mut pg_sys::Node>,
}

impl Wanted {
    /// Of `target`, grouped by `clause`, and `having`.
    ///
    /// # Safety
    /// Planner nodes of the current planning.
    pub unsafe fn of(
        target: *mut pg_sys::PathTarget,
        clause: *mut pg_sys::List,
        having: *mut pg_sys::List,
    ) -> Wanted {
        let mut keys = Vec::new();
        let mut others = PgList::<pg_sys::Node>::new();
        // SAFETY: the caller guarantees valid nodes; marks are as many as expressions where there are any.
        unsafe {
            let expressions = PgList::<pg_sys::Node>::from_pg((*target).exprs);
            for (index, expression) in expressions.iter_ptr().enumerate() {
                let mark = match (*target).sortgrouprefs {
                    marks if marks.is_null() => 0,
                    marks => *marks.add(index),
                };
                let member = match mark {
                    0 => std::ptr::null_mut(),
                    mark => pg_sys::get_sortgroupref_clause_noerr(mark, clause),
                };
                match member.is_null() {
                    true => others.push(expression),
                    false => keys.push((expression, mark, member)),
                }
            }
            for condition in PgList::<pg_sys::Node>::from_pg(having).iter_ptr() {
                others.push(condition);
            }
            Wanted {
                keys,
                parts: parts(others.into_pg().cast()),
            }
        }
    }
}

/// Columns, aggregates and placeholders of an expression; aggregates are not looked into.
///
/// # Safety
/// `expression` must be null or a valid node of the current planning.
pub unsafe fn parts(expression: *mut pg_sys::Node) -> Vec<*mut pg_sys::Node> {
    let flags =
        pg_sys::PVC_INCLUDE_AGGREGATES | pg_sys::PVC_RECURSE_WINDOWFUNCS | pg_sys::PVC_INCLUDE_PLACEHOLDERS;
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        PgList::<pg_sys::Node>::from_pg(pg_sys::pull_var_clause(expression, flags as i32))
            .iter_ptr()
            .collect()
    }
}

/// How values of an expression are grouped by the default operators of its type; `None`: they cannot be hashed.
///
/// # Safety
/// A valid expression of the current planning.
pub unsafe fn clause(
    expression: *mut pg_sys::Node,
    mark: pg_sys::Index,
) -> Option<*mut pg_sys::SortGroupClause> {
    // SAFETY: a valid node; catalog look-ups; the node is zeroed, its tag set.
    unsafe {
        let (mut less, mut equal, mut hashable) = (pg_sys::InvalidOid, pg_sys::InvalidOid, false);
        pg_sys::get_sort_group_operators(
            pg_sys::exprType(expression),
            false,
            false,
            false,
            &raw mut less,
            &raw mut equal,
            std::ptr::null_mut(),
            &raw mut hashable,
        );
        if equal == pg_sys::InvalidOid || !hashable {
            return None;
        }
        let mut clause =
            pgrx::PgBox::<pg_sys::SortGroupClause>::alloc_node(pg_sys::NodeTag::T_SortGroupClause);
        clause.tleSortGroupRef = mark;
        clause.eqop = equal;
        clause.sortop = less;
        clause.hashable = hashable;
        Some(clause.into_pg())
    }
}

/// A group key that is the same in every row.
unsafe fn constant_key(
    source: &RemoteRel,
    expression: *mut pg_sys::Node,
    mark: pg_sys::Index,
) -> Option<ConstantKey> {
    // SAFETY: the caller guarantees a valid node of the current planning.
    let (member, column) = unsafe { source.any_column(expression) }?;
    // Where there may be no parent, its columns are null.
    let value = column.constant.clone().filter(|_| !member.is_optional())?;
    Some(ConstantKey {
        var: expression,
        mark,
        value,
    })
}

/// A group key: a column whose values are equal here where they are equal there.
unsafe fn key(
    source: &RemoteRel,
    expression: *mut pg_sys::Node,
    mark: pg_sys::Index,
    clause: *mut pg_sys::SortGroupClause,
) -> Option<GroupKey> {
    // SAFETY: the caller guarantees valid planner or executor nodes; catalog look-ups by OID.
    unsafe {
        if !is_a(expression, pg_sys::NodeTag::T_Var) {
            return None;
        }
        let column = source.column(expression)?;
        let family = crate::plan::qual::family(column.class).0;
        let equality = pg_sys::get_op_opfamily_strategy((*clause).eqop, family) as u32;
        let same_text = column.class != ValueClass::Text
            || pg_sys::get_collation_isdeterministic(pg_sys::exprCollation(expression));
        // Every row would be a group of its own.
        let unique = source
            .row_key()
            .is_some_and(|row_key| row_key.eq_ignore_ascii_case(&column.field));
        let as_read = source.table().compares_as_read(column.class);
        if equality != pg_sys::BTEqualStrategyNumber || !same_text || unique || !as_read {
            return None;
        }
        let nullable = column.is_nullable();
        Some(GroupKey {
            var: expression,
            mark,
            field: column.field,
            class: column.class,
            kind: match column.class {
                ValueClass::Text if column.column.data_type == Some(DataType::Enum) => GroupKeyKind::Listed,
                ValueClass::Text => GroupKeyKind::Text,
                ValueClass::Integer | ValueClass::Decimal => GroupKeyKind::Number,
                ValueClass::Boolean => GroupKeyKind::Boolean,
                ValueClass::Date => GroupKeyKind::Date,
                ValueClass::Timestamp => GroupKeyKind::Moment,
            },
            nullable,
        })
    }
}
