//! The smallest question about an object.

use intacct::{DialectKind, Query, SelectItem};

/// A query for the row key of an object alone.
pub fn key_query(kind: DialectKind, object: &str) -> Query {
    let mut query = Query::new(object);
    query.select = vec![SelectItem::Field(
        kind.settled_key(object).unwrap_or("RECORDNO").to_owned(),
    )];
    query
}
