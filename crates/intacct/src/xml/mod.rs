//! Request and response documents.

pub(crate) mod allowance;
pub(crate) mod columns;
pub(crate) mod envelope;
pub(crate) mod escape;
pub(crate) mod listing;
pub(crate) mod response;
pub mod rows;
pub(crate) mod scanner;
mod template;
pub(crate) mod tree;
