//! What the gateway's groups are made of: one relation, or one of each company whose groups are appended; and relations
//! whose rows are joined with the groups.

use super::joined::{self, Step};
use crate::plan::aggregate::call::{self, AggregateCall};
use crate::plan::aggregate::grouping::Grouping;
use crate::plan::relation::is_ours;
use crate::plan::remote_rel::RemoteRel;
use pgrx::{PgList, is_a, pg_sys};

/// A relation that a gateway is asked for, or that PostgreSQL groups beside those.
pub struct Part<'a> {
    /// What is asked; none of a relation that is not ours.
    pub source: Option<RemoteRel<'a>>,
    /// The relation, as the planner has it.
    pub rel: *mut pg_sys::RelOptInfo,
    /// How expressions over the whole become expressions over it, level by level; none: it is the whole.
    steps: Vec<(i32, *mut *mut pg_sys::AppendRelInfo)>,
}

impl Part<'_> {
    /// Whether it is one of several, as the planner sees it.
    pub fn is_member(&self) -> bool {
        !self.steps.is_empty()
    }

    /// An expression over the whole as one over this part.
    ///
    /// # Safety
    /// A valid expression of the current planning.
    pub unsafe fn translated<T>(&self, root: *mut pg_sys::PlannerInfo, expression: *mut T) -> *mut T {
        // SAFETY: same contract as this function.
        self.steps
            .iter()
            .fold(expression, |expression, (count, steps)| unsafe {
                pg_sys::adjust_appendrel_attrs(root, expression.cast(), *count, *steps).cast()
            })
    }

    /// The columns of these expressions over the whole; `None`: they have something else.
    ///
    /// # Safety
    /// Valid expressions of the current planning.
    pub unsafe fn columns(
        &self,
        root: *mut pg_sys::PlannerInfo,
        keys: &[*mut pg_sys::Node],
    ) -> Option<Vec<*mut pg_sys::Node>> {
        let mut columns: Vec<*mut pg_sys::Node> = Vec::new();
        // SAFETY: same contract as this function.
        unsafe {
            for key in keys {
                for column in bare(self.translated(root, *key)) {
                    if !is_a(column, pg_sys::NodeTag::T_Var) {
                        return None;
                    }
                    if !columns.iter().any(|known| same(*known, column)) {
                        columns.push(column);
                    }
                }
            }
        }
        Some(columns)
    }

    /// The grouping that makes these columns and aggregates of the whole; `None`: its gateway cannot be asked for it.
    ///
    /// # Safety
    /// Valid expressions of the current planning.
    pub unsafe fn grouping(
        &self,
        root: *mut pg_sys::PlannerInfo,
        keys: &[*mut pg_sys::Node],
        aggregates: &[*mut pg_sys::Aggref],
    ) -> Option<Grouping> {
        // SAFETY: same contract as this function.
        unsafe {
            let source = self.source.as_ref()?;
            let columns = self.columns(root, keys)?;
            let mut calls = Vec::new();
            for aggregate in aggregates {
                let aggregate = self.translated(root, *aggregate);
                calls.push((aggregate, call::recognise(source, aggregate)?));
            }
            let mut grouping = Grouping::by(source, &columns, calls)?;
            // A branch in which all keys are constants has no group where it has no row.
            grouping.of_rows = !keys.is_empty();
            Some(grouping)
        }
    }
}

/// The columns of an expression over one part, where no outer join can have made any of them null.
unsafe fn bare(expression: *mut pg_sys::Node) -> Vec<*mut pg_sys::Node> {
    // SAFETY: a valid expression of the current planning.
    unsafe {
        let columns = pg_sys::pull_var_clause(expression, pg_sys::PVC_RECURSE_PLACEHOLDERS as i32);
        PgList::<pg_sys::Node>::from_pg(columns).iter_ptr().collect()
    }
}

unsafe fn same(a: *mut pg_sys::Node, b: *mut pg_sys::Node) -> bool {
    // SAFETY: valid nodes.
    unsafe { pg_sys::equal(a.cast(), b.cast()) }
}

/// All of it.
pub struct Sources<'a> {
    root: *mut pg_sys::PlannerInfo,
    /// The relations together, as the planner has them.
    pub whole: *mut pg_sys::RelOptInfo,
    /// The relations, of which there is one at least.
    pub parts: Vec<Part<'a>>,
    /// How the groups are joined with others.
    pub joins: Vec<Step>,
}

