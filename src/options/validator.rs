//! The validator: every option list passes through here before it reaches a catalog.

use super::error::OptionError;
use super::files;
use super::spec::OptionLevel;
use super::table::TableOptions;
use super::values::OptionValues;
use crate::error::raise;
use pgrx::PgMemoryContexts;
use pgrx::datum::Array;
use pgrx::prelude::*;

/// Checks the options of a wrapper, server, user mapping, foreign table or column; raises what is wrong.
#[pg_extern(strict)]
fn sage_intacct_fdw_validator(options: Array<'_, &str>, catalog: pg_sys::Oid) {
    let level = level(catalog);
    // Also where a password is given to a server by mistake.
    let may_hold_secrets = matches!(
        level,
        OptionLevel::Wrapper | OptionLevel::Server | OptionLevel::UserMapping
    );
    let hidden = may_hold_secrets.then(HiddenStatement::hide);
    let pairs = options.iter().flatten().map(|option| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        (name.to_owned(), value.to_owned())
    });
    if let Err(error) = validate(level, &OptionValues::new(level, pairs.collect())) {
        raise(error);
    }
    if let Some(hidden) = hidden {
        hidden.show();
    }
}

/// The kind of object whose options are checked, by the catalog that they go to.
fn level(catalog: pg_sys::Oid) -> OptionLevel {
    match catalog {
        pg_sys::ForeignServerRelationId => OptionLevel::Server,
        pg_sys::UserMappingRelationId => OptionLevel::UserMapping,
        pg_sys::ForeignTableRelationId => OptionLevel::Table,
        pg_sys::AttributeRelationId => OptionLevel::Column,
        _ => OptionLevel::Wrapper,
    }
}

fn validate(level: OptionLevel, values: &OptionValues) -> Result<(), OptionError> {
    values.check()?;
    match level {
        // A server has its company from the start; a user mapping may be completed in steps, so that what it lacks
        // is reported when it is used.
        OptionLevel::Server => drop(values.required("company_id")?),
        OptionLevel::UserMapping => {
            values.exclude("password", "password_file")?;
            values.exclude("sender_password", "sender_password_file")?;
            values.exclude("proxy_password", "proxy_password_file")?;
        }
        OptionLevel::Table => {
            let options = TableOptions::read(values, "")?;
            if let (Some(function), Some(true)) = (options.function, options.show_private)
                && !function.capabilities().show_private
            {
                return Err(OptionError::shows_no_private_rows(function.function()));
            }
        }
        _ => {}
    }
    // SAFETY: main thread inside a transaction.
    let role = unsafe { pg_sys::GetUserId() };
    match values.needs_file_right() {
        Some(name) if !files::may_read(role) => Err(OptionError::may_not_set(name)),
        _ => Ok(()),
    }
}

/// While this is in force, no error writes the statement to the server's log: it holds passwords.
struct HiddenStatement {
    previous: *mut pg_sys::ErrorContextCallback,
}

impl HiddenStatement {
    /// The error report that ends the statement is made after Rust has unwound, and a report forwarded by pgrx has
    /// no place for the flag. An error context callback is asked for every report, whatever its source.
    fn hide() -> HiddenStatement {
        // SAFETY: main thread. The callback lives in the memory context of the call, which outlasts the report of an
        // error; PostgreSQL resets the stack when it recovers from one.
        unsafe {
            let previous = pg_sys::error_context_stack;
            let callback =
                PgMemoryContexts::CurrentMemoryContext.palloc_struct::<pg_sys::ErrorContextCallback>();
            *callback = pg_sys::ErrorContextCallback {
                previous,
                callback: Some(hide_statement),
                arg: std::ptr::null_mut(),
            };
            pg_sys::error_context_stack = callback;
            HiddenStatement { previous }
        }
    }

    /// The end of it, when all went well.
    fn show(self) {
        // SAFETY: main thread; nothing was pushed in between that is still there.
        unsafe { pg_sys::error_context_stack = self.previous };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn hide_statement(_arg: *mut std::ffi::c_void) {
    // SAFETY: called by PostgreSQL while it makes an error report.
    unsafe { pg_sys::errhidestmt(true) };
}
