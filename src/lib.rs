//! Sage Intacct as PostgreSQL foreign tables.
mod catalog;
mod compat;
mod connection;
mod convert;
mod error;
mod exec;
mod guc;
mod handler;
mod io;
mod options;
mod plan;

pgrx::pg_module_magic!(name, version);
