//! Sage Intacct as PostgreSQL foreign tables.
mod io;

pgrx::pg_module_magic!(name, version);
