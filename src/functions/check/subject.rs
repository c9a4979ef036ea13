//! The server that is checked, as far as the steps at the gateway must know it: they run where no catalog can be read.

/// What the steps at the gateway must know of the server.
pub struct Subject {
    /// Its name, quoted where that is needed.
    pub server: String,
    /// Whether rows that are private to entities are read.
    pub show_private: bool,
    /// Whether `max_concurrency` is given.
    pub concurrency_given: bool,
}
