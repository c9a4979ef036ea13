//! Runs statements of the connector's SELECT syntax: names and types by lookup; what the gateway can express is pushed
//! down, the rest is evaluated locally, row by row as the pages come.
//!
//! Order is the gateway's own, in `order_by` as in `<` of text. Local comparisons compare text by its
//! characters' numbers.

mod aggregate;
mod check;
mod decimal;
mod groups;
mod like;
mod names;
mod rows;
mod single;
mod split;
mod statement;
mod values;

pub use statement::{QueryType, Sent, Settings};

use crate::client::Client;
use crate::error::Error;
use statement::Statement;

/// Runs a statement and hands what comes to `emit`, until it ends or `emit` says false. Can be dropped at any await.
///
/// # Errors
/// [`ErrorKind::Syntax`], [`ErrorKind::UnknownObject`] or [`ErrorKind::UnknownFields`] for what is wrong in the statement,
/// [`ErrorKind::Cell`] for a cell that is not of its field's type; what the gateway refuses.
///
/// [`ErrorKind::Syntax`]: crate::ErrorKind::Syntax
/// [`ErrorKind::UnknownObject`]: crate::ErrorKind::UnknownObject
/// [`ErrorKind::UnknownFields`]: crate::ErrorKind::UnknownFields
/// [`ErrorKind::Cell`]: crate::ErrorKind::Cell
pub async fn run(
    client: &Client,
    text: &str,
    settings: &Settings,
    emit: impl AsyncFnMut(Sent) -> bool,
) -> Result<(), Error> {
    let statement = Statement::prepare(client, text, settings).await?;
    let company = &client.config().company_id;
    let object = statement.query.object.clone();
    let ended = match settings.query_type {
        QueryType::Single => single::run(client, statement, emit).await,
        QueryType::List if statement.has_aggregates() => aggregate::run(client, statement, emit).await,
        QueryType::List => rows::run(client, statement, emit).await,
    };
    ended.map_err(|error| error.at(company, Some(&object), "query", ""))
}
