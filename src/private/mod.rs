//! What the planner passes to the executor (`fdw_private`, `custom_private`): one serde value in one String node, so that it
//! survives copies, the plan cache and EXPLAIN. It holds no pointer, no secret, and no OID of a server object.

mod aggregate;
mod lookup;
mod modify;
mod scan;
pub mod transform;

pub use aggregate::{AggregateOutput, AggregatePrivate, FirstRow, Merge, QueryItem};
pub use lookup::{COMBINED_NAME, Join, LOOKUP_NAME, LookupPrivate};
pub use modify::ModifyPrivate;
pub use scan::{Finish, LookupKey, ScanPart, ScanPrivate, WantedRows, conjuncts};

use pgrx::{PgList, pg_sys};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};

/// What a plan of ours holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Private {
    /// Rows.
    Scan(Box<ScanPrivate>),
    /// Groups.
    Aggregate(Box<AggregatePrivate>),
    /// Groups of which PostgreSQL makes those of the statement, in the plan below; they pass through.
    Combined,
}

impl Private {
    /// The value as a list of one String node.
    ///
    /// # Errors
    /// Only if serde refuses, which it does for no value of this type.
    pub fn to_list(&self) -> Result<*mut pg_sys::List, String> {
        to_list(self)
    }

    /// Reads the value back from a plan.
    ///
    /// # Safety
    /// As [`from_list`].
    ///
    /// # Errors
    /// A plan of another version of the extension.
    pub unsafe fn from_list(list: *mut pg_sys::List) -> Result<Private, String> {
        // SAFETY: same contract as this function.
        unsafe { from_list(list) }
    }
}

/// A value as a list of one String node.
///
/// # Errors
/// Only if serde refuses.
pub fn to_list(value: &impl Serialize) -> Result<*mut pg_sys::List, String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    let text = CString::new(text).map_err(|error| error.to_string())?;
    let mut list = PgList::<pg_sys::Node>::new();
    // SAFETY: main thread; both calls allocate in the current memory context.
    list.push(unsafe { pg_sys::makeString(pg_sys::pstrdup(text.as_ptr())).cast() });
    Ok(list.into_pg())
}

/// Reads a value back from a plan.
///
/// # Safety
/// `list` must be what [`to_list`] made, or a copy of it.
///
/// # Errors
/// A plan of another version of the extension.
pub unsafe fn from_list<T: DeserializeOwned>(list: *mut pg_sys::List) -> Result<T, String> {
    // SAFETY: the caller guarantees a valid list.
    let text = unsafe {
        let nodes = PgList::<pg_sys::String>::from_pg(list);
        let node = nodes
            .get_ptr(0)
            .ok_or("the plan has no private data of this extension")?;
        CStr::from_ptr((*node).sval)
    };
    let text = text.to_str().map_err(|error| error.to_string())?;
    // What may be nested is bounded where it is made: conditions by the translator, the table's own by the parser. A bound of
    // the reader would only refuse a plan that was made.
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    T::deserialize(&mut reader).map_err(|error| error.to_string())
}
