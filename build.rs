//! Linker arguments of the extension's library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The description of the SQL objects, which scripts/extension-sql reads from the development library: nothing refers to it,
    // so the linker would drop it. A released library goes without it, and without the code that only it keeps.
    if std::env::var("PROFILE").as_deref() == Ok("debug") {
        println!("cargo::rustc-link-arg-cdylib=-Wl,--no-gc-sections");
    }
}
