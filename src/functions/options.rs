//! The options that exist, as a table.

use crate::options::spec::SPECS;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

/// Every option: where it may stand, its default, what it takes and what it means.
#[pg_extern(immutable, parallel_safe)]
#[allow(clippy::type_complexity)]
fn options() -> TableIterator<
    'static,
    (
        name!(level, &'static str),
        name!(name, &'static str),
        name!(default_value, Option<&'static str>),
        name!(allowed, String),
        name!(meaning, &'static str),
    ),
> {
    TableIterator::new(SPECS.iter().map(|spec| {
        (
            spec.level.name(),
            spec.name,
            (!spec.default.is_empty()).then_some(spec.default),
            spec.kind.allowed(),
            spec.doc,
        )
    }))
}
