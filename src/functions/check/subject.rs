//! The server that is checked, as far as the steps at the gateway must know it: they run where no catalog can be read.

use crate::error::raise;
use crate::functions::comments::unreadable;
use crate::options;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{self, quote_identifier};

/// What the steps at the gateway must know of the server.
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its name, quoted where that is needed.
    pub server: String,
    /// The schema that `next` proposes for its tables, quoted where that is needed.
    pub schema: String,
    /// What that schema holds; none: there is no such schema.
    pub relations: Option<Vec<String>>,
    /// Rows of one call.
    pub page_size: u32,
    /// Whether rows that are private to entities are read.
    pub show_private: bool,
    /// Whether `max_concurrency` is given.
    pub concurrency_given: bool,
}

impl Subject {
    /// Reads the catalogs, on the main thread inside a transaction.
    pub fn read(name: &str, oid: pg_sys::Oid) -> Subject {
        let options = options::server(oid).ok();
        let schema = schema_for(name);
        Subject {
            server: quote_identifier(name),
            relations: relations(&schema).unwrap_or_else(|error| raise(unreadable(&error))),
            schema: quote_identifier(schema),
            page_size: options.as_ref().map_or(2000, |options| options.page_size),
            show_private: options.is_some_and(|options| options.show_private),
            concurrency_given: options::is_given(oid, "max_concurrency"),
            name: name.to_owned(),
        }
    }
}

/// The server's name, unless a schema of that name is PostgreSQL's or this extension's.
fn schema_for(server: &str) -> String {
    match server {
        "sage_intacct" | "information_schema" => format!("intacct_{server}"),
        _ if server.starts_with("pg_") => format!("intacct_{server}"),
        _ => server.to_owned(),
    }
}

fn relations(schema: &str) -> spi::Result<Option<Vec<String>>> {
    const RELATIONS: &str = "
        SELECT c.relname::pg_catalog.text
        FROM pg_catalog.pg_namespace n
        LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
        WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name";
    Spi::connect(|client| {
        let mut found = None;
        for row in client.select(RELATIONS, None, &[schema.into()])? {
            found.get_or_insert_with(Vec::new).extend(row.get(1)?);
        }
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    use super::schema_for;

    #[test]
    fn the_schema_is_named_after_the_server_where_it_can_be() {
        assert_eq!(schema_for("acme"), "acme");
        assert_eq!(schema_for("pg_acme"), "intacct_pg_acme");
        assert_eq!(schema_for("sage_intacct"), "intacct_sage_intacct");
    }
}
