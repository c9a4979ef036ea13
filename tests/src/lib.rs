//! What the tests that need a PostgreSQL server are made of: a cluster, a company, psql, a look at processes.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod company;
pub mod dumps;
pub mod environment;
pub mod examples;
pub mod plans;
pub mod process;
pub mod psql;
pub mod second;
mod server;
pub mod sql;
pub mod standby;
pub mod tap;
pub mod wait;
