//! Request and response documents.
pub mod rows;
