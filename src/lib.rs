//! Sage Intacct as PostgreSQL foreign tables.
pgrx::pg_module_magic!(name, version);
