//! readByQuery and readMore.

/// A stored result, paged by readMore.
#[derive(Debug)]
pub struct Stored;
