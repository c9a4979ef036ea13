//! Options: what may be set at which level, how it is checked, and how it is read.

mod catalog;
mod client;
mod error;
mod files;
pub mod kind;
mod reference;
mod roles;
mod server;
pub mod spec;
mod table;
mod user;
mod validator;
mod values;

pub use catalog::{column, is_given, server, server_name, table, values};
pub use client::{ClientConfig, ca_certificates, client_config};
pub use error::OptionError;
pub use files::FileStamp;
pub use intacct::nearest;
pub use reference::Reference;
pub use roles::role_name;
pub use server::{Ordering, PushSwitches, ServerOptions, WriteMode};
pub use table::{Entities, TableOptions};
pub use values::OptionValues;
