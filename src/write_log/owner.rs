//! What belongs to the extension's owner is written with the owner's rights, whichever role writes to Intacct.

use crate::error::raise_internal;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Does something as the owner of the extension's tables. Everything in it must be named with its schema.
pub fn as_owner<T>(work: impl FnOnce() -> T) -> T {
    const OWNER: &str = "
        SELECT c.relowner FROM pg_catalog.pg_class c
         WHERE c.oid OPERATOR(pg_catalog.=) 'sage_intacct.server_home'::pg_catalog.regclass";
    let owner: pg_sys::Oid = match Spi::get_one(OWNER) {
        Ok(Some(owner)) => owner,
        _ => raise_internal("the table sage_intacct.server_home is not there"),
    };
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: main thread inside a transaction. An error leaves it to the abort to put the user back.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32);
        let result = work();
        pg_sys::SetUserIdAndSecContext(user, context);
        result
    }
}
