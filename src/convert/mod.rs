//! Between PostgreSQL's values and the connector's: [`outward`] to the gateway, [`inward`] into tuples.

pub mod calendar;
pub mod datetime;
pub mod inward;
pub mod json;
pub mod memory;
pub mod numeric;
pub mod outward;
pub mod transform;
