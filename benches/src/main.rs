//! Measurements, run by `make bench`. Each line says what was measured, and what it is measured against.
//!
//! Arguments name the parts to run (`interrupts`, `queries`, `planning`, `lookups`, `scans`, `mirrors`, `companies`, `writes`,
//! `scale`); `short` leaves the million rows out.
//!
//! `make bench` starts a throw-away cluster and hands its coordinates over in the environment; the gateway is the
//! simulator's binary, started here.
#![forbid(unsafe_code)]

mod companies;
mod company;
mod floor;
mod gateway;
mod interrupts;
mod lookups;
mod mirrors;
mod moving;
mod planning;
mod process;
mod queries;
mod report;
mod resources;
mod scale;
mod scans;
mod writes;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut report = report::Report::default();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| part == name);
    if is_wanted("interrupts") {
        interrupts::run(&mut report);
    }
    if is_wanted("queries") {
        queries::run(&mut report);
    }
    if is_wanted("scans") {
        scans::run(&mut report, !wanted.iter().any(|part| part == "short"));
    }
    if is_wanted("moving") {
        moving::run(&mut report);
    }
    if is_wanted("planning") {
        planning::run(&mut report);
    }
    if is_wanted("lookups") {
        lookups::run(&mut report);
    }
    if is_wanted("mirrors") {
        mirrors::run(&mut report);
    }
    if is_wanted("companies") {
        companies::run(&mut report);
    }
    if is_wanted("writes") {
        writes::run(&mut report);
    }
    if is_wanted("scale") {
        scale::run(&mut report);
    }
    report.finish()
}
