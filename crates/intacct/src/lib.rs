//! Client for the Sage Intacct XML gateway.
//!
//! Data travels one way: a [`query::Query`] is rendered by a [`dialect`], wrapped into an envelope ([`xml`]), sent by
//! the transport under a session, and the response is parsed into a [`Page`]; [`pages`] asks for one page after
//! another. Nothing here knows of PostgreSQL.
#![forbid(unsafe_code)]

mod budget;
mod call_bound;
pub mod calls;
mod client;
mod config;
pub mod dialect;
mod endpoint;
pub mod error;
pub mod formatting;
mod gate;
mod json;
mod mask;
#[doc(hidden)]
pub mod measure;
mod nearest;
mod observer;
mod owned;
pub mod pages;
mod proxy;
pub mod query;
pub mod quota;
mod received;
mod records;
mod report;
mod requests;
mod retry;
pub mod schema;
mod secret;
mod session;
pub mod share;
pub mod statement;
mod stats;
mod tls;
mod transport;
pub mod write;
pub mod xml;

pub use budget::Budget;
pub use call_bound::CallBound;
pub use calls::CallLimit;
pub use client::{Client, SessionInfo};
pub use config::{Caps, Config, DtdVersion};
pub use dialect::legacy::LegacyObject;
pub use dialect::{Capabilities, DialectKind, PageRequest, RenderContext, render_function};
pub use error::{ConnectStage, Error, ErrorKind, GatewayError};
pub use formatting::{CellError, CellReader, GatewayZone, UserFormatting};
pub use nearest::nearest;
pub use observer::{Event, Observer, Outcome};
pub use owned::{Attempts, Doubts, Evidence, OwnedParent, OwnedRows, TEXTS_IN_DOUBT, Verdict};
pub use pages::{
    AssumedKey, Beside, KeyValues, Paging, ReadPlan, ReadSummary, Seen, read, read_part, read_part_beside,
};
pub use proxy::Proxy;
pub use query::{
    AggregateFunction, Binding, Bound, CompareOp, Condition, Count, OrderKey, Query, SelectItem, SyntaxError,
    Value,
};
pub use received::{Confirmation, GroupKeyKind, ReceivedKeys};
pub use records::{FieldValue, KeyKind, Record};
pub use report::{Argument, ReportRequest};
pub use retry::Backoff;
pub use schema::{
    DataType, Entity, FieldDefinition, ObjectDefinition, ObjectName, Readable, Relationship,
    concerns_one_object, is_keyless,
};
pub use secret::Secret;
pub use share::{Sealed, SessionShare};
pub use stats::{Meter, RequestStats};
pub use xml::rows::Page;
