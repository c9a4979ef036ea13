//! Calls of the statement that runs: what `sage_intacct.max_calls` bounds.
//!
//! A statement is what the client has sent: what its functions and triggers ask by themselves belongs to it. So the count
//! goes with the outermost portal that is active, whatever portals its functions open, and ends with it. What is asked while a statement
//! is planned, before it has a portal, is counted under the time of the client's message and taken over by the portal.

use crate::guc;
use intacct::CallBound;
use pgrx::{PgMemoryContexts, pg_guard, pg_sys};
use std::cell::RefCell;
use std::ffi::{CStr, c_void};

/// What a count belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A portal, by its address: it lives until the callback.
    Portal(usize),
    /// Work outside of any portal: planning, a commit, a background worker. The start of the client's message.
    Message(pg_sys::TimestampTz),
}

thread_local! {
    static COUNTS: RefCell<Vec<(Owner, CallBound)>> = const { RefCell::new(Vec::new()) };
}

/// The count of the statement that runs, and its bound as it is set now. Main thread only.
pub fn bound() -> CallBound {
    // SAFETY: main thread.
    let (owner, message) = unsafe {
        let message = Owner::Message(pg_sys::GetCurrentStatementStartTimestamp());
        match outermost_portal() {
            None => (message, message),
            Some(portal) => (Owner::Portal(portal as usize), message),
        }
    };
    let most = guc::max_calls();
    if let Some(count) = of(owner) {
        return count.at_most(most);
    }
    if let Owner::Portal(portal) = owner {
        // SAFETY: a portal that is active.
        unsafe { forget_with(portal as pg_sys::Portal) };
    }
    COUNTS.with_borrow_mut(|counts| {
        let planned = counts.iter().find(|(known, _)| *known == message);
        let count = planned.map_or_else(CallBound::default, |(_, count)| count.clone());
        counts.retain(|(known, _)| matches!(known, Owner::Portal(_)));
        counts.push((owner, count.clone()));
        count.at_most(most)
    })
}

fn of(owner: Owner) -> Option<CallBound> {
    COUNTS.with_borrow(|counts| {
        let known = counts.iter().find(|(known, _)| *known == owner);
        known.map(|(_, count)| count.clone())
    })
}

/// The portal of the statement that the client has sent: of those that are active, the one that is run for a message of
/// the protocol, which has no name unless the client gave it one, else the one that was made first.
unsafe fn outermost_portal() -> Option<pg_sys::Portal> {
    // SAFETY: portals and their memory contexts are valid while they are listed; a context is named after its portal.
    unsafe {
        let active = pg_sys::ActivePortal;
        if active.is_null() {
            return None;
        }
        let mut outermost = active;
        let mut sibling = (*(*(*active).portalContext).parent).firstchild;
        while !sibling.is_null() {
            let context = sibling;
            sibling = (*context).nextchild;
            if (*context).ident.is_null() {
                continue;
            }
            let name = match CStr::from_ptr((*context).ident) {
                unnamed if unnamed == c"<unnamed>" => c"",
                name => name,
            };
            let portal = pg_sys::GetPortalByName(name.as_ptr());
            let is_running = !portal.is_null()
                && (*portal).portalContext == context
                && (*portal).status == pg_sys::PortalStatus::PORTAL_ACTIVE;
            if is_running {
                outermost = portal;
                if name.is_empty() {
                    break;
                }
            }
        }
        Some(outermost)
    }
}

/// Lets the count go with its portal.
unsafe fn forget_with(portal: pg_sys::Portal) {
    // SAFETY: the callback lies in the memory of the portal's context, as it must.
    unsafe {
        let context = (*portal).portalContext;
        let callback = PgMemoryContexts::For(context).switch_to(|_| {
            pg_sys::palloc0(size_of::<pg_sys::MemoryContextCallback>())
                .cast::<pg_sys::MemoryContextCallback>()
        });
        (*callback).func = Some(forget);
        (*callback).arg = portal.cast();
        pg_sys::MemoryContextRegisterResetCallback(context, callback);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn forget(portal: *mut c_void) {
    COUNTS.with(|counts| {
        // Nothing is called while the list is borrowed, so it is free here.
        if let Ok(mut counts) = counts.try_borrow_mut() {
            counts.retain(|(known, _)| *known != Owner::Portal(portal as usize));
        }
    });
}
