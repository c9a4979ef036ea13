//! The simulator as a client sees it. One binary, because linking it costs more than running it.

mod changes;
mod common;
mod faults;
mod legacy;
mod query;
mod readers;
mod readings;
mod schema_agreement;
mod strictness;
mod tls;
mod writes;
