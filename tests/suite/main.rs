//! Every test that needs a server, in one program: see docs/testing.md.
#![forbid(unsafe_code)]

mod client;
mod differential;
mod examples;
mod golden;
mod managed;
mod mirrors;
mod monitoring;
mod packaging;
mod tools;
mod writes;
