//! Client for the Sage Intacct XML gateway.
//!
//! Data travels one way: a [`query::Query`] is rendered by a [`dialect`], wrapped into an envelope (`xml`), sent by
//! the transport under a session, and the response is parsed into a [`Page`]; [`pages`] asks for one page after
//! another. Nothing here knows of PostgreSQL.
#![forbid(unsafe_code)]

mod call_bound;
pub mod calls;
mod client;
mod config;
mod connections;
pub mod connector_sql;
pub mod dialect;
mod endpoint;
pub mod error;
pub mod formatting;
mod json;
pub mod limiter;
mod mask;
#[doc(hidden)]
pub mod measure;
mod nearest;
mod observer;
mod owned;
pub mod pages;
mod proxy;
pub mod query;
mod received;
mod records;
mod report;
mod requests;
mod response;
mod retry;
pub mod schema;
mod sealed_session;
mod secret;
mod session;
pub mod share;
mod stats;
mod tls;
mod transport;
pub mod write;
mod xml;

pub use call_bound::CallBound;
pub use calls::CallLimit;
pub use client::{Client, OwnedRows, Readable, SessionInfo, concerns_one_object};
pub use config::{Caps, Config, DtdVersion};
pub use connections::Connections;
pub use dialect::legacy::LegacyObject;
pub use dialect::{Capabilities, DialectKind, PageRequest, RenderContext, render_function};
pub use error::{ConnectStage, Error, ErrorKind, GatewayError};
pub use formatting::{CellError, CellReader, GatewayZone, UserFormatting};
pub use limiter::SharedLimiter;
pub use nearest::nearest;
pub use observer::{Event, Observer, Outcome};
pub use owned::{Attempts, Doubts, Evidence, OwnedParent, TEXTS_IN_DOUBT, Verdict};
pub use pages::{
    AssumedKey, Beside, KeyValues, LastRow, Paging, ReadPlan, ReadSummary, Seen, read, read_part,
    read_part_behind,
};
pub use proxy::Proxy;
pub use query::{
    AggregateFunction, Binding, Bound, CompareOp, Condition, Count, OrderKey, Query, SelectItem, SyntaxError,
    Value,
};
pub use received::{Confirmation, ExpectedKeys, GroupKeyKind, ReceivedKeys};
pub use records::{FieldValue, KeyKind, Record};
pub use report::{Argument, ReportRequest};
pub use retry::Backoff;
pub use schema::{DataType, Entity, FieldDefinition, ObjectDefinition, ObjectName, Relationship, is_keyless};
pub use secret::Secret;
pub use share::{Sealed, SessionShare};
pub use stats::{Meter, RequestStats};
pub use xml::page::Page;

// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
