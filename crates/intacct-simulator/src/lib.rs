//! A strict stand-in for the Sage Intacct XML gateway: an HTTP(S) server with a believable company behind it.
//!
//! ```no_run
//! use intacct_simulator::{Config, Simulator};
//! let simulator = Simulator::start(Config::default().rows("customer", 50)).unwrap();
//! println!("{}", simulator.url());
//! simulator.set("nulls", "first");
//! simulator.faults(r#"{"match": {"function": "query"}, "action": "reset"}"#);
//! ```
//! What it answers follows `docs/simulator.md`; comments cite the facts of `docs/gateway-facts.md` by number.
#![forbid(unsafe_code)]

pub mod bench;
pub mod catalog;
pub mod company;
pub mod config;
pub mod data;
pub mod envelope;
pub mod error;
pub mod faults;
pub mod format;
pub mod functions;
pub mod gateway;
mod http;
pub mod log;
pub mod query;
pub mod respond;
pub mod session;
pub mod settings;
pub mod store;
pub mod tls;

pub use config::Config;
pub use http::Simulator;

// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
