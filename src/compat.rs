//! What differs between PostgreSQL versions, and has no better place.

use pgrx::{PgList, pg_sys};

/// An attribute of a tuple descriptor.
///
/// # Safety
/// `descriptor` must be valid and `index` below its `natts`.
pub unsafe fn attribute<'a>(
    descriptor: pg_sys::TupleDesc,
    index: usize,
) -> &'a pg_sys::FormData_pg_attribute {
    // SAFETY: the caller guarantees a valid descriptor.
    unsafe {
        #[cfg(feature = "pg18")]
        {
            &*pg_sys::TupleDescAttr(descriptor, index as i32)
        }
        #[cfg(not(feature = "pg18"))]
        {
            &(*descriptor).attrs.as_slice((*descriptor).natts as usize)[index]
        }
    }
}

/// `create_foreignscan_path` with the arguments that every version has.
///
/// # Safety
/// As the C function: planner nodes of the current planning.
#[allow(clippy::too_many_arguments)]
pub unsafe fn create_foreignscan_path(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    rows: f64,
    startup_cost: f64,
    total_cost: f64,
    pathkeys: *mut pg_sys::List,
    required_outer: pg_sys::Relids,
    fdw_private: *mut pg_sys::List,
) -> *mut pg_sys::Path {
    // SAFETY: same contract as this function.
    unsafe {
        pg_sys::create_foreignscan_path(
            root,
            rel,
            std::ptr::null_mut(),
            rows,
            #[cfg(feature = "pg18")]
            0,
            startup_cost,
            total_cost,
            pathkeys,
            required_outer,
            std::ptr::null_mut(),
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            std::ptr::null_mut(),
            fdw_private,
        )
        .cast()
    }
}

/// `create_foreign_upper_path` with the arguments that every version has; no order is claimed.
///
/// # Safety
/// As the C function: planner nodes of the current planning.
#[allow(clippy::too_many_arguments)]
pub unsafe fn create_foreign_upper_path(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    target: *mut pg_sys::PathTarget,
    rows: f64,
    startup_cost: f64,
    total_cost: f64,
    outer_path: *mut pg_sys::Path,
    fdw_private: *mut pg_sys::List,
) -> *mut pg_sys::Path {
    // SAFETY: same contract as this function.
    unsafe {
        pg_sys::create_foreign_upper_path(
            root,
            rel,
            target,
            rows,
            #[cfg(feature = "pg18")]
            0,
            startup_cost,
            total_cost,
            std::ptr::null_mut(),
            outer_path,
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            std::ptr::null_mut(),
            fdw_private,
        )
        .cast()
    }
}

/// `create_foreign_join_path` with the arguments that every version has.
///
/// # Safety
/// As the C function: planner nodes of the current planning.
#[allow(clippy::too_many_arguments)]
pub unsafe fn create_foreign_join_path(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    target: *mut pg_sys::PathTarget,
    rows: f64,
    startup_cost: f64,
    total_cost: f64,
    pathkeys: *mut pg_sys::List,
    outer_path: *mut pg_sys::Path,
) -> *mut pg_sys::Path {
    // SAFETY: same contract as this function.
    unsafe {
        pg_sys::create_foreign_join_path(
            root,
            rel,
            target,
            rows,
            #[cfg(feature = "pg18")]
            0,
            startup_cost,
            total_cost,
            pathkeys,
            std::ptr::null_mut(),
            outer_path,
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
        .cast()
    }
}

/// The GROUP BY or DISTINCT clause without the keys that the planner found redundant.
///
/// # Safety
/// `root` must be of the current planning.
pub unsafe fn needed_grouping(root: *mut pg_sys::PlannerInfo, distinct: bool) -> *mut pg_sys::List {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        #[cfg(feature = "pg15")]
        let (groups, distincts) = ((*(*root).parse).groupClause, (*(*root).parse).distinctClause);
        #[cfg(not(feature = "pg15"))]
        let (groups, distincts) = ((*root).processed_groupClause, (*root).processed_distinctClause);
        if distinct { distincts } else { groups }
    }
}

/// An expression as it is below the step that makes a statement's groups. PostgreSQL 18 notes in the columns of a key that
/// a grouping set may make it null; what is grouped, and the keys of a step of grouping within the core, have no such mark.
///
/// # Safety
/// A valid expression of the current planning.
pub unsafe fn below_grouping(
    #[allow(unused_variables)] root: *mut pg_sys::PlannerInfo,
    expression: *mut pg_sys::Node,
) -> *mut pg_sys::Node {
    // SAFETY: the caller guarantees valid nodes; a copy is changed, not what is read.
    #[cfg(feature = "pg18")]
    unsafe {
        if (*root).group_rtindex > 0 && !(*(*root).parse).groupingSets.is_null() {
            let step = pg_sys::bms_make_singleton((*root).group_rtindex);
            return pg_sys::remove_nulling_relids(expression, step, std::ptr::null());
        }
    }
    expression
}

