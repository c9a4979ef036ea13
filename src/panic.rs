//! Panic hook: errors without backtraces.
//!
//! pgrx raises errors as panics, and its panic hook takes a backtrace of each wherever the process's environment asks for
//! backtraces (`RUST_BACKTRACE=1` in a container, for example). It costs a hundred milliseconds and more, and ends in the error's
//! DETAIL, with the paths of the build. An error that is raised on purpose needs none.
//!
//! The hook is of this library alone: every library has its own copy of Rust's standard library. The environment is left
//! as it is, since others read it too.

use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel};
use std::any::Any;
use std::backtrace::Backtrace;
use std::ffi::OsString;
use std::panic::{PanicHookInfo, set_hook, take_hook};

/// Takes the place of the hook that pgrx has set when the library was loaded.
pub fn init() {
    let inner = take_hook();
    let traced = is_traced(std::env::var_os);
    set_hook(Box::new(move |info| {
        if is_error(info.payload()) {
            return;
        }
        match traced && is_main_thread() {
            // A mistake of ours. The client gets the message, the server's log the location.
            true => eprintln!("{}", described(info)),
            false => inner(info),
        }
    }));
}

/// Whether the environment asks for backtraces, as the standard library reads it.
fn is_traced(variable: impl Fn(&'static str) -> Option<OsString>) -> bool {
    let asked = variable("RUST_LIB_BACKTRACE").or_else(|| variable("RUST_BACKTRACE"));
    asked.is_some_and(|asked| asked != "0")
}

/// An error on its way to PostgreSQL, or one of PostgreSQL on its way through Rust.
fn is_error(payload: &dyn Any) -> bool {
    payload.is::<CaughtError>() || payload.is::<ErrorReportWithLevel>() || payload.is::<ErrorReport>()
}

fn is_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

fn described(info: &PanicHookInfo<'_>) -> String {
    format!("sage_intacct_fdw: {info}\n{}", Backtrace::force_capture())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_the_standard_library_does() {
        let with = |lib: Option<&str>, all: Option<&str>| {
            is_traced(|name| {
                let value = if name == "RUST_LIB_BACKTRACE" { lib } else { all };
                value.map(OsString::from)
            })
        };
        assert!(with(None, Some("1")) && with(None, Some("full")) && with(Some("1"), Some("0")));
        assert!(!with(None, None) && !with(None, Some("0")) && !with(Some("0"), Some("1")));
    }
}