impl<'a> Sources<'a> {
    /// One relation.
    pub fn one(
        root: *mut pg_sys::PlannerInfo,
        rel: *mut pg_sys::RelOptInfo,
        source: RemoteRel<'a>,
    ) -> Sources<'a> {
        let part = Part {
            source: Some(source),
            rel,
            steps: Vec::new(),
        };
        Sources {
            root,
            whole: rel,
            parts: vec![part],
            joins: Vec::new(),
        }
    }

    /// One relation or several; `None`: none of them is ours.
    ///
    /// # Safety
    /// A relation of the current planning.
    pub unsafe fn of(root: *mut pg_sys::PlannerInfo, rel: *mut pg_sys::RelOptInfo) -> Option<Sources<'a>> {
        // SAFETY: same contract as this function.
        unsafe {
            let source = match is_ours(rel) {
                true => RemoteRel::of(root, rel),
                false => None,
            };
            match source {
                Some(source) => Some(Sources::one(root, rel, source)),
                None => Sources::several(root, rel),
            }
        }
    }

    /// Each relation within a join whose groups can be joined with the others.
    ///
    /// # Safety
    /// A relation of the current planning.
    pub unsafe fn joined(root: *mut pg_sys::PlannerInfo, rel: *mut pg_sys::RelOptInfo) -> Vec<Sources<'a>> {
        let mut found = Vec::new();
        // SAFETY: same contract as this function; arrays are as long as they say.
        unsafe {
            if (*rel).reloptkind != pg_sys::RelOptKind::RELOPT_JOINREL || !(*rel).lateral_relids.is_null() {
                return found;
            }
            let joins = PgList::<pg_sys::RelOptInfo>::from_pg((*root).join_rel_list);
            let mut within: Vec<*mut pg_sys::RelOptInfo> = joins
                .iter_ptr()
                .filter(|join| {
                    let is_part = pg_sys::bms_subset_compare((**join).relids, (*rel).relids)
                        == pg_sys::BMS_Comparison::BMS_SUBSET1;
                    is_part && (**join).reloptkind == pg_sys::RelOptKind::RELOPT_JOINREL && is_ours(*join)
                })
                .collect();
            let mut member = -1;
            loop {
                member = pg_sys::bms_next_member((*rel).relids, member);
                if member < 0 {
                    break;
                }
                let base = *(*root).simple_rel_array.add(member as usize);
                if !base.is_null() {
                    within.push(base);
                }
            }
            for first in within {
                if let Some(mut sources) = Sources::of(root, first)
                    && let Some(joins) = joined::steps(root, first, rel)
                {
                    sources.joins = joins;
                    found.push(sources);
                }
            }
        }
        found
    }

    /// Whether a column is of a relation that the groups are joined with.
    ///
    /// # Safety
    /// A valid node of the current planning.
    pub unsafe fn is_beside(&self, column: *mut pg_sys::Node) -> bool {
        // SAFETY: same contract as this function; the node's type is checked before the cast.
        unsafe {
            !self.joins.is_empty() && is_a(column, pg_sys::NodeTag::T_Var) && {
                let var = column.cast::<pg_sys::Var>();
                (*var).varlevelsup == 0 && !pg_sys::bms_is_member((*var).varno, (*self.whole).relids)
            }
        }
    }

    /// The partitions of a relation, or the branches of a UNION ALL; `None`: none of them is ours.
    ///
    /// # Safety
    /// A relation of the current planning.
    pub unsafe fn several(
        root: *mut pg_sys::PlannerInfo,
        rel: *mut pg_sys::RelOptInfo,
    ) -> Option<Sources<'a>> {
        let mut parts = Vec::new();
        // SAFETY: same contract as this function.
        unsafe { add_members(root, rel, &[], &mut parts)? };
        parts
            .iter()
            .any(|part: &Part| part.source.is_some())
            .then_some(Sources {
                root,
                whole: rel,
                parts,
                joins: Vec::new(),
            })
    }

    /// What an aggregate is for every gateway; `None`: nothing, or not the same.
    ///
    /// # Safety
    /// A valid node of the current planning.
    pub unsafe fn recognise(&self, aggregate: *mut pg_sys::Aggref) -> Option<AggregateCall> {
        let mut known: Option<AggregateCall> = None;
        for part in &self.parts {
            // What is not ours is grouped here, whatever it is.
            let Some(source) = &part.source else { continue };
            // SAFETY: same contract as this function.
            let call = unsafe { call::recognise(source, part.translated(self.root, aggregate)) }?;
            match &known {
                None => known = Some(call),
                Some(known) if std::mem::discriminant(known) == std::mem::discriminant(&call) => {}
                Some(_) => return None,
            }
        }
        known
    }

    /// Whether an expression has a value in every row.
    ///
    /// # Safety
    /// A valid node of the current planning.
    pub unsafe fn has_value(&self, expression: *mut pg_sys::Node) -> bool {
        self.parts.iter().all(|part| {
            let Some(source) = &part.source else { return false };
            let is_row_key = |field: &str| {
                source
                    .row_key()
                    .is_some_and(|key| key.eq_ignore_ascii_case(field))
            };
            // SAFETY: same contract as this function; the node's type is checked before the cast.
            unsafe {
                let expression = part.translated(self.root, expression);
                if is_a(expression, pg_sys::NodeTag::T_Const) {
                    return !(*expression.cast::<pg_sys::Const>()).constisnull;
                }
                source.column(expression).is_some_and(|column| {
                    !column.is_nullable() || column.is_own() && is_row_key(&column.field)
                })
            }
        })
    }
}

