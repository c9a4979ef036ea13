//! Dumps of databases, and what restores them.

use std::io::Write;
use std::process::Stdio;

use crate::cluster;

/// What pg_dump writes of a database, with these options.
///
/// # Panics
/// If it fails.
#[track_caller]
pub fn dump(database: &str, options: &[&str]) -> Vec<u8> {
    let dump = cluster::program("pg_dump")
        .args(["--no-password", "-d", database])
        .args(options)
        .output()
        .expect("pg_dump runs");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    dump.stdout
}

/// Has psql run a dump in a database, to its end whatever fails in it. Returns whether psql ended well, and what it says.
///
/// # Panics
/// If psql cannot be run.
pub fn restore(database: &str, dump: &[u8], options: &[&str]) -> (bool, String) {
    let mut psql = cluster::program("psql")
        .args(["-X", "-q", "-d", database])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql runs");
    psql.stdin
        .take()
        .expect("a pipe")
        .write_all(dump)
        .expect("psql reads");
    let restored = psql.wait_with_output().expect("psql ends");
    (
        restored.status.success(),
        String::from_utf8_lossy(&restored.stderr).into_owned(),
    )
}

/// The same where nothing may fail.
///
/// # Panics
/// If anything does.
#[track_caller]
pub fn restore_all(database: &str, dump: &[u8]) {
    let (restored, said) = restore(database, dump, &["-v", "ON_ERROR_STOP=1"]);
    assert!(restored, "{said}");
}
