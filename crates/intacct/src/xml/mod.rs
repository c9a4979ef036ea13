//! Documents: tokens, trees, rows of a page, and the request's envelope.

pub(crate) mod allowance;
pub(crate) mod columns;
pub(crate) mod envelope;
pub(crate) mod escape;
pub(crate) mod page;
pub(crate) mod parse_error;
mod rows;
pub(crate) mod scanner;
mod template;
pub(crate) mod tree;
