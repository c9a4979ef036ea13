//! Joins of the gateway's groups with other relations, in the place of joins of their rows.
//!
//! Rows of a group have the same partners, if the conditions of the joins are over columns that they are grouped by and
//! columns of the others. So a joined group stands for so many joined rows as it has rows. That holds for INNER, LEFT, SEMI
//! and ANTI joins, as long as the groups are on the side whose rows stay.

use super::relations::{self, pathtarget};
use crate::compat;
use crate::ffi::node;
use crate::plan::nodes::clauses;
use pgrx::{PgList, pg_sys};

/// Relations that are joined with groups at most: each is tried behind each.
const MOST: usize = 8;

/// A join of what has been joined before with one relation more.
pub struct Step {
    /// That relation.
    inner: *mut pg_sys::RelOptInfo,
    /// What has been joined before, as the planner has it: of rows.
    outer: *mut pg_sys::RelOptInfo,
    /// Both, as the planner has them.
    joined: *mut pg_sys::RelOptInfo,
    kind: pg_sys::JoinType::Type,
    special: *mut pg_sys::SpecialJoinInfo,
    /// The conditions of the join.
    restrictions: *mut pg_sys::List,
}

impl Step {
    /// What must be the same in all rows of a group.
    pub unsafe fn conditions(&self) -> Vec<*mut pg_sys::Node> {
        // SAFETY: conditions of the current planning.
        unsafe { clauses(self.restrictions) }
            .into_iter()
            // SAFETY: as above.
            .map(|clause| unsafe { (*clause).clause.cast() })
            .collect()
    }

    /// Whether the relation adds columns, and not only decides which rows stay. A LEFT join may have become an ANTI join, whose
    /// columns are null.
    fn adds_columns(&self) -> bool {
        self.kind != pg_sys::JoinType::JOIN_SEMI
    }

    /// Whether a row has one partner at most.
    fn is_test(&self) -> bool {
        matches!(
            self.kind,
            pg_sys::JoinType::JOIN_SEMI | pg_sys::JoinType::JOIN_ANTI
        )
    }

    /// The conditions by which rows can be hashed.
    unsafe fn hashed(&self) -> *mut pg_sys::List {
        let mut hashed = PgList::<pg_sys::RestrictInfo>::new();
        // SAFETY: conditions and relations of the current planning.
        unsafe {
            let (outer, inner) = ((*self.outer).relids, (*self.inner).relids);
            for clause in clauses(self.restrictions) {
                let is_outer = matches!(
                    self.kind,
                    pg_sys::JoinType::JOIN_LEFT | pg_sys::JoinType::JOIN_ANTI
                );
                let is_later = is_outer
                    && ((*clause).is_pushed_down
                        || !pg_sys::bms_is_subset((*clause).required_relids, (*self.joined).relids));
                if is_later || !(*clause).can_join || (*clause).hashjoinoperator == pg_sys::InvalidOid {
                    continue;
                }
                let (left, right) = ((*clause).left_relids, (*clause).right_relids);
                if pg_sys::bms_is_subset(left, outer) && pg_sys::bms_is_subset(right, inner) {
                    (*clause).outer_is_left = true;
                } else if pg_sys::bms_is_subset(left, inner) && pg_sys::bms_is_subset(right, outer) {
                    (*clause).outer_is_left = false;
                } else {
                    continue;
                }
                hashed.push(clause);
            }
        }
        hashed.into_pg()
    }
}

