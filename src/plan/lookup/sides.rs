//! The two sides of a lookup join.

use crate::private::Join;
use pgrx::pg_sys;

/// The relations of a join.
pub struct Sides {
    /// The join relation.
    pub joined: *mut pg_sys::RelOptInfo,
    /// The side whose rows are collected.
    pub outer: *mut pg_sys::RelOptInfo,
    /// The foreign table.
    pub inner: *mut pg_sys::RelOptInfo,
    /// The kind of join.
    pub join: Join,
    /// The outer join that makes the inner side's columns null, or 0.
    pub nulling: pg_sys::Index,
}
