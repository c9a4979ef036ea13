//! The node of a lookup join: what the executor allocates, and what hangs on it.

use super::state::Lookup;
use crate::error::raise_internal;
use crate::private::{LookupPrivate, from_list};
use pgrx::pg_sys;

/// The node, as the executor allocates it.
#[repr(C)]
pub struct Node {
    /// What the executor sees of it.
    pub scan: pg_sys::CustomScanState,
    /// None while only explaining.
    pub lookup: *mut Lookup,
}

/// The plan's private part.
///
/// # Safety
/// `node` must be a node of ours.
pub unsafe fn private(node: *mut pg_sys::CustomScanState) -> LookupPrivate {
    // SAFETY: the caller guarantees a valid node.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::CustomScan>();
        from_list((*plan).custom_private)
            .unwrap_or_else(|error| raise_internal(&format!("the plan cannot be read: {error}")))
    }
}

/// The state of a node that has begun; none while only explaining.
///
/// # Safety
/// `node` must be a node of ours.
pub unsafe fn lookup<'a>(node: *mut pg_sys::CustomScanState) -> Option<&'a mut Lookup> {
    // SAFETY: set by `begin`, owned by the executor's memory context, used on the main thread only.
    unsafe { (*node.cast::<Node>()).lookup.as_mut() }
}
