//! What would be sent, without sending it.

use super::address::{addresses, custom_fields};
use super::as_read::without_made;
use super::operation::{Operation, operations};
use super::render::{Context, function_body};
use super::{Change, WriteOptions};
use crate::client::Client;
use crate::error::Error;

/// A failure, with the change at fault where there is one.
pub(super) type Unprepared = (Option<usize>, Error);

/// Packs changes into operations and renders their functions. May read: which record a change addresses, and which
/// fields are custom ones.
pub(super) async fn prepare(
    client: &Client,
    changes: &[Change],
    options: &WriteOptions,
) -> Result<Vec<(Operation, Vec<String>)>, Unprepared> {
    let of_row = |(row, error): (usize, Error)| (Some(row), error);
    let operations = operations(changes, options).map_err(of_row)?;
    let context = Context {
        custom: custom_fields(client, changes)
            .await
            .map_err(|error| (None, error))?,
    };
    let keys = addresses(client, changes, &operations).await.map_err(of_row)?;
    let mut prepared = Vec::with_capacity(operations.len());
    for operation in operations {
        let mut functions = Vec::with_capacity(operation.functions.len());
        for unit in &operation.functions {
            let rows = unit.rows.clone();
            let unit_keys = keys.get(rows.clone()).unwrap_or_default();
            let body = function_body(unit.name, &changes[rows.clone()], unit_keys, &context);
            functions.push(body.map_err(|(at, error)| of_row((rows.start + at, error)))?);
        }
        prepared.push((operation, functions));
    }
    Ok(prepared)
}

/// The function elements that [`write`](super::write()) would send, with their objects, in order.
///
/// # Errors
/// Why it would send nothing, with the change at fault where there is one.
pub async fn preview(
    client: &Client,
    changes: &[Change],
    options: &WriteOptions,
) -> Result<Vec<(String, String)>, (Option<usize>, Error)> {
    let made_ready = without_made(client, changes)
        .await
        .map_err(|(row, error)| (Some(row), error))?;
    let changes = made_ready.as_deref().unwrap_or(changes);
    let prepared = prepare(client, changes, options).await?;
    let functions = prepared.into_iter().flat_map(|(operation, bodies)| {
        let objects = operation
            .functions
            .into_iter()
            .map(|unit| changes[unit.rows.start].target.object.clone());
        objects.zip(bodies).collect::<Vec<_>>()
    });
    Ok(functions.collect())
}