/// How all of `whole` is joined with `first`, one relation after the other; `None`: not so that its rows stay, or otherwise
/// than by equality.
///
/// # Safety
/// Relations of the current planning, the second a join that has the first.
pub unsafe fn steps(
    root: *mut pg_sys::PlannerInfo,
    first: *mut pg_sys::RelOptInfo,
    whole: *mut pg_sys::RelOptInfo,
) -> Option<Vec<Step>> {
    // SAFETY: same contract as this function; arrays are as long as they say.
    unsafe {
        if !stays(root, first, whole) {
            return None;
        }
        let mut rest: Vec<*mut pg_sys::RelOptInfo> = Vec::new();
        let mut member = -1;
        loop {
            member = pg_sys::bms_next_member((*whole).relids, member);
            if member < 0 {
                break;
            }
            // What stands for an outer join has no relation.
            let rel = *(*root).simple_rel_array.add(member as usize);
            if !rel.is_null() && !pg_sys::bms_is_member(member, (*first).relids) {
                rest.push(rel);
            }
        }
        if rest.is_empty() || rest.len() > MOST {
            return None;
        }
        let mut steps: Vec<Step> = Vec::new();
        while !rest.is_empty() {
            let outer = steps.last().map_or(first, |step| step.joined);
            let found = (0..rest.len()).find_map(|place| {
                let step = step(root, outer, rest[place], whole)?;
                Some((place, step))
            });
            let (place, step) = found?;
            rest.remove(place);
            steps.push(step);
        }
        Some(steps)
    }
}

/// Whether no join within `whole` may make the columns of `first` null, or leave it out.
unsafe fn stays(
    root: *mut pg_sys::PlannerInfo,
    first: *mut pg_sys::RelOptInfo,
    whole: *mut pg_sys::RelOptInfo,
) -> bool {
    // SAFETY: relations of the current planning.
    unsafe {
        PgList::<pg_sys::SpecialJoinInfo>::from_pg((*root).join_info_list)
            .iter_ptr()
            .filter(|join| pg_sys::bms_overlap((**join).syn_righthand, (*whole).relids))
            .all(|join| {
                let is_full = (*join).jointype == pg_sys::JoinType::JOIN_FULL;
                !is_full && !pg_sys::bms_overlap((*join).syn_righthand, (*first).relids)
            })
    }
}

/// The join of `outer` with `inner`; `None`: the planner has none, or not by equality.
unsafe fn step(
    root: *mut pg_sys::PlannerInfo,
    outer: *mut pg_sys::RelOptInfo,
    inner: *mut pg_sys::RelOptInfo,
    whole: *mut pg_sys::RelOptInfo,
) -> Option<Step> {
    // SAFETY: relations of the current planning.
    unsafe {
        let cheapest = (*inner).cheapest_total_path;
        if !(*inner).lateral_relids.is_null() || cheapest.is_null() || !(*cheapest).param_info.is_null() {
            return None;
        }
        let mut relids = pg_sys::bms_union((*outer).relids, (*inner).relids);
        let mut kind = pg_sys::JoinType::JOIN_INNER;
        let mut special: *mut pg_sys::SpecialJoinInfo = std::ptr::null_mut();
        for join in PgList::<pg_sys::SpecialJoinInfo>::from_pg((*root).join_info_list).iter_ptr() {
            let (left, right) = ((*join).min_lefthand, (*join).min_righthand);
            let is_done =
                pg_sys::bms_is_subset(left, (*outer).relids) && pg_sys::bms_is_subset(right, (*outer).relids);
            if is_done || !pg_sys::bms_overlap((*join).syn_righthand, relids) {
                continue;
            }
            let is_this = pg_sys::bms_is_subset(left, (*outer).relids)
                && pg_sys::bms_equal(right, (*inner).relids)
                && pg_sys::bms_equal((*join).syn_righthand, (*inner).relids)
                && special.is_null();
            if !is_this {
                return None;
            }
            (kind, special) = ((*join).jointype, join);
        }
        use pg_sys::JoinType::{JOIN_ANTI, JOIN_INNER, JOIN_LEFT, JOIN_SEMI};
        if !matches!(kind, JOIN_INNER | JOIN_LEFT | JOIN_SEMI | JOIN_ANTI) {
            return None;
        }
        let nulling = compat::outer_join_relid(special);
        if nulling != 0 {
            relids = pg_sys::bms_add_member(relids, nulling as i32);
        }
        let joined = match pg_sys::bms_equal(relids, (*whole).relids) {
            true => whole,
            false => pg_sys::find_join_rel(root, relids),
        };
        if joined.is_null() {
            return None;
        }
        if special.is_null() {
            special = node(pg_sys::NodeTag::T_SpecialJoinInfo);
            (*special).min_lefthand = (*outer).relids;
            (*special).min_righthand = (*inner).relids;
            (*special).syn_lefthand = (*outer).relids;
            (*special).syn_righthand = (*inner).relids;
            (*special).jointype = JOIN_INNER;
        }
        let restrictions = compat::join_restrictions(root, joined, outer, inner, special);
        // What may differ for each pair of rows cannot be checked for all of a group.
        let is_fit = |clause: &*mut pg_sys::RestrictInfo| {
            !(**clause).pseudoconstant && !pg_sys::contain_volatile_functions((**clause).clause.cast())
        };
        if !clauses(restrictions).iter().all(is_fit) {
            return None;
        }
        let step = Step {
            inner,
            outer,
            joined,
            kind,
            special,
            restrictions,
        };
        (!step.hashed().is_null()).then_some(step)
    }
}