/// Adds the members of a relation, and their own.
unsafe fn add_members<'a>(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    steps: &[(i32, *mut *mut pg_sys::AppendRelInfo)],
    parts: &mut Vec<Part<'a>>,
) -> Option<()> {
    // SAFETY: relations of the current planning; arrays are as long as they say.
    unsafe {
        if !(*rel).lateral_relids.is_null() {
            return None;
        }
        for member in members(root, rel)? {
            if pg_sys::is_dummy_rel(member) {
                continue;
            }
            let mut steps = steps.to_vec();
            let mut count = 0;
            let step = pg_sys::find_appinfos_by_relids(root, (*member).relids, &raw mut count);
            steps.push((count, step));
            let source = match is_ours(member) {
                true => RemoteRel::of(root, member),
                false => None,
            };
            match source {
                None if members(root, member).is_some() => add_members(root, member, &steps, parts)?,
                None if !is_plain(member) => return None,
                source => parts.push(Part {
                    source,
                    rel: member,
                    steps,
                }),
            }
        }
        Some(())
    }
}

/// Whether all rows of a relation can be read by themselves.
unsafe fn is_plain(rel: *mut pg_sys::RelOptInfo) -> bool {
    // SAFETY: a relation of the current planning.
    unsafe {
        let cheapest = (*rel).cheapest_total_path;
        (*rel).lateral_relids.is_null() && !cheapest.is_null() && (*cheapest).param_info.is_null()
    }
}

/// The partitions or branches of a relation; `None`: it has none, or they were not planned one by one.
unsafe fn members(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
) -> Option<Vec<*mut pg_sys::RelOptInfo>> {
    use pg_sys::RelOptKind::{RELOPT_BASEREL, RELOPT_JOINREL, RELOPT_OTHER_JOINREL, RELOPT_OTHER_MEMBER_REL};
    // SAFETY: relations of the current planning; arrays are as long as they say.
    unsafe {
        match (*rel).reloptkind {
            RELOPT_BASEREL | RELOPT_OTHER_MEMBER_REL => {
                let entry = *(*root).simple_rte_array.add((*rel).relid as usize);
                if !(*entry).inh {
                    return None;
                }
                PgList::<pg_sys::AppendRelInfo>::from_pg((*root).append_rel_list)
                    .iter_ptr()
                    .filter(|info| (**info).parent_relid == (*rel).relid)
                    .map(|info| {
                        let member = *(*root).simple_rel_array.add((*info).child_relid as usize);
                        (!member.is_null()).then_some(member)
                    })
                    .collect()
            }
            RELOPT_JOINREL | RELOPT_OTHER_JOINREL if (*rel).nparts > 0 && !(*rel).part_rels.is_null() => {
                let members = std::slice::from_raw_parts((*rel).part_rels, (*rel).nparts as usize);
                // What has been pruned on one side of an inner join is none.
                Some(
                    members
                        .iter()
                        .copied()
                        .filter(|member| !member.is_null())
                        .collect(),
                )
            }
            _ => None,
        }
    }
}
