//! Measurements, run by `make bench`. Each line says what was measured, and what it is measured against.
//!
//! `make bench` starts a throw-away cluster and hands its coordinates over in the environment; the gateway is the
//! simulator's binary, started here.
#![forbid(unsafe_code)]

mod company;
mod gateway;
mod interrupts;
mod queries;
mod report;
mod resources;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut report = report::Report::default();
    interrupts::run(&mut report);
    queries::run(&mut report);
    report.finish()
}
