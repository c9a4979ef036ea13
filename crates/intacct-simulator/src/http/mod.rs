//! The HTTP side: connections, the gateway's front door, the control surface.

mod body;
mod control_api;
mod front;
mod server;

pub mod gzip;
pub use server::Simulator;