/// The members of an equivalence class, those of the relation `relid` included when it is a partition or a branch of
/// a UNION ALL. PostgreSQL 18 keeps the latter in lists of their own (`ec_childmembers`, by relation).
///
/// # Safety
/// `class` must be of the current planning.
pub unsafe fn equivalence_members(
    class: *mut pg_sys::EquivalenceClass,
    #[allow(unused_variables)] relid: pg_sys::Index,
) -> Vec<*mut pg_sys::EquivalenceMember> {
    // SAFETY: the caller guarantees a valid node; the array has the length of its size.
    unsafe {
        #[allow(unused_mut)]
        let mut members: Vec<_> = PgList::from_pg((*class).ec_members).iter_ptr().collect();
        #[cfg(feature = "pg18")]
        if (relid as i64) < i64::from((*class).ec_childmembers_size) {
            let own = *(*class).ec_childmembers.add(relid as usize);
            members.extend(PgList::from_pg(own).iter_ptr());
        }
        members
    }
}

/// Whether what an equivalence class states of its members holds for each pair of them, wherever they are joined.
///
/// # Safety
/// `class` must be a valid EquivalenceClass of the current planning.
pub unsafe fn holds_everywhere(class: *mut pg_sys::EquivalenceClass) -> bool {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        #[cfg(feature = "pg15")]
        if (*class).ec_below_outer_join {
            return false;
        }
        (*class).ec_merged.is_null() && !(*class).ec_broken && !(*class).ec_has_volatile
    }
}

/// Whether a column may be null because an outer join found no row for it.
///
/// # Safety
/// `var` must be a valid Var.
pub unsafe fn is_nulled(#[allow(unused_variables)] var: *mut pg_sys::Var) -> bool {
    #[cfg(feature = "pg15")]
    {
        false
    }
    #[cfg(not(feature = "pg15"))]
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        !(*var).varnullingrels.is_null()
    }
}

/// The relations that the whole query joins: a join that adds NULLs is one of its own from PostgreSQL 16 on.
///
/// # Safety
/// `root` must be of the current planning.
pub unsafe fn all_relations(root: *mut pg_sys::PlannerInfo) -> pg_sys::Relids {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        #[cfg(feature = "pg15")]
        {
            (*root).all_baserels
        }
        #[cfg(not(feature = "pg15"))]
        {
            (*root).all_query_rels
        }
    }
}

/// The path key that sorts by an equivalence class, ascending, NULLs last.
///
/// # Safety
/// As the C function: planner nodes of the current planning.
pub unsafe fn ascending_pathkey(
    root: *mut pg_sys::PlannerInfo,
    class: *mut pg_sys::EquivalenceClass,
    family: pg_sys::Oid,
) -> *mut pg_sys::PathKey {
    #[cfg(feature = "pg18")]
    let ascending = pg_sys::CompareType::COMPARE_LT;
    #[cfg(not(feature = "pg18"))]
    let ascending = pg_sys::BTLessStrategyNumber as i32;
    // SAFETY: same contract as this function.
    unsafe { pg_sys::make_canonical_pathkey(root, class, family, ascending, false) }
}

/// Whether a path key sorts descending.
///
/// # Safety
/// `pathkey` must be a valid PathKey.
pub unsafe fn pathkey_descends(pathkey: *mut pg_sys::PathKey) -> bool {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        #[cfg(feature = "pg18")]
        {
            (*pathkey).pk_cmptype == pg_sys::CompareType::COMPARE_GT
        }
        #[cfg(not(feature = "pg18"))]
        {
            (*pathkey).pk_strategy == pg_sys::BTGreaterStrategyNumber as i32
        }
    }
}

/// The user whose mapping a scan uses: the owner of the view that reads the table, else the current user.
///
/// # Safety
/// `node` must be a ForeignScanState whose executor state is set up.
pub unsafe fn scan_user(node: *mut pg_sys::ForeignScanState) -> pg_sys::Oid {
    // SAFETY: the caller guarantees a valid node; range table entries live as long as the plan.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        let user = (*(*node).ss.ps.plan.cast::<pg_sys::ForeignScan>()).checkAsUser;
        #[cfg(feature = "pg15")]
        let user = scan_entry(node, 0).map_or(pg_sys::InvalidOid, |entry| (*entry).checkAsUser);
        if user == pg_sys::InvalidOid {
            pg_sys::GetUserId()
        } else {
            user
        }
    }
}

