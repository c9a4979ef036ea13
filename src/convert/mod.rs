//! Between PostgreSQL's values and the connector's: [`outward`] to the gateway, [`inward`] into tuples.

pub mod inward;
pub mod outward;
