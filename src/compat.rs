//! What differs between PostgreSQL versions, and has no better place.

use pgrx::pg_sys;

/// An attribute of a tuple descriptor.
///
/// # Safety
/// `descriptor` must be valid and `index` below its `natts`.
pub unsafe fn attribute<'a>(
    descriptor: pg_sys::TupleDesc,
    index: usize,
) -> &'a pg_sys::FormData_pg_attribute {
    // SAFETY: the caller vouches for the descriptor.
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
    // SAFETY: passed through.
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

/// Whether a path key sorts descending.
///
/// # Safety
/// `pathkey` must be a valid PathKey.
pub unsafe fn pathkey_descends(pathkey: *mut pg_sys::PathKey) -> bool {
    // SAFETY: the caller vouches for the node.
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
    // SAFETY: the caller vouches for the node; range table entries live as long as the plan.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        #[cfg(not(feature = "pg15"))]
        let user = (*plan).checkAsUser;
        #[cfg(feature = "pg15")]
        let user = {
            let estate = (*node).ss.ps.state;
            let entries = pgrx::PgList::<pg_sys::RangeTblEntry>::from_pg((*estate).es_range_table);
            let index = scan_relation_index(plan);
            entries
                .get_ptr(index as usize - 1)
                .map_or(pg_sys::InvalidOid, |entry| (*entry).checkAsUser)
        };
        if user == pg_sys::InvalidOid {
            pg_sys::GetUserId()
        } else {
            user
        }
    }
}

/// The range table index of a relation that the scan reads (the first one of a pushed join).
#[cfg(feature = "pg15")]
unsafe fn scan_relation_index(plan: *mut pg_sys::ForeignScan) -> u32 {
    // SAFETY: the caller vouches for the node.
    unsafe {
        match (*plan).scan.scanrelid {
            0 => pg_sys::bms_next_member((*plan).fs_relids, -1) as u32,
            relid => relid,
        }
    }
}