/// The user whose mapping a write uses: the owner of the view that the table is written through, else the current user.
///
/// # Safety
/// A result relation of a running statement and its executor state.
pub unsafe fn result_user(estate: *mut pg_sys::EState, rinfo: *mut pg_sys::ResultRelInfo) -> pg_sys::Oid {
    // SAFETY: the caller guarantees valid planner or executor nodes. A partition that rows are routed to has no entry of its own.
    unsafe {
        #[cfg(not(feature = "pg15"))]
        let user = pg_sys::ExecGetResultRelCheckAsUser(rinfo, estate);
        #[cfg(feature = "pg15")]
        let user = {
            let named = match (*rinfo).ri_RangeTableIndex {
                0 if !(*rinfo).ri_RootResultRelInfo.is_null() => (*rinfo).ri_RootResultRelInfo,
                _ => rinfo,
            };
            let entries = pgrx::PgList::<pg_sys::RangeTblEntry>::from_pg((*estate).es_range_table);
            let index = ((*named).ri_RangeTableIndex as usize).wrapping_sub(1);
            entries
                .get_ptr(index)
                .map_or(pg_sys::InvalidOid, |entry| (*entry).checkAsUser)
        };
        if user == pg_sys::InvalidOid {
            pg_sys::GetUserId()
        } else {
            user
        }
    }
}

/// The table that a scan reads: its only one, or of those that it joins the one of this number, counted from the
/// lowest in the range table.
///
/// # Safety
/// `node` must be a ForeignScanState whose executor state is set up.
pub unsafe fn scan_table(node: *mut pg_sys::ForeignScanState, number: u16) -> pg_sys::Oid {
    // SAFETY: the caller guarantees a valid node.
    unsafe { scan_entry(node, number).map_or(pg_sys::InvalidOid, |entry| (*entry).relid) }
}

unsafe fn scan_entry(node: *mut pg_sys::ForeignScanState, number: u16) -> Option<*mut pg_sys::RangeTblEntry> {
    // SAFETY: the caller guarantees a valid node; range table entries live as long as the plan.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        #[cfg(feature = "pg15")]
        let relations = (*plan).fs_relids;
        #[cfg(not(feature = "pg15"))]
        let relations = (*plan).fs_base_relids;
        let index = match (*plan).scan.scanrelid {
            0 => (0..=number).fold(-1, |member, _| pg_sys::bms_next_member(relations, member)),
            only => only as i32,
        };
        let entries = pgrx::PgList::<pg_sys::RangeTblEntry>::from_pg((*(*node).ss.ps.state).es_range_table);
        entries.get_ptr(usize::try_from(index - 1).ok()?)
    }
}

/// The relation that stands for an outer join, 0 where there is none (in PostgreSQL 15 no join has one).
///
/// # Safety
/// `join` must be null or of the current planning.
pub unsafe fn outer_join_relid(
    #[allow(unused_variables)] join: *mut pg_sys::SpecialJoinInfo,
) -> pg_sys::Index {
    #[cfg(feature = "pg15")]
    {
        0
    }
    #[cfg(not(feature = "pg15"))]
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        join.as_ref().map_or(0, |join| join.ojrelid)
    }
}

/// Whether just the outer join `relid` may have made a column null; with 0 none.
///
/// # Safety
/// `var` must be a valid Var.
pub unsafe fn is_nulled_by(
    #[allow(unused_variables)] var: *mut pg_sys::Var,
    #[allow(unused_variables)] relid: pg_sys::Index,
) -> bool {
    #[cfg(feature = "pg15")]
    {
        true
    }
    #[cfg(not(feature = "pg15"))]
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        let wanted = match relid {
            0 => std::ptr::null_mut(),
            relid => pg_sys::bms_make_singleton(relid as i32),
        };
        pg_sys::bms_equal((*var).varnullingrels, wanted)
    }
}

/// An expression whose columns of `relids` are noted as made null by the outer join `relid`; with 0 as it is.
///
/// # Safety
/// `node` must be a valid expression or list of the current planning.
pub unsafe fn add_nulling(
    node: *mut pg_sys::Node,
    #[allow(unused_variables)] relids: pg_sys::Relids,
    #[allow(unused_variables)] relid: pg_sys::Index,
) -> *mut pg_sys::Node {
    #[cfg(feature = "pg15")]
    {
        node
    }
    #[cfg(not(feature = "pg15"))]
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        match relid {
            0 => node,
            relid => pg_sys::add_nulling_relids(node, relids, pg_sys::bms_make_singleton(relid as i32)),
        }
    }
}

/// The conditions of the join of two relations, which the planner has made before.
///
/// # Safety
/// Relations of the current planning, `joined` that of both others.
pub unsafe fn join_restrictions(
    root: *mut pg_sys::PlannerInfo,
    joined: *mut pg_sys::RelOptInfo,
    outer: *mut pg_sys::RelOptInfo,
    inner: *mut pg_sys::RelOptInfo,
    join: *mut pg_sys::SpecialJoinInfo,
) -> *mut pg_sys::List {
    let mut restrictions = std::ptr::null_mut();
    // SAFETY: same contract as this function; a relation that there is is returned as it is.
    unsafe {
        pg_sys::build_join_rel(
            root,
            (*joined).relids,
            outer,
            inner,
            join,
            #[cfg(not(feature = "pg15"))]
            std::ptr::null_mut(),
            &raw mut restrictions,
        );
    }
    restrictions
}