/// The path that joins `groups` with all others, with these columns.
///
/// # Safety
/// Nodes of the current planning.
pub unsafe fn path(
    root: *mut pg_sys::PlannerInfo,
    groups: *mut pg_sys::Path,
    steps: &[Step],
    columns: &[(*mut pg_sys::Expr, pg_sys::Index)],
) -> *mut pg_sys::Path {
    // SAFETY: same contract as this function.
    unsafe {
        let mut below = groups;
        let mut carried: Vec<(*mut pg_sys::Expr, pg_sys::Index)> =
            PgList::<pg_sys::Expr>::from_pg((*(*groups).pathtarget).exprs)
                .iter_ptr()
                .map(|column| (column, 0))
                .collect();
        for (number, step) in steps.iter().enumerate() {
            if step.adds_columns() {
                let nulling = compat::outer_join_relid(step.special);
                let own = PgList::<pg_sys::Node>::from_pg((*(*step.inner).reltarget).exprs);
                for column in own.iter_ptr() {
                    let copy = pg_sys::copyObjectImpl(column.cast()).cast();
                    let column = compat::add_nulling(copy, (*step.inner).relids, nulling);
                    carried.push((column.cast(), 0));
                }
            }
            let is_last = number + 1 == steps.len();
            let joined = relations::joined((*step.joined).relids);
            (*joined).reltarget = pathtarget(root, if is_last { columns } else { &carried });
            let share = (*step.joined).rows / (*step.outer).rows.max(1.0);
            (*joined).rows = ((*below).rows * share).max(1.0);

            let kind = match crate::guc::combine_fault() {
                5 if step.kind == pg_sys::JoinType::JOIN_LEFT => pg_sys::JoinType::JOIN_INNER,
                _ => step.kind,
            };
            let mut extra = pg_sys::JoinPathExtraData {
                restrictlist: step.restrictions,
                sjinfo: step.special,
                ..Default::default()
            };
            if step.is_test() {
                pg_sys::compute_semi_anti_join_factors(
                    root,
                    step.joined,
                    step.outer,
                    step.inner,
                    kind,
                    step.special,
                    step.restrictions,
                    &raw mut extra.semifactors,
                );
            }
            let hashed = step.hashed();
            let inner = (*step.inner).cheapest_total_path;
            let mut workspace = pg_sys::JoinCostWorkspace::default();
            pg_sys::initial_cost_hashjoin(
                root,
                &raw mut workspace,
                kind,
                hashed,
                below,
                inner,
                &raw mut extra,
                false,
            );
            below = pg_sys::create_hashjoin_path(
                root,
                joined,
                kind,
                &raw mut workspace,
                &raw mut extra,
                below,
                inner,
                false,
                step.restrictions,
                std::ptr::null_mut(),
                hashed,
            )
            .cast();
        }
        below
    }
}
