//! Names of roles and other objects of the catalogs, as owned text.

use pgrx::pg_sys;
use std::ffi::CStr;

/// Name of a role, `public` for none.
pub fn role_name(role: pg_sys::Oid) -> String {
    if role == pg_sys::InvalidOid {
        return "public".to_owned();
    }
    // SAFETY: main thread inside a transaction; a role that is gone gives NULL.
    unsafe { owned(pg_sys::GetUserNameFromId(role, true)) }
}

/// A copy of a C string; empty for NULL.
///
/// # Safety
/// `text` must be NULL or a NUL-terminated string of PostgreSQL.
pub unsafe fn owned(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller guarantees a valid string.
    unsafe { CStr::from_ptr(text).to_string_lossy().into_owned() }
}
